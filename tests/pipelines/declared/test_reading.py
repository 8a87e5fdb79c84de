"""Mistakes in a declaration are told by file, line and field, with what is allowed."""

from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.declared.reading import DeclaredError, parse
from pipelines.declared.words import length, written

LEAST = "source: {uri: a.csv}\ntime: {column: at}\ntarget: {column: y, task: binary}\n"


def told(text: str) -> list[str]:
    with pytest.raises(DeclaredError) as caught:
        parse(text, "use_case.yaml")
    return str(caught.value).splitlines()


def test_source_time_and_target_are_enough() -> None:
    assert parse(LEAST, "use_case.yaml").declaration.target.column == "y"


def test_an_unknown_field_is_told_with_line_near_name_and_what_is_allowed() -> None:
    assert told(LEAST + "partitons: {every: day}\n")[0].startswith(
        "use_case.yaml:4 field partitons: there is no such field; did you mean 'partitions'? Allowed are"
    )


def test_a_field_deep_inside_is_told_with_its_own_line() -> None:
    text = LEAST + "columns:\n  price:\n    type: number\n    mim: 0\n"
    assert told(text)[0].startswith(
        "use_case.yaml:7 field columns.price.mim: there is no such field; did you mean 'min'?"
    )


def test_an_item_of_a_list_is_told_with_its_own_line() -> None:
    text = LEAST + "features:\n  lags:\n    - {column: y, ago: [1d]}\n    - {column: y, ago: [soon]}\n"
    (sentence,) = told(text)
    assert sentence.startswith("use_case.yaml:7 field features.lags[1].ago[0]: 'soon' is no length of time; write one")


def test_a_word_outside_a_choice_is_told_with_the_choice() -> None:
    (sentence,) = told(LEAST.replace("binary", "binery"))
    assert sentence == (
        "use_case.yaml:3 field target.task: is 'binery'; did you mean 'binary'? "
        "Allowed are binary, multiclass, regression, count"
    )


def test_a_missing_field_is_told() -> None:
    assert told("source: {uri: a.csv}\ntime: {column: at}\n") == [
        "use_case.yaml:1 field target: is missing, and has no default"
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = told(LEAST.replace("column: at", "column: at, zon: UTC") + "key: id\nslices: 3\n")
    assert [line.split(" ")[0].rpartition(":")[2] for line in lines] == ["2", "4", "5"]


def test_a_field_that_stands_twice_is_refused() -> None:
    assert told(LEAST + "key: [a]\nkey: [b]\n") == ["use_case.yaml:4 field key: stands twice, also in line 5"]


def test_what_is_no_yaml_is_told_with_its_line() -> None:
    assert told("source: {uri: a.csv}\ntime: [\n")[0].startswith("use_case.yaml:3 is no YAML")


def test_an_empty_file_says_what_it_needs() -> None:
    assert told("") == ["use_case.yaml:1 holds no fields; it needs at least source, time and target"]


def test_yes_and_no_are_texts_as_the_table_has_them() -> None:
    assert parse(LEAST.replace("binary", "binary, positive: yes"), "f").declaration.target.positive == "yes"


def test_a_number_with_zeros_in_front_is_no_octal_number() -> None:
    assert parse(LEAST.replace("binary", "binary, positive: 010"), "f").declaration.target.positive == 10


def test_exactly_one_origin_is_asked_for() -> None:
    (sentence,) = told(LEAST.replace("uri: a.csv", "uri: a.csv, delta: b"))
    assert sentence == ("use_case.yaml:1 field source: needs exactly one of uri, delta, sql, pattern; got uri, delta")


def test_a_limit_on_text_is_refused() -> None:
    (sentence,) = told(LEAST + "columns:\n  shop: {min: 3}\n")
    assert sentence == "use_case.yaml:5 field columns.shop: min and max are for integer and number, and this is text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24h", timedelta(days=1)), ("1d 12h", timedelta(hours=36)), ("2w", timedelta(14)), ("0h", timedelta(0))],
)
def test_lengths_of_time_are_read(text: str, expected: timedelta) -> None:
    assert length(text) == expected


@pytest.mark.parametrize("time", [timedelta(0), timedelta(days=7), timedelta(hours=36), timedelta(minutes=90)])
def test_a_written_length_reads_back(time: timedelta) -> None:
    assert length(written(time)) == time


def test_the_path_of_the_file_stands_in_front(tmp_path: Path) -> None:
    from pipelines.declared.reading import read

    path = tmp_path / "use_case.yaml"
    path.write_text(LEAST + "ownr: me\n")
    with pytest.raises(DeclaredError, match=f"^{path}:4 field ownr"):
        read(path)
