"""The wheel, installed beside packages that have the names of our folders, counts cells by itself."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import release
from support.running import QUICK
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]

#: Folders of this repository, and names that many other projects use too.
COLLIDING = ("cli", "db", "models", "web", "worker")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from; setuptools leaves its own files where it builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in (*release.package_files(ROOT), "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is built from it."""
    return release.build(source, tmp_path_factory.mktemp("dist"), epoch=1_700_000_000)


@pytest.fixture(scope="module")
def environment(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment with the wheel, what it depends on, and packages that must never be imported."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, symlinks=True, with_pip=False)
    packages = _packages_of(folder)
    for name in COLLIDING:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text(
            f'raise ImportError("somebody else\'s package {name} was imported")\n'
        )
    # The dependencies are those of the tests. Python reads no .pth files in a folder that is itself named by a .pth file, so
    # our own editable installation stays unknown there.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-index", "--no-deps",
         "--disable-pip-version-check", built[1]],
        check=True, timeout=PATIENCE,
    )  # fmt: skip
    yield folder
    shutil.rmtree(folder)


def _packages_of(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


def run(program: Path, *arguments: object, folder: Path) -> str:
    """Run a program of the environment in a folder outside the repository, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMEARCOUNT_", "PYTHON"))}
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=folder, env={**kept, **QUICK, "SMEARCOUNT_DATA": str(folder / "data")},
        check=False, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_distributions_hold_the_package_whole_and_nothing_else(built: tuple[Path, Path], source: Path) -> None:
    release.check_content(source, *built)


def test_a_file_that_is_missing_or_foreign_is_found_out(built: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    (copy / "web" / "templates" / "slide.html").unlink()
    with pytest.raises(release.ReleaseFault, match=r"1 files that are no part of the package, such as .*slide\.html"):
        release.check_content(copy, *built)
    (copy / "web" / "templates" / "slide.html").touch()
    (copy / "db" / "new.sql").touch()
    with pytest.raises(release.ReleaseFault, match=r"lacks 1 files, such as smearcount/db/new\.sql"):
        release.check_content(copy, *built)


def test_two_builds_give_the_same_bytes(built: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        again = release.build(source, tmp_path, epoch=1_700_000_000)
    finally:
        os.umask(umask)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in built]


def test_the_wheel_counts_beside_packages_of_the_same_names(environment: Path, tmp_path: Path) -> None:
    python, smearcount = environment / "bin" / "python", environment / "bin" / "smearcount"
    installed = _packages_of(environment)
    with pytest.raises(AssertionError, match="somebody else's package db"):
        run(python, "-c", "import db", folder=tmp_path)

    where = "import smearcount.db, sys; print(smearcount.db.__file__, *(str(finder) for finder in sys.meta_path), sep='\\n')"
    file, *finders = run(python, "-c", where, folder=tmp_path).splitlines()
    assert Path(file) == installed / "smearcount" / "db" / "__init__.py"
    assert not [finder for finder in finders if "editable" in finder.lower()]
    assert (installed / "smearcount" / "py.typed").is_file()
    assert run(smearcount, "--version", folder=tmp_path).split()[-1] == release.version_of(ROOT)

    run(smearcount, "simulate", "exports", "--slides", 2, "--cells", 20, folder=tmp_path)
    run(smearcount, "up", "exports", "--once", folder=tmp_path)

    slides = json.loads(run(smearcount, "slides", "--format", "json", folder=tmp_path))
    assert [(slide["status"], slide["images"]) for slide in slides] == [("complete", 20)] * 2
    counts = json.loads(run(smearcount, "counts", slides[0]["slide"], "--format", "json", folder=tmp_path))
    assert sum(counts["cells"].values()) + counts["unidentified"] == 20


def test_a_clone_in_the_working_folder_is_not_what_runs(environment: Path, tmp_path: Path) -> None:
    # Python puts the working folder first; a namespace package would take db/ from there.
    (tmp_path / "smearcount" / "db").mkdir(parents=True)
    (tmp_path / "smearcount" / "db" / "__init__.py").write_text("raise ImportError\n")
    file = run(environment / "bin" / "python", "-c", "import smearcount.db as db; print(db.__file__)", folder=tmp_path)
    assert Path(file.strip()).is_relative_to(environment)
