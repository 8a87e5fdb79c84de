"""Which resources a deployment environment uses.

Belongs here: the mapping from `local`, `staging`, `production` to resources. Does not belong here: what a resource
does. No code outside this module asks which environment it is in.
"""

from typing import Any

from resources.clock import Clock
from resources.evidently_workspace import EvidentlyWorkspace
from resources.lake import Lake
from resources.landing import LandingZone
from resources.notifier import Mail, Notifier
from resources.registry import MlflowModelRegistry
from resources.reports import Reports
from resources.serving.client import Endpoint
from resources.settings import PREFIX, Settings
from resources.values import JsonValues


def resources_for(settings: Settings) -> dict[str, Any]:
    """The resources by the names under which assets ask for them."""
    return {
        "clock": Clock(),
        "landing": LandingZone(root=settings.landing_root),
        "lake": Lake(root=settings.lake_root, storage_options=settings.storage_options),
        "registry": MlflowModelRegistry(
            tracking_uri=f"sqlite:///{settings.mlflow_home / 'mlflow.db'}",
            artifact_root=str(settings.mlflow_home / "artifacts"),
            ui_url=f"http://127.0.0.1:{settings.mlflow_port}",
        ),
        "notifier": _notifier(settings),
        "evidently_workspace": EvidentlyWorkspace(root=str(settings.evidently_home)),
        "reports": Reports(root=str(settings.reports_home)),
        "endpoint_server": Endpoint(
            host="127.0.0.1",
            port=settings.endpoint_port,
            reserved=settings.reserved_ports,
            state_root=str(settings.serving_home),
            home=str(settings.home),
            workers=settings.endpoint_workers,
            log=settings.endpoint_log,
        ),
        "io_manager": JsonValues(root=str(settings.home / "values")),
    }


def _notifier(settings: Settings) -> Notifier:
    mail = None
    if settings.smtp_host is not None and settings.smtp_from is not None:
        mail = Mail(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            user=settings.smtp_user,
            password_variable=f"{PREFIX}SMTP_PASSWORD" if settings.smtp_password else None,
            sender=settings.smtp_from,
            to=settings.recipients,
        )
    return Notifier(
        root=str(settings.notices_home),
        dagster_url=settings.dagster_url,
        webhook_variable=f"{PREFIX}WEBHOOK_URL" if settings.webhook_url else None,
        mail=mail,
    )
