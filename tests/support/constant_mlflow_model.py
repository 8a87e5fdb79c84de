"""A model-from-code as small as can be: answers what its saved folder says."""

import json
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Constant(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        self.answer = json.loads((Path(context.artifacts["model"]) / "model.json").read_text())["answer"]

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 (MLflow passes it by name)
    ) -> npt.NDArray[np.float64]:
        return np.full(len(model_input), self.answer)


mlflow.models.set_model(Constant())
