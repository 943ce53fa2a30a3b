"""What the repository promises about itself, where no other tool would notice that it is no longer so."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as _name
from pydantic import AliasChoices

from genfleet.settings import ProgramSettings
from genfleet_operator.settings import OperatorSettings
from genfleet_service.settings import ServiceSettings
from genfleet_workers.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {Path(path).name: ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
ENTRY_POINTS: dict[str, str] = PROJECT["project"]["scripts"] | PROJECT["project"]["entry-points"]["genfleet.commands"]
# Decision records are left out: they tell what was true when they were written.
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
]

SETTINGS: list[type[ProgramSettings]] = [OperatorSettings, ServiceSettings, WorkerSettings]

# What has to be installed for the imports of a package: its extra. The core is part of every program.
EXTRAS = [
    ("genfleet", "service"),
    ("genfleet", "worker"),
    ("genfleet", "client"),
    ("genfleet_service", "service"),
    ("genfleet_workers", "worker"),
    ("genfleet_client", "client"),
    ("genfleet_local", "local"),
    ("genfleet_operator", "operator"),  # of the core it does without `egress`: it fetches nothing
]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, as from a fresh shell in the root of the repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _lines(wrong: Iterable[str]) -> str:
    """What is wrong, each on a line: pytest shows a text in full, and of a list the first few."""
    return "\n".join(sorted(set(wrong)))


# -- folders -------------------------------------------------------------------------------------------------------------


def test_no_folder_shadows_the_standard_library() -> None:
    """A top folder that is named like a standard module is no package, or that module could not be imported here."""
    shadows = [name for name in sys.stdlib_module_names if (ROOT / name / "__init__.py").exists()]

    assert shadows == []


def test_there_is_no_package_under_tests() -> None:
    """Test folders are no packages: they may then be named like standard modules, and their files like each other's."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_tool_knows_the_same_roots() -> None:
    """The wheel, the editable install, ruff, mypy and import-linter look at the same packages."""
    roots = [str(path.parent.relative_to(ROOT)) for path in PACKAGES.values()]
    tool = PROJECT["tool"]

    assert roots == tool["hatch"]["build"]["targets"]["wheel"]["dev-mode-dirs"]
    assert roots == tool["ruff"]["src"]
    assert roots == tool["mypy"]["mypy_path"]
    assert set(roots) < set(tool["mypy"]["files"])
    assert set(PACKAGES) == set(tool["importlinter"]["root_packages"])


# -- what is installed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "target"), ENTRY_POINTS.items(), ids=ENTRY_POINTS)
def test_every_command_can_be_loaded(name: str, target: str) -> None:
    """Each command and subcommand names a function that is there."""
    module, _, function = target.partition(":")

    assert callable(getattr(importlib.import_module(module), function, None)), f"{name} = {target}"


def test_the_wheel_holds_every_file_of_every_package(tmp_path: Path) -> None:
    """Scripts, templates and pages beside the Python files are shipped as well."""
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")

    shipped = set(zipfile.ZipFile(wheel).namelist())

    assert not _lines({str(path.relative_to(root.parent)) for root, path in _sources()} - shipped)


def _sources() -> Iterator[tuple[Path, Path]]:
    """Each package with each of its files."""
    for root in PACKAGES.values():
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and "_cache" not in str(path.relative_to(root)):
                yield root, path


@pytest.mark.parametrize(("package", "extra"), EXTRAS)
def test_an_extra_brings_what_its_program_imports(package: str, extra: str) -> None:
    """Where only that extra is installed, as in an image, no import of the program fails."""
    imported = {module for path in PACKAGES[package].rglob("*.py") for module in _imported(path)} - set(PACKAGES)
    imported.discard("opentelemetry")  # looked for when a collector is named, and done without
    providers = metadata.packages_distributions()
    installed = _with_dependencies(f"genfleet[{extra}]")

    missing = [module for module in imported & set(providers) if not installed & set(map(_name, providers[module]))]

    assert not _lines(missing)


def _imported(path: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _with_dependencies(requirement: str) -> set[str]:
    """The distributions that pip would install for a requirement, read from what is installed here."""
    found: set[str] = set()
    queue, seen = [requirement], set[str]()
    while queue:
        wanted = Requirement(queue.pop())
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        found.add(_name(wanted.name))
        for line in metadata.requires(wanted.name) or []:
            dependency = Requirement(line)
            if dependency.marker is None or any(
                dependency.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            ):
                dependency.marker = None
                queue.append(str(dependency))
    return found


# -- contracts and commands ----------------------------------------------------------------------------------------------


def test_nobody_imports_what_they_may_not() -> None:
    """The import contracts of `pyproject.toml` hold."""
    linted = run(Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo")

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_help_lists_every_target() -> None:
    """`make help` names each target that a person may ask for, with what it does."""
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    shown = run("make", "help").stdout

    assert [target for target in phony.split() if not re.search(rf"^  {target} +\S", shown, re.MULTILINE)] == []


# -- documents -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_a_document_exists(document: Path) -> None:
    """Whatever looks like a path of this repository, in backticks or as a link, is there."""
    text = document.read_text()
    linked = [document.parent / path for path in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)]
    named = [ROOT / path for path in re.findall(r"`([\w.*-]+/[\w./*-]*)`", text) if _is_ours(path)]

    assert not _lines(os.path.relpath(path, ROOT) for path in linked + named if not _exists(path))


def _is_ours(path: str) -> bool:
    """Whether it starts with a folder of this repository; whatever is ignored by git is made, and may not be there yet."""
    top = path.partition("/")[0]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    ours = {"clients", "core", "crds", "deploy", "docs", "examples", "local", "operator", "service", "tests", "workers"}
    return f"/{top}/" not in ignored and (top in ours or (ROOT / top).is_dir())


def _exists(path: Path) -> bool:
    """Whether a clone would have it: git keeps no empty folders."""
    found = ROOT.glob(os.path.relpath(path, ROOT))
    return any(each.is_file() or any(below.is_file() for below in each.rglob("*")) for each in found)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_example_environment_shows_the_defaults(
    settings: type[ProgramSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.env.example` has each setting of each program under its first name, and the value it has without."""
    shown = dict(re.findall(r"^#?([A-Z][A-Z_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    names = _variables(settings)
    for name in (name for aliases in names for name in aliases):
        monkeypatch.delenv(name, raising=False)
    defaults = settings()

    assert not _lines(aliases[0] for aliases in names if aliases[0] not in shown)
    for name, value in shown.items():
        if value:
            monkeypatch.setenv(name, value)
    assert settings() == defaults


def test_the_example_environment_has_no_variable_that_nobody_reads() -> None:
    """Each variable in `.env.example` is one that a program knows."""
    shown = re.findall(r"^#?([A-Z][A-Z_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    known = {name for settings in SETTINGS for names in _variables(settings) for name in names}

    assert not _lines(set(shown) - known)


def _variables(settings: type[ProgramSettings]) -> list[list[str]]:
    """For each field the variables that it is read from, the first one first."""
    prefix = settings.model_config.get("env_prefix", "")
    return [
        [str(name) for name in field.validation_alias.choices]
        if isinstance(field.validation_alias, AliasChoices)
        else [f"{prefix}{field_name}".upper()]
        for field_name, field in settings.model_fields.items()
    ]
