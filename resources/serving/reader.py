"""The short way from the bytes of an inference request of one row to its values.

Belongs here: what most requests look like, read without a look at anything twice. Does not belong here: any rule of its
own. Whatever is not plainly right goes the long way (`protocol.py`), which also finds the words for what is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from resources.serving.protocol import DATATYPES, MAX_WORD, allowed_datatypes, parse_infer
from resources.serving.rows import MAX_NUMBER, Question, RequestError, Row, RowKind, kind_of, number, parser
from resources.serving.service import Signature

MOST_LAYOUTS: Final = 64
"""Orders of tensors that are remembered, and for each the types of values. A caller has one or two; those of one who
sends ever new ones are looked at anew each time."""

_Types: TypeAlias = tuple[tuple[str, ...], tuple[type, ...]]
"""Of all tensors of a request in their order: as the caller names them, and as they are in JSON."""


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
    parse: Callable[[Any], Any]
    is_required: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """How values of certain types become a row.

    Attributes:
        numbers: Places among the values of those that already are what they are to be, if they are not too large.
        others: Places of those that are yet to be looked at, with what does.
        order: Place among the values of each value of the row; -1, where nothing was sent.
    """

    numbers: list[int]
    others: list[tuple[int, Callable[[Any], Any]]]
    order: list[int]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What tensors of certain names in a certain order make: rows of a kind."""

    kind: RowKind
    width: int
    slots: tuple[_Slot, ...]
    plans: dict[_Types, _Plan] = field(default_factory=dict)

    def row(self, tensors: list[_Tensor]) -> Row | None:
        """The values of one row; None if a tensor is not plainly right."""
        values = [t.data[0] for t in tensors]
        types = tuple([t.datatype for t in tensors]), tuple(map(type, values))
        plan = self.plans.get(types) or self._new_plan(types)
        if plan is None:
            return None
        numbers = [values[place] for place in plan.numbers]
        if numbers and (min(numbers) < -MAX_NUMBER or max(numbers) > MAX_NUMBER):
            return None
        try:
            for place, parse in plan.others:
                values[place] = parse(values[place])
        except (ValueError, OverflowError):
            return None
        values.append(None)
        return tuple([values[place] for place in plan.order])

    def _new_plan(self, types: _Types) -> _Plan | None:
        plan = _Plan([], [], [-1] * self.width)
        for place, (slot, datatype, kind) in enumerate(zip(self.slots, *types, strict=True)):
            plan.order[slot.place] = place
            if kind is type(None):  # of which a caller cannot tell the type
                # But a plan is remembered by it: no caller may have us keep words of their own, of any length.
                if slot.is_required or datatype not in DATATYPES:
                    return None
            elif datatype not in slot.datatypes:
                return None
            elif kind is float and slot.parse is number:
                plan.numbers.append(place)
            else:
                plan.others.append((place, slot.parse))
        if len(self.plans) < MOST_LAYOUTS:
            self.plans[types] = plan
        return plan


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
        row = None if layout is None else layout.row(request.inputs)
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
            slots.append(_Slot(place, allowed, parse, fields[place].is_required))
        layout = _Layout(kind, len(fields), tuple(slots))
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts[names] = layout
        return layout
