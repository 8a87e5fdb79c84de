import numpy as np
import polars as pl
import pytest

from assets.contracts import Feature
from assets.trainers.encoding import MISSING, CategoryTable, FeatureError, check_features, numeric_matrix, to_pandas

NUMBER = Feature(name="size", kind="numeric", group="any", description="")
TEXT = Feature(name="kind", kind="categorical", group="any", description="")


def test_every_absent_feature_is_named() -> None:
    with pytest.raises(FeatureError, match=r"\['size', 'kind'\]"):
        check_features(pl.DataFrame({"other": [1]}), [NUMBER, TEXT])


def test_every_mistyped_feature_is_named_with_what_it_holds() -> None:
    with pytest.raises(FeatureError, match=r"size \(numeric, but String\), kind \(categorical, but Int64\)"):
        check_features(pl.DataFrame({"size": ["a"], "kind": [1]}), [NUMBER, TEXT])


def test_integers_booleans_and_nulls_are_numbers() -> None:
    for values in (pl.Series([1, None], dtype=pl.Int8), pl.Series([True, None]), pl.Series([None, None])):
        check_features(pl.DataFrame({"size": values}), [NUMBER])
    assert numeric_matrix(pl.DataFrame({"size": [True, False]}), [NUMBER]).tolist() == [[1.0], [0.0]]


def test_null_becomes_nan() -> None:
    matrix = numeric_matrix(pl.DataFrame({"size": [1.5, None]}), [NUMBER])
    assert matrix[0, 0] == 1.5
    assert np.isnan(matrix[1, 0])


def test_an_infinite_value_is_refused_by_name() -> None:
    with pytest.raises(FeatureError, match="size"):
        numeric_matrix(pl.DataFrame({"size": [float("inf")]}), [NUMBER])


def test_categories_and_enums_are_text() -> None:
    frame = pl.DataFrame({"kind": pl.Series(["a", None], dtype=pl.Enum(["a"])), "size": [1, 2]})
    assert to_pandas(frame, [NUMBER, TEXT])["kind"].tolist() == ["a", MISSING]


def test_missing_rare_and_unseen_categories_have_codes_of_their_own() -> None:
    table = CategoryTable.fit(["b", "b", "a", "a", "once", MISSING, MISSING], minimum_count=2)
    assert table.size == 4
    assert table.codes([MISSING, "once", "never", "a", "b"]).tolist() == [0, 1, 1, 2, 3]
