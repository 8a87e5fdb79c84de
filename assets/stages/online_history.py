"""`online_history`: what the endpoint knows of the past, brought up to the lake without another model.

Belongs here: handing newer tables to the server. Does not belong here: which days they hold (`endpoint.py`), what the
server makes of them, and when this runs (`pipelines/history_jobs.py`).
"""

from typing import Final

import dagster as dg

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.stages.common import RETRY_IO, asset_facts, asset_key, table_name
from assets.stages.endpoint import online_tables
from resources.lake import Lake
from resources.serving.client import Endpoint

NAME: Final = "online_history"


def build_online_history(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that gives the versions that answer the newest cleaned tables."""
    key = asset_key(use_case, NAME)

    @dg.asset(
        key=key,
        deps=[asset_key(use_case, name) for name in ("endpoint", *_tables(use_case))],
        **asset_facts(use_case, NAME, "polars"),
        description="The last days of the cleaned tables, as the endpoint holds them to make features of a question.",
        code_version=code_version(__name__),
        retry_policy=RETRY_IO,
    )
    def online_history(
        context: dg.AssetExecutionContext, lake: Lake, endpoint_server: Endpoint
    ) -> dg.MaterializeResult[None]:
        versions = table_versions(use_case, lake)  # before they are read: what comes meanwhile is taken in next time
        tables = online_tables(use_case, lake)
        control = endpoint_server.control(use_case.name)
        is_news = control.refresh(tables, by=f"Dagster run {context.run.run_id}")
        context.log.info("the endpoint knows more now" if is_news else "the endpoint knew all of it")
        rows = {f"rows_{name}": len(frame) for name, frame in tables.items()}
        return dg.MaterializeResult(metadata={"is_news": is_news, "table_versions": versions, **rows})

    return online_history


def table_versions(use_case: UseCase, lake: Lake) -> dict[str, int | None]:
    """Delta versions of the cleaned tables by name; None for one that nothing has come to yet."""
    return {name: lake.version(table_name(use_case, name)) for name in _tables(use_case)}


def _tables(use_case: UseCase) -> list[str]:
    return [f"cleaned_{table.name}" for table in use_case.tables]
