"""What the line wrote down, in the shape of scores."""

import numpy as np
import polars as pl
import pytest

from assets.policies import OTHER
from pipelines.replay.contenders import SAID, written_down


def test_one_output_is_one_number_a_row() -> None:
    rows = pl.DataFrame({f"{SAID}probability": [0.2, 0.7]})
    assert written_down(rows, ("probability",), ()).tolist() == [0.2, 0.7]


def test_a_quantity_comes_with_the_ends_of_its_interval_in_their_order() -> None:
    rows = pl.DataFrame({f"{SAID}upper": [3.0], f"{SAID}lower": [1.0], f"{SAID}prediction": [2.0]})
    assert written_down(rows, ("prediction", "lower", "upper"), ()).tolist() == [[2.0, 1.0, 3.0]]


def test_classes_of_different_versions_are_brought_into_the_same_terms() -> None:
    rows = pl.DataFrame(
        {
            f"{SAID}classes": [["bike", OTHER], ["bike", "car", OTHER], ["bike", OTHER]],
            f"{SAID}probabilities": [[0.6, 0.4], [0.5, 0.3, 0.2], [0.1, 0.9]],
        }
    )
    said = written_down(rows, (), ("bike", "car", OTHER))
    assert said == pytest.approx(np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.1, 0.45, 0.45]]))
