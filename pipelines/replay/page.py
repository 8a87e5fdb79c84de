"""The report of a replay as a page: what was gained, every decision, every day.

Belongs here: its picture, and what the template gets. Does not belong here: measuring (`scores.py`) and gathering
(`report.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assets.logic.metrics import Floats, task_metrics
from assets.logic.wording import capital
from assets.reports.plot_style import CHAMPION_COLOUR, COLOURS, NEUTRAL, date_axis, image, new_axes, new_figure
from pipelines.replay.contenders import CONTENDERS, LIVE, MONTHLY, NEVER, TITLES
from pipelines.replay.report import Day, Report, answer_of
from pipelines.replay.scores import WHOLE, Gap, Period
from pipelines.replay.telling import counted, gains

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPLATE: Final = Path(__file__).with_name("page.html.jinja")
SMOOTHED_DAYS: Final = 7
"""Of the distances in the picture: one week, so that no weekday tips them."""
STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    LIVE: {"color": CHAMPION_COLOUR, "linewidth": 2.2, "zorder": 3},
    MONTHLY: {"color": COLOURS[0], "linewidth": 1.5, "zorder": 2},
    NEVER: {"color": NEUTRAL, "linewidth": 1.2, "zorder": 1, "linestyle": (0, (4, 2))},
}


def render(report: Report) -> str:
    """One page that needs nothing else: styles and pictures are inside it, and it fits light and dark screens."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    metrics = task_metrics(report.use_case.task).metrics
    periods = [*report.months, *([report.whole] if report.whole else [])]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        first=report.days[0].name if report.days else str(report.about.first),
        last=report.days[-1].name if report.days else None,
        gains=list(gains(report)),
        counts=_counts(report),
        titles=[capital(metrics[name].title) for name in report.metrics],
        contenders=[TITLES[who] for who in CONTENDERS],
        others=[TITLES[who] for who in CONTENDERS if who != LIVE],
        periods=[_period_row(report, period) for period in periods],
        days=[_day_row(report, day) for day in report.days],
        decided=[_told(day, decision) for day in report.days for decision in day.decisions],
        promoted=[(day.name, promotion) for day in report.days for promotion in day.promotions],
        picture=image(picture(report), "svg") if report.whole is not None else None,
        smoothed=SMOOTHED_DAYS,
        costs=_costs(report.days),
        left_out=sorted(report.left_out),
    )


def picture(report: Report) -> "Figure":
    """Loss by day, and how far the live and the monthly model lay from the one that was never retrained."""
    loss = report.metrics[0]
    days = [day for day in report.days if all(day.scores.get(who, {}).get(loss) is not None for who in CONTENDERS)]
    x = np.array([day.name for day in days], dtype="datetime64[D]")
    rows = np.array([day.rows for day in days], dtype=np.float64)
    values = {who: np.array([day.scores[who][loss] for day in days], dtype=np.float64) for who in CONTENDERS}
    figure = new_figure(9.6, 5.6)
    upper, lower = new_axes(figure, 2, rows=2, heights=(1, 1))
    for who in CONTENDERS:
        upper.plot(x, values[who], label=TITLES[who], **STYLES[who])
    for who in (LIVE, MONTHLY):
        lower.plot(x, _smoothed(values[who] - values[NEVER], rows), **STYLES[who])
    lower.axhline(0, **STYLES[NEVER])
    spoken = task_metrics(report.use_case.task).deciding.name
    upper.set_ylabel(spoken, color=NEUTRAL)
    lower.set_ylabel(f"against never retrained\n({SMOOTHED_DAYS} days)", color=NEUTRAL)
    _mark(report, upper, lower)
    upper.tick_params(labelbottom=False)
    date_axis(lower)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=5, frameon=False, fontsize=8.5, labelcolor=NEUTRAL)
    return figure


