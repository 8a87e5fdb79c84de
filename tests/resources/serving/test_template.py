"""Requests of a form that came before: read without being parsed, and never other than they say."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.served import signature
from resources.serving import reader as readers
from resources.serving.protocol import parse_infer
from resources.serving.reader import InferReader
from resources.serving.rows import Question, RequestError
from resources.serving.template import MAX_BYTES, template_of
from tests.support.serving import tensors
from tests.support.toy_use_case import TOY

SIGNATURE = signature(TOY)
BODY = orjson.dumps(tensors())
PARTS = (b'"', b"\\", b"]", b"[", b",", b"null", b'"data":[1]', b"1e999", b"-", b"\xff", b'\\u0061"', b" ", b"{}", b"7")


def knowing(body: bytes) -> InferReader:
    """A reader that has seen `body`."""
    reader = InferReader(SIGNATURE)
    reader.read(body)
    return reader


def long_way(body: bytes) -> Question | None:
    try:
        return parse_infer(body, SIGNATURE)
    except RequestError:
        return None


@given(st.integers(0, len(BODY)), st.integers(0, 12), st.lists(st.sampled_from(PARTS), max_size=3).map(b"".join))
@example(BODY.index(b'"data":[') + 8, 1, b'"a",')
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_body_with_other_bytes_is_read_as_the_long_way_reads_it_or_declined(
    place: int, left: int, put: bytes
) -> None:
    body = BODY[:place] + put + BODY[place + left :]
    found = knowing(BODY).short(body)
    if found is not None:
        long = long_way(body)
        assert long is not None
        assert (found.kind, [*found.rows], found.id) == (long.kind, [*long.rows], long.id)


@pytest.mark.parametrize("separators", [(b":", b","), (b": ", b", "), (b" :\n", b" ,\t")])
def test_a_second_request_of_the_same_form_is_not_parsed(
    separators: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spaced(request: dict[str, Any]) -> bytes:
        body = orjson.dumps(request)
        return body.replace(b'":', b'"' + separators[0]).replace(b',"', separators[1] + b'"')

    reader, other = knowing(spaced(tensors())), spaced(tensors(parcel=13, weight_kg=None))
    expected = long_way(other)
    assert expected is not None
    monkeypatch.setattr(readers.InferReader, "_parsed", lambda *_: pytest.fail("it was parsed"))
    found = reader.read(other)
    assert [*found.rows] == [*expected.rows]


def test_a_text_with_an_escape_is_read_although_it_fits_no_template() -> None:
    found = knowing(BODY).read(orjson.dumps(tensors(shop='a "north" one')))
    assert 'a "north" one' in found.rows[0]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"inputs":[{"data":["\\u0061"],"more":{"data":["a"]}}]}', ["a"]),
        (b'{"inputs":[{"dat\\u0061":["a"],"more":{"data":["a"]}}]}', ["a"]),
        (b'{"inputs":[{"data":["a"],"more":{"data":["a"]}}]}', ["a"]),
        (b'{"inputs":[{"data":["]"]}]}', ["]"]),
        (b'{"inputs":[{"data":[1]}]}' + b" " * MAX_BYTES, [1]),
    ],
    ids=["escaped value", "escaped key", "a second data", "a bracket in a text", "too large"],
)
def test_a_body_whose_values_cannot_be_told_apart_makes_no_template(body: bytes, values: list[Any]) -> None:
    assert template_of(body, values) is None


def test_ever_new_heads_are_not_all_remembered() -> None:
    reader = InferReader(SIGNATURE)
    for blanks in range(3 * readers.MOST_LAYOUTS):
        assert reader.short(b" " * blanks + BODY) is not None
    assert len(reader._templates) <= readers.MOST_LAYOUTS


def test_a_request_with_an_id_makes_no_template() -> None:
    assert not knowing(orjson.dumps({"id": "mine"} | tensors()))._templates
