"""Which version answers about an entity: the same one everywhere, and as often as the share says."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from resources.serving.routing import SALT_BYTES, entity_key, is_beside

SALT = b"0123456789abcdef"
KEYS = [entity_key(["UA", number, datetime(2013, 9, 1, 5, 15, tzinfo=UTC)]) for number in range(20_000)]


def beside(share: float, salt: bytes = SALT) -> set[bytes]:
    return {key for key in KEYS if is_beside(key, salt, share)}


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
def test_as_many_entities_meet_the_new_version_as_its_share_says(share: float) -> None:
    assert len(beside(share)) / len(KEYS) == pytest.approx(share, abs=4 * (share * (1 - share) / len(KEYS)) ** 0.5)


def test_a_share_of_nothing_is_nobody_and_a_share_of_one_is_everybody() -> None:
    assert (len(beside(0.0)), len(beside(1.0))) == (0, len(KEYS))


def test_who_met_the_new_version_goes_on_meeting_it_when_the_share_grows() -> None:
    assert beside(0.05) < beside(0.25) < beside(0.5)


def test_another_process_sends_an_entity_to_the_same_version() -> None:
    code = (
        f"from resources.serving.routing import is_beside\nprint([is_beside(k, {SALT!r}, 0.5) for k in {KEYS[:50]!r}])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str([is_beside(key, SALT, 0.5) for key in KEYS[:50]])


def test_another_rollout_tries_other_entities() -> None:
    first, second = beside(0.1), beside(0.1, salt=b"x" * SALT_BYTES)
    assert len(first & second) / len(KEYS) == pytest.approx(0.01, abs=0.005)


def test_values_that_only_run_together_are_other_entities() -> None:
    assert len({entity_key(["ab", "c"]), entity_key(["a", "bc"]), entity_key(["abc"]), entity_key(["ab", None])}) == 4
