"""Taking fewer rows where all of them would be too many.

Belongs here: which rows are taken. Does not belong here: how many are enough, which whoever takes them says.
"""

import numpy as np
import numpy.typing as npt


def spread_out(rows: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Places of at most `most` of `rows` rows, ascending: one at random out of each run of equally many.

    Every second or tenth row would not do: where the rows of a day are ordered by hour or shop, and as many as that
    divides, only some hours or shops would ever be seen.

    Returns:
        Shape (at most `most`,), from 0; all of them if there are no more.

    Source: Cochran, "Sampling techniques", 1977, chapter 8, on systematic samples of periodic populations.
    """
    if rows <= most:
        return np.arange(rows)
    first = np.arange(0, rows, -(-rows // most))
    length = np.diff(np.append(first, rows))
    return np.asarray(first + (np.random.default_rng(seed).random(len(first)) * length).astype(np.int64))
