"""The declaration: will a flight out of New York arrive late, asked two hours before it is to leave?"""

from datetime import date, timedelta

import polars as pl

from assets.contracts import Partitions, Target, UseCase
from assets.policies import PromotionPolicy, TimeSplit, TrainerSpec
from pipelines.flight_delays.features import FEATURES, LOOKBACK, build_features
from pipelines.flight_delays.source import AIRPORTS, FLIGHTS, PLANES, WEATHER

FLIGHT_DELAYS = UseCase(
    name="flight_delays",
    description="Will a flight out of New York arrive 15 minutes late or more? Asked two hours before departure.",
    owner="team:operations",
    task="binary",
    tables=(AIRPORTS, PLANES, WEATHER, FLIGHTS),
    # The published year. The service date is local: the last flights of 31 December leave on 1 January in UTC.
    partitions=Partitions(start=date(2013, 1, 1), end=date(2013, 12, 31), timezone="America/New_York"),
    entity_table="flights",
    entity=("carrier", "flight", "origin", "scheduled_departure"),
    inputs=(
        "carrier",
        "flight",
        "origin",
        "destination",
        "scheduled_departure",
        "tailnum",
        "scheduled_arrival",
        "distance_miles",
    ),
    optional_inputs=("tailnum", "scheduled_arrival", "distance_miles"),
    prediction_lead=timedelta(hours=2),
    lookback=LOOKBACK,
    target=Target(
        name="is_late",
        definition="arrives 15 minutes late or more, as the DOT counts; cancelled and diverted flights have no label",
        label=pl.col("arr_delay_min") >= 15,
        known_at="arrived_at",
    ),
    features=FEATURES,
    build_features=build_features,
    split=TimeSplit(validation=timedelta(days=31), test=timedelta(days=31)),
    trainers=(
        TrainerSpec(family="logistic_regression"),
        TrainerSpec(family="catboost"),
        TrainerSpec(family="neural_network"),
    ),
    # Honest models reach .77 two hours ahead; above .80 the future is in the features (DATA.md 1.2 and 1.3).
    promotion=PromotionPolicy(leakage_ceiling=0.80),
    baseline_by=("carrier", "scheduled_hour"),
    slices=("origin", "carrier", "hour_band"),
)
