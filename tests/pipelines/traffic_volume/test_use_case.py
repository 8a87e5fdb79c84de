"""The declaration on its real data: nothing lost, nothing empty, nothing that knows the future."""

from pathlib import Path

import pytest

from pipelines import catalogue
from pipelines.starting.check import check
from pipelines.starting.trial import Trial
from resources.objects import ObjectStore


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return check("traffic_volume", ObjectStore(str(tmp_path_factory.mktemp("landing"))), lambda _: None)


def test_every_feature_has_values(trial: Trial) -> None:
    # A lag of exactly lead and delay together would be known one instant too late, and empty.
    assert trial.empty == ()


def test_no_feature_knows_the_future(trial: Trial) -> None:
    assert trial.leaks == ()


def test_no_row_of_the_tried_partitions_is_lost(trial: Trial) -> None:
    readings = trial.tables[0]
    assert readings.landed == readings.cleaned + sum(readings.rejected.values())


def test_it_is_declared_without_a_line_of_python() -> None:
    assert [path.name for path in Path(catalogue.folder("traffic_volume")).iterdir() if path.suffix == ".py"] == []
