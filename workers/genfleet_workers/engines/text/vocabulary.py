"""Which words speak of which topic of which department: word families, and pairs of words that belong together.

The topics are those of `genfleet.contract.departments`. A word that several departments use counts less for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from genfleet.contract.departments import DEPARTMENTS, Department
from genfleet_workers.engines.text.words import stems

_FAMILIES: Mapping[str, Mapping[str, str]] = {
    "story": {
        "structure": "structure, act, three-act, opening, inciting incident, midpoint, climax, resolution, denouement, "
        "sequence, scene, beat, outline, prologue, epilogue, turning point, setup, payoff, subplot, chapter, narrative",
        "plot": "plot, twist, conflict, stakes, mystery, discover, reveal, obstacle, goal, betray, murder, secret, clue, "
        "escape, confront, chase, story, premise, event, investigate, antagonist, crime, quest, rescue, threat",
        "themes": "theme, motif, symbol, meaning, moral, redemption, identity, justice, grief, guilt, love, loss, truth, "
        "power, corruption, freedom, allegory, metaphor, message, forgiveness, tone, genre, loyalty",
    },
    "character": {
        "profiles": "character, profile, protagonist, hero, heroine, backstory, age, personality, trait, flaw, appearance, "
        "occupation, wound, fear, habit, voice, detective, biography, temperament, ambition, motivation, born, childhood",
        "arcs": "arc, transform, growth, grow, change, learn, journey, redemption, overcome, evolve, lesson, choice, "
        "realise, realize, decide, regret, become, downfall, development, want, need, belief",
        "relationships": "relationship, rival, friend, mentor, sister, brother, mother, father, daughter, son, partner, "
        "lover, enemy, ally, marriage, family, trust, betray, wife, husband, loyalty, bond, romance, dynamic",
    },
    "production": {
        "resources": "crew, cast, location, equipment, studio, staff, department, resource, producer, vendor, transport, "
        "catering, permit, set, props, costume, unit, hire, stage, extras, wardrobe",
        "budget": "budget, cost, expense, contingency, fee, rate, finance, funding, million, dollar, euro, spend, money, "
        "overhead, tax, incentive, rebate, payroll, insurance, price, thousand, estimate",
        "timeline": "schedule, timeline, deadline, milestone, day, week, month, calendar, shooting day, preproduction, "
        "prep, wrap, delay, call sheet, phase, date, start, delivery, night shoot, principal photography",
    },
    "visual": {
        "style": "style, look, palette, colour, color, mood, noir, aesthetic, texture, design, contrast, tone, costume, "
        "reference, concept art, storyboard, composition, silhouette, shadow, monochrome, saturated, visual",
        "cinematography": "camera, lens, shot, frame, lighting, angle, dolly, handheld, close-up, wide, depth, exposure, "
        "focus, cinematography, tracking, crane, aspect ratio, anamorphic, light, backlight, key light, steadicam, pan",
        "effects": "effect, effects, particle, simulation, smoke, rain, fire, practical, composite, matte, explosion, "
        "prosthetic, miniature, green screen, digital, creature, render, animation, fog",
    },
    "audio": {
        "sound design": "sound, foley, ambience, ambient, effect, design, noise, layer, texture, footstep, rain, silence, "
        "atmosphere, recording, sample, microphone, room tone, reverb, sound design, thunder, hum",
        "music": "music, score, theme, composer, melody, song, orchestra, cue, tempo, jazz, piano, strings, motif, leitmotif, "
        "soundtrack, instrument, rhythm, percussion, saxophone, chord, vocal",
        "dialogue": "dialogue, voice, line, speech, accent, adr, actor, narration, voiceover, whisper, clarity, loop, "
        "conversation, dub, subtitle, speak, monologue, intelligible, lavalier, boom",
    },
    "editing": {
        "pacing": "pace, pacing, rhythm, tempo, length, runtime, tension, slow, fast, trim, tighten, hold, duration, beat, "
        "linger, accelerate, breathe, minute, second, momentum",
        "transitions": "transition, cut, dissolve, fade, wipe, match cut, jump cut, crossfade, smash, montage, intercut, "
        "overlap, l-cut, j-cut, bridge, iris, splice",
        "continuity": "continuity, match, eyeline, screen direction, timeline, consistent, coverage, take, angle, axis, "
        "mismatch, order, chronology, assembly, rough cut, reel, log, flashback",
    },
    "marketing": {
        "promotion": "promotion, trailer, poster, campaign, advert, advertise, press, social media, teaser, interview, "
        "publicity, influencer, brand, billboard, hashtag, tagline, key art, junket, premiere, promote, partnership",
        "distribution": "distribution, release, theatre, theater, cinema, streaming, platform, festival, territory, "
        "screening, window, distributor, market, launch, rollout, website, channel, newsletter",
        "audience": "audience, viewer, demographic, fan, target, age, segment, survey, community, test screening, reach, "
        "engagement, interest, family, adult, teenager, taste, subscriber, quadrant, awareness",
    },
    "legal": {
        "rights": "rights, copyright, licence, license, trademark, clearance, ownership, option, intellectual property, "
        "chain of title, permission, royalty, likeness, public domain, fair use, underlying, title, infringe",
        "contracts": "contract, agreement, clause, deal, signature, sign, term, terminate, warranty, indemnity, guild, "
        "union, release form, liability, negotiate, party, writer, actor, memo, counsel, lawyer, nda",
        "compliance": "compliance, regulation, law, rating, privacy, safety, permit, insurance, tax, audit, policy, "
        "data protection, censor, classification, labour, labor, minors, accessibility, disclosure, legal, comply",
    },
    "technical": {
        "equipment": "equipment, camera, lens, light, rig, drone, battery, monitor, microphone, generator, gimbal, rental, "
        "sensor, recorder, card, tripod, hardware, gear, backup, cable, calibrate",
        "software": "software, pipeline, version, plugin, license, tool, codec, format, renderer, editor, script, update, "
        "compatibility, workstation, api, database, render, open source, integration, bug",
        "infrastructure": "infrastructure, server, storage, network, cloud, bandwidth, backup, gpu, farm, security, "
        "latency, cluster, firewall, redundancy, monitoring, terabyte, power, capacity, access, failover, transfer",
    },
    "post-production": {
        "grading": "grade, grading, colour, color, lut, contrast, palette, hdr, look, skin tone, saturation, correction, "
        "colourist, colorist, exposure, black level, highlights, gamut, aces, log",
        "VFX": "vfx, composite, compositing, cgi, rotoscope, tracking, plate, render, simulation, effect, element, matte, "
        "keying, greenscreen, green screen, clean-up, wire removal, supervisor, digital, shot",
        "final mix": "mix, final mix, mixing, loudness, stem, surround, atmos, dialogue level, master, foley, balance, "
        "stereo, reverb, lufs, dub stage, rerecording, m&e, printmaster, sound, peak",
    },
    "distribution": {
        "release strategy": "release, strategy, date, window, territory, premiere, festival, theatrical, day-and-date, "
        "rollout, holdback, limited, wide, market, sales, exclusive, opening weekend, distributor, campaign, international",
        "platforms": "platform, streaming, svod, avod, tvod, vod, cinema, broadcaster, television, dvd, blu-ray, download, "
        "app, airline, aggregator, service, deliverable, dcp, subtitle, exhibitor, theatre, theater, subscriber",
    },
    "archive": {
        "asset management": "asset, metadata, catalogue, catalog, tag, version, database, naming, search, index, "
        "inventory, library, identifier, access, retrieve, retention, file, folder, checksum, ingest, media, record",
        "preservation": "preserve, preservation, archive, backup, copy, tape, lto, migrate, migration, storage, restore, "
        "format, vault, film, negative, scan, long-term, degradation, integrity, offsite, climate, obsolete",
    },
}


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of all departments."""

    topics: Mapping[str, Mapping[str, frozenset[str]]]
    """The terms of each topic of each department, by slug. A term is a stem, or two with a space."""
    weights: Mapping[str, float]
    """How much a term says, 0..1: the fewer departments use it, the more."""

    def topics_in(self, terms: Iterable[str], department: Department) -> dict[str, frozenset[str]]:
        """The terms of each topic of a department that occur."""
        present = frozenset(terms)
        return {topic: present & family for topic, family in self.topics[department.slug].items()}

    def score(self, terms: Iterable[str], department: Department) -> float:
        """How much the terms of a text speak of a department: the weights of those that do, a repeated one but a little."""
        counted = Counter(terms)
        family = frozenset[str]().union(*self.topics[department.slug].values())
        return sum(self.weights[term] * min(1 + 0.25 * (counted[term] - 1), 2) for term in counted.keys() & family)


