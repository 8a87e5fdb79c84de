"""What the page at `/docs` says of request bodies and answers, drawn from the fields and the task of the model.

Belongs here: schemas and examples. Does not belong here: what is accepted; that is `protocol.py` and `rows.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from resources.serving.answers import outputs_metadata, prediction_schema
from resources.serving.explaining import CONTRIBUTION
from resources.serving.protocol import datatype
from resources.serving.rows import MAX_ROWS
from resources.serving.service import Field, Signature

EXPLAIN: Final = {
    "name": "explain",
    "in": "query",
    "description": "Add a tensor `contribution` [rows, features]: what each feature adds to the raw score.",
    "schema": {"type": "boolean", "default": False},
}


def scoring_paths(use_case: str, signature: Signature) -> dict[str, Any]:
    """OpenAPI of the routes that score rows, by path."""
    infer = (
        "Score rows in the Open Inference Protocol: what a caller knows, or full feature rows; never a mixture.",
        {**_infer_body(signature), "parameters": [EXPLAIN]},
    )
    version = (
        "Score rows with the live version, or the one beside it, by its number: whatever its share.",
        {
            **_infer_body(signature),
            "parameters": [
                {"name": "version", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}},
                EXPLAIN,
            ],
        },
    )
    invocations = (
        "Score rows in one of MLflow's formats: `dataframe_split`, `dataframe_records` or `inputs`.",
        _invocations_body(signature),
    )
    return {
        path: {"post": {"tags": ["scoring"], "summary": path.rpartition("/")[2], "description": said, **body}}
        for path, (said, body) in (
            (f"/v2/models/{use_case}/infer", infer),
            (f"/v2/models/{use_case}/versions/{{version}}/infer", version),
            ("/invocations", invocations),
        )
    }


def observations_body(tables: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """OpenAPI of the body of a request with observed records, with an example that can be tried out."""
    records = {
        name: {
            "type": "array",
            "maxItems": MAX_ROWS,
            "items": {
                "type": "object",
                "required": [f.name for f in fields if f.is_required],
                "properties": {f.name: {"description": _said(f)} for f in fields},
                "additionalProperties": False,
            },
        }
        for name, fields in tables.items()
    }
    schema = {
        "type": "object",
        "required": ["records"],
        "additionalProperties": False,
        "properties": {
            "records": {"type": "object", "minProperties": 1, "properties": records, "additionalProperties": False}
        },
    }
    first = next(iter(tables))
    example = {"records": {first: [{f.name: _example(f) for f in tables[first] if f.is_required}]}}
    counts = {"type": "object", "properties": {name: {"type": "integer"} for name in ("records", "changed")}}
    return _body(schema, example, counts)


def _infer_body(signature: Signature) -> dict[str, Any]:
    """OpenAPI of the body of an inference request, with an example that can be tried out."""
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string", "enum": sorted({f.name for f in (*signature.inputs, *signature.features)})},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": {}, "minItems": 1, "maxItems": MAX_ROWS},
        },
    }
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string", "maxLength": 100}, "inputs": {"type": "array", "items": tensor}},
    }
    example = {
        "inputs": [
            {"name": f.name, "shape": [1], "datatype": datatype(f.dtype), "data": [_example(f)]}
            for f in signature.inputs
            if f.is_required
        ]
    }
    return _body(schema, example, _answers(signature))


def _invocations_body(signature: Signature) -> dict[str, Any]:
    """OpenAPI of the body of a request in MLflow's formats, with an example that can be tried out."""
    record = {"type": "object", "properties": {f.name: {"description": _said(f)} for f in signature.inputs}}
    records = {"type": "array", "items": record, "minItems": 1, "maxItems": MAX_ROWS}
    forms = {"dataframe_records": records, "dataframe_split": {"type": "object"}, "inputs": {"type": "object"}}
    schema = {"oneOf": [{"type": "object", "required": [n], "properties": {n: s}} for n, s in forms.items()]}
    example = {"dataframe_records": [{f.name: _example(f) for f in signature.inputs if f.is_required}]}
    rows = {"type": "array", "items": prediction_schema(signature.task)}
    return _body(schema, example, {"type": "object", "properties": {"predictions": rows}})


def _body(schema: dict[str, Any], example: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {"error": {"type": "string"}, "field": {"type": "string"}, "request_id": {"type": "string"}},
    }
    described = {
        "200": ("Scores", answer),
        "400": ("Malformed; names the field", error),
        "401": ("No API key, where one is needed", error),
        "408": ("The body did not arrive in time", error),
        "413": ("Too large", error),
        "415": ("Not JSON", error),
        "429": ("More than the key, or the explanations, may be asked for; `Retry-After` says when again", error),
        "500": ("A defect of the endpoint", error),
        "503": ("No version is live, or the log cannot keep the answer", error),
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {
            status: {"description": what, "content": {"application/json": {"schema": form}}}
            for status, (what, form) in described.items()
        },
    }


def _answers(signature: Signature) -> dict[str, Any]:
    described = outputs_metadata(signature.task, None)
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string", "enum": [*(output["name"] for output in described), CONTRIBUTION]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string", "enum": list(dict.fromkeys(output["datatype"] for output in described))},
            "data": {"type": "array", "items": {}, "description": "Row by row, in one flat list."},
            "parameters": {"type": "object", "description": "Of probabilities of several classes: `classes`."},
        },
    }
    texts = ("model_name", "model_version", "id")
    properties: dict[str, Any] = {name: {"type": "string"} for name in texts}
    outputs = {"type": "array", "items": tensor}
    return {"type": "object", "properties": {**properties, "parameters": {"type": "object"}, "outputs": outputs}}


def _said(field: Field) -> str:
    parts: Sequence[str] = (
        field.description,
        f"[{field.unit}]" if field.unit else "",
        "" if field.is_required else "Optional.",
    )
    return " ".join(part for part in parts if part)


def _example(field: Field) -> str | int | bool:
    if isinstance(field.dtype, pl.Datetime):
        return "2013-09-01T14:00:00Z"
    if field.dtype == pl.Date:
        return "2013-09-01"
    if field.dtype == pl.Boolean:
        return True
    return 1 if field.dtype.is_numeric() else "text"
