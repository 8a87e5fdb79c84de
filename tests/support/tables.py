"""Five tables as people bring them, each with a column that gives the outcome away, under `LEAK`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

START = datetime(2024, 1, 1)  # noqa: DTZ001 - local times, as files hold them


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file and what is known of it.

    Attributes:
        leak: The planted column.
        key: The key that `throughline new` should find.
    """

    name: str
    file: str
    target: str
    time: str
    task: str
    leak: str
    key: tuple[str, ...]
    write: Callable[[Path], object]
    every: str = "day"
    ahead: str = "0h"


def _times(random: np.random.Generator, rows: int, days: int) -> list[datetime]:
    return [START + timedelta(minutes=int(m)) for m in np.sort(random.integers(0, days * 1440, rows))]


def _csv(frame: pl.DataFrame) -> Callable[[Path], object]:
    return frame.write_csv


def churn(rows: int = 3_000, seed: int = 1) -> Table:
    """Binary with a key: contracts that are cancelled; the refund is paid only then, and filled only then."""
    random = np.random.default_rng(seed)
    plan = np.array(["basic", "plus", "pro"])[random.integers(0, 3, rows)]
    price = (10 + 5 * random.integers(0, 3, rows) + random.normal(0, 1, rows)).round(2)
    odds = 0.8 * (plan == "basic") + 0.15 * (price - 15) - 0.7 + random.logistic(0, 1, rows)
    left = odds > 0
    frame = pl.DataFrame(
        {
            "customer_id": [f"C{n:06}" for n in random.permutation(rows)],
            "signed_at": [t.strftime("%Y-%m-%d %H:%M:%S") for t in _times(random, rows, 150)],
            "plan": plan,
            "price_eur": price,
            "calls": random.poisson(2, rows),
            "refund_eur": [f"{p:.2f}" if bad else "NA" for p, bad in zip(price, left, strict=True)],
            "churned": np.where(left, "Yes", "No"),
        }
    )
    return Table(
        name="churn", file="churn.csv", target="churned", time="signed_at", task="binary", leak="refund_eur",
        key=("customer_id",), write=_csv(frame),
    )  # fmt: skip


def tickets(rows: int = 3_000, seed: int = 2) -> Table:
    """Several classes, one of which appears in the last third; the team that closed a ticket follows from its class."""
    random = np.random.default_rng(seed)
    channel = np.array(["mail", "phone", "chat"])[random.integers(0, 3, rows)]
    length = random.gamma(2.0, 40.0, rows).round().astype(int)
    late = np.arange(rows) > 0.75 * rows
    draw = 0.5 * random.random(rows) + 0.35 * (channel == "phone") + 0.003 * length
    kind = np.where(draw > 0.8, "billing", np.where(draw > 0.5, "delivery", "question"))
    kind = np.where(late & (random.random(rows) < 0.06), "app_crash", kind)
    teams = {"billing": "T7", "delivery": "T2", "question": "T4", "app_crash": "T9"}
    frame = pl.DataFrame(
        {
            "opened": [t.isoformat(timespec="minutes") for t in _times(random, rows, 120)],
            "channel": channel,
            "words": length,
            "closing_team": [teams[k] for k in kind],
            "category": kind,
        }
    )
    return Table(
        name="tickets", file="tickets.jsonl", target="category", time="opened", task="multiclass", leak="closing_team",
        key=(), write=frame.write_ndjson,
    )  # fmt: skip


def rides(rows: int = 3_000, seed: int = 3) -> Table:
    """A quantity without a key: rows repeat; the fare follows from the duration it is to predict."""
    random = np.random.default_rng(seed)
    km = random.gamma(2.0, 3.0, rows).round(1)
    zone = np.array(["centre", "north", "port"])[random.integers(0, 3, rows)]
    minutes = (4 + 2.5 * km + 4 * (zone == "centre") + random.gamma(2.0, 3.0, rows)).round(1)
    frame = pl.DataFrame(
        {
            "pickup": pl.Series(_times(random, rows, 90), dtype=pl.Datetime("us")),
            "zone": zone,
            "km": km,
            "fare": (3 + 0.55 * minutes).round(2),
            "minutes": minutes,
        }
    )
    frame = pl.concat([frame, frame.sample(60, seed=seed)]).sort("pickup")
    return Table(
        name="rides", file="rides.parquet", target="minutes", time="pickup", task="regression", leak="fare",
        key=(), write=frame.write_parquet,
    )  # fmt: skip


def sales(stores: int = 12, weeks: int = 150, seed: int = 4) -> Table:
    """Counts per store and week, a series each; the stock that is left follows from the sales."""
    random = np.random.default_rng(seed)
    rows = []
    for week in range(weeks):
        for store in range(stores):
            promo = random.random() < 0.2
            rate = 3 + store % 5 + 4 * promo + 1.5 * math.sin(2 * math.pi * week / 52)
            sold = int(random.poisson(rate))
            day = START + timedelta(weeks=week - 100)
            rows.append((f"S{store:02}", day.date().isoformat(), int(promo), 40 - sold, sold))
    frame = pl.DataFrame(rows, schema=["store", "week", "promo", "stock_left", "sold"], orient="row")
    return Table(
        name="sales", file="sales.csv", target="sold", time="week", task="count", leak="stock_left",
        key=("store", "week"), write=_csv(frame), every="week", ahead="7d",
    )  # fmt: skip


def loans(rows: int = 3_000, seed: int = 5) -> Table:
    """Messy: day first with a 12 h clock, latin-1, semicolons, decimal commas; reminders are sent after it."""
    random = np.random.default_rng(seed)
    amount = random.gamma(2.0, 900.0, rows).round(2)
    town = np.array(["Köln", "Zürich", "Málaga"])[random.integers(0, 3, rows)]
    odds = 0.0006 * amount + 0.9 * (town == "Köln") - 1.8 + random.logistic(0, 1, rows)
    failed = odds > 0
    reminders = np.where(failed, random.integers(2, 6, rows), random.integers(0, 2, rows))
    lines = ["Datum;Ort;Betrag;Mahnungen;Ausfall"]
    for when, place, euros, sent, bad in zip(_times(random, rows, 100), town, amount, reminders, failed, strict=True):
        said = when.strftime("%d/%m/%Y %I:%M %p")
        lines.append(f"{said};{place};{euros:.2f};{sent};{'ja' if bad else 'nein'}".replace(".", ","))
    text = "\n".join(lines) + "\n"
    return Table(
        name="loans", file="loans.csv", target="Ausfall", time="Datum", task="binary", leak="Mahnungen",
        key=(), write=lambda path: path.write_text(text, encoding="latin-1"),
    )  # fmt: skip


TABLES: dict[str, Callable[[], Table]] = {
    "churn": churn, "tickets": tickets, "rides": rides, "sales": sales, "loans": loans,
}  # fmt: skip