def terms(families: Sequence[str]) -> list[str]:
    """The stems of a text, and each two that follow each other."""
    return [*families, *(f"{first} {second}" for first, second in pairwise(families))]


@cache
def lexicon() -> Lexicon:
    """The vocabulary, stemmed. Made when it is first needed."""
    topics = {
        each.slug: {topic: _terms(topic, _FAMILIES[each.slug][topic]) for topic in each.scope} for each in DEPARTMENTS
    }
    users = Counter(term for own in topics.values() for term in frozenset[str]().union(*own.values()))
    return Lexicon(topics, {term: 1 / number for term, number in users.items()})


def _terms(topic: str, listed: str) -> frozenset[str]:
    found = (_term(each) for each in (topic, *listed.split(",")))
    return frozenset(each for each in found if each and each.count(" ") < 2)


def _term(written: str) -> str:
    """A term as it is looked for: without `of` and hyphens, each word by its stem."""
    return " ".join(stems(written.replace("-", " ")))


def examples(department: Department, topic: str, known: Sequence[str], most: int = 4) -> list[str]:
    """Words of a topic, as people write them, that a text does not use yet; those of no other department first."""
    weights = lexicon().weights
    listed = [each.strip() for each in _FAMILIES[department.slug][topic].split(",")]
    absent = [each for each in listed if each != topic and _term(each) in weights.keys() - set(known)]
    return sorted(absent, key=lambda each: -weights[_term(each)])[:most]
