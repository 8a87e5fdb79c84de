"""Rollouts in the real server process under load: bad versions are taken back by themselves, good ones take over."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving.client import Endpoint
from resources.serving.guardrails import Guardrails
from resources.serving.states import Plan
from tests.support.callers import Answered, calling
from tests.support.planted import PLANTED_PATH, planted
from tests.support.serving import (
    INPUTS,
    call,
    online,
    save_model,
    tensors,
    toy_endpoint,
)
from tests.support.waiting import eventually

RAILS = Guardrails(step_rows=300, step_seconds=0.0, unnoticed_s=0.0)
CANARY = Plan(mode="canary", steps=(0.25, 0.5, 1.0), guardrails=RAILS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good model, one that is as good, and three bad ones."""
    home = tmp_path_factory.mktemp("registry")
    good = save_model(home / "good")
    return {
        "good": good,
        "as good": changed(good, home / "as_good", intercept=0.01),
        "shifted": changed(good, home / "shifted", intercept=1.0),
        "errors": planted(good, home / "errors", "errors"),
        "slow": planted(good, home / "slow", "slow"),
    }


def changed(model: Path, folder: Path, *, intercept: float) -> Path:
    """The model with its log odds moved."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    description["calibrator"]["intercept"] += intercept
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def served(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with toy_endpoint(tmp_path_factory.mktemp("served"), path=PLANTED_PATH) as endpoint:
        yield endpoint


def body(parcel: int) -> bytes:
    row = INPUTS | {"weight_kg": (parcel * 37 % 1000) / 100, "shop": ("north", "south")[parcel % 2]}
    return json.dumps(tensors(row, parcel=parcel)).encode()


PARCELS = [body(parcel) for parcel in range(5_000)]


def versions(answers: Sequence[Answered]) -> set[int]:
    return {version for answer in answers for version in answer.versions}


def changes(endpoint: Endpoint, since: int) -> list[str]:
    return [event.change for event in endpoint.control("parcels").history()[since:]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("shifted", "scores above the live version's median"),
        ("errors", "rows without an answer"),
        ("slow", "calls slower than 1.5 times"),
    ],
)
def test_a_bad_canary_is_taken_back_at_most_one_step_in(
    served: Endpoint, models: dict[str, Path], fault: str, words: str
) -> None:
    served.deploy("parcels", 3, models["good"], online())
    since = len(served.control("parcels").history())
    with calling(served, PARCELS) as met:
        assert met.more(250), met.failures
        served.deploy("parcels", 4, models[fault], online(), rollout=CANARY)
        assert eventually(lambda: "rolled back" in changes(served, since), seconds=60)
        assert eventually(lambda: call(served.url("parcels")).json["beside"] is None)
        after = len(met.answers) + 10
        assert met.more(60), met.failures
    assert changes(served, since) in (["begun", "rolled back"], ["begun", "next step", "rolled back"])
    event, state = served.control("parcels").history()[-1], served.control("parcels").state()
    assert (event.by, event.version, event.share) == ("the server", 4, 0.0)
    assert words in event.reason
    assert state is not None
    assert (state.live.number, state.beside) == (3, None)
    assert versions(met.answers[after:]) == {3}
    assert met.failures == []  # what the bad version could not answer, the live one did


def test_a_good_canary_takes_over_without_a_failed_request_and_can_be_taken_back(
    served: Endpoint, models: dict[str, Path]
) -> None:
    served.deploy("parcels", 3, models["good"], online())
    since = len(served.control("parcels").history())
    with calling(served, PARCELS) as met:
        plan = Plan(mode="canary", steps=(0.5, 0.6, 1.0), guardrails=replace(RAILS, step_rows=60))
        served.deploy("parcels", 5, models["as good"], online(), rollout=plan)
        assert eventually(lambda: served.live_version("parcels") == 5, seconds=90)
        served.control("parcels").roll_back(by="a test", reason="to see whether it can be done", timeout=2.0)
        assert served.live_version("parcels") == 3
    assert met.failures == []
    assert versions(met.answers) == {3, 5}
    assert changes(served, since) == ["begun", "next step", "finished", "rolled back"]


def test_an_entity_meets_one_version_however_often_it_asks(served: Endpoint, models: dict[str, Path]) -> None:
    served.deploy("parcels", 3, models["good"], online())
    served.deploy("parcels", 6, models["as good"], online(), rollout=Plan(mode="ab", steps=(0.5,)))
    url = f"{served.url('parcels')}/infer"
    rounds = [[call(url, tensors(parcel=p)).json["model_version"] for p in range(30)] for _ in range(2)]
    served.control("parcels").roll_back(by="a test", reason="done")
    assert rounds[0] == rounds[1]
    assert {*rounds[0]} == {"3", "6"}


def test_either_version_can_be_asked_by_its_number(served: Endpoint, models: dict[str, Path]) -> None:
    served.deploy("parcels", 3, models["good"], online())
    served.deploy("parcels", 6, models["shifted"], online(), rollout=Plan(mode="shadow"))
    root = served.url("parcels")
    answered = [call(f"{root}/versions/{n}/infer", tensors()).json["model_version"] for n in (3, 6)]
    unknown = call(f"{root}/versions/7/infer", tensors())
    by_itself = call(f"{root}/infer", tensors()).json["model_version"]
    served.control("parcels").roll_back(by="a test", reason="done")
    assert (answered, by_itself, unknown.status) == (["3", "6"], "3", 404)


def test_a_second_rollout_is_refused_and_names_the_first(served: Endpoint, models: dict[str, Path]) -> None:
    served.deploy("parcels", 3, models["good"], online())
    served.deploy("parcels", 6, models["as good"], online(), rollout=Plan(mode="canary"))
    with pytest.raises(EndpointError, match="the canary rollout of version 6 is under way"):
        served.deploy("parcels", 7, models["shifted"], online(), rollout=Plan(mode="canary"))
    replacing = served.deploy("parcels", 7, models["shifted"], online(), rollout=Plan(mode="shadow"), is_replacing=True)
    state = served.control("parcels").state()
    served.control("parcels").roll_back(by="a test", reason="done")
    assert not replacing.is_live
    assert state is not None
    assert state.beside is not None
    assert (state.live.number, state.beside.target.number) == (3, 7)
