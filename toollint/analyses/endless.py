"""Threads that an object starts, that never end, and that hold the object: it can never be collected.

A running thread is a root. What counts as endless is ``while True`` without `break`, `return` or `raise`, and with no
handler around it; the loop belongs to a method of the object, or to a function inside one that uses the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.once import lives_once
from toollint.analyses.values import Method, Values
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Call, Chain, Const, For, Name, Raise, Return, Simple, Try, While, argument, prefix, walk

_FOREVER = re.compile(rb"\bwhile[ \t(]+(?:True|1)\b")
_THREAD = Library("threading.Thread")


@dataclass(frozen=True, eq=False)
class Endless:
    """A thread that an object of ``cls`` starts, with the function that it runs and the loop that it never leaves."""

    cls: ClassFacts
    started: Place
    target: FunctionFacts
    loop: While

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Endless]:
        """The endless threads that the classes of a file start, in source order of the code that starts them."""
        if module.is_test or not _FOREVER.search(module.utf8):
            return
        for code in code_of(module, frozenset({b"Thread"})):
            method = _method(code.scope)
            for node in walk(code.block, into=False) if method is not None else ():
                if isinstance(node, Chain) and method is not None:
                    yield from _started(values, code, method, node)

    @property
    def place(self) -> Place:
        """The head of the loop."""
        return self.target.at(self.loop.start, self.loop.test.end)


def _method(scope: Scope | None) -> FunctionFacts | None:
    """The method that a scope is the body of, or lies in; None where there is no object."""
    while scope is not None:
        found = scope.owner
        if isinstance(found, FunctionFacts) and found.receiver is not None and not found.is_classmethod:
            return found
        scope = scope.parent
    return None


def _started(values: Values, code: Code, method: FunctionFacts, chain: Chain) -> Iterator[Endless]:
    for index, link in enumerate(chain.links):
        if isinstance(link, Call) and values.project.resolve(code.scope, prefix(chain, index)) == _THREAD:
            run = argument(link, "target", 1)
            found = values.of(code.scope, run) if run is not None else None
            target = found.function if isinstance(found, Method) else found
            loop = _endless(target) if isinstance(target, FunctionFacts) else None
            if method.cls is None or not isinstance(target, FunctionFacts) or loop is None:
                continue
            if _holds(target, method) and not lives_once(values, method.cls):
                yield Endless(method.cls, code.at(chain.start, link.end), target, loop)


def _endless(function: FunctionFacts) -> While | None:
    """The loop that a function never leaves."""
    nodes = [*walk(function.node.body, into=False)]
    guarded = {id(node) for one in nodes if isinstance(one, Try) and one.handlers for node in walk(one.body)}
    loops = (node for node in nodes if isinstance(node, While) and id(node) not in guarded)
    return next((loop for loop in loops if _is_true(loop) and not _ends(loop)), None)


def _is_true(loop: While) -> bool:
    return isinstance(loop.test, Const) and bool(loop.test.value)


def _ends(loop: While) -> bool:
    """Whether anything in a loop may leave it for good."""
    nodes = [*walk(loop.body, into=False)]
    inner = {id(node) for one in nodes if isinstance(one, For | While) for node in walk(one.body, into=False)}
    breaks = (isinstance(node, Simple) and node.word == "break" and id(node) not in inner for node in nodes)
    return any(breaks) or any(isinstance(node, Return | Raise) for node in nodes)


def _holds(target: FunctionFacts, method: FunctionFacts) -> bool:
    """Whether what runs has the object: as its own method, or from the function around it."""
    if target.cls is not None:
        return target.cls is method.cls and target.receiver is not None and not target.is_classmethod
    return any(isinstance(node, Name) and node.id == method.receiver for node in walk(target.node.body))
