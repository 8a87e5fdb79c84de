"""The model families by name. A family's libraries load only when it is asked for."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assets.trainers.base import Model, Trainer
from assets.trainers.fitted import Description


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family is shown.

    Attributes:
        title: What a person calls it.
        kind: Its library, as the Dagster UI knows it.
    """

    title: str
    kind: str


FAMILIES: Final[Mapping[str, Family]] = {
    "logistic_regression": Family(title="logistic regression", kind="scikitlearn"),
    "catboost": Family(title="CatBoost", kind="catboost"),
    "neural_network": Family(title="neural network", kind="pytorch"),
}
"""Each has a module of its name beside this one, with a `TRAINER` and a `MODEL`."""


def trainer(family: str) -> Trainer:
    """The trainer of a family.

    Raises:
        ValueError: If there is no such family.
    """
    made: Trainer = importlib.import_module(_module(family)).TRAINER
    return made


def load_model(folder: Path) -> Model:
    """The model saved in `folder`, whatever its family. Nothing in it is unpickled.

    Raises:
        FileNotFoundError: If the folder holds no saved model.
        ValueError: If it names a family that this code does not have.
    """
    family = Description.read(folder).family
    loaded: Model = importlib.import_module(_module(family)).MODEL.load(folder)
    return loaded


def _module(family: str) -> str:
    if family not in FAMILIES:
        raise ValueError(f"there is no model family {family!r}; known are {list(FAMILIES)}")
    return f"assets.trainers.{family}"
