"""What MLflow is told about our models when one is logged: code, signature, example, requirements.

Belongs here: facts that follow from the declared features and the family.
Does not belong here: the logging itself (the registry), and what runs when a version is loaded (`mlflow_model`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from assets.contracts import Feature
from assets.trainers.description import Description
from assets.trainers.encoding import category_texts, check_features, names_of, numeric_matrix

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

MODEL_CODE: Final = Path(__file__).with_name("mlflow_model.py")
"""The `python_model` of `mlflow.pyfunc.log_model`."""
MODEL_ARTIFACT: Final = "model"
"""The key in `artifacts` under which the saved folder goes."""


def signature_of(features: Sequence[Feature], outputs: Sequence[str] = ("probability",)) -> "ModelSignature":
    """Numbers as double, since an integer column could not hold a missing value, categories as string; all required.

    One output is one double per row, several are columns by their name (`base.Model.outputs`).
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    kinds = {"numeric": DataType.double, "categorical": DataType.string}
    columns: list[ColSpec | TensorSpec] = [ColSpec(kinds[f.kind], f.name) for f in features]
    answers: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in outputs]
    if len(answers) == 1:
        answers = [ColSpec(DataType.double)]
    return ModelSignature(inputs=Schema(columns), outputs=Schema(answers))


def to_mlflow(frame: pl.DataFrame, features: Sequence[Feature]) -> "pd.DataFrame":
    """The declared features of a frame as the signature has them, NaN and None where missing.

    Raises:
        FeatureError: If a feature is absent or of another kind, naming it.
    """
    import pandas as pd

    check_features(frame, features)
    numbers = pd.DataFrame(numeric_matrix(frame, features), columns=names_of(features, "numeric"))
    texts = {n: frame.get_column(n).cast(pl.String).to_list() for n in category_texts(frame.head(0), features)}
    both = pd.concat([numbers, pd.DataFrame(texts, index=numbers.index, dtype=object)], axis=1)
    return both[[f.name for f in features]]


def requirements_of(folder: Path) -> list[str]:
    """The libraries a saved model needs, at the versions it was fitted with, as pip requirements.

    Naming them saves the 4 s that MLflow takes to find them out by itself.
    """
    libraries = Description.read(folder).libraries
    # The part after "+" names a build (such as CPU only) that a package index need not have.
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(libraries.items()) if name != "python"]
