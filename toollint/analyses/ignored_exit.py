"""Yields at places where a generator that is being closed goes on: Python answers with a `RuntimeError`.

Closing a generator raises `GeneratorExit` at the `yield` where it waits. What runs then is each `finally` around that
`yield`, and each handler that catches the exception; another `yield` in there ignores it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from toollint.analyses.values import Values
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Bind,
    Block,
    Collection,
    Const,
    Evaluate,
    For,
    Handler,
    Return,
    Simple,
    Stmt,
    Try,
    While,
    With,
    Yield,
    callee,
    last_name,
    walk,
)

_CATCHING = frozenset({"builtins.BaseException", "builtins.GeneratorExit"})
_CLAUSES = frozenset({b"finally", b"except"})
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "override", "final", "abstractmethod", "property"})
"""Decorators after which whoever calls the function gets the generator, and closes it as one."""


@dataclass(frozen=True, eq=False)
class IgnoredExit:
    """A `yield` that a generator reaches while it is being closed.

    ``where`` is what it stands in, ``attempt`` the `try`, ``statement`` the whole statement of the `yield`, ``waiting``
    the `yield` in its body at which the generator waits when it is closed.
    """

    code: Code
    function: FunctionFacts
    attempt: Try
    where: Literal["finally", "except"]
    block: Block
    statement: Stmt
    value: Yield
    waiting: Yield

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[IgnoredExit]:
        """The places of a file, in source order of the code that they stand in."""
        if b"yield" not in values.project.words(module.path) or module.is_test:
            return
        if values.project.words(module.path).isdisjoint(_CLAUSES):
            return
        for code in code_of(module, frozenset({b"yield"})):
            if code.function is not None and _is_plain(code.function):
                for node in walk(code.block, into=False):
                    if isinstance(node, Try):
                        yield from cls._in_try(values, code, code.function, node)

    @classmethod
    def _in_try(cls, values: Values, code: Code, function: FunctionFacts, node: Try) -> Iterator[IgnoredExit]:
        caught = _catching(values, code.scope, node)
        waiting = next(_waits(values, code.scope, node.body), None)
        if caught is not None and waiting is not None:
            for stmt, value in _certain(caught.body):
                yield cls(code, function, node, "except", caught.body, stmt, value, waiting)
        rest = (node.body, *(handler.body for handler in node.handlers), node.orelse)
        waiting = next((found for block in rest for found in _waits(values, code.scope, block)), None)
        if waiting is not None:
            for stmt, value in _certain(node.final):
                yield cls(code, function, node, "finally", node.final, stmt, value, waiting)

    @property
    def place(self) -> Place:
        """The `yield`."""
        return self.code.at(self.value.start, self.value.end)

    @cached_property
    def text(self) -> str:
        """The `yield` as it is written."""
        start, end = self.place.span
        return self.code.scope.module.utf8[start:end].decode()

    @property
    def is_constant(self) -> bool:
        """Whether it gives a literal, which is the same at any time, in one line."""
        return isinstance(self.value.value, Const) and isinstance(self.statement, Evaluate) and "\n" not in self.text

    @property
    def clause(self) -> Place:
        """From the end of what stands above the `finally` to the end of its only statement."""
        above = [*self.attempt.body, *(stmt for one in self.attempt.handlers for stmt in one.body)]
        above += self.attempt.orelse
        return self.code.at(max(stmt.end for stmt in above), self.statement.end)

    @property
    def leaves(self) -> bool:
        """Whether anything in the `try` leaves the function or a loop around it: then what is below is not reached."""
        parts = (self.attempt.body, *(one.body for one in self.attempt.handlers), self.attempt.orelse, self.block)
        nodes = [*walk(parts, into=False)]
        loops = [node.body for node in nodes if isinstance(node, For | While)]
        inside = {id(node) for node in walk(*loops, into=False)} if loops else set()
        return any(
            isinstance(node, Return) or (isinstance(node, Simple) and node.word != "pass" and id(node) not in inside)
            for node in nodes
        )


def _is_plain(function: FunctionFacts) -> bool:
    """Whether whoever calls the function gets the generator: no decorator, and none that is called with it later."""
    decorated = rb"(?:contextmanager|fixture|coroutine\w*)\s*\(\s*(?:\w+\.)*%b\b" % function.name.encode()
    plain = all(last_name(callee(one) or one) in _PLAIN_DECORATORS for one in function.decorators)
    return plain and re.search(decorated, function.module.utf8) is None


def _certain(block: Block) -> Iterator[tuple[Stmt, Yield]]:
    """The first `yield` of a block that is reached whatever happens: below a test somebody may have thought of it."""
    for stmt in block:
        if isinstance(stmt, With):
            yield from _certain(stmt.body)
            return
        if isinstance(stmt, Evaluate | Bind) and isinstance(stmt.value, Yield) and not stmt.value.delegates:
            yield stmt, stmt.value
            return
        if not isinstance(stmt, Evaluate | Bind) or any(isinstance(node, Yield) for node in walk(stmt, into=False)):
            return


def _waits(values: Values, scope: Scope, block: Block) -> Iterator[Yield]:
    """The yields of a block at which `GeneratorExit` leaves it: no handler of an inner `try` is in its way."""
    for stmt in block:
        if isinstance(stmt, Try):
            inside = [] if _stops(values, scope, stmt) else [stmt.body, stmt.orelse]
            for inner in (*inside, *(handler.body for handler in stmt.handlers)):
                yield from _waits(values, scope, inner)
            continue
        blocks = [*_blocks_of(stmt)]
        if blocks:
            for inner in blocks:
                yield from _waits(values, scope, inner)
        else:
            yield from (node for node in walk(stmt, into=False) if isinstance(node, Yield))


def _blocks_of(stmt: Stmt) -> Iterator[Block]:
    """The blocks in a compound statement that belong to the same function."""
    for name in ("body", "orelse"):
        block = getattr(stmt, name, None)
        if isinstance(block, tuple) and not hasattr(stmt, "name_start"):
            yield block
    for _, block in getattr(stmt, "branches", ()):
        yield block
    for case in getattr(stmt, "cases", ()):
        yield case.body


def _stops(values: Values, scope: Scope, node: Try) -> bool:
    """Whether a handler of a `try` may catch what closes the generator."""
    return any(_catches(values, scope, handler) is not False for handler in node.handlers)


def _catching(values: Values, scope: Scope, node: Try) -> Handler | None:
    """The handler that catches what closes the generator, where that is certain."""
    for handler in node.handlers:
        caught = _catches(values, scope, handler)
        if caught is not False:
            return handler if caught else None
    return None


def _catches(values: Values, scope: Scope, handler: Handler) -> bool | None:
    """Whether a handler catches `GeneratorExit`; None where that is not certain."""
    if handler.type is None:
        return True
    types = handler.type.items if isinstance(handler.type, Collection) else (handler.type,)
    names: list[str] = []
    for one in types:
        target = values.project.resolve(scope, one)
        if isinstance(target, ClassFacts):
            continue  # a class of the project is neither: what closes a generator is none of its objects
        if isinstance(target, Library):
            names.append(target.name)
        else:
            return None
    return not _CATCHING.isdisjoint(names)
