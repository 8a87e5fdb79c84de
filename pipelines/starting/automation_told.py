"""What a use case will do by itself, in words: chosen values are shown beside those that were said.

Belongs here: words. Does not belong here: where the values come from (`pipelines/declared/automation.py`).
"""

from collections.abc import Iterator

from assets.contracts import UseCase
from pipelines.declared.words import written


def told(use_case: UseCase) -> Iterator[str]:
    """The lines to show."""
    automation, zone = use_case.automation, use_case.partitions.timezone
    drift, performance = automation.drift, automation.performance
    quiet = f", not by {', '.join(drift.reported_only)}" if drift.reported_only else ""
    yield f"{'watched':<24} daily at {automation.hour}:00 {zone}"
    yield f"  drift                    over {written(drift.window)}, {drift.false_alarms:.2%} false alarms{quiet}"
    yield f"  performance              over {written(performance.window)}, a false alarm in {performance.run_length}d"
    yield f"{'retrained':<24} {_reasons(use_case)}"
    yield f"  {_limits(use_case)}"


def _reasons(use_case: UseCase) -> str:
    retraining = use_case.automation.retraining
    words = {
        "new_data": f"{retraining.new_days} new days with outcomes",
        "code_change": "changed code",
        "drift": "drift",
        "performance": "performance",
        "age": None if retraining.every is None else f"an age of {written(retraining.every)}",
    }
    reasons = [word for trigger, word in words.items() if trigger in retraining.triggers and word]
    return f"for {', '.join(reasons)}" if reasons else "by hand only"


def _limits(use_case: UseCase) -> str:
    retraining = use_case.automation.retraining
    hours = retraining.quiet_hours
    span = "" if hours is None else f", not from {hours[0]:%H:%M} to {hours[1]:%H:%M} {retraining.timezone}"
    return f"at most {retraining.per_week} in a week, {written(retraining.cool_down)} apart{span}"
