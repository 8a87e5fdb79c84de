"""What can be wrong with a table: each gets a useful sentence, or a line that works."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.declared.build import load_use_case
from pipelines.starting.sample import take_sample
from pipelines.starting.trial import Trial, try_sample
from resources.errors import InputError
from resources.origins_files import FileOrigin
from tests.pipelines.starting.conftest import Desk

Csv = Callable[[pl.DataFrame], Path]
START = datetime(2024, 1, 1, tzinfo=UTC)


def table(rows: int = 1_200, days: int = 60, seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    minutes = np.sort(random.integers(0, days * 1440, rows))
    price = random.gamma(2.0, 10.0, rows).round(2)
    return pl.DataFrame(
        {
            "at": [(START + timedelta(minutes=int(m))).strftime("%Y-%m-%d %H:%M") for m in minutes],
            "shop": np.array(["north", "south", "east"])[random.integers(0, 3, rows)],
            "price": price.astype(str),
            "late": np.where(price + random.normal(0, 12, rows) > 20, "yes", "no"),
        }
    )


def every(n: int, at: int = 0) -> pl.Expr:
    return pl.int_range(pl.len()) % n == at


def tried(desk: Desk, tmp_path: Path) -> Trial:
    sample = desk.root / "tests" / "pipelines" / "shop" / "sample.csv"
    return try_sample(desk.root / "pipelines" / "shop" / "use_case.yaml", sample, tmp_path / "landing")


def test_a_wrong_target_is_answered_with_the_near_one(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="no column 'latte' to be the target; did you mean 'late'"):
        desk.begin(csv(table()), "latte")


def test_a_wrong_time_is_answered_with_the_near_one(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="no column 'att' for the time; did you mean 'at'"):
        desk.begin(csv(table()), "late", time="att")


def test_a_column_without_times_is_no_time(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="Column 'shop' holds no time that can be read, but"):
        desk.begin(csv(table()), "late", time="shop")


def test_a_table_without_any_time_is_refused(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="There is no column that reads as a time; a use case needs one"):
        desk.begin(csv(table().drop("at")), "late")


def test_a_target_without_any_value_is_refused(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="is empty in all 1,200 rows"):
        desk.begin(csv(table().with_columns(late=pl.lit(None, pl.String))), "late")


def test_a_target_with_one_class_is_refused(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="is 'no' wherever it is known, and nothing can be learnt"):
        desk.begin(csv(table().with_columns(late=pl.lit("no"))), "late")


def test_times_that_do_not_parse_are_counted_and_go_to_quarantine(desk: Desk, csv: Csv, tmp_path: Path) -> None:
    frame = table().with_columns(at=pl.when(every(33)).then(pl.lit("n.d.")).otherwise("at"))
    desk.begin(csv(frame), "late")
    assert "37 rows (3.1%) have no time that parses, such as 'n.d.'; they go to quarantine" in desk.told


def test_dates_in_the_future_are_told(desk: Desk, csv: Csv) -> None:
    desk.begin(csv(table()), "late", now=START + timedelta(days=50))
    assert "rows are dated in the future; they wait in the landing zone until their day has come" in desk.told


def test_dates_that_cannot_be_are_told(desk: Desk, csv: Csv) -> None:
    frame = table().with_columns(at=pl.when(every(400, 7)).then(pl.lit("2093-01-01 00:00")).otherwise("at"))
    started = desk.begin(csv(frame), "late")
    assert "3 rows are dated before 1900 or more than a year ahead; they go to quarantine" in desk.told
    assert started.found.cutting.days == 60


def test_a_date_far_from_all_others_does_not_decide_where_partitions_begin(desk: Desk, csv: Csv) -> None:
    frame = table().with_columns(at=pl.when(every(1_200, 5)).then(pl.lit("1971-01-01 00:00")).otherwise("at"))
    assert desk.begin(csv(frame), "late").found.cutting.first.year == 2024


def test_a_column_that_stands_twice_is_named(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("at,late,late\n2024-01-01,yes,no\n")
    with pytest.raises(InputError, match="late"):
        desk.begin(path, "late")


def test_five_rows_are_too_few(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="The table has 5 rows, of which 5 have an outcome; that is too little"):
        desk.begin(csv(table(5).with_columns(late=pl.Series(["yes", "no", "no", "yes", "no"]))), "late")


def test_rows_of_a_single_day_are_too_few(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match=r"All rows lie on 1 day\(s\), and a model is judged on days after"):
        desk.begin(csv(table(days=1)), "late")


def test_a_header_without_rows_is_told(desk: Desk, csv: Csv) -> None:
    with pytest.raises(InputError, match="no rows"):
        desk.begin(csv(table().head(0)), "late")


def test_thousands_of_columns_work_and_are_told(desk: Desk, csv: Csv) -> None:
    random = np.random.default_rng(2)
    frame = table(300)
    many = pl.DataFrame({f"x{n}": random.normal(size=300).round(2) for n in range(2_000)})
    desk.begin(csv(frame.hstack(many)), "late")
    assert "2,004 columns: name those you need as inputs" in desk.told
    assert "more, all in the file" in desk.told
    use_case = load_use_case(desk.root / "pipelines" / "shop" / "use_case.yaml")
    assert len(use_case.table("table").columns) == 2_004


def test_a_table_larger_than_is_kept_is_seen_evenly(csv: Csv) -> None:
    frame = pl.DataFrame({"n": range(100_000)})
    sample = take_sample(FileOrigin(uri=str(csv(frame))), print, most_rows=3_000)
    kept = sample.frame["n"].cast(pl.Int64)
    assert (sample.rows, len(kept) <= 6_000, len(kept) >= 3_000) == (100_000, True, True)
    assert kept.diff().drop_nulls().unique().to_list() == [sample.step]


def test_a_category_with_many_values_is_used_by_its_rate(desk: Desk, csv: Csv) -> None:
    frame = table(6_000).with_columns(customer=pl.format("c-{}", pl.int_range(pl.len()) * 7919 % 4_000))
    desk.begin(csv(frame), "late")
    use_case = load_use_case(desk.root / "pipelines" / "shop" / "use_case.yaml")
    assert "customer" in use_case.inputs
    assert "customer" not in use_case.feature_names
    assert any("customer" in name for name in use_case.feature_names)


def test_slips_among_numbers_send_their_rows_to_quarantine(desk: Desk, csv: Csv, tmp_path: Path) -> None:
    frame = table().with_columns(price=pl.when(every(300, 150)).then(pl.lit("cheap")).otherwise("price"))
    desk.begin(csv(frame), "late")
    assert "'price' holds numbers, but 0.3% of its values are none ('cheap'); they send their rows" in desk.told
    assert list(tried(desk, tmp_path).tables[-1].rejected) == ["price_is_no_number"]


def test_many_texts_among_numbers_count_as_missing(desk: Desk, csv: Csv, tmp_path: Path) -> None:
    frame = table().with_columns(price=pl.when(every(9)).then(pl.lit("unknown")).otherwise("price"))
    desk.begin(csv(frame), "late")
    assert "  price: {type: number, invalid: missing}\n" in desk.text()
    assert tried(desk, tmp_path).tables[-1].rejected == {}


def test_latin_1_comes_through(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    frame = table().with_columns(pl.col("shop").replace({"north": "Köln", "south": "Málaga"}))
    path.write_bytes(frame.write_csv().encode("latin-1"))
    desk.begin(path, "late")
    assert "CSV: latin-1, delimiter ','" in desk.told
    assert set(tried(desk, tmp_path).rows["shop"]) == {"Köln", "Málaga", "east"}


def test_a_column_called_as_one_of_the_line_is_called_otherwise(desk: Desk, csv: Csv, tmp_path: Path) -> None:
    desk.begin(csv(table().rename({"shop": "reason"})), "late")
    assert "  reason_given: {from: reason, type: text}\n" in desk.text()
    assert "reason_given" in tried(desk, tmp_path).rows.columns


def test_rows_that_repeat_without_a_key_are_kept(desk: Desk, csv: Csv, tmp_path: Path) -> None:
    frame = pl.concat([table(600), table(600)]).sort("at")
    started = desk.begin(csv(frame), "late")
    assert started.found.key.columns == ()
    assert "They may be events of their own, so all are kept" in desk.told
    assert tried(desk, tmp_path).tables[-1].rejected == {}


def test_a_combination_that_is_unique_by_accident_is_no_key(desk: Desk, csv: Csv) -> None:
    started = desk.begin(csv(table().unique(["at", "shop"]).sort("at")), "late")
    assert started.found.key.columns == ()


def test_a_named_key_is_taken(desk: Desk, csv: Csv) -> None:
    frame = table().unique(["at", "shop"]).sort("at")
    desk.begin(csv(frame), "late", key=("shop", "at"))
    assert "key: [shop, at]\n" in desk.text()
