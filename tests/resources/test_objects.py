"""What a tree of whole objects promises, on local disk and on an S3 server."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.errors import StoreError
from resources.objects import ObjectStore


def paths(store: ObjectStore, prefix: str = "") -> list[str]:
    return [stored.path for stored in store.list(prefix)]


def test_what_is_written_is_read_back(landing: ObjectStore) -> None:
    landing.write("a/b c/ü.bin", b"\x00\xff")
    assert landing.read("a/b c/ü.bin") == b"\x00\xff"
    assert landing.exists("a/b c/ü.bin")


def test_a_second_write_replaces_the_first(landing: ObjectStore) -> None:
    landing.write("a.txt", b"the first, which is longer")
    landing.write("a.txt", b"second")
    assert landing.read("a.txt") == b"second"
    assert paths(landing) == ["a.txt"]


def test_an_empty_object_is_an_object(landing: ObjectStore) -> None:
    landing.write("empty", b"")
    assert landing.exists("empty")
    assert landing.read("empty") == b""


def test_a_root_without_objects_lists_none(landing: ObjectStore) -> None:
    assert landing.list() == []
    assert landing.list("no/such/folder") == []


def test_a_listing_goes_by_the_beginning_of_the_path_and_is_in_order(landing: ObjectStore) -> None:
    for path in ("b/2", "b/10", "b.txt", "a/1", "bb/1"):
        landing.write(path, b"x")
    assert paths(landing) == ["a/1", "b.txt", "b/10", "b/2", "bb/1"]
    assert paths(landing, "b/") == ["b/10", "b/2"]
    assert paths(landing, "b/1") == ["b/10"]
    assert paths(landing, "b") == ["b.txt", "b/10", "b/2", "bb/1"]


def test_a_listing_is_complete_beyond_the_thousand_objects_that_s3_lists_at_once(s3_root: str) -> None:
    store = ObjectStore(s3_root)
    wanted = [f"day/{n:04}" for n in range(1001)]
    for path in wanted:
        store.write(path, b"x")
    assert paths(store, "day/") == wanted


def test_hidden_names_are_not_listed(landing: ObjectStore) -> None:
    for path in (".hidden", "a/.b.csv.tmp", ".git/config", "a/b.csv"):
        landing.write(path, b"x")
    assert paths(landing) == ["a/b.csv"]
    assert paths(landing, "a/") == ["a/b.csv"]


def test_a_listing_tells_size_and_time_in_utc(landing: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds
    landing.write("a.txt", b"four")
    [stored] = landing.list()
    assert stored.size == 4
    assert stored.modified_at.tzinfo is UTC
    assert before <= stored.modified_at <= datetime.now(UTC) + timedelta(seconds=2)


def test_the_fingerprint_changes_with_the_content_and_not_by_reading(landing: ObjectStore) -> None:
    landing.write("a.txt", b"one")
    [first] = landing.list()
    landing.read("a.txt")
    assert landing.list() == [first]
    landing.write("a.txt", b"two")
    assert landing.list()[0].fingerprint != first.fingerprint


def test_an_object_that_only_begins_alike_does_not_exist(landing: ObjectStore) -> None:
    landing.write("a/b.csv.gz", b"x")
    assert not landing.exists("a/b.csv")
    assert not landing.exists("a")


def test_a_missing_object_is_named(landing: ObjectStore) -> None:
    with pytest.raises(StoreError, match=rf"no object at {landing.uri('a/b.csv')}"):
        landing.read("a/b.csv")


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/hostname", ""])
def test_a_path_cannot_leave_the_root(landing: ObjectStore, path: str) -> None:
    for attempt in (landing.read, landing.exists, lambda p: landing.write(p, b"x")):
        with pytest.raises(StoreError, match="relative path"):
            attempt(path)


def test_a_missing_bucket_is_named(s3_root: str) -> None:
    with pytest.raises(StoreError, match=rf"cannot list {s3_root}-other/landing/.*NoSuchBucket"):
        ObjectStore(f"{s3_root}-other/landing").list()


def test_s3_is_found_by_the_usual_variables_and_needs_no_prefix(s3_root: str) -> None:
    store = ObjectStore(s3_root)
    store.write("a/b.txt", b"x")
    assert paths(store) == ["a/b.txt"]
    assert store.uri("a/b.txt") == f"{s3_root}/a/b.txt"


def test_an_s3_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/a: .*http://127.0.0.1:1"):
        ObjectStore("s3://bucket").read("a")


def test_a_local_address_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ObjectStore("landing").uri("a/b.txt") == str(tmp_path / "landing" / "a" / "b.txt")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file, where a folder should be", encoding="utf-8")
    with pytest.raises(StoreError, match=rf"cannot write {tmp_path}/a/b.txt: (Not a directory|File exists)"):
        ObjectStore(str(tmp_path)).write("a/b.txt", b"x")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(StoreError, match=r"cannot write .*a\.txt"):
        ObjectStore(str(tmp_path)).write("a.txt", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


WRITE_FOR_EVER = """
import sys
from resources.objects import ObjectStore
store = ObjectStore(sys.argv[1])
while True:
    for letter in (b"a", b"b"):
        store.write("big", letter * 5_000_000)
"""


def test_a_reader_never_sees_half_an_object_even_if_its_writer_is_killed(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)])
    try:
        while not store.exists("big") and process.poll() is None:
            time.sleep(0.001)
        seen = [store.read("big") for _ in range(50)]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    seen.append(store.read("big"))
    assert {(len(data), len(set(data))) for data in seen} == {(5_000_000, 1)}
    assert paths(store) == ["big"]


def test_an_object_is_downloaded_whole(landing: ObjectStore, tmp_path: Path) -> None:
    landing.write("a/b.csv", b"rows")
    landing.download("a/b.csv", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"rows"
    with pytest.raises(StoreError, match="there is no object at"):
        landing.download("a/c.csv", tmp_path / "other")


def test_a_deleted_object_is_gone_and_may_be_deleted_again(landing: ObjectStore) -> None:
    landing.write("a/b.csv", b"rows")
    for _ in range(2):
        landing.delete("a/b.csv")
        assert landing.list() == []
