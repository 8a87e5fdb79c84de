"""The toy use case with a family whose models turn bad once they are live: they fail, or take twice the time.

A saved model of that family is a model of another one, with a file `fault` beside it. The process that serves
`tests.support.planted:PLANTED` knows the family; no other does.
"""

import importlib
import json
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assets.trainers.names import FAMILIES, Family
from tests.support.toy_use_case import TOY

PLANTED = TOY
PLANTED_PATH = "tests.support.planted:PLANTED"
GOOD_CALLS = 30
"""So many are well, whatever the fault: what is asked before it meets traffic."""

LATE_ROW = 1_000

Fault = Literal["errors", "slow", "late errors"]
"""Every fifth call fails; every call takes twice the time; every call fails from the thousandth row on."""


class PlantedModel:
    """A model with a fault."""

    family = "planted"

    def __init__(self, inner: Any, fault: str) -> None:
        self._inner, self._fault, self._calls, self.outputs = inner, fault, count(), inner.outputs
        self._rows = 0

    @classmethod
    def load(cls, folder: Path) -> "PlantedModel":
        fault, _, family = (folder / "fault").read_text(encoding="utf-8").partition(" of ")
        return cls(importlib.import_module(f"assets.trainers.{family}").MODEL.load(folder), fault)

    def predict_rows(self, rows: Any) -> npt.NDArray[np.float64]:
        call, began = next(self._calls), time.perf_counter()
        self._rows += len(rows)
        if self._rows >= LATE_ROW and self._fault == "late errors":
            raise ArithmeticError("planted")
        scores: npt.NDArray[np.float64] = self._inner.predict_rows(rows)
        if call >= GOOD_CALLS and self._fault == "errors" and call % 5 == 0:
            raise ArithmeticError("planted")
        if call >= GOOD_CALLS and self._fault == "slow":
            time.sleep(time.perf_counter() - began)
        return scores


MODEL = PlantedModel
FAMILIES["planted"] = Family(title="planted", kind="tests")  # type: ignore[index]
sys.modules["assets.trainers.planted"] = sys.modules[__name__]


def planted(model: Path, folder: Path, fault: Fault) -> Path:
    """A saved model in a new folder, with the fault."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "fault").write_text(f"{fault} of {description['family']}", encoding="utf-8")
    (folder / "model.json").write_text(json.dumps(description | {"family": "planted"}), encoding="utf-8")
    return folder
