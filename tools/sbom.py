"""`make sbom`: what is in each image, as CycloneDX 1.6, from the files that the images are installed from.

python -m tools.sbom [FOLDER]

Each release of the lock is a component, with the hashes of the files that may be installed for it, so that a file found in
an image can be told to be one of them. Nothing in it depends on when or where it is made. The base's own packages are those
of the image at hand: `tools/inside.py` lists them.
"""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.locks import ROOT, Pin, pins

FOLDER = ROOT / "build" / "sbom"
IMAGES = {
    "genfleet-api": ROOT / "requirements" / "api.txt",
    "genfleet-worker": ROOT / "requirements" / "worker.txt",
    "genfleet-flower": ROOT / "deploy" / "compose" / "flower.txt",
}
OURS = {"genfleet-api", "genfleet-worker"}
"""Those that have genfleet itself in them."""


def bill(image: str) -> dict[str, Any]:
    """Of one image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = _component("genfleet", project["version"], licence=project["license"])
    made_of = [_of(pin) for pin in pins(IMAGES[image])]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": image, "version": project["version"], "bom-ref": image},
            "tools": {"components": [{"type": "application", "name": "genfleet tools/sbom.py"}]},
        },
        "components": [own, *made_of] if image in OURS else made_of,
    }


def _of(pin: Pin) -> dict[str, Any]:
    """A release of the lock. One that is for some machines only is `optional`, with the condition."""
    release = pin.release
    made = _component(release.name, release.version, licence=_licence(release.name, release.version))
    made["externalReferences"] = [
        {
            "type": "distribution",
            "url": f"https://pypi.org/project/{release.name}/{release.version}/",
            "hashes": [{"alg": "SHA-256", "content": each.removeprefix("sha256:")} for each in sorted(pin.hashes)],
        }
    ]
    if pin.marker:
        made["scope"] = "optional"
        made["properties"] = [{"name": "genfleet:installed-where", "value": str(pin.marker)}]
    return made


def _component(name: str, version: str, *, licence: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "scope": "required",
        "purl": f"pkg:pypi/{name}@{version}",
    }
    if licence:
        made["licenses"] = [{"expression": licence}]
    return made


def _licence(name: str, version: str) -> str | None:
    """As the release says itself, where it is installed here and says it as an SPDX expression."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    return about["License-Expression"] if "License-Expression" in about and about["Version"] == version else None


def main(folder: Path = FOLDER) -> int:
    """Write the bill of each image."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        file = folder / f"{image}.cdx.json"
        made = bill(image)
        file.write_text(json.dumps(made, indent=2) + "\n")
        print(f"{file}: {len(made['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
