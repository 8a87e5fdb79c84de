"""How a file writes its times: every column, or set of columns, that reads as a point in time, best first.

Belongs here: trying readings on the rows and saying how well they fit. Does not belong here: carrying a reading out
(`times.py`), and putting separate columns together (`times_columns.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Final

import polars as pl

from assets.logic.times import Epoch, Role, TimeSpec
from assets.logic.times_columns import column_sets, has_time_name
from assets.logic.times_formats import formats_of, other_order
from resources.errors import InputError

SAMPLE: Final = 1_000
"""Rows, evenly spread, on which a reading is tried before it is tried on all."""
EXAMPLES: Final = 5
"""Texts of a column whose shape suggests formats."""
LEAST_SHARE: Final = 0.5
"""A reading that fits fewer rows than this is not what the column holds."""
PLAUSIBLE: Final = (1900, 2100)
"""Years of which data is kept; a count or an id rarely falls inside when it is read as a date."""
EPOCHS: Final[tuple[tuple[Epoch, int], ...]] = (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9))
EPOCH_RANGE: Final = (946_684_800, 4_102_444_800)
"""Seconds from 2000 to 2100: smaller and greater counts are seldom times."""


@dataclass(frozen=True, kw_only=True)
class TimeFinding:
    """One way to read the time of the rows, and how well it fits.

    Attributes:
        share: Rows that parse, among those where something stands; 0.0 to 1.0.
        rows: Rows where something stands.
        first: Earliest instant (UTC).
        last: Latest instant (UTC).
        failures: Up to three values that do not parse.
        is_ambiguous: Day and month could be the other way round, and no row tells.
        note: What to know about this reading, in words; empty if there is nothing.
    """

    spec: TimeSpec
    share: float
    rows: int
    first: datetime
    last: datetime
    failures: tuple[str, ...] = ()
    is_ambiguous: bool = False
    note: str = ""


def detect(frame: pl.DataFrame, wanted: str | None, zone: str) -> list[TimeFinding]:
    """Readings of the time of the rows, best first; empty if nothing reads as a time.

    Best is: most rows parse, then a date with its clock before a date alone, then a column whose name speaks of time,
    then the order of the columns. Whether day or month comes first is told by rows that fit only one order. Where none
    does, the order wins in which the file is better sorted, then the one with more regular gaps; a tie is day first
    between dots and month first elsewhere. In these cases the finding says that it is ambiguous.

    Args:
        frame: The rows, columns as text or typed.
        wanted: Only readings with this column; None: all.
        zone: Time zone of what is written without an offset.

    Raises:
        InputError: If there is no column `wanted`.
        DeclarationError: If there is no such time zone.
    """
    if wanted is not None and wanted not in frame.columns:
        near = get_close_matches(wanted, frame.columns, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {frame.columns[:20]}"
        raise InputError(f"There is no column {wanted!r} for the time{hint}")
    sample = frame.gather_every(max(len(frame) // SAMPLE, 1))
    single = [finding for name in frame.columns for finding in _of_column(frame, sample, name, zone, name == wanted)]
    dates = [finding.spec for finding in single if finding.spec.epoch is None and _is_dates_alone(frame, finding)]
    sets = [spec for spec in column_sets(sample, dates, zone) if _share(sample, spec) >= LEAST_SHARE]
    found = [*single, *(finding for spec in sets if (finding := _finding(frame, spec)))]
    wanted_only = [f for f in found if wanted is None or wanted in f.spec.columns.values()]
    return sorted(wanted_only, key=lambda finding: _rank(finding, frame.columns))


def _of_column(
    frame: pl.DataFrame, sample: pl.DataFrame, name: str, zone: str, is_wanted: bool
) -> Iterator[TimeFinding]:
    """The readings of a single column; of two orders of day and month only the better one."""
    candidates = _candidates(sample[name], name, zone, is_wanted)
    shares = [(spec, _share(sample, spec)) for spec in candidates]
    fitting = [spec for spec, share in sorted(shares, key=lambda pair: -pair[1]) if share >= LEAST_SHARE]
    if not fitting:
        return
    finding = _finding(frame, fitting[0])
    other = None if fitting[0].format is None else other_order(fitting[0].format)
    if finding is not None and other is not None:
        finding = _in_order(frame, finding, replace(fitting[0], format=other))
    if finding is not None:
        yield finding


def _candidates(values: pl.Series, name: str, zone: str, is_wanted: bool) -> list[TimeSpec]:
    """Readings that the type, or the shape of a few of the values, suggests."""
    role: Role = "instant"
    if values.dtype in (pl.Date, pl.Datetime):
        return [TimeSpec(columns={role: name}, zone=zone)]
    if not (values.dtype == pl.String or values.dtype.is_integer()):
        return []
    texts = values.drop_nulls().cast(pl.String).str.strip_chars()
    texts = texts.filter(texts != "").unique(maintain_order=True)
    examples = texts.gather_every(max(len(texts) // EXAMPLES, 1)).to_list()
    if is_wanted:
        examples = texts.to_list()
    digits = [text for text in examples if re.fullmatch(r"-?\d+(\.\d+)?", text)]
    found = [TimeSpec(columns={role: name}, zone=zone, format=form) for form in _shapes(examples)]
    if any(re.match(r"\d{4}-\d{2}-\d{2}", text) for text in examples):
        found.insert(0, TimeSpec(columns={role: name}, zone=zone))
    for unit, size in EPOCHS if digits else ():
        low, high = (bound * size for bound in EPOCH_RANGE)
        if sum(low <= float(text) <= high for text in digits) * 2 > len(examples):
            found.append(TimeSpec(columns={role: name}, zone=zone, epoch=unit))
    return found


def _shapes(examples: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(form for text in examples for form in formats_of(text)))


def _parsed(frame: pl.DataFrame, spec: TimeSpec) -> pl.Series:
    """The instants of all rows; those outside the plausible years are null."""
    parsed = frame.select(_time=spec.parse(frame.schema))
    return parsed.select(pl.when(pl.col("_time").dt.year().is_between(*PLAUSIBLE)).then("_time")).to_series()


def _written(frame: pl.DataFrame, spec: TimeSpec) -> pl.Series:
    """Which rows hold something in every column of the reading."""
    texts = (pl.col(c).cast(pl.String).str.strip_chars() for c in spec.columns.values())
    return frame.select(pl.all_horizontal((text != "").fill_null(value=False) for text in texts)).to_series()


def _share(frame: pl.DataFrame, spec: TimeSpec) -> float:
    written = int(_written(frame, spec).sum())
    return _parsed(frame, spec).count() / written if written else 0.0


def _finding(frame: pl.DataFrame, spec: TimeSpec) -> TimeFinding | None:
    times, written = _parsed(frame, spec), _written(frame, spec)
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    failed = frame.filter(written & times.is_null()).head(3).select(spec.columns.values())
    failures = tuple(" ".join(str(value) for value in row) for row in failed.rows())
    rows = int(written.sum())
    share = times.count() / rows
    note = "" if share == 1.0 else f"{rows - times.count()} of {rows} rows do not parse, such as {failures[0]!r}"
    return TimeFinding(spec=spec, share=share, rows=rows, first=first, last=last, failures=failures, note=note)


def _in_order(frame: pl.DataFrame, finding: TimeFinding, other: TimeSpec) -> TimeFinding:
    """The finding with day and month in the order that the rows speak for, saying so where none does."""
    ours, theirs = _parsed(frame, finding.spec), _parsed(frame, other)
    only_ours, only_theirs = (
        (ours.is_not_null() & theirs.is_null()).sum(),
        (theirs.is_not_null() & ours.is_null()).sum(),
    )
    if only_ours != only_theirs:
        return finding if only_ours > only_theirs else (_finding(frame, other) or finding)
    mine, yours = _order(ours), _order(theirs)
    if mine == yours:
        is_better, why = _is_day_first(finding.spec) == ("." in str(other.format)), "as is usual with such separators"
    else:
        is_better, why = mine > yours, "because the rows are in better order that way"
    best = finding if is_better else (_finding(frame, other) or finding)
    order = "day" if _is_day_first(best.spec) else "month"
    note = f"no row tells whether day or month comes first; {order} first is taken, {why}"
    return replace(best, is_ambiguous=True, note=f"{note}; {best.note}" if best.note else note)


def _is_day_first(spec: TimeSpec) -> bool:
    return str(spec.format).index("%d") < str(spec.format).index("%m")


def _order(times: pl.Series) -> tuple[float, float]:
    """How well sorted the rows are (0.5 to 1.0), and the share of the most frequent gap between distinct times."""
    times = times.drop_nulls()
    steps = times.diff().drop_nulls()
    if steps.is_empty():
        return (0.0, 0.0)
    rising, falling = (int((steps * sign).dt.total_microseconds().ge(0).sum()) for sign in (1, -1))
    gaps = times.unique().sort().diff().drop_nulls()
    regular = gaps.value_counts()["count"].max() if len(gaps) else 0
    return (round(max(rising, falling) / len(steps), 6), float(str(regular)) / max(len(gaps), 1))


def _is_dates_alone(frame: pl.DataFrame, finding: TimeFinding) -> bool:
    form = finding.spec.format
    if form is not None:
        return "%H" not in form and "%I" not in form and "%d" in form
    values = frame[finding.spec.columns["instant"]]
    if values.dtype == pl.Date:
        return True
    return values.dtype == pl.String and not values.head(SAMPLE).str.contains(r"\d:\d").fill_null(value=False).any()


def _rank(finding: TimeFinding, columns: Sequence[str]) -> tuple[float, ...]:
    """Smaller is better."""
    spec = finding.spec
    named = any(has_time_name(column) for column in spec.columns.values())
    varies = finding.first < finding.last
    return (
        not varies, -round(finding.share, 1), not (named or spec.epoch is None), -len(spec.columns), not named,
        min(columns.index(column) for column in spec.columns.values()),
    )  # fmt: skip
