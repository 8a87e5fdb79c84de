"""Every use case has a port of its own, and keeps it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving.ports import FILE, allotted, port_of


def test_use_cases_get_ports_in_the_order_of_their_first_use_and_keep_them(tmp_path: Path) -> None:
    ports = [port_of(name, home=tmp_path, base=8080) for name in ("zebras", "apes", "zebras", "apes", "mice")]
    assert ports == [8080, 8081, 8080, 8081, 8082]
    assert allotted(tmp_path) == ["zebras", "apes", "mice"]


def test_another_state_folder_begins_anew(tmp_path: Path) -> None:
    port_of("zebras", home=tmp_path / "one", base=8080)
    assert port_of("apes", home=tmp_path / "two", base=8080) == 8080


def test_ports_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    found = [port_of(name, home=tmp_path, base=4999, reserved=(3000, 5000)) for name in ("zebras", "apes", "mice")]
    assert found == [4999, 5001, 5002]


def test_a_moved_base_moves_all(tmp_path: Path) -> None:
    for name in ("zebras", "apes"):
        port_of(name, home=tmp_path, base=8080)
    assert [port_of(name, home=tmp_path, base=9000) for name in ("apes", "zebras")] == [9001, 9000]


def test_of_many_at_once_no_two_get_the_same_port(tmp_path: Path) -> None:
    names = [f"use_case_{n}" for n in range(24)]
    with ThreadPoolExecutor(12) as pool:
        asked = list(pool.map(lambda name: port_of(name, home=tmp_path, base=8080), names * 3))
    assert sorted(set(asked)) == list(range(8080, 8104))
    assert asked[:24] == asked[24:48] == asked[48:]


def test_without_a_port_left_the_variable_is_named(tmp_path: Path) -> None:
    assert port_of("zebras", home=tmp_path, base=65535) == 65535
    with pytest.raises(EndpointError, match="no port is left for 'apes' from 65535 on; set THROUGHLINE_ENDPOINT_PORT"):
        port_of("apes", home=tmp_path, base=65535)


@pytest.mark.parametrize("content", ["{", "[1]", '{"zebras": "first"}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(EndpointError, match=rf"{FILE} does not hold endpoints"):
        port_of("zebras", home=tmp_path, base=8080)


def test_a_name_that_cannot_be_one_gets_no_port(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="cannot be the name of a use case"):
        port_of("../zebras", home=tmp_path, base=8080)
    assert not (tmp_path / "run").exists()


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    port_of("zebras", home=tmp_path, base=8080)
    assert json.loads((tmp_path / "run" / FILE).read_text(encoding="utf-8")) == {"zebras": 0}
