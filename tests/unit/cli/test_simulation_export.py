"""Simulated exports: what lies on disk afterwards."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from smearcount.cli.simulation.composition import parse_composition
from smearcount.cli.simulation.errors import SimulationError
from smearcount.cli.simulation.export import ExportSummary, default_truth, write_exports
from smearcount.differential.classes import CellClass
from smearcount.differential.errors import SmearcountError
from smearcount.inbox.ignoring import Ignoring
from smearcount.models.preprocessing import decode_cell


def export(out: Path, **changed: object) -> ExportSummary:
    arguments = {"slides": 2, "cells": 6, "seed": 1, "source": None, "composition": None} | changed
    return write_exports(out, **arguments)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(truth: Path) -> list[dict[str, str]]:
    with truth.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Five distinct stand-ins for images in each class folder, and one that repeats another's bytes."""
    source = tmp_path / "labelled"
    for label in CellClass:
        (source / label).mkdir(parents=True)
        for number in range(5):
            (source / label / f"{label.upper()}_{number}.JPG").write_bytes(f"{label} {number}".encode())
    (source / "ig" / "again.jpg").write_bytes(b"ig 0")
    (source / "ig" / "notes.txt").write_bytes(b"no image")
    return source


def test_every_slide_is_a_folder_of_images_that_can_be_classified(tmp_path: Path) -> None:
    summary = export(tmp_path / "inbox", slides=2, cells=3)
    assert summary == ExportSummary(slides=2, cells=6, truth=tmp_path / "inbox.truth.csv")
    written = contents(tmp_path / "inbox")
    assert list(written) == [f"slide-00{slide}/cell-000{cell}.jpg" for slide in (1, 2) for cell in (1, 2, 3)]
    for data in written.values():
        assert decode_cell(data).shape == (128, 128, 3)
    with Image.open(tmp_path / "inbox/slide-001/cell-0001.jpg") as image:
        assert image.size == (360, 363)


def test_no_two_drawn_images_are_the_same(tmp_path: Path) -> None:
    export(tmp_path / "inbox", slides=3, cells=10, composition={CellClass.PLATELET: 1})
    assert len({hashlib.sha256(data).digest() for data in contents(tmp_path / "inbox").values()}) == 30


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path, tree: Path) -> None:
    for source in (None, tree):
        name = "drawn" if source is None else "copied"
        few = parse_composition("neutrophil=3,ig=2,platelet=1")
        export(tmp_path / name / "a", seed=5, source=source, composition=few)
        export(tmp_path / name / "b", seed=5, source=source, composition=few)
        export(tmp_path / name / "c", seed=6, source=source, composition=few)
        a, b, c = (contents(tmp_path / name / letter) for letter in "abc")
        assert a == b
        assert a != c
        truths = [(tmp_path / name / f"{letter}.truth.csv").read_bytes() for letter in "abc"]
        assert truths[0] == truths[1] != truths[2]


def test_a_slide_does_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    export(tmp_path / "one", slides=1)
    export(tmp_path / "two", slides=2)
    two = contents(tmp_path / "two")
    assert contents(tmp_path / "one").items() <= two.items()
    assert len(two) == 12


def test_the_truth_tells_the_class_of_every_copied_file(tmp_path: Path, tree: Path) -> None:
    summary = export(tmp_path / "inbox", slides=3, cells=8, source=tree, composition=dict.fromkeys(CellClass, 1.0))
    told = rows(summary.truth)
    assert list(told[0]) == ["slide", "file", "class", "source"]
    assert {f"{row['slide']}/{row['file']}" for row in told} == set(contents(tmp_path / "inbox"))
    for row in told:
        copied = (tmp_path / "inbox" / row["slide"] / row["file"]).read_bytes()
        assert copied == (tree / row["class"] / row["source"]).read_bytes()
        assert row["class"] not in row["file"]
        assert Path(row["file"]).suffix == ".jpg"


def test_the_truth_of_drawn_cells_follows_the_composition(tmp_path: Path) -> None:
    summary = export(tmp_path / "inbox", composition=parse_composition("erythroblast=1,lymphocyte=2"))
    told = rows(summary.truth)
    assert list(told[0]) == ["slide", "file", "class"]
    for slide in ("slide-001", "slide-002"):
        assert Counter(row["class"] for row in told if row["slide"] == slide) == {"erythroblast": 2, "lymphocyte": 4}


def test_no_image_is_repeated_on_a_slide_and_each_has_its_turn(tmp_path: Path, tree: Path) -> None:
    summary = export(tmp_path / "inbox", slides=5, cells=4, source=tree, composition={CellClass.IG: 1})
    told = rows(summary.truth)
    for number in range(1, 6):
        on_slide = [row["source"] for row in told if row["slide"] == f"slide-00{number}"]
        assert len(set(on_slide)) == 4
    # 20 cells from 5 distinct images: the pool is dealt out four times over, the repeated bytes counting once.
    times = Counter(row["source"] for row in told)
    assert set(times.values()) == {4}
    assert not {"IG_0.JPG", "again.jpg"} <= set(times)


