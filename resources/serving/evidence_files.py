"""What the workers of one endpoint tell one another of a rollout.

Belongs here: files, whole for every reader, and how long they are kept. Does not belong here: what is counted
(`evidence.py`).

    evidence/<rollout>/reference.json           what the live version did before: its quartiles, its times
    evidence/<rollout>/<step>/<worker>.json     the arms one worker has seen
"""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Final

from resources.serving.guardrails import Arm
from resources.serving.states import Beside

LOG: Final = logging.getLogger(__name__)
EVIDENCE: Final = "evidence"
KEPT_S: Final = 30 * 24 * 3600
"""What came of a rollout is in the history of the endpoint; these files are for who asks how, while that is fresh."""


def total(folder: Path, beside: Beside, *, without: str | None = None) -> tuple[Arm, Arm]:
    """The arms of the live version and of the one beside it in its current step, over all workers.

    Args:
        folder: The state folder.
        beside: The rollout.
        without: A worker whose file is left out.
    """
    live = new = Arm()
    for path in (folder / EVIDENCE / beside.id / str(beside.step)).glob("*.json"):
        if path.stem == without:
            continue
        told = json.loads(path.read_text(encoding="utf-8"))
        live, new = live + Arm(**told["live"]), new + Arm(**told["beside"])
    return live, new


def forget(folder: Path, *, but: str) -> None:
    """Delete the files of rollouts of which nothing was told for `KEPT_S`, but those of one.

    Args:
        folder: That of the evidence of all rollouts.
        but: Identity of the rollout under way.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.name != but and time.time() - path.stat().st_mtime > KEPT_S:
                shutil.rmtree(path)
        except OSError as error:
            LOG.warning("what is left of an old rollout cannot be deleted: %s", error)


def tell(path: Path, content: object) -> None:
    """Write for the other workers. A full disk keeps it from them, and does not keep this one from judging."""
    try:
        _write(path, content)
    except OSError as error:
        LOG.warning("other workers cannot be told what was counted: %s", error)


def _write(path: Path, content: object) -> None:
    """Whole for every reader; not made safe against power cuts, after which it is counted anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)
