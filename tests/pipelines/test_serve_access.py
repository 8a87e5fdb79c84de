"""Who may ask a real server, and what else it tells: keys, limits, explanations."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assets.trainers.families import load_model
from resources.serving.client import Endpoint
from resources.serving.keys import KeyFile
from tests.support.serving import (
    Reply,
    call,
    offline_features,
    save_model,
    tensors,
    toy_endpoint,
)
from tests.support.toy_use_case import TOY, parcels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("registry") / "3")


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with toy_endpoint(tmp_path_factory.mktemp("live"), model) as endpoint:
        yield endpoint


@pytest.fixture
def keys(live: Endpoint) -> Iterator[KeyFile]:
    """The keys of the server; without a file again afterwards."""
    file = KeyFile(Path(live.state_root) / "parcels")
    yield file
    file.path.unlink(missing_ok=True)
    wait_for(live, 200)


def infer(endpoint: Endpoint, key: str | None = None, query: str = "") -> Reply:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return call(f"{endpoint.url('parcels')}/infer{query}", tensors(), headers)


def wait_for(endpoint: Endpoint, status: int, key: str | None = None) -> Reply:
    for _ in range(200):
        if (reply := infer(endpoint, key)).status == status:
            return reply
        time.sleep(0.05)
    raise AssertionError(f"the server answers {reply.status}, not {status}")


def test_once_there_are_keys_nobody_asks_without_one(live: Endpoint, keys: KeyFile) -> None:
    made = keys.add("billing")
    refused = wait_for(live, 401)
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "x-request-id" in refused.headers
    assert infer(live, "tl_wrong").status == 401
    assert call(live.url("parcels")).status == 401
    assert call(f"{live.root('parcels')}/metrics").status == 401
    assert infer(live, made).status == 200


def test_a_key_is_taken_away_without_a_restart(live: Endpoint, keys: KeyFile) -> None:
    made = keys.add("billing")
    wait_for(live, 200, made)
    keys.remove("billing")
    wait_for(live, 401, made)


def test_health_is_open_to_load_balancers(live: Endpoint, keys: KeyFile) -> None:
    keys.add("billing")
    wait_for(live, 401)
    assert call(f"{live.root('parcels')}/v2/health/ready").status == 200


def test_the_line_goes_on_asking_its_own_server(live: Endpoint, keys: KeyFile) -> None:
    keys.add("billing")
    wait_for(live, 401)
    assert live.live_version("parcels") == 3


def test_a_key_that_asks_too_often_hears_when_to_come_again(live: Endpoint, keys: KeyFile) -> None:
    made = keys.add("billing", requests_per_s=0.1)
    wait_for(live, 401)
    assert infer(live, made).status == 200
    refused = infer(live, made)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 10


def test_a_damaged_file_of_keys_closes_the_endpoint(live: Endpoint, keys: KeyFile) -> None:
    keys.path.write_text("{", encoding="utf-8")
    wait_for(live, 503)


def test_an_explanation_has_the_numbers_of_the_report(live: Endpoint, model: Path) -> None:
    row = parcels().tail(1)
    values = row.select(TOY.inputs).row(0, named=True)
    values["due_at"] = values["due_at"].isoformat()
    reply = call(f"{live.url('parcels')}/infer?explain=true", tensors(values)).json
    explained = reply["outputs"][-1]
    offline = load_model(model).explain(offline_features(row).select(TOY.feature_names))
    assert (explained["name"], explained["shape"]) == ("contribution", [1, len(TOY.feature_names)])
    assert explained["parameters"]["features"] == TOY.feature_names
    np.testing.assert_allclose(explained["data"], offline[0], rtol=0, atol=1e-12)


def test_contributions_and_their_reference_add_up_to_the_raw_score(live: Endpoint, model: Path) -> None:
    row = parcels().tail(1)
    values = row.select(TOY.inputs).row(0, named=True)
    values["due_at"] = values["due_at"].isoformat()
    explained = call(f"{live.url('parcels')}/infer?explain=true", tensors(values)).json["outputs"][-1]
    raw = load_model(model).raw(offline_features(row))  # type: ignore[attr-defined]
    assert sum(explained["data"]) + explained["parameters"]["reference"][0][0] == pytest.approx(raw[0, 0], abs=1e-9)


def test_more_rows_than_may_be_explained_are_refused(live: Endpoint) -> None:
    body = tensors()
    body["inputs"] = [t | {"shape": [21], "data": t["data"] * 21} for t in body["inputs"]]
    reply = call(f"{live.url('parcels')}/infer?explain=true", body)
    assert (reply.status, reply.json["field"]) == (413, "explain")


def test_what_explain_may_be_is_said(live: Endpoint) -> None:
    reply = infer(live, query="?explain=perhaps")
    assert (reply.status, reply.json["field"]) == (400, "explain")
