"""What people are told of: real runs on a real instance, read by the real sensor."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import Field

from pipelines.alerts import build_alert_sensors
from resources.clock import Clock
from resources.notifier import Notifier, NotifierError
from tests.support.instance import write_instance_file
from tests.support.notice_servers import webhook
from tests.support.serving import free_port
from tests.support.toy_use_case import TOY

URL = "THROUGHLINE_WEBHOOK_URL"


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["parcels", name])


class Fault(dg.Config):
    text: str = ""
    told: dict[str, list[str]] = Field(default_factory=dict)
    failing: list[str] = Field(default_factory=list)


@dg.asset(
    key=key("features"),
    check_specs=[
        dg.AssetCheckSpec("rows_are_unique", asset=key("features"), blocking=True),
        dg.AssetCheckSpec("ranges_hold", asset=key("features")),
        dg.AssetCheckSpec("looks_usual", asset=key("features")),
    ],
)
def features(config: Fault) -> Iterator[dg.MaterializeResult[None]]:
    if config.text:
        raise ValueError("a defect") if config.text == "defect" else dg.Failure(config.text, allow_retries=False)
    severities = {"looks_usual": dg.AssetCheckSeverity.WARN}
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name=name,
                passed=name not in config.failing,
                severity=severities.get(name, dg.AssetCheckSeverity.ERROR),
                metadata={"share": 0.123456},
            )
            for name in ("rows_are_unique", "ranges_hold", "looks_usual")
        ]
    )


@dg.asset(key=key("after"), deps=[features])
def after() -> None:
    pass


@dg.asset(key=key("champion"))
def champion(config: Fault) -> dg.MaterializeResult[None]:
    told = {"decision": config.text, "model_version": "parcels/7", "family": "catboost", "why": "Better by 3 %."}
    return dg.MaterializeResult(metadata=told)


def _monitor(name: str, *names: str) -> dg.AssetsDefinition:
    days = dg.DailyPartitionsDefinition("2020-01-01")

    @dg.asset(
        key=key(name),
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec(check, asset=key(name)) for check in names],
    )
    def monitor(config: Fault) -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name=check,
                    passed=check not in config.failing,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata=config.told,
                )
                for check in names
            ]
        )

    return monitor


MONITORS = [
    _monitor("drift_report", "nothing_has_drifted"),
    _monitor("performance_report", "performance_is_in_control", "labels_arrive"),
    _monitor("raw_weather", "every_partition_has_arrived"),
]
ASSETS = [features, after, champion, *MONITORS]
DEFS = dg.Definitions(
    assets=ASSETS,
    jobs=[
        dg.define_asset_job("parcels_ingest_job", [key("features"), key("after")]),
        dg.define_asset_job("parcels_train_job", [key("champion")]),
        dg.define_asset_job("parcels_monitor_job", [monitor.key for monitor in MONITORS]),
    ],
    sensors=build_alert_sensors(TOY),
    executor=dg.in_process_executor,
)


@dataclass
class Watch:
    """A Dagster instance, and the alert sensor with what it remembers."""

    instance: dg.DagsterInstance
    notifier: Notifier
    cursor: str | None = None
    reasons: list[str | None] = field(default_factory=list)

    def tick(self) -> list[dict[str, Any]]:
        """One tick of the sensor; the notices it wrote."""
        before = len(self.notices())
        resources = {"notifier": self.notifier, "clock": Clock()}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=DEFS, resources=resources
        ) as context:
            ticked = DEFS.resolve_sensor_def("parcels_alert_sensor").evaluate_tick(context)
        self.reasons.append(ticked.skip_message)
        self.cursor = ticked.cursor or self.cursor
        return self.notices()[before:]

    def notices(self) -> list[dict[str, Any]]:
        log = Path(self.notifier.root) / "notices.jsonl"
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []

    def run(self, purpose: str, tags: dict[str, str] | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        job = DEFS.resolve_job_def(f"parcels_{purpose}_job")
        named = {"ingest": ["features"], "train": ["champion"], "monitor": [m.key.path[-1] for m in MONITORS]}
        return job.execute_in_process(
            instance=self.instance,
            run_config={
                "ops": {f"parcels__{name}": {"config": config} for name in named[purpose]},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Dagster that tries failed runs again if they say so."""
    folder = tmp_path_factory.mktemp("dagster")
    write_instance_file(folder)
    shutil.copy(folder / "dagster.yaml", folder / "without_retries.yaml")
    with (folder / "dagster.yaml").open("a", encoding="utf-8") as file:
        file.write("run_retries:\n  enabled: true\n  max_retries: 0\n")
    return folder


@pytest.fixture(scope="module")
def instance(room: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(room)) as made:
        yield made


