"""What the environment says, read once and typed.

Belongs here: every variable the project understands, its default, and the folders that follow from it.
Does not belong here: which resources are built from them (`environments.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from resources.errors import SettingsError

PREFIX = "THROUGHLINE_"
Port = Annotated[int, Field(ge=1, le=65535)]


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


def _absolute_unless_remote(root: str | None) -> str | None:
    return root if root is None or "://" in root else str(_absolute(Path(root)))


Root = Annotated[str | None, AfterValidator(_absolute_unless_remote)]


class Settings(BaseSettings):
    """The settings of this process: arguments first, then `THROUGHLINE_*` variables, then defaults.

    An empty variable counts as not set. Read when it is made, never on import.

    Attributes:
        home: Folder of all state of the laptop form; deleting it gives a fresh start. Relative to the working
            directory.
        environment: Which set of resources is used.
        endpoint_port: Where the endpoint of the first use case answers; those of the others have the ports after it.
        endpoint_workers: Processes that answer for each use case.
        endpoint_log: `durable`: an endpoint answers once its answer is on disk; `fast`: it never waits for that.
        dagster_port: Where Dagster's user interface answers.
        mlflow_port: Where MLflow's user interface answers.
        evidently_port: Where Evidently's user interface answers, once it is asked for.
        landing: Landing zone, a folder or `s3://bucket/prefix`; None: under `home`.
        lake: Lake, a folder or `s3://bucket/prefix`; None: under `home`.
        s3_endpoint: `AWS_ENDPOINT_URL`, for an S3 that is not Amazon's.
        webhook_url: Incoming webhook, as Slack's, that gets every notice; None: none.
        smtp_host: Mail server by which every notice is mailed from `smtp_from` to `smtp_to`; None: no mail.
        smtp_tls: `starttls` demands the switch to TLS, `tls` speaks it from the first byte (usually port 465).
        smtp_user: Whom to log in as, with `smtp_password`.
        smtp_to: Recipients, with commas in between.

    Raises:
        SettingsError: If a value is not allowed, naming the variable.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, populate_by_name=True)

    home: Annotated[Path, AfterValidator(_absolute)] = Field(default=Path("var"), validate_default=True)
    environment: Literal["local"] = "local"
    endpoint_port: Port = 8080
    endpoint_workers: Annotated[int, Field(ge=1, le=64)] = 1
    endpoint_log: Literal["fast", "durable"] = "fast"
    dagster_port: Port = 3000
    mlflow_port: Port = 5000
    evidently_port: Port = 8000
    landing: Root = None
    lake: Root = None
    s3_endpoint: str | None = Field(default=None, validation_alias="AWS_ENDPOINT_URL")
    webhook_url: SecretStr | None = None
    smtp_host: str | None = None
    smtp_port: Port = 587
    smtp_tls: Literal["starttls", "tls", "off"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = None
    smtp_to: str | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise SettingsError(_sentence(first["loc"], first["msg"], first["input"])) from error

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        programs = ("ENDPOINT", "DAGSTER", "MLFLOW", "EVIDENTLY")
        ports = {f"{PREFIX}{n}_PORT": getattr(self, f"{n.lower()}_port") for n in programs}
        for name, port in ports.items():
            if shared := [other for other, same in ports.items() if same == port and other != name]:
                raise SettingsError(f"{name} and {shared[0]} are both {port}; give each a port of its own")
        return self

    @model_validator(mode="after")
    def _notices_can_be_sent(self) -> "Settings":
        if self.webhook_url is not None and not _is_web_address(self.webhook_url.get_secret_value()):
            raise SettingsError(
                f"{PREFIX}WEBHOOK_URL is no address such as https://host/path, in ASCII, without white space and user, "
                "and with a number for its port, if it has one"
            )
        if self.smtp_host is not None and not (self.smtp_from and self.recipients):
            raise SettingsError(f"{PREFIX}SMTP_HOST is set, so {PREFIX}SMTP_FROM and {PREFIX}SMTP_TO must be as well")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise SettingsError(f"of {PREFIX}SMTP_USER and {PREFIX}SMTP_PASSWORD only one is set; a login needs both")
        if self.smtp_password is not None and self.smtp_tls == "off":
            raise SettingsError(f"{PREFIX}SMTP_TLS is off, which would send {PREFIX}SMTP_PASSWORD in the clear")
        return self

    @property
    def recipients(self) -> list[str]:
        """Who gets mail."""
        return [address for address in (a.strip() for a in (self.smtp_to or "").split(",")) if address]

    @property
    def dagster_url(self) -> str:
        """Where Dagster's user interface answers."""
        return f"http://127.0.0.1:{self.dagster_port}"

    @property
    def reserved_ports(self) -> list[int]:
        """Ports that no endpoint may have."""
        return [self.dagster_port, self.mlflow_port, self.evidently_port]

    @property
    def landing_root(self) -> str:
        """Where files land."""
        return self.landing or str(self.home / "landing")

    @property
    def lake_root(self) -> str:
        """Where the tables are."""
        return self.lake or str(self.home / "lake")

    @property
    def storage_options(self) -> dict[str, str]:
        """What the lake needs besides the usual AWS variables; empty for Amazon's own S3 and for local folders."""
        if self.s3_endpoint is None:
            return {}
        return {
            "aws_endpoint_url": self.s3_endpoint,
            "aws_allow_http": str(self.s3_endpoint.startswith("http://")).lower(),
        }

    @property
    def mlflow_home(self) -> Path:
        """MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.home / "dagster"

    @property
    def reports_home(self) -> Path:
        """Reports people read."""
        return self.home / "reports"

    @property
    def evidently_home(self) -> Path:
        """Evidently's workspace: the history of drift."""
        return self.home / "evidently"

    @property
    def serving_home(self) -> Path:
        """What the endpoint serves and logs."""
        return self.home / "serving"

    @property
    def notices_home(self) -> Path:
        """What people were told."""
        return self.home / "notices"

    @property
    def run_home(self) -> Path:
        """Process ids of what was started."""
        return self.home / "run"

    @property
    def logs_home(self) -> Path:
        """Output of what was started."""
        return self.home / "logs"

    @property
    def bench_home(self) -> Path:
        """Measurements."""
        return self.home / "bench"


def _is_web_address(text: str) -> bool:
    """Whether a text can be posted to as it stands."""
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:  # its message quotes the text
        return False
    # The text itself is looked at, as the parts have lost some of its white space.
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return is_plain and has_place and parts.scheme in ("http", "https") and "@" not in parts.netloc


def _sentence(where: Sequence[int | str], why: str, value: object) -> str:
    name = str(where[0]) if where else "the settings"
    variable = name if name.isupper() else f"{PREFIX}{name}".upper()
    return f"{variable} is {value!r}: {why[0].lower()}{why[1:]}"
