"""CatBoost: gradient-boosted trees with native categories and native nulls.

`has_time` keeps the statistics that stand for a category to rows before the row itself, so that training does not
see its own future; the rows arrive in time order for that.
"""

import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import polars as pl

from assets.contracts import Feature
from assets.trainers.base import Fit, Parameters, Progress, Rows, TrainingData
from assets.trainers.calibration import Floats
from assets.trainers.catboost_objectives import OBJECTIVES
from assets.trainers.description import Description, describe, library_versions
from assets.trainers.encoding import Table, category_texts, names_of, numeric_matrix
from assets.trainers.fitted import FittedModel, complete, finish, lesson_of
from assets.trainers.scaling import LARGE
from assets.trainers.tasks import Lesson

if TYPE_CHECKING:
    import catboost
    import optuna

WEIGHTS_FILE: Final = "model.cbm"
_DIGEST: Final = "weights_sha256"
_ROWS_PER_THREAD: Final = 500
"""Below this a second thread costs more than it saves: handing out work takes as long as the trees of some rows."""
_PROGRESS_EVERY: Final = 50
_DEFAULTS: Final[Parameters] = {
    "iterations": 400,
    "learning_rate": 0.1,
    "depth": 6,
    "l2_leaf_reg": 10.0,
    "random_strength": 1.0,
    "rsm": 1.0,
    "border_count": 8,
    "feature_border_type": "Median",
    "max_ctr_complexity": 1,
    "early_stopping_rounds": 40,
}
"""Few quantile borders per number, because rows of a day share much of what is known at that time: with CatBoost's 254
borders the trees learn to tell the days of the training window apart, and stop early and badly (measured on six months,
116 features: 65 trees and a validation log loss of .527, against .512 with 8 borders). Combinations of categories took
half of the time and gained nothing there."""
_FINER: Final[Parameters] = {"iterations": 1_000, "border_count": 128}
"""Where rows are few, or a quantity follows a number closely, eight borders hide what there is to learn."""


