"""How long sensors look before they find nothing to do, and what one evening's monitoring takes; see `main`.

Belongs here: ticking sensors and running the monitors in this process, over a home that `line.py` left. Does not
belong here: what is made of the figures (`automation.py`).
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster._daemon.types import DaemonHeartbeat

from assets.contracts import UseCase
from assets.stages.common import table_name
from infra.bench.children import BenchError, Span, spent, tell
from infra.bench.line import span_of
from infra.bench.subject import SUBJECTS
from pipelines.assembly import build_definitions
from pipelines.backlog import RANGE
from pipelines.jobs import job_name
from pipelines.services import prepare_environment
from resources.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.repository_definition import RepositoryDefinition

TICKS: Final = 7
"""Of each sensor; the first is left out, because it loads and opens what the daemon's code server has open."""


def main(started: str, result: str, subject: str) -> None:
    """Tick every sensor, then run the monitors over the newest scored partition; tell seconds of both.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`.
    """
    settings, use_case = Settings(), SUBJECTS[subject].use_case
    prepare_environment(settings)
    defs = build_definitions(use_case)
    lake = (defs.resources or {})["lake"]
    known = len(lake.partitions(table_name(use_case, "features")))
    newest = max(lake.partitions(table_name(use_case, "predictions")))
    with dg.DagsterInstance.get() as instance:
        repository = defs.get_repository_def()
        for kind in instance.get_required_daemon_types():  # without a daemon, silence is told of that and nothing else
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, "bench"))
        ticks = {s.name: _ticks(s, repository, instance) for s in repository.sensor_defs if not s.name.startswith("_")}
        run = _monitored(use_case, defs, instance, newest)
        steps = [span_of(s.step_key, s.start_time, s.end_time) for s in instance.get_run_step_stats(run)]
    stages: list[Span] = sorted(steps, key=lambda span: span.start)
    tell(Path(result), spent(float(started)), stages=stages, facts={"partitions": known, "ticks": ticks})


def _ticks(sensor: dg.SensorDefinition, repository: "RepositoryDefinition", instance: dg.DagsterInstance) -> Any:
    """Seconds and processor seconds of each tick, and what the last one said."""
    seconds, used, cursor, said = [], [], None, ""
    for _ in range(TICKS):
        began, before = time.perf_counter(), time.process_time()
        with dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            repository_def=repository,
            sensor_name=sensor.name,
            resources={name: repository.get_top_level_resources()[name] for name in sensor.required_resource_keys},
        ) as context:
            data = sensor.evaluate_tick(context)
        seconds.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
        cursor, said = data.cursor, data.skip_message or ""
        if data.run_requests:
            raise BenchError(f"{sensor.name} asks for {data.run_requests[0].tags}: it is not idle")
    return {"seconds": seconds[1:], "cpu_seconds": used[1:], "said": said}


def _monitored(use_case: UseCase, defs: dg.Definitions, instance: dg.DagsterInstance, key: str) -> str:
    """Run the monitors over one partition; the id of the run."""
    result = defs.resolve_job_def(job_name(use_case.name, "monitor")).execute_in_process(
        instance=instance,
        tags=dict.fromkeys(RANGE, key),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return result.run_id


if __name__ == "__main__":
    main(*sys.argv[1:])
