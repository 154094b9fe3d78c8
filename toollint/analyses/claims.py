"""What a class assigns to its attributes: made here, given by a caller, or something that nobody can tell.

Each assignment is one claim or several (``client or Client()`` is two). What they amount to is
`toollint.analyses.ownership`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.origins import Kind, origins
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import Assigned, ClassFacts, FunctionFacts
from toollint.model import Place
from toollint.syntax import (
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Collection,
    Const,
    Expr,
    For,
    Lambda,
    Raise,
    Return,
    Try,
    With,
    argument,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    walk,
)

_CONSTRUCTORS = frozenset({"__init__", "model_post_init", "__post_init__", "__attrs_post_init__"})
_FIELD_FUNCTIONS = frozenset({"Field", "PrivateAttr", "field", "attrib", "ib"})


class Claim(NamedTuple):
    """One thing that an attribute is given; ``made`` tells what, where ``kind`` says that it is made here.

    ``always``: every constructed instance holds it. ``shared``: the class body acquires it once for all instances.
    ``cached``: a cached property opens it. ``injectable``: a caller may pass one instead. ``nullable``: it may give
    None instead. ``function`` is the method that makes it, None for the class body.
    """

    attribute: str
    kind: Kind
    place: Place
    made: Acquisition | ClassFacts | None = None
    always: bool = False
    shared: bool = False
    cached: bool = False
    injectable: bool = False
    nullable: bool = False
    function: FunctionFacts | None = None


def claims_of(values: Values, cls: ClassFacts) -> Iterator[Claim]:
    """Everything that the class itself assigns to attributes of its instances, the class body first; not None."""
    for name, bindings in cls.scope.bindings.items():
        for binding in bindings:
            if isinstance(binding, FunctionFacts):
                yield from _cached_property(values, binding)
            elif isinstance(binding, Assigned) and binding.stmt.value is not None:
                yield from _default(values, cls, name, binding.stmt.value)
    for function in cls.functions:
        for attribute, stmt in assignments(function):
            if stmt.value is not None:
                yield from _assigned(values, function, attribute, stmt, stmt.value)
        yield from _bound_otherwise(function)


def assignments(function: FunctionFacts) -> Iterator[tuple[str, Bind]]:
    """Each ``self.name = ...`` of a method; what a class method assigns belongs to no instance."""
    if function.is_classmethod or function.receiver is None:
        return
    for stmt in walk(function.node.body, into=False):
        if isinstance(stmt, Bind):
            for target in stmt.targets:
                attribute = attribute_of(target, function.receiver)
                if attribute is not None:
                    yield attribute, stmt


def is_constructor(function: FunctionFacts) -> bool:
    """Whether it runs for every instance: by its name, or as a validator after all others of a pydantic model."""
    if function.name in _CONSTRUCTORS:
        return True
    calls = [last_call(one) for one in function.decorators if last_name(callee(one) or one) == "model_validator"]
    modes = [argument(call, "mode") for call in calls if call is not None]
    return any(isinstance(mode, Const) and mode.value == "after" for mode in modes)


def is_certain(block: Block, stmt: Bind) -> bool:
    """Whether a block that runs to its end has run the statement."""
    for one in block:
        if one is stmt:
            return True
        if isinstance(one, With) and is_certain(one.body, stmt):
            return True
        if isinstance(one, Try):
            raising = all(handler.body and isinstance(handler.body[-1], Raise) for handler in one.handlers)
            if is_certain(one.final, stmt) or (raising and is_certain(one.body + one.orelse, stmt)):
                return True
    return False


# --- the class body ----------------------------------------------------------------------------------------------


def _cached_property(values: Values, function: FunctionFacts) -> Iterator[Claim]:
    if "cached_property" not in map(last_name, function.decorators):
        return
    for node in walk(function.node.body, into=False):
        if isinstance(node, Return) and node.value is not None:
            place = function.at(node.value.start, node.value.end)
            for origin in origins(values, function.scope, node.value):
                if origin.kind is not Kind.NOTHING:
                    yield Claim(function.name, origin.kind, place, origin.made, cached=True, function=function)


def _default(values: Values, cls: ClassFacts, name: str, value: Expr) -> Iterator[Claim]:
    factory = default_factory(value)
    if factory is None and last_call(value) is None:
        return
    found = {
        origin.made for origin in origins(values, cls.scope, value if factory is None else called_factory(factory))
    }
    made = found.pop() if len(found) == 1 else None
    if made is not None:
        place = cls.at(value.start, value.end)
        injectable = factory is not None and not name.startswith("_")
        shared = factory is None
        yield Claim(name, Kind.MADE, place, made, always=not shared, shared=shared, injectable=injectable)


def called_factory(factory: Expr) -> Expr:
    """What a default factory gives, as an expression."""
    if isinstance(factory, Lambda):
        return factory.body
    base, links = (factory.base, factory.links) if isinstance(factory, Chain) else (factory, ())
    return Chain(base, (*links, Call((), factory.end)), factory.start, factory.end)


def default_factory(value: Expr) -> Expr | None:
    """The factory of ``Field(default_factory=...)`` and its kin."""
    call, function = last_call(value), callee(value)
    if call is None or function is None or last_name(function) not in _FIELD_FUNCTIONS:
        return None
    return argument(call, "default_factory") or argument(call, "factory")


# --- the methods -------------------------------------------------------------------------------------------------


def _assigned(values: Values, function: FunctionFacts, attribute: str, stmt: Bind, value: Expr) -> Iterator[Claim]:
    found = origins(values, function.scope, _without_itself(function, attribute, value))
    kinds = {origin.kind for origin in found}
    if Kind.UNKNOWN in kinds:
        yield Claim(attribute, Kind.UNKNOWN, function.at(stmt.start, stmt.end))
        return
    place = function.at(value.start, value.end)
    certain = is_constructor(function) and is_certain(function.node.body, stmt) and kinds == {Kind.MADE}
    always = certain and not _returns_before(function, stmt)
    for origin in found:
        if origin.kind is not Kind.NOTHING:
            nullable = Kind.NOTHING in kinds
            yield Claim(attribute, origin.kind, place, origin.made, always=always, nullable=nullable, function=function)


def _bound_otherwise(function: FunctionFacts) -> Iterator[Claim]:
    """What a method gives an attribute by unpacking, in a loop or by ``with``: nobody can tell what, None aside."""
    if function.is_classmethod or function.receiver is None:
        return
    for node in walk(function.node.body, into=False):
        for target, value in _bindings(node):
            for part in walk(target) if not is_none(value) else ():
                attribute = attribute_of(part, function.receiver)
                if attribute is not None:
                    yield Claim(attribute, Kind.UNKNOWN, function.at(part.start, part.end))


def _bindings(node: object) -> Iterator[tuple[Expr | None, Expr | None]]:
    """The targets of a statement that are bound in another way than ``target = value``, each with what it gets."""
    if isinstance(node, For):
        yield node.target, node.iter
    elif isinstance(node, With):
        yield from ((target, context) for context, target in node.items)
    elif isinstance(node, Bind):
        for target in node.targets:
            if isinstance(target, Collection):
                given = node.value.items if isinstance(node.value, Collection) else ()
                plain = len(given) == len(target.items)
                yield from zip(target.items, given if plain else [node.value] * len(target.items), strict=True)


def _without_itself(function: FunctionFacts, attribute: str, value: Expr) -> Expr:
    """``Client()`` of ``self.client = self.client or Client()``: what it holds already is another claim."""
    if isinstance(value, Bool) and value.op == "or" and len(value.operands) == 2:
        first, second = value.operands
        if attribute_of(first, function.receiver) == attribute:
            return second
    return value


def _returns_before(function: FunctionFacts, stmt: Bind) -> bool:
    return any(isinstance(node, Return) and node.start < stmt.start for node in walk(function.node.body, into=False))


def emptied(cls: ClassFacts) -> frozenset[str]:
    """Attributes that a method other than a constructor sets to None."""
    late = [function for function in cls.functions if not is_constructor(function)]
    return frozenset(name for function in late for name, stmt in assignments(function) if is_none(stmt.value))
