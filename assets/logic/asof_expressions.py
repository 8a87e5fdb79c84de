"""Which expressions are the same question: what was sorted for one serves the other.

Belongs here: identities of expressions. Does not belong here: evaluating them (`asof_table.py`).
"""

from typing import Final

import polars as pl

from assets.logic.asof_records import Sums

MANY_EXPRESSIONS: Final = 4096
"""Of so many expressions their serialised form is kept at most."""
_SERIALIZED: dict[int, tuple[pl.Expr, bytes]] = {}


def identity(sums: Sums) -> tuple[tuple[str, bytes], ...]:
    """Equal for equal expressions under equal names."""
    return tuple((name, serialized(expression)) for name, expression in sums.items())


def serialized(expression: pl.Expr) -> bytes:
    """Equal for equal expressions. Kept with the expression, whose `id` is then no other's: features ask with few."""
    kept = _SERIALIZED.get(id(expression))
    if kept is None or kept[0] is not expression:
        if len(_SERIALIZED) >= MANY_EXPRESSIONS:
            _SERIALIZED.clear()
        kept = _SERIALIZED[id(expression)] = (expression, expression.meta.serialize())
    return kept[1]
