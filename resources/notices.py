"""What the line tells people, and the folder that remembers what was told and what still has to be.

Belongs here: the notice, and keeping it until it is sent, once. Does not belong here: how it is sent
(`notice_forms.py`), and what deserves one (`pipelines/alerts.py`, `pipelines/silence.py`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from resources.objects import ObjectStore

Severity = Literal["info", "warning", "alarm"]
"""To know; to look at when there is time; to look at now."""
LOG: Final = "log"
"""The form of a notice that every process has."""
QUIET_FOR: Final = timedelta(hours=24)
"""A notice with the same key is not sent again for so long."""
REFUSALS: Final = 3
"""So many refused messages end a round; and one that was refused so often waits behind those that were not."""
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

    def writable(self) -> "Notice":
        """The same in characters that can be written down: names of files may hold bytes that are no text."""
        told = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        written: dict[str, Any] = {name: t.encode(errors="backslashreplace").decode() for name, t in told.items()}
        return replace(self, **written)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A notice that a form has not sent yet.

    Attributes:
        file: Where it is kept.
        refused: How often a server refused it.
        unanswered: How often a server got it, and did not say what became of it.
    """

    file: Path
    notice: Notice
    refused: int = 0
    unanswered: int = 0


@dataclass(frozen=True)
class NoticeBox:
    """Notices on disk: a log of all, those not sent yet by form, and when each key was last accepted for each form.

    Processes of one home may have different forms, so what one of them accepts may still be news for another's form.

    Not safe by itself against other processes: every call is made under one lock (`notifier.py`).

    Attributes:
        root: A local folder. Nothing secret is written into it.
    """

    root: Path

    @property
    def log(self) -> Path:
        """All notices, one JSON object a line."""
        return self.root / "notices.jsonl"

    def untold(self, notice: Notice, forms: Sequence[str]) -> list[str]:
        """The forms for which no notice with this key was accepted less than a day before, or after, this one."""
        known = {form: self.root / _accepted(form, notice.key) for form in forms}
        return [f for f, file in known.items() if not file.is_file() or abs(notice.at - _instant(file)) >= QUIET_FOR]

    def accept(self, notice: Notice, forms: Sequence[str]) -> None:
        """Keep a notice for each form, write it to the log if that is one, and remember its key; in this order.

        Killed in between, the notice is accepted anew at the next occasion, and takes its own place in the outbox.
        """
        store, kept = ObjectStore(str(self.root)), replace(notice, text=notice.text[:MOST_CHARACTERS])
        for form in forms:
            if form != LOG:
                self.keep(Waiting(file=self.root / "outbox" / form / f"{_name(notice.key)}.json", notice=kept))
        if LOG in forms:
            self.root.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(_fields(kept), ensure_ascii=False)}\n")
        for form in forms:
            store.write(_accepted(form, notice.key), kept.at.isoformat().encode())
        self._forget(notice.at)

    def keep(self, waiting: Waiting) -> None:
        """Have a notice wait, with what became of it so far."""
        told = {"refused": waiting.refused, "unanswered": waiting.unanswered, **_fields(waiting.notice)}
        path = waiting.file.relative_to(self.root).as_posix()
        ObjectStore(str(self.root)).write(path, json.dumps(told, ensure_ascii=False).encode())

    def waiting(self, form: str) -> list[Waiting]:
        """What a form has not sent yet, the oldest first, but what was refused again and again behind the rest."""
        files = [f for f in (self.root / "outbox" / form).glob("*.json") if not f.name.startswith(".")]
        found = [_read(file) for file in files]
        return sorted(found, key=lambda w: (w.refused // REFUSALS, w.notice.at, w.notice.key))

    def _forget(self, now: datetime) -> None:
        """Let go of keys that no longer make a duplicate."""
        for known in (self.root / "accepted").iterdir():
            if not known.name.startswith(".") and now - _instant(known) >= QUIET_FOR:
                known.unlink()


def _name(key: str) -> str:
    """A file name for any key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _accepted(form: str, key: str) -> str:
    """Path under the root of when a key was last accepted for a form."""
    return f"accepted/{form}-{_name(key)}"


def _instant(file: Path) -> datetime:
    return datetime.fromisoformat(file.read_text(encoding="utf-8"))


def _fields(notice: Notice) -> dict[str, str | None]:
    return {**asdict(notice), "at": notice.at.isoformat()}


def _read(file: Path) -> Waiting:
    told = json.loads(file.read_text(encoding="utf-8"))
    refused, unanswered = told.pop("refused", 0), told.pop("unanswered", 0)
    notice = Notice(**{**told, "at": datetime.fromisoformat(told["at"])})
    return Waiting(file=file, notice=notice, refused=refused, unanswered=unanswered)
