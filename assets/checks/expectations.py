"""Great Expectations on cleaned tables: one declared expectation in, one plain result out.

Belongs here: running expectations and turning what the library says into values Dagster can show. Does not belong here:
which expectations a table has; a use case declares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from assets.contracts import Expectation, Severity
from assets.logic.wording import capital

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationValidationResult

NO_ROWS: Final = "no rows to judge"
TABLE_LEVEL: Final = "expect_table_"
"""Expectations that say something about a frame without rows; all others would pass it without having looked at any."""
SHOWN: Final = 5
"""How many unexpected values a result keeps."""

FACTS: Final = (
    "element_count",
    "missing_count",
    "missing_percent",
    "unexpected_count",
    "unexpected_percent",
    "observed_value",
)
"""What is kept of a result; the rest repeats these in other words, or lists row numbers."""

Observed = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class ExpectationResult:
    """What became of one expectation.

    Attributes:
        check: Name of the declared expectation.
        passed: False as well if it could not be judged.
        severity: As declared.
        observed: Counts, percentages and values behind the verdict, as plain scalars: those of `FACTS` that the
            expectation gives, and a few `unexpected_values` as text.
        error: Why it could not be judged, or None.
    """

    check: str
    passed: bool
    severity: Severity
    observed: Mapping[str, Observed]
    error: str | None = None

    @property
    def why(self) -> str | None:
        """Why it failed, in a sentence; None if it passed."""
        if self.passed or self.error is not None:
            return self.error
        if "unexpected_count" not in self.observed:
            return f"Observed: {self.observed.get('observed_value', 'nothing')}."
        count, of = self.observed["unexpected_count"], self.observed.get("element_count", "?")
        such = f", such as {self.observed['unexpected_values']}" if "unexpected_values" in self.observed else ""
        return f"{count} of {of} values are not as expected{such}."


def told(expectation: Expectation) -> str:
    """What an expectation demands, in the words of the library: its type and its arguments."""
    arguments = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in expectation.arguments.items())
    demand = expectation.type.replace("_", " ")
    return f"{capital(demand)}: {arguments}. Great Expectations, {expectation.severity}."


def validate(frame: pl.DataFrame, expectations: Sequence[Expectation]) -> list[ExpectationResult]:
    """Judge a table by its expectations; the results are in the order of the declarations, one for each.

    A gate fails closed: an expectation that raises (its column is absent, say) has failed with the error, and on a
    table without rows all but table-level expectations have failed, where the library itself would pass them.

    Args:
        frame: A cleaned table, shape (n, columns).
        expectations: What it must fulfil.

    Raises:
        ValueError: If Great Expectations knows no expectation of a declared type, or not with these arguments.
    """
    if not expectations:
        return []
    judged = [e for e in expectations if len(frame) or e.type.startswith(TABLE_LEVEL)]
    found = _by_check(frame, judged) if judged else {}
    return [_result(e, found[e.check]) if e.check in found else _without_rows(e) for e in expectations]


def _by_check(frame: pl.DataFrame, expectations: Sequence[Expectation]) -> dict[str, "ExpectationValidationResult"]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The library takes no Polars frame, and copies what it was given once for each expectation: it is given one column
    # at a time, not all of them.
    judged: dict[tuple[str, ...], list[Expectation]] = {}
    for expectation in expectations:
        judged.setdefault(_looked_at(frame, expectation), []).append(expectation)
    found: dict[str, ExpectationValidationResult] = {}
    asset = context.data_sources.add_pandas("polars").add_dataframe_asset("table")
    whole = asset.add_batch_definition_whole_dataframe("columns")
    for columns, those in judged.items():
        batch = whole.get_batch({"dataframe": frame.select(columns).to_pandas()})
        outcome = batch.validate(_suite(those), result_format="SUMMARY")
        # Results come in another order than the suite: each is told by the name it carries in `meta`.
        found |= {r.expectation_config.meta["check"]: r for r in outcome.results if r.expectation_config is not None}
    return found


def _looked_at(frame: pl.DataFrame, expectation: Expectation) -> tuple[str, ...]:
    """Columns that an expectation may look at: those it names anywhere; all, if that cannot tell."""
    if expectation.type.startswith(TABLE_LEVEL) or "row_condition" in expectation.arguments:
        return tuple(frame.columns)
    values = expectation.arguments.values()
    said = (part for value in values for part in (value if isinstance(value, list | tuple | set) else [value]))
    named = {part for part in said if isinstance(part, str)}
    return tuple(column for column in frame.columns if column in named) or tuple(frame.columns)


def _suite(expectations: Sequence[Expectation]) -> "ExpectationSuite":
    import great_expectations as gx
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    suite = gx.ExpectationSuite(name="expectations")
    for e in expectations:
        try:
            suite.add_expectation(get_expectation_impl(e.type)(**e.arguments, meta={"check": e.check}))
        except (ExpectationNotFoundError, ValueError, TypeError) as error:
            raise ValueError(
                f"expectation {e.check!r}: {e.type} with {dict(e.arguments)} cannot be made: {error}"
            ) from error
    return suite


def _result(expectation: Expectation, found: "ExpectationValidationResult") -> ExpectationResult:
    return ExpectationResult(
        check=expectation.check,
        passed=bool(found.success),
        severity=expectation.severity,
        observed=_observed(found.result or {}),
        error=_error(found.exception_info or {}),
    )


def _without_rows(expectation: Expectation) -> ExpectationResult:
    return ExpectationResult(
        check=expectation.check,
        passed=False,
        severity=expectation.severity,
        observed={"element_count": 0},
        error=NO_ROWS,
    )


def _observed(result: Mapping[str, object]) -> dict[str, Observed]:
    """The facts of a result as plain Python values, with the first distinct unexpected values as one text."""
    observed: dict[str, Observed] = {}
    for name in FACTS:
        value = _plain(result.get(name))
        if isinstance(value, Observed):
            observed[name] = value
        elif isinstance(value, Sequence):
            observed[name] = _text(value)
    unexpected = result.get("partial_unexpected_list")
    if isinstance(unexpected, Sequence) and (text := _text(unexpected)):
        observed["unexpected_values"] = text
    return observed


def _plain(value: object) -> object:
    """A NumPy scalar as the Python value it holds, anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _text(values: Sequence[object]) -> str:
    """The first few distinct values; what is missing (None, or NaN, which differs from itself) says nothing."""
    plain = [_plain(v) for v in values]
    return ", ".join(list(dict.fromkeys(str(v) for v in plain if v is not None and v == v))[:SHOWN])  # noqa: PLR0124


def _error(info: Mapping[str, object]) -> str | None:
    """What was raised. The library tells it in two shapes: flat, or by the id of the metric that raised."""
    raised = [info] if "raised_exception" in info else [v for v in info.values() if isinstance(v, Mapping)]
    messages = {str(i.get("exception_message")) for i in raised if i.get("raised_exception")}
    return "; ".join(sorted(messages)) or None
