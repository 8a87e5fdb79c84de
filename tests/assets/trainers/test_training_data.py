"""Training data no family can learn from."""

from dataclasses import replace

import numpy as np
import pytest

from assets.trainers.base import TrainingData
from assets.trainers.fitted import require_usable


def test_validation_within_the_training_window_is_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="validation starts on 2021-01-01, but training ends on 2021-01-30"):
        require_usable(replace(data, validation=data.train))


def test_rows_out_of_time_order_are_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="training window are not in time order"):
        require_usable(replace(data, train=replace(data.train, day=data.train.day[::-1])))


def test_a_label_too_few_is_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="validation window"):
        require_usable(replace(data, validation=replace(data.validation, label=data.validation.label[:-1])))


def test_an_empty_window_is_refused(data: TrainingData) -> None:
    empty = replace(
        data.train, features=data.train.features.head(0), label=np.empty(0, np.int8), day=data.train.day[:0]
    )
    with pytest.raises(ValueError, match="training window needs rows"):
        require_usable(replace(data, train=empty))
