"""The evaluation as people and machines read it: HTML for a manager, JSON for programs, Markdown for the Dagster UI.

Belongs here: words, order and layout. Does not belong here: measuring and deciding (`assets/logic`), and
drawing (`plots.py`).
"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from assets.logic.evaluation import Evaluation, ModelScores
from assets.logic.metrics import task_metrics
from assets.logic.wording import capital
from assets.reports import markdown, plots
from assets.reports.evaluation_tables import METRIC_TITLES, metric_names, model_rows, slice_rows, verdicts

TEMPLATE: Final = Path(__file__).with_name("evaluation.html.jinja")


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
        table=model_rows(evaluation),
        metrics=[(name, METRIC_TITLES.get(name, name)) for name in metric_names(evaluation)],
        pictures=_pictures(evaluation),
        curves=[(name, CURVE_NOTES.get(name, "")) for name in task_metrics(evaluation.task).drawn],
        slices=slice_rows(evaluation, loss),
        judged=verdicts(evaluation),
        loss=METRIC_TITLES.get(loss, loss),
        explained=_explained_title(evaluation),
    )


def to_markdown(evaluation: Evaluation) -> str:
    """Decision, table and two small pictures, for the metadata of an asset."""
    names = metric_names(evaluation)
    lines = [f"### {headline(evaluation)}", "", summary(evaluation), ""]
    lines += [f"- {reason}" for reason in evaluation.decision.reasons] + [""]
    rows = [
        [row["title"], row["version"], *(f"{cell['value']} {cell['interval']}".strip() for cell in row["cells"])]
        for row in model_rows(evaluation)
    ]
    lines += [markdown.table(["model", "version", *(METRIC_TITLES.get(n, n) for n in names)], rows), ""]
    if any(len(m.calibration) for m in evaluation.models):
        loss = task_metrics(evaluation.task).loss
        lines.append(f"![calibration]({plots.image(plots.calibration(evaluation), 'png')})")
        lines.append(f"![{loss} by day]({plots.image(plots.loss_by_day(evaluation, loss), 'png')})")
    return "\n".join(lines)


def score_table(evaluation: Evaluation) -> str:
    """The scores alone: short enough for Dagster to show without a click, which it does below 1,000 characters."""
    names = metric_names(evaluation)
    # By name, not by title: titles leave the numbers no room in the metadata column.
    rows = [
        [model.name, *(cell["value"] for cell in row["cells"])]
        for model, row in zip(evaluation.models, model_rows(evaluation), strict=True)
    ]
    return markdown.table(["model", *(METRIC_TITLES.get(n, n) for n in names)], rows)


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


def _plain(value: object) -> object:
    """JSON has no NaN and no infinity: a number that is not finite is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
