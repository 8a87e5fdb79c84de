"""The days of a replay: the line comes up to the first one, then one day after the other happens.

Belongs here: the order of events of a day. Does not belong here: ticks (`ticking.py`), and what the days add up to
(`summary.py`).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import dagster as dg

from pipelines.line import Line
from pipelines.progress import Echo
from pipelines.replay.application import Played, play
from pipelines.replay.folder import ONE_DAY, ReplayError
from pipelines.replay.monthly import prepare_monthly
from pipelines.replay.outside import delivered_at
from pipelines.replay.ticking import Happened, fire, firings, settle
from pipelines.replay.world import World
from pipelines.upkeep import champion_of

TICKS: Final = (timedelta(minutes=5), timedelta(hours=9), timedelta(hours=18))
"""After the delivery: when every sensor ticks even if nothing happened. What was landing at that moment is there by the
first, and what waits for quiet hours to end needs the others."""


def come_up(world: World, echo: Echo) -> None:
    """Bring the line up to the day before the first one: what had landed is taken in, a first model is champion.

    Raises:
        ReplayError: If no model is good enough to begin with.
        LineError: If a step fails.
    """
    about = world.folder.about()
    if about.initial is not None:
        return
    partitions = world.use_case.partitions
    world.advance(delivered_at(partitions, about.first - ONE_DAY))
    landed = world.outside.deliver_before(about.first)
    echo(f"{len(landed)} files landed before {about.first}; the line takes them in")
    line = Line(use_case=world.use_case, defs=world.defs, instance=world.instance, echo=echo)
    line.ingest()
    if world.registry.champion(world.use_case.name) is None:
        line.job("train", only=world.assets_of("train"))
    line.score()
    champion = world.registry.champion(world.use_case.name)
    if champion is None:
        raise ReplayError(f"no model of {about.use_case} is good enough to begin with on {about.first}")
    world.folder.write_about(replace(about, initial=champion.number))
    world.folder.fired(world.clock.now())


def happen(world: World, day: date) -> dict[str, Any]:
    """Let one day happen, and what the night after it brings; what happened is put on record and returned.

    A day that was cut short goes on after the last time that was carried out, with what is on record of it. What was
    done at the next time is not done twice, as its run keys and files are known.
    """
    began, happened, partitions = time.monotonic(), Happened.so_far(world), world.use_case.partitions
    _timed(happened, "monthly model", lambda: prepare_monthly(world, day))
    played = Played()
    _timed(happened, "application", lambda: play(world, day, played))
    world.advance(delivered_at(partitions, day))
    landed = world.outside.deliver(day)
    _through(world, delivered_at(partitions, day), delivered_at(partitions, day + ONE_DAY), happened)
    record = {
        "day": str(day),
        "delivered_at": delivered_at(partitions, day).isoformat(),
        "until": delivered_at(partitions, day + ONE_DAY).isoformat(),
        "files": [arrival.path for arrival in landed],
        "partitions": sorted({arrival.partition for arrival in landed if arrival.partition is not None}),
        "bytes": sum(arrival.size for arrival in landed),
        "runs": happened.runs,
        "faults": happened.faults,
        "asked": played.asked,
        "told": played.told,
        "observed": played.observed,
        "live": champion_of(world.use_case, world.lake),
        "seconds": {"all": time.monotonic() - began, **happened.seconds},
    }
    world.folder.add_day(record)
    return record


def _through(world: World, delivered: datetime, until: datetime, happened: Happened) -> None:
    """Carry out, in order of time, what falls between one delivery and the next."""
    after = world.folder.fired_until() or delivered
    ticks = [delivered + later for later in TICKS]
    due: list[tuple[datetime, dg.ScheduleDefinition | None]] = [(at, None) for at in ticks if at > after]
    due += firings(world, after, until - timedelta(microseconds=1))
    for at, together in groupby(sorted(due, key=lambda one: one[0]), key=lambda one: one[0]):
        world.advance(at)
        for _, schedule in together:
            if schedule is None or fire(world, schedule, at, happened):
                settle(world, happened)
        world.folder.fired(at)


def _timed(happened: Happened, what: str, do: Callable[[], object]) -> None:
    began = time.monotonic()
    do()
    happened.seconds[what] += time.monotonic() - began
