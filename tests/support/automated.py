"""The few days of flights as a code location that a real daemon loads; the state folder is that of the settings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest

from pipelines.line import Line
from pipelines.services import INSTANCE
from resources import processes
from tests.support.few_days import Home, fewer_details

ROOT = Path(__file__).parents[2]
LOCATION = """
load_from:
  - python_module:
      module_name: tests.support.automated_location
      location_name: flight_delays
      working_directory: {root}
"""
DAEMON = "dagster-daemon"


@dataclass(frozen=True, kw_only=True)
class Automated:
    """A state folder that a daemon of its own looks after."""

    home: Home

    @property
    def environment(self) -> dict[str, str]:
        return {
            "THROUGHLINE_HOME": str(self.home.folder),
            "DAGSTER_HOME": str(self.home.folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def prepare(self) -> None:
        """Make the instance and the workspace; Dagster's databases before two processes would."""
        room = self.home.folder / "dagster"
        room.mkdir(parents=True, exist_ok=True)
        (room / "dagster.yaml").write_bytes(INSTANCE.read_bytes())
        (self.home.folder / "workspace.yaml").write_text(LOCATION.format(root=ROOT), encoding="utf-8")
        with self.instance():
            pass

    def catch_up(self) -> None:
        """Take in, score and watch all that has landed, in this process: its libraries are loaded already."""
        with self.instance() as instance, fewer_details():
            line = Line(use_case=self.home.use_case, defs=self.home.definitions(), instance=instance, echo=print)
            line.ingest()
            line.score()
            line.monitor()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance as it is now."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with dg.DagsterInstance.from_config(str(self.home.folder / "dagster")) as found:
                yield found

    def start(self) -> None:
        """Start the daemon."""
        command = (sys.executable, "-m", "dagster._daemon", "run", "--workspace")
        workspace = str(self.home.folder / "workspace.yaml")
        processes.start_detached((*command, workspace), name=DAEMON, home=self.home.folder, env=self.environment)

    def stop(self) -> None:
        """Stop the daemon, the usual way."""
        processes.stop(DAEMON, home=self.home.folder)

    def kill(self) -> None:
        """End the daemon and all it started (code servers, runs) at once and without a word, as a power cut would."""
        found = processes.status(DAEMON, home=self.home.folder)
        assert found.pid is not None
        daemon = psutil.Process(found.pid)
        everything = [daemon, *daemon.children(recursive=True)]
        for process in everything:
            process.kill()
        psutil.wait_procs(everything)

    def runs(self) -> list[dg.DagsterRun]:
        """All runs, the oldest first."""
        with self.instance() as instance:
            return instance.get_runs(ascending=True)
