"""One version everywhere, one pin per package, and no release of something else than what is committed."""

import os
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import release

ROOT = Path(__file__).parents[3]

CHANGELOG = "# Changes\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n\n### Added\n\n- Everything.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one commit that may be released."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "smearcount"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "A release")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    somebody = {f"GIT_{role}_{what}": "somebody" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, env=os.environ | somebody)


def refusal(project: Path) -> str:
    with pytest.raises(release.ReleaseFault) as caught:
        release.check_ready(project)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_changelog_the_project_and_the_installation_name_one_version() -> None:
    assert release.newest_release((ROOT / "CHANGELOG.md").read_text()) == release.version_of(ROOT)
    assert version("smearcount") == release.version_of(ROOT)


def test_a_commit_whose_changelog_fits_may_be_released(project: Path) -> None:
    assert release.check_ready(project) == "1.2.3"


def test_a_tree_with_changes_is_not_released(project: Path) -> None:
    (project / "new.py").touch()
    assert "1 files are changed or unknown" in refusal(project)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("1.2.3", "1.2.2", "pyproject.toml says 1.2.3, CHANGELOG.md's newest release is 1.2.2"),
        (" - 2026-01-31", "", "no date for 1.2.3"),
        ("## [1.2.3]", "## Newest", "no section of a release"),
        ("[Unreleased]\n", "[Unreleased]\n\n- Something.\n", "still lists changes as unreleased"),
    ],
)
def test_a_changelog_that_does_not_fit_is_refused(project: Path, old: str, new: str, says: str) -> None:
    (project / "CHANGELOG.md").write_text(CHANGELOG.replace(old, new))
    git(project, "commit", "--quiet", "--all", "--message", "Another changelog")
    assert says in refusal(project)


def test_a_version_is_released_once(project: Path) -> None:
    git(project, "tag", "v1.2.3")
    assert "the tag v1.2.3 exists" in refusal(project)


def test_all_requirements_pin_a_package_alike_and_name_no_index() -> None:
    pins: dict[str, set[frozenset[str]]] = {}
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text, file
        assert not re.search(r"^-", text, re.MULTILINE), file
        # The tools that write the bill of materials and the documentation are installed apart from all others.
        if file.stem not in {"audit", "docs"}:
            found: dict[str, set[str]] = {}  # several for one package where Python or platform decide
            for name, pin in re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\]+)", text, re.MULTILINE):
                found.setdefault(name, set()).add(pin)
            for name, versions in found.items():
                pins.setdefault(name, set()).add(frozenset(versions))
    assert len(pins) > 100
    assert {name: sets for name, sets in pins.items() if len(sets) > 1} == {}


def test_a_worker_installs_neither_tensorflow_nor_matplotlib() -> None:
    for name, absent in {
        "base": "tensorflow|keras|matplotlib",
        "gpu": "matplotlib",
        "test": "tensorflow|keras",
    }.items():
        found = re.findall(rf"^(?:{absent})==.*", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
        assert not found, name