@pytest.fixture
def watch(instance: dg.DagsterInstance, tmp_path: Path) -> Watch:
    """A watch whose sensor ticked once: it tells of what happens from now on, whatever other tests did before."""
    notifier = Notifier(root=str(tmp_path / "notices"), wait_s=0.01, pause_s=0, dagster_url="http://ui")
    made = Watch(instance, notifier)
    assert made.tick() == []
    return made


RANGE = {"dagster/asset_partition_range_start": "2020-01-01", "dagster/asset_partition_range_end": "2020-01-03"}


def test_a_run_that_failed_is_told_of_with_reason_partitions_and_link(watch: Watch) -> None:
    result = watch.run("ingest", text="No file has landed.", tags={"dagster/partition": "2020-01-02"})
    (notice,) = watch.tick()
    assert notice["title"] == "parcels_ingest_job failed for 2020-01-02"
    assert notice["text"] == "parcels__features: No file has landed."
    assert notice["link"] == f"http://ui/runs/{result.run_id}"
    assert (notice["severity"], notice["use_case"]) == ("alarm", "parcels")


def test_a_defect_is_told_of_by_its_own_message(watch: Watch) -> None:
    watch.run("ingest", text="defect")
    assert "ValueError: a defect" in watch.tick()[0]["text"]


def test_what_started_a_failed_run_is_named(watch: Watch) -> None:
    watch.run("ingest", text="x", tags={"throughline/trigger": "drift"})
    assert watch.tick()[0]["text"].endswith("It was started by drift.")


def test_a_run_that_is_good_is_no_news(watch: Watch) -> None:
    watch.run("ingest")
    assert watch.tick() == []


def test_nothing_is_told_twice_nor_left_out_over_many_ticks(watch: Watch) -> None:
    told = []
    for n in range(3):
        watch.run("ingest", text=f"fault {n}")
        told.append(len(watch.tick()) + len(watch.tick()))
    assert told == [1, 1, 1]


def test_more_events_than_a_tick_takes_are_left_to_the_next(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.events_since.MOST", 2)
    for n in range(5):
        watch.run("ingest", text=f"fault {n}")
    assert [len(watch.tick()) for _ in range(4)] == [2, 2, 1, 0]


def test_the_same_failure_again_and_again_is_told_of_once_a_day(watch: Watch) -> None:
    for _ in range(3):
        watch.run("ingest", text="No file has landed.")
    assert len(watch.tick()) == 1


def test_what_happened_before_the_sensor_was_there_is_not_told_of(watch: Watch) -> None:
    watch.run("ingest", text="long ago")
    watch.cursor = None
    assert (watch.tick(), watch.tick()) == ([], [])


def test_what_happened_while_everything_was_down_is_told_of(watch: Watch, room: Path) -> None:
    watch.run("ingest", text="while nobody looked")
    with dg.DagsterInstance.from_config(str(room)) as restarted:
        watch.instance = restarted
        assert len(watch.tick()) == 1


def test_a_run_that_is_tried_again_is_told_of_after_its_last_try(watch: Watch) -> None:
    watch.run("ingest", text="first", tags={"dagster/max_retries": "1"})
    assert watch.tick() == []
    watch.run("ingest", text="last", tags={"dagster/max_retries": "0"})
    assert [n["text"] for n in watch.tick()] == ["parcels__features: last."]


def test_a_run_of_another_use_case_is_not_ours(watch: Watch) -> None:
    @dg.asset(key=["parcels_too", "features"])
    def foreign() -> None:
        raise ValueError

    dg.materialize([foreign], instance=watch.instance, raise_on_error=False)
    assert watch.tick() == []


def test_assets_that_a_person_materialised_without_a_job_are_ours(watch: Watch) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key("features")})
    job.execute_in_process(
        instance=watch.instance,
        run_config={"ops": {"parcels__features": {"config": {"text": "x"}}}},
        asset_selection=[key("features")],
        raise_on_error=False,
    )
    assert [n["title"] for n in watch.tick()] == ["materialising features failed"]


def test_a_run_whose_process_was_killed_is_told_of(watch: Watch) -> None:
    run = watch.instance.create_run_for_job(DEFS.resolve_job_def("parcels_ingest_job"))
    watch.instance.report_run_failed(run, "The process of this run was killed.")
    assert [n["text"] for n in watch.tick()] == ["The process of this run was killed."]


@pytest.mark.parametrize("check", ["rows_are_unique", "ranges_hold"])
def test_a_failed_check_is_told_of_once_whether_or_not_it_stops_the_run(watch: Watch, check: str) -> None:
    watch.run("ingest", failing=[check])
    (notice,) = watch.tick()
    assert notice["title"] == f"{check} does not hold for features"
    assert notice["text"] == "share 0.1235"
    assert notice["link"] == "http://ui/assets/parcels/features?view=checks"


