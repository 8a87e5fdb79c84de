"""Which version is live: a small service of its own, loaded by the real thread from a real folder."""

import errno
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from resources.serving import evidence_files
from resources.serving.deployments import Deployments, Status
from resources.serving.guardrails import Guardrails
from resources.serving.rollout import Cause, begin, rolled_back
from resources.serving.routing import entity_key
from resources.serving.service import Signature
from resources.serving.states import Plan, State
from resources.serving.target import StateFolder, Target
from tests.support.waiting import eventually


@dataclass
class Constant:
    """A scorer that always answers the number in its file; `bad` in the file fails while warming up."""

    text: str
    family: str = "constant"
    outputs: tuple[str, ...] = ("probability",)

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows

    def predict(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        return np.full(len(features), float(self.text))

    def warm_up(self) -> None:
        if self.text == "bad":
            raise ArithmeticError("it answers nonsense")
        time.sleep(0.1 if self.text == "0.77" else 0.001)


@dataclass
class Service:
    """Loads constants; `slow` ones wait until they are let go."""

    use_case: str = "churn"
    description: str = "For tests."
    signature: Signature = field(default_factory=lambda: Signature(inputs=(), features=()))
    may_load: threading.Event = field(default_factory=threading.Event)
    is_loading: threading.Event = field(default_factory=threading.Event)

    def code_is_current(self) -> bool:
        return True

    def load(self, model: Path, online: Path) -> Constant:
        assert online.is_dir()
        text = (model / "constant").read_text(encoding="utf-8")
        if text == "0.9":
            self.is_loading.set()
            assert self.may_load.wait(30)
        return Constant(text)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "churn")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def shown() -> list[Status]:
    return []


@pytest.fixture
def deployments(service: Service, folder: StateFolder, shown: list[Status]) -> Iterator[Deployments]:
    following = Deployments(service, folder, shown.append)
    yield following
    service.may_load.set()
    following.stop()


def ask(folder: StateFolder, number: int, constant: str) -> Target:
    target = added(folder, number, constant)
    folder.ask_for(target)
    return target


def added(folder: StateFolder, number: int, constant: str) -> Target:
    source = folder.root.parent / f"source-{number}-{time.monotonic_ns()}"
    source.mkdir()
    (source / "constant").write_text(constant, encoding="utf-8")
    return Target(
        number=number,
        model=folder.add_model(number, source),
        online=folder.add_online({"orders": pl.DataFrame({"x": [1]})}),
        requested_at=str(time.monotonic_ns()),
    )


def is_live(deployments: Deployments, number: int) -> bool:
    status = deployments.status
    return status.state == "ready" and status.live is not None and status.live.target.number == number


def test_what_is_asked_for_before_the_start_goes_live(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))


def test_what_is_asked_for_later_goes_live(deployments: Deployments, folder: StateFolder) -> None:
    deployments.start()
    assert eventually(lambda: deployments.status.state == "waiting")
    ask(folder, 1, "0.1")
    assert eventually(lambda: is_live(deployments, 1))


def test_the_live_version_stays_while_another_loads(
    deployments: Deployments, folder: StateFolder, service: Service
) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    ask(folder, 2, "0.9")
    assert service.is_loading.wait(30)
    status = deployments.status
    assert (status.state, status.live and status.live.target.number) == ("loading", 1)
    service.may_load.set()
    assert eventually(lambda: is_live(deployments, 2))


def test_a_version_asked_for_and_then_not_wanted_never_goes_live(
    deployments: Deployments, folder: StateFolder, service: Service, shown: list[Status]
) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    ask(folder, 2, "0.9")
    assert service.is_loading.wait(30)
    ask(folder, 3, "0.3")
    service.may_load.set()
    assert eventually(lambda: is_live(deployments, 3))
    assert {s.live.target.number for s in shown if s.live} == {1, 3}


def test_asking_again_for_what_is_loading_does_not_load_it_twice(
    deployments: Deployments, folder: StateFolder, service: Service, shown: list[Status]
) -> None:
    ask(folder, 2, "0.9")
    deployments.start()
    assert service.is_loading.wait(30)
    ask(folder, 2, "0.9")
    service.may_load.set()
    assert eventually(lambda: len(shown) == 3)
    assert [s.state for s in shown] == ["loading", "ready", "ready"]