def _mark(report: Report, upper: "Axes", lower: "Axes") -> None:
    """Promotions as lines through both panels, alarms as ticks at the foot of the upper one."""
    changed = np.array(
        [day.name for day in report.days for p in day.promotions if p["decision"] == "promoted"], dtype="datetime64[D]"
    )
    for at in changed:
        for axes in (upper, lower):
            axes.axvline(at, color=CHAMPION_COLOUR, linewidth=0.9, alpha=0.8)
    for number, monitor in enumerate(("drift", "performance")):
        names = [day.name for day in report.days if any(alarm["monitor"] == monitor for alarm in day.alarms)]
        if names:
            at = np.array(names, dtype="datetime64[D]")
            upper.plot(
                at,
                np.full(len(at), 0.02 + 0.045 * number),
                linestyle="none",
                marker="|",
                markersize=7,
                color=COLOURS[1 + 2 * number],
                transform=upper.get_xaxis_transform(),
                label=f"{capital(monitor)} alarm",
            )


def _smoothed(values: Floats, rows: Floats) -> Floats:
    """Trailing mean over rows of the last days, shape (n,)."""
    found = [
        np.average(values[max(0, i - SMOOTHED_DAYS + 1) : i + 1], weights=rows[max(0, i - SMOOTHED_DAYS + 1) : i + 1])
        for i in range(len(values))
    ]
    return np.asarray(found, dtype=np.float64)


def _counts(report: Report) -> list[str]:
    days = report.days
    promoted = sum(p["decision"] == "promoted" for day in days for p in day.promotions)
    return [
        counted(len(days), "day"),
        counted(sum(len(day.record["files"]) for day in days), "file"),
        counted(sum(bool(day.alarms) for day in days), "day") + " with an alarm",
        counted(sum(len(day.decisions) for day in days), "decision"),
        counted(report.trainings, "training"),
        f"{promoted} promoted",
    ]


def _period_row(report: Report, period: Period) -> dict[str, Any]:
    return {
        "name": "All days" if period.name == WHOLE else period.name,
        "days": period.days,
        "rows": period.rows,
        "scores": [[_shown(period.scores[who][metric]) for metric in report.metrics] for who in CONTENDERS],
        "gaps": [[_gap(period.gaps[who][metric]) for metric in report.metrics] for who in CONTENDERS if who != LIVE],
    }


def _day_row(report: Report, day: Day) -> dict[str, Any]:
    loss, rank = report.metrics
    return {
        "name": day.name,
        "files": len(day.record["files"]),
        "alarms": [f"{alarm['partition']}: {alarm['what']}" for alarm in day.alarms],
        "decisions": [answer_of(decision) for decision in day.decisions]
        + [f"{p['decision']} {p['model_version']}" for p in day.promotions],
        "faults": day.faults,
        "live": day.record["live"],
        "rows": day.rows,
        "scores": [
            (_shown(day.scores.get(who, {}).get(loss)), _shown(day.scores.get(who, {}).get(rank))) for who in CONTENDERS
        ],
        "seconds": f"{day.record['seconds']['all']:.1f}",
    }


def _told(day: Day, decision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "day": day.name,
        "at": f"{decision['decided_at']:%Y-%m-%d %H:%M}",
        "answer": answer_of(decision),
        "reasons": list(decision.get("reasons") or ()),
    }


def _costs(days: Sequence[Day]) -> list[tuple[str, str, str]]:
    """Where the time went: seconds in all and a day, the largest first."""
    totals: dict[str, float] = {}
    for day in days:
        for what, seconds in day.record["seconds"].items():
            totals[what] = totals.get(what, 0.0) + seconds
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    return [(what, f"{total:,.1f}", f"{total / len(days):.2f}") for what, total in ordered]


def _gap(gap: Gap) -> dict[str, str]:
    if gap.value is None:
        return {"value": "-", "interval": gap.reason or ""}
    interval = "" if gap.low is None or gap.high is None else f"{gap.low:+.4f} to {gap.high:+.4f}"
    return {"value": f"{gap.value:+.4f}", "interval": interval or (gap.reason or "")}


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
