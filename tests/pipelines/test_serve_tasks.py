"""Endpoints of every task beside each other in one state folder: real servers, real models, asked over HTTP."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from assets.trainers.families import load_model
from resources.errors import EndpointError
from resources.serving.client import Endpoint
from resources.serving.ports import allotted
from tests.support.serving import (
    INPUTS,
    call,
    endpoint_in,
    offline_features,
    online,
    save_model,
    tensors,
    wait_for_logged,
)
from tests.support.toy_tasks import LOST_MINUTES, MINUTES, OUTCOME, OUTCOMES, TASKS, path
from tests.support.toy_use_case import TOY, parcels

NAMES = list(TASKS)
KNOWN = [*OUTCOMES, "(other)"]
ROWS = parcels().tail(120)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("registry")
    return {name: save_model(room / name, use_case=use_case) for name, use_case in TASKS.items()}


@pytest.fixture(scope="module")
def live(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One server per task, each with version 1 live."""
    with endpoint_in(tmp_path_factory.mktemp("live"), len(TASKS)) as endpoint:
        for name, use_case in TASKS.items():
            endpoint.ensure_running(name, path(use_case))
            endpoint.deploy(name, 1, models[name], online())
        yield endpoint


def infer(endpoint: Endpoint, name: str, **changed: object) -> dict[str, Any]:
    reply = call(f"{endpoint.url(name)}/infer", tensors() | changed)
    assert reply.status == 200, reply.content
    answer: dict[str, Any] = reply.json
    return answer


def pid(endpoint: Endpoint, name: str) -> int:
    return int(call(endpoint.url(name)).json["server"]["pid"])


def offline(models: dict[str, Path], name: str) -> npt.NDArray[np.float64]:
    return load_model(models[name]).predict(offline_features(ROWS, TASKS[name]))


