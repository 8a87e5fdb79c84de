"""Personal values do not reach the disk, and can still be joined."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving.privacy import KEY_BYTES, KEY_FILE, Redaction, key_of

KEY = bytes(range(KEY_BYTES))
HASHED = Redaction(hash=frozenset({"name", "number"}), drop=frozenset({"phone"}), key=KEY)


def test_personal_values_are_replaced_or_left_out_and_others_are_not() -> None:
    kept = HASHED.apply({"name": "Ada", "phone": "555", "weight": 2.5, "number": None})
    assert kept == {"name": HASHED.apply({"name": "Ada"})["name"], "weight": 2.5, "number": None}
    assert len(kept["name"]) == 32
    assert "Ada" not in str(kept)


def test_a_hash_is_that_of_the_rfc() -> None:
    """HMAC-SHA256 of the JSON text `"Ada"` under the key 00 01 ... 1f, by the openssl program."""
    assert HASHED.apply({"name": "Ada"})["name"] == "ecbec5998492bb89412452204a2aa387"


def test_equal_values_are_equal_in_every_column_and_as_any_number() -> None:
    kept = HASHED.apply({"name": 12, "number": 12.0})
    assert kept["name"] == kept["number"]
    assert HASHED.apply({"name": 12.5})["name"] != kept["name"]


def test_another_key_gives_another_hash() -> None:
    other = Redaction(hash=HASHED.hash, key=KEY[::-1])
    assert other.apply({"name": "Ada"}) != HASHED.apply({"name": "Ada"})


def test_the_key_is_not_shown() -> None:
    assert "\\x01" not in repr(HASHED)


def test_hashing_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="can be guessed"):
        Redaction(hash=frozenset({"name"}))


def test_a_column_cannot_be_hashed_and_dropped() -> None:
    with pytest.raises(ValueError, match="name"):
        Redaction(hash=frozenset({"name"}), drop=frozenset({"name"}), key=KEY)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = {*threads.map(key_of, [tmp_path / "state"] * 16)}
    assert (len(keys), {len(key) for key in keys}) == (1, {KEY_BYTES})
    assert [(p.name, p.stat().st_mode & 0o777) for p in (tmp_path / "state").iterdir()] == [(KEY_FILE, 0o600)]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key_of(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(EndpointError, match="chmod 600"):
        key_of(tmp_path)


def test_a_damaged_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    key_of(tmp_path)
    (tmp_path / KEY_FILE).write_bytes(b"")
    with pytest.raises(EndpointError, match="0 bytes"):
        key_of(tmp_path)
