"""The page for people: everything on it is text."""

from typing import Any

from resources.serving.metrics import Traffic
from resources.serving.status_page import status_page

EVIL = "<script>alert('x')</script>"


def described(**changed: Any) -> dict[str, Any]:
    live = {"version": 3, "family": "catboost", "loaded_at": "2026-12-01T00:00:00Z"}
    usual = {"name": "parcels", "state": "ready", "live": live, "beside": None, "previous": None, "failure": None}
    return usual | {"workers": [{}]} | changed


def test_the_live_version_is_shown() -> None:
    page = status_page(described(), [], Traffic(), "Late parcels.").decode()
    assert "<td>live</td><td>3</td><td>catboost</td>" in page


def test_what_is_beside_is_shown_with_its_share() -> None:
    beside = described()["live"] | {"version": 4, "mode": "canary", "share": 0.25}
    page = status_page(described(beside=beside), [], Traffic(), "").decode()
    assert "<td>beside</td><td>4</td><td>catboost</td><td>canary</td><td>25%</td>" in page


def test_a_reason_cannot_bring_markup_along() -> None:
    failure = {"version": 4, "failed_at": "2026-12-01T00:00:00Z", "reason": EVIL}
    page = status_page(described(failure=failure), [], Traffic(), EVIL).decode()
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 2
