"""Answers as the prediction log takes them, and reading a log folder back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.serving.segment_reading import Damage, SegmentReader, segments


@dataclass(frozen=True)
class Numbered:
    """An answer of some rows; each says which one it is."""

    number: int
    rows: int = 1
    padding: int = 0

    def encode(self) -> list[bytes]:
        text = "x" * self.padding
        return [json.dumps({"number": self.number, "row": row, "text": text}).encode() for row in range(self.rows)]


class Unwritable:
    """An answer with a defect."""

    rows = 2

    def encode(self) -> list[bytes]:
        raise TypeError("this is not JSON")


@dataclass
class Losses:
    """Counts what a log says it lost."""

    dropped: int = 0
    errors: int = 0

    def drop(self, rows: int) -> None:
        self.dropped += rows

    def error(self) -> None:
        self.errors += 1


@dataclass(frozen=True)
class Found:
    """What a folder of segments holds."""

    records: list[dict[str, Any]] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        return [record["number"] for record in self.records]


def read(folder: Path) -> Found:
    found = Found()
    for path in segments(folder):
        reader = SegmentReader(path)
        found.records.extend(json.loads(content) for content in reader.records())
        found.damage.extend(reader.damage)
    return found


def names(folder: Path) -> Sequence[str]:
    return [path.suffix for path in segments(folder)]
