"""What the page at `/docs` says of request bodies and answers, drawn from the fields and the task of the model.

Belongs here: schemas and examples. Does not belong here: what is accepted; that is `protocol.py` and `rows.py`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from resources.serving.answers import output_names, outputs_metadata, prediction_schema
from resources.serving.explaining import CONTRIBUTION
from resources.serving.protocol import MAX_WORD, allowed_datatypes, datatype
from resources.serving.rows import MAX_ROWS
from resources.serving.service import Field, Signature
from resources.serving.values import MAX_NUMBER, MAX_TEXT, whole_numbers

EXPLAIN: Final = {
    "name": "explain",
    "in": "query",
    "description": "Add a tensor `contribution` [rows, features]: what each feature adds to the raw score.",
    "schema": {"type": "boolean", "default": False},
}
_REFUSALS: Final = {
    400: "Malformed; names the field",
    401: "No API key, where one is needed",
    404: "No such version is loaded",
    408: "The body did not arrive in time",
    413: "Too large",
    415: "Not JSON",
    429: "More than the key, or the explanations, may be asked for; `Retry-After` says when again",
    500: "A defect of the endpoint",
    503: "No version is live, or the log cannot keep the answer",
}
MOST_VERSIONS: Final = 999_999_999


def scoring_paths(use_case: str, signature: Signature) -> dict[str, Any]:
    """OpenAPI of the routes that score rows, by path."""
    infer = (
        "Score rows in the Open Inference Protocol: what a caller knows, or full feature rows; never a mixture.",
        {**_infer_body(signature), "parameters": [EXPLAIN]},
    )
    number = {"type": "integer", "minimum": 1, "maximum": MOST_VERSIONS}
    named = _infer_body(signature)
    named["responses"] |= {str(status): said for status, said in refusals(404).items()}
    version = (
        "Score rows with the live version, or the one beside it, by its number: whatever its share.",
        {**named, "parameters": [{"name": "version", "in": "path", "required": True, "schema": number}, EXPLAIN]},
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
    lists = {n: {"type": "array", "items": _record(fields), "maxItems": MAX_ROWS} for n, fields in tables.items()}
    records = _closed(lists, []) | {"minProperties": 1}
    first = next(iter(tables))
    example = {"records": {first: [{f.name: _example(f) for f in tables[first] if f.is_required}]}}
    counts = {name: {"type": "integer", "minimum": 0} for name in ("records", "changed")}
    return _body(_closed({"records": records}, ["records"]), example, _closed(counts, [*counts]))


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI of answers that are none, by status."""
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}, "field": {"type": "string"}, "request_id": {"type": "string"}},
    }
    return {s: {"description": _REFUSALS[s], "content": {"application/json": {"schema": error}}} for s in statuses}


def _infer_body(signature: Signature) -> dict[str, Any]:
    """OpenAPI of the body of an inference request, with an example that can be tried out."""
    word = {"type": ["string", "null"], "maxLength": MAX_WORD}
    wanted = {"type": "object", "required": ["name"], "properties": {"name": {"enum": [*output_names(signature.task)]}}}
    schema = {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
            "id": word,
            "parameters": {"type": ["object", "null"], "additionalProperties": False, "properties": {"purpose": word}},
            "inputs": {"type": "array", "minItems": 1, "items": {"anyOf": _tensors(signature)}},
            "outputs": {"type": ["array", "null"], "items": wanted},
        },
    }
    example = {
        "inputs": [
            {"name": f.name, "shape": [1], "datatype": datatype(f.dtype), "data": [_example(f)]}
            for f in signature.inputs
            if f.is_required
        ]
    }
    return _body(schema, example, _answers(signature))


def _tensors(signature: Signature) -> list[dict[str, Any]]:
    """Schemas of the tensors that may be sent; fields with the same values share one."""
    allowed = allowed_datatypes(signature)
    alike: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for field in (*signature.inputs, *signature.features):
        value = value_schema(field)
        alike.setdefault(repr((value, allowed[field.name])), ([], value))[0].append(field.name)
    size = {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}
    return [
        {
            "type": "object",
            "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": {"enum": known},
                "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2},
                "datatype": {"enum": [*dict.fromkeys(allowed[known[0]])]},
                "data": {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_ROWS},
            },
        }
        for known, value in alike.values()
    ]


