"""Linear models on one encoding: what logistic regression, ridge and Poisson regression share.

A scikit-learn pipeline: numbers are imputed by the median (with an indicator per column that had gaps) and
standardised, categories one-hot encoded with the rare ones in one column, which also takes those never seen.

Belongs here: the encoding, the model around a fitted pipeline. Does not belong here: which regression is fitted, and
its penalty; those are `logistic_regression.py` and `ridge.py`.
"""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.trainers.base import Fit, Parameters, Progress
from assets.trainers.calibration import Floats, Labels
from assets.trainers.description import Description, describe, library_versions
from assets.trainers.encoding import FeatureRows, Table, names_of, to_pandas
from assets.trainers.fitted import FittedModel, finish
from assets.trainers.linear_rows import LinearRows
from assets.trainers.skops_io import skops_io
from assets.trainers.tasks import Lesson

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    Encoded: TypeAlias = Floats | csr_matrix

WEIGHTS_FILE: Final = "pipeline.skops"
TRUSTED_TYPES: Final = ("numpy.dtype",)
"""What skops may build beyond its own list when it loads a pipeline: SimpleImputer keeps the dtype it was fitted on."""
MANY_VALUES: Final = 1_000
"""A category with more values keeps only the common ones: the encoder would carry the others along in every model."""
RARE: Final = "<rare>"
"""What the other values of such a category are called. No feed is expected to send it as a value."""


