"""What a guided start tells of a table, in the order in which a person wants to know it.

Belongs here: words. Does not belong here: what was found (`findings.py`), and the file (`writing.py`).
"""

from collections.abc import Iterator
from typing import Final

from assets.logic.profiling.column_profile import ColumnProfile
from assets.logic.profiling.values import quoted
from pipelines.declared.words import written
from pipelines.starting.findings import Findings
from pipelines.starting.writing import SOME_MISFITS
from resources.dialects import Dialect

MOST_COLUMNS: Final = 40
MOST_CLASSES: Final = 8
MANY_NOTES: Final = 15


def told(found: Findings, dialect: Dialect | None) -> Iterator[str]:
    """The lines to show."""
    sample, table = found.sample, found.profile
    looked = "" if sample.step == 1 else f", of which every {sample.step}th was looked at"
    yield f"{sample.rows:,} rows x {len(table.columns)} columns{looked}"
    if dialect is not None:
        comma = ", decimal comma" if dialect.decimal_comma else ""
        nulls = [n for n in dialect.null_values if n]
        missing = f", missing values written as {quoted(nulls)}" if nulls else ""
        yield f"CSV: {dialect.encoding}, delimiter {dialect.delimiter!r}, quote {dialect.quote!r}{comma}{missing}"
    yield from table.notes
    yield from (
        f"column {there!r} is called {here!r}: the line needs that name" for here, there in sample.there.items()
    )
    yield ""
    yield from _time(found)
    yield from _target(found)
    yield f"Key: {', '.join(found.key.columns) or 'none'}. {found.key.reason}"
    yield from _columns(found)
    yield from _leaks(found)


def _time(found: Findings) -> Iterator[str]:
    time = found.time
    yield f"Time: {time.spec.describe()}; {time.first:%Y-%m-%d %H:%M} to {time.last:%Y-%m-%d %H:%M} UTC"
    missing = found.event_time.null_count() - found.implausible
    if missing:
        share = missing / len(found.event_time)
        such = f", such as {quoted([*dict.fromkeys(time.failures)])}" if time.failures else ""
        yield f"  {missing:,} rows ({share:.1%}) have no time that parses{such}; they go to quarantine with the reason"
    if found.implausible:
        yield f"  {found.implausible:,} rows are dated before 1900 or more than a year ahead; they go to quarantine"
    if found.future:
        yield f"  {found.future:,} rows are dated in the future; they wait in the landing zone until their day has come"
    if time.is_ambiguous:
        yield f"  {time.note}; if that is wrong, change time.format"
    if found.others:
        also = ", ".join(" + ".join(o.spec.columns.values()) for o in found.others[:3])
        yield f"  It could also be {also}; then say --time"
    cutting = found.cutting
    yield f"  Cut by the {cutting.every} from {cutting.start}; the last {cutting.window.days} days are the test"


def _target(found: Findings) -> Iterator[str]:
    target = found.profile.target
    yield f"Target: {target.name}, {target.task}, because {target.reason}"
    if target.positive is not None:
        yield f"  {target.positive!r} counts as 1"
    for one in target.classes[:MOST_CLASSES]:
        rare, late = ", rare" if one.is_rare else "", f", first on {one.first_seen:%Y-%m-%d}" if one.first_seen else ""
        yield f"  {one.value}: {one.rows:,} rows, {one.share:.1%}{late if one.is_late else ''}{rare}"
    if len(target.classes) > MOST_CLASSES:
        yield f"  and {len(target.classes) - MOST_CLASSES} more classes"
    if target.quantiles is not None:
        low, middle, high = target.quantiles
        yield f"  from {low:g} to {high:g}, half of them up to {middle:g}"
    yield from (f"  {note}" for note in target.notes)
    yield f"  Known {written(found.known_after)} after the time of its row" if found.known_after else "  Known at once"


def _columns(found: Findings) -> Iterator[str]:
    yield "Columns:"
    parts = found.time.spec.columns.values()
    shown = [c for c in found.profile.columns if c.name not in parts and c.name != found.profile.target.name]
    width = max((len(c.name) for c in shown[:MOST_COLUMNS]), default=0)
    for column in shown[:MOST_COLUMNS]:
        role = "input" if column.name in found.key.columns else found.roles[column.name].role
        gaps = f", {column.missing / column.rows:.0%} missing" if column.missing else ""
        yield f"  {column.name:<{width}}  {column.kind:<10} {role:<11} {column.distinct:,} different{gaps}"
    if len(shown) > MOST_COLUMNS:
        yield f"  and {len(shown) - MOST_COLUMNS:,} more, all in the file"
    notes = [note for c in shown for note in _notes(c)]
    yield from (f"  {note}" for note in notes[:MANY_NOTES])


def _notes(column: ColumnProfile) -> list[str]:
    """What stands in the profile, except what becomes of misfits: that is decided here."""
    notes = [n for n in column.notes if "holds numbers, but" not in n]
    if not column.misfit_rows:
        return notes
    share = column.misfit_rows / max(column.filled, 1)
    fate = "count as missing" if share > SOME_MISFITS else "send their rows to quarantine"
    such = quoted(list(column.misfits))
    return [f"{column.name!r} holds numbers, but {share:.1%} of its values are none ({such}); they {fate}.", *notes]


def _leaks(found: Findings) -> Iterator[str]:
    if not found.leaks:
        yield "Leaks: no column gives the outcome away"
        return
    yield f"LEAK WARNING: {len(found.leaks)} column(s) may know the outcome; they are written as known later:"
    for leak in found.leaks:
        yield f"  {leak.column or '(order of the rows)'}: {leak.sentence}"
