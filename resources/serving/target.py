"""What the endpoint is to serve, as files that outlive every process: the target state, models, snapshots of tables.

Belongs here: the layout of one use case's state folder, each part whole or absent. Does not belong here: who asks for
a target (`client.py`), and what the server does about it (`deployments.py`).

    target.json       the target state: what is to be live, beside it and before it; watched by the server
    history.jsonl     every change of it, one line each, never changed
    live.json         what was last live; written by the server, its way back after a restart with a target that fails
    models/<number>-<digest>/     a saved model; the digest is of its content, so a name never means two models
    online/<digest>/<table>.parquet   the cleaned tables that history is read from
    log/                          what was answered; see `segments.py`
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import polars as pl

from resources.errors import EndpointError
from resources.locks import in_turn
from resources.objects import ObjectStore
from resources.serving.contents import digest, settled
from resources.serving.states import Event, State, Target, from_json, to_json

__all__ = ["HISTORY", "LIVE", "TARGET", "State", "StateFolder", "Target"]

TARGET: Final = "target.json"
LIVE: Final = "live.json"
HISTORY: Final = "history.jsonl"
STATE_LOCK: Final = "state.lock"
"""Held for milliseconds; `deploy.lock` may be held for minutes."""
_TABLE: Final = re.compile(r"[A-Za-z_]\w{0,99}")


class StateFolder:
    """The files of one use case's endpoint."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        self._objects = ObjectStore(str(root))

    def identity(self) -> str:
        """A random name of this very folder, made when first asked for: a server tells by it whose it is."""
        path = self.root / "identity"
        if not path.is_file():
            self.root.mkdir(parents=True, exist_ok=True)
            mine = path.with_name(f".identity.{uuid.uuid4().hex}")
            mine.write_text(uuid.uuid4().hex, encoding="utf-8")
            try:
                os.link(mine, path)  # fails if another process was first, and then its name holds
            except FileExistsError:
                pass
            finally:
                mine.unlink()
        return path.read_text(encoding="utf-8")

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the target is written; None while there is none."""
        try:
            status = (self.root / TARGET).stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def state(self) -> State | None:
        """All that is asked for; None if nothing is.

        Raises:
            EndpointError: If the file does not hold a target state.
        """
        path = self.root / TARGET
        if not path.is_file():
            return None
        with _naming(path):
            return from_json(json.loads(self._objects.read(TARGET)))

    def target(self) -> Target | None:
        """What is to be live; None if nothing is.

        Raises:
            EndpointError: If the file does not hold a target state.
        """
        state = self.state()
        return None if state is None else state.live

    def ask_for(self, target: Target | None) -> None:
        """Write a target state of one version and nothing else, whole or not at all; None takes it away."""
        with in_turn(self.root / STATE_LOCK):
            self._write(None if target is None else State(live=target))

    def change(self, transition: Callable[[State | None], State | None]) -> tuple[State | None, State | None]:
        """Replace the target state by what follows from it, one process at a time; returns it before and after.

        Its last event is in the state itself, so that the history misses none: what a killed process did not get to
        write there, the next change does.

        Raises:
            EndpointError: If the file does not hold a target state, or the transition refuses.
        """
        with in_turn(self.root / STATE_LOCK):
            before = self.state()
            after = transition(before)
            if after != before:
                self._remember(before)
                self._write(after)
                self._remember(after)
        return before, after

    def history(self) -> list[Event]:
        """Every change of the target state, the first one first."""
        path = self.root / HISTORY
        whole = path.read_bytes().rpartition(b"\n")[0] if path.is_file() else b""
        with _naming(path):
            return [Event(**json.loads(line)) for line in whole.splitlines()]

    def last_live(self) -> Target | None:
        """What was live last; None if nothing ever was.

        Raises:
            EndpointError: If the file does not hold a target.
        """
        if not (self.root / LIVE).is_file():
            return None
        with _naming(self.root / LIVE):
            return Target(**json.loads(self._objects.read(LIVE)))

    def remember_live(self, target: Target) -> None:
        """Note what is live now."""
        self._objects.write(LIVE, json.dumps(asdict(target), indent=1).encode())

    def model(self, target: Target) -> Path:
        """The folder of the target's model, after a look at every byte of it.

        Raises:
            EndpointError: If it is not there, or its content is not what was deployed.
        """
        return self._intact("models", target.model, target.model.partition("-")[2])

    def online(self, target: Target) -> Path:
        """The folder of the target's tables, after a look at every byte of it.

        Raises:
            EndpointError: If it is not there, or its content is not what was deployed.
        """
        return self._intact("online", target.online, target.online)

    def add_model(self, number: int, folder: Path) -> str:
        """Copy a saved model in, whole or not at all; returns its name.

        Raises:
            EndpointError: If `folder` holds no file.
        """
        with self._arriving("models") as arriving:
            shutil.copytree(folder, arriving, dirs_exist_ok=True)
            name = f"{int(number)}-{settled(arriving)}"
            self._place(arriving, self.root / "models" / name)
        return name

    def add_online(self, tables: Mapping[str, pl.DataFrame]) -> str:
        """Write a snapshot of tables, all of them or none; returns its name.

        Raises:
            EndpointError: If there is no table, or the name of one cannot be a file name.
        """
        if odd := [name for name in tables if not _TABLE.fullmatch(name)]:
            raise EndpointError(f"tables {odd} cannot be kept for the endpoint: use letters, digits and underscores")
        with self._arriving("online") as arriving:
            for name, frame in tables.items():
                frame.write_parquet(arriving / f"{name}.parquet")
            name = settled(arriving)
            self._place(arriving, self.root / "online" / name)
        return name

    def prune(self, keep: Iterable[Target]) -> None:
        """Delete models and snapshots that none of `keep` names, and what a killed copy left behind."""
        kept = {name for target in keep for name in (target.model, target.online)}
        for folder in (f for part in ("models", "online") for f in (self.root / part).glob("*") if f.name not in kept):
            shutil.rmtree(folder)

    def locked(self) -> AbstractContextManager[None]:
        """One deployment at a time: a second one waits here."""
        return in_turn(self.root / "deploy.lock")

    def _write(self, state: State | None) -> None:
        if state is None:
            (self.root / TARGET).unlink(missing_ok=True)
        else:
            self._objects.write(TARGET, json.dumps(to_json(state), indent=1).encode())

    def _remember(self, state: State | None) -> None:
        """Have the event that led to a state in the history, once."""
        if state is None or state.event is None:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / HISTORY).open("a+b") as file:
            file.seek(0)
            *lines, torn = file.read().split(b"\n")
            event = json.dumps(asdict(state.event)).encode()
            if lines and lines[-1] == event:
                return
            if torn:  # by a process that was killed
                file.truncate(file.tell() - len(torn))
            file.write(event + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _arriving(self, part: str) -> Iterator[Path]:
        folder = self.root / part / f".{uuid.uuid4().hex}.tmp"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # gone already, unless something went wrong

    def _place(self, arriving: Path, place: Path) -> None:
        if place.is_dir() and digest(place) != place.name.rpartition("-")[2]:
            shutil.rmtree(place)  # damaged since: what is in memory goes on serving, the files are mended
        if not place.is_dir():
            arriving.replace(place)

    def _intact(self, part: str, name: str, content: str) -> Path:
        folder = self.root / part / name
        if not folder.is_dir():
            raise EndpointError(f"{part}/{name} is missing in {self.root}; materialise the endpoint again")
        if digest(folder) != content:
            raise EndpointError(f"{part}/{name} in {self.root} is damaged; materialise the endpoint again")
        return folder


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which file it is whose content is none of ours."""
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise EndpointError(f"{path} does not hold a target state ({error}); materialise the endpoint again") from error
