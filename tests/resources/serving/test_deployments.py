"""Which version is live: a small service of its own, loaded by the real thread from a real folder."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from resources.serving.deployments import Deployments, Status
from resources.serving.service import Signature
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
    source = folder.root.parent / f"source-{number}-{time.monotonic_ns()}"
    source.mkdir()
    (source / "constant").write_text(constant, encoding="utf-8")
    target = Target(
        number=number,
        model=folder.add_model(number, source),
        online=folder.add_online({"orders": pl.DataFrame({"x": [1]})}),
        requested_at=str(time.monotonic_ns()),
    )
    folder.ask_for(target)
    return target


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
