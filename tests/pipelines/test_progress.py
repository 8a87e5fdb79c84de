"""Who watches a run sees what runs, how far it is, what it says, and what failed."""

import re
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest

from pipelines.progress import Progress


@dg.asset(
    key=["bakery", "bread"],
    check_specs=[
        dg.AssetCheckSpec("crust_is_brown", asset=["bakery", "bread"]),
        dg.AssetCheckSpec("smells_good", asset=["bakery", "bread"]),
    ],
)
def bread(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    context.log.info("bread: 12 loaves are in the oven")
    context.log.info("the oven is hot")
    context.log.debug("a detail nobody needs")
    warn = dg.AssetCheckSeverity.WARN
    brown = dg.AssetCheckResult(check_name="crust_is_brown", passed=False, severity=warn, description="Still pale.")
    yield dg.MaterializeResult(check_results=[brown, dg.AssetCheckResult(check_name="smells_good", passed=True)])


@dg.asset(key=["bakery", "toast"], deps=[bread])
def toast() -> None:
    raise RuntimeError("burnt")


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What is told of a run of two steps, of which the second fails; without the seconds."""
    lines: list[str] = []
    job = dg.Definitions(assets=[bread, toast], jobs=[dg.define_asset_job("bake")]).resolve_job_def("bake")
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id, Progress(echo=lines.append, steps=2))
        job.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    assert all(re.match(r" *\d+\.\d s  \S", line) for line in lines), lines
    return [re.sub(r"\d+\.\d s", "# s", line.strip()) for line in lines]


def test_a_step_is_told_by_its_short_name_when_it_starts_and_ends_with_its_place_and_time(told: list[str]) -> None:
    assert [line for line in told if "[" in line] == [
        "# s  [1/2] bread ...",
        "# s  [1/2] bread done in # s",
        "# s  [2/2] toast ...",
    ]


def test_what_a_stage_says_is_told_with_its_name_once(told: list[str]) -> None:
    assert "# s  bread: 12 loaves are in the oven" in told
    assert "# s  bread: the oven is hot" in told


def test_details_for_developers_are_not_told(told: list[str]) -> None:
    assert not any("nobody needs" in line for line in told)


def test_a_check_that_fails_is_told_with_its_reason_and_one_that_passes_is_not(told: list[str]) -> None:
    assert "# s  bread: check crust_is_brown failed (WARN) Still pale." in told
    assert not any("smells_good" in line for line in told)


def test_a_failed_step_is_never_told_as_done(told: list[str]) -> None:
    assert not any("toast done" in line for line in told)
