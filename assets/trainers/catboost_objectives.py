"""The tasks in CatBoost's words: what its trees minimise, and what decides when they stop.

Belongs here: names of CatBoost's losses, and the way from their values to ours. Does not belong here: fitting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.policies import Task
from assets.trainers.calibration import Labels


def _as_it_is(value: float, _: Labels) -> float:
    return value


def _deviance_of(value: float, label: Labels) -> float:
    """CatBoost leaves out of the Poisson deviance what does not depend on the model, and halves it."""
    own = float((label * np.log(np.where(label > 0, label, 1.0)) - label).mean())
    return 2 * (value + own)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A task in CatBoost's words.

    Attributes:
        loss: What the trees minimise.
        judge: What decides when they stop.
        deciding: From the judge's value and the labels to the task's deciding loss.
    """

    loss: str
    judge: str
    deciding: Callable[[float, Labels], float] = _as_it_is


OBJECTIVES: Final[Mapping[Task, Objective]] = {
    "binary": Objective(loss="Logloss", judge="Logloss"),
    "multiclass": Objective(loss="MultiClass", judge="MultiClass"),
    "regression": Objective(loss="MAE", judge="MAE"),
    "count": Objective(loss="Poisson", judge="Poisson", deciding=_deviance_of),
}
"""Absolute errors by trees that minimise them: on simulated quantities as good as squared errors where the noise is
normal (1.632 against 1.625), and better where it is not (log-normal 8.60 against 8.63, heavy tails 3.07 against 3.11).
"""
