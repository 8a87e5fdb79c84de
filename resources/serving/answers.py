"""What an answer looks like, by task: as tensors, as JSON, in the log, in the documentation, and whether it can be one.

Belongs here: the one place that knows the tasks apart on the wire. Does not belong here: requests (`protocol.py`), and
what is asked of a model before it goes live (the process's main).

    binary              tensor `probability` [n]
    multiclass          tensors `probability` [n, classes], the classes beside it as a parameter, and `class` [n]
    regression, count   tensors `prediction`, `lower` and `upper` [n]
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from resources.serving.service import Task

PROBABILITY: Final = "probability"
CLASS: Final = "class"
QUANTITIES: Final = ("prediction", "lower", "upper")
SUM_TOLERANCE: Final = 1e-6
"""How far from 1 the probabilities of a row may add up: what 64-bit sums over thousands of classes lose is less."""

Scores = npt.NDArray[np.float64]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Scores with everything a caller is told about them.

    Attributes:
        id: Of this prediction, new for every answer.
        versions: Number of the model version that gave the scores of each row.
        outputs: What the columns of the scores are; see `service.Scorer`.
        scores: Shape (n,) for one output, else (n, outputs).
        prediction_times: The instants as of which history was looked at, one per row (UTC); None for feature rows.
        missing_inputs: Optional inputs and features that were null in at least one row.
        unusual_inputs: Inputs that were out of their declared range in at least one row.
        stale_since: When the history that features were made with last learnt of anything (UTC), if that is too long
            ago; else None.
    """

    id: str
    versions: Sequence[int]
    task: Task
    outputs: tuple[str, ...]
    scores: Scores
    prediction_times: Sequence[datetime] | None
    missing_inputs: Sequence[str]
    stale_since: datetime | None = None
    unusual_inputs: Sequence[str] = ()


def output_names(task: Task) -> tuple[str, ...]:
    """Names of the tensors in an answer."""
    return {"binary": (PROBABILITY,), "multiclass": (PROBABILITY, CLASS)}.get(task, QUANTITIES)


def tensors(answer: Answer, wanted: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The tensors of an answer in the Open Inference Protocol: values row by row in one flat list.

    Args:
        answer: What is answered.
        wanted: Names of the tensors that were asked for; none means all.
    """
    rows = len(answer.scores)
    if answer.task == "binary":
        return [_tensor(PROBABILITY, [rows], answer.scores.tolist())]  # whatever was asked for: there is no other
    if answer.task == "multiclass":
        made = [
            _tensor(PROBABILITY, [rows, len(answer.outputs)], answer.scores.ravel().tolist())
            | {"parameters": {"classes": list(answer.outputs)}},
            {"name": CLASS, "shape": [rows], "datatype": "BYTES", "data": _classes(answer)},
        ]
    else:
        columns = answer.scores.reshape(rows, len(answer.outputs)).T.tolist()
        made = [_tensor(name, [rows], column) for name, column in zip(answer.outputs, columns, strict=True)]
    return [tensor for tensor in made if not wanted or tensor["name"] in wanted]


def predictions(answer: Answer) -> list[Any]:
    """The rows of an answer as JSON: a number for a binary task, else an object."""
    if answer.task == "multiclass":
        said = [dict(zip(answer.outputs, row, strict=True)) for row in answer.scores.tolist()]
        return [{CLASS: c, PROBABILITY: p} for c, p in zip(_classes(answer), said, strict=True)]
    return logged(answer)


def logged(answer: Answer) -> list[Any]:
    """All outputs of every row: a number for a binary task, else a number by output."""
    rows = answer.scores.tolist()
    return rows if answer.task == "binary" else [dict(zip(answer.outputs, row, strict=True)) for row in rows]


def scores_of(tensors: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of the tensors in a full answer, in the shape in which the model gave them."""
    first = tensors[0]
    if len(first["shape"]) > 1 or len(tensors) == 1:
        return np.array(first["data"], dtype=np.float64).reshape(first["shape"])
    return np.array([tensor["data"] for tensor in tensors], dtype=np.float64).T


def problem(task: Task, outputs: Sequence[str], scores: Scores, rows: int) -> str | None:
    """Why scores are no answer to `rows` rows of that task; None if they are one."""
    expected = {"binary": (PROBABILITY,), "multiclass": tuple(outputs)}.get(task, QUANTITIES)
    if tuple(outputs) != expected or len(outputs) < (2 if task == "multiclass" else 1):
        return f"a model of a {task} task answers with {expected or 'classes'}, and this one with {tuple(outputs)}"
    if scores.shape != ((rows,) if task == "binary" else (rows, len(outputs))):
        return f"{rows} rows are answered with scores of shape {scores.shape}"
    if not np.isfinite(scores).all():
        return "not every score is a number"
    return _unlikely(scores) if task in ("binary", "multiclass") else _unordered(scores, task)


def _unlikely(scores: Scores) -> str | None:
    if ((scores < 0) | (scores > 1)).any():
        return "not every score is a probability from 0 to 1"
    if scores.ndim > 1 and (np.abs(scores.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        return "the probabilities of a row do not add up to 1"
    return None


def _unordered(scores: Scores, task: Task) -> str | None:
    prediction, lower, upper = scores.T
    if ((lower > prediction) | (prediction > upper)).any():
        return "a prediction lies outside its own interval"
    return "a count below 0 is predicted" if task == "count" and (scores < 0).any() else None


def outputs_metadata(task: Task, outputs: Sequence[str] | None) -> list[dict[str, Any]]:
    """The tensors of an answer as the protocol's metadata describes them; `outputs` None: no version is live."""
    if task != "multiclass":
        return [{"name": name, "datatype": "FP64", "shape": [-1]} for name in output_names(task)]
    known: dict[str, Any] = {} if outputs is None else {"parameters": {"classes": list(outputs)}}
    shape = [-1, -1 if outputs is None else len(outputs)]
    return [
        {"name": PROBABILITY, "datatype": "FP64", "shape": shape, **known},
        {"name": CLASS, "datatype": "BYTES", "shape": [-1]},
    ]


def prediction_schema(task: Task) -> dict[str, Any]:
    """OpenAPI of one row of `predictions`."""
    number = {"type": "number"}
    if task == "binary":
        return number
    properties: dict[str, Any] = dict.fromkeys(output_names(task), number)
    if task == "multiclass":
        properties |= {PROBABILITY: {"type": "object", "additionalProperties": number}, CLASS: {"type": "string"}}
    return {"type": "object", "required": list(properties), "properties": properties}


def _tensor(name: str, shape: list[int], data: list[float]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


def _classes(answer: Answer) -> list[str]:
    """The most likely class of each row; of equally likely ones the first."""
    return [answer.outputs[best] for best in answer.scores.argmax(axis=1)] if len(answer.scores) else []
