"""One clock for all: the system's, or that of a replay, which all copies and processes share."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from resources.clock import Clock, ClockError

NOON = datetime(2013, 9, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(file=str(tmp_path / "replay" / "clock"))


def test_the_system_clock_goes_on_in_utc() -> None:
    before = datetime.now(UTC)
    first, second = Clock().now(), Clock().now()
    assert before <= first <= second <= datetime.now(UTC)
    assert first.tzinfo is UTC


def test_the_clock_of_a_replay_stands_still(clock: Clock) -> None:
    clock.set(NOON)
    assert clock.now() == clock.now() == NOON


def test_what_was_set_last_counts(clock: Clock) -> None:
    clock.set(NOON)
    clock.set(NOON - timedelta(days=3))
    assert clock.now() == NOON - timedelta(days=3)


def test_an_instant_is_told_in_utc_wherever_it_was_written(clock: Clock) -> None:
    clock.set(NOON.astimezone(timezone(timedelta(hours=-4))))
    assert clock.now().isoformat() == "2013-09-01T12:00:00+00:00"


def test_microseconds_are_kept(clock: Clock) -> None:
    clock.set(NOON + timedelta(microseconds=1))
    assert clock.now() == NOON + timedelta(microseconds=1)


def test_a_person_may_write_the_file(clock: Clock) -> None:
    clock.set(NOON)
    Path(str(clock.file)).write_text("2013-08-31 20:00:00-04:00\n", encoding="utf-8")
    assert clock.now() == datetime(2013, 9, 1, tzinfo=UTC)


def test_copies_agree(clock: Clock) -> None:
    copies = [Clock(file=clock.file), clock.model_copy()]
    clock.set(NOON)
    assert [copy.now() for copy in copies] == [NOON, NOON]


def test_two_replays_have_times_of_their_own(tmp_path: Path) -> None:
    one, other = Clock(file=str(tmp_path / "one")), Clock(file=str(tmp_path / "other"))
    one.set(NOON)
    other.set(NOON + timedelta(days=1))
    assert other.now() - one.now() == timedelta(days=1)


def test_a_clock_that_was_not_set_is_named(clock: Clock) -> None:
    with pytest.raises(ClockError, match=f"the clock of the replay, {clock.file}, has not been set"):
        clock.now()


@pytest.mark.parametrize("text", ["", "noon", "2013-13-01T00:00:00+00:00"])
def test_a_file_without_an_instant_is_named(clock: Clock, text: str) -> None:
    clock.set(NOON)
    Path(str(clock.file)).write_text(text, encoding="utf-8")
    with pytest.raises(ClockError, match=f"{clock.file}, holds no instant"):
        clock.now()


def test_a_file_without_a_time_zone_is_named(clock: Clock) -> None:
    clock.set(NOON)
    Path(str(clock.file)).write_text("2013-09-01T12:00:00", encoding="utf-8")
    with pytest.raises(ClockError, match=f"{clock.file}, holds 2013-09-01 12:00:00, which names no time zone"):
        clock.now()


def test_an_instant_without_a_time_zone_is_not_set(clock: Clock) -> None:
    clock.set(NOON)
    with pytest.raises(ClockError, match="names no time zone"):
        clock.set(datetime(2013, 9, 1, 13))  # noqa: DTZ001 - what is refused
    assert clock.now() == NOON


def test_the_system_clock_cannot_be_set() -> None:
    with pytest.raises(ClockError, match="the system's clock cannot be set"):
        Clock().set(NOON)