class CatBoostModel(FittedModel):
    """Fitted trees, cut at the best iteration of the validation window."""

    def __init__(self, description: Description, trees: "catboost.CatBoost") -> None:
        super().__init__(description)
        self._trees = trees

    def _reference(self) -> Floats:
        """Expected scores over the training rows, as the trees' leaf weights have it."""
        return np.atleast_1d(np.asarray(self.description.fitted["reference"], dtype=np.float64))

    def _scores(self, features: Table) -> Floats:
        threads = _threads(features.height)
        scores = self._trees.predict(
            _features(features, self.features), prediction_type="RawFormulaVal", thread_count=threads
        )
        return np.asarray(scores, dtype=np.float64).reshape(features.height, self._width)

    def _explain(self, features: pl.DataFrame, weights: Floats) -> Floats:
        """Exact SHAP values of the trees (Lundberg et al., "Consistent individualized feature attribution", 2018)."""
        values = (_shap_values(self._trees, features, self.features)[:, :, :-1] * weights[:, :, None]).sum(axis=1)
        order = [*names_of(self.features, "numeric"), *names_of(self.features, "categorical")]
        return np.asarray(values[:, [order.index(f.name) for f in self.features]], dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.json` and the trees as cbm."""
        self._trees.save_model(str(folder / WEIGHTS_FILE), format="cbm")
        fitted = {**self.description.fitted, _DIGEST: _digest(folder)}
        replace(self.description, fitted=fitted).write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: If the trees are not those that were saved.
        """
        import catboost

        description = Description.read(folder)
        # CatBoost notices some damage itself, and of some it dies: of 300 files with bytes changed, 10 ended the
        # process with a segmentation fault.
        if description.fitted.get(_DIGEST, known := _digest(folder)) != known:
            raise ValueError(f"{WEIGHTS_FILE} in {folder} is damaged: its bytes are not those that were saved")
        trees = catboost.CatBoost().load_model(str(folder / WEIGHTS_FILE), format="cbm")
        _forget_the_fit(trees)
        return cls(description, trees)


class CatBoostTrainer:
    """Boosts until the loss of the validation window has not fallen for `early_stopping_rounds` iterations."""

    family = "catboost"
    defaults: Parameters = _DEFAULTS

    def defaults_for(self, data: TrainingData) -> Parameters:
        """Few borders only for classes in large tables; see `_DEFAULTS` and `_FINER`."""
        return _DEFAULTS if _is_coarse(data) else {**_DEFAULTS, **_FINER}

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:
        """Step, depth, penalty and resolution; the number of trees follows from early stopping."""
        fewest, most = (4, 24) if _is_coarse(data) else (16, 254)
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.06, 0.15, log=True),
            "depth": trial.suggest_int("depth", 4, 7),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 3.0, 50.0, log=True),
            "border_count": trial.suggest_int("border_count", fewest, most, log=True),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. The same seed gives the same trees for the same number of threads."""
        started = time.perf_counter()
        lesson = lesson_of(data)
        chosen = complete(self.defaults_for(data), parameters, self.family)
        trees = _fitted_trees(lesson, chosen, progress)
        curves = learning_curves(trees, lesson.data)
        reference = _shap_values(trees, data.train.features.head(1), data.features)[0, :, -1]
        # The expected value does not depend on the rows explained, so one row is enough to read it.
        fitted = {"reference": reference.tolist()}
        model = CatBoostModel(describe(self.family, lesson, chosen, library_versions("catboost"), fitted), trees)
        progress(f"catboost: {trees.tree_count_} trees kept of {len(curves['train'])}")
        metrics = {"best_iteration": float(trees.get_best_iteration())}
        return finish(model, lesson, started=started, metrics=metrics, curves=curves)


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()


def _is_coarse(data: TrainingData) -> bool:
    return data.task == "binary" and len(data.train.label) >= LARGE


def _fitted_trees(lesson: Lesson, chosen: Parameters, progress: Progress) -> "catboost.CatBoost":
    import catboost

    data, objective = lesson.data, OBJECTIVES[lesson.data.task]
    trees = catboost.CatBoost(
        {
            **chosen,
            "loss_function": objective.loss,
            **({} if objective.judge == objective.loss else {"eval_metric": objective.judge}),
            "random_seed": data.seed % 2**31,
            "has_time": True,
            "thread_count": os.cpu_count() or 1,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    train, validation = _pool(data.train, data), _pool(data.validation, data)
    try:
        trees.fit(train, eval_set=validation, use_best_model=True, callbacks=[_Reporter(objective.judge, progress)])
    except catboost.CatBoostError as error:
        raise ValueError(f"catboost cannot learn from these {len(data.train.label)} training rows: {error}") from error
    return trees


def learning_curves(trees: "catboost.CatBoost", data: TrainingData) -> dict[str, list[float]]:
    """The deciding loss of the task after each iteration, by window, on the labels learnt."""
    curves, objective = trees.get_evals_result(), OBJECTIVES[data.task]
    windows = (("train", "learn", data.train), ("validation", "validation", data.validation))
    return {
        ours: [objective.deciding(value, rows.label) for value in curves[theirs][objective.judge]]
        for ours, theirs, rows in windows
    }


class _Reporter:
    """CatBoost calls this after each iteration; False would stop the training."""

    def __init__(self, judge: str, progress: Progress) -> None:
        self._judge, self._progress = judge, progress

    def after_iteration(self, info: SimpleNamespace) -> bool:
        if info.iteration % _PROGRESS_EVERY == 0:
            loss = info.metrics["validation"][self._judge][-1]
            self._progress(f"catboost: iteration {info.iteration}, validation {self._judge} {loss:.4f}")
        return True


def _forget_the_fit(trees: "catboost.CatBoost") -> None:
    """Leave the loss: each `predict` parses all parameters, 5 KB of JSON, in two thirds of its time for one row."""
    if "params" in (kept := trees.get_metadata()):
        kept["params"] = json.dumps({"loss_function": json.loads(kept["params"])["loss_function"]})


def _shap_values(trees: "catboost.CatBoost", frame: pl.DataFrame, features: tuple[Feature, ...]) -> Floats:
    """Shape (n, width, n_features + 1): numeric features, categories, expected value."""
    import catboost

    pool = catboost.Pool(_features(frame, features))
    values = trees.get_feature_importance(pool, type="ShapValues", thread_count=_threads(frame.height))
    return np.asarray(values, dtype=np.float64).reshape(frame.height, -1, len(features) + 1)


def _features(frame: Table, features: tuple[Feature, ...]) -> "catboost.FeaturesData":
    """CatBoost's own block form: its fastest input, also for one row (it takes text as UTF-8 bytes).

    Column by column in memory, as CatBoost keeps it: given row by row, a pool of 16 rows takes half as long again.
    """
    import catboost

    numeric, categorical = names_of(features, "numeric"), names_of(features, "categorical")
    texts = np.empty((frame.height, len(categorical)), dtype=object, order="F")
    for j, values in enumerate(category_texts(frame, features).values()):
        texts[:, j] = [v.encode() for v in values]
    return catboost.FeaturesData(
        num_feature_data=numeric_matrix(frame, features).astype(np.float32, order="F") if numeric else None,
        cat_feature_data=texts if categorical else None,
        num_feature_names=numeric or None,
        cat_feature_names=categorical or None,
    )


def _pool(rows: Rows, data: TrainingData) -> "catboost.Pool":
    import catboost

    is_class = data.task in ("binary", "multiclass")
    return catboost.Pool(
        _features(rows.features, data.features), label=rows.label.astype(np.int64 if is_class else np.float64)
    )


def _threads(rows: int) -> int:
    wanted = rows // _ROWS_PER_THREAD
    return 1 if wanted <= 1 else min(os.cpu_count() or 1, wanted)  # asking the system takes a tenth of a row's time


MODEL: Final = CatBoostModel
TRAINER: Final = CatBoostTrainer()
