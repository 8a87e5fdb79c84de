"""The short way of a request: it may decline, but never says anything else than the long way."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.served import signature
from resources.serving.protocol import parse_infer
from resources.serving.reader import MOST_LAYOUTS, InferReader
from resources.serving.rows import RequestError
from tests.support.serving import INPUTS, tensors
from tests.support.toy_use_case import TOY

SIGNATURE = signature(TOY)
FEATURES: dict[str, Any] = {"due_hour": 14.0, "weight": 2.5, "express": 1, "shop_late_min_7d": None, "wind_kmh": 3.25}
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([*INPUTS.values()])
)


def features() -> dict[str, Any]:
    known = [f.name for f in SIGNATURE.features]
    return tensors({name: FEATURES.get(name, "north") for name in known})


@given(
    st.booleans(),
    st.integers(0, 4),
    st.sampled_from(["name", "shape", "datatype", "data", "more"]),
    VALUES | st.lists(VALUES, max_size=2),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_short_way_reads_what_the_long_way_reads_or_declines(
    of_features: bool, tensor: int, key: str, part: object
) -> None:
    request = features() if of_features else tensors()
    request["inputs"][tensor][key] = part
    try:
        body = orjson.dumps(request)
    except TypeError:  # an integer beyond 64 bits
        return
    found = InferReader(SIGNATURE).short(body)
    if found is not None:
        long = parse_infer(body, SIGNATURE)
        assert (found.kind, [*found.rows], found.id) == (long.kind, [*long.rows], long.id)


@pytest.mark.parametrize("request_", [tensors(), features(), tensors(weight_kg=...), tensors() | {"id": "mine"}])
def test_a_plain_row_goes_the_short_way(request_: dict[str, Any]) -> None:
    assert InferReader(SIGNATURE).short(orjson.dumps(request_)) is not None


def test_what_the_short_way_declines_is_told_by_the_long_way() -> None:
    with pytest.raises(RequestError, match="zone"):
        InferReader(SIGNATURE).read(orjson.dumps(tensors(due_at="2020-02-10T14:00:00")))


def test_ever_new_orders_of_tensors_are_not_all_remembered() -> None:
    reader = InferReader(SIGNATURE)
    for turn in range(3 * MOST_LAYOUTS):
        request = features()
        places = [(place * 7 + turn * turn) % 1009 for place in range(len(request["inputs"]))]
        request["inputs"] = [
            t for _, t in sorted(zip(places, request["inputs"], strict=True), key=lambda pair: pair[0])
        ]
        assert reader.short(orjson.dumps(request)) is not None
    assert len(reader._layouts) <= MOST_LAYOUTS


@pytest.mark.parametrize(("key", "choices"), [("datatype", ("FP32", "FP64", "INT64")), ("data", ([1], [1.5], [None]))])
def test_ever_new_types_are_not_all_remembered(key: str, choices: tuple[Any, Any, Any]) -> None:
    reader = InferReader(SIGNATURE)
    for turn in range(3 * MOST_LAYOUTS):
        request = features()
        for place, tensor in enumerate(t for t in request["inputs"] if t["name"] in FEATURES):
            tensor[key] = choices[turn // 3**place % 3]
        reader.short(orjson.dumps(request))
    most = max(len(layout.plans) for layout in reader._layouts.values())
    assert max(len(reader._layouts), most) == MOST_LAYOUTS


@pytest.mark.parametrize("value", [1e16, -1e16])
def test_a_number_too_large_is_declined(value: float) -> None:
    request = features()
    next(t for t in request["inputs"] if t["name"] == "weight")["data"] = [value]
    assert InferReader(SIGNATURE).short(orjson.dumps(request)) is None


def test_a_made_up_type_of_a_null_is_read_and_not_remembered() -> None:
    reader, request = InferReader(SIGNATURE), features()
    next(t for t in request["inputs"] if t["name"] == "shop_late_min_7d")["datatype"] = "X" * 10_000
    assert reader.read(orjson.dumps(request)).rows == parse_infer(orjson.dumps(features()), SIGNATURE).rows
    assert not reader._layouts
