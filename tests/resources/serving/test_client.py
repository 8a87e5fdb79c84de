"""The endpoint as the assets hold it: real servers, started, replaced and told apart."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from resources import processes
from resources.errors import EndpointError
from resources.serving.client import Endpoint
from resources.serving.ports import allotted, process_name
from resources.serving.target import StateFolder
from tests.support import toy_use_case
from tests.support.serving import TOY_PATH, call, endpoint_in, free_port, online, save_model
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("registry") / "3")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server that tests may ask and deploy to."""
    with endpoint_in(tmp_path_factory.mktemp("running")) as endpoint:
        endpoint.ensure_running("parcels", TOY_PATH)
        yield endpoint


def pid(endpoint: Endpoint) -> int | None:
    return processes.status(process_name("parcels"), home=Path(endpoint.home)).pid


def state(endpoint: Endpoint) -> StateFolder:
    return StateFolder(Path(endpoint.state_root) / "parcels")


def test_a_running_server_is_reused(running: Endpoint) -> None:
    before = pid(running)
    running.ensure_running("parcels", TOY_PATH)
    assert (pid(running), before) == (before, call(running.url("parcels")).json["server"]["pid"])


def test_deploying_what_is_live_changes_nothing(running: Endpoint, model: Path) -> None:
    running.deploy("parcels", 3, model, online())
    before = (state(running).stamp(), call(running.url("parcels")).json["live"])
    assert running.deploy("parcels", 3, model, online()).seconds == 0.0
    assert (state(running).stamp(), call(running.url("parcels")).json["live"]) == before


def test_the_same_version_with_newer_history_is_deployed(running: Endpoint, model: Path) -> None:
    running.deploy("parcels", 3, model, online())
    older = online() | {"parcels": online()["parcels"].head(1000)}
    assert running.deploy("parcels", 3, model, older).seconds > 0
    assert running.live_version("parcels") == 3


def test_the_previous_version_is_kept_and_older_ones_are_not(running: Endpoint, model: Path) -> None:
    for number in (6, 7, 8):
        running.deploy("parcels", number, model, online())
    assert {p.name.partition("-")[0] for p in (state(running).root / "models").iterdir()} == {"7", "8"}


def test_a_version_that_takes_too_long_is_called_off(running: Endpoint, model: Path) -> None:
    running.deploy("parcels", 3, model, online())
    before = state(running).target()
    with pytest.raises(EndpointError, match="version 9 did not go live within 0 s"):
        running.deploy("parcels", 9, model, online(), timeout=0)
    assert state(running).target() == before


def test_a_refused_request_raises_with_what_the_server_said(running: Endpoint, model: Path) -> None:
    running.deploy("parcels", 3, model, online())
    with pytest.raises(EndpointError, match="answered 400: 'parcel' is missing"):
        running.predict("parcels", toy_use_case.parcels().head(1).select("shop", "due_at"))


def test_the_server_of_another_state_folder_is_not_taken_for_ours(running: Endpoint, tmp_path: Path) -> None:
    other = Endpoint(port=running.port, state_root=str(tmp_path / "serving"), home=str(tmp_path))
    with pytest.raises(EndpointError, match=rf"{running.port}.*the endpoint of another state folder.*_ENDPOINT_PORT"):
        other.ensure_running("parcels", TOY_PATH)


def test_the_server_of_another_use_case_is_not_taken_for_ours(running: Endpoint, tmp_path: Path) -> None:
    other = Endpoint(port=running.port, state_root=running.state_root, home=str(tmp_path))
    with pytest.raises(EndpointError, match=r"held by another program .*serves the model 'parcels'"):
        other.ensure_running("letters", TOY_PATH)


def test_a_port_that_something_else_holds_is_named_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    with socket.socket() as other, endpoint_in(tmp_path) as endpoint:
        other.bind((endpoint.host, endpoint.port))  # it does not even listen
        with pytest.raises(EndpointError, match=rf"port {endpoint.port}.*THROUGHLINE_ENDPOINT_PORT"):
            endpoint.ensure_running("parcels", TOY_PATH)


def test_deploying_to_no_server_says_so(tmp_path: Path, model: Path) -> None:
    endpoint = Endpoint(port=free_port(), state_root=str(tmp_path / "serving"), home=str(tmp_path))
    with pytest.raises(EndpointError, match=f"no endpoint runs on 127.0.0.1 port {endpoint.port}"):
        endpoint.deploy("parcels", 3, model, online())


def test_without_a_server_no_version_is_live(tmp_path: Path) -> None:
    endpoint = Endpoint(port=free_port(), state_root=str(tmp_path / "serving"), home=str(tmp_path))
    assert endpoint.live_version("parcels") is None


def test_a_server_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    told = pytest.raises(EndpointError, match=r"did not start.*--use-case no\.such\.module:TOY")
    with endpoint_in(tmp_path) as endpoint, told:
        endpoint.ensure_running("parcels", "no.such.module:TOY")


def test_a_server_whose_code_has_changed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code" / "parcels_here.py"
    code.parent.mkdir()
    shutil.copyfile(toy_use_case.__file__, code)
    monkeypatch.setenv("PYTHONPATH", str(code.parent))
    with endpoint_in(tmp_path) as endpoint:
        endpoint.ensure_running("parcels", "parcels_here:TOY")
        first = pid(endpoint)
        code.write_text(code.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
        endpoint.ensure_running("parcels", "parcels_here:TOY")
        assert pid(endpoint) not in (None, first)
        assert not psutil.pid_exists(first or 0) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE


def test_a_server_on_the_port_of_an_earlier_setting_moves(tmp_path: Path) -> None:
    with endpoint_in(tmp_path) as endpoint:
        endpoint.ensure_running("parcels", TOY_PATH)
        moved = endpoint.model_copy(update={"port": free_port()})
        moved.ensure_running("parcels", TOY_PATH)
        assert processes.port_is_free(endpoint.port)
        assert call(moved.url("parcels")).json["server"]["pid"] == pid(moved)


def test_a_use_case_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    endpoint = Endpoint(port=free_port(), state_root=str(tmp_path), home=str(tmp_path))
    with pytest.raises(EndpointError, match="cannot be the name of a use case"):
        endpoint.ensure_running("../parcels", TOY_PATH)


def test_what_is_live_is_noted_for_a_restart(running: Endpoint, model: Path) -> None:
    number = 2 if running.live_version("parcels") == 3 else 3  # a new one: what is live already is noted already
    running.deploy("parcels", number, model, online())
    folder = state(running)

    def noted() -> bool:
        return folder.last_live() == folder.target()

    assert eventually(noted)  # the server notes it just after it has said that it is live


def test_looking_at_a_rollout_allots_no_port(tmp_path: Path) -> None:
    endpoint = Endpoint(port=free_port(), state_root=str(tmp_path / "serving"), home=str(tmp_path))
    control = endpoint.control("parcels")
    assert (control.state(), control.history()) == (None, [])
    assert allotted(tmp_path) == []