def test_a_slide_that_needs_more_images_than_there_are_is_refused(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(SimulationError, match=r"needs 6 ig cells but .*ig holds 5 distinct images"):
        export(tmp_path / "inbox", cells=6, source=tree, composition={CellClass.IG: 1})
    assert not (tmp_path / "inbox").exists()


@pytest.mark.parametrize("kind", ["missing", "without classes"])
def test_a_source_that_is_no_tree_of_classes_is_refused(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind != "missing":
        (source / "somewhere").mkdir(parents=True)
    with pytest.raises(SmearcountError, match="source"):
        export(tmp_path / "inbox", source=source)
    assert not (tmp_path / "inbox").exists()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"slides": 0}, "0 slides"),
        ({"cells": 0}, "0 cells"),
        ({"cells": -4}, "-4 cells"),
        ({"seed": -1}, "seed is -1"),
        ({"composition": {CellClass.IG: -1.0}}, "share of ig is -1"),
        ({"composition": {}}, "no share above 0"),
    ],
)
def test_numbers_that_make_no_export_are_refused(tmp_path: Path, changed: dict[str, object], complaint: str) -> None:
    with pytest.raises(SimulationError, match=complaint):
        export(tmp_path / "inbox", **changed)
    assert not (tmp_path / "inbox").exists()


def test_a_slide_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "inbox/slide-002/cell-0001.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(SimulationError, match="slide-002 exists already"):
        export(tmp_path / "inbox")
    assert contents(tmp_path) == {"inbox/slide-002/cell-0001.jpg": b"mine"}


def test_a_truth_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "inbox.truth.csv").write_text("mine")
    with pytest.raises(SimulationError, match=r"inbox\.truth\.csv exists already"):
        export(tmp_path / "inbox")
    assert contents(tmp_path) == {"inbox.truth.csv": b"mine"}


def test_empty_slide_folders_and_other_files_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "inbox/slide-001").mkdir(parents=True)
    (tmp_path / "inbox/readme.txt").write_text("mine")
    export(tmp_path / "inbox", slides=1, cells=1)
    assert set(contents(tmp_path / "inbox")) == {"slide-001/cell-0001.jpg", "readme.txt"}


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("mine")
    with pytest.raises(SimulationError, match="is a file"):
        export(tmp_path / "inbox")


def test_stopped_half_way_it_leaves_whole_images_and_the_truth_about_them(tmp_path: Path) -> None:
    def stop(written: int) -> None:
        if written == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "inbox", slides=1, cells=9, progress=stop)
    written = contents(tmp_path / "inbox")
    assert list(written) == [f"slide-001/cell-000{cell}.jpg" for cell in range(1, 5)]
    for data in written.values():
        decode_cell(data)
    assert [f"{row['slide']}/{row['file']}" for row in rows(tmp_path / "inbox.truth.csv")] == list(written)


def test_an_image_appears_only_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sights: list[tuple[str, bytes, bool]] = []
    rename = Path.replace

    def watched(part: Path, target: Path) -> Path:
        assert Ignoring().ignores(part.name), "watchers do not take it for an image"
        assert part.parent == target.parent
        sights.append((target.name, part.read_bytes(), target.exists()))
        return rename(part, target)

    monkeypatch.setattr(Path, "replace", watched)
    export(tmp_path / "inbox", slides=1, cells=2)
    assert [name for name, _, _ in sights] == ["cell-0001.jpg", "cell-0002.jpg", "inbox.truth.csv"]
    assert not any(existed for _, _, existed in sights)
    assert [data for _, data, _ in sights[:2]] == list(contents(tmp_path / "inbox").values())


def test_a_write_that_fails_leaves_no_part_behind_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_part: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SimulationError, match="No space left on device"):
        export(tmp_path / "inbox")
    assert contents(tmp_path) == {}


def test_progress_counts_the_images_written(tmp_path: Path) -> None:
    seen: list[int] = []
    export(tmp_path / "inbox", slides=2, cells=2, progress=seen.append)
    assert seen == [1, 2, 3, 4]


def test_the_truth_can_be_written_elsewhere(tmp_path: Path) -> None:
    summary = export(tmp_path / "inbox", slides=1, cells=1, truth=tmp_path / "answers/key.csv")
    assert summary.truth == tmp_path / "answers/key.csv"
    assert len(rows(summary.truth)) == 1
    assert not (tmp_path / "inbox.truth.csv").exists()


def test_the_truth_lies_beside_the_export_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inbox/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "inbox/deep")
    assert default_truth(Path("here")) == Path("here.truth.csv")
    assert default_truth(Path()) == tmp_path / "inbox/deep.truth.csv"
    assert default_truth(Path("..")) == tmp_path / "inbox.truth.csv"
    with pytest.raises(SimulationError):
        default_truth(Path("/"))
