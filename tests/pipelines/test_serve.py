"""The endpoint as a process: real servers on free ports, asked over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.trainers.families import load_model
from pipelines.served import load_service
from resources.errors import EndpointError
from resources.serving.client import Endpoint
from tests.support.serving import (
    INPUTS,
    TOY_PATH,
    Reply,
    call,
    offline_features,
    online,
    save_model,
    server_root,
    tensors,
    toy_endpoint,
    wait_for_logged,
)
from tests.support.toy_use_case import CURSED, TOY, parcels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("registry") / "3")


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server with version 3 live, for tests that only ask."""
    with toy_endpoint(tmp_path_factory.mktemp("live"), model) as endpoint:
        yield endpoint


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    """A server without a version, for one test alone."""
    with toy_endpoint(tmp_path) as endpoint:
        yield endpoint


def infer(endpoint: Endpoint, body: object = None, headers: dict[str, str] | None = None) -> Reply:
    return call(f"{endpoint.url('parcels')}/infer", tensors() if body is None else body, headers)


def test_a_row_of_inputs_scores_as_offline(live: Endpoint, model: Path) -> None:
    rows = parcels().tail(300)
    offline = load_model(model).predict(offline_features(rows))
    np.testing.assert_allclose(live.predict("parcels", rows.select(TOY.inputs)), offline, rtol=0, atol=1e-9)


def test_a_full_feature_row_scores_as_offline(live: Endpoint, model: Path) -> None:
    features = offline_features(parcels().tail(300)).select(TOY.feature_names)
    offline = load_model(model).predict(features)
    np.testing.assert_allclose(live.predict("parcels", features), offline, rtol=0, atol=1e-9)


def test_one_row_alone_scores_as_among_many(live: Endpoint) -> None:
    rows = parcels().tail(20).select(TOY.inputs)
    alone = [live.predict("parcels", rows[i])[0] for i in range(len(rows))]
    np.testing.assert_allclose(alone, live.predict("parcels", rows), rtol=0, atol=1e-12)


def test_an_answer_names_model_version_and_prediction(live: Endpoint) -> None:
    answer = infer(live).json
    assert answer["model_name"] == "parcels"
    assert answer["model_version"] == "3"
    assert answer["id"] == answer["parameters"]["prediction_id"]
    assert [(o["name"], o["datatype"], o["shape"]) for o in answer["outputs"]] == [("probability", "FP64", [1])]
    assert 0 < answer["outputs"][0]["data"][0] < 1


def test_an_answer_carries_the_id_of_its_request(live: Endpoint) -> None:
    answer = infer(live, tensors() | {"id": "mine"}).json
    assert answer["id"] == "mine"
    assert answer["parameters"]["prediction_id"] != "mine"


def test_an_answer_tells_the_prediction_time(live: Endpoint) -> None:
    answer = infer(live, tensors(due_at="2020-02-10T16:00:00+02:00")).json
    assert answer["parameters"]["prediction_time"] == "2020-02-10T13:00:00Z"


def test_everything_known_means_nothing_missing(live: Endpoint) -> None:
    assert infer(live).json["parameters"]["missing_inputs"] == []


def test_unknown_categories_and_absent_optional_inputs_are_answered_and_named(live: Endpoint) -> None:
    answer = infer(live, tensors(shop="nowhere", weight_kg=..., is_express=None)).json
    missing = ["weight_kg", "is_express", "weight", "express", "shop_late_min_7d", "wind_kmh"]
    assert answer["parameters"]["missing_inputs"] == missing


def test_an_input_out_of_its_range_is_answered_named_and_counted(live: Endpoint) -> None:
    def counted() -> float:
        lines = call(f"{server_root(live)}/metrics").content.decode().splitlines()
        found = [line for line in lines if line.startswith('throughline_unusual_inputs_total{input="weight_kg"}')]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    before, answer = counted(), infer(live, tensors(weight_kg=1_001.0)).json
    assert answer["parameters"]["unusual_inputs"] == ["weight_kg"]
    assert counted() == before + 1
    assert "unusual_inputs" not in infer(live).json["parameters"]


def test_an_input_out_of_a_range_that_is_to_be_kept_is_refused(live: Endpoint) -> None:
    refused = infer(live, tensors(parcel=-1))
    assert (refused.status, refused.json["field"]) == (400, "parcel")


