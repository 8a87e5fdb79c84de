"""Programs that stay up after the command that started them: start, find again, end.

Belongs here: detaching, pid files, ports, waiting for an answer. Does not belong here: which programs there are, and
what their answers mean.

A pid file holds the pid and the time the process started. A pid that the system has since given to another process
does not match, so that nothing but what was started here is ever ended.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from resources.errors import ThroughlineError
from resources.locks import in_turn
from resources.objects import ObjectStore

START_TOLERANCE_S: Final = 1.0
"""The start time is computed from the time of boot, which moves a little when the clock is set."""
LOG_BYTES: Final = 10 * 2**20
"""A longer log is put aside (`.1`) at the next start; one older log is kept."""
POLL_S: Final = 0.05

# The launcher is a process of its own, so that the program belongs to init from its first moment: it leaves no zombie
# in a long-lived parent. Its pid is told only after `setsid`, and the pipe closes only when output goes to the log.
# SIGINT goes back to its default, because shells start background jobs with SIGINT ignored, Dagster copies SIGINT's
# handler onto SIGTERM, and then only SIGKILL ends it (API notes, trap 10).
_LAUNCH: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.fork() == 0:
    os.setsid()
    os.write(1, str(os.getpid()).encode())
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class ProcessError(ThroughlineError):
    """A program cannot be started or ended, or does not answer; the message says which and what to do."""


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """What is known of a program that was started under a name.

    Attributes:
        name: The name it was started under.
        pid: Its process id; None if it does not run.
        port: The port it was started for, if it runs and was given one.
        log: Where its output goes.
    """

    name: str
    pid: int | None
    port: int | None
    log: Path

    @property
    def is_running(self) -> bool:
        """True while the very process that was started is alive."""
        return self.pid is not None


def start_detached(
    command: Sequence[str],
    *,
    name: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> ProcessStatus:
    """Start a program that outlives this process, its terminal and its signals; returns at once.

    Does nothing if the program of that name already runs. Of two callers at once, one starts it.

    Args:
        command: Program and arguments; the program is looked up on PATH.
        name: Of its pid file `<home>/run/<name>.json` and its log `<home>/logs/<name>.log` (appended to).
        home: Folder of all state.
        env: Added to this process's environment.
        port: Where it is going to listen on loopback.

    Raises:
        ProcessError: If the program does not exist or the port is taken.
    """
    with in_turn(home / "run" / f"{name}.lock"):
        if (running := status(name, home=home)).is_running:
            return running
        if shutil.which(command[0]) is None:
            raise ProcessError(f"{name} cannot be started: there is no program {command[0]!r} on PATH")
        if port is not None and not port_is_free(port):
            raise ProcessError(f"{name} cannot be started: port {port} is in use by another program")
        log = running.log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.is_file() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
        # -S and -I: the launcher needs nothing but the standard library, and no site package may break it.
        launch = [sys.executable, "-S", "-I", "-c", _LAUNCH, str(log), *command]
        started = subprocess.run(  # noqa: S603  # the caller's own command, no shell
            launch, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
        )
        _remember(name, home, int(started.stdout), port)
        return status(name, home=home)


def stop(name: str, *, home: Path, timeout: float = 15.0) -> bool:
    """End the program of that name and the processes it started; True if it was running.

    It is asked (SIGTERM) and given `timeout` seconds; what is left then is killed.
    """
    with in_turn(home / "run" / f"{name}.lock"):
        process = _find(name, home)
        if process is not None:
            children = []
            with suppress(psutil.NoSuchProcess):  # it ends by itself at this very moment
                children = process.children(recursive=True)
            _end([process], timeout)
            _end(children, timeout=3.0)
        (home / "run" / f"{name}.json").unlink(missing_ok=True)
        return process is not None


def status(name: str, *, home: Path) -> ProcessStatus:
    """Whether the program that was started under `name` runs, and where its log is."""
    process, log = _find(name, home), home / "logs" / f"{name}.log"
    if process is None:
        return ProcessStatus(name=name, pid=None, port=None, log=log)
    port = _recalled(name, home)["port"]
    return ProcessStatus(name=name, pid=process.pid, port=None if port is None else int(port), log=log)


def wait_until_healthy(url: str, *, timeout: float, is_alive: Callable[[], bool] = lambda: True) -> None:
    """Return once `url` answers 200.

    Args:
        url: An address on loopback.
        timeout: Seconds to wait at most.
        is_alive: Asked between tries; when it says no, waiting longer is in vain.

    Raises:
        ProcessError: If it does not answer in time, or is no longer alive.
    """
    deadline = time.monotonic() + timeout
    while (why := _unhealthy(url)) is not None:
        if not is_alive():
            raise ProcessError(f"the program behind {url} ended before it answered")
        if time.monotonic() > deadline:
            raise ProcessError(f"{url} does not answer after {timeout:.0f} s: {why}")
        time.sleep(POLL_S)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True if a server could listen on the port now."""
    with socket.socket() as probe:
        # Servers set it too; without it a port counts as taken for a minute after a server ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def last_line(log: Path) -> str:
    """The last words of a program, for an error message."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


def _unhealthy(url: str) -> str | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach our loopback
    try:
        with direct.open(url, timeout=5) as answer:
            return None if answer.status == 200 else f"it answered {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return str(error)


def _remember(name: str, home: Path, pid: int, port: int | None) -> None:
    try:
        started_at = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # it has ended already: without a pid file its status says so
    content = json.dumps({"pid": pid, "started_at": started_at, "port": port})
    ObjectStore(str(home / "run")).write(f"{name}.json", content.encode())


def _recalled(name: str, home: Path) -> dict[str, float | None]:
    """What the pid file says: `pid`, `started_at` (seconds since 1970) and `port`; empty if there is none."""
    path = home / "run" / f"{name}.json"
    found: dict[str, float | None] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _find(name: str, home: Path) -> psutil.Process | None:
    """The live process that was started under `name`."""
    if not (recalled := _recalled(name, home)):
        return None
    try:
        process = psutil.Process(int(recalled["pid"] or 0))
        is_ours = abs(process.create_time() - (recalled["started_at"] or 0)) < START_TOLERANCE_S
        return process if is_ours and _is_alive(process) else None
    except psutil.NoSuchProcess:
        return None


def _is_alive(process: psutil.Process) -> bool:
    """False also for a zombie: it does nothing any more, and init may take seconds to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(family: Sequence[psutil.Process], timeout: float) -> None:
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in family:
            with suppress(psutil.NoSuchProcess):  # also when the pid has been given away
                send(process)
        deadline = time.monotonic() + timeout
        while any(_is_alive(process) for process in family) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not any(_is_alive(process) for process in family):
            return
