"""The short way from the bytes of an inference request of one row to its values.

Belongs here: what most requests look like, read without a look at anything twice. Does not belong here: any rule of its
own. Whatever is not plainly right goes the long way (`protocol.py`), which also finds the words for what is wrong.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

from resources.serving.protocol import MAX_WORD, allowed_datatypes, parse_infer
from resources.serving.rows import MAX_NUMBER, Question, RequestError, Row, RowKind, kind_of, number, parser
from resources.serving.service import Signature

MOST_LAYOUTS: Final = 64
"""Orders of tensors that are remembered. A caller has one or two; one who sends ever new ones goes the long way."""


class _Tensor(msgspec.Struct, gc=False):
    """A tensor of one value: anything longer is no match."""

    name: str
    shape: tuple[Literal[1]]
    datatype: str
    data: tuple[Any]


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: Any = None
    outputs: Any = None


class _Slot(NamedTuple):
    """Where the value of one tensor goes, and what it may be."""

    place: int
    datatypes: frozenset[str]
    parse: Any
    is_number: bool
    is_required: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """What tensors of certain names in a certain order make: rows of a kind."""

    kind: RowKind
    width: int
    slots: tuple[_Slot, ...]


class InferReader:
    """Reads the inference requests of one signature."""

    def __init__(self, signature: Signature) -> None:
        """Take what may be asked with."""
        self._signature, self._allowed = signature, allowed_datatypes(signature)
        self._decoder = msgspec.json.Decoder(_Request)
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def read(self, body: bytes) -> Question:
        """The question a body asks.

        Raises:
            RequestError: As `protocol.parse_infer`.
        """
        return self.short(body) or parse_infer(body, self._signature)

    def short(self, body: bytes) -> Question | None:
        """The question, if it is one plain row; None if that is not plain to see."""
        try:
            request = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # the long way tells what is wrong, if anything is
        if request.parameters is not None or request.outputs is not None or len(request.id or "") > MAX_WORD:
            return None
        layout = self._layouts.get(tuple([t.name for t in request.inputs])) or self._new_layout(request.inputs)
        row = None if layout is None else _row(request.inputs, layout)
        return None if layout is None or row is None else Question(kind=layout.kind, rows=(row,), id=request.id)

    def _new_layout(self, tensors: list[_Tensor]) -> _Layout | None:
        names = tuple(t.name for t in tensors)
        if not names or len(set(names)) != len(names):
            return None
        try:
            kind, fields = kind_of(names, self._signature)
        except RequestError:
            return None
        places = {f.name: i for i, f in enumerate(fields)}
        slots = []
        for name in names:
            place = places[name]
            parse, allowed = parser(fields[place].dtype), frozenset(self._allowed[name])
            slots.append(_Slot(place, allowed, parse, parse is number, fields[place].is_required))
        layout = _Layout(kind, len(fields), tuple(slots))
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts[names] = layout
        return layout


def _row(tensors: list[_Tensor], layout: _Layout) -> Row | None:
    """The values of one row; None if a tensor is not plainly right."""
    row: list[Any] = [None] * layout.width
    for tensor, (place, datatypes, parse, is_number, is_required) in zip(tensors, layout.slots, strict=True):
        (value,) = tensor.data
        if value is None:
            if is_required:
                return None
            continue
        if not (is_number and type(value) is float and -MAX_NUMBER <= value <= MAX_NUMBER):
            try:
                value = parse(value)
            except (ValueError, OverflowError):
                return None
        if tensor.datatype not in datatypes:
            return None
        row[place] = value
    return tuple(row)
