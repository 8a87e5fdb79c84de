"""Segments of the prediction log, as they are read: what is whole, and by name what is not.

Belongs here: finding segments, checking their lines. Does not belong here: writing (`segments.py`), and what a record
means.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from resources.serving.checked_lines import content_of
from resources.serving.segments import FORMAT, FORMAT_VERSION, OPEN, SEALED

TAIL: Final = 1 << 20
"""Bytes at the end of a segment in which its last record is looked for first."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A line that is not what was written.

    Attributes:
        segment: Name of the segment, without its suffix.
        line: Number of the line, from 1.
        reason: What is wrong with it.
        is_torn: It is a last line that was never written to its end: its writer died, or is writing it just now. What
            it held was not acknowledged.
    """

    segment: str
    line: int
    reason: str
    is_torn: bool = False


def segments(folder: Path) -> list[Path]:
    """The segments in a folder, sealed and open ones, by name: those of one worker are in order."""
    # The open ones first: one that is sealed between the two looks is then seen twice, and not never.
    found = {path.stem: path for suffix in (OPEN, SEALED) for path in folder.glob(f"[!.]*{suffix}")}
    return [found[name] for name in sorted(found)]


class SegmentReader:
    """One segment from beginning to end.

    Attributes:
        damage: What was skipped; complete once all records were taken.
        size: Bytes up to the end of the last whole line that was read.
        lines: Whole lines that were read, without the header.
    """

    def __init__(self, path: Path) -> None:
        """Take which one; it is opened when it is read, and may have been sealed by then."""
        self.path, self.name = path, path.stem
        self.damage: list[Damage] = []
        self.size = self.lines = 0

    def records(self) -> Iterator[bytes]:
        """The JSON text of every whole record, in the order of writing; damaged lines are skipped and noted.

        Raises:
            FileNotFoundError: If the segment is gone.
        """
        self.damage, self.size, self.lines = [], 0, 0
        with _opened(self.path) as file:
            if not self._header(file):
                return
            for number, line in enumerate(file, 2):
                if not line.endswith(b"\n"):
                    self._note(number, "the line was not written to its end", is_torn=True)
                    return
                self.size += len(line)
                self.lines += 1
                if (content := content_of(line)) is None:
                    self._note(number, "the checksum does not fit the line")
                else:
                    yield content

    def first(self) -> bytes | None:
        """The first whole record; None if there is none."""
        return next(self.records(), None)

    def last(self) -> bytes | None:
        """The last whole record; None if there is none. Of a long segment only the end is read."""
        with _opened(self.path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            lines = file.read(TAIL).splitlines(keepends=True)
        for line in reversed(lines[1:]):  # the first one is the header, or cut
            if line.endswith(b"\n") and (content := content_of(line)) is not None:
                return content
        found = None
        if size > TAIL:
            for found in self.records():  # noqa: B007 - the last one is wanted
                pass
        return found

    def _header(self, file: BinaryIO) -> bool:
        """Whether the lines that follow can be read; a damaged header costs no record, each has its own checksum."""
        line = file.readline()
        if not line.endswith(b"\n"):
            self._note(1, "the header was not written to its end", is_torn=True)
            return False
        self.size += len(line)
        header = _object(content_of(line))
        if header.get("format") != FORMAT:
            self._note(1, "the header is damaged")
        elif (version := header.get("format_version")) != FORMAT_VERSION:
            self._note(1, f"format version {version} is not known here, only {FORMAT_VERSION}; nothing was read")
            return False
        return True

    def _note(self, line: int, reason: str, *, is_torn: bool = False) -> None:
        self.damage.append(Damage(segment=self.name, line=line, reason=reason, is_torn=is_torn))


def _opened(path: Path) -> BinaryIO:
    """The file, also if it was sealed since it was listed."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return path.with_suffix(SEALED).open("rb")


def _object(content: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
