"""What is kept of a fitted model besides its weights: `model.json`.

Belongs here: the description, written and read. Does not belong here: weights; each family keeps its own beside it.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from assets.contracts import Feature
from assets.policies import Task
from assets.trainers.base import Parameters
from assets.trainers.calibration import Calibrator, Platt
from assets.trainers.tasks import HEADS, Lesson, Target

MODEL_FILE: Final = "model.json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything about a fitted model that is not weights, as `model.json` holds it.

    Attributes:
        libraries: Distributions the model depends on, with the versions it was fitted with.
        fitted: What the family fitted besides weights (category tables, means); JSON values only.
        classes: Of a multiclass task, those it knows by name.
        target: The way from what the family's model gives to the raw score.
    """

    family: str
    features: tuple[Feature, ...]
    parameters: Parameters
    libraries: Mapping[str, str]
    fitted: Mapping[str, Any]
    calibrator: Calibrator = field(default_factory=Platt)
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    target: Target = field(default_factory=Target)

    def write(self, folder: Path) -> None:
        """Write `model.json`. Floats are written so that they read back as the same bits."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False, default=dict)
        (folder / MODEL_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Description":
        """Read `model.json`; one that names no task is binary.

        Raises:
            FileNotFoundError: If the folder holds no saved model.
        """
        path = folder / MODEL_FILE
        if not path.is_file():
            raise FileNotFoundError(f"no saved model in {folder}: {MODEL_FILE} is missing")
        values = json.loads(path.read_text(encoding="utf-8"))
        head = HEADS[values.get("task", "binary")]
        values["features"] = tuple(Feature(**f) for f in values["features"])
        kept = {k: tuple(v) if isinstance(v, list) else v for k, v in values["calibrator"].items()}
        values["calibrator"] = head.calibrator(**kept)
        values["classes"] = tuple(values.get("classes", ()))
        values["target"] = Target(**values.get("target", {}))
        return cls(**values)


def describe(
    family: str, lesson: Lesson, parameters: Parameters, libraries: Mapping[str, str], fitted: Mapping[str, Any]
) -> Description:
    """The description of a model that learnt this lesson, not calibrated yet."""
    return Description(
        family=family,
        features=lesson.given.features,
        parameters=parameters,
        libraries=libraries,
        fitted=fitted,
        calibrator=lesson.calibrator,
        task=lesson.given.task,
        classes=lesson.given.classes,
        target=lesson.target,
    )


def library_versions(*distributions: str) -> dict[str, str]:
    """Versions of Python, numpy, Polars and the named distributions."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "polars", *distributions)}
    return {"python": platform.python_version(), **versions}
