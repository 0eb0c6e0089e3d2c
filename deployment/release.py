"""Builds a release from what is committed, and checks it; `make release` calls it.

    python deployment/release.py ready                     may this commit be released?
    python deployment/release.py build SBOM LICENCES       builds it into dist/ and says what to do next

Two builds of one commit with the same Python give the same bytes: everything is dated by the commit. Nothing is uploaded and
nothing is tagged.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]

#: What a source distribution holds beside the packages: what is needed to build them, and what setuptools adds.
_SDIST_FILES = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}

#: A heading of a release in CHANGELOG.md, as in https://keepachangelog.com: ## [1.2.3] - 2026-01-31
_RELEASE = re.compile(r"^## \[?(?P<version>\d+\.\d+\.\d+)\]?(?: - (?P<date>\d{4}-\d{2}-\d{2}))?\s*$", re.MULTILINE)
_UNRELEASED = re.compile(
    r"^## \[?Unreleased\]?[^\n]*\n(?P<text>.*?)(?=^## |^\[|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)


class ReleaseFault(Exception):
    """This commit cannot be released; the message says why."""


def version_of(root: Path) -> str:
    """Return the version that pyproject.toml names."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return version


def newest_release(changelog: str) -> str:
    """Return the version of the newest release in a changelog.

    Raises:
        ReleaseFault: there is none, or it has no date.
    """
    found = _RELEASE.search(changelog)
    if found is None:
        raise ReleaseFault("CHANGELOG.md has no section of a release, such as: ## [1.2.3] - 2026-01-31")
    if found["date"] is None:
        raise ReleaseFault(f"CHANGELOG.md gives no date for {found['version']}")
    return found["version"]


def check_ready(root: Path) -> str:
    """Check that the commit that is checked out may be released, and return its version.

    Raises:
        ReleaseFault: the working tree has changes, the changelog does not fit, or the tag is taken.
    """
    if changed := _git(root, "status", "--porcelain").splitlines():
        raise ReleaseFault(f"{len(changed)} files are changed or unknown to git; commit them or remove them first")
    version = version_of(root)
    changelog = (root / "CHANGELOG.md").read_text()
    if (newest := newest_release(changelog)) != version:
        raise ReleaseFault(f"pyproject.toml says {version}, CHANGELOG.md's newest release is {newest}")
    unreleased = _UNRELEASED.search(changelog)
    if unreleased is not None and unreleased["text"].strip():
        raise ReleaseFault(f"CHANGELOG.md still lists changes as unreleased; move them to {version}")
    if _git(root, "tag", "--list", f"v{version}").strip():
        raise ReleaseFault(f"the tag v{version} exists; raise the version in pyproject.toml and CHANGELOG.md")
    return version


