import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.replay.folder import ReplayError, ReplayFolder

FIRST = date(2013, 9, 1)


@pytest.fixture
def folder(tmp_path: Path) -> ReplayFolder:
    folder = ReplayFolder(tmp_path / "replay")
    folder.begin("toy", FIRST)
    return folder


def test_a_replay_begins_with_its_first_day(folder: ReplayFolder) -> None:
    assert folder.next_day() == FIRST


def test_a_replay_goes_on_after_its_last_finished_day(folder: ReplayFolder) -> None:
    folder.add_day({"day": "2013-09-01"})
    folder.add_day({"day": "2013-09-02"})
    assert ReplayFolder(folder.root).next_day() == date(2013, 9, 3)


def test_the_same_replay_is_taken_up(folder: ReplayFolder) -> None:
    folder.add_day({"day": "2013-09-01"})
    folder.begin("toy", FIRST)
    assert len(folder.days()) == 1


@pytest.mark.parametrize(("name", "first"), [("other", FIRST), ("toy", date(2013, 9, 2))])
def test_another_replay_in_the_same_folder_is_refused(folder: ReplayFolder, name: str, first: date) -> None:
    with pytest.raises(ReplayError, match="holds a replay of toy from 2013-09-01"):
        folder.begin(name, first)


def test_afresh_takes_the_old_replay_away(folder: ReplayFolder) -> None:
    folder.add_day({"day": "2013-09-01"})
    folder.begin("toy", date(2013, 10, 1), afresh=True)
    assert (folder.days(), folder.next_day()) == ([], date(2013, 10, 1))


@pytest.mark.parametrize("afresh", [True, False])
def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path, afresh: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ReplayError, match=re.escape("holds something that is no replay")):
        ReplayFolder(tmp_path).begin("toy", FIRST, afresh=afresh)
    assert (tmp_path / "thesis.txt").is_file()


def test_what_sensors_wrote_down_is_kept_by_name(folder: ReplayFolder) -> None:
    folder.remember("one", "a")
    folder.remember("other", "b")
    folder.fired(datetime(2013, 9, 2, 7, tzinfo=UTC))
    again = ReplayFolder(folder.root)
    assert (again.cursor("one"), again.cursor("other"), again.cursor("third")) == ("a", "b", None)
    assert again.fired_until() == datetime(2013, 9, 2, 7, tzinfo=UTC)


def test_what_happened_on_a_day_is_there_until_the_day_is_over(folder: ReplayFolder) -> None:
    folder.note("runs", {"job": "one"})
    folder.note("faults", {"by": "a_sensor"})
    folder.note("runs", {"job": "two"})
    assert ReplayFolder(folder.root).noted() == {
        "runs": [{"job": "one"}, {"job": "two"}],
        "faults": [{"by": "a_sensor"}],
    }
    folder.add_day({"day": "2013-09-01"})
    assert folder.noted() == {"runs": [], "faults": []}
