"""What a table tells about itself: its time, its target, its key, its leaks, and how it may be cut.

Belongs here: looking, and deciding where the table leaves no doubt. Does not belong here: what is written of it
(`writing.py`) and shown (`telling.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from assets.logic.profiling.labels import labels, require_column
from assets.logic.profiling.leaks import find_leaks
from assets.logic.profiling.profile import Profile, profile
from assets.logic.profiling.suggestions import Suggestion, suggest_roles
from assets.logic.profiling.suspicions import LeakWarning
from assets.logic.times import TimeSpec
from assets.logic.times_columns import has_time_name
from assets.logic.times_detection import TimeFinding, detect
from assets.policies import Task
from pipelines.declared.origin import AHEAD
from pipelines.starting.asking import Asked, asked_at, when_asked, when_known
from pipelines.starting.cutting import Cutting, cut
from pipelines.starting.keys import ChosenKey, choose_key
from pipelines.starting.questions import Asker
from pipelines.starting.sample import Sample
from resources.errors import InputError

FEWEST_ROWS: Final = 50
"""With fewer labelled rows nothing can be trained, let alone judged."""
CERTAIN: Final = 0.9
"""Share of a column that must read as times for it to be taken for one."""
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)


class StartError(InputError):
    """A table that no use case can be made of as it is; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the person asked for.

    Attributes:
        ahead: How long before the time of a row the question is asked: a length, or a column that says it.
        known_after: How long after the time of a row its outcome is known, a length; None: found out, else asked.
        key: Columns of the key; None: found out; empty: there is none.
    """

    target: str
    time: str | None = None
    ahead: str = "0h"
    known_after: str | None = None
    key: tuple[str, ...] | None = None
    zone: str = "UTC"
    task: Task | None = None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was found.

    Attributes:
        event_time: Instant of each sampled row (UTC), null where it cannot be read or believed.
        others: Other readings of the time that were possible.
        known_after: How long after the time of a row its outcome is known.
        times: How other columns of times are written, by column.
        future: Sampled rows dated after now, believable ones.
        implausible: Sampled rows whose time was read and cannot be believed.
    """

    sample: Sample
    time: TimeFinding
    event_time: pl.Series
    others: tuple[TimeFinding, ...]
    times: Mapping[str, TimeSpec]
    profile: Profile
    known_after: timedelta
    asked: Asked
    leaks: tuple[LeakWarning, ...]
    roles: Mapping[str, Suggestion]
    key: ChosenKey
    cutting: Cutting
    future: int = 0
    implausible: int = 0
    notes: tuple[str, ...] = field(default=())


def investigate(sample: Sample, wishes: Wishes, asker: Asker, now: datetime) -> Findings:
    """Look at a table, and ask only where it leaves a doubt.

    Args:
        sample: Its rows.
        wishes: What the person said already.
        asker: For the doubts.
        now: Present instant (UTC), for dates in the future.

    Raises:
        InputError: If there is no such target or time, nothing can be learnt from the target, or there is too little.
    """
    frame = sample.frame
    target = sample.renamed.get(wishes.target, wishes.target)
    require_column(target, frame.columns)
    labels(frame, target)  # a target that nothing can be learnt from is told before anything else
    time, others, times = _time(frame, wishes, asker, target)
    read = frame.select(time=time.spec.parse(frame.schema))["time"]
    believed = read.is_between(EARLIEST, now + AHEAD)
    event_time = read.set(~believed.fill_null(value=False), None)
    parts = [*time.spec.columns.values()]
    found = profile(
        frame, target, event_time, task=wishes.task, time_columns=[*parts, *times], is_time=lambda c: c.name in times
    )
    _require_enough(found, event_time)
    asked = when_asked(frame, wishes.ahead, times, event_time, parts)
    parsed = {name: frame.select(spec.parse(frame.schema).alias(name))[name] for name, spec in times.items()}
    leaks = find_leaks(
        frame,
        target,
        found.target.task,
        event_time,
        times={n: s for n, s in parsed.items() if n != asked.at},
        asked_at=asked_at(frame, asked, parsed, event_time),
        except_for=[*parts, *[n for n in (asked.lead, asked.at) if n]],
    )
    key = choose_key(frame, found, event_time, parts, wishes.key, [w.column for w in leaks], is_sample=sample.step > 1)
    return Findings(
        sample=sample,
        time=time,
        event_time=event_time,
        others=tuple(others),
        times=times,
        profile=found,
        known_after=when_known(found, wishes.known_after, asker),
        asked=asked,
        leaks=tuple(leaks),
        roles={s.column: s for s in suggest_roles(found, leaks)},
        key=key,
        cutting=cut(event_time, labels(frame, target).is_not_null(), wishes.zone, sample.step),
        future=int((event_time > now).sum()),
        implausible=int((~believed).sum()),
    )


def _time(
    frame: pl.DataFrame, wishes: Wishes, asker: Asker, target: str
) -> tuple[TimeFinding, list[TimeFinding], dict[str, TimeSpec]]:
    """The reading of the time, the other possible ones, and how further columns of times are written."""
    others = [f for f in detect(frame, None, wishes.zone) if target not in f.spec.columns.values()]
    found = others if wishes.time is None else detect(frame, wishes.time, wishes.zone)
    if not found:
        if wishes.time is None:
            raise StartError(
                "There is no column that reads as a time; a use case needs one. Name it with --time to see what is "
                "wrong with it, or write it as ISO 8601 (2024-01-31 13:45)."
            )
        raise StartError(
            f"Column {wishes.time!r} holds no time that can be read, but {frame[wishes.time].head(3).to_list()}. Name "
            "another one with --time, or write it as ISO 8601 (2024-01-31 13:45)."
        )
    best = _chosen(found, asker) if wishes.time is None else found[0]
    parts = {*best.spec.columns.values()}
    times = {f.spec.columns["instant"]: f.spec for f in reversed(others) if _is_certain(f)}
    return best, [f for f in found if f is not best], {n: s for n, s in times.items() if n not in parts}


def _chosen(found: Sequence[TimeFinding], asker: Asker) -> TimeFinding:
    """The best reading; a person is asked where others fit as well."""
    certain = [f for f in found if f.share >= CERTAIN] or [found[0]]
    by_name: dict[str, TimeFinding] = {}
    for finding in certain:
        by_name.setdefault("+".join(finding.spec.columns.values()), finding)
    if len(by_name) == 1:
        return found[0]
    return by_name[asker.choose("Which is the time a row is about?", [*by_name], "it reads best as a time")]


def _is_certain(finding: TimeFinding) -> bool:
    """Whether a column is one of times: numbers that could be counted seconds only if their name says so."""
    spec = finding.spec
    is_single = set(spec.columns) == {"instant"} and finding.share >= CERTAIN
    is_digits = spec.epoch is not None or spec.format == "%Y%m%d"
    return is_single and (not is_digits or has_time_name(spec.columns["instant"]))


def _require_enough(found: Profile, event_time: pl.Series) -> None:
    labelled = found.target.rows - found.target.missing
    days = event_time.dt.date().n_unique()
    if labelled < FEWEST_ROWS:
        raise StartError(
            f"The table has {found.rows:,} rows, of which {labelled} have an outcome; that is too little to train and "
            f"judge a model. Deliver at least {FEWEST_ROWS}, better {20 * FEWEST_ROWS}."
        )
    if days < 7:
        raise StartError(
            f"All rows lie on {days} day(s), and a model is judged on days after those it learnt from. Deliver rows of "
            "at least 7 days, or name another time with --time."
        )
