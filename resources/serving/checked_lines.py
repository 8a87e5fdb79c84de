"""One JSON object as a line that tells whether it is whole.

Belongs here: the form that every file of records in a state folder has. Does not belong here: the files.

    <crc32 of the JSON, 8 hex digits> <JSON> <line feed>
"""

from typing import Final
from zlib import crc32

CHECKSUM: Final = 8
"""Hex digits before the blank of a line."""


def line_of(content: bytes) -> bytes:
    """One JSON object as a line.

    Raises:
        ValueError: If it holds a line end, which would make two damaged lines of it.
    """
    if b"\n" in content:
        raise ValueError("a record is one line of JSON, and this one holds a line end")
    return b"".join((b"%08x " % crc32(content), content, b"\n"))


def content_of(line: bytes) -> bytes | None:
    """What a whole line holds; None if its checksum does not fit."""
    content = line[CHECKSUM + 1 : -1]
    return content if line[: CHECKSUM + 1] == b"%08x " % crc32(content) else None
