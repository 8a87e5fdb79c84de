"""API keys: what is kept of them, who is known by them, and how often."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving import keys
from resources.serving.keys import Bucket, KeyFile, Keyring


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)


def ring(folder: Path, *, are_needed: bool = False) -> Keyring:
    made = Keyring(KeyFile(folder), are_needed=are_needed)
    made.are_needed()
    return made


def test_a_key_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    made = KeyFile(tmp_path).add("billing")
    assert made not in (tmp_path / "keys.json").read_text(encoding="utf-8")
    found = ring(tmp_path).find(made)
    assert found is not None
    assert found.name == "billing"


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    KeyFile(tmp_path).add("billing")
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("said", ["", "tl_", "tl_nonsense", "x" * 10_000])
def test_what_is_no_key_is_not_found(tmp_path: Path, said: str) -> None:
    KeyFile(tmp_path).add("billing")
    assert ring(tmp_path).find(said) is None


def test_what_is_too_long_for_a_key_is_not_remembered(tmp_path: Path) -> None:
    known = ring(tmp_path)
    for n in range(100):
        assert known.find(f"{n}" + "x" * 10_000) is None
    assert sum(map(len, known._known)) == 0


def test_a_removed_key_is_refused_and_a_new_one_of_the_name_known_without_a_restart(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    old = file.add("billing")
    known = ring(tmp_path)
    assert known.find(old) is not None
    assert file.remove("billing") == 1
    new = file.add("billing")
    known.are_needed()
    assert known.find(old) is None
    assert known.find(new) is not None


def test_two_keys_of_a_name_are_valid_until_the_old_one_expires(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    old = file.add("billing", expires_at=datetime.now(UTC) + timedelta(seconds=0.3))
    new = file.add("billing")
    known = ring(tmp_path)
    assert known.find(old) is not None
    time.sleep(0.35)
    assert known.find(old) is None
    assert known.find(new) is not None


def test_no_keys_are_needed_without_a_file_unless_other_machines_may_ask(tmp_path: Path) -> None:
    assert not ring(tmp_path).are_needed()
    assert ring(tmp_path, are_needed=True).are_needed()


def test_taking_the_last_key_away_opens_nothing(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add("billing")
    file.remove("billing")
    assert ring(tmp_path).are_needed()


def test_a_damaged_file_is_an_error_and_no_open_door(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{", encoding="utf-8")
    with pytest.raises(EndpointError, match="does not hold API keys"):
        Keyring(KeyFile(tmp_path), are_needed=False).are_needed()


def test_a_bucket_gives_its_rate_and_no_more() -> None:
    bucket = Bucket(5.0)
    taken = sum(bucket.take(100.0 + step / 100) == 0.0 for step in range(1_000))
    assert taken == 5 + 49  # what it holds at first, then 5 a second for 9.99 seconds


def test_who_is_refused_hears_when_to_come_again() -> None:
    bucket = Bucket(2.0)
    for _ in range(2):
        assert bucket.take(0.0) == 0.0
    assert bucket.take(0.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": ""}, "name of a key"),
        ({"name": "a\nb"}, "name of a key"),
        ({"name": "a", "requests_per_s": 0}, "which is none"),
        ({"name": "a", "expires_at": datetime(2030, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_a_key_is_refused(tmp_path: Path, arguments: dict[str, object], why: str) -> None:
    with pytest.raises(EndpointError, match=why):
        KeyFile(tmp_path).add(**arguments)  # type: ignore[arg-type]
