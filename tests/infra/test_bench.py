"""The bench: what a figure means, what is shown of it, and one small bench from end to end."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.bench.bench import stage_figures
from infra.bench.children import BenchError, Measured, Span, Told, watched
from infra.bench.machine import Machine
from infra.bench.report import BUDGETS, DetectionFigure, Figure, Report, StageFigure

ROOT = Path(__file__).parents[2]
MACHINE = Machine(cpu="a processor", cores=2, memory_gb=24.0, system="an OS", python="3.11.0", load=0.1)
LOAD = Figure(name="code_location_seconds", title="code location: load", unit="s", values=(1.0, 9.0, 2.0))
REPORT = Report(
    taken_at=datetime(2020, 1, 1, 12, tzinfo=UTC),
    subject="default",
    days=243,
    machine=MACHINE,
    figures=(LOAD, Figure(name="rows", title="rows cleaned", unit="rows/s", values=(1234567.0,))),
    stages=(StageFigure(stage="features", seconds=12.345, peak_mb=1234.5, plain_seconds=11.0),),
)


def told(seconds: float, *stages: Span) -> Told:
    return Told(seconds=seconds, cpu_seconds=seconds, stages=stages, facts={})


def test_a_figure_is_the_median_of_its_repetitions() -> None:
    assert LOAD.value == 2.0


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "within"), (3.01, "over")])
def test_a_figure_is_judged_by_its_budget(value: float, verdict: str) -> None:
    assert replace(LOAD, values=(value,)).verdict == verdict


def test_a_figure_without_a_budget_is_not_judged() -> None:
    assert replace(LOAD, name="rows").verdict is None


def test_the_budgets_are_those_of_the_design() -> None:
    assert {name: budget.most for name, budget in BUDGETS.items()} == {
        "code_location_seconds": 3.0,
        "code_location_mb": 200.0,
        "ingest_seconds": 60.0,
        "train_seconds": 300.0,
        "line_over_plain": 1.15,
    }


def test_the_table_shows_each_figure_with_budget_and_verdict() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in REPORT.to_markdown().splitlines()]
    assert ["code location: load", "2.00 s", "3.00 s", "within"] in rows
    assert ["rows cleaned", "1,234,567 rows/s", "", ""] in rows


def test_the_table_shows_each_stage_with_time_memory_and_the_plain_time() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in REPORT.to_markdown().splitlines()]
    assert ["features", "12.35", "1,234", "11.00"] in rows


def test_the_table_shows_how_soon_each_fault_is_found() -> None:
    found = DetectionFigure(fault="a fault", rule="drift", tries=4, days=(7, 3, 5), first=("weather", "label"))
    nothing = replace(found, rule="charts", days=(), first=())
    shown = replace(REPORT, detections=(found, nothing)).to_markdown()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    assert ["a fault", "drift", "75%", "5", "", "weather"] in rows
    assert ["a fault", "charts", "0%", "", "", ""] in rows


def test_all_lines_of_a_table_are_equally_long() -> None:
    tables = REPORT.to_markdown().split("\n\n")[1:]
    assert [len({len(line) for line in table.splitlines()}) for table in tables] == [1, 1]


def test_the_table_names_the_machine() -> None:
    assert str(MACHINE) in REPORT.to_markdown()


def test_a_busy_machine_is_warned_of() -> None:
    busy = replace(REPORT, machine=replace(MACHINE, load=0.6))
    assert "WARNING" in busy.to_markdown()
    assert "WARNING" not in REPORT.to_markdown()


def test_a_bench_is_kept_under_its_time_and_as_the_latest(tmp_path: Path) -> None:
    path = REPORT.write(tmp_path)
    assert path == tmp_path / "2020-01-01T12-00-00Z.json"
    assert path.read_bytes() == (tmp_path / "latest.json").read_bytes()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["figures"][0] == {
        "name": "code_location_seconds",
        "title": "code location: load",
        "unit": "s",
        "value": 2.0,
        "values": [1.0, 9.0, 2.0],
        "budget": 3.0,
        "verdict": "within",
    }
    assert content["stages"] == [{"stage": "features", "seconds": 12.345, "peak_mb": 1234.5, "plain_seconds": 11.0}]


def test_this_machine_has_a_processor_cores_and_memory() -> None:
    machine = Machine.here()
    assert machine.cpu
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.memory_gb > 0.1


def test_what_is_left_of_a_run_is_time_outside_of_its_stages() -> None:
    run = Measured(told=told(10.0, Span(name="raw", start=100.0, end=103.0)), memory=[])
    assert [(s.stage.split(" ")[0], s.seconds) for s in stage_figures([run], [])] == [("raw", 3.0), ("outside", 7.0)]


def test_the_peak_of_a_stage_is_what_was_resident_while_it_ran() -> None:
    stages = Span(name="raw", start=1.0, end=2.0), Span(name="features", start=3.0, end=4.0)
    run = Measured(told=told(5.0, *stages), memory=[(0.5, 900.0), (1.5, 100.0), (3.1, 200.0), (3.9, 150.0)])
    assert [s.peak_mb for s in stage_figures([run], [])] == [100.0, 200.0, None]


def test_a_stage_too_short_to_be_looked_at_has_no_peak() -> None:
    run = Measured(told=told(5.0, Span(name="raw", start=1.0, end=1.01)), memory=[(0.5, 900.0)])
    assert stage_figures([run], [])[0].peak_mb is None


def test_a_retried_stage_counts_with_all_its_tries() -> None:
    tries = Span(name="raw", start=1.0, end=2.0), Span(name="raw", start=3.0, end=5.0)
    assert stage_figures([Measured(told=told(9.0, *tries), memory=[])], [])[0].seconds == 3.0


def test_the_memory_of_a_process_is_watched_until_it_ends() -> None:
    code = "import time; held = bytearray(80_000_000); time.sleep(0.5)"
    memory = watched(subprocess.Popen([sys.executable, "-c", code]), "a process")
    assert max(mb for _, mb in memory) > 80


def test_a_process_that_fails_is_named() -> None:
    with pytest.raises(BenchError, match="the feed failed with exit code 3"):
        watched(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]), "the feed")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """A small bench as `make bench` runs it: its JSON, its output, and the folder for temporary files it was given."""
    home, room = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("room")
    command = [sys.executable, "-m", "infra.bench", "--quick", "--rounds", "1", "--only", "ratio", "--only", "rates"]
    env = {**os.environ, "THROUGHLINE_HOME": str(home), "TMPDIR": str(room)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((home / "bench" / "latest.json").read_text(encoding="utf-8"))
    return content, done.stdout, room


def test_a_bench_measures_every_stage_of_the_line_and_of_the_plain_script(
    quick: tuple[dict[str, Any], str, Path],
) -> None:
    stages = {stage["stage"]: stage for stage in quick[0]["stages"]}
    tables = [f"{kind}_{name}" for kind in ("raw", "cleaned") for name in ("airports", "planes", "weather", "flights")]
    training = ["training_set", "logistic_regression", "evaluation_report", "champion", "drift_reference", "endpoint"]
    monitors = ["drift_report", "performance_report"]
    expected = {*tables, "features", "exploration_report", *training, "predictions", *monitors}
    assert {name for name in stages if not name.startswith("outside")} == expected
    assert all(stage["seconds"] > 0 and stage["plain_seconds"] > 0 for stage in stages.values())


def test_a_bench_has_the_figures_that_have_budgets(quick: tuple[dict[str, Any], str, Path]) -> None:
    figures = {figure["name"]: figure for figure in quick[0]["figures"]}
    assert {"ingest_seconds", "train_seconds", "line_over_plain"} <= figures.keys()
    assert figures["line_over_plain"]["value"] == pytest.approx(
        figures["line_seconds"]["value"] / figures["plain_seconds"]["value"]
    )
    assert {figure["verdict"] for figure in figures.values()} <= {"within", "over", None}


def test_a_bench_tells_rows_per_second(quick: tuple[dict[str, Any], str, Path]) -> None:
    figures = {figure["name"]: figure for figure in quick[0]["figures"]}
    assert all(len(figures[f"{name}_rows_per_second"]["values"]) == 3 for name in ("cleaning", "features"))


def test_a_bench_prints_its_table(quick: tuple[dict[str, Any], str, Path]) -> None:
    assert re.search(r"^\| line / plain script +\|", quick[1], re.MULTILINE)


def test_a_bench_leaves_no_process_and_no_state(quick: tuple[dict[str, Any], str, Path]) -> None:
    room = quick[2]
    assert list(room.iterdir()) == []
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if str(room) in command] == []
