"""Entries of weak-key containers whose value refers to the key: the container then holds the key after all.

The interpreter does not see that the reference runs through the entry itself (Python has no ephemerons), so such an
entry stays until somebody removes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.holding import Hold, Thing, hold_of, thing_at
from toollint.analyses.retention import Container, row_of
from toollint.analyses.uses import Use, uses_in
from toollint.analyses.values import Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Attr, Chain, Collection, Delete, Dict, Expr, Name, Return, callee, last_call, walk

_DATACLASS = Library("dataclasses.dataclass")
_TYPE = Library("builtins.type")
_TAKES = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "__delitem__"})
_OWN = frozenset({"__init__", "__new__", "__post_init__", "__setattr__"})


class Back(NamedTuple):
    """How a value refers to the key of its entry.

    ``how`` is that of `Hold`, or ``subclass``, or ``field``; ``text`` is what refers, ``place`` where it does.
    """

    how: str
    text: str
    place: Place

    @property
    def words(self) -> str:
        """The way back, as a note says it."""
        said = {
            "method": f"`{self.text}` is a method bound to the key",
            "lambda": "the function uses the key",
            "function": f"`{self.text}` uses the key",
            "partial": "the partial holds the key",
            "coroutine": "the coroutine holds the key",
            "argument": "the value is or contains the key",
            "helper": f"`{self.text.partition('(')[0]}` stores the key",
            "field": f"`{self.text}` has the key in a field",
            "subclass": f"`{self.text}` is a subclass of the key, and a class holds its bases",
        }
        return said[self.how]


def back_reference(values: Values, write: Use) -> Back | None:
    """How the value that is stored refers to its own key, None where nothing says that it does.

    Of a new container that is stored, what the same function puts into it counts too.
    """
    if write.key is None or write.value is None:
        return None
    key = thing_at(values, write.code.scope, write.key)
    if key is None:
        return None
    stored = [*_alternatives(write.code, write.value), *_put_inside(values, write)]
    found = (_leads(values, key, write.code, value) for value in stored)
    return next((one for one in found if one is not None), None)


def is_emptied(box: Container, write: Use) -> bool:
    """Whether anything may take the entry out again, or somebody gets the container who could."""
    return any(use.what in {"evict", "escape"} or _may_empty(box, use, write) for use in box.uses)


def _may_empty(box: Container, use: Use, write: Use) -> bool:
    """Whether a function that gets the container inside an entry takes anything out, or gives it to its caller."""
    function = use.code.function
    if (
        use.what != "lend"
        or function is None
        or not (write.nested or _is_new_container(box.values, write, write.value))
    ):
        return False
    for node in walk(function.node.body):
        if isinstance(node, Delete) or (isinstance(node, Attr) and node.name in _TAKES):
            return True
        if isinstance(node, Return) and node.value is use.node:
            return True
    return False


def _is_new_container(values: Values, write: Use, value: Expr | None) -> bool:
    """Whether an expression makes a container that holds what is put into it."""
    row = row_of(values, write.code.scope, value) if value is not None else None
    return row is not None and not row.weak


def fills_strongly(box: Container, write: Use) -> bool:
    """Whether what is written is held: by the container, or by a container inside it that is no weak one."""
    if not write.nested:
        return True
    inner = [one for one in box.writes if not one.nested and one.value is not None]
    return any(one.value is not None and row_of(box.values, one.code.scope, one.value) for one in inner)


def _put_inside(values: Values, write: Use) -> Iterator[Expr]:
    """What the function puts into the new container that it stores, by the local name that it has for it."""
    function = write.code.function
    if function is None or write.value is None or write.nested:
        return
    for name in _names_of(values, function, write):
        for use in uses_in(write.code, frozenset({name}), name):
            if use.what == "write" and use.value is not None and isinstance(use.container, Name):
                yield use.value


def _names_of(values: Values, function: FunctionFacts, write: Use) -> Iterator[str]:
    """The local names of a new container: it is stored from there, or what ``setdefault`` gives is bound to it."""
    if isinstance(write.value, Name):
        bindings = function.scope.bindings.get(write.value.id, ())
        made = [one.stmt.value for one in bindings if isinstance(one, Assigned)]
        if any(_is_new_container(values, write, one) for one in made):
            yield write.value.id
    elif write.how == "setdefault" and _is_new_container(values, write, write.value):
        for name, bindings in function.scope.bindings.items():
            if any(isinstance(one, Assigned) and one.stmt.value is write.node for one in bindings):
                yield name


def _alternatives(code: Code, value: Expr) -> Iterator[Expr]:
    """The value, or all that is assigned to the name that it is."""
    bindings = code.scope.bindings.get(value.id, ()) if isinstance(value, Name) else ()
    assigned = [one.stmt.value for one in bindings if isinstance(one, Assigned) and one.stmt.value is not None]
    yield from assigned if len(assigned) > 1 else [value]


def _leads(values: Values, key: Thing, code: Code, value: Expr) -> Back | None:
    hold = hold_of(values, key, code, [value])
    if hold is not None:
        return Back(hold.how, hold.text, hold.place)
    if isinstance(value, Collection | Dict):
        parts = value.items if isinstance(value, Collection) else [part for _, part in value.items]
        return next(filter(None, (_leads(values, key, code, part) for part in parts)), None)
    if isinstance(value, Name):
        return _named(values, key, code, value)
    return _made(values, key, code, value) if isinstance(value, Chain) else None


def _named(values: Values, key: Thing, code: Code, name: Name) -> Back | None:
    """What a local name stands for: a class derived from the key, or what is made of it."""
    bindings = code.scope.bindings.get(name.id, ())
    only = bindings[0] if len(bindings) == 1 else None
    if isinstance(only, ClassFacts):
        bases = [hold_of(values, key, code, [arg.value]) for arg in only.bases]
        return Back("subclass", only.name, only.place) if any(map(_is_key, bases)) else None
    if isinstance(only, Assigned) and isinstance(only.stmt.value, Chain):
        return _made(values, key, code, only.stmt.value)
    return None


def _made(values: Values, key: Thing, code: Code, chain: Chain) -> Back | None:
    """A subclass that ``type`` makes of the key, or an object whose generated constructor stores it."""
    call, target = last_call(chain), values.of(code.scope, callee(chain))
    if call is None:
        return None
    place = code.at(chain.start, chain.end)
    if target == _TYPE and len(call.args) > 1:
        bases = call.args[1].value
        items = bases.items if isinstance(bases, Collection) else ()
        return (
            Back("subclass", "type(...)", place)
            if any(_is_key(hold_of(values, key, code, [one])) for one in items)
            else None
        )
    if isinstance(target, ClassFacts) and _is_dataclass(values, target):
        held = hold_of(values, key, code, [arg.value for arg in call.args])
        return Back("field", target.name, place) if held is not None else None
    return None


def _is_key(hold: Hold | None) -> bool:
    """Whether an expression is the key itself."""
    return hold is not None and hold.how == "argument"


def _is_dataclass(values: Values, cls: ClassFacts) -> bool:
    """Whether the generated constructor stores every argument as it is."""
    makers = [values.project.resolve(cls.outer, callee(one) or one) for one in cls.node.decorators]
    lineage = values.project.lineage(cls)
    own = any(not _OWN.isdisjoint(one.scope.bindings) for one in lineage.classes)
    partly = any(isinstance(node, Name) and node.id == "InitVar" for node in walk(cls.node.body, into=False))
    return makers == [_DATACLASS] and lineage.known and not own and not partly
