"""Scores of given answers, on rows with a known truth."""

from typing import Any

import numpy as np
import pytest

from pipelines.replay.scores import Gap, measure, period
from pipelines.replay.telling import gained
from tests.support.worlds import sigmoid


def answers(seed: int, days: int = 40, rows: int = 60, noise: float = 0.0) -> tuple[Any, Any, dict[str, Any]]:
    """Labels and days, the true probability, and the same off by as much noise, for each of two models."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.datetime64("2013-09-01") + np.arange(days), rows)
    odds = np.repeat(rng.normal(0, 0.6, days), rows) + rng.normal(0, 1, days * rows)
    label = (rng.random(len(odds)) < sigmoid(odds)).astype(np.int8)
    one, other = (sigmoid(odds + rng.normal(0, noise, len(odds))) for _ in range(2))
    return label, day, {"live": one, "never": other, "monthly": sigmoid(odds)}


def test_periods_are_days_then_months_then_all() -> None:
    label, day, said = answers(1)
    names = [period.name for period in measure("binary", label, day, said, seed=1)]
    assert names == [*(str(d) for d in np.unique(day)), "2013-09", "2013-10", "all"]


def test_a_gap_is_the_first_contender_minus_the_other() -> None:
    label, day, said = answers(2, noise=0.8)
    whole = measure("binary", label, day, said, seed=1)[-1]
    for metric in ("log_loss", "roc_auc"):
        gap = whole.gaps["monthly"][metric]
        difference = whole.scores["live"][metric] - whole.scores["monthly"][metric]
        assert gap.value == pytest.approx(difference)
    assert whole.gaps["monthly"]["log_loss"].low > 0  # noise costs
    assert whole.gaps["monthly"]["roc_auc"].high < 0


def test_equal_answers_have_no_gap_and_no_doubt() -> None:
    label, day, said = answers(3)
    gap = measure("binary", label, day, {"live": said["monthly"], "never": said["monthly"]}, seed=1)[-1].gaps["never"]
    assert (gap["log_loss"].value, gap["log_loss"].low, gap["log_loss"].high) == (0.0, 0.0, 0.0)
    assert gap["roc_auc"].value == 0.0


def test_a_day_of_one_class_has_no_auc_and_keeps_its_loss() -> None:
    label, day, said = answers(4)
    label[day == day[0]] = 0
    first = measure("binary", label, day, said, seed=1)[0]
    assert first.scores["live"]["roc_auc"] is None
    assert first.scores["live"]["log_loss"] is not None


def test_intervals_between_equally_good_models_miss_zero_about_as_seldom_as_they_say() -> None:
    missed = {"log_loss": 0, "roc_auc": 0}
    trials = 60
    for seed in range(trials):
        label, day, said = answers(1000 + seed, days=25, rows=30, noise=0.6)
        both = {"live": said["live"], "never": said["never"]}
        gaps = period("binary", "all", label, day, both, seed=seed).gaps["never"]
        for metric, gap in gaps.items():
            missed[metric] += not gap.low <= 0 <= gap.high
    # 95 %: 3 are expected of 60; 9 or more would happen once in 350 times.
    assert max(missed.values()) < 9
    assert min(missed.values()) >= 1  # nor so wide that they say nothing


@pytest.mark.parametrize(
    ("gap", "told"),
    [
        (Gap(value=-0.01, low=-0.02, high=-0.005), "gained 0.0100 log loss a row (95% interval 0.0050 to 0.0200)"),
        (Gap(value=0.01, low=0.005, high=0.02), "lost 0.0100 log loss a row (95% interval 0.0050 to 0.0200)"),
        (
            Gap(value=0.01, low=-0.01, high=0.02),
            "lost 0.0100 log loss a row (95% interval -0.0100 to 0.0200, which may be chance)",
        ),
        (Gap(value=0.0, low=0.0, high=0.0), "the same answers throughout"),
        (Gap(value=None, low=None, high=None, reason="there are no rows"), "not known (there are no rows)"),
    ],
)
def test_a_difference_is_told_as_what_was_gained_or_lost(gap: Gap, told: str) -> None:
    assert gained(gap, "log loss") == told
