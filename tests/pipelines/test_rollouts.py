"""`throughline rollout` and `throughline rollback` as a person types them, against a real server."""

import os
import subprocess
import sys
from pathlib import Path

from resources.serving.client import Endpoint
from resources.serving.states import Plan
from tests.support.serving import (
    call,
    online,
    tensors,
    toy_endpoint,
)


def throughline(endpoint: Endpoint, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("THROUGHLINE_")}
    home = {"THROUGHLINE_HOME": endpoint.home, "THROUGHLINE_ENDPOINT_PORT": str(endpoint.port)}
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import app; app()", *arguments],
        env={**own, **home, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def answering(endpoint: Endpoint) -> str:
    return str(call(f"{endpoint.url('parcels')}/infer", tensors()).json["model_version"])


def test_going_back_needs_nothing_but_the_server(server: Endpoint, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online())
    done = throughline(server, "rollback", "parcels", "--reason", "it looks odd", THROUGHLINE_LAKE="s3://nowhere/lake")
    assert (done.returncode, done.stdout) == (0, "version 1 of parcels is live\n"), done.stderr
    assert answering(server) == "1"
    event = server.control("parcels").history()[-1]
    assert (event.change, event.version, event.reason) == ("rolled back", 2, "it looks odd")
    assert event.by.endswith("on the command line")


def test_going_back_where_there_is_nothing_to_go_back_to_says_so(server: Endpoint, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    while (state := server.control("parcels").state()) is not None and state.previous is not None:
        server.control("parcels").roll_back(by="a test", reason="to the first")
    done = throughline(server, "rollback", "parcels")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no version to go back to" in done.stderr


def test_a_rollout_is_shown_moved_on_and_finished(server: Endpoint, models: list[Path]) -> None:
    server.deploy("parcels", 1, models[0], online())
    server.deploy("parcels", 2, models[1], online(), rollout=Plan(mode="canary", advance="orchestrator"))
    shown = throughline(server, "rollout", "parcels").stdout
    assert "version 1 of parcels is live, and version 2 beside it (canary, 5%, step 1 of 4)" in shown
    assert "new: 0 rows, 0 without an answer" in shown
    assert "begun, version 2 at 5%, by the line" in shown
    assert "(canary, 25%, step 2 of 4)" in throughline(server, "rollout", "parcels", "--next").stdout
    assert throughline(server, "rollout", "parcels", "--finish").stdout == "version 2 of parcels is live\n"
    assert answering(server) == "2"


def test_a_use_case_that_was_never_deployed_is_named(server: Endpoint) -> None:
    done = throughline(server, "rollback", "letters")
    assert done.returncode == 1
    assert done.stderr.startswith("throughline: nothing was ever deployed for 'letters'")


def test_going_back_with_no_server_up_is_what_the_next_one_begins_with(tmp_path: Path, models: list[Path]) -> None:
    with toy_endpoint(tmp_path) as endpoint:
        for number, model in enumerate(models, start=1):
            endpoint.deploy("parcels", number, model, online())
    done = throughline(endpoint, "rollback", "parcels")
    assert done.stdout == "version 1 of parcels is live once its server runs; none does\n", done.stderr
    assert endpoint.control("parcels").state().live.number == 1  # type: ignore[union-attr]
