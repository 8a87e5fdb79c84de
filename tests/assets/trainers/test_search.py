from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from assets.trainers.base import Fit, TrainingData
from assets.trainers.families import trainer
from assets.trainers.search import search


@dataclass
class Recorder:
    """A trainer that remembers what it was given; best at `knob` 0.3, whatever the data."""

    family: str = "recorder"
    defaults: Mapping[str, float | int | str] = field(default_factory=lambda: {"knob": 0.9, "fixed": 1})
    seen: list[tuple[TrainingData, Mapping[str, Any]]] = field(default_factory=list)

    def defaults_for(self, data: TrainingData) -> Mapping[str, float | int | str]:  # noqa: ARG002 (interface)
        return self.defaults

    def suggest(self, trial: Any, data: TrainingData) -> Mapping[str, float | int | str]:  # noqa: ARG002 (interface)
        return {"knob": trial.suggest_float("knob", 0.0, 1.0)}

    def fit(self, data: TrainingData, parameters: Mapping[str, Any], progress: Any) -> Fit:  # noqa: ARG002 (interface)
        self.seen.append((data, parameters))
        loss = (float(parameters["knob"]) - 0.3) ** 2
        model: Any = None
        return Fit(model=model, parameters=parameters, metrics={"validation_log_loss_uncalibrated": loss})


def quiet(_: str) -> None: ...


def test_only_rows_of_the_training_window_are_used(data: TrainingData) -> None:
    recorder = Recorder()
    search(recorder, data, trials=2, rows=500, seed=1, progress=quiet)
    for fold, _ in recorder.seen:
        assert max(fold.train.day.max(), fold.validation.day.max()) <= data.train.day.max()


def test_each_fold_is_scored_on_days_after_those_it_was_fitted_on(data: TrainingData) -> None:
    recorder = Recorder()
    search(recorder, data, trials=1, rows=500, seed=1, progress=quiet)
    (first, _), (second, _) = recorder.seen
    for fold in (first, second):
        assert fold.train.day.max() < fold.validation.day.min()
    assert first.validation.day.max() < second.validation.day.min()
    assert second.validation.day.max() == data.train.day.max()


def test_the_sample_keeps_time_order_and_its_size(data: TrainingData) -> None:
    recorder = Recorder()
    search(recorder, data, trials=1, rows=500, seed=1, progress=quiet)
    for fold, _ in recorder.seen:
        assert len(fold.train.label) + len(fold.validation.label) == 500
        assert (np.diff(fold.train.day) >= np.timedelta64(0, "D")).all()


def test_sampled_features_labels_and_days_belong_together(data: TrainingData) -> None:
    recorder = Recorder()
    numbered = replace(data.train, features=data.train.features.with_row_index("row"))
    search(recorder, replace(data, train=numbered), trials=1, rows=300, seed=1, progress=quiet)
    for fold, _ in recorder.seen:
        row = fold.train.features["row"].to_numpy()
        assert np.array_equal(fold.train.label, data.train.label[row])
        assert np.array_equal(fold.train.day, data.train.day[row])


def test_the_defaults_are_tried_first(data: TrainingData) -> None:
    found = search(Recorder(), data, trials=3, rows=500, seed=1, progress=quiet)
    assert found.trials[0]["knob"] == 0.9


def test_the_best_trial_is_returned_with_the_defaults_completed(data: TrainingData) -> None:
    found = search(Recorder(), data, trials=12, rows=500, seed=1, progress=quiet)
    best = min(found.trials, key=lambda trial: trial["log_loss"])
    assert found.parameters == {"knob": best["knob"], "fixed": 1}
    assert len(found.trials) == 12


def test_a_fixed_parameter_is_not_searched(data: TrainingData) -> None:
    recorder = Recorder()
    found = search(recorder, data, trials=3, rows=500, seed=1, progress=quiet, fixed={"knob": 0.5})
    assert {parameters["knob"] for _, parameters in recorder.seen} == {0.5}
    assert found.parameters["knob"] == 0.5


def test_no_trials_return_the_defaults_without_a_fit(data: TrainingData) -> None:
    recorder = Recorder()
    found = search(recorder, data, trials=0, rows=500, seed=1, progress=quiet)
    assert (found.parameters, found.trials, recorder.seen) == ({"knob": 0.9, "fixed": 1}, (), [])


def test_too_few_days_are_refused_with_what_to_do(data: TrainingData) -> None:
    short = replace(data.train, day=np.full(len(data.train.day), np.datetime64("2021-01-01")))
    with pytest.raises(ValueError, match="2 training days, got 1"):
        search(Recorder(), replace(data, train=short), trials=1, rows=500, seed=1, progress=quiet)


def test_the_same_seed_finds_the_same_parameters(
    family: str, data: TrainingData, quick: dict[str, dict[str, float]]
) -> None:
    fixed = {k: v for k, v in quick[family].items() if k not in ("learning_rate", "depth", "min_frequency")}
    one, two = (
        search(trainer(family), data, trials=2, rows=900, seed=4, progress=quiet, fixed=fixed) for _ in range(2)
    )
    assert one == two


def test_the_defaults_of_a_family_lie_within_what_it_suggests(
    family: str, data: TrainingData, quick: dict[str, dict[str, float]]
) -> None:
    fixed = {k: v for k, v in quick[family].items() if k in ("epochs", "width", "iterations")}
    chosen = trainer(family)
    first = search(chosen, data, trials=1, rows=300, seed=4, progress=quiet, fixed=fixed).trials[0]
    searched = {k: v for k, v in first.items() if k not in ("log_loss", *fixed)}
    assert searched == {k: chosen.defaults_for(data)[k] for k in searched}


def short(data: TrainingData, days: int) -> TrainingData:
    """The first days of the training window."""
    keep = data.train.day < data.train.day[0] + np.timedelta64(days, "D")
    train = replace(data.train, features=data.train.features.filter(keep), label=data.train.label[keep])
    return replace(data, train=replace(train, day=data.train.day[keep]))


@pytest.mark.parametrize(("days", "folds"), [(2, 1), (3, 1), (4, 2), (9, 2)])
def test_few_days_are_searched_with_the_folds_they_have(data: TrainingData, days: int, folds: int) -> None:
    recorder = Recorder()
    search(recorder, short(data, days), trials=1, rows=500, seed=1, progress=quiet)
    assert len(recorder.seen) == folds
    for fold, _ in recorder.seen:
        assert fold.train.day.max() < fold.validation.day.min()


def test_a_fold_that_cannot_be_learnt_is_left_out_and_told(data: TrainingData) -> None:
    told: list[str] = []
    label = np.where(data.train.day < np.datetime64("2021-01-17"), 0, data.train.label).astype(np.int8)
    one_class_at_first = replace(data, train=replace(data.train, label=label))
    recorder = Recorder()
    search(recorder, one_class_at_first, trials=1, rows=500, seed=1, progress=told.append)
    assert len(recorder.seen) == 1
    assert any("a fold is left out, because all" in line for line in told)


def test_without_any_fold_the_defaults_are_taken_and_told(data: TrainingData) -> None:
    told: list[str] = []
    label = np.where(data.train.day < data.train.day[-1], 0, 1).astype(np.int8)
    found = search(
        Recorder(), replace(data, train=replace(data.train, label=label)), trials=2, rows=500, seed=1,
        progress=told.append,
    )  # fmt: skip
    assert (found.parameters, found.trials) == ({"knob": 0.9, "fixed": 1}, ())
    assert any("defaults are taken" in line for line in told)
