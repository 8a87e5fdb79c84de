"""Records told to a real server as they happen: seen by the next answer, and after a restart."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.serving.client import Endpoint
from tests.support.serving import (
    TOY_PATH,
    Reply,
    call,
    online,
    save_model,
    tensors,
    toy_endpoint,
    wait_for_logged,
)
from tests.support.waiting import eventually

STORM = {"shop": "east", "seen_at": "2020-02-10T10:00:00Z", "wind_kmh": 88.5}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("registry") / "3")


@pytest.fixture
def live(model: Path, tmp_path: Path) -> Iterator[Endpoint]:
    with toy_endpoint(tmp_path, model) as endpoint:
        yield endpoint


def observe(endpoint: Endpoint, records: object) -> Reply:
    return call(f"{endpoint.url('parcels')}/observations", {"records": records})


def wind(endpoint: Endpoint, shop: str = "east") -> Any:
    """The feature of the storm as the model saw it."""
    answer = call(f"{endpoint.url('parcels')}/infer", tensors(shop=shop)).json
    return wait_for_logged(endpoint, "parcels", answer["id"])[0]["features"]["wind_kmh"]


def test_the_next_answer_knows_what_was_observed(live: Endpoint) -> None:
    assert wind(live) is None
    assert observe(live, {"storms": [STORM]}).json == {"records": 1, "changed": 1}
    assert wind(live) == 88.5


def test_the_same_again_changes_nothing(live: Endpoint) -> None:
    observe(live, {"storms": [STORM]})
    assert observe(live, {"storms": [STORM, STORM]}).json == {"records": 2, "changed": 0}


def test_what_happened_after_the_question_is_asked_for_is_not_seen(live: Endpoint) -> None:
    observe(live, {"storms": [STORM | {"seen_at": "2020-02-10T13:30:00Z"}]})
    assert wind(live) is None


def test_after_a_kill_everything_acknowledged_is_known_again(live: Endpoint) -> None:
    observe(live, {"storms": [STORM]})
    os.kill(call(live.url("parcels")).json["server"]["pid"], signal.SIGKILL)
    assert eventually(lambda: not _answers(live))
    live.ensure_running("parcels", TOY_PATH)
    assert eventually(lambda: call(f"{live.url('parcels')}/ready").status == 200, seconds=60)
    assert wind(live) == 88.5


def test_a_version_that_comes_later_knows_what_was_observed_before(live: Endpoint, tmp_path: Path) -> None:
    observe(live, {"storms": [STORM]})
    live.deploy("parcels", 4, save_model(tmp_path / "4", seed=4), online() | {"storms": online()["storms"].head(50)})
    assert wind(live) == 88.5


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({}, "must be"),
        ({"nothing": [STORM]}, "'nothing' is no table of this model"),
        ({"storms": []}, "holds no records"),
        ({"storms": [STORM, STORM | {"colour": "red"}]}, "storms, record 1: 'colour' is not a field"),
        ({"storms": [{"shop": "east"}]}, "storms, record 0: 'seen_at' is null"),
        ({"storms": [STORM | {"wind_kmh": "much"}]}, "storms, record 0: 'wind_kmh' is 'much'"),
    ],
)
def test_what_is_no_record_is_refused_in_so_many_words(refusing: Endpoint, records: object, words: str) -> None:
    reply = observe(refusing, records)
    assert reply.status == 400
    assert words in reply.json["error"]


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with toy_endpoint(tmp_path_factory.mktemp("refusing")) as endpoint:
        yield endpoint


def _answers(endpoint: Endpoint) -> bool:
    try:
        return call(f"{endpoint.root('parcels')}/v2/health/live").status == 200
    except OSError:
        return False
