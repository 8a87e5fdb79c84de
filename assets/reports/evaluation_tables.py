"""The tables of an evaluation as texts ready to print.

Belongs here: rows, order and number formats. Does not belong here: the page around them (`evaluation.py`).
"""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from assets.logic.evaluation import Evaluation, ModelScores
from assets.logic.metrics import TaskMetrics
from assets.logic.promotion_rules import RuleOutcome
from assets.logic.wording import capital, number
from assets.reports.plot_style import colour_of

WORST_SLICES: Final = 12
UNKNOWN: Final = "n/a"
ROLE_TITLES: Final = {"challenger": "challenger", "champion": "live today", "baseline": "naive"}


def metric_names(evaluation: Evaluation) -> list[str]:
    """The deciding metric first."""
    loss = evaluation.metrics.loss
    return [loss, *(name for name in evaluation.metrics.metrics if name != loss)]


def metric_titles(evaluation: Evaluation) -> list[str]:
    """Heads of the columns of metrics, the deciding one first."""
    return [evaluation.metrics.metrics[name].title for name in metric_names(evaluation)]


def model_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Rows of the table of models, texts ready to print; the best real model of each metric is marked."""
    colours, names = colour_of(evaluation.models), metric_names(evaluation)
    best = {name: _best(evaluation, name) for name in names}
    return [
        {
            "title": capital(model.title),
            "role": ROLE_TITLES[model.role],
            "version": model.version or "",
            "colour": colours[model.name],
            "is_chosen": evaluation.decision.promoted and model.name == evaluation.decision.model,
            "problem": model.problem,
            "cells": [{**_cell(evaluation, model, name), "is_best": best[name] == model.name} for name in names],
        }
        for model in evaluation.models
    ]


def _cell(evaluation: Evaluation, model: ModelScores, name: str) -> dict[str, str]:
    measured, interval, unit = model.metrics[name], model.intervals.get(name), evaluation.metrics.metrics[name].unit
    if measured.value is None:
        return {"value": "n/a", "interval": "", "reason": measured.reason or ""}
    value = number(measured.value, unit)
    if interval is None or interval.low is None or interval.high is None:
        return {"value": value, "interval": "", "reason": (interval and interval.reason) or ""}
    low, high = (number(end, unit, is_coarse=True) for end in (interval.low, interval.high))
    return {"value": value, "interval": f"({low} to {high})", "reason": ""}


def _best(evaluation: Evaluation, name: str) -> str | None:
    better = evaluation.metrics.metrics[name].higher_is_better
    values = {m.name: v for m in evaluation.models if (v := m.metrics[name].value) is not None and m.role != "baseline"}
    if not values or better is None:
        return None
    return (max if better else min)(values, key=lambda model: values[model])


def slice_rows(evaluation: Evaluation) -> dict[str, Any] | None:
    """Slices of the model the decision is about, worst first by what it gains over the slice's own constant."""
    name, metrics = evaluation.decision.model, evaluation.metrics
    if name is None or evaluation.slices.is_empty():
        return None
    gain = pl.col("reference") - pl.col(metrics.loss)
    rows = (
        evaluation.slices.filter(pl.col("model") == name)
        .with_columns(gain=gain, is_judged=pl.col("rows") >= evaluation.policy.slice_rows)
        .sort("is_judged", "gain", descending=[True, False], nulls_last=True)
        .to_dicts()
    )
    shown = [_slice_row(metrics, row) for row in rows]
    return {
        "model": capital(evaluation.model(name).title),
        "worst": shown[:WORST_SLICES],
        "others": shown[WORST_SLICES:],
        "rank": metrics.metrics[metrics.leakage].title,
    }


def _slice_row(metrics: TaskMetrics, row: dict[str, Any]) -> dict[str, Any]:
    unit, rank, gain = metrics.deciding.unit, row[metrics.leakage], row["gain"]
    return {
        "name": f"{row['slice'].replace('_', ' ')} = {row['value']}",
        "is_judged": row["is_judged"],
        "rows": f"{row['rows']:,}",
        "observed": number(row["observed"], metrics.seen_unit),
        "predicted": UNKNOWN if row["predicted"] is None else number(row["predicted"], metrics.seen_unit),
        "rank": UNKNOWN if rank is None else f"{rank:.3f}",
        "loss": UNKNOWN if row[metrics.loss] is None else number(row[metrics.loss], unit),
        "reference": number(row["reference"], unit),
        "gain": UNKNOWN if gain is None else f"{'+' if gain >= 0 else ''}{number(gain, unit)}",
        "is_gain": gain is not None and gain > 0,
        "reason": row["reason"],
    }


def verdicts(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Rule by rule verdicts of each challenger, the one the decision is about first."""
    chosen = evaluation.decision.model
    challengers = [m for m in evaluation.models if m.role == "challenger"]
    for model in sorted(challengers, key=lambda m: m.name != chosen):
        rules = [r for r in evaluation.decision.rules if r.model == model.name]
        yield {
            "title": capital(model.title),
            "is_first": model.name == chosen,
            "passed": sum(r.passed for r in rules),
            "rules": [{"name": _sentence(r), "passed": r.passed, "reason": r.reason} for r in rules],
        }


def _sentence(rule: RuleOutcome) -> str:
    return capital(rule.rule.replace("_", " "))
