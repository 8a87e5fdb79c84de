"""What one column of a landed table holds, as a value.

Belongs here: the profile of a single column and what a person should know of it. Does not belong here: how it is made
(`columns.py`), the target (`target.py`), and what a column should be used for (`suggestions.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from assets.logic.profiling.values import quoted

ColumnKind = Literal["integer", "number", "boolean", "time", "category", "text", "identifier", "empty"]
"""`text` is free text; `category` any other text (and numbers with leading zeros); `empty` has no value at all."""

UNIQUE: Final = 0.98
"""Share of distinct values from which a text or a counter only names its row."""
FEW_ROWS: Final = 20
"""With fewer rows all values differ anyway, so uniqueness says nothing."""
LISTED: Final = 50
"""At most so many categories are listed, examples and misfits far fewer."""


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column as it was found.

    Attributes:
        missing: Rows without a value, null texts included.
        null_texts: Texts that stand for no value, as written, with their rows.
        distinct: Different values without the missing.
        examples: The most frequent values as text, the most frequent first.
        categories: Values of a category or boolean with their rows, the most frequent first; empty above `LISTED`.
        minimum: Smallest number; of a time column with a type, the first instant as text; else None. Likewise maximum.
        quantiles: Values by quantile, of numbers only.
        lengths: Shortest, mean and longest text in characters; None for other types.
        misfits: Most frequent values of a column of numbers that are no numbers, with their rows.
        misfit_rows: How many rows hold one.
        has_leading_zeros: Digits that begin with 0, such as a postal code: not a number, whatever it looks like.
        is_counter: Whole numbers that grow from row to row, as a running number does.
    """

    name: str
    kind: ColumnKind
    rows: int
    missing: int
    distinct: int
    null_texts: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    categories: Mapping[str, int] = field(default_factory=dict)
    minimum: float | str | None = None
    maximum: float | str | None = None
    quantiles: Mapping[float, float] = field(default_factory=dict)
    lengths: tuple[int, float, int] | None = None
    misfits: Mapping[str, int] = field(default_factory=dict)
    misfit_rows: int = 0
    has_leading_zeros: bool = False
    is_counter: bool = False

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def is_constant(self) -> bool:
        """The same value in every row that has one; a single row proves nothing."""
        return self.distinct == 1 and self.filled > 1

    @property
    def distinct_share(self) -> float:
        """Different values per filled row, 0 to 1; 0 for an empty column."""
        return min(1.0, self.distinct / self.filled) if self.filled else 0.0

    @property
    def is_near_unique(self) -> bool:
        """Hardly any value comes twice, among rows enough for that to mean something."""
        return self.filled >= FEW_ROWS and self.distinct_share >= UNIQUE

    @property
    def notes(self) -> list[str]:
        """What a person should know of this column, one sentence each."""
        found = []
        if self.misfit_rows:
            share = self.misfit_rows / max(self.filled, 1)
            found.append(
                f"{self.name!r} holds numbers, but {share:.1%} of its values are none ({quoted(list(self.misfits))}); "
                "they will count as missing."
            )
        if self.null_texts:
            written = ", ".join(f"{text!r} ({rows:,})" for text, rows in self.null_texts.items())
            found.append(f"{self.name!r} writes missing values as {written}.")
        if self.has_leading_zeros:
            found.append(f"{self.name!r} has leading zeros ({quoted(self.examples, 1)}), so it stays text.")
        return found
