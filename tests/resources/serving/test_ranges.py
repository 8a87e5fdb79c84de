"""Which values of an input are usual, and what becomes of others."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipelines.served import signature
from resources.serving.openapi import scoring_paths, value_schema
from resources.serving.protocol import parse_infer, tensors_metadata
from resources.serving.ranges import Range
from resources.serving.reader import InferReader
from resources.serving.rows import RequestError
from resources.serving.service import Signature
from tests.support.serving import tensors
from tests.support.toy_use_case import TOY

SIGNATURE = signature(TOY)
WEIGHTS = Range(lowest=0.5, highest=30.0)
SHOPS = Range(allowed=("north", "south"), otherwise="refuse")


def ranged(**ranges: Range) -> Signature:
    """The toy's signature with these ranges of its inputs."""
    return replace(SIGNATURE, inputs=tuple(replace(f, range=ranges.get(f.name)) for f in SIGNATURE.inputs))


@pytest.mark.parametrize(
    ("usual", "value", "holds"),
    [
        (WEIGHTS, 0.5, True),
        (WEIGHTS, 30.0, True),
        (WEIGHTS, 0.49, False),
        (WEIGHTS, 30.1, False),
        (WEIGHTS, None, True),
        (Range(lowest=0.0), 1e9, True),
        (Range(highest=0.0), 1, False),
        (SHOPS, "south", True),
        (SHOPS, "South", False),
        (Range(allowed=(1.0, 2.0)), 2, True),
        (Range(allowed=(1.0, 9.0), highest=5.0), 9, False),
    ],
)
def test_a_range_holds_its_bounds_its_values_and_nulls(usual: Range, value: Any, holds: bool) -> None:
    assert usual.holds(value) is holds


def test_bounds_between_which_there_is_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="from 2 to 1 holds nothing"):
        Range(lowest=2.0, highest=1.0)


@pytest.mark.parametrize(
    ("usual", "said"),
    [
        (WEIGHTS, "a number from 0.5 to 30"),
        (Range(lowest=0.0), "a number from 0 to any"),
        (SHOPS, "one of north, south"),
        (Range(allowed=tuple("abcdefghijkl")), "one of a, b, c, d, e, f, g, h, i, j and 2 more"),
    ],
)
def test_a_range_is_told_in_words(usual: Range, said: str) -> None:
    assert str(usual) == said


@pytest.mark.parametrize("read", [lambda body, s: InferReader(s).read(body), parse_infer], ids=["short", "long"])
def test_a_value_that_is_to_be_refused_is(read: Any) -> None:
    with pytest.raises(RequestError, match="'shop' is 'east' in row 0: send one of north, south") as refused:
        read(orjson.dumps(tensors(shop="east")), ranged(shop=SHOPS))
    assert (refused.value.field, refused.value.status) == ("shop", 400)


def test_a_second_request_of_the_same_form_is_refused_too() -> None:
    reader = InferReader(ranged(shop=SHOPS))
    reader.read(orjson.dumps(tensors()))
    with pytest.raises(RequestError, match="send one of north, south"):
        reader.read(orjson.dumps(tensors(shop="east")))


@pytest.mark.parametrize("read", [lambda body, s: InferReader(s).read(body), parse_infer], ids=["short", "long"])
def test_a_value_that_is_only_warned_of_is_read(read: Any) -> None:
    assert 99.0 in read(orjson.dumps(tensors(weight_kg=99.0)), ranged(weight_kg=WEIGHTS)).rows[0]


def test_the_description_of_the_model_tells_ranges_and_what_becomes_of_other_values() -> None:
    told = {t["name"]: t["parameters"] for t in tensors_metadata(ranged(weight_kg=WEIGHTS, shop=SHOPS).inputs)}
    assert told["weight_kg"] | {"minimum": 0.5, "maximum": 30.0, "out_of_range": "warn"} == told["weight_kg"]
    assert told["shop"] | {"enum": ["north", "south"], "out_of_range": "refuse"} == told["shop"]


def test_the_schema_of_a_request_holds_ranges_that_are_refused_and_no_others() -> None:
    refused = replace(WEIGHTS, otherwise="refuse")
    weight, strict = (
        value_schema(next(f for f in ranged(weight_kg=r).inputs if f.name == "weight_kg")) for r in (WEIGHTS, refused)
    )
    assert (weight["maximum"], strict["maximum"]) == (1e15, 30.0)


@pytest.mark.parametrize(
    ("usual", "expected"), [(Range(lowest=0.5), 1), (Range(highest=8.5), 8), (Range(allowed=(3.0, 4.0)), 3)]
)
def test_the_example_of_a_whole_number_is_one_within_its_range(usual: Range, expected: int) -> None:
    body = scoring_paths("parcels", ranged(parcel=usual))["/invocations"]["post"]["requestBody"]
    (record,) = body["content"]["application/json"]["example"]["dataframe_records"]
    assert (record["parcel"], type(record["parcel"])) == (expected, int)


def test_a_null_is_among_the_values_of_an_optional_input() -> None:
    field = next(f for f in SIGNATURE.inputs if not f.is_required)
    assert value_schema(replace(field, range=SHOPS))["enum"] == ["north", "south", None]
