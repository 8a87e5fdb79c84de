"""Why an answer is what it is: contributions of the features, on request.

Belongs here: asking the version that answered, within a limit. Does not belong here: how contributions are found; each
model family has its way, and the evaluation report shows the same numbers.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from resources.serving.asked import Asked
from resources.serving.keys import Bucket
from resources.serving.rows import RequestError, frame_of
from resources.serving.service import Field, names

ROWS_PER_S: Final = 20.0
"""Explained rows a second and worker: exact contributions cost some ten times the answer, and must not crowd it out."""
CONTRIBUTION: Final = "contribution"


class BusyError(RequestError):
    """More explanations are asked for than the limit allows.

    Attributes:
        retry_after_s: Whole seconds until there is room again.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"explanations are limited to {ROWS_PER_S:g} rows a second; wait {retry_after_s} s, or ask without explain",
            field="explain",
            status=429,
        )
        self.retry_after_s = retry_after_s


class Explaining:
    """Explains in a thread of its own, one request at a time."""

    def __init__(self, features: Sequence[Field]) -> None:
        """Take the fields of a feature row."""
        self._features, self._names = features, names(features)
        self._bucket = Bucket(ROWS_PER_S)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explaining")

    def admit(self, rows: int) -> None:
        """Count so many rows.

        Raises:
            RequestError: If they are more than one request may have explained.
            BusyError: If they are too many for now.
        """
        if rows > ROWS_PER_S:
            raise RequestError(
                f"{rows} rows are to be explained; send at most {ROWS_PER_S:.0f} at once", field="explain", status=413
            )
        if (wait := self._bucket.take(time.monotonic(), rows)) > 0:
            raise BusyError(math.ceil(wait))

    async def tensor(self, asked: Asked) -> dict[str, Any]:
        """The contributions to an answer as a tensor, shape [rows, features].

        Its parameters name the features and, row by row, the raw scores that the contributions are counted from.
        """
        loop = asyncio.get_running_loop()
        contributions, references = await loop.run_in_executor(self._pool, self._explained, asked)
        return {
            "name": CONTRIBUTION,
            "shape": [len(contributions), len(self._names)],
            "datatype": "FP64",
            "data": contributions.ravel().tolist(),
            "parameters": {"features": self._names, "reference": references},
        }

    def close(self) -> None:
        """Wait for what is being explained."""
        self._pool.shutdown()

    def _explained(self, asked: Asked) -> tuple[Any, list[list[float]]]:
        contributions = np.empty((asked.rows, len(self._names)))
        references: list[list[float]] = [[]] * asked.rows
        for part in asked.parts:
            found, reference = part.live.scorer.explain(frame_of(part.features, self._features))
            places = [*range(asked.rows)] if part.places is None else [*part.places]
            contributions[places] = found
            for place in places:
                references[place] = reference.tolist()
        return contributions, references
