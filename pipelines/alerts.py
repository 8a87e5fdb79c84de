"""What happened in a use case that people should know: the sensor that tells them.

Belongs here: which events deserve a notice, and its words. Does not belong here: reading the event log
(`events_since.py`), sending (`resources/notifier.py`), and what did not happen (`silence.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dagster as dg

from assets.contracts import UseCase
from assets.stages.common import asset_key
from pipelines.events_since import EndedRun, Made, events_since, newest
from resources.clock import Clock
from resources.notifier import Notice, Notifier, NotifierError, Severity

SECONDS: Final = 30
"""Between two looks; a look without news takes 10 ms."""
WATCHED: Final[dict[str, tuple[Severity, str]]] = {
    "nothing_has_drifted": ("warning", "drift"),
    "performance_is_in_control": ("alarm", "performance is out of control"),
    "labels_arrive": ("warning", "labels are overdue"),
    "every_partition_has_arrived": ("warning", "files are missing for {asset}"),
}
"""Checks that only warn, and are told of all the same, by name: how urgent, and in which words."""
NOT_JUDGED: Final[dict[str, tuple[Severity, str]]] = {
    "nothing_has_drifted": ("warning", "drift was not judged"),
    "performance_is_in_control": ("warning", "performance was not judged"),
}
"""The same of checks that do not pass either when they cannot say."""
MOST_NAMES: Final = 5
"""Of a list in a text."""
CHAMPION: Final = "champion"
DECISIONS: Final = "retraining_decisions"
PARTITION: Final = "dagster/partition"
RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
TRIGGER: Final = "throughline/trigger"


def build_alert_sensors(use_case: UseCase) -> list[dg.SensorDefinition]:
    """One sensor, on by default: it reads on from where it stood, whatever was down in between."""

    @dg.sensor(
        name=f"{use_case.name}_alert_sensor",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people of failed runs and checks, drift, scores out of control, promotions and retrainings.",
    )
    def alert(context: dg.SensorEvaluationContext, notifier: Notifier, clock: Clock) -> dg.SkipReason:
        if context.cursor is None:
            context.update_cursor(str(newest(context.instance)))
            return dg.SkipReason("From now on; what happened before is not told of.")
        return _tell(context, Alerts(use_case=use_case, notifier=notifier, now=clock.now()), int(context.cursor))

    return [alert]


def _tell(context: dg.SensorEvaluationContext, alerts: "Alerts", after: int) -> dg.SkipReason:
    use_case, repository = alerts.use_case, context.repository_def
    jobs = set(repository.job_names) - set(repository.get_implicit_asset_job_names()) if repository else set()
    assets = [asset_key(use_case, name) for name in (CHAMPION, DECISIONS)]
    since = events_since(context.instance, use_case, jobs, assets, after)
    if since.reached == after:
        sent = alerts.notifier.deliver()  # an error here fails the tick, as long as something waits
        return dg.SkipReason("Nothing happened." + (f" {sent} messages that had waited were sent." if sent else ""))
    notices = [n for run in since.ended for n in alerts.of_run(run)] + [n for m in since.made for n in alerts.of(m)]
    faults, told = [], 0
    for notice in notices:
        try:
            told += alerts.notifier.notify(notice)
        except NotifierError as error:
            # It is kept. A tick that fails keeps no cursor, so that is left to the next one, which has no news.
            faults.append(str(error))
            context.log.error(str(error))  # noqa: TRY400  # one sentence for people
    context.update_cursor(str(since.reached))
    return dg.SkipReason(" ".join([f"{len(notices)} notices, {told} of them new and sent.", *faults[-1:]]))


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Turns events of a use case into notices."""

    use_case: UseCase
    notifier: Notifier
    now: datetime

    def of_run(self, ended: EndedRun) -> Iterator[Notice]:
        """Its failure, unless it is tried again or a notice of a check says it all; and the checks that failed."""
        run, span = ended.run, _span(ended.run)
        if ended.is_final and ended.faults:
            why = "; ".join(ended.faults)
            started = f" It was started by {run.tags[TRIGGER]}." if TRIGGER in run.tags else ""
            yield self._notice(
                ("run_failed", run.job_name, why.replace(run.run_id, "")),
                "alarm",
                f"{_job(run)} failed{span}",
                f"{why.rstrip('.')}.{started}",
                self.notifier.run_link(run.run_id),
            )
        for check in ended.checks:
            if not check.passed:
                yield from self._of_check(check, span)

    def of(self, made: Made) -> Iterator[Notice]:
        """A decision about the champion, or about a retraining."""
        told = {name: str(value) for name, value in made.metadata.items()}
        link = self.notifier.asset_link(asset_key(self.use_case, made.asset))
        if made.asset == CHAMPION:
            title = f"{told.get('model_version')} ({told.get('family')}) "
            title += "is the new champion" if told.get("decision") == "promoted" else "stays champion"
            yield self._notice((CHAMPION, made.run_id), "info", title, told.get("why", ""), link)
        else:
            title = f"retraining: {told.get('answer')}, asked for by {told.get('triggers')}"
            yield self._notice((DECISIONS, str(made.number)), "info", title, told.get("reasons", ""), link)

    def _of_check(self, check: dg.AssetCheckEvaluation, span: str) -> Iterator[Notice]:
        if (spoken := _words(check)) is None:
            return
        severity, title = spoken
        text = " ".join(part for part in (check.description, _facts(check.metadata)) if part)
        link = f"{self.notifier.asset_link(check.asset_key)}?view=checks"
        about = ("check", check.asset_key.path[-1], check.check_name, f"{title}{span}")
        yield self._notice(about, severity, f"{title}{span}", text, link)

    def _notice(self, about: tuple[str, ...], severity: Severity, title: str, text: str, link: str) -> Notice:
        return Notice(
            key="/".join((self.use_case.name, *about)),
            title=title,
            text=text,
            severity=severity,
            use_case=self.use_case.name,
            link=link,
            at=self.now,
        )


