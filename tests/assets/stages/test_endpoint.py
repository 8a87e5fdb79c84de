"""What goes live is the exact champion, with the history it needs, and it answers as it did offline."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from assets.stages.common import days_before
from assets.stages.endpoint import SMOKE_ROWS, online_tables
from assets.stages.features import feature_rows, load_history, look_back_days
from assets.trainers.families import load_model
from tests.support.few_days import FEW_DAYS, LAST, Home, Trained, checks, failures
from tests.support.serving import endpoint_in


def test_the_champion_goes_live_and_answers_as_it_did_offline(trained: Trained, tmp_path: Path) -> None:
    home = trained.home
    with endpoint_in(tmp_path) as server:
        result = home.run("train", "endpoint", endpoint_server=server)
        assert result.success, failures(result)
        rows = home.rows("features", LAST).head(20).select(FEW_DAYS.feature_names)
        answers = server.predict("flight_delays", rows)
    champion = home.registry.champion("flight_delays")
    assert champion is not None
    live = result.output_for_node("flight_delays__endpoint")
    assert live.model_version == str(champion)
    assert 0 < live.median_latency_ms <= live.p99_latency_ms
    assert live.url == f"http://127.0.0.1:{server.port}/v2/models/flight_delays/infer"
    compared = checks(result)["endpoint/live_answers_equal_offline_scores"]
    assert compared.passed
    assert compared.metadata["rows"].value == SMOKE_ROWS
    offline = load_model(home.registry.download(champion, tmp_path / "model")).predict(rows)
    assert np.allclose(answers, offline, rtol=0, atol=1e-6)


def test_going_live_without_a_champion_says_what_to_materialise(ingested: Home) -> None:
    told = failures(ingested.run("train", "endpoint"))
    assert "materialise flight_delays/" in told


def test_the_history_that_goes_live_reaches_as_far_back_as_features_look(cleaned: Home) -> None:
    online = online_tables(FEW_DAYS, cleaned.lake)
    assert online.keys() == {t.name for t in FEW_DAYS.tables}
    days = online["flights"]["partition_key"].unique().sort().to_list()
    assert days[-1] == LAST
    assert days[0] <= days_before(LAST, look_back_days(FEW_DAYS))


def test_a_day_of_the_past_needs_no_history_beyond_its_look_back(cleaned: Home) -> None:
    keys = [LAST]
    history = load_history(cleaned.lake, FEW_DAYS, keys)
    oldest = history.tables["flights"]["partition_key"].min()
    assert oldest == days_before(LAST, look_back_days(FEW_DAYS))
    assert timedelta(days=look_back_days(FEW_DAYS)) > FEW_DAYS.lookback + FEW_DAYS.prediction_lead
    assert len(feature_rows(FEW_DAYS, history, keys)) == len(cleaned.rows("cleaned_flights", LAST))
