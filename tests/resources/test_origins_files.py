"""Files are found wherever they are: one, a folder or a pattern; on disk, on S3, on a web server, in a Delta table."""

import functools
import gzip
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.dialects import Dialect
from resources.errors import SourceError
from resources.lake import Commit, Lake
from resources.objects import ObjectStore
from resources.origins import DeltaOrigin
from resources.origins_files import FileOrigin

JANUARY = b"id,city\n1,Ulm\n2,Bonn\n"
FEBRUARY = gzip.compress(b"city,id\nKiel,3\n")


class Quiet(SimpleHTTPRequestHandler):
    """The standard library's file server, which lists folders; it logs nothing, and cuts one file off."""

    def log_message(self, format: str, *args: Any) -> None: ...

    def send_header(self, keyword: str, value: str) -> None:
        cut_off = keyword == "Content-Length" and "cut" in self.path
        super().send_header(keyword, str(int(value) + 10) if cut_off else value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "inner").mkdir(parents=True)
    (made / "2013-01 new.csv").write_bytes(JANUARY)
    (made / "2013-02.csv.gz").write_bytes(FEBRUARY)
    (made / "README").write_bytes(b"not a table")
    (made / ".hidden.csv").write_bytes(b"x\n")
    (made / "inner" / "2012.csv").write_bytes(b"a\n1\n")
    return made


@pytest.fixture
def web_root(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder.parent)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["disk", "s3", "web"])
def root(request: pytest.FixtureRequest, folder: Path) -> str:
    """The same folder on this machine, on S3 and on a web server."""
    if request.param == "disk":
        return str(folder)
    if request.param == "web":
        return f"{request.getfixturevalue('web_root')}/data"
    where = f"{request.getfixturevalue('s3_root')}/data"
    store = ObjectStore(where)
    for file in (f for f in folder.rglob("*") if f.is_file()):
        store.write(file.relative_to(folder).as_posix(), file.read_bytes())
    return where


def ids(uri: str) -> list[str]:
    return FileOrigin(uri=uri).read().collect()["id"].to_list()


def test_one_file_is_read(root: str) -> None:
    assert ids(f"{root}/2013-02.csv.gz") == ["3"]


def test_a_folder_is_all_its_tables_by_name_with_columns_in_the_order_of_the_first(root: str) -> None:
    assert FileOrigin(uri=f"{root}/").read().collect().rows() == [("1", "Ulm"), ("2", "Bonn"), ("3", "Kiel")]


@pytest.mark.parametrize(("pattern", "found"), [("2013-*", ["1", "2", "3"]), ("*.csv", ["1", "2"])])
def test_a_pattern_chooses_by_name(root: str, pattern: str, found: list[str]) -> None:
    assert ids(f"{root}/{pattern}") == found


def test_a_file_that_is_not_there_is_told(root: str) -> None:
    with pytest.raises(SourceError, match=r"2014\.csv"):
        ids(f"{root}/2014.csv")


def test_a_pattern_without_a_match_is_told(root: str) -> None:
    with pytest.raises(SourceError, match=r"there is no table at .*/2014-\*\.csv"):
        ids(f"{root}/2014-*.csv")


def test_a_name_that_is_nearly_right_gets_a_suggestion(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"did you mean .*/2013-02\.csv\.gz\?"):
        ids(str(folder / "2013-2.csv.gz"))


def test_a_file_of_an_unknown_kind_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"README ends with none of \.csv"):
        ids(str(folder / "README"))


def test_a_file_with_other_columns_is_named(folder: Path) -> None:
    (folder / "2013-03.csv").write_bytes(b"id,town\n4,Trier\n")
    with pytest.raises(SourceError, match=r"2013-03\.csv has other columns .* missing \['city'\], more \['town'\]"):
        ids(str(folder))


def test_parquet_files_with_other_types_are_named(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ["2"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet has other types .* id is String, was Int64"):
        ids(str(tmp_path))


def test_the_dialect_is_found_out_unless_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("id;ort\n1;Köln\n2;NULL\n".encode("latin-1"))
    found = FileOrigin(uri=str(file))
    assert found.read().collect().rows() == [("1", "Köln"), ("2", None)]
    assert found.sniffed() == Dialect(encoding="latin-1", delimiter=";", null_values=("", "NULL"))
    given = FileOrigin(uri=str(file), dialect=Dialect(encoding="latin-1", delimiter=";", null_values=()))
    assert given.read().collect().rows()[-1] == ("2", "NULL")


def test_a_query_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"id": {n}, "b": "x"}}\n' for n in range(10)), encoding="utf-8")
    rows = FileOrigin(uri=str(file)).read()
    assert rows.head(3).select("id").collect().rows() == [("0",), ("1",), ("2",)]
    assert rows.filter(pl.col("id") > "7").collect()["id"].to_list() == ["8", "9"]
    assert rows.select(pl.len()).collect().item() == 10


@pytest.mark.parametrize(
    ("path", "message"),
    [("data/absent.csv", "answered 404 .*; check the address"), ("data/cut.csv", r"was cut off after 5 of 15 bytes")],
)
def test_a_web_server_that_refuses_or_breaks_off_is_told(web_root: str, folder: Path, path: str, message: str) -> None:
    (folder / "cut.csv").write_bytes(b"id\n1\n")
    with pytest.raises(SourceError, match=message):
        ids(f"{web_root}/{path}?token=hidden")


def test_what_may_be_secret_in_an_address_is_never_shown(web_root: str) -> None:
    origin = FileOrigin(uri=f"{web_root.replace('//', '//user:hidden@')}/data/absent.csv?token=hidden")
    assert "hidden" not in origin.describe()
    with pytest.raises(SourceError) as raised:
        origin.read()
    assert "hidden" not in str(raised.value)


def test_a_web_server_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceError, match=r"cannot be fetched: .*refused"):
        ids("http://127.0.0.1:1/a.csv")


def test_a_delta_table_is_read_at_any_version(lake: Lake, commit: Commit) -> None:
    for values in ([1], [1, 2]):
        lake.write("orders", pl.DataFrame({"id": values}), partitions=None, commit=commit)
    options = tuple(lake.storage_options.items())
    now = DeltaOrigin(uri=lake.uri("orders"), storage_options=options)
    then = DeltaOrigin(uri=lake.uri("orders"), version=lake.version("orders") - 1, storage_options=options)  # type: ignore[operator]
    assert sorted(pl.concat(now.batches())["id"]) == [1, 2]
    assert then.read().collect()["id"].to_list() == [1]


@pytest.mark.parametrize("version", [None, 99])
def test_a_delta_table_that_is_not_there_is_told(tmp_path: Path, version: int | None) -> None:
    if version is not None:
        pl.DataFrame({"id": [1]}).write_delta(tmp_path / "t")
    with pytest.raises(SourceError, match="Delta table"):
        DeltaOrigin(uri=str(tmp_path / "t"), version=version).read()
