"""Labels that come late, as a caller may say them.

Belongs here: from a body to typed labels, and what is wrong with it in the caller's words. Does not belong here:
keeping them (`feedback.py`), and what the page at `/docs` says (`feedback_openapi.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import polars as pl

from resources.serving.rows import MAX_ROWS, RequestError
from resources.serving.service import Field, Signature, Task
from resources.serving.values import MAX_NUMBER, number, parser

FOLDER: Final = "feedback"
"""Of their journal, in the state folder."""
KEYS: Final = ("prediction_id", "row", "entity", "label", "known_at")
AHEAD: Final = timedelta(minutes=5)
"""How far the caller's clock may be ahead: a label that is known in the future is a mistake."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LateLabel:
    """What came of one row that was asked about.

    Attributes:
        prediction_id: Of the answer; None if the row is named by its entity.
        row: Of that answer.
        entity: Values of the entity's fields in their order; None if the row is named by its answer.
        label: 0 or 1, the class, or the quantity.
        known_at: When it was known (UTC), if the caller says so.
    """

    prediction_id: str | None
    row: int | None
    entity: tuple[Any, ...] | None
    label: int | float | str
    known_at: datetime | None


def parse_labels(body: bytes, signature: Signature, now: datetime) -> list[LateLabel]:
    """Read `{"labels": [...]}`.

    Args:
        body: JSON.
        signature: What the rows are, and of what task their labels.
        now: The present (UTC).

    Raises:
        RequestError: Naming the number of the label, from 0, and the field that is wrong.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not valid JSON: {error}") from error
    said = request.get("labels") if isinstance(request, dict) and set(request) == {"labels"} else None
    if not isinstance(said, list) or not said:
        raise RequestError("the body must be an object with 'labels', a list of at least one, only", field="labels")
    if len(said) > MAX_ROWS:
        raise RequestError(f"the request holds {len(said)} labels; send at most {MAX_ROWS} at once", status=413)
    fields = {f.name: f for f in signature.inputs}
    entity = [fields[name] for name in signature.entity]
    return [_label(place, one, signature.task, entity, now) for place, one in enumerate(said)]


def _label(place: int, said: object, task: Task, entity: Sequence[Field], now: datetime) -> LateLabel:
    if not isinstance(said, dict):
        raise RequestError(f"label {place} must be an object with 'label' and what it is about", field="labels")
    if unknown := [name for name in said if name not in KEYS]:
        shown = _shown(unknown[0])
        raise RequestError(f"{shown} in label {place} is none of {list(KEYS)}", field=unknown[0][:100])
    if ("prediction_id" in said) == ("entity" in said) or ("row" in said and "entity" in said):
        raise RequestError(
            f"label {place} must say what it is about: 'prediction_id' and 'row', or 'entity', not both",
            field="prediction_id",
        )
    by_id = "prediction_id" in said
    known_at = said.get("known_at")
    return LateLabel(
        prediction_id=_parsed(place, "prediction_id", said["prediction_id"], _word) if by_id else None,
        row=_parsed(place, "row", said.get("row", 0), lambda value: _whole(value, MAX_ROWS - 1)) if by_id else None,
        entity=None if by_id else _entity(place, said["entity"], entity),
        label=_parsed(place, "label", said.get("label"), LABELS[task]),
        known_at=None if known_at is None else _parsed(place, "known_at", known_at, lambda v: _instant(v, now)),
    )


def _entity(place: int, said: object, fields: Sequence[Field]) -> tuple[Any, ...]:
    names = [f.name for f in fields]
    if not isinstance(said, dict):
        raise RequestError(f"'entity' in label {place} must be an object with {names}", field="entity")
    if unknown := [name for name in said if name not in names]:
        raise RequestError(f"{_shown(unknown[0])} in label {place} is none of {names}", field=unknown[0][:100])
    values = []
    for field in fields:
        value = said.get(field.name)
        if value is None and field.is_required:
            raise RequestError(f"{field.name!r} is missing, or null, in label {place}", field=field.name)
        values.append(None if value is None else _parsed(place, field.name, value, parser(field.dtype)))
    return tuple(values)


def _parsed(place: int, name: str, value: object, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(value)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"{name!r} is {_shown(value)} in label {place}: {error}", field=name) from error


def _instant(value: object, now: datetime) -> datetime:
    found: datetime = parser(pl.Datetime("us", "UTC"))(value)
    if found > now + AHEAD:
        raise ValueError(f"it lies in the future; here it is {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return found


def _word(value: object) -> str:
    found = str(parser(pl.String())(value))
    if not found:
        raise ValueError("send a text that is not empty")
    return found


def _whole(value: object, highest: int) -> int:
    try:
        found = int(parser(pl.Int64())(value))
    except ValueError:
        found = -1
    if not 0 <= found <= highest:
        raise ValueError(f"send a whole number from 0 to {highest}")
    return found


def _either(value: object) -> int:
    if not isinstance(value, int | float) or value not in (0, 1):
        raise ValueError("send 0 or 1, or false or true")
    return int(value)


def _quantity(value: object) -> float:
    if value is None:
        raise ValueError("send a number")
    return number(value)


LABELS: Final[Mapping[Task, Callable[[Any], int | float | str]]] = {
    "binary": _either,
    "multiclass": _word,
    "regression": _quantity,
    "count": lambda value: _whole(value, int(MAX_NUMBER)),
}
"""How a JSON value becomes a label, by task; raises ValueError with what is allowed instead."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
