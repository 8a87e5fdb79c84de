"""The rows that a guided start looks at: all of a small table, evenly many of every part of a large one.

Belongs here: reading an origin once, in bounded memory. Does not belong here: what the rows tell (`findings.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipelines.declared.consistency import RESERVED
from pipelines.declared.origin import as_text
from resources.errors import SourceError
from resources.origins import Origin

MOST_ROWS: Final = 200_000
MOST_CELLS: Final = 20_000_000
"""Rows, or fewer if the table is so wide that they would hold more values: about 1 GB as text."""
TOLD_ROWS: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows of a table, as text.

    Attributes:
        frame: Every `step`-th row in the order of the origin, shape (n, columns).
        rows: Rows of the whole table.
        renamed: Columns that are called otherwise here, name here by name there: the line itself uses their names.
    """

    frame: pl.DataFrame
    rows: int
    step: int
    renamed: dict[str, str]

    @property
    def there(self) -> dict[str, str]:
        """Name at the origin by name here, of renamed columns."""
        return {here: there for there, here in self.renamed.items()}


def take_sample(origin: Origin, echo: Callable[[str], None], most_rows: int = MOST_ROWS) -> Sample:
    """Read an origin to its end and keep evenly many rows of every part.

    Raises:
        InputError: If it cannot be read, or has no rows.
    """
    kept: list[pl.DataFrame] = []
    rows, step, told = 0, 1, TOLD_ROWS
    for batch in origin.batches():
        text = batch.select(as_text(pl.col(name), dtype).alias(name) for name, dtype in batch.schema.items())
        kept.append(text.gather_every(step, offset=-rows % step))
        rows += len(batch)
        limit = max(2_000, min(most_rows, MOST_CELLS // max(batch.width, 1)))
        while sum(map(len, kept)) > 2 * limit:
            # Every kept row stands at a multiple of the step, so every second one stands at one of twice the step.
            kept, step = [pl.concat(kept).gather_every(2)], 2 * step
        if rows >= told:
            echo(f"  {rows:,} rows read")
            told += TOLD_ROWS
    if not rows:
        raise SourceError(f"{origin.describe()} has no rows; there is nothing to look at")
    frame = pl.concat(kept)
    renamed = {name: f"{name}_given" for name in frame.columns if name in RESERVED}
    return Sample(frame=frame.rename(renamed), rows=rows, step=step, renamed=renamed)
