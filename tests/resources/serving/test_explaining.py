"""Explanations: no more than the limit allows."""

import pytest

from resources.serving.explaining import ROWS_PER_S, BusyError, Explaining


def test_rows_beyond_the_limit_are_refused_with_a_time_to_come_again() -> None:
    explaining = Explaining(())
    explaining.admit(int(ROWS_PER_S))
    with pytest.raises(BusyError, match="wait 1 s") as refused:
        explaining.admit(int(ROWS_PER_S))
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
