"""Evidently's data summary of a table, as a page.

Belongs here: what Evidently is given, and what it is kept from doing. Does not belong here: our own description of a
table (`exploration.py`).
"""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl


def data_summary(sample: pl.DataFrame) -> str:
    """One self-contained page about the columns that Evidently can read, about 4 MB for 20 of them.

    Columns without a single value are left out, as Evidently refuses them; if nothing is left, a short page says so.
    """
    known = [name for name in sample.columns if sample[name].null_count() < len(sample)]
    if not known:
        return _page("There is no value in any column, so there is nothing to summarise.")
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]  # ships no types
    from evidently.presets import DataSummaryPreset  # type: ignore[import-untyped]

    numerical = [n for n in known if sample[n].dtype.is_numeric()]
    instants = [n for n in known if is_instant(sample[n].dtype)]
    categorical = [n for n in known if n not in numerical and n not in instants]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical, datetime_columns=instants)
    data = Dataset.from_pandas(_readable(sample.select(known)).to_pandas(), data_definition=definition)
    with _drawn_once():
        return str(Report([DataSummaryPreset()]).run(data, None).get_html_str(as_iframe=False))


def is_instant(dtype: pl.DataType) -> bool:
    """Whether values are days or instants."""
    return isinstance(dtype, pl.Date | pl.Datetime)


@contextmanager
def _drawn_once() -> Iterator[None]:
    """Have each number drawn once.

    Evidently draws the distribution of a column for each of seven statistics, and the summary shows the one that comes
    with the least value: the other six took four fifths of its time.
    """
    from evidently.metrics import MaxValue, MeanValue, QuantileValue, StdValue  # type: ignore[import-untyped]

    usual = {metric: metric.__calculation_type__ for metric in (MaxValue, MeanValue, QuantileValue, StdValue)}
    try:
        for metric, calculation in usual.items():
            # The way in which Evidently itself ties a calculation to a metric.
            metric.__calculation_type__ = _undrawn(calculation)
        yield
    finally:
        for metric, calculation in usual.items():
            metric.__calculation_type__ = calculation


def _undrawn(calculation: Any) -> Any:
    """The same calculation of a statistic without a picture."""

    def calculate(self: Any, context: Any, current: Any, reference: Any) -> Any:
        del context, reference  # there is only one table
        return self.result(self.calculate_value(current.column(self.column))), None

    return type(f"Undrawn{calculation.__name__}", (calculation,), {"calculate": calculate})


def _readable(sample: pl.DataFrame) -> pl.DataFrame:
    """The sample in types Evidently reads: floats for numbers, naive UTC for instants, text for everything else."""
    types: dict[str, pl.DataType] = {
        name: pl.Float64() if dtype.is_numeric() else pl.Datetime("us") if is_instant(dtype) else pl.String()
        for name, dtype in sample.schema.items()
    }
    return sample.select(pl.col(name).cast(dtype) for name, dtype in types.items())


def _page(text: str) -> str:
    return f"<!doctype html><title>Data summary</title><p>{html.escape(text)}</p>"
