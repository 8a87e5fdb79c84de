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

    def suggest(self, trial: Any) -> Mapping[str, float | int | str]:
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
    with pytest.raises(ValueError, match="4 training days, got 1"):
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
    assert searched == {k: chosen.defaults[k] for k in searched}
