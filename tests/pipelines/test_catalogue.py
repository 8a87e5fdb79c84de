"""Use cases are found by name, in either form, and what is wrong with one is said in a sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipelines
from assets.contracts import UseCase
from pipelines import catalogue
from pipelines.catalogue import CatalogueError
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from pipelines.served import load_service
from resources.errors import EndpointError, ThroughlineError
from resources.objects import ObjectStore

ZEBRAS = """
from dataclasses import replace
from tests.support.toy_use_case import TOY
ZEBRAS = replace(TOY, name="zebras")
"""
FEED = """
def deliver(landing, echo):
    landing.write("zebras.csv", b"stripes")
    echo("delivered")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which use cases are found as well as beside the catalogue."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith(("pipelines.zebra", "pipelines.apes"))]:
        del sys.modules[name]


def write(place: Path, name: str, **files: str) -> Path:
    folder = place / name
    folder.mkdir()
    for stem, text in files.items():
        (folder / stem.replace("_yaml", ".yaml").replace("_py", ".py")).write_text(text, encoding="utf-8")
    return folder


def test_what_ships_is_found() -> None:
    assert "flight_delays" in catalogue.names()
    assert catalogue.use_case("flight_delays") is FLIGHT_DELAYS
    assert "flight_delays" in catalogue.in_workspace()


def test_a_folder_with_either_form_is_a_use_case_and_any_other_is_not(place: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS)
    write(place, "apes", use_case_yaml="")
    write(place, "helpers", helper_py="")
    assert {"zebras", "apes"} <= set(catalogue.names())
    assert "helpers" not in catalogue.names()


def test_a_use_case_in_python_is_the_constant_of_its_name(place: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS)
    assert catalogue.use_case("zebras").name == "zebras"
    assert isinstance(catalogue.use_case("zebras"), UseCase)


def test_an_unknown_name_is_told_with_the_near_one() -> None:
    with pytest.raises(CatalogueError, match="no use case 'flihgt_delays'; did you mean 'flight_delays'"):
        catalogue.use_case("flihgt_delays")
    with pytest.raises(CatalogueError, match=r"no use case 'weather'; known are \[.*'flight_delays'"):
        catalogue.use_case("weather")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("APES = 5", "declares no use case ZEBRAS; it must declare 'zebras'"),
        (ZEBRAS.replace('name="zebras"', 'name="apes"'), "declares the use case 'apes'; it must declare 'zebras'"),
        (ZEBRAS.replace('name="zebras"', 'name="zebras", entity=("colour",)'), r"entity: \['colour'\] is not declared"),
    ],
    ids=["another constant", "another name", "a declaration that cannot work"],
)
def test_a_use_case_that_cannot_be_is_told_with_its_file(place: Path, text: str, why: str) -> None:
    write(place, "zebras", use_case_py=text)
    with pytest.raises(CatalogueError, match=rf"zebras/use_case\.py.*{why}"):
        catalogue.use_case("zebras")


def test_two_declarations_are_one_too_many(place: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS, use_case_yaml="")
    with pytest.raises(CatalogueError, match=r"declared twice, in .*use_case\.py and use_case\.yaml; keep one"):
        catalogue.use_case("zebras")


def test_a_use_case_without_definitions_of_its_own_has_those_that_all_have(place: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS)
    keys = catalogue.definitions("zebras").resolve_asset_graph().get_all_asset_keys()
    assert {key.path[0] for key in keys} == {"zebras"}
    assert {"features", "champion", "endpoint"} <= {key.path[1] for key in keys}


def test_definitions_of_its_own_are_taken_if_there_are_any(place: Path) -> None:
    own = "import dagster as dg\ndefs = dg.Definitions(jobs=[])\n"
    write(place, "zebras", use_case_py=ZEBRAS, definitions_py=own, __init___py="")
    assert not catalogue.definitions("zebras").assets


def test_data_is_delivered_by_a_feed_that_has_a_way(place: Path, tmp_path: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS, feed_py=FEED)
    deliver, told = catalogue.deliver_hook("zebras"), list[str]()
    assert deliver is not None
    deliver(ObjectStore(str(tmp_path / "landing")), told.append)
    assert (told, (tmp_path / "landing" / "zebras.csv").read_bytes()) == (["delivered"], b"stripes")
    assert catalogue.publish_hook("zebras") is None


def test_data_that_lands_by_itself_has_no_feed(place: Path) -> None:
    write(place, "zebras", use_case_py=ZEBRAS)
    assert (catalogue.deliver_hook("zebras"), catalogue.publish_hook("zebras")) == (None, None)


def test_only_locations_of_use_cases_are_in_the_workspace(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, "zebras", use_case_py=ZEBRAS)
    (place / "workspace.yaml").write_text(
        "load_from:\n"
        "  - python_module: {module_name: pipelines.locations, attribute: zebras, location_name: zebras}\n"
        "  - python_module: somebody_elses\n"
        "  - grpc_server: {host: code, port: 4000, location_name: far_away}\n"
        "  - python_module: {module_name: pipelines.flight_delays.definitions, location_name: flight_delays}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(catalogue, "WORKSPACE", place / "workspace.yaml")
    assert catalogue.in_workspace() == ["zebras", "flight_delays"]


def test_the_endpoint_finds_a_use_case_by_its_name_and_notices_a_changed_declaration(place: Path) -> None:
    folder = write(place, "zebras", use_case_py=ZEBRAS)
    service = load_service("zebras")
    assert service.use_case == "zebras"
    assert service.code_is_current()
    (folder / "use_case.py").write_text(f"{ZEBRAS}\nCHANGED = True\n", encoding="utf-8")
    assert not service.code_is_current()


def test_the_endpoint_names_the_near_use_case() -> None:
    with pytest.raises(EndpointError, match=r"--use-case flight_delay: .*did you mean 'flight_delays'"):
        load_service("flight_delay")


ORDERS = """
source: {uri: orders.csv}
table: orders
time: {column: when, format: "%d/%m/%Y %I:%M %p"}
partitions: {start: 2024-01-01}
key: [id]
target: {column: late, task: binary, positive: yes, known_after: 1d}
columns:
  id: {}
  price: {type: number, min: 0}
"""


def test_a_use_case_in_yaml_is_loaded_served_and_watched_like_one_in_python(place: Path) -> None:
    folder = write(place, "zebras", use_case_yaml=ORDERS)
    assert catalogue.use_case("zebras").name == "zebras"
    service = load_service("zebras")
    assert service.code_is_current()
    (folder / "use_case.yaml").write_text(ORDERS.replace("min: 0", "min: 1"), encoding="utf-8")
    assert not service.code_is_current()


def test_a_use_case_in_yaml_is_delivered_from_where_it_says(place: Path, tmp_path: Path) -> None:
    folder = write(place, "zebras", use_case_yaml=ORDERS)
    (folder / "orders.csv").write_text("when,id,price,late\n03/01/2024 02:15 PM,1,2.5,yes\n", encoding="utf-8")
    deliver = catalogue.deliver_hook("zebras")
    assert deliver is not None
    deliver(ObjectStore(str(tmp_path / "landing")), [].append)
    assert [p.name for p in (tmp_path / "landing").rglob("*.parquet")] == ["orders_2024-01-03.parquet"]


def test_a_mistake_in_yaml_is_told_with_its_file(place: Path) -> None:
    write(place, "zebras", use_case_yaml=ORDERS.replace("task: binary", "task: boolean"))
    with pytest.raises(ThroughlineError, match=r"zebras/use_case\.yaml"):
        catalogue.use_case("zebras")
