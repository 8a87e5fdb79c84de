"""Evidently's summary of a table: the page it makes by itself, in a fourth of the time."""

import re
from contextlib import nullcontext

import numpy as np
import polars as pl
import pytest
from evidently.metrics import MaxValue, column_statistics

from assets.reports import data_summary as reports
from assets.reports.data_summary import data_summary

RANDOM = np.random.default_rng(7)
TABLE = pl.DataFrame(
    {
        "load": RANDOM.normal(size=60),
        "parcels": RANDOM.integers(0, 9, 60),
        "shop": RANDOM.choice(["north", "south", "west", "east"], 60),
        "due": pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 3, 11), "1h", eager=True),
    }
)
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


def test_the_page_is_the_one_that_evidently_makes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = data_summary(TABLE)
    monkeypatch.setattr(reports, "_drawn_once", nullcontext)
    assert IDS.sub("", ours) == IDS.sub("", data_summary(TABLE))


def test_each_number_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], column_statistics.distribution
    monkeypatch.setattr(column_statistics, "distribution", lambda *given: drawn.append(given) or draw(*given))
    data_summary(TABLE.select("load", "parcels"))
    assert len(drawn) == 2


def test_evidently_draws_for_others_as_before() -> None:
    before = MaxValue.__calculation_type__
    data_summary(TABLE)
    assert MaxValue.__calculation_type__ is before
