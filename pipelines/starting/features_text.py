"""The features that a guided start writes down: the default choice, held against what the data can carry.

Belongs here: leaving out what the table cannot fill. Does not belong here: the default choice
(`pipelines/declared/defaults.py`).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from assets.logic.feature_blocks.calendar import Part
from assets.logic.profiling.suggestions import MANY_CATEGORIES
from pipelines.declared.defaults import default_baselines, default_features
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_features import Calendar, Features, Frequency
from pipelines.starting.findings import Findings
from pipelines.starting.yaml_text import comment, flow, items

A_YEAR: Final = timedelta(days=364)
ROOM: Final = 3
"""A window is not worth it if the table is shorter than so many of it."""
MOST_INPUTS: Final = 500
"""Of more inputs, all are taken in, and these are used: a request has to hold them."""


def fitting_features(declared: UseCaseDeclaration, found: Findings) -> Features:
    """The default features that these rows can fill."""
    chosen = default_features(declared)
    wide = {c.name for c in found.profile.columns if c.distinct > MANY_CATEGORIES}
    wide &= {n for n in chosen.as_is if declared.columns[n].type == "text"}
    span = timedelta(days=found.cutting.days)
    shorter = timedelta(days=max(7, span.days // ROOM // 7 * 7))

    def fits(length: timedelta) -> bool:
        return ROOM * length <= span

    def trimmed(entries: Any) -> Any:
        made = (e.model_copy(update={"over": tuple(filter(fits, e.over)) or (shorter,)}) for e in entries)
        return tuple(made)

    # A rate says all that a frequency says of a category with too many values to be used as it stands.
    numbered = {n for entry in (*chosen.target_rate, *chosen.frequency) for n in entry.by}
    counted = sorted(wide - numbered)
    return chosen.model_copy(
        update={
            "as_is": tuple(n for n in chosen.as_is if n not in wide)[:MOST_INPUTS],
            "calendar": (Calendar(parts=tuple(_parts(found, span))),),
            "lags": tuple(
                lag.model_copy(update={"ago": ago})
                for lag in chosen.lags
                if (ago := tuple(a for a in lag.ago if 2 * a <= span))
            ),
            "windows": trimmed(chosen.windows),
            "frequency": (*trimmed(chosen.frequency), *(Frequency(by=(n,), over=(shorter,)) for n in counted)),
            "target_rate": trimmed(chosen.target_rate),
        }
    )


def feature_lines(declared: UseCaseDeclaration, found: Findings) -> Iterator[str]:
    """The field `features`, and the baselines that follow from it."""
    features = fitting_features(declared, found)
    yield from comment("Features without code, all through the same as-of functions: what was known at the question.")
    yield "features:"
    for name in Features.model_fields:
        entries = getattr(features, name)
        if name in ("as_is", "text_length") and entries:
            yield f"  {name}: {flow(entries)}"
        elif entries:
            yield from items(name, [e.model_dump(exclude_unset=True) for e in entries], indent=2)
    if baselines := default_baselines(declared, features):
        yield from comment("What any model has to beat, besides the mean.")
        yield f"baselines: {flow(baselines)}"
    yield ""


def _parts(found: Findings, span: timedelta) -> Iterator[Part]:
    """Parts of the calendar that differ between rows, and of which the table has seen enough."""
    local = found.event_time.drop_nulls().dt.convert_time_zone(found.time.spec.zone)
    if local.dt.hour().n_unique() > 1:
        yield "hour"
    if local.dt.weekday().n_unique() > 1:
        yield from ("weekday", "is_weekend")
    if span >= A_YEAR or found.cutting.every == "month":
        yield "month"
    elif local.dt.weekday().n_unique() == 1:
        yield "day_of_month"
