"""What the environment may say, and what follows from it."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from resources.environments import resources_for
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
    places += [settings.notices_home]
    assert {place.parent for place in places} == {home}
    assert len(set(places)) == 10


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


MAIL = {"THROUGHLINE_SMTP_HOST": "mail", "THROUGHLINE_SMTP_FROM": "a@b.c", "THROUGHLINE_SMTP_TO": "d@e.f, g@h.i"}
LOGIN = {"THROUGHLINE_SMTP_USER": "anna", "THROUGHLINE_SMTP_PASSWORD": "hush"}


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_variables_notices_go_to_the_log_alone(home: Path) -> None:
    notifier = resources_for(Settings())["notifier"]
    assert (notifier.root, notifier.webhook_variable, notifier.mail) == (str(home / "notices"), None, None)


def test_a_webhook_and_mail_are_set_by_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**MAIL, **LOGIN, "THROUGHLINE_WEBHOOK_URL": "https://hooks/secret-path"})
    notifier = resources_for(Settings())["notifier"]
    assert notifier.webhook_variable == "THROUGHLINE_WEBHOOK_URL"
    assert (notifier.mail.host, notifier.mail.port, notifier.mail.tls) == ("mail", 587, "starttls")
    assert notifier.mail.to == ["d@e.f", "g@h.i"]


def test_secrets_are_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**MAIL, **LOGIN, "THROUGHLINE_WEBHOOK_URL": "https://hooks/secret-path"})
    settings = Settings()
    shown = f"{settings!r} {resources_for(settings)['notifier']!r} {settings.model_dump_json()}"
    assert "hush" not in shown
    assert "secret-path" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks/secret-path",
        "https:///secret-path",
        "https://hooks/secret-path with more",
        "https://hooks/secret-path\n",
        "https://hooks/secret-path\u00e9",
        "https://[hooks/secret-path",
        "https://hooks:secret-path/",
        "https://hooks:0/secret-path",
        "https://secret-path@hooks/",
    ],
)
def test_a_webhook_that_is_no_web_address_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    given(monkeypatch, {"THROUGHLINE_WEBHOOK_URL": url})
    with pytest.raises(SettingsError, match=r"^THROUGHLINE_WEBHOOK_URL is no address") as error:
        Settings()
    assert "secret-path" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("url", ["https://hooks.example.com/a/B?c=%20d", "http://127.0.0.1:8065/x", "https://[::1]:1/"])
def test_a_webhook_may_be_any_web_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    given(monkeypatch, {"THROUGHLINE_WEBHOOK_URL": url})
    assert Settings().webhook_url is not None


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"THROUGHLINE_WEBHOOK_URL": "secret-path"}, "WEBHOOK_URL is no address"),
        ({"THROUGHLINE_SMTP_HOST": "mail"}, "SMTP_FROM and THROUGHLINE_SMTP_TO"),
        ({**MAIL, "THROUGHLINE_SMTP_USER": "anna"}, "only one is set"),
        ({**MAIL, **LOGIN, "THROUGHLINE_SMTP_TLS": "off"}, "in the clear"),
    ],
)
def test_notices_that_could_not_be_sent_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    given(monkeypatch, variables)
    with pytest.raises(SettingsError, match=told) as error:
        Settings()
    assert "secret-path" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("WORKERS", "0"), ("LOG", "perhaps")])
def test_what_an_endpoint_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"THROUGHLINE_ENDPOINT_{name}", value)
    with pytest.raises(SettingsError, match=f"THROUGHLINE_ENDPOINT_{name}"):
        Settings()
