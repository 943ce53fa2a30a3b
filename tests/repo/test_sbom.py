"""The bills of materials: complete, and readable by others."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import sbom
from tools.locks import pins

EVERY = pytest.mark.parametrize("image", sbom.IMAGES)


@EVERY
def test_the_standard_s_own_schema_takes_it(image: str, tmp_path: Path) -> None:
    """CycloneDX' library, strictly, reads the file that `make sbom` writes."""
    sbom.main(tmp_path)
    written = (tmp_path / f"{image}.cdx.json").read_text()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.replace('"library"', '"wheel"', 1)) is not None


@EVERY
def test_it_lists_every_wheel(image: str) -> None:
    """Each release of the image's lock, under its purl, with the hash of every file that may be installed for it."""
    components = {each["purl"]: each for each in sbom.bill(image)["components"]}

    locked = pins(sbom.IMAGES[image])
    assert len(locked) > 15
    for pin in locked:
        found = components.pop(f"pkg:pypi/{pin.release.name}@{pin.release.version}")
        (files,) = found["externalReferences"]
        assert {f"sha256:{each['content']}" for each in files["hashes"]} == pin.hashes
        assert (found["scope"] == "optional") is (pin.marker is not None)
    ours = {f"pkg:pypi/genfleet@{metadata.version('genfleet')}"} if image in sbom.OURS else set()
    assert set(components) == ours


@EVERY
def test_it_is_the_same_wherever_it_is_made(image: str) -> None:
    """Two of them differ only if what is in the image does: no time, no random number."""
    assert json.dumps(sbom.bill(image)) == json.dumps(sbom.bill(image))
