"""Segments on a real disk: what was whole is read, and what was not is named."""

from pathlib import Path

import pytest

from resources.serving.checked_lines import line_of
from resources.serving.log_policy import LogPolicy
from resources.serving.segment_reading import TAIL, SegmentReader, segments
from resources.serving.segment_writer import SegmentWriter
from resources.serving.segments import Segment, seal_left_open, worker_name
from tests.support.answers import Numbered, names, read


def lines(*numbers: int, padding: int = 0) -> bytes:
    return b"".join(line_of(content) for n in numbers for content in Numbered(n, padding=padding).encode())


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    made = Segment(tmp_path, worker_name(), 1)
    made.append(lines(1, 2, 3))
    return made


def test_what_was_written_is_read_in_its_order(segment: Segment, tmp_path: Path) -> None:
    segment.seal()
    assert (read(tmp_path).numbers, read(tmp_path).damage, names(tmp_path)) == ([1, 2, 3], [], [".log"])


def test_a_segment_can_be_read_while_it_is_written(segment: Segment, tmp_path: Path) -> None:
    assert (read(tmp_path).numbers, names(tmp_path)) == ([1, 2, 3], [".open"])
    segment.append(lines(4))
    assert read(tmp_path).numbers == [1, 2, 3, 4]
    segment.seal()


def test_a_segment_that_is_sealed_after_it_was_found_is_read(segment: Segment, tmp_path: Path) -> None:
    (found,) = segments(tmp_path)
    segment.seal()
    assert found.suffix == ".open"
    assert len([*SegmentReader(found).records()]) == 3


def test_a_segment_without_a_record_leaves_nothing(tmp_path: Path) -> None:
    Segment(tmp_path, worker_name(), 1).seal()
    assert [*tmp_path.iterdir()] == []


def test_only_its_owner_can_read_a_segment(segment: Segment) -> None:
    assert segment.path.stat().st_mode & 0o077 == 0
    segment.seal()


def test_a_last_line_that_was_torn_is_told_apart_from_damage(segment: Segment, tmp_path: Path) -> None:
    segment.append(lines(4)[:-9])
    segment.seal()
    found = read(tmp_path)
    assert found.numbers == [1, 2, 3]
    assert [(d.segment, d.line, d.is_torn) for d in found.damage] == [(segment.path.stem, 5, True)]


@pytest.mark.parametrize("at", [5, 30])
def test_a_flipped_byte_costs_one_line_which_is_named(segment: Segment, tmp_path: Path, at: int) -> None:
    before = segment.size - len(lines(1, 2, 3))
    segment.seal()
    (path,) = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[before + len(lines(1)) + at] ^= 1
    path.write_bytes(content)
    found = read(tmp_path)
    assert found.numbers == [1, 3]
    assert [(d.segment, d.line, d.is_torn) for d in found.damage] == [(path.stem, 3, False)]


def test_a_damaged_header_costs_no_record(segment: Segment, tmp_path: Path) -> None:
    segment.seal()
    (path,) = segments(tmp_path)
    path.write_bytes(b"0" + path.read_bytes()[1:])
    found = read(tmp_path)
    assert (found.numbers, [(d.line, d.reason) for d in found.damage]) == ([1, 2, 3], [(1, "the header is damaged")])


def test_a_format_of_the_future_is_not_guessed_at(segment: Segment, tmp_path: Path) -> None:
    segment.seal()
    (path,) = segments(tmp_path)
    header = line_of(b'{"format":"prediction-log","format_version":2}')
    path.write_bytes(header + path.read_bytes().partition(b"\n")[2])
    found = read(tmp_path)
    assert found.numbers == []
    assert "format version 2 is not known" in found.damage[0].reason


def test_zeros_that_a_loss_of_power_left_are_named(segment: Segment, tmp_path: Path) -> None:
    segment.append(b"\0" * 100 + b"\n")
    segment.seal()
    found = read(tmp_path)
    assert (found.numbers, [d.line for d in found.damage]) == ([1, 2, 3], [5])


def test_a_record_with_a_line_end_is_refused() -> None:
    with pytest.raises(ValueError, match="line end"):
        line_of(b'{\n"number": 1}')


def test_first_and_last_are_whole_records(segment: Segment, tmp_path: Path) -> None:
    segment.append(lines(4)[:-3])
    segment.seal()
    (path,) = segments(tmp_path)
    reader = SegmentReader(path)
    assert (reader.first(), reader.last()) == (Numbered(1).encode()[0], Numbered(3).encode()[0])


def test_the_last_record_is_found_in_front_of_much_that_is_damaged(segment: Segment, tmp_path: Path) -> None:
    segment.append(b"\0" * (TAIL + 100))
    segment.seal()
    (path,) = segments(tmp_path)
    assert SegmentReader(path).last() == Numbered(3).encode()[0]


def test_a_segment_that_is_full_is_sealed_and_another_begun(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, worker_name(), LogPolicy(max_segment_bytes=1000))
    for n in range(8):
        writer.write(lines(n, padding=400))
        writer.look_after()
    assert (read(tmp_path).numbers, names(tmp_path)) == ([*range(8)], [".log"] * 4)
    writer.write(lines(8))
    assert names(tmp_path) == [".log"] * 4 + [".open"]
    writer.close()


def test_a_segment_that_is_old_is_sealed_and_another_begun(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, worker_name(), LogPolicy(max_segment_age_s=1e-9))
    for n in range(2):
        writer.write(lines(n))
        writer.look_after()
    assert (read(tmp_path).numbers, names(tmp_path)) == ([0, 1], [".log", ".log"])


def test_a_segment_whose_writer_lives_is_left_to_it(segment: Segment, tmp_path: Path) -> None:
    assert seal_left_open(tmp_path) == []
    segment.seal()


def test_a_folder_that_was_deleted_is_noticed_when_the_disk_is_asked(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    writer = SegmentWriter(folder, worker_name(), LogPolicy())
    writer.write(lines(1))
    for path in segments(folder):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        writer.write(lines(2), durably=True)
    writer.write(lines(3), durably=True)
    assert read(folder).numbers == [3]
    writer.close()
