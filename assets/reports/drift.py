"""What is told of drift: tables for the UI, and Evidently's reports with the line's own distances and limits.

Belongs here: words, tables and Evidently's snapshots of one judged window. Does not belong here: judging
(`assets/logic/drift.py`), and where reports are kept (`resources/reports.py`, `resources/evidently_workspace.py`).

A window has two snapshots. `scores_snapshot` holds only the score of each group: 10 ms, so that every day of a backfill
can have one, and the dashboards their history. Its metric is our own and draws nothing; one of Evidently's that gives
the same number (`MaxValue`) draws a distribution of it and takes 30 times as long.
`columns_report` holds distributions of the columns that matter most and costs 70 to 130 ms for each, whatever the
rows: it is made for the newest window of a run.
"""

import html as escaping
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import polars as pl

from assets.logic.drift import JudgedColumn, JudgedGroup, Judgement
from assets.reports import markdown

SCORE: Final = "GroupScore"
"""Name under which Evidently keeps the scores of groups."""
METHOD: Final = "window_distance"
METHOD_IN_WORDS: Final = "Jensen-Shannon distance of the window's days, judged by quiet windows of the reference"
SHOWN_COLUMNS: Final = 30
"""Columns that are drawn at most: those furthest from the reference for their limit. A hundred would be half of what
the whole report may take; the distances and limits of all are in its JSON and in the table of columns."""
OVER: Final = "columns over their limit"


@dataclass(frozen=True, kw_only=True)
class ColumnsReport:
    """Evidently's report on one window.

    Attributes:
        html: A page that needs nothing from outside (4 MB and more) and says how many columns are not drawn, or a
            short one that says why there is no report.
        json: Its figures as JSON text.
        snapshot: Evidently's own object, for its workspace; None if there is no report.
    """

    html: str
    json: str
    snapshot: Any


def ratio(column: JudgedColumn) -> float:
    """How near a column is to raising an alarm by itself: 1 or more does; 0 where it cannot or was not measured."""
    return column.distance / column.limit if column.distance is not None and column.limit else 0.0


def group_table(groups: Sequence[JudgedGroup]) -> str:
    """One line per group of columns."""
    cells = [
        [g.name, "" if g.score is None else f"{g.score:.2f}", "drifted" if g.is_drifted else g.note or "quiet", g.worst]
        for g in groups
    ]
    return markdown.table(["group", "score (1 is an alarm)", "verdict", "furthest column"], cells)


def column_table(columns: Sequence[JudgedColumn], most: int = 15) -> str:
    """The columns with findings, then those nearest to an alarm."""
    ordered = sorted(columns, key=lambda c: (c.finding is None, -ratio(c)))[:most]
    cells = [[c.name, c.group, _shown(c.distance), _shown(c.limit), f"{c.usage:.1%}", c.finding] for c in ordered]
    return markdown.table(["column", "group", "distance", "limit", "share of use", "finding"], cells)


def headline(groups: Sequence[JudgedGroup]) -> str:
    """The verdict on a window in one sentence."""
    drifted = [f"{g.name} ({g.score:.2f} times its limit, {g.worst} the most)" for g in groups if g.is_drifted]
    judged = [g for g in groups if g.score is not None]
    if drifted:
        return f"Drifted from the reference: {'; '.join(drifted)}."
    if not judged:
        return "No group of columns could be judged."
    left_out = ", ".join(g.name for g in groups if g.score is None)
    return "No group of columns drifted." + (f" Not judged: {left_out}." if left_out else "")


def group_scores(judgement: Judgement) -> dict[str, float]:
    """Scores by group, and how many columns are over their limit: what the dashboards draw."""
    scores = {g.name: g.score for g in judgement.groups if g.score is not None}
    return {**scores, OVER: float(sum(ratio(c) >= 1 for c in judgement.columns))}


