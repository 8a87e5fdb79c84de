"""The tables of an evaluation as texts ready to print.

Belongs here: rows, order and number formats. Does not belong here: the page around them (`evaluation.py`).
"""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from assets.logic.evaluation import Evaluation, ModelScores
from assets.logic.metrics import task_metrics
from assets.logic.promotion_rules import RuleOutcome
from assets.logic.wording import capital
from assets.reports import plots

METRIC_TITLES: Final = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error",
}
HIGHER_IS_BETTER: Final = frozenset({"roc_auc", "average_precision"})
WORST_SLICES: Final = 12
ROLE_TITLES: Final = {"challenger": "challenger", "champion": "live today", "baseline": "naive"}


def metric_names(evaluation: Evaluation) -> list[str]:
    """The deciding metric first."""
    metrics = task_metrics(evaluation.task)
    return [metrics.loss, *(name for name in metrics.metrics if name != metrics.loss)]


def model_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Rows of the table of models, texts ready to print; the best real model of each metric is marked."""
    colours, names = plots.colour_of(evaluation.models), metric_names(evaluation)
    best = {name: _best(evaluation, name) for name in names}
    return [
        {
            "title": capital(model.title),
            "role": ROLE_TITLES[model.role],
            "version": model.version or "",
            "colour": colours[model.name],
            "is_chosen": evaluation.decision.promoted and model.name == evaluation.decision.model,
            "problem": model.problem,
            "cells": [{**_cell(model, name), "is_best": best[name] == model.name} for name in names],
        }
        for model in evaluation.models
    ]


def _cell(model: ModelScores, name: str) -> dict[str, str]:
    measured, interval = model.metrics[name], model.intervals.get(name)
    if measured.value is None:
        return {"value": "n/a", "interval": "", "reason": measured.reason or ""}
    if interval is None or interval.low is None or interval.high is None:
        return {"value": f"{measured.value:.4f}", "interval": "", "reason": (interval and interval.reason) or ""}
    return {"value": f"{measured.value:.4f}", "interval": f"({interval.low:.3f} to {interval.high:.3f})", "reason": ""}


def _best(evaluation: Evaluation, name: str) -> str | None:
    values = {m.name: v for m in evaluation.models if (v := m.metrics[name].value) is not None and m.role != "baseline"}
    if not values:
        return None
    return (max if name in HIGHER_IS_BETTER else min)(values, key=lambda model: values[model])


def slice_rows(evaluation: Evaluation, loss: str) -> dict[str, Any] | None:
    """Slices of the model the decision is about, worst first by what it gains over the slice's own rate."""
    name = evaluation.decision.model
    if name is None or evaluation.slices.is_empty():
        return None
    rows = (
        evaluation.slices.filter(pl.col("model") == name)
        .with_columns(gain=pl.col("reference") - pl.col(loss), is_judged=pl.col("rows") >= evaluation.policy.slice_rows)
        .sort("is_judged", "gain", descending=[True, False], nulls_last=True)
        .to_dicts()
    )
    leakage = task_metrics(evaluation.task).leakage
    shown = [{**row, "loss": row[loss], "rank": row[leakage]} for row in rows]
    return {
        "model": capital(evaluation.model(name).title),
        "worst": shown[:WORST_SLICES],
        "others": shown[WORST_SLICES:],
        "rank": METRIC_TITLES.get(leakage, leakage),
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
