"""The state folder of an endpoint: whole or absent, and nothing outside it."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.errors import EndpointError
from resources.serving.rollout import Cause, begin, rolled_back, step_on
from resources.serving.states import Plan, State
from resources.serving.target import StateFolder, Target

DIGEST = "0123456789abcdef"


def target(number: int = 3, model: str = f"3-{DIGEST}", online: str = DIGEST, requested_at: str = "now") -> Target:
    return Target(number=number, model=model, online=online, requested_at=requested_at)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "churn")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "inner").mkdir(parents=True)
    (tmp_path / "model" / "model.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "inner" / "weights").write_bytes(b"123")
    return tmp_path / "model"


def deployed(folder: StateFolder, model: Path, number: int = 3) -> Target:
    online = folder.add_online({"orders": pl.DataFrame({"x": [number]})})
    return target(number, folder.add_model(number, model), online)


def test_a_target_is_read_as_it_was_written(folder: StateFolder) -> None:
    folder.ask_for(target())
    assert folder.target() == target()


def test_without_a_target_there_is_none(folder: StateFolder) -> None:
    assert (folder.target(), folder.stamp(), folder.last_live()) == (None, None, None)


def test_taking_the_target_away_leaves_none(folder: StateFolder) -> None:
    folder.ask_for(target())
    folder.ask_for(None)
    assert folder.target() is None


def test_writing_the_same_target_again_changes_the_stamp(folder: StateFolder) -> None:
    folder.ask_for(target())
    first = folder.stamp()
    folder.ask_for(target())
    assert folder.stamp() != first


def test_a_killed_write_leaves_the_old_target(folder: StateFolder) -> None:
    folder.ask_for(target())
    (folder.root / ".target.json.half.tmp").write_text('{"number": 4, "mod', encoding="utf-8")
    assert folder.target() == target()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"number": 3}', '{"number": 3, "model": 5, "online": 1}', "\0"])
def test_a_file_that_holds_no_target_is_named(folder: StateFolder, content: str) -> None:
    folder.root.mkdir()
    (folder.root / "target.json").write_text(content, encoding="utf-8")
    with pytest.raises(EndpointError, match=r"materialise the endpoint again|do not agree"):
        folder.target()


@pytest.mark.parametrize(
    ("number", "model", "online"),
    [
        (3, "../../etc", DIGEST),
        (3, f"3-{DIGEST}/../x", DIGEST),
        (4, f"3-{DIGEST}", DIGEST),
        (True, f"1-{DIGEST}", DIGEST),
        (3, f"3-{DIGEST}", ".."),
        (3, f"3-{DIGEST}", f"{DIGEST}\n"),
        (-3, f"-3-{DIGEST}", DIGEST),
    ],
)
def test_no_target_leads_out_of_the_folder(number: int, model: str, online: str) -> None:
    with pytest.raises(EndpointError):
        target(number, model, online)


def test_a_model_is_kept_with_all_its_files(folder: StateFolder, model: Path) -> None:
    kept = folder.model(deployed(folder, model))
    assert (kept / "inner" / "weights").read_bytes() == b"123"
    assert kept.name.startswith("3-")


def test_the_same_model_is_kept_once(folder: StateFolder, model: Path) -> None:
    assert folder.add_model(3, model) == folder.add_model(3, model)
    assert len([*(folder.root / "models").iterdir()]) == 1


def test_another_model_of_the_same_number_is_another(folder: StateFolder, model: Path) -> None:
    first = folder.add_model(3, model)
    (model / "model.json").write_text("{ }", encoding="utf-8")
    assert folder.add_model(3, model) != first


def test_the_snapshot_is_read_as_it_was_written(folder: StateFolder) -> None:
    orders = pl.DataFrame({"x": [1, 2]}, schema={"x": pl.Int8})
    kept = folder.online(target(online=folder.add_online({"orders": orders})))
    assert pl.read_parquet(kept / "orders.parquet").equals(orders)


@pytest.mark.parametrize("part", ["models", "online"])
def test_a_damaged_file_is_noticed(folder: StateFolder, model: Path, part: str) -> None:
    asked = deployed(folder, model)
    file = next(p for p in (folder.root / part).rglob("*") if p.is_file())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EndpointError, match=f"{part}/.* is damaged"):
        folder.model(asked), folder.online(asked)


def test_a_damaged_model_is_mended_by_adding_it_again(folder: StateFolder, model: Path) -> None:
    asked = deployed(folder, model)
    (folder.model(asked) / "inner" / "weights").write_bytes(b"12")
    folder.add_model(3, model)
    assert (folder.model(asked) / "inner" / "weights").read_bytes() == b"123"


def test_a_missing_model_is_named(folder: StateFolder) -> None:
    with pytest.raises(EndpointError, match=f"models/3-{DIGEST} is missing"):
        folder.model(target())


def test_a_copy_that_fails_leaves_nothing(folder: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder.add_model(3, tmp_path / "nowhere")
    assert [*(folder.root / "models").iterdir()] == []


def test_an_empty_model_is_refused(folder: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EndpointError, match="nothing to deploy"):
        folder.add_model(3, tmp_path / "empty")


def test_a_table_name_that_is_a_path_is_refused(folder: StateFolder) -> None:
    with pytest.raises(EndpointError, match="cannot be kept"):
        folder.add_online({"../orders": pl.DataFrame({"x": [1]})})


def test_pruning_keeps_what_is_named_and_removes_the_rest(folder: StateFolder, model: Path) -> None:
    first, second = deployed(folder, model, 3), deployed(folder, model, 4)
    (folder.root / "models" / ".killed.tmp").mkdir()
    folder.prune([second])
    assert folder.model(second).is_dir()
    assert folder.online(second).is_dir()
    assert {p.name for part in ("models", "online") for p in (folder.root / part).iterdir()} == {
        second.model,
        second.online,
    }
    assert first.online != second.online


def test_the_identity_stays_and_differs_between_folders(folder: StateFolder, tmp_path: Path) -> None:
    assert folder.identity() == StateFolder(folder.root).identity()
    assert folder.identity() != StateFolder(tmp_path / "other").identity()


def test_a_target_is_plain_json(folder: StateFolder) -> None:
    folder.ask_for(target())
    content = json.loads((folder.root / "target.json").read_text(encoding="utf-8"))
    assert content == {"number": 3, "model": f"3-{DIGEST}", "online": DIGEST, "requested_at": "now"}


def cause(by: str = "a person") -> Cause:
    return Cause(at=datetime(2026, 3, 1, tzinfo=UTC), by=by)


def under_way(folder: StateFolder) -> State:
    folder.ask_for(target())
    canary = target(4, f"4-{DIGEST}")
    _, state = folder.change(lambda now: begin(now, canary, Plan(mode="canary"), cause()))
    assert state is not None
    return state


def test_a_rollout_is_read_as_it_was_written(folder: StateFolder) -> None:
    assert under_way(folder) == folder.state()


def test_the_target_of_a_rollout_is_what_is_live(folder: StateFolder) -> None:
    under_way(folder)
    assert folder.target() == target()


def test_a_target_of_before_there_were_rollouts_is_read(folder: StateFolder) -> None:
    folder.root.mkdir()
    old = {"number": 3, "model": f"3-{DIGEST}", "online": DIGEST, "requested_at": "now"}
    (folder.root / "target.json").write_text(json.dumps(old), encoding="utf-8")
    assert folder.state() == State(live=target())


@pytest.mark.parametrize("odd", [{"id": "../x"}, {"step": 7}, {"step": "0"}, {"plan": {}}, {"share": 1}])
def test_a_rollout_that_cannot_be_is_refused(folder: StateFolder, odd: dict[str, object]) -> None:
    under_way(folder)
    told = json.loads((folder.root / "target.json").read_text(encoding="utf-8"))
    told["beside"] |= odd
    (folder.root / "target.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(EndpointError):
        folder.state()


def test_every_change_is_in_the_history_in_order(folder: StateFolder) -> None:
    under_way(folder)
    folder.change(lambda now: now and step_on(now, cause()))
    folder.change(lambda now: now and rolled_back(now, cause("the server")))
    assert [(e.change, e.share, e.by) for e in folder.history()] == [
        ("begun", 0.05, "a person"), ("next step", 0.25, "a person"), ("rolled back", 0.0, "the server"),
    ]  # fmt: skip


def test_a_change_that_a_killed_process_did_not_note_is_noted_by_the_next(folder: StateFolder) -> None:
    under_way(folder)
    (folder.root / "history.jsonl").write_bytes(b'{"revision": 1, "at": "2026')
    folder.change(lambda now: now and step_on(now, cause()))
    assert [e.change for e in folder.history()] == ["begun", "next step"]


def test_a_change_that_is_refused_changes_nothing(folder: StateFolder) -> None:
    folder.ask_for(target())
    stamp = folder.stamp()
    with pytest.raises(EndpointError, match="no canary"):
        folder.change(lambda now: now and step_on(now, cause()))
    assert (folder.stamp(), folder.history()) == (stamp, [])


def test_changes_by_several_at_once_are_made_one_after_the_other(folder: StateFolder) -> None:
    under_way(folder)

    def refresh(number: int) -> None:
        newer = target(online=f"{number:016x}")
        folder.change(lambda now: begin(now, newer, Plan(), cause()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refresh, range(40)))
    assert [e.revision for e in folder.history()] == list(range(1, 42))