def scores_snapshot(scores: Mapping[str, float], *, name: str, at: datetime, facts: Mapping[str, str]) -> Any:
    """An Evidently snapshot that holds numbers by name, those of groups with the test that they are under 1."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]  # ships no types
    from evidently.tests import lt  # type: ignore[import-untyped]

    row = Dataset.from_pandas(
        pd.DataFrame([dict(scores)]), data_definition=DataDefinition(numerical_columns=list(scores))
    )
    metric = _number_metric()
    metrics = [metric(column=n, tests=[] if n == OVER else [lt(1)]) for n in scores]
    return Report(metrics).run(row, None, timestamp=at.replace(tzinfo=None), name=name, metadata=dict(facts))


@cache
def _number_metric() -> Any:
    """An Evidently metric that is the number in the first row of a column. Its interface need not know the class."""
    from evidently.core.metric_types import (  # type: ignore[import-untyped]
        SingleValueCalculation,
        SingleValueMetric,
    )

    class GroupScore(SingleValueMetric):  # type: ignore[misc]  # Evidently ships no types
        column: str

    class GroupScoreCalculation(SingleValueCalculation[GroupScore]):  # type: ignore[misc]
        def calculate(self, context: Any, current_data: Any, reference_data: Any) -> Any:  # noqa: ARG002  # its form
            return self.result(float(current_data.column(self.metric.column).data.iloc[0]))

        def display_name(self) -> str:
            return str(self.metric.column)

    return GroupScore


def columns_report(
    columns: Sequence[JudgedColumn],
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    name: str,
    at: datetime,
    facts: Mapping[str, str],
) -> ColumnsReport:
    """Evidently's page of the columns of a window beside the reference, with our distances and limits.

    The columns nearest to an alarm come first, and only so many are drawn (`SHOWN_COLUMNS`). Columns that either side
    has no value of are left out: Evidently refuses them, and they are findings already.

    Args:
        columns: As judged.
        reference: Some rows of the reference, shape (n >= 0, columns).
        current: Some rows of the window, shape (m >= 0, columns).
        name: Of the report.
        at: When the window ended (UTC).
        facts: Kept with it.
    """
    ordered = sorted(columns, key=lambda c: -ratio(c))
    known = [c for c in ordered if c.distance is not None and _has_values(reference, c) and _has_values(current, c)]
    shown, hidden = known[:SHOWN_COLUMNS], known[SHOWN_COLUMNS:]
    if not shown:
        told = "No column has values both in the reference and in the window; there is nothing to draw."
        return ColumnsReport(html=_page(told), json="{}", snapshot=None)
    from evidently import Report
    from evidently.metrics import ValueDrift  # type: ignore[import-untyped]

    _use_distances({c.name: c for c in shown})
    metrics = [ValueDrift(column=c.name, method=METHOD, threshold=1.0 if c.limit is None else c.limit) for c in shown]
    names = [c.name for c in shown]
    numeric = [n for n in names if reference.schema[n].is_numeric()]
    parts = [_dataset(frame, names, numeric) for frame in (current, reference)]
    snapshot = Report(metrics, include_tests=True).run(
        *parts, timestamp=at.replace(tzinfo=None), name=name, metadata=dict(facts)
    )
    html = _with_note(str(snapshot.get_html_str(as_iframe=False)), _not_drawn(shown, hidden))
    return ColumnsReport(html=html, json=str(snapshot.json()), snapshot=snapshot)


def _not_drawn(shown: Sequence[JudgedColumn], hidden: Sequence[JudgedColumn]) -> str:
    """How many columns have no picture, and how near the first of them is to an alarm; empty if all are drawn."""
    if not hidden:
        return ""
    nearest = hidden[0]
    return (
        f"Drawn are the {len(shown)} columns that are furthest from the reference for their limit. {len(hidden)} more "
        f"are not drawn; of these {nearest.name} is the furthest, at {ratio(nearest):.2f} times its limit. The "
        "report's JSON has the distances and limits of all."
    )


def _with_note(page: str, note: str) -> str:
    """Evidently's page with a sentence above its pictures.

    Raises:
        ValueError: If it is not the page of the pinned release.
    """
    before, body, after = page.partition("<body>")
    if not body:
        raise ValueError("Evidently's page has no <body>, so nothing can be said on it")
    return f"{before}{body}<p>{escaping.escape(note)}</p>{after}" if note else page


def _use_distances(columns: Mapping[str, JudgedColumn]) -> None:
    """Have Evidently show the distances that were judged: what it would compute itself has no known spread."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import StatTest, register_stattest  # type: ignore[import-untyped]
    from evidently.legacy.core import ColumnType  # type: ignore[import-untyped]

    def distance(reference: "pd.Series[Any]", *_: object) -> tuple[float, bool]:
        column = columns[str(reference.name)]
        return column.distance or 0.0, ratio(column) >= 1

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(METHOD, METHOD_IN_WORDS, kinds), distance)


def _dataset(frame: pl.DataFrame, names: Sequence[str], numeric: Sequence[str]) -> Any:
    from evidently import DataDefinition, Dataset

    finite = [
        pl.when(pl.col(n).cast(pl.Float64).is_finite()).then(pl.col(n).cast(pl.Float64)).alias(n) for n in numeric
    ]
    words = [pl.col(n).cast(pl.String) for n in names if n not in numeric]
    definition = DataDefinition(
        numerical_columns=list(numeric), categorical_columns=[n for n in names if n not in numeric]
    )
    return Dataset.from_pandas(frame.select(*finite, *words).to_pandas(), data_definition=definition)


def _has_values(frame: pl.DataFrame, column: JudgedColumn) -> bool:
    if column.name not in frame.columns:
        return False
    values = frame[column.name].drop_nulls()
    return bool(values.is_finite().any()) if values.dtype.is_float() else len(values) > 0


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"


def _page(text: str) -> str:
    return f"<!doctype html><title>Drift</title><p>{escaping.escape(text)}</p>"
