"""What is measured: the use case that ships with this project, or a small form of it.

Belongs here: how the small form differs, and how both forms of the line are shown to have done the same work. Does not
belong here: measuring.
"""

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from assets.automation import Automation, RetrainingPolicy
from assets.contracts import UseCase
from assets.policies import PromotionPolicy, TimeSplit, TrainerSpec
from assets.stages.common import table_name
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.lake import Lake
from resources.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A use case, and up to when its files have landed."""

    name: str
    use_case: UseCase
    until: date


DEFAULT: Final = Subject(name="default", use_case=FLIGHT_DELAYS, until=date(2013, 8, 31))
"""The default run: 243 days, three families, the default search."""
QUICK: Final = Subject(
    name="quick",
    use_case=replace(
        FLIGHT_DELAYS,
        split=TimeSplit(validation=timedelta(days=5), test=timedelta(days=7)),
        trainers=(TrainerSpec(family="logistic_regression", search_trials=0),),
        # A model of two weeks is not good, and nothing here depends on that.
        promotion=PromotionPolicy(minimum_rows=1, confidence=0.6, calibration_limit=1.0, slice_margin=10.0),
        # A daemon must answer an alarm at once, and nothing else.
        automation=Automation(
            retraining=RetrainingPolicy(triggers=frozenset({"drift"}), cool_down=timedelta(0), per_week=99)
        ),
    ),
    until=date(2013, 1, 31),
)
"""A month, one family, no search: shows that the bench works, and measures nothing of interest."""
YEAR: Final = Subject(
    name="year",
    use_case=replace(
        FLIGHT_DELAYS,
        trainers=(TrainerSpec(family="logistic_regression", search_trials=0),),
        # What is measured on it is what watches a model, whichever it is.
        promotion=PromotionPolicy(minimum_rows=1, confidence=0.6, calibration_limit=1.0, slice_margin=10.0),
    ),
    until=date(2013, 12, 31),
)
"""All there is, one family, no search: what automation is measured on."""
SUBJECTS: Final = {subject.name: subject for subject in (DEFAULT, QUICK, YEAR)}


def work_done(use_case: UseCase, settings: Settings) -> dict[str, object]:
    """Rows of every table and models judged: equal for the line and the script that repeats it."""
    lake = Lake(root=settings.lake_root, storage_options=settings.storage_options)
    kinds = ("raw", "cleaned", "quarantined")
    names = [f"{kind}_{table.name}" for table in use_case.tables for kind in kinds] + ["features", "predictions"]
    rows = {name: lake.scan(table_name(use_case, name)).select(pl.len()).collect().item() for name in names}
    latest = Path(settings.reports_home, use_case.name, "evaluation_report", "latest.json")
    report = json.loads(latest.read_text(encoding="utf-8"))
    return {"rows": rows, "models": sorted(report["models"])}
