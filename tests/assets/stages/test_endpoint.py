"""What goes live has the history that it needs. That it answers as it did offline is a test of `test_line.py`."""

from datetime import timedelta
from pathlib import Path

from assets.stages.endpoint import online_tables
from assets.stages.features import feature_rows, load_history, look_back_days
from tests.support.few_days import FEW_DAYS, LAST, Home, failures


def test_going_live_without_a_champion_says_what_to_materialise(ingested: Home, tmp_path: Path) -> None:
    told = failures(ingested.copy(tmp_path / "home").run("train", "endpoint"))
    assert "materialise flight_delays/" in told


def test_the_history_that_goes_live_reaches_as_far_back_as_features_look(cleaned: Home) -> None:
    online = online_tables(FEW_DAYS, cleaned.lake)
    assert online.keys() == {t.name for t in FEW_DAYS.tables}
    days = online["flights"]["partition_key"].unique().sort().to_list()
    assert days[-1] == LAST
    assert days[0] <= FEW_DAYS.partitions.before(LAST, look_back_days(FEW_DAYS))


def test_a_day_of_the_past_needs_no_history_beyond_its_look_back(cleaned: Home) -> None:
    keys = [LAST]
    history = load_history(cleaned.lake, FEW_DAYS, keys)
    oldest = history.tables["flights"]["partition_key"].min()
    assert oldest == FEW_DAYS.partitions.before(LAST, look_back_days(FEW_DAYS))
    assert timedelta(days=look_back_days(FEW_DAYS)) > FEW_DAYS.lookback + FEW_DAYS.prediction_lead
    assert len(feature_rows(FEW_DAYS, history, keys)) == len(cleaned.rows("cleaned_flights", LAST))
