"""How requests and answers travel: the Open Inference Protocol (version 2) and MLflow's scoring formats.

Belongs here: requests as JSON, and what is around an answer. Does not belong here: whether a value suits its field
(`rows.py`), and the answer itself (`answers.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson
import polars as pl

from resources.serving.answers import Answer, output_names, tensors
from resources.serving.rows import Question, RequestError, question, refuse_too_many, refuse_unknown
from resources.serving.service import Field, Signature

_INTEGERS: Final = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS: Final = ("FP16", "FP32", "FP64")
_OWN: Final = {
    pl.Int8(): "INT8",
    pl.Int16(): "INT16",
    pl.Int32(): "INT32",
    pl.Int64(): "INT64",
    pl.UInt8(): "UINT8",
    pl.UInt16(): "UINT16",
    pl.UInt32(): "UINT32",
    pl.UInt64(): "UINT64",
    pl.Float32(): "FP32",
    pl.Float64(): "FP64",
    pl.Boolean(): "BOOL",
}
DATATYPES: Final = frozenset((*_INTEGERS, *_FLOATS, "BOOL", "BYTES"))
INFER_KEYS: Final = ("id", "parameters", "inputs", "outputs")
MAX_WORD: Final = 100
MLFLOW_KEYS: Final = ("dataframe_split", "dataframe_records", "inputs")


def datatype(dtype: pl.DataType) -> str:
    """The protocol's name of a type; text and times are `BYTES`."""
    return _OWN.get(dtype, "BYTES")


def parse_infer(body: bytes, signature: Signature) -> Question:
    """Read an inference request: one tensor per field, each of shape [rows] or [rows, 1].

    Raises:
        RequestError: Naming the field that is wrong and what is allowed.
    """
    request = _object(body)
    if unknown := [key for key in request if key not in INFER_KEYS]:
        raise RequestError(
            f"{unknown[0]!r} is not part of an inference request; allowed: {list(INFER_KEYS)}", field=unknown[0]
        )
    wanted = _wanted(request.get("outputs"), signature)
    parameters = request.get("parameters") or {}
    if not isinstance(parameters, dict) or not set(parameters) <= {"purpose"}:
        raise RequestError("'parameters' may only hold 'purpose'", field="parameters")
    request_id, purpose = _word(request, "id"), _word(parameters, "purpose")
    sent = request.get("inputs")
    if not isinstance(sent, list) or not sent:
        raise RequestError(
            "'inputs' must be a list of tensors, each with name, shape, datatype and data", field="inputs"
        )
    allowed = allowed_datatypes(signature)
    columns: dict[str, list[Any]] = {}
    for tensor in sent:
        name, data = _tensor(tensor, allowed)
        if name in columns:
            raise RequestError(f"{name!r} stands twice", field=name)
        columns[name] = data
    _same_length(columns)
    return msgspec.structs.replace(question(columns, signature, request_id=request_id, purpose=purpose), outputs=wanted)


def parse_invocations(body: bytes, signature: Signature) -> Question:
    """Read a request in one of MLflow's scoring formats.

    Raises:
        RequestError: Naming the field that is wrong and what is allowed.
    """
    request = _object(body)
    if len(request) != 1 or (form := next(iter(request))) not in MLFLOW_KEYS:
        raise RequestError(f"the request must hold exactly one of {list(MLFLOW_KEYS)}, and nothing else")
    known = {f.name for f in (*signature.inputs, *signature.features)}
    read = {"dataframe_split": _split, "dataframe_records": lambda r: _records(r, known), "inputs": _named}[form]
    return question(read(request[form]), signature)


def infer_answer(answer: Answer, model: str, asked: Question) -> dict[str, Any]:
    """An inference response. Its `id` is the caller's if there is one; `prediction_id` is always ours.

    Where the rows of a request were answered by different versions, `model_versions` has that of each row.
    """
    parameters: dict[str, Any] = {"prediction_id": answer.id, "missing_inputs": list(answer.missing_inputs)}
    if answer.unusual_inputs:
        parameters["unusual_inputs"] = list(answer.unusual_inputs)
    if answer.prediction_times is not None:
        times = [iso(instant) for instant in answer.prediction_times]
        parameters["prediction_time"] = times[0] if len(times) == 1 else times
    if answer.stale_since is not None:
        parameters["history_is_stale_since"] = iso(answer.stale_since)
    if len(versions := dict.fromkeys(answer.versions)) > 1:
        parameters["model_versions"] = [str(version) for version in answer.versions]
    return {
        "model_name": model,
        "model_version": "+".join(map(str, versions)),
        "id": asked.id or answer.id,
        "parameters": parameters,
        "outputs": tensors(answer, asked.outputs),
    }