def _invocations_body(signature: Signature) -> dict[str, Any]:
    """OpenAPI of the body of a request in MLflow's formats, with an example that can be tried out."""
    kinds = [_record(signature.inputs), _record(signature.features, are_all_needed=True)]
    known = [*dict.fromkeys(f.name for f in (*signature.inputs, *signature.features))]
    some: dict[str, Any] = {"minItems": 1, "maxItems": MAX_ROWS}
    split = {
        "columns": {"type": "array", "items": {"enum": known}, "minItems": 1, "uniqueItems": True},
        "data": {"type": "array", "items": {"type": "array"}, **some},
        "index": {},
    }
    columns = {"type": "object", "additionalProperties": {"type": "array", **some}, "propertyNames": {"enum": known}}
    forms: dict[str, dict[str, Any]] = {
        "dataframe_records": {"type": "array", "items": {"anyOf": kinds}, **some},
        "dataframe_split": _closed(split, ["columns", "data"]),
        "inputs": columns | {"minProperties": 1},
    }
    schema = {"oneOf": [_closed({name: form}, [name]) for name, form in forms.items()]}
    example = {"dataframe_records": [{f.name: _example(f) for f in signature.inputs if f.is_required}]}
    rows = {"type": "array", "items": prediction_schema(signature.task)}
    answer = {"type": "object", "required": ["predictions"], "properties": {"predictions": rows}}
    return _body(schema, example, answer)


def _record(fields: Sequence[Field], *, are_all_needed: bool = False) -> dict[str, Any]:
    described = {f.name: value_schema(f) | _told(f) for f in fields}
    return _closed(described, [f.name for f in fields if f.is_required or are_all_needed])


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def value_schema(field: Field) -> dict[str, Any]:
    """JSON schema of one value of a field; what it cannot say, as that times need a zone, the answer does."""
    dtype, kind, more = field.dtype, "string", dict[str, Any](maxLength=MAX_TEXT)
    if isinstance(dtype, pl.Datetime):
        more = {"format": "date-time"}
    elif dtype == pl.Date:
        more = {"format": "date"}
    elif dtype == pl.Boolean:
        kind, more = "boolean", {}
    elif dtype.is_integer():
        lowest, highest = whole_numbers(dtype)
        kind, more = "integer", {"minimum": lowest, "maximum": highest}
    elif dtype.is_float():
        kind, more = "number", {"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
    if field.range is not None and field.range.otherwise == "refuse":
        more |= field.range.to_json()
    if not field.is_required and "enum" in more:
        more["enum"] = [*more["enum"], None]
    return {"type": kind if field.is_required else [kind, "null"], **more}


def _body(schema: dict[str, Any], example: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    scores = {"description": "Scores", "content": {"application/json": {"schema": answer}}}
    refused = refusals(400, 401, 408, 413, 415, 429, 500, 503)
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"200": scores, **{str(status): said for status, said in refused.items()}},
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
    properties |= {"parameters": {"type": "object"}, "outputs": outputs}
    return {"type": "object", "required": [*properties], "properties": properties}


def _told(field: Field) -> dict[str, str]:
    unit = f" [{field.unit}]" if field.unit else ""
    return {"description": f"{field.description}{unit}"} if field.description or unit else {}


def _example(field: Field) -> str | float | bool:
    if isinstance(field.dtype, pl.Datetime):
        return "2013-09-01T14:00:00Z"
    if field.dtype == pl.Date:
        return "2013-09-01"
    if field.dtype == pl.Boolean:
        return True
    if field.range is not None and (usual := field.range.example) is not None:
        if field.dtype.is_integer():  # whose bounds need not be whole
            return math.floor(float(usual)) if field.range.lowest is None else math.ceil(float(usual))
        return usual
    return 1 if field.dtype.is_numeric() else "text"