def test_a_failing_version_leaves_the_live_one_and_says_why(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    bad = ask(folder, 2, "bad")
    assert eventually(lambda: deployments.status.state == "failed")
    status = deployments.status
    assert status.live is not None
    assert status.live.target.number == 1
    assert status.failure is not None
    assert (status.failure.target, status.failure.reason) == (bad, "ArithmeticError: it answers nonsense")


def test_after_a_failure_the_next_target_goes_live(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "bad")
    deployments.start()
    assert eventually(lambda: deployments.status.state == "failed")
    ask(folder, 2, "0.2")
    assert eventually(lambda: is_live(deployments, 2))
    assert deployments.status.failure is not None


def test_a_target_that_cannot_be_read_leaves_the_live_version(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    (folder.root / "target.json").write_text("{", encoding="utf-8")
    assert eventually(lambda: deployments.status.state == "failed")
    assert deployments.status.live is not None


def test_asking_for_what_is_live_does_not_load_it_again(
    deployments: Deployments, folder: StateFolder, shown: list[Status]
) -> None:
    first = ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    live = deployments.status.live
    assert ask(folder, 1, "0.1").deployment == first.deployment
    assert eventually(lambda: len(shown) == 3)
    assert [s.state for s in shown] == ["loading", "ready", "ready"]
    assert deployments.status.live is live


def test_a_restart_with_a_failing_target_goes_back_to_what_was_live(folder: StateFolder) -> None:
    folder.remember_live(ask(folder, 1, "0.1"))
    ask(folder, 2, "bad")
    restarted = Deployments(Service(), folder, lambda _: None)
    restarted.start()
    assert eventually(lambda: restarted.status.live is not None)
    restarted.stop()
    status = restarted.status
    assert (status.state, status.live and status.live.target.number) == ("failed", 1)


def test_a_target_taken_away_leaves_the_live_version(
    deployments: Deployments, folder: StateFolder, shown: list[Status]
) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    folder.ask_for(None)
    assert eventually(lambda: len(shown) == 3)
    assert is_live(deployments, 1)


RAILS = Guardrails(step_rows=50, step_seconds=0.0, unnoticed_s=0.0)
KEYS = [entity_key([n]) for n in range(400)]


def cause() -> Cause:
    return Cause(at=datetime.now(UTC), by="a test")


def roll_out(folder: StateFolder, number: int, constant: str, plan: Plan) -> State:
    target = added(folder, number, constant)
    _, state = folder.change(lambda now: begin(now, target, plan, cause()))
    assert state is not None
    return state


def beside(deployments: Deployments) -> int | None:
    companion = deployments.status.beside
    return None if companion is None else companion.live.target.number


@pytest.fixture
def rolling(deployments: Deployments, folder: StateFolder) -> Deployments:
    """Version 1 live and known to score evenly, version 2 its canary at a half."""
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    answer(deployments, 1, np.linspace(0, 1, 400))
    roll_out(folder, 2, "0.2", Plan(mode="canary", steps=(0.5, 0.75, 1.0), guardrails=RAILS))
    assert eventually(lambda: beside(deployments) == 2)
    return deployments


def answer(deployments: Deployments, number: int, scores: npt.NDArray[np.float64], seconds: float = 0.01) -> None:
    for score in scores:
        deployments.evidence.record(number, rows=1, errors=0, seconds_per_row=seconds, scores=np.array([score]))


def test_a_canary_answers_its_share_and_the_live_version_the_rest(rolling: Deployments) -> None:
    picks = [rolling.status.pick(key) for key in KEYS]
    assert {(p.live.target.number, p.mode) for p in picks} == {(1, "live"), (2, "canary")}
    assert sum(p.mode == "canary" for p in picks) / len(picks) == pytest.approx(0.5, abs=0.1)


def test_a_restart_sends_everybody_to_the_same_version(rolling: Deployments, folder: StateFolder) -> None:
    restarted = Deployments(Service(), folder, lambda _: None)
    restarted.start()
    assert eventually(lambda: beside(restarted) == 2)
    restarted.stop()
    modes = [[d.status.pick(key).mode for key in KEYS] for d in (rolling, restarted)]
    assert modes[0] == modes[1]


def test_a_shadow_answers_nobody_and_is_asked_as_well(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    roll_out(folder, 2, "0.2", Plan(mode="shadow"))
    deployments.start()
    assert eventually(lambda: beside(deployments) == 2)
    status = deployments.status
    assert {status.pick(key).live.target.number for key in KEYS} == {1}
    assert status.shadow is not None
    assert (status.shadow.target.number, {status.is_shadowed(key) for key in KEYS}) == (2, {True})


def test_a_bad_canary_is_taken_back_and_the_reason_is_on_record(rolling: Deployments, folder: StateFolder) -> None:
    def is_back() -> bool:
        answer(rolling, 1, np.linspace(0, 1, 20))
        answer(rolling, 2, np.linspace(0.8, 1, 20))
        return beside(rolling) is None

    assert eventually(is_back)
    state, event = folder.state(), folder.history()[-1]
    assert state is not None
    assert (state.live.number, state.beside) == (1, None)
    assert (event.change, event.version, event.by) == ("rolled back", 2, "the server")
    assert "scores above the live version's median: 100.0%" in event.reason
    assert {rolling.status.pick(key).live.target.number for key in KEYS} == {1}


def test_a_bad_canary_is_taken_back_though_the_disk_is_full(
    rolling: Deployments, folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StateFolder, "change", full)
    monkeypatch.setattr(evidence_files, "_write", full)

    def is_back() -> bool:
        answer(rolling, 1, np.linspace(0, 1, 20))
        answer(rolling, 2, np.linspace(0.8, 1, 20))
        return beside(rolling) is None

    assert eventually(is_back)
    assert {rolling.status.pick(key).live.target.number for key in KEYS} == {1}


def test_a_good_canary_goes_its_steps_and_is_live_with_the_other_behind_it(
    rolling: Deployments, folder: StateFolder
) -> None:
    def is_done() -> bool:
        for number in (1, 2):
            answer(rolling, number, np.linspace(0, 1, 20))
        return is_live(rolling, 2)

    assert eventually(is_done)
    assert [e.change for e in folder.history()] == ["begun", "next step", "finished"]
    assert rolling.status.previous is not None
    assert rolling.status.previous.target.number == 1


def test_a_canary_that_somebody_else_moves_waits(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    roll_out(folder, 2, "0.2", Plan(mode="canary", guardrails=RAILS, advance="orchestrator"))
    deployments.start()

    def may_go_on() -> bool:
        for number in (1, 2):
            answer(deployments, number, np.linspace(0, 1, 200))
        verdict = deployments.status.verdict
        return verdict is not None and verdict.kind == "go on"

    assert eventually(may_go_on)
    assert [e.change for e in folder.history()] == ["begun"]


def test_going_back_swaps_to_the_version_that_is_loaded_still(
    deployments: Deployments, folder: StateFolder, shown: list[Status]
) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    first = deployments.status.live
    roll_out(folder, 2, "0.2", Plan())
    assert eventually(lambda: is_live(deployments, 2))
    shown.clear()
    folder.change(lambda now: now and rolled_back(now, cause()))
    assert eventually(lambda: is_live(deployments, 1))
    assert deployments.status.live is first
    assert [s.state for s in shown] == ["ready"]


def test_after_a_restart_the_version_before_is_loaded_again(folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    roll_out(folder, 2, "0.2", Plan())
    restarted = Deployments(Service(), folder, lambda _: None)
    restarted.start()
    assert eventually(lambda: restarted.status.previous is not None)
    restarted.stop()
    assert restarted.status.live is not None
    assert restarted.status.live.target.number == 2


def test_a_canary_that_does_not_load_leaves_everything_as_it_was(deployments: Deployments, folder: StateFolder) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    before = folder.state()
    assert before is not None
    bad = roll_out(folder, 2, "bad", Plan(mode="canary"))
    assert eventually(lambda: deployments.status.failure is not None and is_live(deployments, 1))
    after, failure = folder.state(), deployments.status.failure
    assert after is not None
    assert failure is not None
    assert bad.beside is not None
    assert (after.live, after.beside, after.previous) == (before.live, None, before.previous)
    assert failure.target == bad.beside.target
    assert folder.history()[-1].reason == "ArithmeticError: it answers nonsense"


def test_a_canary_ten_times_as_slow_on_known_rows_meets_no_traffic(
    deployments: Deployments, folder: StateFolder, shown: list[Status]
) -> None:
    ask(folder, 1, "0.1")
    deployments.start()
    assert eventually(lambda: is_live(deployments, 1))
    roll_out(folder, 2, "0.77", Plan(mode="canary"))
    assert eventually(lambda: deployments.status.failure is not None)
    assert "on the same known rows it takes" in folder.history()[-1].reason
    assert all(s.beside is None for s in shown)


def test_one_of_two_workers_judges_and_both_go_back(rolling: Deployments, folder: StateFolder) -> None:
    other = Deployments(Service(), folder, lambda _: None)
    other.start()
    assert eventually(lambda: beside(other) == 2)

    def is_back() -> bool:
        answer(rolling, 1, np.linspace(0, 1, 20))
        for _ in range(20):
            other.evidence.record(2, rows=1, errors=1, seconds_per_row=0.01, scores=None)
        return beside(rolling) is None and beside(other) is None

    assert eventually(is_back)
    other.stop()
    assert [e.change for e in folder.history()] == ["begun", "rolled back"]
