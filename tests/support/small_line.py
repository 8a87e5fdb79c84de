"""The line of the flights over six weeks: everything real, in a state folder and on ports of its own."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from assets.policies import PromotionPolicy, TimeSplit
from pipelines import services
from pipelines.flight_delays.feed import publish
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.objects import ObjectStore
from resources.settings import Settings
from tests.support.serving import free_port

FIRST_DAY, LAST_DAY = date(2013, 5, 13), date(2013, 6, 23)
WEEK = timedelta(days=7)
PREPARED = (
    "DAGSTER_HOME",
    "DAGSTER_DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_LOGGING_LEVEL",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
)
"""What `services.prepare_environment` sets."""
TEST_DAYS = [str(LAST_DAY - timedelta(days=back)) for back in reversed(range(WEEK.days))]

FEW_STEPS = {"catboost": {"iterations": 120}, "neural_network": {"epochs": 5}}
SMALL_FLIGHT_DELAYS = dataclasses.replace(
    FLIGHT_DELAYS,
    split=TimeSplit(validation=WEEK, test=WEEK),
    # The search scores fortnights and takes minutes; it has tests of its own. Four weeks are learnt after few steps.
    trainers=tuple(
        dataclasses.replace(spec, search_trials=0, parameters=FEW_STEPS.get(spec.family, {}))
        for spec in FLIGHT_DELAYS.trainers
    ),
    # The limits of the product are for a test month. One week has one kind of weather: its AUC lies up to .1 beside
    # that of the month, and probabilities calibrated on the week before are off by more than 5 %.
    promotion=PromotionPolicy(leakage_ceiling=0.90, calibration_limit=0.20),
)
"""The declaration that ships, cut to weeks. Serving looks at nothing that differs, so the server loads the original."""


@contextmanager
def small_home(home: Path, since: date = FIRST_DAY) -> Iterator[Settings]:
    """A state folder in which the weeks have landed, and the environment that every command prepares; put back after.

    Nothing but the environment is put back: whoever starts programs ends them with `services.stop`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THROUGHLINE_HOME", str(home))
        for name in ("ENDPOINT", "DAGSTER", "MLFLOW"):
            patch.setenv(f"THROUGHLINE_{name}_PORT", str(free_port()))
        for name in PREPARED:
            patch.setenv(name, "")  # so that what the commands set is put back
        settings = Settings()
        services.prepare_environment(settings)
        publish(ObjectStore(settings.landing_root), since=since, until=LAST_DAY)
        yield settings
