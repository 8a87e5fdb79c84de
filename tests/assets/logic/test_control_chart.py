"""The charts see the last days and no others, and alarm only for the newest."""

import numpy as np
import pytest

from assets.logic.control_chart import CHARTS, CLIP, EWMA_WEIGHT, SLACK, ControlCharts, charted

RANDOM = np.random.default_rng(3)
WINDOW = 7
CHART = {name: place for place, name in enumerate(CHARTS)}


def charts(limit: float = 2.0) -> ControlCharts:
    return ControlCharts(
        centre=np.array([0.5, 1.0, 0.0]),
        spread=np.array([2.0, 0.1, 1.0]),
        limits=dict.fromkeys(CHARTS, limit),
        window=WINDOW,
    )


def by_hand(values: np.ndarray, window: int) -> tuple[float, float]:
    """EWMA and upper CUSUM after the last of some days, written out from a fresh start `window` days before."""
    ewma = cusum = 0.0
    for value in values[-window:]:
        ewma = (1 - EWMA_WEIGHT) * ewma + EWMA_WEIGHT * value
        cusum = max(0.0, cusum + value - SLACK)
    return ewma, cusum


@pytest.mark.parametrize("length", [1, 3, 7, 8, 40])
def test_a_chart_is_what_its_recursion_gives_from_a_fresh_start_before_the_window(length: int) -> None:
    days = RANDOM.normal(0.5, 1.0, (1, length, 3)).clip(-CLIP, CLIP)
    found = charted(days, WINDOW)[0, -1]
    for statistic, name in ((1, "excess_loss"), (2, "lost_slope")):
        ewma, cusum = by_hand(days[0, :, statistic], WINDOW)
        assert found[CHART[f"{name}_ewma"]] == pytest.approx(ewma)
        assert found[CHART[f"{name}_cusum"]] == pytest.approx(cusum)


def test_the_residual_is_charted_to_both_sides() -> None:
    days = RANDOM.normal(size=(1, 20, 3)).clip(-CLIP, CLIP)
    found = charted(days, WINDOW)[0, -1]
    ewma, up = by_hand(days[0, :, 0], WINDOW)
    _, down = by_hand(-days[0, :, 0], WINDOW)
    assert found[:3] == pytest.approx([abs(ewma), up, down])


def test_a_loss_below_expectation_moves_no_chart_above_zero() -> None:
    good = np.zeros((1, 20, 3))
    good[..., 1:] = -2.0
    assert (charted(good, WINDOW) <= 0).all()


def test_what_lies_before_the_window_changes_nothing() -> None:
    days = RANDOM.normal(size=(30, 3))
    other = days.copy()
    other[: 30 - WINDOW] += 5
    assert charts().alarms(days) == charts().alarms(other)
    last, same = charted(days[None], WINDOW)[0, -1], charted(days[None, -WINDOW:], WINDOW)[0, -1]
    assert last == pytest.approx(same)


def test_one_wild_day_counts_as_one_bad_day() -> None:
    wild, bad = np.zeros((1, 3, 3)), np.zeros((1, 3, 3))
    wild[0, -1], bad[0, -1] = 1e9, CLIP
    assert (charted(wild, WINDOW) == charted(bad, WINDOW)).all()


def test_only_the_newest_day_raises_an_alarm() -> None:
    quiet = np.tile([0.5, 1.0, 0.0], (WINDOW, 1))
    storm = quiet.copy()
    storm[:2, 0] += 20
    assert charts(limit=0.8).alarms(storm[:2]) == ["residual_ewma", "residual_cusum_up"]
    assert "residual_ewma" not in charts(limit=0.8).alarms(storm)
    assert charts().alarms(quiet) == []


def test_without_a_day_there_is_no_alarm() -> None:
    assert charts().alarms(np.zeros((0, 3))) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_statistic_that_is_not_finite_is_refused_by_its_position(value: float) -> None:
    days = np.zeros((9, 3))
    days[4, 1] = value
    with pytest.raises(ValueError, match=r"excess_loss is -?(nan|inf) on day 4"):
        charts().run(days)
