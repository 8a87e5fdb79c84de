import re

import numpy as np
import polars as pl
import pytest

from assets.checks.expectations import validate
from assets.logic.profiling.leaks import find_leaks
from assets.logic.profiling.profile import Profile, profile
from assets.logic.profiling.suggestions import Suggestion, suggest_expectations, suggest_roles
from tests.assets.logic.profiling.example_tables import hours, leak, table_of, text

R = np.random.default_rng(8)
N = 500
TABLE = pl.DataFrame(
    {
        "order id": [f"o{v:05d}" for v in R.permutation(N)],
        "price (EUR)": R.gamma(2, 10, N),
        "price  EUR": R.normal(1_600_000_000, 5, N),
        "share": R.random(N) / 1_000,
        "shop": R.choice(["north", "south"], N),
        "customer_id": R.integers(0, 100, N).astype(str),
        "product": [f"p{v}" for v in R.integers(0, 3_000, N)],
        "comment": [f"came {v} days late, box {w}" for v, w in R.integers(0, 99, (N, 2))],
        "rating": [None if v < 0.2 else round(v, 2) for v in R.random(N)],
        "same": ["x"] * N,
        "nothing": pl.Series([None] * N, dtype=pl.String),
        "sold": R.integers(0, 2, N),
    }
)
PROFILE = profile(TABLE, "sold")


def role(found: list[Suggestion], column: str) -> Suggestion:
    return next(s for s in found if s.column == column)


@pytest.mark.parametrize(
    ("column", "expected", "reason"),
    [
        ("order id", "ignored", "names a row"),
        ("shop", "input", "nothing speaks against it"),
        ("customer_id", "input", "has a history"),
        ("comment", "ignored", "free text"),
        ("same", "ignored", "is 'x' wherever it is filled"),
        ("nothing", "ignored", "empty in all rows"),
        ("rating", "input", "kind number"),
    ],
)
def test_every_column_has_a_role_with_a_reason(column: str, expected: str, reason: str) -> None:
    found = role(suggest_roles(PROFILE), column)
    assert (found.role, reason in found.reason) == (expected, True), found.reason


def test_the_target_has_no_role() -> None:
    assert "sold" not in {s.column for s in suggest_roles(PROFILE)}


def test_a_column_with_a_warning_is_known_later_for_that_reason() -> None:
    table = table_of("binary")
    frame = table.frame.with_columns(verdict=leak("recoded", table))
    warnings = find_leaks(frame, table.target, "binary", table.event_time, except_for=["happened_at"])
    found = role(suggest_roles(profile(frame, table.target), warnings), "verdict")
    assert (found.role, found.reason) == ("known_later", warnings[0].sentence)


def test_misfits_and_many_categories_are_reasons_to_look() -> None:
    frame = pl.DataFrame(
        {
            "m": text(["?!" if i % 50 == 0 else i % 7 for i in range(6_000)]),
            "c": text([f"v{i % 2_000}" for i in range(6_000)]),
        }
    ).with_columns(y=text(np.arange(6_000) % 2))
    found = suggest_roles(profile(frame, "y"))
    assert "120 misfits" in role(found, "m").reason
    assert "2,000 values: use its frequency" in role(found, "c").reason


def test_the_profiled_rows_meet_every_expectation() -> None:
    results = validate(TABLE, suggest_expectations(PROFILE))
    assert [r.check for r in results if not r.passed] == []
    assert len(results) > 10


def test_rows_of_another_draw_meet_them_too() -> None:
    other = TABLE.with_columns(pl.Series("price (EUR)", R.gamma(2, 10, N)), pl.Series("share", R.random(N) / 1_000))
    assert [r.check for r in validate(other, suggest_expectations(PROFILE)) if not r.passed] == []


def test_values_in_another_unit_and_new_categories_break_them() -> None:
    broken = TABLE.with_columns(pl.col("price (EUR)") * 100, shop=pl.lit("east"))
    failed = {r.check for r in validate(broken, suggest_expectations(PROFILE)) if not r.passed}
    assert failed == {"price_eur_is_plausible", "shop_has_known_values"}


def test_only_what_breaks_the_line_is_critical() -> None:
    critical = {e.check for e in suggest_expectations(PROFILE) if e.severity == "critical"}
    assert critical == {"rows_are_there", "keys_are_unique", "order_id_is_always_there"}


def test_without_a_key_nothing_has_to_be_unique() -> None:
    found: Profile = profile(TABLE.select("shop", "sold"), "sold")
    assert [e.type for e in suggest_expectations(found) if "unique" in e.type] == []


def test_check_names_are_words_and_differ() -> None:
    checks = [e.check for e in suggest_expectations(PROFILE)]
    assert len(set(checks)) == len(checks)
    assert all(re.fullmatch(r"\w+", c, flags=re.ASCII) for c in checks)


def test_a_range_from_zero_on_stays_so() -> None:
    bounds = next(e.arguments for e in suggest_expectations(PROFILE) if e.check == "price_eur_is_plausible")
    assert bounds["min_value"] == 0


def test_a_table_of_one_row_and_time_gets_expectations() -> None:
    one = profile(TABLE.head(2).with_columns(sold=pl.Series([0, 1])), "sold", hours(2))
    assert suggest_expectations(one)[0].check == "rows_are_there"
