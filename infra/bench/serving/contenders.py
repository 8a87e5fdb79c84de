"""The servers that are compared: how each is started, asked and understood.

Belongs here: what differs between them. Does not belong here: what they have in common (`running.py`), and their own
code (`peers/`).
"""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.trainers.catboost import WEIGHTS_FILE
from infra.bench.bench import free_port
from infra.bench.children import ROOT
from infra.bench.serving.environments import PEERS, environment, run_in
from infra.bench.serving.use_case import KINDS, NUMBERS, ORDERS, PATH, tables
from resources.serving.answers import scores_of
from resources.serving.calls import bodies
from resources.serving.client import Endpoint

Echo = Callable[[str], None]
Env = Mapping[str, str]

OURS: Final = "throughline"
TITLES: Final = {
    OURS: "Throughline, everything on",
    "bare": "FastAPI, only predicts",
    "litserve": "LitServe, batches of up to 16",
    "bentoml": "BentoML, adaptive batching",
    "mlflow": "mlflow models serve",
}
"""In the order of the table."""
KNOWN_ORDERS: Final = 1_000
"""Rows of the tables that our endpoint looks into."""
PLAIN: Final = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
"""For all: one row gains nothing from many threads; and no peer may find our packages."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One server as the bench sees it.

    Attributes:
        name: A key of `TITLES`.
        command: Program and arguments; it listens on loopback at `port`.
        env: What its environment needs besides ours.
        path: Where one row is asked.
        health: What answers 200 once rows can be asked, or, for ours, given a model.
        body: The JSON that asks one row, from its values by feature.
        probability: What it answers, from its JSON.
        settle: What is left to do once it is healthy.
        calibrated: Whether it answers with the saved model's calibration; the peers know only the trees.
    """

    name: str
    port: int
    command: tuple[str, ...]
    env: Env
    path: str
    health: str
    body: Callable[[Mapping[str, Any]], bytes]
    probability: Callable[[Any], float]
    settle: Callable[[], None] = lambda: None
    calibrated: bool = False


@dataclass(frozen=True, kw_only=True)
class Makers:
    """Makes contenders, on files that all of them share.

    Attributes:
        room: Throw-away folder of the bench.
        model: Folder of the saved model.
        environments: Where the peers' environments are kept.
        serve_arguments: Further arguments of `pipelines.serve`.
        echo: Where progress is told.
    """

    room: Path
    model: Path
    environments: Path
    serve_arguments: tuple[str, ...] = ()
    echo: Echo = field(default=lambda _: None)

    @property
    def state(self) -> Path:
        """What our endpoint serves, and what it keeps of its answers."""
        return self.room / "serving" / ORDERS.name

    def build(self, names: Sequence[str]) -> None:
        """Have the environments of these contenders, before any of them runs."""
        for name in names:
            if name != OURS:
                self._programs(name)

    def make(self, name: str) -> Contender:
        """The contender of that name, on a free port."""
        makers = {
            OURS: self._ours,
            "bare": self._bare,
            "litserve": self._litserve,
            "bentoml": self._bentoml,
            "mlflow": self._mlflow,
        }
        return makers[name](free_port())

    def _ours(self, port: int) -> Contender:
        endpoint = Endpoint(port=port, state_root=str(self.state.parent), home=str(self.room))
        where = ["--use-case", PATH, "--state", str(self.state), "--host", endpoint.host]
        listen = ["--port", str(endpoint.port_of(ORDERS.name)), *self.serve_arguments]
        return Contender(
            name=OURS,
            port=port,
            command=(sys.executable, "-m", "pipelines.serve", *where, *listen),
            env={**PLAIN, "PYTHONPATH": str(ROOT), "THROUGHLINE_HOME": str(self.room)},
            path=f"/v2/models/{ORDERS.name}/infer",
            health="/v2/health/live",
            body=lambda row: next(bodies(pl.DataFrame([row], schema_overrides=SCHEMA))),
            probability=lambda answer: float(scores_of(answer["outputs"])[0]),
            settle=lambda: _deploy(endpoint, self.model),
            calibrated=True,
        )

    def _bare(self, port: int) -> Contender:
        programs = self._programs("bare")
        listen = ["--host", "127.0.0.1", "--port", str(port)]
        return Contender(
            name="bare",
            port=port,
            command=(str(programs / "uvicorn"), "bare_app:app", "--app-dir", str(PEERS), *listen, "--no-access-log"),
            env=self._env(programs),
            path="/predict",
            health="/openapi.json",
            body=_json,
            probability=lambda answer: float(answer["probability"]),
        )

    def _litserve(self, port: int) -> Contender:
        programs = self._programs("litserve")
        return Contender(
            name="litserve",
            port=port,
            command=(str(programs / "python"), str(PEERS / "litserve_app.py"), str(port)),
            env=self._env(programs),
            path="/predict",
            health="/health",
            body=_json,
            probability=lambda answer: float(answer["probability"]),
        )

    def _bentoml(self, port: int) -> Contender:
        programs = self._programs("bentoml")
        listen = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(PEERS)]
        own = {"BENTOML_HOME": str(self.room / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
        return Contender(
            name="bentoml",
            port=port,
            command=(str(programs / "bentoml"), "serve", "bentoml_service:Orders", *listen),
            env={**self._env(programs), **own},
            path="/predict",
            health="/readyz",
            body=lambda row: _json({"rows": [row]}),
            probability=lambda answer: float(answer[0]),
        )

    def _mlflow(self, port: int) -> Contender:
        programs, folder = self._programs("mlflow"), self.room / "mlflow-model"
        env = {**self._env(programs), "MLFLOW_DISABLE_TELEMETRY": "true"}
        run_in(programs, [str(PEERS / "mlflow_model.py"), str(folder)], env, "mlflow")
        where = ["--model-uri", str(folder), "--env-manager", "local", "--workers", "1"]
        return Contender(
            name="mlflow",
            port=port,
            command=(str(programs / "mlflow"), "models", "serve", *where, "--host", "127.0.0.1", "--port", str(port)),
            env=env,
            path="/invocations",
            health="/ping",
            body=lambda row: _json({"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}}),
            # MLflow asks the trees for what they add up to, which are log odds.
            probability=lambda answer: 1 / (1 + math.exp(-float(answer["predictions"][0]))),
        )

    def _programs(self, name: str) -> Path:
        return environment(name, self.environments, self.echo)

    def _env(self, programs: Path) -> dict[str, str]:
        own = {"BENCH_MODEL": str(self.model / WEIGHTS_FILE), "PATH": f"{programs}:{os.environ['PATH']}"}
        return {**PLAIN, **own}


SCHEMA: Final = {**dict.fromkeys(NUMBERS, pl.Float64()), **dict.fromkeys(KINDS, pl.String())}


def _deploy(endpoint: Endpoint, model: Path) -> None:
    endpoint.deploy(ORDERS.name, 1, model, tables(KNOWN_ORDERS))


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
