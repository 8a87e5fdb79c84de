"""Five unlike tables, each begun without a question: the leak is named, and what is written works."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml

from pipelines import catalogue
from pipelines.declared.build import load_use_case
from pipelines.declared.json_schema import PATH as SCHEMA
from pipelines.declared.reading import Loader
from pipelines.starting.new import NewError
from pipelines.starting.trial import try_sample
from resources.errors import InputError
from tests.pipelines.starting.conftest import Desk
from tests.support.tables import TABLES, Table


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> Table:
    made: Table = TABLES[request.param]()
    return made


@pytest.fixture
def file(table: Table, tmp_path: Path) -> Path:
    path = tmp_path / table.file
    table.write(path)
    return path


def test_every_table_is_understood_and_its_leak_is_named(desk: Desk, table: Table, file: Path, tmp_path: Path) -> None:
    started = desk.begin(file, table.target, ahead=table.ahead)
    found = started.found
    assert [leak.column for leak in found.leaks] == [table.leak]
    assert f"  {table.leak}: '{table.leak}' " in desk.told
    assert (found.profile.target.task, found.key.columns, found.cutting.every) == (table.task, table.key, table.every)
    assert list(found.time.spec.columns.values()) == [table.time]

    use_case = load_use_case(started.folder / "use_case.yaml")
    assert table.leak not in use_case.inputs
    assert not any(table.leak in name for name in use_case.feature_names)
    trial = try_sample(started.files[0], started.files[2], tmp_path / "landing")
    assert (trial.leaks, trial.problems, trial.tables[-1].rejected) == ((), [], {})
    assert trial.labelled > 0

    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    told = yaml.load(desk.text(), Loader=Loader)  # noqa: S506 - a SafeLoader with fewer types
    assert [e.message for e in schema.iter_errors(told)] == []


def churn(tmp_path: Path) -> Path:
    path = tmp_path / "churn.csv"
    TABLES["churn"]().write(path)
    return path


def test_the_leak_stands_in_the_file_with_its_reason_and_its_role(desk: Desk, tmp_path: Path) -> None:
    desk.begin(churn(tmp_path), "churned")
    before, _, after = desk.text().partition("  refund_eur: ")
    assert after.startswith("{type: number, role: known_later}")
    assert before.rstrip().splitlines()[-1].lstrip().startswith("#")
    assert "refund_eur" in before.partition("columns:")[2]


def test_the_use_case_is_in_the_catalogue_and_the_workspace(desk: Desk, tmp_path: Path) -> None:
    desk.begin(churn(tmp_path), "churned")
    assert catalogue.use_case("shop").entity == ("customer_id",)
    assert catalogue.in_workspace() == ["shop"]
    assert yaml.safe_load((desk.root / "workspace.yaml").read_text())["load_from"][-1] == {
        "python_module": {
            "module_name": "pipelines.locations",
            "attribute": "shop",
            "location_name": "shop",
            "working_directory": ".",
        }
    }


def test_the_file_names_the_schema_for_editors(desk: Desk, tmp_path: Path) -> None:
    desk.begin(churn(tmp_path), "churned")
    assert desk.text().startswith("# yaml-language-server: $schema=../declared/use_case.schema.json\n")


def test_the_written_test_is_a_real_one(desk: Desk, tmp_path: Path) -> None:
    started = desk.begin(churn(tmp_path), "churned")
    names: dict[str, object] = {"__file__": str(started.files[1])}
    exec(compile(started.files[1].read_text(), str(started.files[1]), "exec"), names)  # noqa: S102
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 3
    trial = try_sample(started.files[0], started.files[2], tmp_path / "landing")
    for name in tests:
        test = names[name]
        assert callable(test)
        test(*([trial] if test.__code__.co_argcount else []))


def test_nothing_is_overwritten(desk: Desk, tmp_path: Path) -> None:
    (desk.root / "pipelines" / "shop").mkdir()
    with pytest.raises(NewError, match="exists already, and nothing is overwritten"):
        desk.begin(churn(tmp_path), "churned")


@pytest.mark.parametrize("name", ["Shop", "my shop", "1st", "declared", ""])
def test_a_name_that_cannot_be_one_is_refused(desk: Desk, tmp_path: Path, name: str) -> None:
    with pytest.raises(NewError):
        desk.begin(churn(tmp_path), "churned", name=name)


def test_nothing_is_written_of_a_table_that_cannot_work(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="did you mean 'churned'"):
        desk.begin(churn(tmp_path), "churnd")
    assert list((desk.root / "pipelines").iterdir()) == []
    assert not (desk.root / "tests").exists()


def test_a_person_is_asked_which_of_two_times_is_meant(desk: Desk, tmp_path: Path) -> None:
    path = churn(tmp_path)
    frame = pl.read_csv(path).with_columns(last_seen_at=pl.col("signed_at").str.replace("2024-0", "2023-0"))
    frame.write_csv(path)
    asked: list[str] = []

    def prompt(question: str, proposal: str) -> str:
        asked.append(proposal)
        return "last_seen_at"

    started = desk.begin(path, "churned", prompt=prompt, known_after="0h")
    assert asked == ["signed_at"]
    assert started.found.time.spec.columns == {"instant": "last_seen_at"}


def test_a_column_can_say_how_long_before_is_asked(desk: Desk, tmp_path: Path) -> None:
    path = churn(tmp_path)
    frame = pl.read_csv(path)
    frame.with_columns(lead=pl.int_range(pl.len()) % 40).write_csv(path)
    desk.begin(path, "churned", ahead="lead")
    assert "  lead: {column: lead, unit: days}\n  longest: 39d\n" in desk.text()
    assert load_use_case(desk.root / "pipelines" / "shop" / "use_case.yaml").asked_at is not None


def test_the_password_of_a_database_never_stands_in_a_file(desk: Desk) -> None:
    with pytest.raises(NewError, match="holds a password") as caught:
        desk.begin("postgresql://me:secret@host/db", "churned")
    assert "secret" not in str(caught.value)


def test_a_database_is_a_source(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    from pipelines.starting.findings import Wishes
    from pipelines.starting.new import new
    from pipelines.starting.questions import Asker
    from tests.pipelines.starting.conftest import NOW

    frame = pl.read_csv(churn(tmp_path))
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute(f"create table contracts ({', '.join(frame.columns)})")
        marks = ", ".join("?" * frame.width)
        connection.executemany(f"insert into contracts values ({marks})", frame.rows())  # noqa: S608
    connection.close()
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    asker = Asker(echo=desk.said.append)
    new("shop", "$SHOP_URL", Wishes(target="churned"), asker, root=desk.root, now=NOW, sql_table="contracts")
    assert "  sql: {url_variable: SHOP_URL, table: contracts}\n" in desk.text()
    assert "table: contracts\n" in desk.text()


def test_tests_that_somebody_wrote_are_not_overwritten(desk: Desk, csv: Callable[[pl.DataFrame], Path]) -> None:
    kept = desk.root / "tests" / "pipelines" / "shop" / "test_use_case.py"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine", encoding="utf-8")
    with pytest.raises(NewError, match="nothing is overwritten"):
        desk.begin(csv(pl.DataFrame({"a": [1]})), "a")
    assert kept.read_text(encoding="utf-8") == "mine"


def test_when_outcomes_become_known_can_be_said(desk: Desk, tmp_path: Path) -> None:
    desk.begin(churn(tmp_path), "churned", known_after="14d")
    assert "known_after: 14d" in desk.text()
    assert "  Known 14d after the time of its row" in desk.said


def test_when_outcomes_become_known_is_asked_where_the_table_does_not_show_it(desk: Desk, tmp_path: Path) -> None:
    answers = {"How long after the time of a row is its 'churned' known?": iter(["soon", "3d"])}
    desk.begin(
        churn(tmp_path), "churned", prompt=lambda q, proposed: next(answers.get(q.split(" (")[0], iter([proposed])))
    )
    assert "known_after: 3d" in desk.text()
    assert any("'soon' is no length of time" in line for line in desk.said)


def test_without_a_person_what_was_assumed_of_the_outcome_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.begin(churn(tmp_path), "churned")
    assert "How long after the time of a row is its 'churned' known? 0h (the table does not show it" in desk.told


def test_outcomes_missing_at_the_end_of_a_table_say_when_they_become_known(
    desk: Desk, csv: Callable[[pl.DataFrame], Path], tmp_path: Path
) -> None:
    whole = pl.read_csv(churn(tmp_path), infer_schema=False)
    last = whole["signed_at"].str.slice(0, 10).unique().sort()[-5]
    frame = whole.with_columns(churned=pl.when(pl.col("signed_at") < last).then("churned"))
    desk.begin(csv(frame), "churned")
    assert "known_after: 0h" not in desk.text()


def test_an_outcome_known_after_no_length_of_time_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--known-after: 'a while' is no length of time"):
        desk.begin(churn(tmp_path), "churned", known_after="a while")


def test_a_question_without_an_answer_writes_nothing(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No answer to the question .*'churned' known"):
        desk.begin(churn(tmp_path), "churned", prompt=lambda *_: "soon")
    assert not (desk.root / "pipelines" / "shop").exists()
