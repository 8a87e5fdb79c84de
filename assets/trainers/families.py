"""The model families by name. A family's libraries load only when it is asked for."""

import importlib
from pathlib import Path
from typing import Final

from assets.trainers.base import Model, Trainer
from assets.trainers.fitted import Description

_MODULES: Final = ("logistic_regression", "catboost", "neural_network")
"""Every module has a `TRAINER` and a `MODEL`, and the name of the module is the name of the family."""


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
    if family not in _MODULES:
        raise ValueError(f"there is no model family {family!r}; known are {list(_MODULES)}")
    return f"assets.trainers.{family}"
