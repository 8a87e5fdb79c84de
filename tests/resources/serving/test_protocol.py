"""Requests as they travel: whatever comes in, it is either rows of the right kind or refused in so many words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.served import signature
from resources.serving.calls import MAX_BYTES, bodies
from resources.serving.protocol import parse_infer, parse_invocations
from resources.serving.rows import Question, RequestError, frame_of
from resources.serving.service import Signature
from tests.support.serving import INPUTS, tensors
from tests.support.toy_use_case import TOY

SIGNATURE = signature(TOY)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from([*INPUTS])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)
CHANGES = st.dictionaries(
    st.sampled_from([*INPUTS, "due_hour", "weight", "colour"]), SCALARS | st.datetimes().map(str), max_size=3
)


def parsed(parse: Callable[[bytes, Signature], Question], request: object) -> pl.DataFrame | None:
    """The rows, or None if the request was refused; anything else is a defect."""
    try:
        body = orjson.dumps(request, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits, a lone surrogate: not to be written by this library
        return None
    try:
        asked = parse(body, SIGNATURE)
    except RequestError as error:
        refused = error
    else:
        return frame_of(asked.rows, SIGNATURE.inputs if asked.kind == "inputs" else SIGNATURE.features)
    assert 400 <= refused.status < 500
    assert str(refused)
    return None


def well_formed(rows: pl.DataFrame) -> bool:
    fields = [SIGNATURE.inputs, SIGNATURE.features]
    return len(rows) >= 1 and [*rows.schema.items()] in [[(f.name, f.dtype) for f in kind] for kind in fields]


@given(JSON)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_json_is_rows_or_refused(request: object) -> None:
    for parse in (parse_infer, parse_invocations):
        rows = parsed(parse, request)
        assert rows is None or well_formed(rows)


@given(CHANGES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_change_of_a_good_request_is_rows_or_refused(changes: dict[str, Any]) -> None:
    for parse, request in (
        (parse_infer, tensors(**changes)),
        (parse_invocations, {"dataframe_records": [INPUTS | changes]}),
    ):
        rows = parsed(parse, request)
        assert rows is None or well_formed(rows)


@given(st.integers(0, 3), JSON)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_part_of_a_tensor_may_be_nonsense(tensor: int, part: object) -> None:
    for key in ("name", "shape", "datatype", "data"):
        request = tensors()
        request["inputs"][tensor][key] = part
        rows = parsed(parse_infer, request)
        assert rows is None or well_formed(rows)


def test_a_time_of_any_zone_is_read_as_utc() -> None:
    rows = parsed(parse_infer, tensors(due_at="2020-02-10T16:30:00.25+05:30"))
    assert rows is not None
    assert rows["due_at"].to_list() == [datetime(2020, 2, 10, 11, 0, 0, 250_000, tzinfo=UTC)]


def test_a_column_of_nulls_needs_no_particular_datatype() -> None:
    request = tensors()
    request["inputs"][3] |= {"data": [None], "datatype": "BYTES"}
    assert parsed(parse_infer, request) is not None


def test_a_tensor_may_be_a_column() -> None:
    request = tensors()
    request["inputs"][0] |= {"shape": [1, 1], "data": [["north"]]}
    rows = parsed(parse_infer, request)
    assert rows is not None
    assert rows["shop"].to_list() == ["north"]


def test_what_the_client_writes_the_server_reads() -> None:
    columns = {n: [v, None if n in TOY.optional_inputs else v] for n, v in INPUTS.items()}
    dtypes = {f.name: f.dtype for f in SIGNATURE.inputs}
    due_at = [datetime(2020, 2, 10, 14, tzinfo=UTC)] * 2
    rows = pl.DataFrame(columns | {"due_at": due_at}, schema=dtypes)
    sent = parsed(parse_infer, orjson.loads(next(bodies(rows))))
    assert sent is not None
    assert sent.equals(rows)


@pytest.mark.parametrize("rows", [1, 999, 2500])
def test_the_client_splits_rows_in_order_and_small_enough(rows: int) -> None:
    frame = pl.DataFrame({"shop": [f"{i:0500}" for i in range(rows)]})
    sent = [orjson.loads(body)["inputs"][0] for body in bodies(frame)]
    assert [value for tensor in sent for value in tensor["data"]] == frame["shop"].to_list()
    assert all(tensor["shape"] == [len(tensor["data"])] and len(tensor["data"]) <= 1000 for tensor in sent)
    assert all(len(orjson.dumps(tensor)) <= MAX_BYTES for tensor in sent)
