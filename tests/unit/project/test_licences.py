"""The licences of all packages are permissive, or on a list that somebody has looked at."""

import re
from importlib import metadata
from pathlib import Path

import licences

#: Everything that an installation may hold except TensorFlow, which brings dozens of packages.
PINS = Path(__file__).parents[3] / "requirements" / "evaluate.txt"

#: Beginnings of the names of licences that only ask for attribution.
PERMISSIVE = re.compile(r"(The )?(3-Clause )?(MIT|BSD|0BSD|Apache|PSF|Python Software Foundation|ISC|Zlib|CC0)")

#: Packages with other licences, which are met by using them unchanged as separate packages.
LOOKED_AT = {
    "psycopg": {"LGPL-3.0-only"},  # the driver for PostgreSQL that SQLAlchemy recommends
    "psycopg-binary": {"LGPL-3.0-only"},
    "tqdm": {"MPL-2.0", "MIT"},  # progress bars of ai-edge-litert
}


def _named(about: metadata.PackageMetadata, field: str) -> str:
    # Its `get` has a type only from Python 3.12 on.
    return about[field] if field in about else ""  # noqa: SIM401


def _licences(package: str) -> set[str]:
    about = metadata.metadata(package)
    named = _named(about, "License-Expression")
    if not named:
        classified = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
        named = " AND ".join(line.split(" :: ")[-1] for line in classified) or _named(about, "License")
    return {licence.strip() for licence in re.split(r" AND | OR |\n", named) if licence.strip()}


def _pinned() -> list[str]:
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", PINS.read_text(), re.MULTILINE)
    assert len(names) > 30, "the file of pins is written in another way than this test reads"
    installed = {re.sub(r"[-_.]+", "-", found.name).lower() for found in metadata.distributions()}
    # Some are pinned only for other systems or Python versions.
    return sorted({name for name in names if name in installed})


def test_every_package_has_a_permissive_licence_or_was_looked_at() -> None:
    found = {package: _licences(package) for package in _pinned()}

    assert not {package for package, licences in found.items() if not licences}, "packages that name no licence"
    odd = {
        package: licences
        for package, licences in found.items()
        if not all(PERMISSIVE.match(licence) for licence in licences)
    }
    assert odd == {package: licences for package, licences in LOOKED_AT.items() if package in found}


def test_the_recorded_list_names_every_pin_with_its_licence() -> None:
    recorded = (PINS.parent / "licences.md").read_text()
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", recorded, re.MULTILINE)
    assert [(name, version) for name, version, _ in rows[2:]] == list(licences.pinned()), (
        "write it anew: python deployment/licences.py > requirements/licences.md"
    )
    for name, _, licence in rows[2:]:
        here = licences.licence(name)
        assert here is None or licence == here, name


def test_every_pin_is_held_to_the_hashes_of_its_files() -> None:
    for file in PINS.parent.glob("*.txt"):
        for pin in re.split(r"\n(?=[A-Za-z0-9])", file.read_text().strip()):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), (file.name, pin.partition("=")[0])
