"""Logistic regression: the family to beat, and the one whose every prediction can be added up by hand.

A scikit-learn pipeline: numbers are imputed by the median (with an indicator per column that had gaps) and
standardised, categories one-hot encoded with the rare ones in one column, which also takes those never seen.
"""

import math
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.trainers.base import Fit, Parameters, Progress, TrainingData
from assets.trainers.encoding import names_of, to_pandas
from assets.trainers.fitted import Description, FittedModel, complete, finish, library_versions, require_usable

if TYPE_CHECKING:
    import optuna
    from scipy.sparse import csr_matrix
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

WEIGHTS_FILE: Final = "pipeline.skops"
TRUSTED_TYPES: Final = ("numpy.dtype",)
"""What skops may build beyond its own list when it loads a pipeline: SimpleImputer keeps the dtype it was fitted on."""
_DEFAULTS: Final[Parameters] = {"C": 0.01, "min_frequency": 100, "max_iter": 300, "tol": 3e-4}


class LogisticRegressionModel(FittedModel):
    """A fitted pipeline. `description.fitted` holds the training means its explanations are counted from."""

    def __init__(self, description: Description, pipeline: "Pipeline") -> None:
        super().__init__(description)
        self._pipeline = pipeline

    @property
    def reference(self) -> float:
        """Log odds of the average training row."""
        regression = self._pipeline[-1]
        return float(regression.intercept_[0] + regression.coef_[0] @ np.array(self.description.fitted["means"]))

    def _log_odds(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        scores = self._pipeline.decision_function(to_pandas(features, self.features))
        return np.asarray(scores, dtype=np.float64)

    def _explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Coefficient times distance from the training mean, columns of one feature added up. Exact."""
        from scipy import sparse

        encoded = self._pipeline[:-1].transform(to_pandas(features, self.features))
        means, columns = self.description.fitted["means"], self.description.fitted["feature_of_column"]
        weights = self._pipeline[-1].coef_[0]
        shape = (len(columns), len(self.features))
        # Column c of the encoding goes with its coefficient to the feature it came from.
        fold = sparse.csr_array((weights, (np.arange(len(columns)), columns)), shape=shape)
        contributions = encoded @ fold
        dense = contributions.toarray() if sparse.issparse(contributions) else contributions
        return np.asarray(dense - np.array(means) @ fold, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.json` and the pipeline as skops."""
        import skops.io

        self.description.write(folder)
        skops.io.dump(self._pipeline, folder / WEIGHTS_FILE)
        if untrusted := set(skops.io.get_untrusted_types(file=folder / WEIGHTS_FILE)) - set(TRUSTED_TYPES):
            raise ValueError(f"the pipeline holds types that could not be loaded again: {sorted(untrusted)}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, trusting nothing beyond `TRUSTED_TYPES`."""
        import skops.io

        return cls(Description.read(folder), skops.io.load(folder / WEIGHTS_FILE, trusted=list(TRUSTED_TYPES)))


class LogisticRegressionTrainer:
    """Fits with lbfgs; a fit that did not converge says so in `metrics['converged']`."""

    family = "logistic_regression"
    defaults: Parameters = _DEFAULTS

    def suggest(self, trial: "optuna.Trial") -> Parameters:
        """Strength of the penalty (C, inverse) and how often a category must occur to get a weight of its own."""
        return {
            "C": trial.suggest_float("C", 1e-4, 1.0, log=True),
            "min_frequency": trial.suggest_int("min_frequency", 20, 500, log=True),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`. Convex, so there is no early stopping: validation only calibrates."""
        started = time.perf_counter()
        require_usable(data)
        chosen = complete(self.defaults, parameters, self.family)
        pipeline = _pipeline(data, chosen)
        frame = to_pandas(data.train.features, data.features)
        encoded = pipeline[:-1].fit_transform(frame)
        progress(f"logistic_regression: {encoded.shape[0]} rows, {encoded.shape[1]} encoded columns")
        iterations = _fit_regression(pipeline[-1], encoded, data.train.label)
        converged = iterations < int(chosen["max_iter"])
        progress(f"logistic_regression: {'converged' if converged else 'NOT converged'} after {iterations} iterations")
        description = Description(
            family=self.family,
            features=data.features,
            parameters=chosen,
            libraries=library_versions("scikit-learn", "skops"),
            fitted={
                "means": np.asarray(encoded.mean(axis=0), dtype=np.float64).ravel().tolist(),
                "feature_of_column": _feature_of_column(pipeline[0], data),
            },
        )
        metrics = {"iterations": float(iterations), "converged": float(converged)}
        return finish(LogisticRegressionModel(description, pipeline), data, started=started, metrics=metrics)


def _pipeline(data: TrainingData, chosen: Parameters) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    # keep_empty_features: a column that is null throughout training must not change the number of columns.
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    one_hot = OneHotEncoder(min_frequency=int(chosen["min_frequency"]), handle_unknown="infrequent_if_exist")
    blocks = [
        ("numeric", make_pipeline(impute, StandardScaler()), names_of(data.features, "numeric")),
        ("categorical", one_hot, names_of(data.features, "categorical")),
    ]
    regression = LogisticRegression(C=float(chosen["C"]), max_iter=int(chosen["max_iter"]), tol=float(chosen["tol"]))
    return make_pipeline(ColumnTransformer([b for b in blocks if b[2]]), regression)


def _fit_regression(
    regression: "LogisticRegression", encoded: "npt.NDArray[np.float64] | csr_matrix", label: npt.NDArray[np.int8]
) -> int:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Not swallowed: the caller compares the iterations with max_iter and reports it as progress and metric.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Half the memory traffic, which is what lbfgs waits for; the sums behind a prediction stay in float64.
        regression.fit(encoded.astype(np.float32), label)
    regression.coef_, regression.intercept_ = (w.astype(np.float64) for w in (regression.coef_, regression.intercept_))
    return int(regression.n_iter_.max())


def _feature_of_column(columns: "ColumnTransformer", data: TrainingData) -> list[int]:
    """For each encoded column the position of the feature it comes from: values, gap indicators, then categories."""
    position = {f.name: i for i, f in enumerate(data.features)}
    names: list[str] = []
    if "numeric" in columns.named_transformers_:
        numeric = names_of(data.features, "numeric")
        gaps = columns.named_transformers_["numeric"][0].indicator_.features_
        names += [*numeric, *(numeric[g] for g in gaps)]
    if "categorical" in columns.named_transformers_:
        one_hot = columns.named_transformers_["categorical"]
        for name, values, rare in zip(
            one_hot.feature_names_in_, one_hot.categories_, one_hot.infrequent_categories_, strict=True
        ):
            names += [name] * (len(values) if rare is None else len(values) - len(rare) + math.ceil(len(rare) > 0))
    return [position[n] for n in names]


MODEL: Final = LogisticRegressionModel
TRAINER: Final = LogisticRegressionTrainer()