ONE_ROW = {k: v for k, v in INPUTS.items() if k != "weight_kg"}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": [*ONE_ROW], "data": [[*ONE_ROW.values()]]}},
        {"dataframe_split": {"index": [0], "columns": [*ONE_ROW], "data": [[*ONE_ROW.values()]]}},
        {"dataframe_records": [ONE_ROW]},
        {"inputs": {name: [value] for name, value in ONE_ROW.items()}},
    ],
    ids=["split", "split with index", "records", "inputs"],
)
def test_mlflow_formats_are_answered_alike(live: Endpoint, body: object) -> None:
    expected = infer(live, tensors(weight_kg=...)).json["outputs"][0]["data"]
    assert call(f"{server_root(live)}/invocations", body).json == {"predictions": expected}


def named(name: str, **changed: object) -> dict[str, Any]:
    """The usual request with one tensor changed."""
    request = tensors()
    request["inputs"] = [t | changed if t["name"] == name else t for t in request["inputs"]]
    return request


REFUSED: dict[str, tuple[object, str | None]] = {
    "no zone": (tensors(due_at="2020-02-10T14:00:00"), "due_at"),
    "no time": (tensors(due_at="tomorrow"), "due_at"),
    "number for a time": (tensors(due_at=1581343200), "due_at"),
    "time beyond calendars": (tensors(due_at="9999-12-31T23:59:59Z"), "due_at"),
    "time that overflows": (tensors(due_at="0001-01-01T00:00:00+23:59"), "due_at"),
    "required input missing": (tensors(shop=...), "shop"),
    "required input null": (tensors(shop=None), "shop"),
    "number for text": (tensors(shop=5), "shop"),
    "text too long": (tensors(shop="x" * 1001), "shop"),
    "text for a number": (tensors(weight_kg="heavy"), "weight_kg"),
    "true for a number": (tensors(weight_kg=True), "weight_kg"),
    "huge number": (tensors(weight_kg=1e300), "weight_kg"),
    "fraction for a whole number": (tensors(parcel=1.5), "parcel"),
    "whole number out of range": (tensors(parcel=2**31), "parcel"),
    "number for a boolean": (tensors(is_express=1), "is_express"),
    "unknown field": (tensors(colour="red"), "colour"),
    "mixture": (tensors(due_hour=14.0), "due_hour"),
    "feature missing": (tensors({"due_hour": 14.0, "shop": "north"}), "weight"),
    "wrong datatype": (named("parcel", datatype="FP64"), "parcel"),
    "wrong shape": (named("shop", shape=[2]), "shop"),
    "shape is text": (named("shop", shape="1"), "shop"),
    "no data": (named("shop", data=None), "shop"),
    "nested data": (named("shop", data=[[["north"]]]), "shop"),
    "lengths differ": (named("shop", data=["north", "south"], shape=[2]), "parcel"),
    "no rows": (named("shop", data=[], shape=[0]), "parcel"),
    "tensor twice": ({"inputs": tensors()["inputs"] * 2}, "shop"),
    "tensor without name": ({"inputs": [{"shape": [1], "datatype": "BYTES", "data": ["x"]}]}, "inputs"),
    "tensors are an object": ({"inputs": {"shop": ["north"]}}, "inputs"),
    "no tensors": ({"inputs": []}, "inputs"),
    "unknown key": (tensors() | {"explain": True}, "explain"),
    "unknown output": (tensors() | {"outputs": [{"name": "score"}]}, "outputs"),
    "unknown parameter": (tensors() | {"parameters": {"explain": True}}, "parameters"),
    "purpose is a list": (tensors() | {"parameters": {"purpose": []}}, "purpose"),
    "id is a number": (tensors() | {"id": 5}, "id"),
    "a list": ([1, 2], None),
    "not JSON": (b"{", None),
    "nothing": (b"", None),
    "NaN": (json.dumps(tensors(weight_kg=float("nan"))).encode(), None),
    "Infinity": (json.dumps(tensors(weight_kg=float("inf"))).encode(), None),
    "1e400": (json.dumps(tensors(weight_kg=123.25)).replace("123.25", "1e400").encode(), None),
    "deep nesting": (b"[" * 100_000, None),
    "not UTF-8": (b'{"inputs": "\xff"}', None),
    "half a surrogate": (json.dumps(tensors(shop="\ud800")).encode(), None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_inference_request_is_refused_naming_the_field(live: Endpoint, case: str) -> None:
    body, field = REFUSED[case]
    reply = infer(live, body)
    assert (reply.status, reply.json.get("field")) == (400, field), reply.content
    assert "Traceback" not in reply.json["error"]


REFUSED_MLFLOW: dict[str, tuple[object, str | None]] = {
    "two forms": ({"inputs": {}, "dataframe_records": []}, None),
    "no form": ({}, None),
    "unknown form": ({"instances": []}, None),
    "split without columns": ({"dataframe_split": {"data": [[1]]}}, "columns"),
    "split with a short row": ({"dataframe_split": {"columns": ["shop", "parcel"], "data": [["north"]]}}, "data"),
    "split with a column twice": ({"dataframe_split": {"columns": ["shop", "shop"], "data": []}}, "columns"),
    "split with more": ({"dataframe_split": {"columns": [], "data": [], "dtype": {}}}, "dataframe_split"),
    "records of lists": ({"dataframe_records": [[1]]}, "dataframe_records"),
    "records with an unknown name": ({"dataframe_records": [INPUTS, {"colour": "red"}]}, "colour"),
    "records with a hole": ({"dataframe_records": [INPUTS, {"shop": "north"}]}, "parcel"),
    "no records": ({"dataframe_records": []}, None),
    "inputs of scalars": ({"inputs": INPUTS}, "inputs"),
    "inputs of two lengths": ({"inputs": {"shop": ["north"], "parcel": [1, 2]}}, "parcel"),
}


@pytest.mark.parametrize("case", REFUSED_MLFLOW)
def test_a_malformed_mlflow_request_is_refused_naming_the_field(live: Endpoint, case: str) -> None:
    body, field = REFUSED_MLFLOW[case]
    reply = call(f"{server_root(live)}/invocations", body)
    assert (reply.status, reply.json.get("field")) == (400, field), reply.content


def test_the_row_of_a_wrong_value_is_told(live: Endpoint) -> None:
    reply = call(f"{server_root(live)}/invocations", {"dataframe_records": [INPUTS, INPUTS | {"parcel": "x"}]})
    assert reply.json["error"] == "'parcel' is 'x' in row 1: send a whole number from -2147483648 to 2147483647"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_content_type_is_refused(live: Endpoint, kind: str) -> None:
    reply = infer(live, headers={"Content-Type": kind})
    assert (reply.status, reply.json["field"]) == (415, "content-type")


def test_a_charset_beside_the_content_type_is_fine(live: Endpoint) -> None:
    assert infer(live, headers={"Content-Type": "application/json; charset=utf-8"}).status == 200


def test_a_compressed_body_is_refused(live: Endpoint) -> None:
    assert infer(live, headers={"Content-Encoding": "gzip"}).status == 415


def test_ten_megabytes_are_refused(live: Endpoint) -> None:
    reply = infer(live, b"[" + b"1," * 5_000_000 + b"1]")
    assert (reply.status, "larger than" in reply.json["error"]) == (413, True)


def test_too_many_rows_are_refused(live: Endpoint) -> None:
    reply = call(f"{server_root(live)}/invocations", {"inputs": {n: [v] * 1001 for n, v in INPUTS.items()}})
    assert (reply.status, "at most 1000" in reply.json["error"]) == (413, True)


def test_an_unknown_path_is_answered_in_json(live: Endpoint) -> None:
    reply = call(f"{server_root(live)}/v2/models/others/infer", {})
    assert reply.status == 404
    assert "serves the model 'parcels'" in reply.json["error"]


def test_a_wrong_method_is_answered_in_json(live: Endpoint) -> None:
    assert call(f"{live.url('parcels')}/infer").status == 405
    assert "error" in call(f"{live.url('parcels')}/infer").json


def test_a_defect_is_answered_with_an_id_that_the_log_explains(live: Endpoint) -> None:
    reply = infer(live, tensors(shop=CURSED), headers={"X-Request-Id": "find-me"})
    assert (reply.status, reply.json["request_id"], reply.headers["x-request-id"]) == (500, "find-me", "find-me")
    assert "defect in the features" not in reply.json["error"]
    logged = [json.loads(line) for line in (Path(live.home) / "logs" / "endpoint-parcels.log").read_text().splitlines()]
    told = [line for line in logged if line.get("request_id") == "find-me"]
    assert "LookupError: a defect in the features" in told[0]["traceback"]


def test_metadata_describes_what_is_asked_and_what_is_live(live: Endpoint) -> None:
    described = call(live.url("parcels")).json
    assert (described["state"], described["versions"], described["live"]["family"]) == ("ready", ["3"], "catboost")
    assert {t["name"]: t["datatype"] for t in described["inputs"]} == {
        "shop": "BYTES",
        "parcel": "INT32",
        "due_at": "BYTES",
        "weight_kg": "FP64",
        "is_express": "BOOL",
    }
    assert [t["name"] for t in described["inputs"] if t["parameters"]["required"]] == ["shop", "parcel", "due_at"]
    assert [t["name"] for t in described["features"]] == TOY.feature_names


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/parcels/ready", "/docs"])
def test_the_state_routes_answer(live: Endpoint, path: str) -> None:
    assert call(f"{server_root(live)}{path}").status == 200


def test_the_examples_of_the_documentation_are_answered(live: Endpoint) -> None:
    paths = call(f"{server_root(live)}/openapi.json").json["paths"]
    for path in ("/v2/models/parcels/infer", "/invocations"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert call(f"{server_root(live)}{path}", content["example"]).status == 200, path


def test_metrics_count_requests_rows_and_errors(live: Endpoint) -> None:
    def metric(name: str) -> float:
        lines = call(f"{server_root(live)}/metrics").content.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    names = {
        'throughline_requests_total{route="/v2/models/parcels/infer",status="200"}': 1,
        'throughline_requests_total{route="/v2/models/parcels/infer",status="400"}': 1,
        'throughline_requests_total{route="/v2/models/parcels/infer",status="500"}': 1,
        'throughline_requests_total{route="other",status="404"}': 1,
        'throughline_request_latency_seconds_count{route="/v2/models/parcels/infer"}': 3,
        "throughline_request_errors_total": 1,
        'throughline_rows_total{mode="live",version="3"}': 1,
        'throughline_live_version{family="catboost",use_case="parcels",version="3"}': 0,
    }
    before = {name: metric(name) for name in names}
    for body in (tensors(), b"{", tensors(shop=CURSED)):
        infer(live, body)
    call(f"{server_root(live)}/nothing/{time.time()}")
    assert {name: metric(name) - before[name] for name in names} == names
    assert before['throughline_live_version{family="catboost",use_case="parcels",version="3"}'] == 1


def test_every_answer_is_logged_with_what_led_to_it(live: Endpoint) -> None:
    answer = infer(live, tensors() | {"parameters": {"purpose": "rehearsal"}}).json
    found = wait_for_logged(live, "parcels", answer["id"])
    assert len(found) == 1
    assert found[0]["inputs"] == INPUTS | {"due_at": "2020-02-10T14:00:00Z"}
    assert (found[0]["version"], found[0]["score"]) == (3, answer["outputs"][0]["data"][0])
    assert found[0]["purpose"] == "rehearsal"
    assert [*found[0]["features"]] == TOY.feature_names
    assert found[0]["latency_ms"] > 0


def test_the_latency_is_measured(live: Endpoint) -> None:
    measured = live.latency("parcels", parcels().tail(5).select(TOY.inputs), calls=20)
    assert 0 < measured.median_ms <= measured.p99_ms
    assert measured.calls == 20


def test_without_a_version_the_server_is_live_and_not_ready(own: Endpoint) -> None:
    root = server_root(own)
    assert call(f"{root}/v2/health/live").status == 200
    for reply in (call(f"{root}/v2/health/ready"), call(f"{own.url('parcels')}/ready"), infer(own)):
        assert (reply.status, reply.json["error"]) == (503, "no version of 'parcels' is live: it is waiting")
    assert own.live_version("parcels") is None


def test_a_version_is_swapped_without_a_failed_request(own: Endpoint, model: Path, tmp_path: Path) -> None:
    own.deploy("parcels", 3, model, online())
    seen: list[tuple[int, str | None]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            reply = infer(own)
            seen.append((reply.status, reply.json.get("model_version")))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        own.deploy("parcels", 4, save_model(tmp_path / "4", seed=2), online())
        after = infer(own).json["model_version"]
    finally:
        done.set()
        for asker in askers:
            asker.join()
    assert set(seen) == {(200, "3"), (200, "4")}
    assert after == "4"


def spoilt(model: Path, folder: Path, **changed: object) -> Path:
    """The model with a changed description."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(description | changed), encoding="utf-8")
    return folder


def test_a_version_that_fails_to_load_leaves_the_live_one(own: Endpoint, model: Path, tmp_path: Path) -> None:
    own.deploy("parcels", 3, model, online())
    with pytest.raises(EndpointError, match=r"version 4 did not go live: .*no model family 'tarot'"):
        own.deploy("parcels", 4, spoilt(model, tmp_path / "4", family="tarot"), online())
    assert own.live_version("parcels") == 3
    assert infer(own).json["model_version"] == "3"
    assert json.loads((Path(own.state_root) / "parcels" / "target.json").read_text())["number"] == 3


def test_a_version_without_usable_scores_does_not_go_live(own: Endpoint, model: Path, tmp_path: Path) -> None:
    nonsense = spoilt(model, tmp_path / "5", calibrator={"slope": float("nan"), "intercept": 0.0})
    with pytest.raises(EndpointError, match=r"version 5 did not go live: .*not every score is a number"):
        own.deploy("parcels", 5, nonsense, online())
    described = call(own.url("parcels")).json
    assert (described["live"], described["failure"]["version"]) == (None, 5)


def test_history_that_the_features_need_is_missed_before_going_live(own: Endpoint, model: Path) -> None:
    with pytest.raises(EndpointError, match=r"version 3 did not go live: .*no snapshot of 'parcels'"):
        own.deploy("parcels", 3, model, {"storms": online()["storms"]})


def test_history_that_is_optional_may_be_absent(own: Endpoint, model: Path) -> None:
    own.deploy("parcels", 3, model, {"parcels": online()["parcels"]})
    assert infer(own).json["parameters"]["missing_inputs"] == ["wind_kmh"]


def test_a_killed_server_comes_back_from_its_files_alone(own: Endpoint, model: Path) -> None:
    own.deploy("parcels", 3, model, online())
    before = infer(own).json["outputs"]
    pid = call(own.url("parcels")).json["server"]["pid"]
    os.kill(pid, signal.SIGKILL)
    own.ensure_running("parcels", TOY_PATH)
    for _ in range(400):
        if (ready := call(f"{server_root(own)}/v2/health/ready").status) == 200:
            break
        time.sleep(0.05)
    assert ready == 200
    assert call(own.url("parcels")).json["server"]["pid"] != pid
    assert infer(own).json["outputs"] == before


def test_a_second_server_on_the_port_says_so(live: Endpoint, tmp_path: Path) -> None:
    ended = serve("--use-case", TOY_PATH, "--state", str(tmp_path), "--port", str(live.port))
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {live.port}" in ended.stderr
    assert "THROUGHLINE_ENDPOINT_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_other_machines_are_answered_only_if_that_is_meant(tmp_path: Path) -> None:
    ended = serve("--use-case", TOY_PATH, "--state", str(tmp_path), "--host", "0.0.0.0", "--port", "0")  # noqa: S104  # refused
    assert (ended.returncode, "say --allow-remote" in ended.stderr) == (1, True)


@pytest.mark.parametrize(
    "path", ["no.such.module:TOY", TOY_PATH.replace("TOY", "NOTHING"), TOY_PATH.removesuffix(":TOY")]
)
def test_a_use_case_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(EndpointError, match=f"--use-case {path}"):
        load_service(path)


def test_the_process_loads_neither_dagster_nor_mlflow_nor_the_lake() -> None:
    code = (
        f"import sys, pipelines.serve, resources.serving.server; pipelines.served.load_service({TOY_PATH!r})\n"
        "import assets.trainers.catboost, assets.trainers.logistic_regression, assets.trainers.neural_network\n"
        "print(sorted({'dagster', 'mlflow', 'deltalake'} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_rows_of_a_large_table_go_in_several_requests(live: Endpoint, model: Path) -> None:
    features = pl.concat([offline_features(parcels()).select(TOY.feature_names)] * 2)
    assert len(live.predict("parcels", features)) == 6000
