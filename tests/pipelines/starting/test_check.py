"""`throughline check`, and both commands as they are typed."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from pipelines.starting import commands
from pipelines.starting.check import check
from resources.errors import InputError
from resources.objects import ObjectStore
from tests.pipelines.starting.conftest import Desk
from tests.support.tables import TABLES


@pytest.fixture
def churn(desk: Desk, tmp_path: Path) -> Desk:
    TABLES["churn"]().write(tmp_path / "churn.csv")
    desk.begin(tmp_path / "churn.csv", "churned")
    desk.said.clear()
    return desk


def test_a_partition_goes_through_and_is_told(churn: Desk, tmp_path: Path) -> None:
    landing = ObjectStore(str(tmp_path / "landing"))
    trial = check("shop", landing, churn.said.append)
    assert trial.problems == []
    assert "leaks                    none: features do not know the future" in churn.told
    assert churn.said[-1].strip().startswith("shop is ready; `throughline line shop`")
    assert landing.list() == []  # nothing lands where the line would see it


def test_what_would_stop_the_line_fails_the_check(churn: Desk, tmp_path: Path) -> None:
    path = churn.root / "pipelines" / "shop" / "use_case.yaml"
    path.write_text(churn.text().replace("price_eur: {type: number}", "price_eur: {type: number, min: 1000}"))
    with pytest.raises(InputError, match="shop would not run: every row of churn is rejected"):
        check("shop", ObjectStore(str(tmp_path)), churn.said.append)
    assert "price_eur_is_out_of_range" in churn.told


@pytest.fixture
def app() -> Typer:
    made = Typer()
    made.command()(commands.new)
    made.command()(commands.check)
    return made


def test_the_commands_work_as_they_are_typed(desk: Desk, tmp_path: Path, app: Typer, home: Path) -> None:
    TABLES["churn"]().write(tmp_path / "churn.csv")
    typed = ["new", "late_payers", "--from", str(tmp_path / "churn.csv"), "--target", "churned", "--yes"]
    began = CliRunner().invoke(app, [*typed, "--key", "customer_id", "--task", "binary", "--ahead", "1h"])
    assert began.exit_code == 0, began.output
    assert "LEAK WARNING: 1 column(s)" in began.output
    checked = CliRunner().invoke(app, ["check", "late_payers"])
    assert checked.exit_code == 0, checked.output
    assert "late_payers is ready" in checked.output
