"""An automation that contradicts the rest of its use case is refused when it is declared, by the name of the field."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from assets.automation import Automation, DriftPolicy, PerformancePolicy, RetrainingPolicy
from assets.partitions import Partitions
from assets.policies import DeclarationError
from tests.support.toy_use_case import TOY

MONTHS = Partitions(start=date(2024, 1, 1), every="month")


@pytest.mark.parametrize(
    ("automation", "says"),
    [
        (
            Automation(drift=DriftPolicy(reported_only=("wether",))),
            r"drift\.reported_only: holds \['wether'\], .* known",
        ),
        (
            Automation(retraining=RetrainingPolicy(every=timedelta(days=2))),
            r"retraining\.every: is 2 days, and cool_do",
        ),
    ],
)
def test_a_contradiction_is_refused_by_field(automation: Automation, says: str) -> None:
    with pytest.raises(DeclarationError, match=f"use case 'toy', field automation.{says}".replace("toy", TOY.name)):
        replace(TOY, automation=automation)


def test_a_window_shorter_than_a_partition_is_refused() -> None:
    with pytest.raises(
        DeclarationError, match=r"field automation\.drift\.window: is 14 days, and a month has up to 31"
    ):
        replace(TOY, partitions=MONTHS)


def test_windows_as_long_as_a_partition_are_taken() -> None:
    longest = timedelta(days=31)
    automation = Automation(drift=DriftPolicy(window=longest), performance=PerformancePolicy(window=longest))
    assert replace(TOY, partitions=MONTHS, automation=automation).automation == automation


@pytest.mark.parametrize("group", ["history", "prediction", "label"])
def test_every_group_of_the_report_can_be_reported_only(group: str) -> None:
    automation = Automation(drift=DriftPolicy(reported_only=(group,)))
    assert replace(TOY, automation=automation).automation.drift.reported_only == (group,)


@pytest.mark.parametrize("group", ["prediction", "label"])
def test_no_group_of_features_is_called_as_one_that_the_report_has_itself(group: str) -> None:
    features = (*TOY.features[1:], replace(TOY.features[0], group=group))
    with pytest.raises(DeclarationError, match=rf"field features has groups \['{group}'\]"):
        replace(TOY, features=features)
