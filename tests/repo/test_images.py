"""The images as far as can be told without building them: what they lock, copy and run as."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.locks import LOCKS, pins

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILES = sorted(ROOT.glob("Dockerfile.*"))
SUBSETS = sorted(path for path in REQUIREMENTS.glob("*.txt") if path.name != "lock.txt")

# The extras behind each locked file; the build's own file has what the wheel is built with.
EXTRAS = {"api": ["service", "operator", "otel"], "worker": ["worker", "otel"]}
# What is not in the API's image, or it would be as large as the worker's.
WORKERS_OWN = {"celery", "imageio-ffmpeg", "numpy", "pillow"}


def locked(file: Path) -> dict[str, set[str]]:
    """The hashes of each pinned distribution, by its pin with its version and marker."""
    return {
        f"{pin.release.name}=={pin.release.version}" + (f" ; {pin.marker}" if pin.marker else ""): set(pin.hashes)
        for pin in pins(file)
    }


def names(file: Path) -> set[str]:
    """The distributions in a locked file."""
    return {canonicalize_name(Requirement(pin).name) for pin in locked(file)}


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments; a continued line is one."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word
    ]


def last(dockerfile: Path, word: str) -> str:
    """What an instruction says in the image that is shipped: the last stage's last one counts."""
    every = instructions(dockerfile)
    start = max(index for index, (found, _) in enumerate(every) if found == "FROM")
    return [rest for found, rest in every[start:] if found == word][-1]


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    """Each Dockerfile."""
    path: Path = request.param
    return path


# -- what is installed -----------------------------------------------------------------------------------------------------


def test_the_documented_installation_is_locked() -> None:
    """TS-176: `pip install -r requirements.txt` installs the lock file: every distribution in one version, by its hashes."""
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    pins = locked(REQUIREMENTS / "lock.txt")

    assert lines == ["-r requirements/lock.txt"]
    assert len(pins) > 50
    assert [pin for pin, hashes in pins.items() if not hashes or "==" not in pin] == []


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda path: path.name)
def test_an_image_has_the_versions_that_the_tests_ran_with(subset: Path) -> None:
    """Each pin of an image is in the lock file, with the same hashes: `make lock` writes both."""
    whole = {Requirement(pin): hashes for pin, hashes in locked(REQUIREMENTS / "lock.txt").items()}
    versions = {(each.name, str(each.specifier)): hashes for each, hashes in whole.items()}

    for pin, hashes in locked(subset).items():
        wanted = Requirement(pin)
        assert hashes, f"{pin} has no hash"
        assert versions.get((wanted.name, str(wanted.specifier))) == hashes, f"{pin}: run `make lock`"


@pytest.mark.parametrize(("image", "extras"), EXTRAS.items(), ids=EXTRAS)
def test_an_image_has_what_its_programs_ask_for(image: str, extras: list[str]) -> None:
    """Each direct dependency of the core and of the image's extras is locked for it, in a version that will do."""
    asked = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        asked += PROJECT["project"]["optional-dependencies"][extra]
    pins = [Requirement(pin) for pin in locked(REQUIREMENTS / f"{image}.txt")]

    for wanted in map(Requirement, asked):
        found = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
        assert found, f"{wanted.name} is not in requirements/{image}.txt: run `make lock`"
        for pin in found:
            (version,) = pin.specifier
            assert version.version in wanted.specifier, f"{pin}: run `make lock`"


def test_nothing_is_installed_from_a_file_without_hashes(tmp_path: Path) -> None:
    """S22: each requirements file that a Dockerfile, script or make target names is one of the locks, and those are whole."""
    places = [*ROOT.glob("Dockerfile.*"), ROOT / "Makefile", ROOT / "requirements.txt", *(ROOT / "deploy").rglob("*")]
    texts = [path.read_text() for path in places if path.is_file()]
    named = {Path(each).name for text in texts for each in re.findall(r"-r \\?(\S+\.txt)", text)}

    assert {"api.txt", "worker.txt", "build.txt", "flower.txt", "lock.txt"} <= named
    assert named - {"requirements.txt"} <= {lock.name for lock in LOCKS}
    for lock in LOCKS:
        assert all(each.startswith("sha256:") and len(each) == 71 for pin in pins(lock) for each in pin.hashes), lock
    for line in ("celery==5.7.0", "celery>=5 --hash=sha256:00", "celery --hash=sha256:00"):
        (tmp_path / "loose.txt").write_text(line)
        with pytest.raises(ValueError, match="pin it with == and its hashes"):
            pins(tmp_path / "loose.txt")


def test_a_base_without_a_digest_has_its_reason() -> None:
    """S22: each image that ours are made from, or that is started beside them, is named by its digest or in the page's list."""
    texts = [path.read_text() for path in (*DOCKERFILES, *(ROOT / "deploy").rglob("*")) if path.is_file()]
    bases = {base for text in texts for base in re.findall(r"^ARG BASE=(\S+)", text, re.MULTILINE)}
    started = set(
        re.findall(r"^ +image: (redis:\S+)", (ROOT / "deploy/compose/compose.yaml").read_text(), re.MULTILINE)
    )
    page = (ROOT / "docs" / "security.md").read_text()

    assert bases
    assert started
    for image in bases | started:
        assert "@sha256:" in image or f"| `{image}` |" in page, (
            f"{image}: name a digest, or the reason in docs/security.md"
        )