def tensors_metadata(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Fields as the protocol's metadata describes tensors, with what else a caller needs to know."""
    return [
        {
            "name": f.name,
            "datatype": datatype(f.dtype),
            "shape": [-1],
            "parameters": {
                "required": f.is_required,
                "description": f.description,
                **({"unit": f.unit} if f.unit else {}),
                **({"format": "date-time"} if isinstance(f.dtype, pl.Datetime) else {}),
                **({} if f.range is None else f.range.to_json() | {"out_of_range": f.range.otherwise}),
            },
        }
        for f in fields
    ]


def iso(instant: datetime) -> str:
    """A UTC instant as text, with `Z`."""
    return instant.isoformat().replace("+00:00", "Z")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Also NaN, Infinity, 1e400 and a thousand brackets: none of them is JSON a program should take.
        raise RequestError(f"the body is not valid JSON: {error}") from error
    if not isinstance(request, dict):
        raise RequestError("the body must be a JSON object")
    return request


def _word(holder: Mapping[str, Any], key: str) -> str | None:
    value = holder.get(key)
    if value is None or (isinstance(value, str) and len(value) <= MAX_WORD):
        return value
    raise RequestError(f"{key!r} must be text of at most {MAX_WORD} characters", field=key)


def _wanted(outputs: object, signature: Signature) -> tuple[str, ...]:
    """Names of the tensors that are asked for; none means all."""
    known = output_names(signature.task)
    if outputs is None:
        return ()
    if not isinstance(outputs, list) or any(not isinstance(o, dict) or o.get("name") not in known for o in outputs):
        raise RequestError(f"'outputs' may only ask for {[{'name': name} for name in known]}", field="outputs")
    return tuple(output["name"] for output in outputs)


def _tensor(tensor: object, allowed: Mapping[str, Sequence[str]]) -> tuple[str, list[Any]]:
    if not isinstance(tensor, dict) or not isinstance(name := tensor.get("name"), str):
        raise RequestError("every tensor needs a 'name'", field="inputs")
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list):
        raise RequestError(f"{name!r} needs 'data', a list of values", field=name)
    if data and all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value[0] for value in data]
    if shape not in ([len(data)], [len(data), 1]) or any(isinstance(size, bool) for size in shape):
        raise RequestError(f"{name!r} holds {len(data)} values, so its 'shape' must be [{len(data)}]", field=name)
    is_typed = any(value is not None for value in data)  # a client cannot tell the type of a column of nulls
    if is_typed and name in allowed and tensor.get("datatype") not in allowed[name]:
        raise RequestError(f"{name!r} needs a 'datatype' of {list(dict.fromkeys(allowed[name]))}", field=name)
    return name, data


def allowed_datatypes(signature: Signature) -> dict[str, list[str]]:
    """The protocol's names of the types that each field may be sent as."""
    fields = (*signature.inputs, *signature.features)
    return {f.name: [t for g in fields if g.name == f.name for t in _allowed(g.dtype)] for f in fields}


def _allowed(dtype: pl.DataType) -> tuple[str, ...]:
    if dtype.is_integer():
        return _INTEGERS
    if dtype.is_float():
        return (*_FLOATS, *_INTEGERS)
    return (datatype(dtype),)


def _split(frame: object) -> dict[str, list[Any]]:
    where = "dataframe_split"
    if not isinstance(frame, dict) or not set(frame) <= {"columns", "data", "index"}:
        raise RequestError(f"'{where}' must be an object with 'columns' and 'data'", field=where)
    columns, data = frame.get("columns"), frame.get("data")
    if (
        not isinstance(columns, list)
        or not all(isinstance(c, str) for c in columns)
        or len(set(columns)) != len(columns)
    ):
        raise RequestError("'columns' must be a list of different names", field="columns")
    if not isinstance(data, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise RequestError(f"'data' must be a list of rows with {len(columns)} values each", field="data")
    return {name: [row[i] for row in data] for i, name in enumerate(columns)}


def _records(records: object, known: set[str]) -> dict[str, list[Any]]:
    where = "dataframe_records"
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestError(f"'{where}' must be a list of objects, one per row", field=where)
    columns = dict.fromkeys(name for record in records for name in record)
    # Before the columns are filled: records that agree in no name would fill a table of their number squared.
    refuse_unknown(columns, known)
    refuse_too_many(len(records))
    return {name: [record.get(name) for record in records] for name in columns}


def _named(columns: object) -> dict[str, list[Any]]:
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise RequestError("'inputs' must be an object with one list of values per field", field="inputs")
    _same_length(columns)
    return columns


def _same_length(columns: Mapping[str, list[Any]]) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    first = next(iter(lengths.values()), 0)
    if odd := [name for name, length in lengths.items() if length != first]:
        raise RequestError(f"{odd[0]!r} holds {lengths[odd[0]]} values and the fields before it {first}", field=odd[0])
