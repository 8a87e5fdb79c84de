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
from assets.logic.wording import capital
from assets.reports import markdown, plots
from assets.reports.evaluation_tables import metric_titles, model_rows, slice_rows, verdicts
from assets.reports.plot_style import image
from assets.reports.task_pages import is_measured, page_of

TEMPLATE: Final = Path(__file__).with_name("evaluation.html.jinja")
PIXELS: Final = 160
"""Dots per inch of pictures of dots, sharp on a screen with two pixels to a point."""


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as plain JSON values; what could not be measured is null and has its reason beside it."""
    header = evaluation.header
    content = {
        "use_case": header.use_case,
        "question": header.question,
        "task": header.task,
        "classes": list(header.classes),
        "created_at": header.created_at.isoformat(),
        "test": {
            "start": str(header.test.start),
            "end": str(header.test.end),
            "rows": evaluation.rows,
            **evaluation.labels,
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
        "basis": dict(header.basis),
    }
    return {key: _plain(value) for key, value in content.items()}


def render_html(evaluation: Evaluation) -> str:
    """One page that needs nothing else: styles and pictures are inside it, and it fits light and dark screens."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        evaluation=evaluation,
        header=evaluation.header,
        page=page_of(evaluation),
        words=evaluation.metrics.words,
        headline=headline(evaluation),
        summary=summary(evaluation),
        table=model_rows(evaluation),
        titles=metric_titles(evaluation),
        pictures=_pictures(evaluation),
        slices=slice_rows(evaluation),
        judged=verdicts(evaluation),
        loss=evaluation.metrics.deciding,
        explained=_explained_title(evaluation),
    )


def to_markdown(evaluation: Evaluation) -> str:
    """Decision, table and two small pictures, for the metadata of an asset."""
    lines = [f"### {headline(evaluation)}", "", summary(evaluation), ""]
    lines += [f"- {reason}" for reason in evaluation.decision.reasons] + [""]
    rows = [
        [row["title"], row["version"], *(f"{cell['value']} {cell['interval']}".strip() for cell in row["cells"])]
        for row in model_rows(evaluation)
    ]
    lines += [markdown.table(["model", "version", *metric_titles(evaluation)], rows), ""]
    if is_measured(evaluation):
        loss = evaluation.metrics.loss
        lines.append(f"![calibration]({image(plots.calibration(evaluation), 'png')})")
        lines.append(f"![{loss} by day]({image(plots.loss_by_day(evaluation), 'png')})")
    return "\n".join(lines)


def score_table(evaluation: Evaluation) -> str:
    """The scores alone: short enough for Dagster to show without a click, which it does below 1,000 characters."""
    # By name, not by title: titles leave the numbers no room in the metadata column.
    rows = [
        [model.name, *(cell["value"] for cell in row["cells"])]
        for model, row in zip(evaluation.models, model_rows(evaluation), strict=True)
    ]
    return markdown.table(["model", *metric_titles(evaluation)], rows)


def headline(evaluation: Evaluation) -> str:
    """The decision in a few words."""
    decision, champion = evaluation.decision, _champion(evaluation)
    if decision.promoted and decision.model:
        verb = "replaces the live model" if champion else "goes live"
        return f"{capital(evaluation.model(decision.model).title)} {verb}"
    return "The live model stays" if champion else "Nothing goes live"


def summary(evaluation: Evaluation) -> str:
    """What was asked of whom, in two sentences."""
    known = {name: fact for name, fact in evaluation.labels.items() if fact is not None}
    labels = f", {evaluation.metrics.words.labels(known)}" if evaluation.rows else ""
    challengers = sum(m.role == "challenger" for m in evaluation.models)
    naive = sum(m.role == "baseline" for m in evaluation.models)
    live = "the live model and " if _champion(evaluation) else ""
    return (
        f"{challengers} new model{'s' if challengers != 1 else ''} against {live}{naive} naive "
        f"prediction{'s' if naive != 1 else ''}, on the same {evaluation.rows:,} rows that none of them had seen: "
        f"{evaluation.header.test}{labels}."
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


def _pictures(evaluation: Evaluation) -> dict[str, str]:
    """Pictures by name as data URIs; none where there is nothing to draw."""
    pictures = {}
    if is_measured(evaluation):
        pictures["intervals"] = image(plots.intervals(evaluation), "svg")
        for drawing in page_of(evaluation).drawings:
            pictures[drawing.name] = image(drawing.draw(evaluation), drawing.kind, dpi=PIXELS)
        pictures["by_day"] = image(plots.loss_by_day(evaluation), "svg")
    if evaluation.explanation is not None:
        # A beeswarm has 30,000 dots: 100 kB as pixels, 6 MB as vectors.
        swarm = plots.contributions(evaluation.explanation, evaluation.metrics.words.contribution)
        pictures["contributions"] = image(swarm, "png", dpi=PIXELS)
    return pictures


def _plain(value: object) -> object:
    """JSON has no NaN and no infinity: a number that is not finite is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
