"""What a file is by its name, and its rows in pieces: CSV, Parquet, JSON lines and Excel, plain or packed.

Belongs here: the one place that turns the bytes of a file into frames. Does not belong here: where files are
(`sources.py`, `origins_files.py`), and how strictly CSV is read (`csv_rows.py`).
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

import polars as pl

from resources.csv_rows import check_names, csv_pieces
from resources.dialects import SAMPLE_BYTES, Dialect
from resources.errors import SourceError
from resources.json_rows import json_pieces

Kind = Literal["csv", "parquet", "jsonl", "excel"]
Packing = Literal["gz", "zip", "zst"]
KINDS: Final[dict[str, Kind]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}
PACKINGS: Final[dict[str, Packing]] = {".gz": "gz", ".zip": "zip", ".zst": "zst"}
READABLE: Final = f"{', '.join(KINDS)}, each also with {', '.join(PACKINGS)}"


@dataclass(frozen=True, kw_only=True)
class Format:
    """What a file holds, and how it is packed (None: not at all)."""

    kind: Kind
    packing: Packing | None = None


def format_of(name: str) -> Format | None:
    """The format that the ending of a name stands for, such as `a.csv.gz`; None if it stands for none.

    `a.zip` alone is taken for a packed CSV file: that is how tables are usually offered.
    """
    path = Path(name.lower())
    packing = PACKINGS.get(path.suffix)
    inner = path.with_suffix("").suffix if packing else path.suffix
    kind = KINDS.get(inner) or ("csv" if packing == "zip" else None)
    return Format(kind=kind, packing=packing) if kind else None


def pieces(
    file: Path | bytes, form: Format, dialect: Dialect, where: str, sheet: str | None = None
) -> Iterator[pl.DataFrame]:
    """The rows of a file in order, in frames of bounded size with the same columns.

    Values of CSV, JSON lines and Excel are text, so that nothing is guessed; those of Parquet have their types.

    Args:
        file: A local file, or its bytes.
        form: What it is.
        dialect: How it is written, for CSV; encoding and null values also count for JSON lines, null values for Excel.
        where: Its name for errors.
        sheet: Which sheet of a workbook; None is the first.

    Raises:
        SourceError: If it is empty, truncated, damaged, malformed or without rows.
    """
    if _is_empty(file):
        raise SourceError(f"{where} is empty (0 bytes); deliver it again")
    rows = 0
    for frame in _read(file, form, dialect, where, sheet):
        rows += len(frame)
        if len(frame):
            yield frame
    if not rows:
        raise SourceError(f"{where} has a header and no rows; deliver it complete, or take it away")


def sample(file: Path | bytes, form: Format, where: str, size: int = SAMPLE_BYTES) -> bytes:
    """The first `size` bytes, unpacked; raises as `pieces` does."""
    with unpacked(file, form, where) as stream:
        return stream.read(size)


@contextmanager
def unpacked(file: Path | bytes, form: Format, where: str) -> Iterator[BinaryIO]:
    """The bytes without their packing, as a stream.

    Raises:
        SourceError: If the packing is truncated or damaged; also while the stream is read.
    """
    try:
        with file.open("rb") if isinstance(file, Path) else io.BytesIO(file) as packed:
            if form.packing == "zip":
                with zipfile.ZipFile(packed) as archive, archive.open(_only_member(archive, where)) as stream:
                    yield cast(BinaryIO, stream)
            elif form.packing == "gz":
                with gzip.GzipFile(fileobj=packed) as stream:
                    yield cast(BinaryIO, stream)
            elif form.packing == "zst":
                with _zstandard(packed) as stream:
                    yield stream
            else:
                yield packed
    except EOFError as error:
        raise SourceError(
            f"{where} is truncated: its {form.packing} stream ends before its end mark; deliver it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        name = "gzip" if form.packing == "gz" else "zip"
        raise SourceError(f"{where} is not an intact {name} file ({error}); deliver it again") from error
    except OSError as error:
        # PyArrow reports damage as an OSError without a number; one with a number is the disk's.
        if error.errno is not None:
            raise SourceError(f"{where} cannot be read: {error.strerror}") from error
        raise SourceError(f"{where} is not an intact Zstandard file ({error}); deliver it again") from error


def _is_empty(file: Path | bytes) -> bool:
    return file.stat().st_size == 0 if isinstance(file, Path) else not file


def _only_member(archive: zipfile.ZipFile, where: str) -> str:
    names = [m.filename for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    tables = [name for name in names if format_of(name)]
    if len(tables or names) != 1:
        raise SourceError(
            f"{where} holds {len(tables or names)} tables ({names[:5]}), not one; pack one table per file"
        )
    return (tables or names)[0]


def _zstandard(packed: BinaryIO) -> BinaryIO:
    import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd"))


def _read(file: Path | bytes, form: Format, dialect: Dialect, where: str, sheet: str | None) -> Iterator[pl.DataFrame]:
    if form.kind == "csv":
        with unpacked(file, form, where) as stream:
            yield from csv_pieces(stream, dialect, where)
    elif form.kind == "jsonl":
        yield from json_pieces(lambda: unpacked(file, form, where), dialect, where)
    else:
        whole = file
        if form.packing:
            with unpacked(file, form, where) as stream:
                whole = stream.read()
        yield from _parquet(whole, where) if form.kind == "parquet" else _excel(whole, dialect, where, sheet)


def _parquet(file: Path | bytes, where: str) -> Iterator[pl.DataFrame]:
    try:
        rows = pl.scan_parquet(file if isinstance(file, Path) else io.BytesIO(file))
        yield from rows.collect_batches(maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{where} is not an intact Parquet file ({error}); deliver it again") from error


def _excel(file: Path | bytes, dialect: Dialect, where: str, sheet: str | None) -> Iterator[pl.DataFrame]:
    """Cells as text: dates as `2013-01-31 00:00:00`, whole numbers without a point."""
    import fastexcel

    try:
        book = fastexcel.read_excel(file)
        if sheet is not None and sheet not in book.sheet_names:
            raise SourceError(f"{where} has no sheet {sheet!r}; it has {book.sheet_names}")
        cells: pl.DataFrame = book.load_sheet(sheet or 0, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{where} is not an intact workbook ({reason}); deliver it again") from error
    if cells.is_empty():
        raise SourceError(f"{where} has an empty sheet; put a header and rows into {sheet or 'its first sheet'}")
    used = cells.select(c for c in cells.get_columns() if c.null_count() < len(c))
    header: tuple[Any, ...] = used.row(0)
    names = ["" if name is None else str(name) for name in header]
    check_names(names, where)
    rows = used.slice(1)
    rows.columns = names
    nulls = list(dialect.null_values)
    yield rows.with_columns(pl.when(~pl.all().is_in(nulls)).then(pl.all()))
