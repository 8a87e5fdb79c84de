"""CatBoost: gradient-boosted trees with native categories and native nulls.

`has_time` keeps the statistics that stand for a category to rows before the row itself, so that training does not
see its own future; the rows arrive in time order for that.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.trainers.base import Fit, Parameters, Progress, Rows, TrainingData
from assets.trainers.encoding import category_texts, names_of, numeric_matrix
from assets.trainers.fitted import Description, FittedModel, complete, finish, library_versions, require_usable

if TYPE_CHECKING:
    import catboost
    import optuna

WEIGHTS_FILE: Final = "model.cbm"
_ROWS_PER_THREAD: Final = 500
"""Below this a second thread costs more than it saves: handing out work takes as long as the trees of some rows."""
_PROGRESS_EVERY: Final = 50
_CURVES: Final = (("train", "learn"), ("validation", "validation"))
"""Our name and CatBoost's name of each learning curve."""

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


class CatBoostModel(FittedModel):
    """Fitted trees, cut at the best iteration of the validation window."""

    def __init__(self, description: Description, trees: "catboost.CatBoost") -> None:
        super().__init__(description)
        self._trees = trees

    @property
    def reference(self) -> float:
        """Expected log odds over the training rows, as the trees' leaf weights have it."""
        return float(self.description.fitted["reference"])

    def _log_odds(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        threads = _threads(features.height)
        scores = self._trees.predict(
            _features(features, self.features), prediction_type="RawFormulaVal", thread_count=threads
        )
        return np.asarray(scores, dtype=np.float64)

    def _explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Exact SHAP values of the trees (Lundberg et al., "Consistent individualized feature attribution", 2018)."""
        values = _shap_values(self._trees, features, self.features)[:, :-1]
        order = [*names_of(self.features, "numeric"), *names_of(self.features, "categorical")]
        return values[:, [order.index(f.name) for f in self.features]]

    def save(self, folder: Path) -> None:
        """Write `model.json` and the trees as cbm."""
        self.description.write(folder)
        self._trees.save_model(str(folder / WEIGHTS_FILE), format="cbm")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        import catboost

        description = Description.read(folder)
        return cls(description, catboost.CatBoost().load_model(str(folder / WEIGHTS_FILE), format="cbm"))


class CatBoostTrainer:
    """Boosts until the log loss of the validation window has not fallen for `early_stopping_rounds` iterations."""

    family = "catboost"
    defaults: Parameters = _DEFAULTS

    def suggest(self, trial: "optuna.Trial") -> Parameters:
        """Step, depth, penalty and resolution; the number of trees follows from early stopping."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.06, 0.15, log=True),
            "depth": trial.suggest_int("depth", 4, 7),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 3.0, 50.0, log=True),
            "border_count": trial.suggest_int("border_count", 4, 24, log=True),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. The same seed gives the same trees for the same number of threads."""
        import catboost

        started = time.perf_counter()
        require_usable(data)
        chosen = complete(self.defaults, parameters, self.family)
        trees = catboost.CatBoost(
            {
                **chosen,
                "loss_function": "Logloss",
                "random_seed": data.seed % 2**31,
                "has_time": True,
                "thread_count": os.cpu_count() or 1,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        train, validation = _pool(data.train, data.features), _pool(data.validation, data.features)
        trees.fit(train, eval_set=validation, use_best_model=True, callbacks=[_Reporter(progress)])
        curves = trees.get_evals_result()
        model = CatBoostModel(_description(self.family, data, chosen, trees), trees)
        progress(f"catboost: {trees.tree_count_} trees kept of {len(curves['learn']['Logloss'])}")
        return finish(
            model,
            data,
            started=started,
            metrics={"best_iteration": float(trees.get_best_iteration())},
            curves={
                "train_log_loss": curves["learn"]["Logloss"],
                "validation_log_loss": curves["validation"]["Logloss"],
            },
        )


class _Reporter:
    """CatBoost calls this after each iteration; False would stop the training."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def after_iteration(self, info: SimpleNamespace) -> bool:
        if info.iteration % _PROGRESS_EVERY == 0:
            loss = info.metrics["validation"]["Logloss"][-1]
            self._progress(f"catboost: iteration {info.iteration}, validation log loss {loss:.4f}")
        return True


def _description(family: str, data: TrainingData, chosen: Parameters, trees: "catboost.CatBoost") -> Description:
    # The expected value does not depend on the rows explained, so one row is enough to read it.
    reference = float(_shap_values(trees, data.train.features.head(1), data.features)[0, -1])
    return Description(
        family=family,
        features=data.features,
        parameters=chosen,
        libraries=library_versions("catboost"),
        fitted={"reference": reference},
    )


def _shap_values(
    trees: "catboost.CatBoost", frame: pl.DataFrame, features: tuple[Feature, ...]
) -> npt.NDArray[np.float64]:
    """Shape (n, n_features + 1): numeric features, categories, expected value."""
    import catboost

    pool = catboost.Pool(_features(frame, features))
    values = trees.get_feature_importance(pool, type="ShapValues", thread_count=_threads(frame.height))
    return np.asarray(values, dtype=np.float64)


def _features(frame: pl.DataFrame, features: tuple[Feature, ...]) -> "catboost.FeaturesData":
    """CatBoost's own block form: its fastest input, also for one row (it takes text as UTF-8 bytes)."""
    import catboost

    numeric, categorical = names_of(features, "numeric"), names_of(features, "categorical")
    texts = np.empty((frame.height, len(categorical)), dtype=object)
    for j, values in enumerate(category_texts(frame, features).values()):
        texts[:, j] = [v.encode() for v in values]
    return catboost.FeaturesData(
        num_feature_data=numeric_matrix(frame, features).astype(np.float32) if numeric else None,
        cat_feature_data=texts if categorical else None,
        num_feature_names=numeric or None,
        cat_feature_names=categorical or None,
    )


def _pool(rows: Rows, features: tuple[Feature, ...]) -> "catboost.Pool":
    import catboost

    return catboost.Pool(_features(rows.features, features), label=rows.label.astype(np.int64))


def _threads(rows: int) -> int:
    return max(1, min(os.cpu_count() or 1, rows // _ROWS_PER_THREAD))


MODEL: Final = CatBoostModel
TRAINER: Final = CatBoostTrainer()
