"""What the lake and the monitors say becomes evidence once per event, with figures, or says why there is none."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl
import pytest

from assets.automation import Automation, DriftPolicy, RetrainingPolicy
from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, UseCase
from assets.logic.retraining import Evidence, Missing
from assets.policies import TimeSplit
from assets.stages.champion import LEDGER
from assets.stages.common import table_name
from assets.stages.evidence import gather, last_training
from resources.lake import Lake
from tests.support.retraining import CHAMPION, COMMIT, DAY, HOUR, NOW, judged
from tests.support.toy_use_case import TOY

TODAY = NOW.date()
WEEK = 7 * DAY
USE_CASE = replace(
    TOY,
    split=TimeSplit(validation=5 * DAY, test=5 * DAY),
    automation=Automation(
        retraining=RetrainingPolicy(new_days=10, every=30 * DAY, stale_after=2 * DAY), drift=DriftPolicy(window=WEEK)
    ),
)


@dataclass(frozen=True)
class World:
    lake: Lake
    instance: dg.DagsterInstance
    use_case: UseCase = USE_CASE

    def evidence(self, trigger: str, at: datetime = NOW) -> Evidence | Missing | None:
        given = gather(self.use_case, self.lake, self.instance, at)
        assert len({e.trigger for e in given}) == len(given)
        return next((e for e in given if e.trigger == trigger), None)

    def labelled(self, first: date, days: int, known_at: datetime = NOW, label: int | None = 1) -> None:
        keys = [str(first + n * DAY) for n in range(days)]
        frame = pl.DataFrame(
            {PARTITION_KEY: keys, "is_late": [label] * days, LABEL_KNOWN_AT: [known_at] * days, "due_at": [NOW] * days},
            schema_overrides={"is_late": pl.Int8, LABEL_KNOWN_AT: UTC_TYPE, "due_at": UTC_TYPE},
        )
        self.lake.write(table_name(TOY, "features"), frame, partitions=keys, commit=COMMIT)

    def watched(
        self,
        monitor: Literal["drift", "performance"],
        partition: date,
        is_alarm: bool | None,
        at: datetime | None = NOW,
        **changes: Any,
    ) -> None:
        rows = (_drift if monitor == "drift" else _performance)(partition, is_alarm, **changes)
        table = table_name(TOY, f"{monitor}_windows")
        self.lake.write(table, rows, partitions=[str(partition)], commit=COMMIT)
        if at is not None:
            key = dg.AssetKey(["parcels", f"{monitor}_report"])
            told = {"judged_at": at.isoformat()}
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=str(partition), metadata=told)
            )


UTC_TYPE = pl.Datetime("us", "UTC")


def _drift(partition: date, is_alarm: bool | None, reference: str = CHAMPION, note: str | None = None) -> pl.DataFrame:
    score = None if note else (1.5 if is_alarm else 0.5)
    row = {
        PARTITION_KEY: str(partition),
        "window_start": partition - 6 * DAY,
        "window_end": partition,
        "rows": 100,
        "reference": reference,
        "model_version": reference,
        "note": note,
    }
    groups = [
        row | {"group": "storms", "score": score, "is_drifted": is_alarm, "worst_column": "wind_kmh"},
        row | {"group": "parcel", "score": None if note else 0.2, "is_drifted": False, "worst_column": "weight"},
    ]
    return pl.DataFrame(groups, schema_overrides={"score": pl.Float64, "note": pl.String})


def _performance(
    partition: date, is_alarm: bool | None, model: str = CHAMPION, note: str | None = None
) -> pl.DataFrame:
    row = {
        PARTITION_KEY: str(partition),
        "window_end": partition,
        "loss": None if is_alarm is None else 0.5,
        "baseline_loss": 0.6,
        "expected_loss": 0.4,
        "chart_alarms": ["EWMA of the residual"] if is_alarm else [],
        "is_out_of_control": is_alarm,
        "model_version": model,
        "note": note,
    }
    types = {"loss": pl.Float64, "note": pl.String, "chart_alarms": pl.List(pl.String), "is_out_of_control": pl.Boolean}
    return pl.DataFrame([row], schema_overrides=types)


@pytest.fixture
def untrained(tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(Lake(root=str(tmp_path / "lake")), instance)


@pytest.fixture
def world(untrained: World) -> World:
    """Promoted twenty days ago, tested through 14 February; it is 14 March."""
    judged(untrained.lake, NOW - 20 * DAY)
    return untrained


def test_new_days_with_labels_are_counted_from_the_last_tested_day(world: World) -> None:
    world.labelled(date(2020, 2, 1), 14 + 9)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.facts["days"], evidence.facts["newest"]) == (False, 9, "2020-02-23")
    world.labelled(date(2020, 2, 24), 1)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.id) == (True, "new_data/2020-02-14/1")
    assert "10 days with labels have come since 2020-02-14" in evidence.why


def test_labels_that_are_not_known_yet_do_not_count(world: World) -> None:
    world.labelled(date(2020, 2, 15), 5, label=None)
    world.labelled(date(2020, 2, 20), 5, known_at=NOW + HOUR)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert evidence.facts["days"] == 0


def test_as_many_new_days_again_are_a_new_event(world: World) -> None:
    world.labelled(date(2020, 2, 15), 20)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert evidence.id == "new_data/2020-02-14/2"


def test_new_days_are_counted_from_a_training_that_lost_too(world: World) -> None:
    judged(world.lake, NOW - DAY, decision="kept", tested_through=date(2020, 3, 10))
    world.labelled(date(2020, 2, 15), 27)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.facts["days"]) == (False, 2)


def test_a_ledger_that_does_not_say_through_which_day_it_was_tested_is_missing_evidence(world: World) -> None:
    judged(world.lake, NOW - DAY, tested_through=None)
    evidence = world.evidence("new_data")
    assert isinstance(evidence, Missing)
    assert "does not say through which day" in evidence.why


def test_a_ledger_from_before_that_was_kept_is_read_too(untrained: World) -> None:
    judged(untrained.lake, NOW - DAY)
    table = table_name(TOY, LEDGER)
    old = untrained.lake.scan(table).collect().drop("tested_through")
    older = Lake(root=untrained.lake.root + "_old")
    older.append(table, old, COMMIT)
    assert isinstance(replace(untrained, lake=older).evidence("new_data"), Missing)


@pytest.mark.parametrize(("days", "fired"), [(19, False), (20, True)])
def test_a_first_training_waits_for_days_to_train_on_besides_the_windows(
    untrained: World, days: int, fired: bool
) -> None:
    untrained.labelled(date(2020, 1, 1), days)
    evidence = untrained.evidence("new_data")
    assert isinstance(evidence, Evidence)
    assert evidence.fired is fired
    assert "No model was ever trained" in evidence.why


def test_without_a_training_there_is_nothing_but_new_data_to_speak_of(untrained: World) -> None:
    assert [e.trigger for e in gather(USE_CASE, untrained.lake, untrained.instance, NOW)] == ["new_data"]


def test_without_a_model_that_was_good_enough_there_is_nothing_to_monitor(untrained: World) -> None:
    judged(untrained.lake, NOW - DAY, decision="refused", model_version=None)
    found = gather(USE_CASE, untrained.lake, untrained.instance, NOW)
    assert [e.trigger for e in found] == ["new_data", "age"]


@pytest.mark.parametrize(("days", "fired", "name"), [(9, False, "/0"), (10, True, "/1"), (40, True, "/2")])
def test_a_training_that_is_too_long_ago_is_one_event_each_time_it_is_due(
    world: World, days: int, fired: bool, name: str
) -> None:
    evidence = world.evidence("age", NOW + days * DAY)
    assert isinstance(evidence, Evidence)
    assert evidence.fired is fired
    assert evidence.id == f"age/2020-02-23T06:00:00{name}"


def test_age_is_no_reason_where_the_policy_names_none(world: World) -> None:
    own = replace(USE_CASE, automation=Automation(retraining=RetrainingPolicy(every=None)))
    assert replace(world, use_case=own).evidence("age") is None


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new(world: World) -> None:
    evidence = world.evidence("age", NOW - 300 * DAY)
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.facts["days"]) == (False, 0)


def test_the_champion_is_live_since_its_promotion_whoever_lost_against_it(world: World) -> None:
    judged(world.lake, NOW - DAY, decision="kept")
    last = last_training(USE_CASE, world.lake)
    assert last is not None
    assert (last.judged_at, last.live_since, last.champion) == (NOW - DAY, NOW - 20 * DAY, CHAMPION)


def test_drift_in_the_newest_window_fires_and_names_its_groups(world: World) -> None:
    world.watched("drift", TODAY - DAY, False)
    world.watched("drift", TODAY, True)
    evidence = world.evidence("drift")
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.id) == (True, "drift/2020-03-14/parcels/7")
    assert "to 2020-03-14: storms, wind_kmh the most (1.50 times the limit)" in evidence.why
    assert evidence.facts["storms"] == 1.5
    assert evidence.observed_at == NOW
    assert evidence.link == "/assets/parcels/drift_report?partition=2020-03-14"


def test_no_drift_in_the_newest_window_does_not_fire_whatever_was_before(world: World) -> None:
    world.watched("drift", TODAY - DAY, True)
    world.watched("drift", TODAY, False)
    evidence = world.evidence("drift")
    assert isinstance(evidence, Evidence)
    assert not evidence.fired


@pytest.mark.parametrize(
    ("days", "since"),
    [(1, TODAY), (3, TODAY - 2 * DAY), (7, TODAY - 6 * DAY), (8, TODAY), (40, TODAY - 4 * DAY)],
)
def test_an_alarm_that_lasts_is_one_event_until_its_window_holds_other_days(
    world: World, days: int, since: date
) -> None:
    for back in range(days):
        world.watched("drift", TODAY - back * DAY, True, at=NOW if back == 0 else None)
    evidence = world.evidence("drift")
    assert isinstance(evidence, Evidence)
    assert evidence.id == f"drift/{since}/parcels/7"


@pytest.mark.parametrize("between", ["quiet", "gap", "other model"])
def test_an_alarm_that_was_interrupted_is_a_new_event(world: World, between: str) -> None:
    world.watched("drift", TODAY - 2 * DAY, True)
    if between != "gap":
        model = "parcels/6" if between == "other model" else CHAMPION
        world.watched("drift", TODAY - DAY, between == "other model", reference=model)
    world.watched("drift", TODAY, True)
    evidence = world.evidence("drift")
    assert isinstance(evidence, Evidence)
    assert evidence.id == "drift/2020-03-14/parcels/7"


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_an_alarm_about_a_model_that_is_not_live_any_more_does_not_fire(
    world: World, monitor: Literal["drift", "performance"]
) -> None:
    about = {"reference": "parcels/6"} if monitor == "drift" else {"model": "parcels/6"}
    world.watched(monitor, TODAY, True, **about)
    evidence = world.evidence(monitor)
    assert isinstance(evidence, Evidence)
    assert not evidence.fired
    assert "That is about parcels/6, and parcels/7 is live." in evidence.why


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_evidence_is_as_old_as_the_verdict_on_the_newest_partition(
    world: World, monitor: Literal["drift", "performance"]
) -> None:
    world.watched(monitor, TODAY, True, at=NOW - 5 * DAY)
    world.watched(monitor, TODAY - DAY, True, at=NOW)  # an older day that was judged anew
    evidence = world.evidence(monitor)
    assert isinstance(evidence, Evidence)
    assert evidence.observed_at == NOW - 5 * DAY


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_a_monitor_without_any_result_is_missing_once_the_champion_is_not_new(
    untrained: World, monitor: Literal["drift", "performance"]
) -> None:
    judged(untrained.lake, NOW)
    early, late = untrained.evidence(monitor, NOW + DAY), untrained.evidence(monitor, NOW + 3 * DAY)
    assert isinstance(early, Evidence)
    assert not early.fired
    assert isinstance(late, Missing)
    assert late.id == f"{monitor}/missing/parcels/7"


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_a_verdict_that_no_run_is_on_record_for_is_missing(
    world: World, monitor: Literal["drift", "performance"]
) -> None:
    world.watched(monitor, TODAY, True, at=None)
    assert isinstance(world.evidence(monitor), Missing)


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_a_window_that_could_not_be_judged_is_missing_with_its_reason(
    world: World, monitor: Literal["drift", "performance"]
) -> None:
    is_alarm = False if monitor == "drift" else None
    world.watched(monitor, TODAY, is_alarm, note="there is no reference")
    evidence = world.evidence(monitor)
    assert isinstance(evidence, Missing)
    assert "there is no reference" in evidence.why


@pytest.mark.parametrize("monitor", ["drift", "performance"])
def test_evidence_that_goes_missing_again_has_another_name_and_keeps_it_while_it_lasts(
    world: World, monitor: Literal["drift", "performance"]
) -> None:
    unjudged = False if monitor == "drift" else None
    names = []
    for back in range(6, 0, -1):
        is_judged = back == 4
        world.watched(monitor, TODAY - back * DAY, False if is_judged else unjudged, note=None if is_judged else "why")
        names.append(world.evidence(monitor).id.rpartition("/")[2])
    first, again = (str(TODAY - back * DAY) for back in (6, 3))
    assert names == [first, first, "7", again, again, again]


def test_scores_out_of_control_fire_and_name_the_chart(world: World) -> None:
    world.watched("performance", TODAY, True)
    evidence = world.evidence("performance")
    assert isinstance(evidence, Evidence)
    assert (evidence.fired, evidence.id) == (True, "performance/2020-03-14/parcels/7")
    assert "EWMA of the residual" in evidence.why
    assert (evidence.facts["loss"], evidence.facts["baseline_loss"]) == (0.5, 0.6)


def test_the_time_of_the_event_stands_in_where_a_monitor_does_not_tell_its_own(world: World) -> None:
    world.watched("drift", TODAY, True, at=None)
    before = datetime.now(UTC) - timedelta(seconds=1)
    key = dg.AssetKey(["parcels", "drift_report"])
    world.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=str(TODAY)))
    evidence = world.evidence("drift")
    assert isinstance(evidence, Evidence)
    assert evidence.observed_at >= before