def _words(check: dg.AssetCheckEvaluation) -> tuple[Severity, str] | None:
    """How urgent a failed check is, and its title; None if people are not told of it."""
    asset, name = check.asset_key.path[-1], check.check_name
    if name in WATCHED:
        # Drift that was found has a name, and a chart that is out was judged.
        is_judged = all(check.metadata[fact].value for fact in ("drifted", "is_judged") if fact in check.metadata)
        severity, title = WATCHED[name] if is_judged else NOT_JUDGED.get(name, WATCHED[name])
        return severity, title.format(asset=asset)
    if check.severity is dg.AssetCheckSeverity.ERROR:
        return "alarm", f"{name} does not hold for {asset}"
    return None


def _job(run: dg.DagsterRun) -> str:
    if not run.job_name.startswith("__"):
        return run.job_name
    names = sorted(key.path[-1] for key in run.asset_selection or ())
    return f"materialising {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _span(run: dg.DagsterRun) -> str:
    """The partitions of a run as the end of a sentence; empty if it had none."""
    first, last = (run.tags.get(tag, run.tags.get(PARTITION)) for tag in RANGE)
    if first is None:
        return ""
    return f" for {first}" if first == last else f" for {first} to {last}"


def _facts(metadata: Any) -> str:
    """The short values of a check: numbers, words and lists of words."""
    found = {name: _fact(getattr(value, "value", None)) for name, value in metadata.items()}
    return ", ".join(f"{name} {fact}" for name, fact in found.items() if fact and len(fact) < 200)


def _fact(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        more = f" and {len(value) - MOST_NAMES} more" if len(value) > MOST_NAMES else ""
        return ", ".join(map(str, value[:MOST_NAMES])) + more
    return str(value) if isinstance(value, int | str) else None
