"""Some of the mutated images of `make fuzz`, and whether it notices crashes, hangs and memory."""

import random
from pathlib import Path

import pytest

from smearcount.models.preprocessing import decode_cell

from fuzzing.faulty_decoders import crash_on_the_tenth, hang_on_some, raise_on_some, swell
from fuzzing.mutations import mutated
from fuzzing.originals import originals
from fuzzing.sandbox import MEGABYTES, SECONDS, Decode, Outcome, fuzz

pytestmark = pytest.mark.slow


def _fuzzed(decode: Decode, scratch: Path, *, images: int, **limits: float) -> Outcome:
    (*_, outcome) = fuzz(decode, images=images, seed=7, scratch=scratch, **limits)
    return outcome


def test_no_spoiled_image_crashes_hangs_or_swells_the_decoder(tmp_path: Path) -> None:
    outcome = _fuzzed(decode_cell, tmp_path, images=4_000)

    assert outcome.findings == []
    assert outcome.images == outcome.ends.total() == 4_000
    # Both outcomes are frequent, so the mutations reach deep into the decoder.
    assert outcome.ends["decoded"] > 200
    assert len(outcome.ends) > 5
    assert outcome.slowest_seconds < SECONDS
    assert outcome.peak_megabytes < MEGABYTES


def test_the_same_seed_spoils_in_the_same_way() -> None:
    files = originals()

    assert [mutated(random.Random(1), files) for _ in range(3)] == [mutated(random.Random(1), originals())] * 3
    assert mutated(random.Random(1), files) != mutated(random.Random(2), files)


def test_the_memory_of_whoever_asks_is_not_the_decoders(tmp_path: Path) -> None:
    """Getrusage says that a new process had its parent's peak memory; `peak_bytes` must not."""
    bytearray(700 * 1024 * 1024)

    outcome = _fuzzed(decode_cell, tmp_path, images=60)

    assert outcome.findings == []
    assert outcome.peak_megabytes < MEGABYTES


@pytest.mark.parametrize(
    ("decode", "images", "what"),
    [
        (crash_on_the_tenth, 30, "dies with code -6"),
        (hang_on_some, 30, "hangs for over 0.5 s"),
        (raise_on_some, 60, "raises IndexError: out of reach"),
        (swell, 2, "takes over 150 MB"),
    ],
)
def test_an_image_at_fault_is_kept_and_the_others_are_decoded(
    decode: Decode, images: int, what: str, tmp_path: Path
) -> None:
    # On a busy machine everything takes longer; that is not hanging.
    seconds = 0.5 if decode is hang_on_some else SECONDS
    outcome = _fuzzed(decode, tmp_path, images=images, seconds=seconds, megabytes=150)

    assert outcome.images == images
    assert {finding.what for finding in outcome.findings} == {what}
    assert all(finding.data for finding in outcome.findings)
    if decode is crash_on_the_tenth:
        for finding in outcome.findings:
            assert random.Random(finding.data).randrange(10) == 0, "not the image at fault"
