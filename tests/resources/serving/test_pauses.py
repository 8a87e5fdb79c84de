"""Pauses of the interpreter: in a process of its own, as it is the whole process that is changed."""

import subprocess
import sys

import pytest

STAYS = "import gc; from resources.serving import pauses; pauses.settle(); before = gc.get_freeze_count(); "


@pytest.mark.parametrize(
    "claim",
    [
        "assert before > 1_000, before",
        "kept = [[i] for i in range(1_000)]; pauses.settle(); assert gc.get_freeze_count() <= before",
        "import sys; pauses.give_way_soon(); assert sys.getswitchinterval() <= 0.001",
    ],
    ids=["what is loaded is searched no more", "what comes later is", "threads take turns quickly"],
)
def test_the_interpreter_pauses_less(claim: str) -> None:
    subprocess.run([sys.executable, "-c", STAYS + claim], check=True)
