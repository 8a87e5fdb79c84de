"""Limits from some dozen days keep the run length they promise, on simulated models, and find what went wrong.

The run length is averaged over models: each has its own days in control, from which its limits come, and many days
after, on which its false alarms are counted. Between models it varies much, which is why tolerances are wide.
"""

from functools import cache

import numpy as np
import pytest

from assets.logic.chart_limits import MINIMUM_DAYS, TooFewDaysError, calibrated
from assets.logic.control_chart import CHARTS, CHARTS_OF, ControlCharts, charted

RUN_LENGTH, WINDOW = 370, 30
MODELS, SEQUENCES, DAYS = 20, 40, 200


def days(kind: str, random: np.random.Generator, sequences: int, length: int) -> np.ndarray:
    """Days of a model in control, shape (sequences, length, 3): mean 0, spread 1, the first two statistics related."""
    shape = (sequences, length + 30, 3)
    drawn = random.standard_t(4, size=shape) / np.sqrt(2) if kind == "heavy tails" else random.normal(size=shape)
    drawn[..., 1] = 0.6 * drawn[..., 0] + 0.8 * drawn[..., 1]
    correlation = 0.3 if kind == "correlated" else 0.0
    drawn[:, 1:] *= np.sqrt(1 - correlation**2)
    for day in range(1, length + 30):
        drawn[:, day] += correlation * drawn[:, day - 1]
    return drawn[:, 30:]


@cache
def models(kind: str) -> list[ControlCharts]:
    random = np.random.default_rng(20)
    return [
        calibrated(days(kind, random, 1, 31)[0], window=WINDOW, run_length=RUN_LENGTH, seed=number)
        for number in range(MODELS)
    ]


def is_out(charts: ControlCharts, after: np.ndarray) -> np.ndarray:
    """Whether any chart is out of control on each day."""
    limits = np.array([charts.limits[name] for name in CHARTS])
    beyond = charted((after - charts.centre) / charts.spread, WINDOW) > limits
    return np.asarray(beyond.any(axis=-1))


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "correlated"])
def test_false_alarms_are_half_to_four_times_as_far_apart_as_asked(kind: str) -> None:
    random = np.random.default_rng(21)
    alarms = total = 0
    for charts in models(kind):
        out = is_out(charts, days(kind, random, SEQUENCES, DAYS))
        alarms += int((out[:, 1:] & ~out[:, :-1]).sum() + out[:, 0].sum())
        total += out.size
    assert 0.5 * RUN_LENGTH < total / alarms < 4 * RUN_LENGTH


def mean_delay(kind: str, statistic: int, shift: float) -> float:
    """Mean days until the first alarm after a lasting shift, in spreads between days; the median over models."""
    random = np.random.default_rng(22)
    found = []
    for charts in models(kind):
        after = days(kind, random, SEQUENCES, 60)
        after[..., statistic] += shift
        out = is_out(charts, after)
        found.append(np.where(out.any(axis=1), out.argmax(axis=1) + 1, 60).mean())
    return float(np.median(found))


@pytest.mark.parametrize(("statistic", "shift"), [(0, 2.0), (0, -2.0), (1, 2.0), (2, 2.0)])
def test_a_shift_of_two_spreads_is_found_within_ten_days(statistic: int, shift: float) -> None:
    assert mean_delay("normal", statistic, shift) < 10


def test_a_shift_of_four_spreads_is_found_within_five_days() -> None:
    assert mean_delay("normal", 0, -4.0) < 5


def test_one_sided_statistics_raise_no_alarm_where_a_model_does_better() -> None:
    random = np.random.default_rng(23)
    better = days("normal", random, SEQUENCES, DAYS)
    better[..., 1:] -= 2.0
    worse_than = np.mean([is_out(charts, better).mean() for charts in models("normal")])
    assert worse_than < 1 / 100


def test_a_longer_run_length_has_higher_limits() -> None:
    reference = days("normal", np.random.default_rng(24), 1, 31)[0]
    often, seldom = (calibrated(reference, window=WINDOW, run_length=length, seed=1).limits for length in (50, 1000))
    assert all(often[name] < seldom[name] for name in CHARTS)


def test_fewer_days_in_control_have_higher_limits() -> None:
    reference = days("normal", np.random.default_rng(25), 1, 200)[0]
    few, many = (calibrated(reference[:n], window=WINDOW, run_length=370, seed=1).limits for n in (20, 200))
    assert np.mean([few[name] / many[name] for name in CHARTS]) > 1.1


def test_equal_days_and_seeds_give_equal_limits() -> None:
    reference = days("heavy tails", np.random.default_rng(26), 1, 31)[0]
    first, second = (calibrated(reference, window=WINDOW, run_length=370, seed=5).limits for _ in range(2))
    assert first == second


def test_too_few_days_give_no_limits_and_say_so() -> None:
    with pytest.raises(TooFewDaysError, match=f"{MINIMUM_DAYS - 1} days in control are too few"):
        calibrated(np.zeros((MINIMUM_DAYS - 1, 3)), window=WINDOW, run_length=370, seed=1)


@pytest.mark.parametrize("still", [0.0, 1.0, np.inf])
def test_a_statistic_that_never_varies_has_no_charts_and_the_others_have_theirs(still: float) -> None:
    reference = days("normal", np.random.default_rng(27), 1, 31)[0]
    reference[:, 2] = still
    charts = calibrated(reference, window=WINDOW, run_length=370, seed=1)
    assert list(charts.limits) == [*CHARTS_OF["residual"], *CHARTS_OF["excess_loss"]]
    after = days("normal", np.random.default_rng(28), 1, 20)[0] + np.array([-4.0, 0.0, 0.0])
    after[:, 2] = 0.0
    assert list(charts.run(after)) == list(charts.limits)
    assert set(charts.alarms(after)) == {"residual_ewma", "residual_cusum_down"}


def test_false_alarms_of_two_statistics_are_as_far_apart_as_those_of_three() -> None:
    alarms = total = 0
    for number in range(MODELS):
        reference = days("normal", np.random.default_rng(30 + number), 1, 31)[0]
        reference[:, 2] = 0.0
        charts = calibrated(reference, window=WINDOW, run_length=RUN_LENGTH, seed=number)
        for after in days("normal", np.random.default_rng(60 + number), SEQUENCES, DAYS):
            after[:, 2] = 0.0
            out = np.any([values > charts.limits[name] for name, values in charts.run(after).items()], axis=0)
            alarms += int((out[1:] & ~out[:-1]).sum() + out[0])
            total += len(out)
    assert 0.5 * RUN_LENGTH < total / alarms < 4 * RUN_LENGTH


def test_days_of_which_no_statistic_varies_give_no_limits() -> None:
    with pytest.raises(TooFewDaysError, match="no statistic of the days in control ever varies"):
        calibrated(np.ones((31, 3)), window=WINDOW, run_length=370, seed=1)
