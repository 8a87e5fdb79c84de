import math

import pytest

from assets.logic.wording import Unit, number


@pytest.mark.parametrize(
    ("value", "unit", "fine", "coarse"),
    [
        (0.12345, "score", "0.1235", "0.123"),
        (0.9, "share", "90.0%", "90.0%"),
        (12345.6, "target", "12,346", "12,346"),
        (238.127, "target", "238.1", "238"),
        (-1.2345, "target", "-1.234", "-1.23"),
        (0.00012345, "target", "0.0001234", "0.000123"),
        (0.0, "target", "0.000", "0.00"),
    ],
)
def test_numbers_are_as_long_as_their_unit_asks(value: float, unit: Unit, fine: str, coarse: str) -> None:
    assert (number(value, unit), number(value, unit, is_coarse=True)) == (fine, coarse)


@pytest.mark.parametrize("unit", ["score", "target"])
def test_an_end_that_nothing_bounds_stays_infinite(unit: Unit) -> None:
    assert number(-math.inf, unit) == "-inf"
