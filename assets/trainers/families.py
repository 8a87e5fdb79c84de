"""The model families' code by name. A family's libraries load only when it is asked for."""

import importlib
from pathlib import Path
from types import ModuleType

from assets.trainers.base import Model, Trainer
from assets.trainers.description import Description
from assets.trainers.names import (
    FAMILIES,
    Family,
    check_family,
    described,
    family_code,
    family_module,
    family_name,
    is_function,
)

__all__ = [
    "FAMILIES",
    "Family",
    "check_family",
    "described",
    "family_code",
    "family_name",
    "load_model",
    "trainer",
]


def trainer(family: str) -> Trainer:
    """The trainer of a family.

    Raises:
        ValueError: If there is no such family.
    """
    module = _module(family)
    made: Trainer = module.trainer_of(family) if is_function(family) else module.TRAINER
    return made


def load_model(folder: Path) -> Model:
    """The model saved in `folder`, whatever its family. Nothing in it is unpickled.

    Raises:
        FileNotFoundError: If the folder holds no saved model.
        ValueError: If it names a family that this code does not have.
    """
    loaded: Model = _module(Description.read(folder).family).MODEL.load(folder)
    return loaded


def _module(family: str) -> ModuleType:
    described(family)
    return importlib.import_module(family_module(family))
