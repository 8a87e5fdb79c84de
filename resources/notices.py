"""What the line tells people, and the folder that remembers what was told and what still has to be.

Belongs here: the notice, and keeping it until it is sent, once. Does not belong here: how it is sent
(`notice_forms.py`), and what deserves one (`pipelines/alerts.py`, `pipelines/silence.py`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from resources.objects import ObjectStore

Severity = Literal["info", "warning", "alarm"]
"""To know; to look at when there is time; to look at now."""
QUIET_FOR: Final = timedelta(hours=24)
"""A notice with the same key is not sent again for so long."""
MOST_CHARACTERS: Final = 3000
"""Of a text; services cut or refuse messages over 4,000."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing a person should know.

    Attributes:
        key: What it is about; a second notice with the key is a duplicate, whatever its text says.
        title: One line.
        text: One or more sentences, plain text.
        use_case: Whose it is.
        link: Where to read more.
        at: When it was noticed (aware; UTC).
    """

    key: str
    title: str
    text: str
    severity: Severity
    use_case: str
    link: str | None = None
    at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"notice {self.key!r}: at names no time zone")


@dataclass(frozen=True)
class NoticeBox:
    """Notices on disk: a log of all, those not sent yet by form, and when each key was last accepted.

    Not safe by itself against other processes: every call is made under one lock (`notifier.py`).

    Attributes:
        root: A local folder. Nothing secret is written into it.
    """

    root: Path

    @property
    def log(self) -> Path:
        """All notices, one JSON object a line."""
        return self.root / "notices.jsonl"

    def knows(self, notice: Notice) -> bool:
        """True if a notice with this key was accepted less than a day before, or after, this one."""
        known = self._accepted(notice.key)
        if not known.is_file():
            return False
        return abs(notice.at - _instant(known)) < QUIET_FOR

    def accept(self, notice: Notice, forms: list[str]) -> None:
        """Keep a notice for each form, write it to the log, and remember its key; in this order.

        Killed in between, the notice is accepted anew at the next occasion, and takes its own place in the outbox.
        """
        store, kept = ObjectStore(str(self.root)), replace(notice, text=notice.text[:MOST_CHARACTERS])
        line = json.dumps({**asdict(kept), "at": kept.at.isoformat()}, ensure_ascii=False)
        for form in forms:
            store.write(f"outbox/{form}/{_name(notice.key)}.json", line.encode())
        self.root.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        store.write(f"accepted/{_name(notice.key)}", notice.at.isoformat().encode())
        self._forget(notice.at)

    def waiting(self, form: str) -> list[tuple[Path, Notice]]:
        """What a form has not sent yet, the oldest first."""
        files = [f for f in (self.root / "outbox" / form).glob("*.json") if not f.name.startswith(".")]
        return sorted(((file, _read(file)) for file in files), key=lambda pair: (pair[1].at, pair[1].key))

    def _accepted(self, key: str) -> Path:
        return self.root / "accepted" / _name(key)

    def _forget(self, now: datetime) -> None:
        """Let go of keys that no longer make a duplicate."""
        for known in (self.root / "accepted").iterdir():
            if not known.name.startswith(".") and now - _instant(known) >= QUIET_FOR:
                known.unlink()


def _name(key: str) -> str:
    """A file name for any key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _instant(file: Path) -> datetime:
    return datetime.fromisoformat(file.read_text(encoding="utf-8"))


def _read(file: Path) -> Notice:
    fields = json.loads(file.read_text(encoding="utf-8"))
    return Notice(**{**fields, "at": datetime.fromisoformat(fields["at"])})
