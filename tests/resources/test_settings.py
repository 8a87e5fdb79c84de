"""What the environment may say, and what follows from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.errors import SettingsError
from resources.settings import Settings


def test_the_defaults_are_those_of_a_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.home == tmp_path / "var"
    assert settings.environment == "local"
    assert (settings.endpoint_port, settings.dagster_port, settings.mlflow_port) == (8080, 3000, 5000)
    assert settings.storage_options == {}


def test_all_state_is_under_home(home: Path) -> None:
    settings = Settings()
    assert settings.home == home
    places = [Path(settings.landing_root), Path(settings.lake_root), settings.mlflow_home, settings.dagster_home]
    places += [settings.reports_home, settings.serving_home, settings.run_home, settings.logs_home, settings.bench_home]
    assert {place.parent for place in places} == {home}
    assert len(set(places)) == 9


def test_a_relative_home_is_made_absolute_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", "state")
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "state"
    assert settings.lake_root == str(tmp_path / "state" / "lake")


def test_a_tilde_is_the_persons_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(home="~/line").home == tmp_path / "line"


def test_landing_and_lake_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THROUGHLINE_LANDING", "s3://bucket/landing")
    monkeypatch.setenv("THROUGHLINE_LAKE", "elsewhere")
    settings = Settings()
    assert settings.landing_root == "s3://bucket/landing"
    assert settings.lake_root == str(tmp_path / "elsewhere")


def test_an_s3_that_is_not_amazons_is_passed_to_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert Settings().storage_options == {"aws_endpoint_url": "http://127.0.0.1:9000", "aws_allow_http": "true"}


def test_an_argument_wins_over_the_environment(home: Path, tmp_path: Path) -> None:
    assert Settings(home=tmp_path / "other", endpoint_port=81).home == tmp_path / "other"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_ENDPOINT_PORT", "")
    monkeypatch.setenv("THROUGHLINE_LAKE", "")
    assert Settings().endpoint_port == 8080
    assert Settings().lake is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("THROUGHLINE_ENDPOINT_PORT", "many"),
        ("THROUGHLINE_ENDPOINT_PORT", "70000"),
        ("THROUGHLINE_MLFLOW_PORT", "0"),
        ("THROUGHLINE_ENVIRONMENT", "moon"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"^{variable} is '{value}': input should be [^\n]*$"):
        Settings()


def test_two_programs_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_MLFLOW_PORT", "3000")
    with pytest.raises(SettingsError, match="THROUGHLINE_DAGSTER_PORT and THROUGHLINE_MLFLOW_PORT are both 3000"):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().endpoint_port = 1


def test_nothing_is_read_on_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_ENDPOINT_PORT", "many")
    subprocess.run([sys.executable, "-c", "import resources.settings"], check=True)
