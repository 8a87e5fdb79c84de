"""Days put together anew from blocks of days that were quiet.

Belongs here: drawing blocks. Does not belong here: the rules that are tried on such days (`alarms.py`).

Blocks, because one day is like the next: weather and congestion last for days. What a season does is lost with their
order, and so are the neighbours of a block. However many are drawn, they are no more independent than the blocks that
lie side by side in a year: a rate counted on them has no bound that would mean something.
"""

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.int64]


def shuffled(random: np.random.Generator, days: int, block: int) -> Days:
    """Positions of `days` days in blocks of `block`, in an order of chance; no day is in it twice.

    Blocks begin on another day each time, so that up to `block` - 1 days on either side are left out.
    """
    begin = int(random.integers(0, block))
    blocks = np.arange(begin, days - block + 1, block)
    return (random.permutation(blocks)[:, None] + np.arange(block)).ravel()


def drawn(random: np.random.Generator, days: int, block: int, number: int, *, step: int = 1) -> Days:
    """Positions of `number` days in blocks of `block` out of `days`, drawn with replacement (moving blocks).

    Blocks begin a multiple of `step` days apart: with a step of a week all of them on the same weekday.
    """
    begin = int(random.integers(0, step))
    first = begin + step * random.integers(0, (days - block - begin) // step + 1, size=-(-number // block))
    return (first[:, None] + np.arange(block)).ravel()[:number]