def test_a_check_that_only_warns_is_no_news(watch: Watch) -> None:
    watch.run("ingest", failing=["looks_usual"])
    assert watch.tick() == []


def test_drift_and_scores_out_of_control_are_told_of_for_the_newest_partition_once(watch: Watch) -> None:
    watch.run("monitor", failing=["nothing_has_drifted", "performance_is_in_control"], tags=RANGE)
    told = {n["title"]: n["severity"] for n in watch.tick()}
    assert told == {
        "drift for 2020-01-01 to 2020-01-03": "warning",
        "performance is out of control for 2020-01-01 to 2020-01-03": "alarm",
    }


@pytest.mark.parametrize(
    ("check", "title"),
    [
        ("labels_arrive", "labels are overdue for 2020-01-01 to 2020-01-03"),
        ("every_partition_has_arrived", "files are missing for raw_weather for 2020-01-01 to 2020-01-03"),
    ],
)
def test_labels_and_files_that_do_not_come_are_told_of_once(watch: Watch, check: str, title: str) -> None:
    for _ in range(2):
        watch.run("monitor", failing=[check], tags=RANGE)
    (notice,) = watch.tick()
    assert (notice["title"], notice["severity"]) == (title, "warning")


def test_some_of_the_files_that_are_missing_are_named(watch: Watch) -> None:
    days = [f"2020-01-{n:02}" for n in range(1, 31)]
    watch.run("monitor", failing=["every_partition_has_arrived"], told={"not_arrived": days}, tags=RANGE)
    (notice,) = watch.tick()
    assert notice["text"] == f"not_arrived {', '.join(days[:5])} and 25 more"


@pytest.mark.parametrize(
    ("check", "told", "title"),
    [
        ("nothing_has_drifted", {"drifted": []}, "drift was not judged"),
        ("performance_is_in_control", {"is_judged": []}, "performance was not judged"),
    ],
)
def test_what_could_not_be_judged_is_not_called_bad(
    watch: Watch, check: str, told: dict[str, list[str]], title: str
) -> None:
    watch.run("monitor", failing=[check], told=told, tags=RANGE)
    (notice,) = watch.tick()
    assert (notice["title"], notice["severity"]) == (f"{title} for 2020-01-01 to 2020-01-03", "warning")


def test_drift_that_is_found_after_it_could_not_be_judged_is_told_of(watch: Watch) -> None:
    for drifted in ([], ["weather"]):
        watch.run("monitor", failing=["nothing_has_drifted"], told={"drifted": drifted}, tags=RANGE)
    assert [n["title"].partition(" for")[0] for n in watch.tick()] == ["drift was not judged", "drift"]


@pytest.mark.parametrize(("decision", "said"), [("promoted", "is the new champion"), ("kept", "stays champion")])
def test_promotions_and_refusals_are_told_of_with_the_reason(watch: Watch, decision: str, said: str) -> None:
    watch.run("train", text=decision)
    (notice,) = watch.tick()
    assert notice["title"] == f"parcels/7 (catboost) {said}"
    assert (notice["text"], notice["severity"]) == ("Better by 3 %.", "info")
    assert notice["link"] == "http://ui/assets/parcels/champion"


def test_a_decision_about_a_retraining_is_told_of(watch: Watch) -> None:
    told = {"answer": "wait", "triggers": "drift, age", "reasons": dg.MetadataValue.md("- It is early.")}
    watch.instance.report_runless_asset_event(dg.AssetMaterialization(key("retraining_decisions"), metadata=told))
    (notice,) = watch.tick()
    assert notice["title"] == "retraining: wait, asked for by drift, age"
    assert notice["text"] == "- It is early."


def test_while_nobody_can_be_reached_the_place_is_kept_and_the_next_tick_fails(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(URL, f"http://127.0.0.1:{port}/")
    watch.notifier = Notifier(root=watch.notifier.root, webhook_variable=URL, wait_s=0.01, pause_s=0)
    watch.run("ingest", text="x")
    assert len(watch.tick()) == 1
    assert "cannot be reached" in str(watch.reasons[-1])
    with pytest.raises(NotifierError, match="wait to be sent"):
        watch.tick()
    with webhook(port) as server:
        watch.tick()
    assert len(server.texts) == 1


def test_a_failure_is_not_told_of_before_it_is_known_whether_the_run_is_tried_again(
    watch: Watch, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrying = watch.instance
    # A Dagster without retries says nothing of them: as if it had not come to that yet.
    with dg.DagsterInstance.from_config(str(room), "without_retries.yaml") as watch.instance:
        watch.run("ingest", text="x")
    watch.instance = retrying
    assert (watch.tick(), watch.tick()) == ([], [])
    monkeypatch.setattr("pipelines.events_since.TAG_AFTER", timedelta(0))
    assert len(watch.tick()) == 1
