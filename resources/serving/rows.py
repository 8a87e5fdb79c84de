"""From the values of a request to typed rows: which kind of row it is, and whether every value is one.

Belongs here: which fields make a row, said in the caller's words. Does not belong here: single values (`values.py`),
how they travel (`protocol.py`), and what happens with the rows.
"""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
import polars as pl

from resources.errors import InputError
from resources.serving.service import Field, Signature, names
from resources.serving.values import MAX_TEXT, parser_of

MAX_ROWS: Final = 1_000
RowKind = Literal["inputs", "features"]


class RequestError(InputError):
    """A request that cannot be answered; the message is for its caller.

    Attributes:
        status: HTTP status.
        field: The field it is about, if it is about one.
    """

    def __init__(self, message: str, *, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


Row: TypeAlias = tuple[Any, ...]
"""The values of one row in the declared order of its fields; None where null."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to be scored.

    Attributes:
        kind: What the rows hold: what a caller knows, or every feature.
        rows: At least one, each with exactly the input fields or the feature fields, in declared order, every value of
            its field's type.
        id: What the caller calls this request.
        purpose: Why it is asked, if not for its own sake: the log then tells a smoke test from the real thing.
        outputs: Names of the tensors to be answered; none means all.
    """

    kind: RowKind
    rows: Sequence[Row]
    id: str | None = None
    purpose: str | None = None
    outputs: tuple[str, ...] = ()


def question(
    columns: Mapping[str, Sequence[Any]],
    signature: Signature,
    *,
    request_id: str | None = None,
    purpose: str | None = None,
) -> Question:
    """Typed rows of either kind; which one, the columns decide.

    Args:
        columns: JSON values by field name, all of the same length.
        signature: What may be asked with.
        request_id: What the caller calls this request.
        purpose: Why it is asked, if not for its own sake.

    Raises:
        RequestError: Naming the first field that is unknown, missing, of the other kind or holds a wrong value.
    """
    length = len(next(iter(columns.values()), ()))
    if length == 0:
        raise RequestError("the request holds no rows; send at least one")
    refuse_too_many(length)
    kind, fields = kind_of(columns, signature)
    values = [_values(f, columns[f.name] if f.name in columns else [None] * length) for f in fields]
    return Question(kind=kind, rows=[*zip(*values, strict=True)], id=request_id, purpose=purpose)


def frame_of(rows: Sequence[Row], fields: Sequence[Field]) -> pl.DataFrame:
    """Rows as a data frame with one column per field, of its type."""
    columns = zip(fields, zip(*rows, strict=True), strict=True)
    return pl.DataFrame([pl.Series(f.name, values, dtype=f.dtype, strict=True) for f, values in columns])


def refuse_too_many(rows: int) -> None:
    """Refuse a request that would keep others waiting for long."""
    if rows > MAX_ROWS:
        raise RequestError(f"the request holds {rows} rows; send at most {MAX_ROWS} at once", status=413)


def refuse_unknown(columns: Iterable[str], known: Container[str], hint: str = "") -> None:
    """Refuse the first column that is no field at all."""
    if (unknown := next((n for n in columns if n not in known), None)) is not None:
        shown = _quoted(unknown)
        raise RequestError(f"{shown} is not a field of this model. {hint}".rstrip(), field=unknown[:MAX_TEXT])


def kind_of(columns: Collection[str], signature: Signature) -> tuple[RowKind, tuple[Field, ...]]:
    """Which kind of rows these columns make, and its fields.

    Raises:
        RequestError: Naming the first column that is unknown, missing or of the other kind.
    """
    inputs, features = names(signature.inputs), names(signature.features)
    required = [f.name for f in signature.inputs if f.is_required]
    either = f"Send the inputs {inputs} (optional: {signature.optional_inputs}), or all {len(features)} features."
    refuse_unknown(columns, {*inputs, *features}, either)
    only_inputs = [n for n in columns if n not in features]
    only_features = [n for n in columns if n not in inputs]
    if only_inputs and only_features:
        message = (
            f"{only_inputs[0]!r} is an input and {only_features[0]!r} a feature; a request holds one kind. {either}"
        )
        raise RequestError(message, field=only_features[0])
    if not only_features and (missing := [n for n in required if n not in columns]):
        raise RequestError(f"{missing[0]!r} is missing. {either}", field=missing[0])
    if not only_features:
        return "inputs", signature.inputs
    if missing := [n for n in features if n not in columns]:
        more = f" and {len(missing) - 1} more features are" if len(missing) > 1 else " is"
        raise RequestError(f"{missing[0]!r}{more} missing; a value may be null. {either}", field=missing[0])
    return "features", signature.features


def row_of(record: Mapping[str, Any], fields: Sequence[Field]) -> Row:
    """The values of one object in the order of its fields; what is left out is null.

    Raises:
        RequestError: Naming the first field that is unknown, missing or holds a wrong value.
    """
    refuse_unknown(record, {f.name for f in fields}, f"It has {[f.name for f in fields]}.")
    return tuple(_values(f, [record.get(f.name)])[0] for f in fields)


def _values(field: Field, values: Sequence[Any]) -> list[Any]:
    parse = parser_of(field)
    parsed: list[Any] = []
    for row, value in enumerate(values):
        if value is None:
            if field.is_required:
                raise RequestError(f"{field.name!r} is null in row {row}; it is required", field=field.name)
            parsed.append(None)
            continue
        try:
            parsed.append(parse(value))
        except (ValueError, OverflowError) as error:
            message = f"{field.name!r} is {_quoted(value)} in row {row}: {error}"
            raise RequestError(message, field=field.name) from error
    return parsed


def _quoted(value: object) -> str:
    """A value of the caller's for the message to the caller, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
