"""One process at a time: others wait or are told whom they would disturb; a dead one stands in nobody's way."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from resources.locks import BusyError, alone, in_turn, is_held

HOLD = """
import sys, time
from pathlib import Path
from resources.locks import in_turn, alone
with alone(Path(sys.argv[1]), "The bakery"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "run" / "bakery.lock"


def start(lock: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(lock), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process, in the block for longer than any test takes."""
    process = start(lock, 600)
    yield process
    process.kill()
    process.communicate()


def test_who_would_be_second_is_told_who_is_first(lock: Path, holder: "subprocess.Popen[str]") -> None:
    with (
        pytest.raises(BusyError, match=rf"^The bakery runs already, in process {holder.pid};"),
        alone(lock, "The bakery"),
    ):
        pytest.fail("two were in the block")


def test_a_killed_process_leaves_the_place_free(lock: Path, holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()
    with alone(lock, "The bakery"):
        pass


def test_the_place_is_free_after_the_block_also_after_an_error(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(lock, "The bakery"):
        raise ZeroDivisionError
    with alone(lock, "The bakery"):
        pass


def test_who_takes_turns_waits_for_the_end_of_the_other(lock: Path) -> None:
    first = start(lock, 0.5)
    began = time.monotonic()
    with in_turn(lock):
        assert first.wait(10) == 0
        assert time.monotonic() > began
    first.communicate()


def test_a_block_is_seen_from_outside_until_its_process_ends(lock: Path, holder: "subprocess.Popen[str]") -> None:
    assert is_held(lock)
    holder.kill()
    holder.wait()
    assert not is_held(lock)


@pytest.fixture
def looking(lock: Path) -> Iterator[TextIO]:
    """Somebody who asks whether a process is in the block, and has not got to the end of the question."""
    lock.parent.mkdir()
    lock.write_text("1234567")  # of the last one in the block
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file


@pytest.mark.usefixtures("looking")
def test_who_only_looks_is_not_taken_for_a_process_in_the_block(lock: Path) -> None:
    assert not is_held(lock)


def test_who_only_looks_makes_nobody_refuse(lock: Path, looking: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
    with alone(lock, "The bakery"):
        assert is_held(lock)
