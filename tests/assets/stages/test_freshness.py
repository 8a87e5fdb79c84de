"""How old an asset may become."""

from dataclasses import replace
from datetime import date, timedelta
from typing import get_args

import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from assets.automation import Automation, DriftPolicy, PerformancePolicy
from assets.contracts import Partitions, UseCase
from assets.stages.features import build_features_asset
from assets.stages.freshness import Watched, freshness
from assets.stages.raw import build_raw
from tests.support.toy_use_case import PARCELS, STORMS, TOY

DAY = timedelta(days=1)


def of(every: str) -> UseCase:
    windows = Automation(drift=DriftPolicy(window=93 * DAY), performance=PerformancePolicy(window=93 * DAY))
    partitions = Partitions(start=date(2018, 1, 1), every=every)  # type: ignore[arg-type]
    return replace(TOY, partitions=partitions, automation=windows)


@pytest.mark.parametrize(("every", "warn", "fail"), [("day", 1.5, 3), ("week", 10.5, 21), ("month", 46.5, 93)])
def test_data_may_be_late_in_proportion_to_its_partitions(every: str, warn: float, fail: float) -> None:
    policy = freshness(of(every), "raw")
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert (policy.warn_window.to_timedelta(), policy.fail_window.to_timedelta()) == (warn * DAY, fail * DAY)


def test_no_stage_is_stale_before_the_one_it_is_made_of() -> None:
    fails = [freshness(TOY, stage).fail_window.to_timedelta() for stage in get_args(Watched)]  # type: ignore[attr-defined]
    assert fails == sorted(fails)


def test_what_arrives_by_partition_has_a_policy_and_what_is_landed_once_has_none() -> None:
    assets = {
        "features": build_features_asset(TOY),
        "parcels": build_raw(TOY, PARCELS),
        "storms": build_raw(TOY, STORMS),
    }
    policies = {name: next(iter(asset.specs)).freshness_policy for name, asset in assets.items()}
    assert policies == {"features": freshness(TOY, "features"), "parcels": freshness(TOY, "raw"), "storms": None}
