"""Objects that keep themselves alive: in a container of their own, or together with what they keep (`entangled`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.closers import closing_verb
from toollint.analyses.entangled import Entangled
from toollint.analyses.once import lives_once
from toollint.analyses.values import Values
from toollint.facts import ClassFacts, FunctionFacts, ModuleFacts, classes_of
from toollint.model import Place
from toollint.syntax import (
    Attr,
    Bind,
    Chain,
    Delete,
    Expr,
    Index,
    Name,
    attribute_of,
    callee,
    last_call,
    prefix,
    walk,
)

_STORED = re.compile(rb"\b(\w+)\.(\w+)(?:\[[^\]\r\n]*\][ \t]*=[ \t]*\1[ \t]*(?:\r|\n|#|$)|\.(?:append|add)\(\1\))")
_TAKES_OUT = frozenset({"pop", "clear", "remove", "discard", "popitem"})


@dataclass(frozen=True, eq=False)
class SelfHeld:
    """An object of ``cls`` that is stored in its own ``attribute``; ``verb`` is how objects of the class are closed."""

    cls: ClassFacts
    attribute: str
    place: Place
    verb: str

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[SelfHeld]:
        """The classes of a file whose objects hold themselves, in source order."""
        attributes = frozenset(found[2] for found in _STORED.finditer(module.utf8))
        for facts in classes_of(module, attributes) if attributes and not module.is_test else ():
            for function in facts.functions:
                for node in walk(function.node.body, into=False):
                    name = _own_container(function, node)
                    verb = closing_verb(values, facts) if name is not None else None
                    if name is None or verb is None or lives_once(values, facts) or _is_taken_out(values, facts, name):
                        continue
                    yield cls(facts, name, function.at(node.start, node.end), verb.name or "__exit__")


class HeldByOwn:
    """The subject of TL307: owners that are held by something of their own."""

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Entangled | SelfHeld]:
        """Every owner of a file that is held by what it keeps, cycles of two before those of one."""
        yield from Entangled.find(values, module)
        yield from SelfHeld.find(values, module)


def _own_container(function: FunctionFacts, node: object) -> str | None:
    """The attribute of a method's object whose container a node puts the object into."""
    if isinstance(node, Bind) and _is_receiver(function, node.value):
        for target in node.targets:
            if isinstance(target, Chain) and len(target.links) == 2 and isinstance(target.links[1], Index):
                return attribute_of(prefix(target, 1), function.receiver)
    call, called = (last_call(node), callee(node)) if isinstance(node, Chain) else (None, None)
    if call is None or not isinstance(called, Chain) or len(called.links) != 2 or len(call.args) != 1:
        return None
    method = called.links[1]
    stores = (
        isinstance(method, Attr) and method.name in {"append", "add"} and _is_receiver(function, call.args[0].value)
    )
    return attribute_of(prefix(called, 1), function.receiver) if stores else None


def _is_receiver(function: FunctionFacts, expr: Expr | None) -> bool:
    return isinstance(expr, Name) and expr.id == function.receiver and not function.is_classmethod


def _is_taken_out(values: Values, cls: ClassFacts, attribute: str) -> bool:
    """Whether anything in the class may take the object out of the container again."""
    functions = (function for one in values.project.lineage(cls).classes for function in one.functions)
    return any(_takes_out(node, function, attribute) for function in functions for node in walk(function.node.body))


def _takes_out(node: object, function: FunctionFacts, attribute: str) -> bool:
    if isinstance(node, Delete):
        return any(_starts(target, function, attribute) for target in node.targets)
    if not isinstance(node, Chain) or not _starts(node, function, attribute):
        return False
    return any(isinstance(link, Attr) and link.name in _TAKES_OUT for link in node.links)


def _starts(expr: Expr, function: FunctionFacts, attribute: str) -> bool:
    return isinstance(expr, Chain) and attribute_of(prefix(expr, 1), function.receiver) == attribute
