"""How the programs around the line are, asked over HTTP on loopback.

Belongs here: questions to a running program and what its answers mean. Does not belong here: starting and ending it
(`services.py`).
"""

import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from types import MappingProxyType
from typing import Any, Final

TIMEOUT_SECONDS: Final = 5.0
RELOAD_SECONDS: Final = 90.0
"""Longest wait for code to load anew; 2 s on an idle machine."""


def answers(url: str) -> bool:
    """True if a GET is answered with 200."""
    return _ask(url) is not None


def daemons_are_healthy(dagster: str) -> bool:
    """Whether every daemon the instance needs has sent a heartbeat lately, as the webserver at `dagster` sees it."""
    answer = _graphql(dagster, "{instance{daemonHealth{allDaemonStatuses{required healthy}}}}")
    if answer is None:
        return False
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(bool(daemon["healthy"]) for daemon in daemons if daemon["required"])


def reload_locations(dagster: str) -> bool:
    """Have the webserver at `dagster` load all code locations anew; True once it has."""
    return _graphql(dagster, "mutation{reloadWorkspace{__typename}}", RELOAD_SECONDS) is not None


def broken_locations(dagster: str) -> dict[str, str]:
    """Code locations that do not load, by name, with the reason in one line.

    Dagster's webserver comes up all the same, and shows an empty graph.
    """
    location = "name locationOrLoadError{__typename ...on PythonError{message errorChain{error{message}}}}"
    answer = _graphql(dagster, "{workspaceOrError{...on Workspace{locationEntries{" + location + "}}}}")
    entries = [] if answer is None else answer["workspaceOrError"]["locationEntries"]
    loaded = {entry["name"]: entry["locationOrLoadError"] for entry in entries}
    broken = {n: state for n, state in loaded.items() if state is not None and state["__typename"] == "PythonError"}
    return {name: _root_cause(state) for name, state in broken.items()}


def live_versions(endpoint: str, model: str, key: str) -> list[str] | None:
    """Versions of `model` that the endpoint serves; None if it does not answer, or not for that model and key."""
    answer = _ask(f"{endpoint}/v2/models/{model}", headers={"Authorization": f"Bearer {key}"})
    return None if answer is None else [str(version) for version in json.loads(answer)["versions"]]


def _root_cause(error: dict[str, Any]) -> str:
    """What the user's code raised; Dagster's own message only says that it did."""
    messages = [error["message"], *(link["error"]["message"] for link in error["errorChain"])]
    return " ".join(str(messages[-1]).split())


def _graphql(dagster: str, query: str, timeout: float = TIMEOUT_SECONDS) -> dict[str, Any] | None:
    answer = _ask(f"{dagster}/graphql", json.dumps({"query": query}).encode(), timeout)
    if answer is None:
        return None
    data: dict[str, Any] = json.loads(answer)["data"]
    return data


def _ask(
    url: str,
    body: bytes | None = None,
    timeout: float = TIMEOUT_SECONDS,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes | None:
    """The body of an answer 200, or None when nothing, or something else, answers there."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})  # noqa: S310  # loopback
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310  # loopback
            content: bytes = response.read()
            return content if response.status == 200 else None
    except (OSError, HTTPException):  # no connection, a time-out, an error status, or no HTTP at all
        return None
