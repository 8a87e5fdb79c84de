"""Pauses of the interpreter in which nobody is answered, and how they are kept short.

Belongs here: settings of the whole process. Does not belong here: which work is done in which thread (`batching.py`).
"""

import gc
import sys
from typing import Final

SWITCH_S: Final = 0.0005
"""Seconds after which a thread that works gives way to one that waits; Python's own 5 ms are more than most answers
take, and a batch that is scored in a thread waits for them several times."""


def give_way_soon() -> None:
    """Have threads take turns quickly."""
    sys.setswitchinterval(SWITCH_S)


def settle() -> None:
    """Take what is loaded by now out of all later searches for garbage; only the first call does anything.

    Libraries and a model are some hundred thousand objects that stay: to look through them took 100 to 150 ms each
    time. What later versions bring is little, and is still searched, as they come and go.
    """
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()
