"""The evaluation as people and machines read it: HTML for a manager, JSON for programs, Markdown for the Dagster UI.

Belongs here: words, order and layout. Does not belong here: measuring and deciding (`assets/logic`), and
drawing (`plots.py`).
"""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from assets.logic.evaluation import Evaluation, ModelScores
from assets.logic.metrics import task_metrics
from assets.logic.promotion_rules import RuleOutcome, capital
from assets.reports import plots

TEMPLATE: Final = Path(__file__).with_name("evaluation.html.jinja")
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


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as plain JSON values; what could not be measured is null and has its reason beside it."""
    content = {
        "use_case": evaluation.use_case,
        "question": evaluation.question,
        "task": evaluation.task,
        "created_at": evaluation.created_at.isoformat(),
        "test": {
            "start": str(evaluation.test.start),
            "end": str(evaluation.test.end),
            "rows": evaluation.rows,
            "positive_share": evaluation.positive_share,
        },
        "models": {model.name: _model(model) for model in evaluation.models},
        "decision": {
            "promoted": evaluation.decision.promoted,
            "model": evaluation.decision.model,
            "model_version": evaluation.decision.version,
            "reasons": list(evaluation.decision.reasons),
        },
        "rules": [asdict(rule) for rule in evaluation.decision.rules],
        "policy": asdict(evaluation.policy),
        "calibration": {model.name: model.calibration.to_dicts() for model in evaluation.models},
        "by_day": evaluation.by_day.with_columns(pl.col("day").cast(pl.String)).to_dicts(),
        "slices": evaluation.slices.to_dicts(),
        "explanation": _explained(evaluation),
        "basis": dict(evaluation.basis),
    }
    return {key: _plain(value) for key, value in content.items()}


def render_html(evaluation: Evaluation) -> str:
    """One page that needs nothing else: styles and pictures are inside it, and it fits light and dark screens."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    loss = task_metrics(evaluation.task).loss
    return template.render(
        evaluation=evaluation,
        headline=headline(evaluation),
        summary=summary(evaluation),
        table=_table(evaluation),
        metrics=[(name, METRIC_TITLES.get(name, name)) for name in _metric_names(evaluation)],
        pictures=_pictures(evaluation),
        curves=[(name, CURVE_NOTES.get(name, "")) for name in task_metrics(evaluation.task).drawn],
        slices=_slices(evaluation, loss),
        judged=_judged(evaluation),
        loss=METRIC_TITLES.get(loss, loss),
        explained=_explained_title(evaluation),
    )


def to_markdown(evaluation: Evaluation) -> str:
    """Decision, table and two small pictures, for the metadata of an asset."""
    names = _metric_names(evaluation)
    lines = [f"### {headline(evaluation)}", "", summary(evaluation), ""]
    lines += [f"- {reason}" for reason in evaluation.decision.reasons] + [""]
    lines += ["| model | version | " + " | ".join(METRIC_TITLES.get(n, n) for n in names) + " |"]
    lines += ["|---|---|" + "---|" * len(names)]
    for row in _table(evaluation):
        cells = [f"{cell['value']} {cell['interval']}".strip() for cell in row["cells"]]
        lines.append(f"| {row['title']} | {row['version']} | " + " | ".join(cells) + " |")
    lines.append("")
    if any(len(m.calibration) for m in evaluation.models):
        loss = task_metrics(evaluation.task).loss
        lines.append(f"![calibration]({plots.image(plots.calibration(evaluation), 'png')})")
        lines.append(f"![{loss} by day]({plots.image(plots.loss_by_day(evaluation, loss), 'png')})")
    return "\n".join(lines)


def headline(evaluation: Evaluation) -> str:
    """The decision in a few words."""
    decision, champion = evaluation.decision, _champion(evaluation)
    if decision.promoted and decision.model:
        verb = "replaces the live model" if champion else "goes live"
        return f"{capital(evaluation.model(decision.model).title)} {verb}"
    return "The live model stays" if champion else "Nothing goes live"


def summary(evaluation: Evaluation) -> str:
    """What was asked of whom, in two sentences."""
    rate = f", {evaluation.positive_share:.1%} of them positive" if evaluation.positive_share is not None else ""
    challengers = sum(m.role == "challenger" for m in evaluation.models)
    naive = sum(m.role == "baseline" for m in evaluation.models)
    live = "the live model and " if _champion(evaluation) else ""
    return (
        f"{challengers} new model{'s' if challengers != 1 else ''} against {live}{naive} naive "
        f"prediction{'s' if naive != 1 else ''}, on the same {evaluation.rows:,} rows that none of them had seen: "
        f"{evaluation.test}{rate}."
    )


def _champion(evaluation: Evaluation) -> ModelScores | None:
    return next((m for m in evaluation.models if m.role == "champion"), None)


def _metric_names(evaluation: Evaluation) -> list[str]:
    """The deciding metric first."""
    metrics = task_metrics(evaluation.task)
    return [metrics.loss, *(name for name in metrics.metrics if name != metrics.loss)]


def _model(model: ModelScores) -> dict[str, Any]:
    return {
        "model_version": model.version,
        "title": model.title,
        "role": model.role,
        "metrics": {name: measured.value for name, measured in model.metrics.items()},
        "intervals": {
            name: None if i.low is None else {"low": i.low, "high": i.high} for name, i in model.intervals.items()
        },
        "undefined": {
            **{name: m.reason for name, m in model.metrics.items() if m.value is None},
            **{f"{name}_interval": i.reason for name, i in model.intervals.items() if i.low is None},
        },
    }


def _explained(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.explanation is None:
        return None
    strength = np.abs(evaluation.explanation.contributions).mean(axis=0)
    columns = evaluation.explanation.features.columns
    return {
        "model": evaluation.explanation.model,
        "rows": len(evaluation.explanation.features),
        "mean_absolute_contribution": {columns[i]: float(strength[i]) for i in np.argsort(-strength)},
    }


def _explained_title(evaluation: Evaluation) -> str:
    return capital(evaluation.model(evaluation.explanation.model).title) if evaluation.explanation else ""


def _table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Rows of the table of models, texts ready to print; the best real model of each metric is marked."""
    colours, names = plots.colour_of(evaluation.models), _metric_names(evaluation)
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


CURVE_NOTES: Final = {
    "roc": "The nearer to the upper left corner, the better rows are put in order.",
    "precision_recall": "How many alarms are right when a given share is to be found.",
}


def _pictures(evaluation: Evaluation) -> dict[str, str]:
    """Pictures by name as data URIs; none where there is nothing to draw."""
    loss = task_metrics(evaluation.task).loss
    pictures = {}
    if any(len(m.calibration) for m in evaluation.models):
        pictures["intervals"] = plots.image(plots.intervals(evaluation, loss), "svg")
        pictures["calibration"] = plots.image(plots.calibration(evaluation), "svg")
        for name in task_metrics(evaluation.task).drawn:
            pictures[name] = plots.image(plots.curve(evaluation, name), "svg")
        pictures["by_day"] = plots.image(plots.loss_by_day(evaluation, loss), "svg")
    if evaluation.explanation is not None:
        # A beeswarm has 30,000 dots: 100 kB as pixels, 6 MB as vectors.
        pictures["contributions"] = plots.image(plots.contributions(evaluation.explanation), "png", dpi=160)
    return pictures


def _slices(evaluation: Evaluation, loss: str) -> dict[str, Any] | None:
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


def _judged(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
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


def _plain(value: object) -> object:
    """JSON has no NaN and no infinity: a number that is not finite is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
