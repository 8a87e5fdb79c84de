"""Reports keep their names; the newest is always at the same place."""

from pathlib import Path

import pytest

from resources.objects import ObjectStore
from resources.reports import Reports

FIRST = {"html": b"<p>first</p>", "json": b"{}"}
SECOND = {"html": b"<p>second</p>", "json": b"[]"}


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(root=str(tmp_path / "reports"))


def test_a_report_stands_under_its_name_and_as_latest(reports: Reports) -> None:
    uris = reports.write("bakery", "sales", "monday", FIRST)
    assert files(Path(reports.root)) == {
        "bakery/sales/monday.html": FIRST["html"],
        "bakery/sales/monday.json": FIRST["json"],
        "bakery/sales/latest.html": FIRST["html"],
        "bakery/sales/latest.json": FIRST["json"],
    }
    assert uris == {ending: f"{reports.root}/bakery/sales/monday.{ending}" for ending in FIRST}


def test_the_next_report_leaves_the_one_before_and_becomes_the_latest(reports: Reports) -> None:
    reports.write("bakery", "sales", "monday", FIRST)
    reports.write("bakery", "sales", "tuesday", SECOND)
    found = files(Path(reports.root, "bakery", "sales"))
    assert found["monday.html"] == FIRST["html"]
    assert found["tuesday.html"] == found["latest.html"] == SECOND["html"]


def test_reports_of_different_assets_do_not_meet(reports: Reports) -> None:
    reports.write("bakery", "sales", "monday", FIRST)
    reports.write("bakery", "costs", "monday", SECOND)
    assert files(Path(reports.root))["bakery/sales/latest.json"] == FIRST["json"]


def test_reports_can_live_on_s3(s3_root: str) -> None:
    uris = Reports(root=f"{s3_root}/reports").write("bakery", "sales", "monday", FIRST)
    assert uris["html"] == f"{s3_root}/reports/bakery/sales/monday.html"
    assert ObjectStore(f"{s3_root}/reports").read("bakery/sales/latest.html") == FIRST["html"]
