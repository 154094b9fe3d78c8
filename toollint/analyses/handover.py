"""What a factory opens for the object that it returns: afterwards nobody else can reach it.

``client = connect(); return Session(client)``: the object stores what it was given, its maker has no hold of it.
Factories are the class methods of the class, the functions of its file and, where its constructor asks for a resource
by an annotation, those of other files of the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.claims import assignments, is_certain
from toollint.analyses.origins import origins
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import Assigned, ClassFacts, FunctionFacts
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Arg, Call, Expr, Name, Return, Yield, callee, is_name, last_call, walk

_WRAPPERS = 3
"""How many objects of the project a parameter may be wrapped in before it is stored."""


class Handover(NamedTuple):
    """``attribute`` gets what a factory acquires at ``place``; ``wrapper`` is the class of the object around it.

    ``always``: no object can be made without it.
    """

    attribute: str
    acquisition: Acquisition
    place: Place
    wrapper: ClassFacts | None
    always: bool


def handovers(values: Values, cls: ClassFacts) -> Iterator[Handover]:
    """What the factories in sight acquire and leave to objects of the class alone."""
    for function in _factories(values, cls):
        nodes = [*walk(function.node.body, into=False)]
        if any(isinstance(node, Yield) for node in nodes):
            continue
        for node in nodes:
            if isinstance(node, Return) and node.value is not None:
                yield from _handed(values, cls, function, nodes, _behind(function, node.value))


def _factories(values: Values, cls: ClassFacts) -> Iterator[FunctionFacts]:
    yield from (method for method in cls.functions if method.is_classmethod or method.is_static)
    others = values.project.mentioning(cls.name) if _asks_for_a_resource(values, cls) else ()
    for module in dict.fromkeys([cls.module, *(one for one in others if not one.is_test)]):
        about = values.sieve.words(module.path, "acquisition")
        for index, definitions in module.definitions_at.items():
            words = module.words_of(index)
            if cls.name.encode() in words and not about.isdisjoint(words):
                yield from (one for one in definitions if isinstance(one, FunctionFacts))


def _asks_for_a_resource(values: Values, cls: ClassFacts) -> bool:
    """Whether a parameter of the constructor is annotated with a resource of the catalogue."""
    constructor = cls.methods.get("__init__")
    params = constructor.node.params if constructor is not None else ()
    allowed = (one for param in params for one in values.annotation(cls.scope, param.annotation))
    return any(isinstance(one.cls, Library) and values.catalog.resource(one.cls.name) is not None for one in allowed)


def _handed(
    values: Values, cls: ClassFacts, function: FunctionFacts, nodes: list[object], result: Expr
) -> Iterator[Handover]:
    """The acquisitions among the arguments of a returned call of the class."""
    called, call = callee(result), last_call(result)
    if called is None or call is None or values.of(function.scope, called) is not cls:
        return
    for name, given in _parameters(values, cls, call):
        found = [origin.made for origin in origins(values, function.scope, given)]
        stored = _stored(values, cls, name)
        if len(found) == 1 and isinstance(found[0], Acquisition) and stored is not None:
            if isinstance(given, Name) and _times_given(nodes, given.id) > 1:
                continue
            attribute, wrapper = stored
            always = _is_always_there(values, cls, name, attribute)
            yield Handover(attribute, found[0], _place(function, given), wrapper, always)


def _parameters(values: Values, cls: ClassFacts, call: Call) -> Iterator[tuple[str, Expr]]:
    """The parameters of the constructor with what the call gives for them, as far as that is plain."""
    constructor = _constructor(values, cls)
    if constructor is None:
        return
    names = [param.name for param in constructor.node.params[1:] if param.kind in {"positional", "plain"}]
    for index, arg in enumerate(call.args):
        if arg.stars:
            names = names[:index]
        elif arg.keyword is not None:
            yield arg.keyword, arg.value
        elif index < len(names):
            yield names[index], arg.value


def _stored(
    values: Values, cls: ClassFacts, param: str, depth: int = _WRAPPERS
) -> tuple[str, ClassFacts | None] | None:
    """The attribute that the constructor keeps a parameter in, and the class of the object that wraps it there."""
    constructor = _constructor(values, cls)
    if constructor is None:
        return None
    for attribute, stmt in assignments(constructor):
        if isinstance(stmt.value, Name) and stmt.value.id == param:
            return attribute, None
        called = callee(stmt.value) if stmt.value is not None else None
        wrapper = values.of(constructor.scope, called) if called is not None else None
        call = last_call(stmt.value)
        if isinstance(wrapper, ClassFacts) and call is not None and depth and wrapper is not cls:
            inner = [name for name, given in _parameters(values, wrapper, call) if is_name(given, param)]
            if inner and _stored(values, wrapper, inner[0], depth - 1) is not None:
                return attribute, wrapper
    return None


def _is_always_there(values: Values, cls: ClassFacts, param: str, attribute: str) -> bool:
    """Whether the constructor asks for the parameter and puts it into the attribute."""
    constructor = _constructor(values, cls)
    return (
        constructor is not None
        and any(one.name == param and one.default is None for one in constructor.node.params)
        and any(
            name == attribute and is_certain(constructor.node.body, stmt) for name, stmt in assignments(constructor)
        )
    )


def _constructor(values: Values, cls: ClassFacts) -> FunctionFacts | None:
    found = values.project.class_member(cls, "__init__")
    return found if isinstance(found, FunctionFacts) else None


def _times_given(nodes: list[object], name: str) -> int:
    return sum(isinstance(node, Arg) and is_name(node.value, name) for node in nodes)


def _place(function: FunctionFacts, given: Expr) -> Place:
    """Where the value is acquired: through a local name, at its assignment."""
    given = _behind(function, given)
    return function.at(given.start, given.end)


def _behind(function: FunctionFacts, expr: Expr) -> Expr:
    """What a local name was assigned last; any other expression itself."""
    found = function.scope.bindings.get(expr.id, ()) if isinstance(expr, Name) else ()
    if found and isinstance(found[-1], Assigned) and found[-1].stmt.value is not None:
        return found[-1].stmt.value
    return expr
