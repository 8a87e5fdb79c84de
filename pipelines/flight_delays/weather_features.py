"""The weather at the airport of departure, as the latest observation told it that had reached us.

Belongs here: all that is looked up in the weather table. Does not belong here: forecasts, which nobody delivers.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History, Spine
from pipelines.flight_delays.history_features import Floats

WEATHER_WITHIN: Final = timedelta(hours=6)
"""An older observation is no news of today's weather."""
WEATHER: Final = {
    "temp_f": "Temperature in degrees Fahrenheit",
    "dewp_f": "Dew point in degrees Fahrenheit",
    "humid_pct": "Relative humidity in percent",
    "wind_dir_deg": "Direction the wind comes from in degrees",
    "wind_speed_mph": "Wind speed in miles per hour",
    "wind_gust_mph": "Speed of gusts in miles per hour, missing if there were none",
    "precip_in": "Precipitation of the hour in inches",
    "pressure_mb": "Pressure at sea level in millibars",
    "visib_mi": "Visibility in miles",
}
HAS_RAIN: Final = pl.col("precip_in").is_not_null()
RAIN: Final = {"hundredths": (pl.col("precip_in") * 100).round().cast(pl.Int64)}
"""Rain in hundredths of an inch, the unit it is measured in: whole numbers add up the same from any first hour."""
EXPRESSIONS: Final = (
    *(pl.col(name) for name in WEATHER),
    ((pl.col(PREDICTION_TIME) - pl.col("observed_at")).dt.total_seconds() / 3600).alias("weather_age_h"),
)
"""The features of `declared` but for the rain, over `prediction_time` and what was `found`."""


def declared() -> Iterator[Feature]:
    """The declarations."""
    for n, d in WEATHER.items():
        yield Feature(name=n, kind="numeric", group="weather", description=f"{d}, as known")
    yield Feature(
        name="precip_in_6h", kind="numeric", group="weather", description="Precipitation known in the last 6 hours"
    )
    yield Feature(
        name="weather_age_h", kind="numeric", group="weather", description="Hours since that weather was observed"
    )


def found(asked: Spine, history: History) -> list[pl.Series]:
    """What `EXPRESSIONS` read besides the asking rows: the latest observation at the origin that had reached us."""
    columns = [*WEATHER, "observed_at"]
    latest = history.latest(asked, table="weather", by=["origin"], columns=columns, tolerance=WEATHER_WITHIN)
    return latest.get_columns()


def values(asked: Spine, history: History) -> dict[str, Floats]:
    """The rain of the last hours; NaN if nothing was observed."""
    rain = history.windows(
        asked,
        table="weather",
        clock="known_at",
        by=["origin"],
        since={"6h": WEATHER_WITHIN},
        sums=RAIN,
        where=HAS_RAIN,
    )["6h"]
    return {"precip_in_6h": np.where(rain["count"] > 0, rain["hundredths"] / 100, np.nan)}
