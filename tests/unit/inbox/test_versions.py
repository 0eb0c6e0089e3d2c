"""The version of a file, for files of any date that a file system can hold."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smearcount.inbox.versions import FileVersion, kept_time, time_between

#: Seconds have 64 bits in Linux, nanoseconds come on top.
times = st.integers(-(2**63) * 10**9, 2**63 * 10**9)
YEAR_NS = 31_556_952 * 10**9


@given(times)
@example(2**63)
@example(-(2**63) - 1)
def test_any_time_is_kept_within_64_bits(mtime_ns: int) -> None:
    assert -(2**63) <= kept_time(mtime_ns) < 2**63
    assert kept_time(kept_time(mtime_ns)) == kept_time(mtime_ns)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_usual_time_is_kept_as_it_is(mtime_ns: int) -> None:
    assert kept_time(mtime_ns) == mtime_ns


@given(times, st.integers(1, 500 * YEAR_NS))
@example(2**63 - 1, 1)
def test_two_times_within_500_years_stay_apart(mtime_ns: int, later_ns: int) -> None:
    assert kept_time(mtime_ns) != kept_time(mtime_ns + later_ns)


@given(times, st.integers(0, 2**62))
@example(2**63 - 1, 1)
def test_the_time_between_two_is_the_same_wherever_they_lie(mtime_ns: int, later_ns: int) -> None:
    assert time_between(mtime_ns, mtime_ns + later_ns) == later_ns
    assert time_between(mtime_ns + later_ns, kept_time(mtime_ns)) == later_ns


@pytest.mark.parametrize("year", [1902, 1969, 2100, 2262, 2300, 2446])
def test_a_file_of_any_year_has_a_version(tmp_path: Path, year: int) -> None:
    file = tmp_path / "cell.jpg"
    file.write_bytes(b"cell")
    mtime_ns = (year - 1970) * YEAR_NS + 1000
    os.utime(file, ns=(0, mtime_ns))

    version = FileVersion.of(file.stat())

    assert version == FileVersion(4, kept_time(file.stat().st_mtime_ns))
    assert -(2**63) <= version.mtime_ns < 2**63
