"""Who may ask: API keys, kept as hashes, and how often each may.

Belongs here: the file of keys, and whether a request's key is one. Does not belong here: HTTP (`gate.py`).

A key is 32 random bytes, so a plain SHA-256 of it gives nothing away: there is nothing to guess that a slow hash would
slow down. Source: NIST SP 800-63B, section 5.1.2.2, on look-up secrets of more than 112 bits.
"""

import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from resources.errors import EndpointError
from resources.locks import in_turn
from resources.objects import ObjectStore
from resources.serving.secret_files import secret

KEYS: Final = "keys.json"
OWN: Final = "own.key"
PREFIX: Final = "tl_"
"""So that a key that leaks into a log or a repository is known for what it is."""
LOOK_S: Final = 1.0
"""Seconds between two looks at the file: a key that is taken away is refused after that."""
LONGEST: Final = 100
"""Characters; a key has 46."""
REMEMBERED: Final = 10_000
"""Callers' words that are remembered as keys or as none, so that a hash is computed once."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key.

    Attributes:
        name: Whose it is; in metrics and logs.
        sha256: Of the key, hex.
        requests_per_s: How many requests a second each worker takes from it, on average; None: any number.
        expires_at: When it ends (ISO-8601, UTC); None: never.
        added_at: When it was made (ISO-8601, UTC).
    """

    name: str
    sha256: str
    requests_per_s: float | None
    expires_at: str | None
    added_at: str

    def is_valid_at(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < datetime.fromisoformat(self.expires_at)


class KeyFile:
    """The keys of one use case's endpoint."""

    def __init__(self, folder: Path) -> None:
        """Take the state folder."""
        self.folder, self.path = folder, folder / KEYS

    def read(self) -> list[Key]:
        """All keys; none if there is no file.

        Raises:
            EndpointError: If the file does not hold keys.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return [Key(**key) for key in json.loads(content)]
        except (ValueError, TypeError) as error:
            raise EndpointError(f"{self.path} does not hold API keys ({error}); bring it back from a backup") from error

    def add(self, name: str, *, requests_per_s: float | None = None, expires_at: datetime | None = None) -> str:
        """Make a key, and return it: it is nowhere to be read again. Earlier keys of that name stay valid.

        Raises:
            EndpointError: If the name, the rate or the time cannot be one.
        """
        if not name or len(name) > 100 or not name.isprintable():
            raise EndpointError(f"{name!r} cannot be the name of a key; use 1 to 100 printable characters")
        if requests_per_s is not None and not requests_per_s > 0:
            raise EndpointError(f"a key may make {requests_per_s} requests a second, which is none")
        if expires_at is not None and expires_at.tzinfo is None:
            raise EndpointError(f"{expires_at} has no time zone")
        made = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            name=name,
            sha256=hashed(made),
            requests_per_s=requests_per_s,
            expires_at=None if expires_at is None else expires_at.astimezone(UTC).isoformat(),
            added_at=datetime.now(UTC).isoformat(),
        )
        with in_turn(self.folder / "keys.lock"):
            self._write([*self.read(), key])
        return made

    def remove(self, name: str) -> int:
        """Take all keys of that name away; returns how many there were."""
        with in_turn(self.folder / "keys.lock"):
            before = self.read()
            after = [key for key in before if key.name != name]
            if len(after) < len(before):
                self._write(after)
        return len(before) - len(after)

    def _write(self, keys: list[Key]) -> None:
        # An empty list stays a file: an endpoint that asked for keys once must not open because the last one is gone.
        ObjectStore(str(self.folder)).write(KEYS, json.dumps([asdict(key) for key in keys], indent=1).encode())
        self.path.chmod(0o600)


def own_key(folder: Path) -> str:
    """The key by which what runs on this machine, for whoever owns the state folder, asks its own endpoint.

    Raises:
        EndpointError: If its file does not hold one, or others may read it.
    """
    return secret(folder / OWN).hex()


class Keyring:
    """The keys as a server knows them: looked up in microseconds, and current to a second. One thread only."""

    def __init__(self, file: KeyFile, *, are_needed: bool) -> None:
        """Take the file, and whether a request without a key is refused even if there is no file of keys.

        Raises:
            EndpointError: If the key of the state folder's owner cannot be read.
        """
        self._file, self._are_needed = file, are_needed
        sha256 = hashed(own_key(file.folder))
        self._own = {sha256: Key(name="throughline", sha256=sha256, requests_per_s=None, expires_at=None, added_at="")}
        self._looked_at = -LOOK_S
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, Key] = self._own
        self._has_file = are_needed
        self._known: dict[str, Key | None] = {}
        self._buckets: dict[str, Bucket] = {}

    def are_needed(self) -> bool:
        """Whether a request needs a key now.

        Raises:
            EndpointError: If the file was changed and does not hold keys.
        """
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self._look()
            self._looked_at = now
        return self._are_needed or self._has_file

    def find(self, said: str) -> Key | None:
        """The key that a caller says; None if it is none, or has expired."""
        if len(said) > LONGEST:  # never remembered: what callers make up must not fill the memory
            return None
        if said not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[said] = self._keys.get(hashed(said))
        key = self._known[said]
        return key if key is not None and (key.expires_at is None or key.is_valid_at(datetime.now(UTC))) else None

    def takes(self, key: Key) -> float:
        """0.0 if the key may make a request now, which is counted; else the seconds until it may."""
        if key.requests_per_s is None:
            return 0.0
        if (bucket := self._buckets.get(key.sha256)) is None or bucket.per_s != key.requests_per_s:
            bucket = self._buckets[key.sha256] = Bucket(key.requests_per_s)
        return bucket.take(time.monotonic())

    def _look(self) -> None:
        try:
            status = self._file.path.stat()
        except FileNotFoundError:
            stamp = None
        else:
            stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._keys = self._own | {key.sha256: key for key in self._file.read()}
            self._stamp, self._has_file = stamp, stamp is not None
            self._known.clear()


class Bucket:
    """A token bucket that holds one second's requests, one at least."""

    def __init__(self, per_s: float) -> None:
        """Begin full."""
        self.per_s, self._room = per_s, max(1.0, per_s)
        self._tokens, self._at = self._room, 0.0

    def take(self, now: float, tokens: float = 1.0) -> float:
        """0.0 if there are so many tokens, which are taken; else the seconds until there are."""
        self._tokens = min(self._room, self._tokens + (now - self._at) * self.per_s)
        self._at = now
        if self._tokens >= tokens:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self.per_s


def hashed(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
