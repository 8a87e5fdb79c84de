"""The code MLflow runs when it loads one of our model versions: models-from-code, so that nothing is unpickled.

This file is handed to `mlflow.pyfunc.log_model(python_model=...)` and executed by MLflow, which is why it imports
MLflow at the top and registers a model at the end, and why no other module may import it: use `mlflow_signature`.
The process that loads it needs this package installed and, for no family, pickle.
"""

from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from assets.contracts import Feature
from assets.trainers.description import Description
from assets.trainers.families import load_model

MODEL_ARTIFACT = "model"
"""Name of the artifact that holds the folder `base.Model.save` wrote. The same as in `mlflow_signature`."""


class TabularModel(PythonModel):
    """Answers what the model answers: shape (n,) for one output, else a frame with one column per output."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the saved folder. MLflow requires the argument to be called `context`."""
        folder = Path(context.artifacts[MODEL_ARTIFACT])
        self._features = Description.read(folder).features
        self._model = load_model(folder)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 (MLflow passes it by name)
    ) -> npt.NDArray[np.float64] | pd.DataFrame:
        """Predict from a pandas frame with the declared features: numbers as float64, categories as str or None."""
        columns = {f.name: _series(model_input[f.name], f) for f in self._features if f.name in model_input.columns}
        answers = self._model.predict(pl.DataFrame(columns))
        return answers if answers.ndim == 1 else pd.DataFrame(answers, columns=list(self._model.outputs))


def _series(values: "pd.Series[Any]", feature: Feature) -> pl.Series:
    if feature.kind == "numeric":
        return pl.Series(feature.name, values.to_numpy(dtype=np.float64, na_value=np.nan), nan_to_null=True)
    texts = [None if missing else text for text, missing in zip(values, values.isna(), strict=True)]
    return pl.Series(feature.name, texts, dtype=pl.String)


mlflow.models.set_model(TabularModel())
