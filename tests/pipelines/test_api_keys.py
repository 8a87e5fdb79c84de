"""`throughline key` as a person types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.cli import app
from resources.serving.keys import KeyFile, Keyring


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    (tmp_path / "serving" / "parcels").mkdir(parents=True)


def throughline(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["key", *arguments])


def test_the_printed_key_is_one(tmp_path: Path) -> None:
    made = throughline("add", "parcels", "billing", "--requests-per-s", "5").stdout.strip()
    keyring = Keyring(KeyFile(tmp_path / "serving" / "parcels"), are_needed=False)
    assert keyring.are_needed()
    found = keyring.find(made)
    assert found is not None
    assert (found.name, found.requests_per_s) == ("billing", 5.0)


def test_keys_are_listed_by_name_and_never_shown() -> None:
    made = throughline("add", "parcels", "billing", "--days", "30").stdout.strip()
    listed = throughline("list", "parcels").stdout
    assert listed.startswith("billing: no limit, until ")
    assert made not in listed


def test_a_removed_key_is_gone() -> None:
    throughline("add", "parcels", "billing")
    assert throughline("remove", "parcels", "billing").stdout == "1 key of billing taken away\n"
    assert throughline("list", "parcels").stdout == ""


def test_no_key_is_made_for_a_use_case_that_there_is_not(tmp_path: Path) -> None:
    made = throughline("add", "parcles", "billing")
    assert made.exit_code == 1
    assert "there is no use case 'parcles'; known are" in str(made.exception)
    assert not (tmp_path / "serving" / "parcles").exists()


def test_taking_away_what_is_not_there_is_an_error() -> None:
    assert throughline("remove", "parcels", "billing").exit_code == 1
