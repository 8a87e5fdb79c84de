"""A value stays inside its cell, whatever it holds."""

import pytest

from assets.reports import markdown


def test_a_table_has_a_head_a_line_and_rows() -> None:
    assert markdown.table(["a", "b"], [[1, "x"], [2.5, None]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 |  |"


@pytest.mark.parametrize("value", ["one\ntwo", "one\r\ntwo", "one\u2028two"])
def test_a_line_break_does_not_end_the_row(value: str) -> None:
    assert markdown.table(["a"], [[value]]).split("\n")[2] == "| one two |"


def test_a_bar_does_not_end_the_cell() -> None:
    assert markdown.table(["a"], [["one|two"]]).split("\n")[2] == "| one\\|two |"


def test_no_rows_leave_the_head() -> None:
    assert markdown.table(["a"], []) == "| a |\n| --- |"
