"""What the review rules look at, counted by the database: unlikeness, the analyzer's labels, what people did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, results
from smearcount.db.queries import counts
from smearcount.db.review.sign_off import reopen
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.review_rules import review_reasons
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import Policy, SigningRules, SignOffSettings, obstacles
from smearcount.differential.tally import Calls, ReviewFacts

from support.journalling import MODEL, begin, classified, seen, take
from support.reviewing import IG, MONOCYTE, NEUTROPHIL, UNIDENTIFIED, Bench, sign

# Given in full: the environment of whoever runs the tests has no say.
RULES = CountSettings(
    minimum_wbc=3, review_few_wbc=3, review_nrbc=1, review_ig=2.0, review_added_class=1, review_unidentified=10.0,
    review_unlikeness=1.25, review_disagreement=25.0,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell as the model and the analyzer called it; the model is not sure where it has no class."""

    cell_class: CellClass | None = CellClass.NEUTROPHIL
    label: str | None = None
    ood_score: float | None = None
    #: Colour distance and sharpness.
    look: tuple[float | None, float | None] = (None, None)


def fill(bench: Bench, slide: str, cells: Sequence[Cell]) -> list[int]:
    """Store the cells, complete the slide, and return their ids."""
    by_path = {f"{slide}/{number}.jpg": cell for number, cell in enumerate(cells)}
    journal.record(bench.database, bench.inbox, [seen(path, label=cell.label) for path, cell in by_path.items()])
    ids: dict[str, int] = {}
    for item in begin(bench.database, take(bench.database, bench.inbox)):
        cell = by_path[item.path]
        result = classified(
            item.image_id,
            item.path,
            cell.cell_class or CellClass.LYMPHOCYTE,
            identified=cell.cell_class is not None,
        )
        results.store(
            bench.database,
            MODEL,
            "bench",
            [replace(result, ood_score=cell.ood_score, colour_distance=cell.look[0], sharpness=cell.look[1])],
        )
        ids[item.path] = item.image_id
    completion.complete_slides(bench.database, bench.inbox, quiet=timedelta(0))
    return [ids[path] for path in by_path]


def facts(bench: Bench, slide: str, calls: Calls = Calls.REVIEWED) -> ReviewFacts:
    return counts.slide_tally(bench.database, slide, calls=calls).review_facts


def reasons(bench: Bench, slide: str, calls: Calls = Calls.REVIEWED) -> list[str]:
    return [reason.code for reason in review_reasons(counts.slide_tally(bench.database, slide, calls=calls), RULES)]


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([0.0], 0.0),
        ([1.004], 1.004),
        ([1.25, 0.9, 1.3], 1.25),
        ([1.0, 1.2], 1.1),
        ([None, 1.6, None], 1.6),
        ([1e300, 1e300, 2.0], 1000.0),
    ],
    ids=str,
)
def test_the_median_unlikeness_of_a_slide(bench: Bench, scores: list[float | None], expected: float | None) -> None:
    classes = (*CellClass, None)
    fill(bench, "S", [Cell(classes[-at % 9], ood_score=score) for at, score in enumerate(scores)] or [Cell()])
    fill(bench, "other", [Cell(ood_score=9.0)])

    assert facts(bench, "S").unlikeness == facts(bench, "S", Calls.AUTOMATIC).unlikeness == expected


def test_cells_in_another_class_than_the_analyzers_disagree(bench: Bench) -> None:
    ids = fill(
        bench,
        "S",
        [
            Cell(CellClass.NEUTROPHIL, "SNE"),
            Cell(CellClass.NEUTROPHIL, "Band neutrophils"),
            Cell(CellClass.IG, "BNE"),
            Cell(CellClass.IG, "Lymphocytes"),
            # In no class, or not known what the analyzer means, or no label at all: no disagreement.
            Cell(None, "MO"),
            Cell(CellClass.LYMPHOCYTE, "BL"),
            Cell(CellClass.LYMPHOCYTE, "嗜中性"),
            Cell(CellClass.LYMPHOCYTE),
        ],
    )
    found = facts(bench, "S")
    assert (found.labelled, found.disagreeing) == (5, 2)
    assert "disagreement" in reasons(bench, "S")

    bench.call(NEUTROPHIL, ids[2])
    assert (facts(bench, "S").labelled, facts(bench, "S").disagreeing) == (5, 1)
    # Also a person who agrees with the model has decided it.
    bench.call(IG, ids[3])
    assert facts(bench, "S").disagreeing == 0
    assert "disagreement" not in reasons(bench, "S")
    assert facts(bench, "S", Calls.AUTOMATIC).disagreeing == 2
    assert "disagreement" in reasons(bench, "S", Calls.AUTOMATIC)

    bench.call(None, ids[2])
    assert facts(bench, "S").disagreeing == 1


def test_unidentified_cells_ask_until_a_person_has_looked_at_all_of_them(bench: Bench) -> None:
    ids = fill(bench, "S", [Cell()] * 4 + [Cell(None)] * 2)
    assert reasons(bench, "S") == ["unidentified"]

    bench.call(UNIDENTIFIED, ids[4])
    assert facts(bench, "S").called_unidentified == 1
    assert reasons(bench, "S") == ["unidentified"]
    bench.call(UNIDENTIFIED, ids[5])
    assert reasons(bench, "S") == []
    # A person's own doubt waits for nobody either.
    bench.call(UNIDENTIFIED, ids[0])
    tally = counts.slide_tally(bench.database, "S", calls=Calls.REVIEWED)
    assert (tally.unidentified, tally.review_facts.called_unidentified) == (3, 3)
    assert reasons(bench, "S", Calls.AUTOMATIC) == ["unidentified"]


