"""Real models of the toy use case, and real servers of it on free ports."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PREDICTION_TIME, UseCase
from assets.logic.point_in_time import History
from assets.trainers.base import Rows, TrainingData
from assets.trainers.families import trainer
from resources import processes
from resources.serving.client import Endpoint
from resources.serving.ports import allotted, process_name
from resources.serving.segment_reading import SegmentReader, segments
from tests.support.toy_tasks import FAMILIES, OUTCOMES, label
from tests.support.toy_use_case import FEATURES, TOY, build_features, parcels, storms

TOY_PATH = "tests.support.toy_use_case:TOY"
INPUTS = {"shop": "north", "parcel": 12, "due_at": "2020-02-10T14:00:00Z", "weight_kg": 2.5, "is_express": True}
DATATYPES = {"shop": "BYTES", "parcel": "INT32", "due_at": "BYTES", "weight_kg": "FP64", "is_express": "BOOL"}


def online() -> dict[str, pl.DataFrame]:
    return {"parcels": parcels(), "storms": storms()}


def offline_features(rows: pl.DataFrame, use_case: UseCase = TOY) -> pl.DataFrame:
    """Features as training makes them, without any server."""
    spine = rows.select(*use_case.inputs, use_case.asking.alias(PREDICTION_TIME))
    return build_features(spine, History(online(), use_case.clocks))


def save_model(folder: Path, seed: int = 1, use_case: UseCase = TOY) -> Path:
    """A model fitted on the toy parcels, saved in a new folder; another seed, another model."""
    rows = parcels().filter(pl.col("late_min").is_not_null())
    features, day = offline_features(rows, use_case).select(TOY.feature_names), rows["due_at"].dt.date().to_numpy()
    labels = label(use_case, rows)

    def window(chosen: npt.NDArray[np.bool_]) -> Rows:
        return Rows(features=features.filter(pl.Series(chosen)), label=labels[chosen], day=day[chosen].astype("M8[D]"))

    cut = np.datetime64("2020-02-15")
    data = TrainingData(
        task=use_case.task,
        classes=OUTCOMES if use_case.task == "multiclass" else (),
        features=FEATURES,
        train=window(day < cut),
        validation=window(day >= cut),
        seed=seed,
    )
    family = FAMILIES[use_case.task]
    parameters = {"iterations": 20 + seed, "depth": 3} if family == "catboost" else {}
    folder.mkdir(parents=True)
    trainer(family).fit(data, parameters, lambda _: None).model.save(folder)
    return folder


@dataclass(frozen=True)
class Reply:
    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.content)


def call(url: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
    """One request; a body that is not bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {}))
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=60) as answer:
            return Reply(answer.status, answer.read(), dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), dict(error.headers))


def tensors(values: dict[str, Any] | None = None, **changed: object) -> dict[str, Any]:
    """An inference request of one row; a value given by name is changed, `...` leaves the field out."""
    row = {**(INPUTS if values is None else values), **changed}
    return {
        "inputs": [
            {"name": n, "shape": [1], "datatype": DATATYPES.get(n, "FP64"), "data": [v]}
            for n, v in row.items()
            if v is not ...
        ]
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    first = free_port()
    while not all(processes.port_is_free(first + n) for n in range(count)):
        first = free_port()
    return first


@contextmanager
def endpoint_in(home: Path, use_cases: int = 1) -> Iterator[Endpoint]:
    """Endpoints with their state under `home`; whatever was started is ended afterwards."""
    try:
        yield Endpoint(port=free_ports(use_cases), state_root=str(home / "serving"), home=str(home))
    finally:
        for use_case in allotted(home):
            processes.stop(process_name(use_case), home=home)


def logged(endpoint: Endpoint, use_case: str) -> list[dict[str, Any]]:
    """All whole records of a use case's prediction log, by segment."""
    found = segments(Path(endpoint.state_root) / use_case / "log")
    return [json.loads(record) for path in found for record in SegmentReader(path).records()]


def wait_for_logged(endpoint: Endpoint, use_case: str, prediction_id: str) -> list[dict[str, Any]]:
    """The records of one answer, as soon as there are any."""
    for _ in range(200):
        if found := [r for r in logged(endpoint, use_case) if r["prediction_id"] == prediction_id]:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{prediction_id} is not in the log")


@contextmanager
def toy_endpoint(home: Path, model: Path | None = None, path: str = TOY_PATH) -> Iterator[Endpoint]:
    """The server of the toy use case, with its state under `home`; with a model, that is live as version 3."""
    with endpoint_in(home) as endpoint:
        endpoint.ensure_running("parcels", path)
        if model is not None:
            endpoint.deploy("parcels", 3, model, online())
        yield endpoint


def server_root(endpoint: Endpoint) -> str:
    return endpoint.root("parcels")
