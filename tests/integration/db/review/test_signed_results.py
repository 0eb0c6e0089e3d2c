"""A sign-off agrees with a result that was seen, and keeps it; nothing but a person or new content ends it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, results, retry
from smearcount.db.ingest.retry import Reopening, Retried
from smearcount.db.queries.counts import slide_tally
from smearcount.db.queries.slides import BothReports, SlideFilter, SlideSummary, slide, slide_page
from smearcount.db.records import Refusal, Refused
from smearcount.db.review.errors import ResultChanged, ReviewRefused, SignatureHindered
from smearcount.db.review.result import Seen, slide_result
from smearcount.db.review.sign_off import SlideEvent, comment, reopen, slide_events
from smearcount.db.schema import SlideEventKind
from smearcount.db.signing import signing
from smearcount.differential.classes import CellClass
from smearcount.differential.report import report
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import ObstacleCode, Policy, SigningRules, SignOffSettings
from smearcount.differential.signing.snapshot import SignedResult
from smearcount.differential.status import Status
from smearcount.differential.tally import Calls

from support.backing import unguarded
from support.journalling import MODEL, begin, classified, count_cells, seen, take
from support.reviewing import IG, MONOCYTE, RULES, UNIDENTIFIED, Bench, sign

BAD = Refusal("damaged", "truncated")
#: The defaults of a site that has set nothing.
STRICT = SigningRules(counts=RULES.counts, policy=SignOffSettings(), version="0.0.0")


@pytest.fixture
def bench(database: Database) -> Bench:
    """A laboratory with one complete slide of three neutrophils and a cell that the model was not sure of."""
    made = Bench(database)
    made.fill("S", [CellClass.NEUTROPHIL] * 3 + [None])
    made.complete()
    return made


@pytest.fixture
def slide_id(bench: Bench) -> int:
    return bench.slide_id("S")


def ids_of(bench: Bench) -> list[int]:
    with bench.database.reading() as connection:
        return list(connection.execute(text("SELECT id FROM images ORDER BY id")).scalars())


def now(bench: Bench) -> SlideSummary:
    return slide(bench.database, bench.slide_id("S"))


def seen_now(bench: Bench) -> str:
    return now(bench).digest(RULES.counts)


def sign_what_was_seen(bench: Bench, token: str, rules: SigningRules = RULES) -> SlideEvent:
    return signing.sign(bench.database, bench.slide_id("S"), reviewer="Ada", rules=rules, seen=token)


def quarantine(bench: Bench, path: str) -> None:
    journal.record(bench.database, bench.inbox, [seen(path)])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [Refused(item.image_id, BAD)])


def test_an_image_that_came_after_the_page_was_loaded_is_not_signed(bench: Bench, slide_id: int) -> None:
    token = seen_now(bench)
    ids = count_cells(bench.database, bench.inbox, [("S/late.jpg", "late", CellClass.IG, True)])
    bench.complete()

    with pytest.raises(ResultChanged, match="1 image added; nothing was signed") as raised:
        sign_what_was_seen(bench, token)

    images = raised.value.change.images
    assert (images.added, images.gone, images.gone_ids, images.others) == ((ids["S/late.jpg"],), 0, (), 0)
    assert raised.value.change.reviews == ()
    assert slide_events(bench.database, slide_id) == []
    assert sign_what_was_seen(bench, seen_now(bench)).counted == 5


def test_an_image_that_was_overwritten_is_gone_and_another_one_came(bench: Bench) -> None:
    first, *_ = ids_of(bench)
    token = seen_now(bench)
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2)])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, "other")])
    bench.complete()

    with pytest.raises(ResultChanged, match="1 image added, 1 image gone") as raised:
        sign_what_was_seen(bench, token)
    images = raised.value.change.images
    assert (images.added, images.gone, images.gone_ids) == ((item.image_id,), 1, (first,))


def test_a_file_that_is_not_counted_is_part_of_what_is_seen(bench: Bench) -> None:
    token = seen_now(bench)
    quarantine(bench, "S/broken.jpg")
    bench.complete()

    with pytest.raises(ResultChanged, match="1 file came that is not counted") as raised:
        sign_what_was_seen(bench, token)
    assert raised.value.change.images.others == 1


def test_calls_by_others_are_named(bench: Bench) -> None:
    first, second, *_ = ids_of(bench)
    token = seen_now(bench)
    bench.call(MONOCYTE, first, reviewer="Ben")
    (last,) = bench.call(IG, second, reviewer="Cleo")

    with pytest.raises(ResultChanged, match="2 calls changed by Ben, Cleo") as raised:
        sign_what_was_seen(bench, token)

    assert [conflict.image_id for conflict in raised.value.change.reviews] == [first, second]
    assert raised.value.change.reviews[1].reviews == (last,)


def test_another_models_call_is_another_result(bench: Bench) -> None:
    first, *_ = ids_of(bench)
    token = seen_now(bench)
    with bench.database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO models (name, version, sha256, preprocessing, threshold) "
                "VALUES ('test-cnn', '2.0', 'b', 'crop128-v1', 0.5)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO classifications (image_id, model_id, cell_class, confidence, probabilities, identified, worker,"
                " classified_at) SELECT image_id, (SELECT max(id) FROM models), cell_class, confidence, probabilities,"
                " identified, worker, classified_at FROM classifications WHERE image_id = :image"
            ),
            {"image": first},
        )

    with pytest.raises(ResultChanged, match="1 image called by another model") as raised:
        sign_what_was_seen(bench, token)
    assert raised.value.change.images.called_anew == (first,)


def test_other_reference_ranges_are_another_result(bench: Bench) -> None:
    token = seen_now(bench)
    others = SigningRules(counts=CountSettings(minimum_wbc=2), policy=RULES.policy, version="0.0.0")

    with pytest.raises(ResultChanged, match="the site's settings of the differential were changed") as raised:
        sign_what_was_seen(bench, token, others)
    assert not raised.value.change.is_in_the_images


def test_what_comes_to_the_same_result_is_signed(bench: Bench) -> None:
    """A call that was taken back, and a file that failed again, leave what was seen as it was."""
    first, *_ = ids_of(bench)
    quarantine(bench, "S/broken.jpg")
    bench.complete()
    token = seen_now(bench)
    bench.call(MONOCYTE, first)
    bench.call(None, first)
    retry.retry(bench.database)
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [Refused(item.image_id, BAD)])
    bench.complete()

    assert seen_now(bench).partition(".")[0] == token.partition(".")[0]
    assert sign_what_was_seen(bench, token).kind is SlideEventKind.SIGN_OFF


@pytest.mark.parametrize("numbers", ["0.0.0.1", "9.9.9.9", "999999999999999999.0.0.999999999999999999"])
def test_only_the_digest_decides(bench: Bench, numbers: str) -> None:
    digest = seen_now(bench).partition(".")[0]
    with pytest.raises(ResultChanged):
        sign_what_was_seen(bench, f"{'0' * 64}.{numbers}")
    assert sign_what_was_seen(bench, f"{digest}.{numbers}").digest == digest


def test_the_digest_takes_one_query(bench: Bench, slide_id: int) -> None:
    with bench.database.reading() as connection:
        made: list[str] = []
        sql_event.listen(connection, "before_cursor_execute", lambda *given: made.append(given[2]))
        result = slide_result(connection, slide_id)
    assert len(made) == 1
    token = result.token(RULES.counts)
    assert Seen.of(token).counted == 4
    (listed,) = slide_page(bench.database, SlideFilter()).slides
    assert listed.result is None, "lists do not read every image"


def test_what_was_signed_is_kept_whole(bench: Bench, slide_id: int) -> None:
    first, *_ = ids_of(bench)
    (review,) = bench.call(IG, first)

    event = sign(bench.database, slide_id, reviewer="Ada", comment="fine")

    assert event.snapshot is not None
    assert slide_events(bench.database, slide_id) == [event]
    signed = SignedResult.of(event.snapshot)
    assert signed.automatic == report(slide_tally(bench.database, "S", calls=Calls.AUTOMATIC), RULES.counts)
    assert signed.reviewed == report(slide_tally(bench.database, "S", calls=Calls.REVIEWED), RULES.counts)
    assert (signed.reviewed_cells, signed.version, signed.models) == (1, "0.0.0", (MODEL,))
    assert signed.settings == json.loads(RULES.counts.model_dump_json())
    assert (event.last_review_id, event.counted) == (review.id, 4)
    assert now(bench).signed == signed


def test_other_settings_do_not_change_what_was_signed(bench: Bench, slide_id: int) -> None:
    before = now(bench).reports(RULES.counts)
    others = CountSettings(reference_ranges={CellClass.NEUTROPHIL: (1, 2)}, minimum_wbc=1, nrbc_correction_at=1.0)
    assert now(bench).reports(others) != before
    sign(bench.database, slide_id, reviewer="Ada")

    # Once signed, it asks for no person.
    assert before.reviewed.review_reasons
    quiet = BothReports(replace(before.automatic, review_reasons=()), replace(before.reviewed, review_reasons=()))
    assert now(bench).reports(others) == quiet
    assert now(bench).flags(others) == before.reviewed.flags
    (listed,) = slide_page(bench.database, SlideFilter(status=Status.SIGNED)).slides
    assert listed.flags(others) == before.reviewed.flags

    reopen(bench.database, slide_id, reviewer="Ada", reason="other ranges")
    assert now(bench).reports(others) != before


def test_a_signature_of_an_earlier_version_is_counted_as_before(bench: Bench, slide_id: int) -> None:
    sign(bench.database, slide_id, reviewer="Ada")
    with unguarded(bench.database) as connection:
        connection.execute(
            text("UPDATE slide_events SET digest = NULL, snapshot = NULL, acknowledged = NULL, last_image_id = NULL")
        )

    (event,) = slide_events(bench.database, slide_id)
    assert (event.digest, event.snapshot, event.acknowledged, event.ended) == (None, None, (), None)
    assert (now(bench).status, now(bench).signed) == (Status.SIGNED, None)
    assert now(bench).reports(RULES.counts).automatic == report(slide_tally(bench.database, "S"), RULES.counts)

    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])
    (event,) = slide_events(bench.database, slide_id)
    assert event.ended is not None
    assert (event.ended.came, event.ended.changed) == (1, 0)


def test_what_stands_in_the_way_is_acknowledged_by_name_and_kept(bench: Bench, slide_id: int) -> None:
    quarantine(bench, "S/broken.jpg")
    bench.complete()
    found = now(bench).obstacles(STRICT)
    assert [(one.code, one.policy) for one in found] == [
        (ObstacleCode.UNIDENTIFIED, Policy.ACKNOWLEDGE),
        (ObstacleCode.FEW_WBC, Policy.ACKNOWLEDGE),
        (ObstacleCode.QUARANTINED, Policy.ACKNOWLEDGE),
    ]

    def sign_knowing(*codes: ObstacleCode) -> SlideEvent:
        return signing.sign(
            bench.database, slide_id, reviewer="Ada", rules=STRICT, seen=seen_now(bench), acknowledged=codes
        )

    with pytest.raises(SignatureHindered, match=r"acknowledge it \(quarantined\)") as raised:
        sign_knowing(ObstacleCode.UNIDENTIFIED, ObstacleCode.FEW_WBC)
    assert raised.value.obstacles == found
    assert slide_events(bench.database, slide_id) == []

    event = sign_knowing(*ObstacleCode)
    assert event.acknowledged == tuple({"code": one.code.value, "message": one.message} for one in found)
    assert slide_events(bench.database, slide_id) == [event]
    assert now(bench).obstacles(STRICT) == ()


@pytest.mark.parametrize("code", list(ObstacleCode))
def test_what_the_site_refuses_is_not_signed_by_acknowledging_it(
    bench: Bench, slide_id: int, code: ObstacleCode
) -> None:
    quarantine(bench, "S/broken.jpg")
    # Hardly any blood has most of its cells in this class, so the images must be unlike those that the model knows.
    rare = [(f"S/rare-{number}.jpg", f"rare {number}", CellClass.EOSINOPHIL, True) for number in range(20)]
    count_cells(bench.database, bench.inbox, rare)
    bench.complete()
    name = f"sign_off_{code.value.replace('-', '_')}"
    refusing = SignOffSettings(**{**RULES.policy.model_dump(), name: Policy.REFUSED})
    rules = SigningRules(counts=RULES.counts, policy=refusing, version="0.0.0")

    with pytest.raises(SignatureHindered, match="this site signs no such slide"):
        signing.sign(
            bench.database, slide_id, reviewer="Ada", rules=rules, seen=seen_now(bench), acknowledged=list(ObstacleCode)
        )
    assert slide_events(bench.database, slide_id) == []


def test_a_cell_that_a_person_took_out_of_the_count_stands_in_nobodys_way(bench: Bench) -> None:
    *_, unsure = ids_of(bench)
    codes = [one.code for one in now(bench).obstacles(STRICT)]
    assert codes == [ObstacleCode.UNIDENTIFIED, ObstacleCode.FEW_WBC]
    bench.call(UNIDENTIFIED, unsure)
    assert [one.code for one in now(bench).obstacles(STRICT)] == [ObstacleCode.FEW_WBC]
    bench.call(None, unsure)
    assert [one.code for one in now(bench).obstacles(STRICT)] == codes


def test_another_try_leaves_signed_slides_alone_and_says_how_many(bench: Bench, slide_id: int) -> None:
    bench.fill("T", [CellClass.IG])
    for path in ("S/broken.jpg", "S/torn.jpg", "T/broken.jpg"):
        quarantine(bench, path)
    bench.complete()
    sign(bench.database, slide_id, reviewer="Ada")

    assert retry.retry(bench.database) == Retried(images=1, skipped_slides=1, skipped_images=2)
    assert retry.retry(bench.database, slide_id=slide_id) == Retried(images=0, skipped_slides=1, skipped_images=2)

    assert (now(bench).status, now(bench).signed_by) == (Status.SIGNED, "Ada")
    assert slide_tally(bench.database, "S").quarantined == 2
    assert slide_tally(bench.database, "T").pending == 1


def test_a_person_reopens_signed_slides_for_another_try_and_says_why(bench: Bench, slide_id: int) -> None:
    quarantine(bench, "S/broken.jpg")
    bench.complete()
    sign(bench.database, slide_id, reviewer="Ada")
    with pytest.raises(ReviewRefused, match="say why"):
        retry.retry(bench.database, reopening=Reopening("Ben", " "))
    with pytest.raises(ReviewRefused, match="name"):
        retry.retry(bench.database, reopening=Reopening("", "why"))
    assert now(bench).status is Status.SIGNED

    done = retry.retry(bench.database, reopening=Reopening(" Ben ", "the share was not readable"))

    assert done == Retried(images=1, reopened_slides=1)
    assert (now(bench).status, now(bench).changed_since_signed) == (Status.COUNTING, False)
    *_, last = slide_events(bench.database, slide_id)
    assert (last.kind, last.reviewer, last.text) == (SlideEventKind.REOPEN, "Ben", "the share was not readable")


def test_a_slide_that_was_completed_meanwhile_keeps_its_completion(bench: Bench, slide_id: int) -> None:
    """Two watchers look at the same moment; between the look and the write of one, a person signs what the other completed."""
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, "late")])

    def meanwhile() -> tuple[str, ...]:
        bench.complete()
        sign(bench.database, slide_id, reviewer="Ada")
        return ()

    assert completion.complete_slides(bench.database, bench.inbox, quiet=timedelta(0), arriving=meanwhile) == []
    assert (now(bench).status, now(bench).signed_by) == (Status.SIGNED, "Ada")


def test_the_history_says_what_came_and_ended_a_signature(bench: Bench, slide_id: int) -> None:
    sign(bench.database, slide_id, reviewer="Ada")
    comment(bench.database, slide_id, reviewer="Ben", text="seen")
    assert [event.ended for event in slide_events(bench.database, slide_id)] == [None, None]

    journal.record(bench.database, bench.inbox, [seen("S/late-1.jpg"), seen("S/late-2.jpg")])
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2), seen("S/1.jpg", mtime_ns=2, slide="T")])
    journal.record(bench.database, bench.inbox, [seen("S/late-1.jpg", mtime_ns=2)])

    ended = slide_events(bench.database, slide_id)[0].ended
    assert ended is not None
    assert (ended.came, ended.changed, ended.gone) == (2, 1, 1)

    for item in begin(bench.database, take(bench.database, bench.inbox)):
        results.store(bench.database, MODEL, "bench", [classified(item.image_id, item.path)])
    bench.complete()
    sign(bench.database, slide_id, reviewer="Ben")
    history = slide_events(bench.database, slide_id)
    assert [(event.kind, event.ended) for event in history] == [
        (SlideEventKind.SIGN_OFF, ended), (SlideEventKind.COMMENT, None), (SlideEventKind.SIGN_OFF, None),
    ]  # fmt: skip

    # What comes now ended Ben's signature, not Ada's.
    journal.record(bench.database, bench.inbox, [seen("S/very-late.jpg")])
    history = slide_events(bench.database, slide_id)
    assert history[0].ended == ended
    assert history[-1].ended is not None
    assert (history[-1].ended.came, history[-1].ended.changed, history[-1].ended.gone) == (1, 0, 0)


def test_a_signature_that_a_person_took_back_was_not_ended_by_files(bench: Bench, slide_id: int) -> None:
    sign(bench.database, slide_id, reviewer="Ada")
    reopen(bench.database, slide_id, reviewer="Ada", reason="look again")
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])

    assert [event.ended for event in slide_events(bench.database, slide_id)] == [None, None]


def test_an_image_that_another_slide_took_before_the_signature_did_not_end_it(bench: Bench, slide_id: int) -> None:
    bench.fill("T", [CellClass.IG])
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2, slide="T")])
    bench.complete()
    sign(bench.database, slide_id, reviewer="Ada")
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])

    ended = slide_events(bench.database, slide_id)[0].ended
    assert ended is not None
    assert (ended.came, ended.changed, ended.gone) == (1, 0, 0)
