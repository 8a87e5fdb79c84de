"""A table in files: one, a folder or a pattern of names; on this machine, on S3 or on a web server.

Belongs here: which files, and bringing them here. Does not belong here: what is in them (`formats.py`).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from resources import web
from resources.dialects import Dialect, sniff
from resources.errors import SourceError, StoreError
from resources.formats import READABLE, Format, format_of, pieces, sample
from resources.objects import S3_SCHEME, ObjectStore
from resources.origins import lazily

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

WILDCARDS: Final = ("*", "?", "[")


@dataclass(frozen=True, kw_only=True)
class FileOrigin:
    """Files of one table, read in the order of their names; all must have the same columns.

    Attributes:
        uri: A local path, `s3://bucket/key` or `http(s)://` address of one file; or of a folder (all tables directly
            in it; on the web, a page that links to them); or one whose last part has `*`, such as `data/2013-*.csv`.
        dialect: How text is written; None: found out from the first bytes of the first file.
        sheet: Which sheet of a workbook; None is the first.
        s3: How S3 is reached; None takes the usual AWS variables.
    """

    uri: str
    dialect: Dialect | None = None
    sheet: str | None = None
    s3: "S3Resource | None" = None

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:  # noqa: ARG002 - files give all
        """The rows of all files, one file after another.

        Raises:
            SourceError: If there is no such file, or one is unreadable, has no rows, or other columns than the first.
        """
        first: pl.DataFrame | None = None
        dialect = self.dialect
        for file, form, where in self._files():
            if dialect is None:
                dialect = self._sniffed(file, form, where)
            for batch in pieces(file, form, dialect, where, self.sheet):
                if first is None:
                    first = batch.clear()
                yield _like(batch, first, where)

    def read(self) -> pl.LazyFrame:
        """The rows of all files, lazily; raises as `batches` does."""
        return lazily(self.batches)

    def describe(self) -> str:
        """The address without anything secret."""
        return web.shown(self.uri) if web.is_web(self.uri) else self.uri

    def sniffed(self) -> Dialect:
        """The dialect of the first file; it decides nothing for formats other than CSV.

        Raises:
            SourceError: If there is no such file, or its packing is damaged.
        """
        for file, form, where in self._files():
            return self._sniffed(file, form, where)
        raise SourceError(f"there is no table at {self.describe()}")

    @staticmethod
    def _sniffed(file: Path, form: Format, where: str) -> Dialect:
        if form.kind in {"parquet", "excel"}:
            return Dialect()
        found = sniff(sample(file, form, where), where)
        return found if form.kind == "csv" else Dialect(encoding=found.encoding, null_values=("",))

    def _files(self) -> Iterator[tuple[Path, Format, str]]:
        """Each file on this machine, its format, and its name for errors; a copy is gone once the next is asked for."""
        found = self._local() if not _is_remote(self.uri) else self._remote()
        for address in found:
            form = format_of(web.name_of(address) if web.is_web(address) else address)
            if form is None:
                raise SourceError(f"{address} ends with none of {READABLE}; rename it, or convert it to one of them")
            if not _is_remote(address):
                yield Path(address), form, address
                continue
            with tempfile.TemporaryDirectory(prefix="throughline-") as folder:
                copy = Path(folder, "copy")
                self._fetch(address, copy)
                yield copy, form, web.shown(address) if web.is_web(address) else address

    def _local(self) -> list[str]:
        path = Path(self.uri).expanduser()
        if path.is_file():
            return [str(path)]
        folder, pattern = (path, "*") if path.is_dir() else (path.parent, path.name)
        if not path.is_dir() and not any(sign in pattern for sign in WILDCARDS):
            raise SourceError(f"there is no file at {path}; check the path{_near(path)}")
        names = [str(f) for f in folder.iterdir() if f.is_file()] if folder.is_dir() else []
        return _chosen(names, pattern, self.describe())

    def _remote(self) -> list[str]:
        # A web address may have a query after the path, with any sign in it; only `*` is a wildcard here.
        folder, _, name = self.describe().rpartition("/")
        if name and "*" not in name:
            return [self.uri]
        names = web.linked(f"{folder}/") if web.is_web(self.uri) else self._s3_names(f"{folder}/")
        return _chosen(names, name or "*", self.describe())

    def _s3_names(self, folder: str) -> list[str]:
        try:
            stored = ObjectStore(folder.rstrip("/"), self.s3).list()
        except StoreError as error:
            raise SourceError(f"{error}; check the bucket, and the AWS variables") from error
        return [f"{folder}{o.path}" for o in stored if "/" not in o.path]

    def _fetch(self, address: str, target: Path) -> None:
        if web.is_web(address):
            web.fetch(address, target)
            return
        folder, _, name = address.rpartition("/")
        try:
            ObjectStore(folder, self.s3).download(name, target)
        except StoreError as error:
            raise SourceError(f"{error}; check the address, and the AWS variables") from error


def _is_remote(uri: str) -> bool:
    return web.is_web(uri) or uri.startswith(S3_SCHEME)


def _chosen(addresses: list[str], pattern: str, where: str) -> list[str]:
    """Tables among the files that match, by name; hidden files are not ours."""
    named = {address: web.name_of(address) if web.is_web(address) else Path(address).name for address in addresses}
    found = sorted(a for a, n in named.items() if fnmatchcase(n, pattern) and format_of(n) and not n.startswith("."))
    if not found:
        raise SourceError(f"there is no table at {where}; a table ends with one of {READABLE}")
    return found


def _near(path: Path) -> str:
    from difflib import get_close_matches

    names = [f.name for f in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1)
    return f", or did you mean {path.parent / near[0]}?" if near else ""


def _like(batch: pl.DataFrame, first: pl.DataFrame, where: str) -> pl.DataFrame:
    """The batch with its columns in the order of the first file.

    Raises:
        SourceError: If it has other columns, or other types.
    """
    missing = [name for name in first.columns if name not in batch.columns]
    extra = [name for name in batch.columns if name not in first.columns]
    if missing or extra:
        raise SourceError(
            f"{where} has other columns than the first file: missing {missing}, more {extra}; deliver them as tables "
            "of their own, or with the same columns"
        )
    ordered = batch.select(first.columns)
    if ordered.schema != first.schema:
        other = [f"{n} is {ordered.schema[n]}, was {t}" for n, t in first.schema.items() if ordered.schema[n] != t]
        raise SourceError(f"{where} has other types than the first file: {'; '.join(other)}; write them alike")
    return ordered