def test_the_wheel_is_built_with_locked_tools() -> None:
    """What the build system requires is locked too: an image takes nothing that has no hash."""
    required = {canonicalize_name(Requirement(line).name) for line in PROJECT["build-system"]["requires"]}

    assert required <= names(REQUIREMENTS / "build.txt")


def test_the_image_of_the_api_is_small() -> None:
    """It has nothing of what only engines need."""
    assert not names(REQUIREMENTS / "api.txt") & WORKERS_OWN


# -- what a Dockerfile says ------------------------------------------------------------------------------------------------


def test_an_image_runs_as_a_user_by_number(dockerfile: Path) -> None:
    """`runAsNonRoot` can be checked by a cluster for numbers alone."""
    assert last(dockerfile, "USER") == "10001:10001"


def test_an_image_can_be_asked_how_it_is(dockerfile: Path) -> None:
    """Compose and Docker ask by the image's own health check; a stop is a SIGTERM, which programs end well on."""
    assert last(dockerfile, "HEALTHCHECK")
    assert last(dockerfile, "STOPSIGNAL") == "SIGTERM"


def test_an_image_says_what_it_is_made_of(dockerfile: Path) -> None:
    """Version, commit, licence and base are labels: who finds one running can tell what is in it."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]+)"', last(dockerfile, "LABEL")))

    assert labels["title"] == f"genfleet-{dockerfile.suffix[1:]}"
    assert labels["licenses"] == PROJECT["project"]["license"]
    told = {"base.name": "BASE", "version": "VERSION", "revision": "REVISION"}
    assert {name: labels[name] for name in told} == {name: f"${{{argument}}}" for name, argument in told.items()}
    last_stage = dockerfile.read_text().rpartition("\nFROM ")[2]
    for argument in told.values():
        assert re.search(rf"^ARG {argument}\b", last_stage, re.MULTILINE)


def test_a_command_can_be_replaced(dockerfile: Path) -> None:
    """The API's image is the operator's too: there is no entrypoint in the way, and the command is one that exists."""
    command = re.fullmatch(r'\["(.+)"\]', last(dockerfile, "CMD"))

    assert command
    assert command[1] in PROJECT["project"]["scripts"]
    assert "ENTRYPOINT" not in dict(instructions(dockerfile))


EVERY_DOCKERFILE = [*DOCKERFILES, ROOT / "deploy" / "compose" / "flower.Dockerfile"]


@pytest.mark.parametrize("file", EVERY_DOCKERFILE, ids=lambda path: path.name)
def test_an_image_needs_no_shell(file: Path) -> None:
    """S19: its command and its health check are programs with their arguments; no string that a shell would read."""
    command, check = last(file, "CMD"), last(file, "HEALTHCHECK").partition("CMD ")[2]

    for words in (command, check):
        program, *_ = json.loads(words)
        assert program not in {"sh", "bash", "/bin/sh", "/bin/bash"}


@pytest.mark.parametrize("file", EVERY_DOCKERFILE, ids=lambda path: path.name)
def test_an_image_has_nothing_of_its_base_that_becomes_root_or_installs(file: Path) -> None:
    """S22: whatever base it has; `tests/cluster/test_images.py` looks into the images themselves."""
    prepared = last(file, "RUN")

    assert "find / -xdev -type f -perm /6000 -exec chmod a-s {} +" in prepared
    for folder in ("/usr/bin", "/usr/local/bin"):
        assert f" {folder}/pip*" in prepared


def test_an_image_is_made_of_what_is_known(dockerfile: Path) -> None:
    """No tag that moves to another program overnight, and nothing fetched past the locked files."""
    every = instructions(dockerfile)
    bases = [rest for word, rest in every if word == "ARG" and rest.startswith("BASE=")]

    assert [base for base in bases if ":" not in base or base.endswith(":latest")] == []
    stages = [rest.split() for word, rest in every if word == "FROM"]
    assert {stage[0] for stage in stages} <= {"${BASE}", *(stage[-1] for stage in stages if "AS" in stage)}
    assert "ADD" not in dict(every)
    for word, rest in every:
        for installed in re.findall(r"pip (?:--python \S+ )?install ([^&]+)", rest) if word == "RUN" else []:
            assert "--require-hashes" in installed or "--no-deps" in installed, installed


def test_an_image_copies_files_that_are_there(dockerfile: Path) -> None:
    """Each COPY from the repository names what exists and what `.dockerignore` lets through."""
    for word, rest in instructions(dockerfile):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source == "." or _is_sent(source), f"{source} is kept back by .dockerignore"


def test_a_build_gets_every_package_and_no_secret() -> None:
    """`.dockerignore` lets in what the wheel is made of, and by its form nothing that it does not name."""
    needed = [*PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "pyproject.toml"]
    needed += [PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]]

    assert [path for path in needed if not _is_sent(path)] == []
    assert [path for path in (".env", ".git", ".genfleet", "tests", ".venv") if _is_sent(path)] == []


def _is_sent(path: str) -> bool:
    """Whether a path is let in: all is kept back, then folders and files are named."""
    first, *rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    return any(Path(path).match(rule) or path.startswith(rule) for rule in allowed)
