"""Programs that outlive their starter: real ones."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from resources import processes
from resources.processes import ProcessError
from tests.support.waiting import eventually

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in {p.stem for p in (tmp_path / "run").glob("*.json")}:
        processes.stop(name, home=tmp_path)


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def has_ended(pid: int | None) -> bool:
    """A zombie has ended: it only waits for init to bury it."""
    return pid is not None and (not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_started_program_is_found_by_its_name(home: Path) -> None:
    started = processes.start_detached(SLEEP, name="sleeper", home=home, port=None)
    assert started == processes.status("sleeper", home=home)
    assert started.is_running
    assert psutil.pid_exists(started.pid or 0)


def test_a_started_program_belongs_to_nobody_here(home: Path) -> None:
    started = processes.start_detached(SLEEP, name="sleeper", home=home)
    assert started.pid is not None
    assert os.getsid(started.pid) == started.pid
    assert started.pid not in {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_started_program_outlives_its_starter(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from resources import processes\n"
        f"processes.start_detached({SLEEP!r}, name='s', home=Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    assert processes.status("s", home=home).is_running


def test_its_output_goes_to_the_log(home: Path) -> None:
    started = processes.start_detached(SLEEP, name="sleeper", home=home)
    assert eventually(lambda: started.log.read_text(encoding="utf-8") == "awake\n")
    assert started.log == home / "logs" / "sleeper.log"


def test_a_second_start_finds_the_first(home: Path) -> None:
    first = processes.start_detached(SLEEP, name="sleeper", home=home)
    assert processes.start_detached(SLEEP, name="sleeper", home=home) == first


def test_stopping_ends_it_and_says_so(home: Path) -> None:
    started = processes.start_detached(SLEEP, name="sleeper", home=home)
    assert processes.stop("sleeper", home=home)
    assert has_ended(started.pid)
    assert not processes.status("sleeper", home=home).is_running


def test_stopping_what_does_not_run_says_so(home: Path) -> None:
    assert not processes.stop("nobody", home=home)


def test_stopping_ends_the_programs_it_started_too(home: Path) -> None:
    parent = f"import subprocess, time; subprocess.Popen({SLEEP!r}); time.sleep(60)"
    started = processes.start_detached([sys.executable, "-c", parent], name="parent", home=home)
    assert eventually(lambda: len(psutil.Process(started.pid).children()) == 1)
    child = psutil.Process(started.pid).children()[0]
    processes.stop("parent", home=home)
    assert has_ended(child.pid)


def test_a_program_that_ignores_sigterm_is_killed(home: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    started = processes.start_detached([sys.executable, "-c", deaf], name="stubborn", home=home)
    assert eventually(lambda: "deaf" in started.log.read_text(encoding="utf-8"))
    assert processes.stop("stubborn", home=home, timeout=0.2)
    assert has_ended(started.pid)


def test_a_pid_that_was_given_to_another_process_is_left_alone(home: Path) -> None:
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as other:
        try:
            (home / "run").mkdir()
            content = {"pid": other.pid, "started_at": psutil.Process(other.pid).create_time() - 60, "port": None}
            (home / "run" / "reused.json").write_text(json.dumps(content), encoding="utf-8")
            assert not processes.status("reused", home=home).is_running
            assert not processes.stop("reused", home=home)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_program_that_has_ended_does_not_run(home: Path) -> None:
    started = processes.start_detached([sys.executable, "-c", "print('bye')"], name="brief", home=home)
    assert eventually(lambda: not processes.status("brief", home=home).is_running)
    assert processes.last_line(started.log) == "bye"


def test_the_program_can_be_interrupted_although_its_starter_ignores_that(home: Path) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        started = processes.start_detached([sys.executable, "-c", code], name="listener", home=home)
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert eventually(lambda: started.log.read_text(encoding="utf-8") == "True\n")


def test_the_environment_is_added_to_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "a")
    code = "import os; print(os.environ['OURS'], os.environ['THEIRS'])"
    started = processes.start_detached([sys.executable, "-c", code], name="env", home=home, env={"THEIRS": "b"})
    assert eventually(lambda: started.log.read_text(encoding="utf-8") == "a b\n")


def test_a_missing_program_is_named(home: Path) -> None:
    with pytest.raises(ProcessError, match="no program 'no-such-program'"):
        processes.start_detached(["no-such-program"], name="missing", home=home)


def test_a_taken_port_is_named(home: Path, listening: int) -> None:
    with pytest.raises(ProcessError, match=f"sleeper cannot be started: port {listening} is in use"):
        processes.start_detached(SLEEP, name="sleeper", home=home, port=listening)


def test_a_long_log_is_put_aside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 10)
    (home / "logs").mkdir()
    (home / "logs" / "sleeper.log").write_text("a long history\n", encoding="utf-8")
    started = processes.start_detached(SLEEP, name="sleeper", home=home)
    assert eventually(lambda: started.log.is_file() and started.log.read_text(encoding="utf-8") == "awake\n")
    assert (home / "logs" / "sleeper.log.1").read_text(encoding="utf-8") == "a long history\n"


def test_waiting_ends_when_the_program_answers(home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(home)]
    processes.start_detached(command, name="web", home=home, port=port)
    processes.wait_until_healthy(f"http://127.0.0.1:{port}/", timeout=30)
    assert processes.status("web", home=home).port == port


def test_waiting_ends_when_the_program_has_died(home: Path, listening: int) -> None:
    with pytest.raises(ProcessError, match="ended before it answered"):
        processes.wait_until_healthy("http://127.0.0.1:1/", timeout=30, is_alive=lambda: False)


def test_waiting_ends_when_the_time_is_up() -> None:
    with pytest.raises(ProcessError, match="does not answer after 0 s"):
        processes.wait_until_healthy("http://127.0.0.1:1/", timeout=0)


def test_a_port_somebody_listens_on_is_not_free(listening: int) -> None:
    assert not processes.port_is_free(listening)


def test_a_port_nobody_listens_on_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert processes.port_is_free(port)
