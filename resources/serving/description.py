"""How the versions of a server stand, in words for those who ask it.

Belongs here: a status as JSON, for callers and for other workers. Does not belong here: what is loaded
(`deployments.py`).
"""

import os
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import psutil

from resources.serving.board import Posted
from resources.serving.guardrails import Verdict
from resources.serving.protocol import iso
from resources.serving.statuses import Companion, Failure, Live, Status


def posted(status: Status, metrics: str) -> Posted:
    """What this worker has to say to the others."""
    live, beside, failure = status.live, status.beside, status.failure
    asked_at = None if failure is None or failure.target is None else failure.target.requested_at
    return Posted(
        pid=os.getpid(),
        started_at=_started_at(os.getpid()),
        state=status.state,
        live=None if live is None else live.target.deployment,
        beside=None if beside is None else (beside.live.target.deployment, beside.share),
        failed=None if failure is None else (asked_at, failure.reason),
        metrics=metrics,
    )


@lru_cache
def _started_at(pid: int) -> float:
    return psutil.Process(pid).create_time()


def described(status: Status) -> dict[str, Any]:
    """What is live, beside and before, and what failed last."""
    return {
        "state": status.state,
        "reason": status.failure.reason if status.state == "failed" and status.failure else None,
        "live": None if status.live is None else _live(status.live),
        "beside": None if status.beside is None else _beside(status.beside, status.verdict),
        "previous": None if status.previous is None else _live(status.previous),
        "failure": None if status.failure is None else _failure(status.failure),
    }


def _beside(beside: Companion, verdict: Verdict | None) -> dict[str, Any]:
    return {
        **_live(beside.live),
        "mode": beside.mode,
        "share": beside.share,
        "step": beside.rollout.step,
        "rollout": beside.rollout.id,
        "verdict": None if verdict is None else asdict(verdict),
    }


def _live(live: Live) -> dict[str, Any]:
    return {
        "version": live.target.number,
        "family": live.scorer.family,
        "deployment": live.target.deployment,
        "requested_at": live.target.requested_at,
        "loaded_at": iso(live.loaded_at),
        "load_seconds": round(live.load_seconds, 3),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    target = failure.target
    return {
        "version": None if target is None else target.number,
        "requested_at": None if target is None else target.requested_at,
        "failed_at": iso(failure.failed_at),
        "reason": failure.reason,
    }
