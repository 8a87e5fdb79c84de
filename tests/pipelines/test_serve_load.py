"""Load while everything changes: ten swaps, a canary and a rollback in the middle, and then the server is killed.

`--load-seconds 60` makes the load last as long as it has to for a product; it is shorter in the suite.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from resources.serving.client import Endpoint
from resources.serving.guardrails import Guardrails
from resources.serving.states import Event, Plan
from tests.support.callers import Answered, calling
from tests.support.server_process import serving
from tests.support.serving import endpoint_in, logged, online, save_model

# The rows repeat themselves and the machine may be busy: how a canary is judged is not asked here.
TOLERANT = Guardrails(score=1.0, spread=1.0, slow=1.0)
CANARY = Plan(mode="canary", steps=(0.3, 0.6, 1.0), guardrails=TOLERANT, advance="orchestrator")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the load.

    Attributes:
        failures: Of requests before the server was killed.
        history: What was asked for; the first event is the deployment before the load.
        followed_at: When the server had followed each (seconds since 1970).
        records: Of the prediction log: versions and scores by prediction id and row.
    """

    answers: Sequence[Answered]
    failures: Sequence[str]
    history: Sequence[Event]
    followed_at: Sequence[float]
    records: dict[tuple[str, int], list[tuple[int, float]]]


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    models = [save_model(tmp_path_factory.mktemp("registry") / str(n), seed=n) for n in (1, 2, 3)]
    with (
        endpoint_in(tmp_path_factory.mktemp("served")) as endpoint,
        serving(endpoint, "--log", "durable") as server,
    ):
        changes = _changes(endpoint, models)
        pause = request.config.getoption("--load-seconds") / len(changes)
        followed_at = []
        changes[0]()
        followed_at.append(time.time())
        with calling(endpoint, callers=4) as met:
            for change in changes[1:]:
                time.sleep(pause)
                change()
                followed_at.append(time.time())
            time.sleep(pause)
            failures = [*met.failures]
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
        records: dict[tuple[str, int], list[tuple[int, float]]] = {}
        for record in logged(endpoint, "parcels"):
            key = record["prediction_id"], record["row"]
            records.setdefault(key, []).append((record["version"], record["score"]))
        yield Outcome(
            answers=met.answers,
            failures=failures,
            history=endpoint.control("parcels").history(),
            followed_at=followed_at,
            records=records,
        )


def _changes(endpoint: Endpoint, models: Sequence[Path]) -> list[Callable[[], object]]:
    """Each returns once the server has followed."""
    control = endpoint.control("parcels")

    def swap(number: int) -> Callable[[], object]:
        return lambda: endpoint.deploy("parcels", number, models[number - 1], online())

    return [
        *(swap(n) for n in (1, 2, 1, 2, 1, 2)),
        lambda: endpoint.deploy("parcels", 3, models[2], online(), rollout=CANARY),
        lambda: control.step_on(by="a test", reason="enough answers"),
        lambda: control.step_on(by="a test", reason="enough answers"),
        lambda: control.roll_back(by="a test", reason="to see whether it can be done", timeout=2.0),
        *(swap(n) for n in (1, 2, 1, 2, 1)),
    ]


def test_everything_changed_under_load(outcome: Outcome) -> None:
    swaps, rest = ["deployed"] * 5, ["begun", "next step", "finished", "rolled back"]
    assert [event.change for event in outcome.history] == ["deployed", *swaps, *rest, *swaps]
    assert {version for answer in outcome.answers for version in answer.versions} == {1, 2, 3}


def test_no_request_fails(outcome: Outcome) -> None:
    assert len(outcome.answers) > 100
    assert outcome.failures == []


def test_no_answer_is_from_a_version_that_was_not_live(outcome: Outcome) -> None:
    asked_at = [datetime.fromisoformat(event.at).timestamp() for event in outcome.history]
    over_at = [*outcome.followed_at[1:], float("inf")]
    states = [*zip(asked_at, over_at, [{e.to_version, e.beside} for e in outcome.history], strict=True)]

    def could_be(answer: Answered) -> set[int | None]:
        return set().union(*(s for since, until, s in states if since <= answer.got_at and answer.sent_at <= until))

    assert [answer for answer in outcome.answers if not could_be(answer).issuperset(answer.versions)] == []


def test_every_acknowledged_answer_is_in_the_log_once_after_the_server_was_killed(outcome: Outcome) -> None:
    expected = {
        (answer.id, row): [(version, score)]
        for answer in outcome.answers
        for row, (version, score) in enumerate(zip(answer.versions, answer.scores, strict=True))
    }
    assert {key: outcome.records.get(key) for key in expected} == expected