def test_a_class_that_people_alone_found_asks_for_another_person(bench: Bench) -> None:
    ids = fill(bench, "S", [Cell(), Cell(), Cell(), Cell(CellClass.IG)])
    bench.call(IG, ids[0])
    assert facts(bench, "S").added == {}

    bench.call(MONOCYTE, ids[1])
    assert facts(bench, "S").added == {CellClass.MONOCYTE: 1}
    assert "added-class" in reasons(bench, "S")
    assert "added-class" not in reasons(bench, "S", Calls.AUTOMATIC)
    bench.call(None, ids[1])
    assert facts(bench, "S").added == {}


def test_the_nrbc_and_ig_that_a_person_took_back_ask_for_nobody(bench: Bench) -> None:
    ids = fill(bench, "S", [Cell()] * 4 + [Cell(CellClass.ERYTHROBLAST)] + [Cell(CellClass.IG)] * 3)
    assert reasons(bench, "S") == ["nrbc", "ig"]

    bench.call(ReviewClass.LYMPHOCYTE, ids[4])
    bench.call(NEUTROPHIL, *ids[5:])
    assert reasons(bench, "S") == ["added-class"]
    assert reasons(bench, "S", Calls.AUTOMATIC) == ["nrbc", "ig"]


def test_a_signed_slide_asks_for_nobody_until_it_is_reopened(bench: Bench) -> None:
    fill(bench, "S", [Cell(None)] * 3)
    fill(bench, "T", [Cell(None)] * 3)
    slide_id = bench.slide_id("S")
    assert reasons(bench, "S") == ["few-wbc", "unidentified"]

    sign(bench.database, slide_id, reviewer="Ada")
    assert facts(bench, "S").is_signed
    assert reasons(bench, "S") == reasons(bench, "S", Calls.AUTOMATIC) == []
    assert reasons(bench, "T") == ["few-wbc", "unidentified"]
    reopen(bench.database, slide_id, reviewer="Ada", reason="a second look")
    assert reasons(bench, "S") == ["few-wbc", "unidentified"]


def test_only_the_newest_models_calls_are_looked_at(bench: Bench) -> None:
    (image_id, _) = fill(bench, "S", [Cell(CellClass.IG, "NEU", 3.0), Cell(CellClass.NEUTROPHIL, "NEU", 1.0)])
    assert (facts(bench, "S").disagreeing, facts(bench, "S").unlikeness) == (1, 2.0)

    with bench.database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO models (name, version, sha256, preprocessing, threshold)"
                " SELECT name, '2.0', 'newer', preprocessing, threshold FROM models"
            )
        )
        connection.execute(
            text(
                "INSERT INTO classifications (image_id, model_id, cell_class, confidence, probabilities, identified,"
                " unlikeness, worker, classified_at) SELECT image_id, (SELECT MAX(id) FROM models), 'neutrophil', 0.9,"
                " probabilities, identified, 1.2, worker, classified_at FROM classifications WHERE image_id = :image"
            ),
            {"image": image_id},
        )
    found = facts(bench, "S")
    assert (found.labelled, found.disagreeing, found.unlikeness) == (2, 0, 1.1)


def test_labels_are_looked_at_wherever_they_stand(bench: Bench) -> None:
    odd = Cell(CellClass.IG, "LY")
    fill(bench, "first", [odd, Cell(), Cell()])
    fill(bench, "last", [Cell(), Cell(), odd])
    (_, between, _) = fill(bench, "between", [Cell(), odd, Cell()])
    assert [facts(bench, name).disagreeing for name in ("first", "last", "between")] == [1, 1, 1]

    bench.call(NEUTROPHIL, between)
    assert facts(bench, "between").disagreeing == 0


def test_the_look_of_a_slide_is_the_mean_over_the_cells_that_have_one(bench: Bench) -> None:
    looks = [(1.0, 1.2), (3.0, 0.8), (None, None)]
    classes = [CellClass.NEUTROPHIL, CellClass.BASOPHIL, None]
    fill(bench, "S", [Cell(one, look=look) for one, look in zip(classes, looks, strict=True)])
    fill(bench, "labelled", [Cell(label=label, look=(2.0, 0.5)) for label in ("SNE", None)])
    fill(bench, "earlier", [Cell()])
    found = facts(bench, "S")
    assert (found.colour_distance, found.sharpness) == (2.0, 1.0)
    assert (facts(bench, "labelled").colour_distance, facts(bench, "labelled").sharpness) == (2.0, 0.5)
    assert (facts(bench, "earlier").colour_distance, facts(bench, "earlier").sharpness) == (None, None)


def test_an_unlike_slide_is_flagged_and_its_signature_asks(bench: Bench) -> None:
    fill(bench, "S", [Cell(look=(9.0, 1.0))] * 20)
    tally = counts.slide_tally(bench.database, "S", calls=Calls.AUTOMATIC)
    assert "unlike-images" in [flag.code for flag in slide_flags(tally, RULES)]
    strict = SigningRules(counts=RULES, policy=SignOffSettings(sign_off_unlike_images=Policy.REFUSED), version="0")
    (found,) = obstacles(tally, 0, strict)
    assert found.policy is Policy.REFUSED
