"""Which days train, validate and test a model, and the manifest from which that choice can be repeated.

Belongs here: the split in time and the frozen record of it. Does not belong here: reading rows; the manifest names
table versions, it holds no data.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

import polars as pl

from assets.policies import TimeSplit

ONE_DAY = timedelta(days=1)
CLASS_ROWS = 20
"""Training rows a class needs to be told apart: with fewer, what is learnt of it is chance."""


class SplitError(ValueError):
    """The known days cannot be split as asked; the message says how many there are and how many are needed."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Days from `start` to `end`, both included, as local partition dates of the use case."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise SplitError(f"a window cannot start on {self.start} and end before, on {self.end}")

    @property
    def days(self) -> int:
        """Calendar days in the window."""
        return (self.end - self.start).days + 1

    def contains(self, day: pl.Expr) -> pl.Expr:
        """True for dates, or partition keys written as ISO dates, inside the window."""
        return day.cast(pl.String).is_between(pl.lit(str(self.start)), pl.lit(str(self.end)))

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Three windows in the order of time, none touching another."""

    train: Window
    validation: Window
    test: Window

    def __post_init__(self) -> None:
        if not (self.train.end < self.validation.start and self.validation.end < self.test.start):
            raise SplitError(f"train, validation and test overlap or are out of order: {self}")

    def named(self) -> dict[str, Window]:
        """The windows by name, in the order of time."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, kw_only=True)
class RowCounts:
    """Rows of a window: with a label, and still or for ever without one.

    Attributes:
        distinct: Different labels among them; fewer than two teach nothing.
        positives: Rows with label 1; None if the task is not binary.
    """

    labelled: int
    unlabelled: int
    distinct: int
    positives: int | None


def split_days(known: Iterable[date | str], split: TimeSplit) -> Windows:
    """The last calendar days of the known data are test, those before them validation, the rest training.

    A day missing in the middle stays missing: windows are counted in calendar days from the last known one, so that
    a gap makes a window smaller and never moves it.

    Args:
        known: Dates, or partition keys written as ISO dates, of the days with features; any order, repeats allowed.
        split: Lengths of the windows and of the gap before the test window, whole days.

    Raises:
        SplitError: If a window would hold no known day, saying how many days are there and how many are needed.
    """
    days = sorted({date.fromisoformat(str(day)) for day in known})
    needed = (split.validation + split.gap + split.test) // ONE_DAY + 1
    if not days or (days[-1] - days[0]).days + 1 < needed:
        there = f"{len(days)} days are known ({days[0]} to {days[-1]})" if days else "no day is known"
        raise SplitError(
            f"{there}, but validation, test and the gap between them take {needed - 1}, and training needs days before "
            "them; deliver more days or declare shorter windows"
        )
    test = Window(start=days[-1] - split.test + ONE_DAY, end=days[-1])
    end = test.start - split.gap - ONE_DAY
    validation = Window(start=end - split.validation + ONE_DAY, end=end)
    windows = Windows(train=Window(start=days[0], end=validation.start - ONE_DAY), validation=validation, test=test)
    for name, window in windows.named().items():
        if not any(window.start <= day <= window.end for day in days):
            raise SplitError(f"no day of the {name} window ({window}) is known; deliver and ingest those days first")
    return windows


def count_rows(
    rows: pl.DataFrame, windows: Windows, *, day: str, target: str, binary: bool = True
) -> dict[str, RowCounts]:
    """Labelled, unlabelled and positive rows of each window.

    Args:
        rows: Feature rows, shape (n, >= 2).
        windows: Where to count.
        day: Its column with the partition day, a date or ISO text.
        target: Its column with the label, null while unknown.
        binary: False leaves `positives` out.
    """
    counts = {}
    for name, window in windows.named().items():
        labels = rows.filter(window.contains(pl.col(day)))[target]
        counts[name] = RowCounts(
            labelled=labels.count(),
            unlabelled=labels.null_count(),
            distinct=labels.drop_nulls().n_unique(),
            positives=int(labels.sum() or 0) if binary else None,
        )
    return counts


def known_classes(labels: pl.Series) -> tuple[str, ...]:
    """Classes with at least `CLASS_ROWS` training labels, in alphabetical order; all others cannot be told apart."""
    counts = labels.drop_nulls().value_counts()
    return tuple(sorted(counts.filter(pl.col("count") >= CLASS_ROWS)[labels.name].to_list()))


@dataclass(frozen=True, kw_only=True)
class TrainingManifest:
    """What a model was, or will be, made from. Equal content has an equal `id`, whenever it was written.

    Attributes:
        tables: Delta version of each lake table read, the feature table included.
        rows: Row counts by window name (`train`, `validation`, `test`).
        classes: Of a multiclass task, those that models tell apart; see `known_classes`.
        created_at: When it was written (UTC); not part of the identity.
        known_through: When the last label that counts became known (UTC); those that came later count as not there.
            None: all count.
        left_out: Labelled rows of each window that are left out, as their label may follow from an answer of the
            endpoint. None: the use case says that none does.
    """

    use_case: str
    tables: Mapping[str, int]
    windows: Windows
    rows: Mapping[str, RowCounts]
    features: tuple[str, ...]
    target: str
    seed: int
    code_version: str
    created_at: datetime
    classes: tuple[str, ...] = ()
    known_through: datetime | None = None
    left_out: Mapping[str, int] | None = None

    @property
    def id(self) -> str:
        """Sha256, 64 hex digits, of the canonical JSON of everything but the time of writing."""
        # What is None was not thought of when older manifests got their ids.
        content = {n: value for n, value in asdict(self).items() if n != "created_at" and value is not None}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def to_json(self) -> str:
        """The manifest and its id as JSON text, for people and for a model's artifacts."""
        return json.dumps({"id": self.id, **asdict(self)}, indent=2, sort_keys=True, default=_plain)

    @classmethod
    def from_json(cls, text: str) -> "TrainingManifest":
        """The manifest that `to_json` wrote.

        Raises:
            ValueError: If a field is absent or malformed, or the id in the text is not that of its content.
        """
        from pydantic import TypeAdapter

        content = json.loads(text)
        claimed = content.pop("id", None)
        manifest: TrainingManifest = TypeAdapter(cls).validate_python(_listed_as_tuples(content), strict=False)
        if claimed != manifest.id:
            raise ValueError(
                f"training manifest of {manifest.use_case!r} was altered: it says {claimed}, is {manifest.id}"
            )
        return manifest


def _listed_as_tuples(content: dict[str, object]) -> dict[str, object]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"a manifest holds plain values, not {type(value).__name__}")
