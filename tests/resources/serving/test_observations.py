"""The journal of observations: what was accepted outlives a kill, and every worker learns of it."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving.observations import FOLDER, Journal
from tests.support.waiting import eventually

WRITER = """
import sys
from pathlib import Path
from resources.serving.observations import Journal
journal = Journal(Path(sys.argv[1]), rotate_bytes=int(sys.argv[3]))
for number in range(int(sys.argv[2])):
    journal.append({"worker": sys.argv[4], "number": number, "text": "x" * 50})
    print(number, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writers() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def writer(state: Path, batches: int, *, rotate: int = 2**20, name: str = "a") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(state), str(batches), str(rotate), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def files(state: Path) -> list[Path]:
    return sorted((state / FOLDER).iterdir())


def test_what_was_accepted_is_there_after_a_kill(tmp_path: Path, writers: list[subprocess.Popen[bytes]]) -> None:
    process = writer(tmp_path, 1_000_000, rotate=20_000)
    writers.append(process)
    assert process.stdout is not None
    accepted = [int(process.stdout.readline()) for _ in range(500)]
    process.send_signal(signal.SIGKILL)
    accepted += [int(line) for line in process.stdout.read().splitlines()]
    found = [batch["number"] for batch in Journal(tmp_path).new()]
    assert found[: len(accepted)] == accepted
    assert len(found) - len(accepted) <= 1
    assert len(files(tmp_path)) > 1


def test_two_workers_learn_of_all_that_the_other_took(tmp_path: Path, writers: list[subprocess.Popen[bytes]]) -> None:
    reader, seen = Journal(tmp_path), set[tuple[str, int]]()
    reader.append({"worker": "mine", "number": 0})
    writers += [writer(tmp_path, 300, name=name) for name in ("a", "b")]

    def all_is_there() -> bool:
        seen.update((batch["worker"], batch["number"]) for batch in reader.new())
        return len(seen) == 600

    assert eventually(all_is_there, seconds=60)
    assert seen == {(name, number) for name in ("a", "b") for number in range(300)}
    assert [*reader.new()] == []


def test_a_worker_that_starts_again_reads_its_own_past(tmp_path: Path) -> None:
    before = Journal(tmp_path)
    before.append({"number": 1})
    assert [*before.new()] == []
    before.close()
    assert [*Journal(tmp_path).new()] == [{"number": 1}]


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    writing, reading = Journal(tmp_path), Journal(tmp_path)
    writing.append({"number": 1})
    writing.append({"number": 2})
    whole = files(tmp_path)[0].read_bytes()
    files(tmp_path)[0].write_bytes(whole[:-5])
    assert [*reading.new()] == [{"number": 1}]
    assert [*reading.new()] == []
    files(tmp_path)[0].write_bytes(whole)
    assert [*reading.new()] == [{"number": 2}]
    assert reading.damaged_lines == 0


def test_a_damaged_line_is_passed_over_and_counted(tmp_path: Path) -> None:
    writing, reading = Journal(tmp_path), Journal(tmp_path)
    for number in (1, 2, 3):
        writing.append({"number": number})
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":7'))
    assert [batch["number"] for batch in reading.new()] == [1, 3]
    assert reading.damaged_lines == 1


def test_a_batch_that_its_reader_fails_at_comes_again(tmp_path: Path) -> None:
    writing, reading = Journal(tmp_path), Journal(tmp_path)
    writing.append({"number": 1})
    writing.append({"number": 2})
    assert next(reading.new()) == {"number": 1}
    assert [batch["number"] for batch in reading.new()] == [1, 2]


def test_a_batch_that_does_not_fit_on_the_disk_is_refused_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append({"number": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(EndpointError, match="observations cannot be written to"):
            journal.append({"text": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    journal.append({"number": 2})
    reading = Journal(tmp_path)
    assert [*reading.new()] == [{"number": 1}, {"number": 2}]
    assert reading.damaged_lines == 0


def test_a_batch_that_did_not_reach_the_disk_does_not_count_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, is_durable=True)
    journal.append({"number": 1})

    def broken(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("resources.serving.observations.os.fsync", broken)
        with pytest.raises(EndpointError, match="Input/output error"):
            journal.append({"number": 2})
    assert [*Journal(tmp_path).new()] == [{"number": 1}]


def test_old_files_go_but_not_those_that_a_living_worker_has_open(
    tmp_path: Path, writers: list[subprocess.Popen[bytes]]
) -> None:
    ended, mine = Journal(tmp_path), Journal(tmp_path, is_durable=True)
    ended.append({"number": 1})
    ended.close()
    mine.append({"number": 2})
    process = writer(tmp_path, 1)
    writers.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    long_ago = datetime.now(UTC) - timedelta(days=9)
    for path in files(tmp_path):
        os.utime(path, (long_ago.timestamp(), long_ago.timestamp()))
    assert mine.prune(before=long_ago - timedelta(days=1)) == 0
    assert mine.prune(before=long_ago + timedelta(days=1)) == 2
    mine.append({"number": 3})
    process.kill()
    process.wait()
    assert [batch["number"] for batch in Journal(tmp_path).new()] in ([0, 3], [3, 0])
    assert mine.prune(before=long_ago + timedelta(days=1)) == 1