class LinearModel(FittedModel):
    """A fitted pipeline. `description.fitted` holds the training means its explanations are counted from."""

    def __init__(self, description: Description, pipeline: "Pipeline") -> None:
        super().__init__(description)
        self._pipeline = pipeline
        self._rows = LinearRows.of(pipeline, description.fitted.get("common", {}), RARE)

    def _weights(self) -> tuple[Floats, Floats]:
        """Coefficients, shape (width, columns), and intercepts, shape (width,)."""
        regression = self._pipeline[-1]
        coefficients, intercept = np.atleast_2d(regression.coef_), np.atleast_1d(regression.intercept_)
        if len(coefficients) < self._width:
            # Of two classes scikit-learn keeps the log odds of the second; the first has the opposite.
            return np.vstack([-coefficients, coefficients]) / 2, np.concatenate([-intercept, intercept]) / 2
        return coefficients, intercept

    def _encoded(self, features: pl.DataFrame) -> "Encoded":
        frame = table_of(features, self.features, self.description.fitted.get("common", {}))
        encoded: Encoded = self._pipeline[:-1].transform(frame)
        return encoded

    def _reference(self) -> Floats:
        """Scores of the average training row."""
        coefficients, intercept = self._weights()
        return np.asarray(intercept + coefficients @ np.array(self.description.fitted["means"]), dtype=np.float64)

    def _scores(self, features: Table) -> Floats:
        coefficients, intercept = self._weights()
        if isinstance(features, FeatureRows):
            return self._rows.scores(features, coefficients, intercept)
        return np.asarray(self._encoded(features) @ coefficients.T + intercept, dtype=np.float64)

    def _explain(self, features: pl.DataFrame, weights: Floats) -> Floats:
        """Coefficient times distance from the training mean, columns of one feature added up. Exact."""
        from scipy import sparse

        encoded = self._encoded(features)
        means, columns = self.description.fitted["means"], self.description.fitted["feature_of_column"]
        shape = (len(columns), len(self.features))
        total = np.zeros((features.height, len(self.features)))
        for weight, coefficients in zip(weights.T, self._weights()[0], strict=True):
            # Column c of the encoding goes with its coefficient to the feature it came from.
            fold = sparse.csr_array((coefficients, (np.arange(len(columns)), columns)), shape=shape)
            contributions = encoded @ fold
            dense = contributions.toarray() if sparse.issparse(contributions) else contributions
            total += weight[:, None] * (dense - np.array(means) @ fold)
        return total

    def save(self, folder: Path) -> None:
        """Write `model.json` and the pipeline as skops."""
        self.description.write(folder)
        skops_io().dump(self._pipeline, folder / WEIGHTS_FILE)
        if untrusted := set(skops_io().get_untrusted_types(file=folder / WEIGHTS_FILE)) - set(TRUSTED_TYPES):
            raise ValueError(f"the pipeline holds types that could not be loaded again: {sorted(untrusted)}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, trusting nothing beyond `TRUSTED_TYPES`."""
        return cls(Description.read(folder), skops_io().load(folder / WEIGHTS_FILE, trusted=list(TRUSTED_TYPES)))


def fit_linear(
    family: str,
    made: type[LinearModel],
    lesson: Lesson,
    chosen: Parameters,
    regression: Any,
    progress: Progress,
    precision: "npt.DTypeLike" = np.float64,
) -> Fit:
    """Fit the encoding and the regression on the training window, calibrate on the validation window.

    Args:
        family: Its name.
        made: Class of the model.
        lesson: What is learnt.
        chosen: All parameters, `min_frequency` and `max_iter` among them.
        regression: Unfitted scikit-learn regression with `fit`, `coef_`, `intercept_` and `n_iter_`.
        progress: Told after each step.
        precision: Of the encoded columns while the regression is fitted.
    """
    started = time.perf_counter()
    frame, features = lesson.data.train.features, lesson.data.features
    common = common_values(frame, features, int(chosen["min_frequency"]))
    pipeline = _pipeline(features, int(chosen["min_frequency"]), regression)
    encoded = pipeline[:-1].fit_transform(table_of(frame, features, common))
    progress(f"{family}: {encoded.shape[0]} rows, {encoded.shape[1]} encoded columns")
    iterations = _fit_regression(regression, encoded.astype(precision), lesson.data.train.label)
    converged = iterations < int(chosen["max_iter"])
    progress(f"{family}: {'converged' if converged else 'NOT converged'} after {iterations} iterations")
    fitted = {
        "means": np.asarray(encoded.mean(axis=0), dtype=np.float64).ravel().tolist(),
        "feature_of_column": _feature_of_column(pipeline[0], features),
        "common": common,
    }
    description = describe(family, lesson, chosen, library_versions("scikit-learn", "skops"), fitted)
    metrics = {"iterations": float(iterations), "converged": float(converged)}
    return finish(made(description, pipeline), lesson, started=started, metrics=metrics)


def common_values(frame: pl.DataFrame, features: Sequence[Feature], minimum_count: int) -> dict[str, list[str]]:
    """The values that occur at least so often, in alphabetical order, of each category with more than `MANY_VALUES`."""
    found: dict[str, list[str]] = {}
    for name in names_of(features, "categorical"):
        counts = frame.get_column(name).cast(pl.String).drop_nulls().value_counts()
        if counts.height > MANY_VALUES:
            found[name] = sorted(counts.filter(pl.col("count") >= minimum_count)[name].to_list())
    return found


def table_of(frame: pl.DataFrame, features: Sequence[Feature], common: Mapping[str, Sequence[str]]) -> "pd.DataFrame":
    """The features as the encoding takes them; of the categories in `common` all other values are `RARE`."""
    for name, values in common.items():
        column = pl.col(name).cast(pl.String)
        is_kept = column.is_null() | column.is_in(list(values))
        frame = frame.with_columns(pl.when(is_kept).then(column).otherwise(pl.lit(RARE)).alias(name))
    return to_pandas(frame, features)


def _pipeline(features: Sequence[Feature], min_frequency: int, regression: Any) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    # keep_empty_features: a column that is null throughout training must not change the number of columns.
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    one_hot = OneHotEncoder(min_frequency=min_frequency, handle_unknown="infrequent_if_exist")
    blocks = [
        ("numeric", make_pipeline(impute, StandardScaler()), names_of(features, "numeric")),
        ("categorical", one_hot, names_of(features, "categorical")),
    ]
    return make_pipeline(ColumnTransformer([b for b in blocks if b[2]]), regression)


def _fit_regression(regression: Any, encoded: "Encoded", label: Labels) -> int:
    """Fit in place; the largest number of iterations, 1 for a solver without any."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Not swallowed: the caller compares the iterations with max_iter and reports it as progress and metric.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(encoded, label)
    regression.coef_ = np.asarray(regression.coef_, dtype=np.float64)
    regression.intercept_ = np.asarray(regression.intercept_, dtype=np.float64)
    iterations: npt.NDArray[np.int64] | None = regression.n_iter_
    return 1 if iterations is None else int(np.max(iterations))


def _feature_of_column(columns: "ColumnTransformer", features: Sequence[Feature]) -> list[int]:
    """For each encoded column the position of the feature it comes from: values, gap indicators, then categories."""
    position = {f.name: i for i, f in enumerate(features)}
    names: list[str] = []
    if "numeric" in columns.named_transformers_:
        numeric = names_of(features, "numeric")
        gaps = columns.named_transformers_["numeric"][0].indicator_.features_
        names += [*numeric, *(numeric[g] for g in gaps)]
    if "categorical" in columns.named_transformers_:
        one_hot = columns.named_transformers_["categorical"]
        for name, values, rare in zip(
            one_hot.feature_names_in_, one_hot.categories_, one_hot.infrequent_categories_, strict=True
        ):
            names += [name] * (len(values) if rare is None else len(values) - len(rare) + math.ceil(len(rare) > 0))
    return [position[n] for n in names]
