"""How defaults follow the size of a table, so that 500 rows are served as well as 200,000.

Belongs here: sizes that every family scales alike. Does not belong here: the defaults; each family has its own.
"""

from typing import Final

LARGE: Final = 20_000
"""From so many training rows on, defaults are those of large tables."""


def common_enough(rows: int, in_large_tables: int) -> int:
    """How often a category has to occur to count by itself: the share of rows it is in large tables, but 3 at least."""
    return min(in_large_tables, max(3, in_large_tables * rows // LARGE))
