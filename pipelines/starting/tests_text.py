"""The test that a guided start writes beside a declaration.

Belongs here: its text. Does not belong here: what it calls (`trial.py`).
"""


def test_text(name: str) -> str:
    """A test module: the declaration works, and sample rows go through raw, cleaned and features without a leak."""
    return f'''"""The declaration of {name}: it works, and rows of its table go through the line up to the features."""

from pathlib import Path

import pytest

from pipelines.declared.build import load_use_case
from pipelines.starting.trial import Trial, try_sample

DECLARATION = Path(__file__).parents[3] / "pipelines" / "{name}" / "use_case.yaml"
SAMPLE = Path(__file__).with_name("sample.csv")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return try_sample(DECLARATION, SAMPLE, tmp_path)


def test_the_declaration_is_called_as_its_folder() -> None:
    assert load_use_case(DECLARATION).name == "{name}"


def test_most_rows_of_the_sample_are_good_enough(trial: Trial) -> None:
    table = trial.tables[-1]
    assert table.cleaned >= 0.9 * table.landed, table.rejected


def test_features_do_not_know_the_future(trial: Trial) -> None:
    assert len(trial.rows) > 0
    assert trial.leaks == ()
'''
