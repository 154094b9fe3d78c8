"""Where a value comes from: made here (so somebody here owes its release), given by the caller, nothing, or unknown.

A forward look through local names, choices (``client or Client()``), factories of the project and their awaits. What a
factory returns is the caller's only where the factory keeps no other hold of it. Whatever is not understood is unknown,
and unknown is silence.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.values import Method, Values
from toollint.catalog import Acquisition
from toollint.facts import Assigned, ClassFacts, FunctionFacts, Parameter, Scope
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Bool,
    Call,
    Chain,
    Expr,
    IfExp,
    Name,
    Return,
    Walrus,
    Yield,
    callee,
    is_none,
    last_name,
    walk,
)

_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "override", "final"})
_STEPS = 5
"""How many names and factories in a row are followed."""


class Kind(enum.Enum):
    """Who answers for a value."""

    MADE = "made"
    GIVEN = "given"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Origin(NamedTuple):
    """One of the things that an expression may give; ``made`` tells what, where it is made here.

    That is an acquisition of the catalogue, or a class of the project: whether objects of it have to be released is
    `toollint.analyses.ownership`'s question.
    """

    kind: Kind
    made: Acquisition | ClassFacts | None = None


_GIVEN, _NOTHING, _UNKNOWN = Origin(Kind.GIVEN), Origin(Kind.NOTHING), Origin(Kind.UNKNOWN)


def origins(values: Values, scope: Scope, expr: Expr) -> tuple[Origin, ...]:
    """Everything that an expression may give where it is used, in source order."""
    return tuple(dict.fromkeys(_Search(values).of(scope, expr, awaited=False)))


class _Search:
    """One question; it remembers what it is looking into, so that cycles end."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.active: set[tuple[int, str]] = set()

    def of(self, scope: Scope, expr: Expr | None, *, awaited: bool) -> Iterator[Origin]:
        if expr is None or is_none(expr):
            yield _NOTHING
        elif isinstance(expr, Await):
            yield from self.of(scope, expr.value, awaited=True)
        elif isinstance(expr, Name):
            yield from self.name(scope, expr.id, awaited=awaited)
        elif isinstance(expr, Chain):
            yield from self.chain(scope, expr, awaited=awaited)
        else:
            choices = _choices(expr)
            for choice in choices:
                yield from self.of(scope, choice, awaited=awaited)
            if not choices or (isinstance(expr, Bool) and expr.op == "and"):
                yield _NOTHING if choices else _UNKNOWN

    def name(self, scope: Scope, name: str, *, awaited: bool) -> Iterator[Origin]:
        """What all bindings of a local name or parameter give; other names are somebody else's."""
        bindings = scope.bindings.get(name, ()) if scope.kind == "function" else ()
        key = (id(scope), name)
        if not bindings or len(self.active) >= _STEPS:
            yield _UNKNOWN
        if key in self.active or len(self.active) >= _STEPS:
            return  # `client = client or Client()`: what it was before is among the other bindings
        self.active.add(key)
        for binding in bindings:
            if isinstance(binding, Parameter):
                yield _UNKNOWN if name == _receiver(scope) else _GIVEN
            elif isinstance(binding, Assigned):
                if binding.stmt.value is not None:
                    yield from self.of(scope, binding.stmt.value, awaited=awaited)
            else:
                yield _UNKNOWN
        self.active.discard(key)

    def chain(self, scope: Scope, chain: Chain, *, awaited: bool) -> Iterator[Origin]:
        acquisition = self.values.acquisition(scope, chain)
        called = callee(chain)
        if acquisition is not None:
            yield _UNKNOWN if acquisition.awaited == "yes" and not awaited else Origin(Kind.MADE, acquisition)
        elif called is not None:
            target = self.values.of(scope, called)
            last = chain.links[-1]
            if target == Library("typing.cast") and isinstance(last, Call) and len(last.args) > 1:
                yield from self.of(scope, last.args[1].value, awaited=awaited)
            else:
                yield from self.called(scope, chain, target, awaited=awaited)
        else:
            yield _GIVEN if _belongs_to_parameter(scope, chain) else _UNKNOWN

    def called(self, scope: Scope, chain: Chain, target: object, *, awaited: bool) -> Iterator[Origin]:
        """What a call gives: an object of a class of the project, or what its function makes."""
        if isinstance(target, ClassFacts):
            yield Origin(Kind.MADE, target)
        elif isinstance(target, Method | FunctionFacts):
            function = target.function if isinstance(target, Method) else target
            yield from self.returned(function, awaited=awaited)
        else:
            yield _GIVEN if _belongs_to_parameter(scope, chain) else _UNKNOWN

    def returned(self, function: FunctionFacts, *, awaited: bool) -> Iterator[Origin]:
        """What a call of the function gives, where the function is then done with it."""
        key = (id(function), "")
        if key in self.active or len(self.active) >= _STEPS:
            yield _UNKNOWN
            return
        words = {last_name(decorator) for decorator in function.decorators}
        if function.node.is_async != awaited or not words <= _PLAIN_DECORATORS:
            yield _UNKNOWN
            return
        self.active.add(key)
        nodes = [*walk(function.node.body, into=False)]
        results = [node.value for node in nodes if isinstance(node, Return) and node.value is not None]
        if not results or any(isinstance(node, Yield) for node in nodes):
            yield _UNKNOWN
        for result in results:
            if isinstance(result, Name) and _is_kept(nodes, result.id):
                yield _UNKNOWN
            else:
                yield from self.of(function.scope, result, awaited=False)
        self.active.discard(key)


def _choices(expr: Expr) -> tuple[Expr, ...]:
    """The expressions of which one is the value; empty for what is no choice."""
    if isinstance(expr, Walrus):
        return (expr.value,)
    if isinstance(expr, IfExp):
        return (expr.then, expr.orelse)
    if isinstance(expr, Bool):
        return expr.operands if expr.op == "or" else expr.operands[-1:]
    return ()


def _receiver(scope: Scope) -> str | None:
    return scope.owner.receiver if isinstance(scope.owner, FunctionFacts) else None


def _belongs_to_parameter(scope: Scope, chain: Chain) -> bool:
    """Whether it is read from a parameter, as ``config.client`` or ``kwargs.pop("client")`` are."""
    if not isinstance(chain.base, Name) or chain.base.id == _receiver(scope):
        return False
    found = scope.bindings.get(chain.base.id, ())
    return len(found) == 1 and isinstance(found[0], Parameter) and isinstance(chain.links[0], Attr)


def _is_kept(nodes: list[object], name: str) -> bool:
    """Whether a function gives a local name to anything but its caller: an argument, a container, an attribute."""
    for node in nodes:
        given = node.value if isinstance(node, Arg) else None
        if isinstance(node, Bind) and not all(isinstance(target, Name) for target in node.targets):
            given = node.value
        if isinstance(given, Name) and given.id == name:
            return True
    return False
