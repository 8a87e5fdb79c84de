"""Dagster's user interface as a person meets it: real webserver, daemon and Chromium, over a small fed home."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from pipelines import services
from pipelines.flight_delays.definitions import defs
from resources.lake import Lake
from resources.settings import Settings
from tests.support.browser import PATIENCE_MS, browser_page
from tests.support.small_line import LAST_DAY, small_home

PLANES: Final = 3_322
"""Rows of the register of aircraft."""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with one day landed, and the programs of `throughline up`."""
    with small_home(tmp_path_factory.mktemp("browser") / "var", since=LAST_DAY) as settings:
        try:
            services.up(settings, print)
            yield settings
        finally:
            services.stop(settings, print)


def test_the_asset_graph_shows_the_whole_line(settings: Settings, tmp_path: Path) -> None:
    with browser_page(tmp_path) as page:
        # The page of all use cases shows one box for each of them; a group has a graph of its own.
        group = f"http://127.0.0.1:{settings.dagster_port}/locations/flight_delays/asset-groups/flight_delays"
        page.goto(f"{group}/list")
        page.set_viewport_size({"width": 1600, "height": 2600})  # rows out of sight are not there
        assets = sorted(key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys())
        for name in assets:
            expect(page.locator(f'a[href="/assets/flight_delays/{name}"]').first).to_be_visible()
        page.goto(f"{group}/lineage")
        nodes = page.locator("svg foreignObject")
        expect(nodes).to_have_count(len(assets))
        for name in ("raw_flights", "features", "champion", "endpoint"):  # the graph itself shortens long names
            expect(nodes.get_by_text(name, exact=True)).to_be_visible()


def test_a_materialisation_launched_by_a_click_succeeds(settings: Settings, tmp_path: Path) -> None:
    with browser_page(tmp_path) as page:
        page.goto(f"http://127.0.0.1:{settings.dagster_port}/assets/flight_delays/raw_planes")
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_text("View", exact=True).last.click()  # in the notice that a run was launched
        page.wait_for_url("**/runs/*")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible()
        # What the run says reaches the page while it is open.
        expect(page.get_by_text("RUN_SUCCESS", exact=True)).to_be_visible()

        page.goto(f"http://127.0.0.1:{settings.dagster_port}/assets/flight_delays/raw_planes")
        expect(page.get_by_text(f"{PLANES:,}", exact=True).first).to_be_visible()
        assert Lake(root=settings.lake_root).scan("flight_delays/raw_planes").collect().height == PLANES
