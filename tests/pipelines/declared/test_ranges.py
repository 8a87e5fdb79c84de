"""What a declared use case says of unusual values in requests."""

import pytest

from assets.contracts import UseCase
from pipelines.declared.build import load_use_case
from pipelines.declared.reading import DeclaredError
from pipelines.served import signature
from resources.serving.ranges import Range
from tests.pipelines.declared.conftest import Declare

ORDERS = """
source: {{uri: orders.csv}}
time: {{column: at, zone: UTC}}
key: [number]
target: {{column: returned, task: binary, known_after: 7d}}
columns:
  number: {{type: text}}
  price: {said}
"""


def ranges(use_case: UseCase) -> dict[str, Range | None]:
    return {field.name: field.range for field in signature(use_case).inputs}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{type: number}", None),
        ("{type: number, min: 0}", Range(lowest=0.0)),
        ("{type: integer, max: 9, out_of_range: refuse}", Range(highest=9.0, otherwise="refuse")),
        ("{type: text, allowed: [a, 1]}", Range(allowed=("a", "1"))),
    ],
)
def test_what_is_quarantined_when_it_lands_is_unusual_when_it_is_asked(
    said: str, expected: Range | None, declare: Declare
) -> None:
    assert ranges(load_use_case(declare(ORDERS.format(said=said))))["price"] == expected


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("{type: number, out_of_range: refuse}", "this has none of them"),
        ("{type: number, min: 2, max: 1}", "nothing is from 2 to 1"),
    ],
)
def test_a_range_that_cannot_be_is_refused_at_its_line(said: str, sentence: str, declare: Declare) -> None:
    with pytest.raises(DeclaredError, match=rf"use_case\.yaml:\d+ field columns\.price.*{sentence}"):
        load_use_case(declare(ORDERS.format(said=said)))
