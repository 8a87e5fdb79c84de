"""What the page at `/docs` says of late labels.

Belongs here: schema, example and answers. Does not belong here: what is accepted (`late_labels.py`).
"""

from typing import Any, Final

import polars as pl

from resources.serving.rows import MAX_ROWS
from resources.serving.service import Field, Signature, Task
from resources.serving.values import MAX_TEXT

LABEL_SCHEMAS: Final[dict[Task, dict[str, Any]]] = {
    "binary": {"enum": [0, 1, False, True]},
    "multiclass": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    "regression": {"type": "number"},
    "count": {"type": "integer", "minimum": 0},
}
EXAMPLES: Final[dict[Task, object]] = {"binary": 1, "multiclass": "text", "regression": 1.5, "count": 1}
_ERROR: Final = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "field": {"type": "string"}, "request_id": {"type": "string"}},
}
_TAKEN: Final = {
    "type": "object",
    "required": ["model_name", "labels"],
    "properties": {"model_name": {"type": "string"}, "labels": {"type": "integer", "minimum": 1}},
}
FEEDBACK_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": what, "content": {"application/json": {"schema": schema}}}
    for status, what, schema in (
        (200, "How many labels are on record now", _TAKEN),
        (400, "Malformed; names the label and the field", _ERROR),
        (401, "No API key, where one is needed", _ERROR),
        (408, "The body did not arrive in time", _ERROR),
        (413, "Too large", _ERROR),
        (415, "Not JSON", _ERROR),
        (429, "More than the key may ask for; `Retry-After` says when again", _ERROR),
        (500, "A defect of the endpoint", _ERROR),
        (503, "The journal of labels cannot be written", _ERROR),
    )
}


def feedback_body(signature: Signature) -> dict[str, Any]:
    """OpenAPI of a request with labels, with an example that can be tried out."""
    fields = {f.name: f for f in signature.inputs}
    entity = [fields[name] for name in signature.entity]
    shared = {
        "label": LABEL_SCHEMAS[signature.task],
        "known_at": {"type": "string", "format": "date-time", "description": "When it was known; by default now."},
    }
    by_answer = {
        "prediction_id": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
        "row": {"type": "integer", "minimum": 0, "maximum": MAX_ROWS - 1, "default": 0},
        **shared,
    }
    named = {
        "type": "object",
        "required": [f.name for f in entity if f.is_required],
        "properties": {f.name: _schema(f) for f in entity},
        "additionalProperties": False,
    }
    forms = [_object(by_answer, "prediction_id"), _object({"entity": named, **shared}, "entity")]
    labels = {"type": "array", "items": {"oneOf": forms}, "minItems": 1, "maxItems": MAX_ROWS}
    schema = {"type": "object", "required": ["labels"], "properties": {"labels": labels}, "additionalProperties": False}
    label = EXAMPLES[signature.task]
    example = {"labels": [{"entity": {f.name: _example(f) for f in entity if f.is_required}, "label": label}]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def _object(properties: dict[str, Any], key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [key, "label"],
        "properties": properties,
        "additionalProperties": False,
    }


def _schema(field: Field) -> dict[str, Any]:
    dtype = field.dtype
    described = {"description": field.description}
    if isinstance(dtype, pl.Datetime):
        return {"type": "string", "format": "date-time", **described}
    if dtype == pl.Date:
        return {"type": "string", "format": "date", **described}
    if dtype == pl.Boolean:
        return {"type": "boolean", **described}
    if dtype.is_integer():
        return {"type": "integer", **described}
    if dtype.is_float():
        return {"type": "number", **described}
    return {"type": "string", "maxLength": MAX_TEXT, **described}


def _example(field: Field) -> object:
    if isinstance(field.dtype, pl.Datetime):
        return "2013-09-01T14:00:00Z"
    if field.dtype == pl.Date:
        return "2013-09-01"
    if field.dtype == pl.Boolean:
        return True
    return 1 if field.dtype.is_numeric() else "text"
