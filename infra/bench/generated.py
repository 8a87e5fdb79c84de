"""A table as large as one likes, to measure a line on: `python -m infra.bench.generated FILE`.

Belongs here: making it. Does not belong here: measuring (`bench.py`), and tests.
"""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import polars as pl
import typer

CHUNK: Final = 500_000
NUMBERS: Final = 18
COLUMNS: Final = NUMBERS + 12
FIRST: Final = np.datetime64("2022-01-01T00:00:00", "s")
SECONDS: Final = 2 * 365 * 86_400
"""Two years of orders, evenly spread."""
SEED: Final = 20130901


def rows(first: int, count: int, of: int) -> pl.DataFrame:
    """Orders `first` to `first + count` of `of`, in the order of time; shape (count, 30).

    Whether an order is returned depends on its price, its shop, its kind and chance; about one in seven is. What was
    refunded is known only then: a leak, for `throughline new` to find.
    """
    random = np.random.default_rng([SEED, first])
    at = FIRST + ((np.arange(first, first + count) * SECONDS) // of).astype("timedelta64[s]")
    shop, kind = random.integers(0, 500, count), random.integers(0, 12, count)
    price = random.lognormal(3.0, 0.8, count).round(2)
    numbers = random.normal(size=(count, NUMBERS)).round(4)
    score = 0.6 * numbers[:, 0] + 0.4 * (shop % 7 == 0) + 0.25 * (kind % 3) + 0.01 * price - 2.6
    is_returned = random.random(count) < 1 / (1 + np.exp(-score))
    return pl.DataFrame(
        {
            "order_id": np.arange(first, first + count),
            "ordered_at": at.astype("datetime64[ms]"),
            "customer": pl.Series([f"c{n}" for n in random.integers(0, 100_000, count)]),
            "shop": pl.Series([f"s{n}" for n in shop]),
            "kind": pl.Series([f"k{n}" for n in kind]),
            "channel": random.choice(["web", "app", "phone"], count),
            "country": random.choice(["AT", "CH", "DE", "FR", "NL"], count),
            "price": price,
            "pieces": random.poisson(2.0, count) + 1,
            "is_gift": random.random(count) < 0.1,
            **{f"measure_{n:02}": numbers[:, n] for n in range(NUMBERS)},
            "refund": np.where(is_returned, price, 0.0),
            "is_returned": is_returned.astype(np.int8),
        }
    )


def main(
    path: Annotated[Path, typer.Argument(help="CSV file to write.")],
    count: Annotated[int, typer.Option("--rows", help="How many rows.")] = 10_000_000,
) -> None:
    """Write a table of 30 columns as CSV, a chunk at a time."""
    with path.open("wb") as file:
        for first in range(0, count, CHUNK):
            rows(first, min(CHUNK, count - first), count).write_csv(file, include_header=first == 0)
    typer.echo(f"{path}: {count:,} rows, {COLUMNS} columns, {path.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    typer.run(main)