@pytest.mark.parametrize("kind", ["inputs", "features"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_answered_as_offline_in_the_shape_of_the_model(
    live: Endpoint, models: dict[str, Path], name: str, kind: str
) -> None:
    features = offline_features(ROWS, TASKS[name]).select(TOY.feature_names)
    expected = offline(models, name)
    asked = live.predict(name, ROWS.select(TOY.inputs) if kind == "inputs" else features)
    assert asked.shape == expected.shape == (len(ROWS), len(live_outputs(live, name)))
    np.testing.assert_allclose(asked, expected, rtol=1e-9, atol=1e-9)


def live_outputs(endpoint: Endpoint, name: str) -> list[str]:
    if name == OUTCOME.name:
        return list(call(endpoint.url(name)).json["outputs"][0]["parameters"]["classes"])
    return [output["name"] for output in call(endpoint.url(name)).json["outputs"]]


@pytest.mark.parametrize("name", NAMES)
def test_one_row_alone_is_answered_as_among_many(live: Endpoint, name: str) -> None:
    rows = ROWS.select(TOY.inputs)
    alone = np.concatenate([live.predict(name, rows[i]) for i in range(5)])
    np.testing.assert_allclose(alone, live.predict(name, rows)[:5], rtol=1e-9, atol=1e-12)


def test_classes_are_answered_with_their_probabilities_and_the_most_likely(live: Endpoint) -> None:
    probability, best = infer(live, OUTCOME.name)["outputs"]
    assert probability["parameters"]["classes"] == KNOWN
    assert (probability["shape"], sum(probability["data"])) == ([1, 4], pytest.approx(1))
    assert best["data"] == [KNOWN[int(np.argmax(probability["data"]))]]


@pytest.mark.parametrize("name", [MINUTES.name, LOST_MINUTES.name])
def test_a_quantity_is_answered_inside_its_interval(live: Endpoint, name: str) -> None:
    said = {t["name"]: t["data"][0] for t in infer(live, name)["outputs"]}
    assert said["lower"] <= said["prediction"] <= said["upper"]
    assert said["lower"] < said["upper"]


def test_only_the_outputs_that_are_asked_for_are_answered(live: Endpoint) -> None:
    assert [t["name"] for t in infer(live, OUTCOME.name, outputs=[{"name": "class"}])["outputs"]] == ["class"]


def test_an_output_of_another_task_is_refused_naming_those_there_are(live: Endpoint) -> None:
    reply = call(f"{live.url(MINUTES.name)}/infer", tensors() | {"outputs": [{"name": "probability"}]})
    assert (reply.status, reply.json["field"]) == (400, "outputs")
    assert "upper" in reply.json["error"]


def test_the_mlflow_formats_are_answered_with_an_object_per_row(live: Endpoint) -> None:
    asked = {"dataframe_records": [INPUTS, INPUTS]}
    classes = call(f"{live.root(OUTCOME.name)}/invocations", asked).json["predictions"]
    assert [set(row["probability"]) for row in classes] == [set(KNOWN)] * 2
    assert classes[0]["class"] == max(classes[0]["probability"], key=classes[0]["probability"].get)
    quantities = call(f"{live.root(MINUTES.name)}/invocations", asked).json["predictions"]
    assert [set(row) for row in quantities] == [{"prediction", "lower", "upper"}] * 2


@pytest.mark.parametrize("name", NAMES)
def test_the_log_keeps_every_output(live: Endpoint, name: str) -> None:
    answer = infer(live, name)
    if name == OUTCOME.name:
        expected = dict(zip(KNOWN, answer["outputs"][0]["data"], strict=True))
    else:
        expected = {t["name"]: t["data"][0] for t in answer["outputs"]}
    found = wait_for_logged(live, name, answer["id"])
    assert found[0]["score"] == expected


def test_when_the_question_is_asked_may_differ_by_row(live: Endpoint) -> None:
    rows = [INPUTS, INPUTS | {"is_express": False}]
    asked = {n: [row[n] for row in rows] for n in INPUTS}
    body = tensors()
    body["inputs"] = [t | {"shape": [2], "data": asked[t["name"]]} for t in body["inputs"]]
    reply = call(f"{live.url(MINUTES.name)}/infer", body)
    assert reply.json["parameters"]["prediction_time"] == ["2020-02-10T13:00:00Z", "2020-02-10T11:00:00Z"]


@pytest.mark.parametrize("name", NAMES)
def test_metadata_and_documentation_say_what_is_answered(live: Endpoint, name: str) -> None:
    described, answered = call(live.url(name)).json, infer(live, name)["outputs"]
    assert described["task"] == TASKS[name].task
    assert [(t["name"], t["datatype"]) for t in described["outputs"]] == [(t["name"], t["datatype"]) for t in answered]
    routes = call(f"{live.root(name)}/openapi.json").json["paths"]
    said = {
        p: routes[p]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        for p in routes
        if "post" in routes[p]
    }
    tensor = said[f"/v2/models/{name}/infer"]["properties"]["outputs"]["items"]["properties"]
    explained = call(f"{live.url(name)}/infer?explain=true", tensors()).json["outputs"]
    assert tensor["name"]["enum"] == [t["name"] for t in explained]
    row = said["/invocations"]["properties"]["predictions"]["items"]
    known = call(f"{live.root(name)}/invocations", {"dataframe_records": [INPUTS]}).json["predictions"][0]
    assert row["required"] == list(row["properties"])
    assert set(row["required"]) == set(known)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_documentation_are_answered(live: Endpoint, name: str) -> None:
    paths = call(f"{live.root(name)}/openapi.json").json["paths"]
    for route in (f"/v2/models/{name}/infer", "/invocations"):
        content = paths[route]["post"]["requestBody"]["content"]["application/json"]
        assert call(f"{live.root(name)}{route}", content["example"]).status == 200, route


def test_a_model_of_another_task_does_not_go_live(live: Endpoint, models: dict[str, Path]) -> None:
    with pytest.raises(EndpointError, match=r"did not go live: .*a model of a count task answers with \('prediction'"):
        live.deploy(LOST_MINUTES.name, 2, models[OUTCOME.name], online())
    assert live.live_version(LOST_MINUTES.name) == 1


def test_every_use_case_has_a_port_a_process_and_a_state_folder_of_its_own(live: Endpoint) -> None:
    assert allotted(Path(live.home)) == NAMES
    assert [live.port_of(name) for name in NAMES] == [live.port, live.port + 1, live.port + 2]
    assert len({pid(live, name) for name in NAMES}) == len(NAMES)
    assert all((Path(live.state_root) / name / "target.json").is_file() for name in NAMES)
    assert all((Path(live.home) / "logs" / f"endpoint-{name}.log").is_file() for name in NAMES)


def test_an_endpoint_that_is_killed_and_comes_back_does_not_disturb_the_others(live: Endpoint) -> None:
    before = {name: pid(live, name) for name in NAMES}
    answered = {name: infer(live, name)["outputs"] for name in NAMES}
    os.kill(before[MINUTES.name], signal.SIGKILL)
    assert infer(live, OUTCOME.name)["outputs"] == answered[OUTCOME.name]
    live.ensure_running(MINUTES.name, path(MINUTES))
    for _ in range(400):
        if call(f"{live.root(MINUTES.name)}/v2/health/ready").status == 200:
            break
        time.sleep(0.05)
    assert {name: infer(live, name)["outputs"] for name in NAMES} == answered
    after = {name: pid(live, name) for name in NAMES}
    assert [name for name in NAMES if after[name] != before[name]] == [MINUTES.name]
