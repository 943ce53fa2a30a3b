"""The twelve departments of a film production and what each answers for (TS-094)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Department:
    """One department."""

    number: int
    slug: str
    name: str
    scope: tuple[str, ...]
    """The topics that its material has to cover."""


DEPARTMENTS = (
    Department(1, "story", "Story", ("structure", "plot", "themes")),
    Department(2, "character", "Character", ("profiles", "arcs", "relationships")),
    Department(3, "production", "Production", ("resources", "budget", "timeline")),
    Department(4, "visual", "Visual", ("style", "cinematography", "effects")),
    Department(5, "audio", "Audio", ("sound design", "music", "dialogue")),
    Department(6, "editing", "Editing", ("pacing", "transitions", "continuity")),
    Department(7, "marketing", "Marketing", ("promotion", "distribution", "audience")),
    Department(8, "legal", "Legal", ("rights", "contracts", "compliance")),
    Department(9, "technical", "Technical", ("equipment", "software", "infrastructure")),
    Department(10, "post-production", "Post-Production", ("grading", "VFX", "final mix")),
    Department(11, "distribution", "Distribution", ("release strategy", "platforms")),
    Department(12, "archive", "Archive", ("asset management", "preservation")),
)

BY_SLUG = {department.slug: department for department in DEPARTMENTS}


def department(slug: str, number: int) -> Department:
    """Whose scope applies: that of the slug; of a slug that is none of the twelve, that of the number (PI-019)."""
    return BY_SLUG.get(slug.strip().lower().replace("_", "-").replace(" ", "-")) or DEPARTMENTS[number - 1]
