"""Reads one monthly BTS on-time file: the zip, its one CSV, the columns that the flights need, numbers and dates.

Belongs here: what a file must be, and its values. Does not belong here: what its columns are called (`bts_columns.py`)
and how its rows land (`bts.py`).
"""

import csv
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.flight_delays.bts_columns import FLIGHT_DATE, BtsError, Layout, layout_of
from pipelines.flight_delays.landed import DATE

MONTH_OF_NAME: Final = re.compile(
    r"(On_Time_Reporting_Carrier_On_Time_Performance_\(?1987_present\)?|On_Time_On_Time_Performance)"
    r"_(?P<year>\d{4})_(?P<month>\d{1,2})\.zip"
)
"""Both names under which BTS publishes a month. A download of selected columns is called anything."""
NUMBERS: Final = (
    *("flight", "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay"),
    *("air_time", "distance", "cancelled", "diverted"),
)
KEY: Final = (DATE, "carrier", "flight", "origin", "dest", "sched_dep_time")
DATE_FORMATS: Final = ("%Y-%m-%d", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y")


def read_month(path: Path, origins: Collection[str]) -> pl.DataFrame:
    """The flights of one monthly file that leave from `origins`.

    Only the columns that are needed are read, and only the rows that are kept are held in memory.

    Args:
        path: The zip as it was downloaded: one CSV, and a readme or not.
        origins: IATA codes of the airports of departure to keep.

    Returns:
        Shape (n > 0, 16): `date` (local service date), text, and whole numbers as Int64 under our own names
        (`bts_columns.NAMES`); what is missing is null. Clock times are hour * 100 + minute, delays signed minutes.

    Raises:
        BtsError: If it is no such file, columns are missing, a value does not parse, it holds no flight from `origins`,
            days of another month than its name says, or the same flight twice.
    """
    with tempfile.TemporaryDirectory() as room:
        table = Path(room, "month.csv")
        _unpack(path, table)
        rows = _parsed(_kept(table, origins, path.name), path.name)
    _require_month(rows, path.name)
    _require_key(rows, path.name)
    return rows


def _unpack(path: Path, target: Path) -> None:
    """Write the one CSV of the zip to a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if len(members) != 1:
                raise BtsError(f"{path.name} holds {len(members)} CSV files, not one; it is no monthly file of BTS")
            with archive.open(members[0]) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError) as error:
        raise BtsError(f"{path.name} is no whole zip file ({error}); download it again") from error


def _kept(table: Path, origins: Collection[str], where: str) -> pl.DataFrame:
    """The columns that are read of the rows that are kept, as text under our names."""
    with table.open("rb") as file:
        line = file.readline().decode("utf-8-sig", errors="replace")
    header = next(csv.reader(io.StringIO(line)), [])
    layout = layout_of(header, where)
    # Names by position: unnamed columns would clash. City names, which may be in another encoding, are not read.
    rows = pl.scan_csv(
        table, has_header=False, skip_rows=1, schema={str(i): pl.String() for i in range(layout.width)},
        encoding="utf8-lossy",
    )  # fmt: skip
    columns = [_text(position).alias(ours) for ours, position in layout.position.items()]
    beyond = pl.any_horizontal(pl.lit(False), *(_text(i).is_not_null() for i in layout.unnamed))
    # A value in a column without a name matters wherever the flight departs.
    wanted = rows.select(*columns, beyond.alias("beyond")).filter(
        pl.col("origin").is_in(list(origins)) | pl.col("beyond")
    )
    try:
        found = wanted.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise BtsError(f"{where} is no readable CSV ({error}); download it again") from error
    _require_no_shift(found, layout, where)
    if found.is_empty():
        raise BtsError(
            f"{where} holds no flight from {', '.join(sorted(origins))}; was it downloaded for other airports?"
        )
    return found.drop("beyond")


def _text(position: int) -> pl.Expr:
    text = pl.col(str(position)).str.strip_chars()
    return pl.when(text != "").then(text)


def _require_no_shift(found: pl.DataFrame, layout: Layout, where: str) -> None:
    if count := int(found["beyond"].sum()):
        positions = [i + 1 for i in layout.unnamed]
        raise BtsError(
            f"{where} holds values in a column without a name (position {positions}) in {count} rows: "
            "their columns are shifted; download the file again"
        )


def _parsed(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    """Numbers from text such as `0515`, `227.00` and `-3.00`, and the local service date."""
    dates = _dates(rows)
    if dates.null_count():
        example = rows.filter(dates.is_null()).row(0, named=True)
        told = {k: v for k, v in example.items() if k in {"year", "month", "day", FLIGHT_DATE}}
        raise BtsError(f"{where}: {dates.null_count()} rows have a date that is none, such as {told}")
    numbers = rows.select(pl.col(NUMBERS).cast(pl.Float64(), strict=False))
    for name in NUMBERS:
        bad = rows[name].is_not_null() & (numbers[name] % 1 != 0).fill_null(True)
        if bad.any():
            raise BtsError(
                f"{where}: {bad.sum()} values of {name} are not whole numbers, such as {rows[name].filter(bad)[0]!r}"
            )
    texts = rows.select(pl.col("carrier", "tailnum", "origin", "dest"))
    return texts.with_columns(dates.alias(DATE), *numbers.select(pl.all().cast(pl.Int64())).iter_columns())


def _dates(rows: pl.DataFrame) -> pl.Series:
    if FLIGHT_DATE in rows.columns:
        parsed = pl.coalesce(pl.col(FLIGHT_DATE).str.to_date(form, strict=False) for form in DATE_FORMATS)
    else:
        parts = [pl.col(name).cast(pl.Int32(), strict=False) for name in ("year", "month", "day")]
        text = pl.format("{}-{}-{}", *parts)
        parsed = text.str.to_date("%Y-%m-%d", strict=False)
    return rows.select(parsed).to_series()


def _require_month(rows: pl.DataFrame, where: str) -> None:
    named = MONTH_OF_NAME.fullmatch(where)
    if named is None:
        return
    said = date(int(named["year"]), int(named["month"]), 1)
    months = rows[DATE].dt.month_start().unique().sort().to_list()
    if months != [said]:
        held = ", ".join(f"{month:%Y-%m}" for month in months)
        raise BtsError(f"{where} holds flights of {held}, not of {said:%Y-%m} as its name says; download it again")


def _require_key(rows: pl.DataFrame, where: str) -> None:
    repeated = rows.filter(pl.struct(KEY).is_duplicated())
    if not repeated.is_empty():
        example = {name: str(value) for name, value in repeated.select(KEY).row(0, named=True).items()}
        raise BtsError(
            f"{where}: {len(repeated)} rows are not the only ones of their date, carrier, flight, airports and "
            f"scheduled departure, such as {example}; download the file again, or take the repetitions out"
        )