def build(source: Path, target: Path, epoch: int) -> tuple[Path, Path]:
    """Build the source distribution of a folder and, from it, the wheel; nothing is fetched.

    Args:
        source: the folder to build. setuptools leaves its own files there.
        target: the folder for the two files.
        epoch: the time that all files get, in seconds since 1970.

    Returns:
        The source distribution and the wheel.

    Raises:
        ReleaseFault: setuptools refuses; its output is on standard error.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    with tempfile.TemporaryDirectory() as folder:
        _run([*command, "--sdist", str(source)], environment)
        (sdist,) = target.glob("*.tar.gz")
        _repack(sdist, epoch)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (unpacked,) = Path(folder).iterdir()
        _run([*command, "--wheel", str(unpacked)], environment)
    (wheel,) = target.glob("*.whl")
    return sdist, wheel


def package_files(root: Path) -> dict[str, str]:
    """Return every file in the folders of our packages: its path in the repository, and the one in a wheel."""
    folders = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    return {
        str(file.relative_to(root)): str(PurePosixPath(*package.split("."), file.relative_to(root / folder)))
        for package, folder in folders.items()
        for file in (root / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def check_content(root: Path, sdist: Path, wheel: Path) -> None:
    """Check that both files hold the packages whole and nothing else, and that their metadata is valid.

    Raises:
        ReleaseFault: it is not so.
    """
    version = version_of(root)
    about = f"smearcount-{version}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if not name.startswith(about)}
        metadata = archive.read(f"{about}METADATA")
    files = package_files(root)
    _compare(wheel.name, found, set(files.values()))
    _check_metadata(metadata, version)
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    sources = {name for name in names if name.partition("/")[0] != "smearcount.egg-info"}
    _compare(sdist.name, sources, set(files) | _SDIST_FILES)


def release(root: Path, dist: Path, sbom: Path, licences: Path) -> list[Path]:
    """Build, check and lay out a release of the commit that is checked out.

    Args:
        root: the working tree.
        dist: the folder for the release; what it held is removed.
        sbom: the bill of materials.
        licences: the list of licences.

    Returns:
        The files of the release.

    Raises:
        ReleaseFault: the commit cannot be released, or what was built is wrong.
    """
    version = check_ready(root)
    epoch = int(_git(root, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source"), Path(folder, "made")
        _export(root, source)
        # setuptools writes into the folder that it builds, so the copy that things are compared with is another one.
        untouched = Path(folder, "untouched")
        shutil.copytree(source, untouched)
        made.mkdir()
        sdist, wheel = build(source, made, epoch)
        check_content(untouched, sdist, wheel)
        shutil.copy(sbom, made / f"smearcount-{version}.cdx.json")
        shutil.copy(licences, made / f"smearcount-{version}.licences.md")
        files = sorted(made.iterdir())
        sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
        (made / "SHA256SUMS").write_text(sums)
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(made, dist)
    return sorted(dist.iterdir())


def _export(root: Path, target: Path) -> None:
    """Write the files of the commit that is checked out to a new folder, with the same permissions everywhere."""
    archive = subprocess.run(["git", "-C", str(root), "archive", "HEAD"], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(target, filter="data")


def _repack(sdist: Path, epoch: int) -> None:
    """Write a source distribution anew, sorted, and with no trace of when, where and by whom it was made."""
    content = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old, key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.mode = 0o755 if member.isdir() else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    sdist.write_bytes(gzip.compress(content.getvalue(), mtime=epoch))


def _compare(name: str, found: set[str], wanted: set[str]) -> None:
    if missing := sorted(wanted - found):
        raise ReleaseFault(
            f"{name} lacks {len(missing)} files, such as {missing[0]}; see package-data in pyproject.toml"
        )
    if foreign := sorted(found - wanted):
        raise ReleaseFault(f"{name} holds {len(foreign)} files that are no part of the package, such as {foreign[0]}")


def _check_metadata(content: bytes, version: str) -> None:
    from packaging.metadata import Metadata  # noqa: PLC0415 (`ready` must run without any package)

    try:
        metadata = Metadata.from_email(content, validate=True)
    except ExceptionGroup as group:
        raise ReleaseFault(f"the metadata is invalid: {'; '.join(map(str, group.exceptions))}") from None
    if (metadata.name, str(metadata.version)) != ("smearcount", version):
        raise ReleaseFault(f"the wheel calls itself {metadata.name} {metadata.version}")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ReleaseFault(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _run(command: list[str], environment: dict[str, str]) -> None:
    # A wheel keeps the permissions of its files, and so the umask of whoever builds it.
    done = subprocess.run(command, env=environment, umask=0o022, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise ReleaseFault(f"{' '.join(command[1:4])} ended with code {done.returncode}")


def main() -> int:
    """Check or build the release; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ready", help="check that the commit may be released")
    builder = commands.add_parser("build", help="build the release into dist/")
    builder.add_argument("sbom", type=Path)
    builder.add_argument("licences", type=Path)
    given = parser.parse_args()
    try:
        if given.command == "ready":
            print(f"{check_ready(ROOT)} may be released")
            return 0
        files = release(ROOT, ROOT / "dist", given.sbom, given.licences)
        version, commit = version_of(ROOT), _git(ROOT, "rev-parse", "--short", "HEAD").strip()
    except ReleaseFault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.stat().st_size:>10,}  dist/{file.name}")
    print(f"smearcount {version} of commit {commit} is built and checked. Next:")
    print(f'  git tag --annotate v{version} --message "smearcount {version}" {commit}')
    print(f"  git push origin v{version}")
    print("  hand the files of dist/ on; nothing has been uploaded")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
