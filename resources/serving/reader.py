"""The short way from the bytes of an inference request of one row to its values.

Belongs here: what most requests look like, read without a look at anything twice. Does not belong here: any rule of its
own. Whatever is not plainly right goes the long way (`protocol.py`), which also finds the words for what is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from resources.serving.protocol import DATATYPES, MAX_WORD, allowed_datatypes, parse_infer
from resources.serving.rows import Question, RequestError, Row, RowKind, kind_of
from resources.serving.service import Signature
from resources.serving.template import Template, head_of, template_of
from resources.serving.values import MAX_NUMBER, number, parser_of

MOST_LAYOUTS: Final = 64
"""Orders of tensors that are remembered, and for each the types of values. A caller has one or two; those of one who
sends ever new ones are looked at anew each time."""

_Form: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Names and datatypes of all tensors of a request in their order, as the caller writes them."""


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
    """Where the value of one tensor goes, and what it may be; `parse` None: no value of the caller's datatype."""

    place: int
    parse: Callable[[Any], Any] | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """How values of certain types become a row.

    Attributes:
        numbers: Picks those that already are what they are to be, if they are not too large.
        others: Places of those that are yet to be looked at, with what does.
        row: Picks the values of the row; the last of what it picks from is the one of what was not sent.
    """

    numbers: Callable[[Sequence[Any]], tuple[float, ...]]
    others: list[tuple[int, Callable[[Any], Any]]]
    row: Callable[[Sequence[Any]], Row]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What tensors of certain names and datatypes in a certain order make: rows of a kind."""

    kind: RowKind
    width: int
    slots: tuple[_Slot, ...]
    plans: dict[tuple[type, ...], _Plan] = field(default_factory=dict)

    def question(self, values: list[Any], request_id: str | None = None) -> Question | None:
        """The question that one value of each tensor asks; None if one is not plainly right."""
        types = tuple(map(type, values))
        plan = self.plans.get(types) or self._new_plan(types)
        if plan is None:
            return None
        numbers = plan.numbers(values)
        if max(map(abs, numbers), default=0.0) > MAX_NUMBER:
            return None
        values = [*values, None]
        try:
            for place, parse in plan.others:
                values[place] = parse(values[place])
        except (ValueError, OverflowError):
            return None
        return Question(kind=self.kind, rows=(plan.row(values),), id=request_id)

    def _new_plan(self, types: tuple[type, ...]) -> _Plan | None:
        numbers: list[int] = []
        others: list[tuple[int, Callable[[Any], Any]]] = []
        order = [-1] * self.width
        for place, (slot, kind) in enumerate(zip(self.slots, types, strict=True)):
            order[slot.place] = place
            if kind is type(None):  # of which a caller cannot tell the type
                if slot.is_required:
                    return None
            elif slot.parse is None:
                return None
            elif kind is float and slot.parse is number:
                numbers.append(place)
            else:
                others.append((place, slot.parse))
        plan = _Plan(picker(numbers), others, picker(order))
        if len(self.plans) < MOST_LAYOUTS:
            self.plans[types] = plan
        return plan


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Picks the values at these places; of fewer than two, `itemgetter` would give no tuple."""
    return itemgetter(*places) if len(places) > 1 else lambda values: tuple([values[place] for place in places])


class InferReader:
    """Reads the inference requests of one signature."""

    def __init__(self, signature: Signature) -> None:
        """Take what may be asked with."""
        self._signature, self._allowed = signature, allowed_datatypes(signature)
        self._decoder = msgspec.json.Decoder(_Request)
        self._layouts: dict[_Form, _Layout] = {}
        self._templates: dict[bytes, tuple[Template, _Layout]] = {}
        """By the head of a body."""

    def read(self, body: bytes) -> Question:
        """The question a body asks.

        Raises:
            RequestError: As `protocol.parse_infer`.
        """
        return self.short(body) or parse_infer(body, self._signature)

    def short(self, body: bytes) -> Question | None:
        """The question, if it is one plain row; None if that is not plain to see."""
        template, layout = self._templates.get(head_of(body), (None, None))
        if template is not None and layout is not None and (values := template.values(body)) is not None:
            return layout.question(values)
        return self._parsed(body)

    def _parsed(self, body: bytes) -> Question | None:
        try:
            request = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # the long way tells what is wrong, if anything is
        if request.parameters is not None or request.outputs is not None or len(request.id or "") > MAX_WORD:
            return None
        form = tuple([t.name for t in request.inputs]), tuple([t.datatype for t in request.inputs])
        if (layout := self._layouts.get(form) or self._new_layout(*form)) is None:
            return None
        values = [t.data[0] for t in request.inputs]
        question = layout.question(values, request.id)
        # With an id of its own each request would make another one.
        if question is not None and request.id is None and len(self._templates) < MOST_LAYOUTS:
            self._remember(body, values, layout)
        return question

    def _remember(self, body: bytes, values: list[Any], layout: _Layout) -> None:
        head = head_of(body)
        if head not in self._templates and (template := template_of(body, values)) is not None:
            self._templates[head] = template, layout

    def _new_layout(self, names: tuple[str, ...], datatypes: tuple[str, ...]) -> _Layout | None:
        # What is remembered are words of ours: no caller may have us keep theirs, of any length.
        if not names or len(set(names)) != len(names) or not DATATYPES.issuperset(datatypes):
            return None
        try:
            kind, fields = kind_of(names, self._signature)
        except RequestError:
            return None
        places = {f.name: i for i, f in enumerate(fields)}
        slots = []
        for name, datatype in zip(names, datatypes, strict=True):
            place = places[name]
            parse = parser_of(fields[place]) if datatype in self._allowed[name] else None
            slots.append(_Slot(place, parse, fields[place].is_required))
        layout = _Layout(kind, len(fields), tuple(slots))
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts[names, datatypes] = layout
        return layout
