"""Tracers, callback handlers and exporters that start something which outlives them, and where they are made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.invoked import Invoked, around, invoked, is_asked_first, is_kept, repeating_loop
from toollint.analyses.once import runs_once
from toollint.analyses.release import is_closer
from toollint.analyses.values import Value, Values
from toollint.catalog import Handler
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Bind,
    Bool,
    Call,
    Chain,
    Compare,
    Const,
    Dict,
    Expr,
    If,
    IfExp,
    Name,
    Not,
    With,
    argument,
    attribute_of,
    last_name,
    prefix,
    walk,
)

_CALLBACKS = frozenset({"callbacks", "callback", "handlers"})
"""What invocations call the argument, or the key of their configuration, that takes handlers."""
_INVOKES = re.compile(
    r"a?(?:invoke|stream|stream_events|batch|run|run_sync|chat|complete|generate|query|predict|call|kickoff)(?:_async)?"
)
_STEPS = 3
"""How many local names in a row are followed."""


@dataclass(frozen=True, eq=False)
class Made:
    """A call that makes a handler which starts something that stays when the object goes."""

    values: Values
    code: Code
    call: Call
    expr: Expr
    row: Handler

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Made]:
        """The handlers that the code of a file makes, tests aside."""
        about = values.sieve.words(module.path, "handler") & values.project.words(module.path)
        for code in code_of(module, about) if about and not module.is_test else ():
            if isinstance(code.scope.owner, ClassFacts):
                continue
            for node in walk(code.block, into=False):
                if isinstance(node, Chain):
                    yield from _made(values, code, node, about)

    @property
    def name(self) -> str:
        """The handler's class as it is written."""
        return last_name(prefix(self.expr, len(self.expr.links) - 1)) if isinstance(self.expr, Chain) else ""

    @property
    def place(self) -> Place:
        """The call."""
        return self.code.at(self.expr.start, self.expr.end)

    # --- whether it happens again and again

    @cached_property
    def invoked(self) -> Invoked | None:
        """What runs the function that makes it again and again."""
        function = self.code.function
        return None if function is None else invoked(self.values, function)

    @property
    def is_in_loop(self) -> bool:
        """Whether a loop makes one in each round, of nothing that the round brings: no one for each exporter."""
        return repeating_loop(self.code, self.expr, *(arg.value for arg in self.call.args)) is not None

    @property
    def is_passed_to_invocation(self) -> bool:
        """Whether a call that runs something once is given it, in a function that may be called many times."""
        return self._is_given_to_invocation and not runs_once(self.values, self.code)

    @property
    def _is_given_to_invocation(self) -> bool:
        calls = (
            link
            for node in walk(self.code.block, into=False)
            for index, link in enumerate(node.links if isinstance(node, Chain) else ())
            if isinstance(link, Call) and _INVOKES.fullmatch(last_name(prefix(node, index)))
        )
        given = (arg.value for call in calls for arg in call.args if _takes_handlers(arg, self.code))
        return any(self._holds(expr, self._names) for expr in given)

    def _holds(self, expr: Expr, names: frozenset[str]) -> bool:
        """Whether an expression contains it, or one of the names."""
        contains = expr.start <= self.expr.start and self.expr.end <= expr.end
        return contains or any(isinstance(node, Name) and node.id in names for node in walk(expr))

    @cached_property
    def _names(self) -> frozenset[str]:
        """The local names that stand for it, or for what holds it."""
        found: frozenset[str] = frozenset()
        for _ in range(_STEPS):
            found |= {name for name, value in self._assigned() if self._holds(value, found)}
        return found

    def _assigned(self) -> Iterator[tuple[str, Expr]]:
        for name, bindings in self.code.scope.bindings.items():
            for one in bindings:
                if isinstance(one, Assigned) and one.stmt.value is not None:
                    yield name, one.stmt.value

    # --- whether somebody answers for it

    @property
    def is_answered_for(self) -> bool:
        """Whether it is made where none was, kept for the next call, entered, or ended in the same function."""
        return self._is_kept or is_asked_first(self.code, self.expr) or self._is_ended or self._is_shared

    @property
    def _is_kept(self) -> bool:
        """Whether it is entered, or stored where it is found again; a constructor stores it in each object."""
        if any(isinstance(stmt, With) for stmt in around(self.code, self.expr)[-1:]):
            return True
        function = self.code.function
        if function is not None and function.name == "__init__":
            return False
        stored = [target for target in self._targets() if isinstance(target, Chain)]
        return any(not self._is_overwritten(target) for target in stored) or (
            not stored and is_kept(self.code, self.expr)
        )

    def _targets(self) -> Iterator[Expr]:
        """What it is assigned to, directly or by a local name."""
        for node in walk(self.code.block, into=False):
            if isinstance(node, Bind) and node.value is not None:
                direct = node.value.start <= self.expr.start and self.expr.end <= node.value.end
                if direct or self._is_it(node.value):
                    yield from node.targets

    def _is_overwritten(self, target: Chain) -> bool:
        """Whether it is an attribute that the next call binds anew: the class neither asks about it nor ends it."""
        function = self.code.function
        name = attribute_of(target, function.receiver) if function is not None else None
        if function is None or function.cls is None or name is None:
            return False
        methods = [method for cls in self.values.project.lineage(function.cls).classes for method in cls.functions]
        return not any(_asks_about(method, name) or _ends(method, name) for method in methods)

    def _is_it(self, expr: Expr | None) -> bool:
        return isinstance(expr, Name) and expr.id in self._names

    @property
    def _is_ended(self) -> bool:
        """Whether the function calls an end, or a flush, of anything that it bound to a name."""
        for node in walk(self.code.block):
            base = node.base if isinstance(node, Chain) else None
            if isinstance(base, Name) and base.id in self.code.scope.bindings and isinstance(node, Chain):
                verbs = [link.name for link in node.links if isinstance(link, Attr)]
                if any(map(_is_end, verbs)):
                    return True
        return False

    @property
    def _is_shared(self) -> bool:
        """Whether it shares what it starts with the one of the call before: what tells them apart is the same."""
        if not self.row.by:
            return False
        given = [argument(self.call, name) for name in self.row.by]
        spread = [arg.value for arg in self.call.args if arg.stars]
        return not any(self._varies(expr) for expr in (*given, *spread) if expr is not None)

    def _varies(self, expr: Expr, steps: int = _STEPS) -> bool:
        """Whether a value comes from the arguments of the function."""
        function = self.code.function
        if function is None or not steps:
            return False
        params = {param.name for param in function.node.params if param.name != function.receiver}
        for node in walk(expr):
            if isinstance(node, Name):
                assigned = (value for name, value in self._assigned() if name == node.id)
                if node.id in params or any(self._varies(value, steps - 1) for value in assigned):
                    return True
        return False


def _made(values: Values, code: Code, chain: Chain, about: frozenset[bytes]) -> Iterator[Made]:
    for index, link in enumerate(chain.links):
        called = prefix(chain, index)
        if isinstance(link, Call) and last_name(called).encode() in about:
            row = _row(values, values.of(code.scope, called))
            if row is not None and row.starts and not (row.unless and argument(link, row.unless)):
                yield Made(values, code, link, prefix(chain, index + 1), row)


def _row(values: Values, value: Value | None) -> Handler | None:
    """The catalogue's row of a class, or of the library's class that it derives from."""
    names = [value.name] if isinstance(value, Library) else []
    if isinstance(value, ClassFacts):
        names += values.project.lineage(value).libraries
    return next(filter(None, map(values.catalog.handler, names)), None)


def _asks_about(method: FunctionFacts, name: str) -> bool:
    """Whether a method tests an attribute, or names it in a string: ``hasattr(self, "_client")``."""
    for node in walk(method.node.body):
        tests = [test for test, _ in node.branches] if isinstance(node, If) else []
        tests += [node] if isinstance(node, Bool | Not | Compare) else [node.test] if isinstance(node, IfExp) else []
        if isinstance(node, Const) and node.value == name:
            return True
        if any(isinstance(part, Attr) and part.name == name for part in walk(*tests)):
            return True
    return False


def _ends(method: FunctionFacts, name: str) -> bool:
    """Whether a method ends or flushes what an attribute holds."""
    for node in walk(method.node.body):
        verbs = [link.name for link in node.links if isinstance(link, Attr)] if isinstance(node, Chain) else []
        if name in verbs and any(map(_is_end, verbs)):
            return True
    return False


def _is_end(verb: str) -> bool:
    return is_closer(verb) or verb in {"flush", "aflush", "force_flush", "end"}


def _takes_handlers(arg: Arg, code: Code) -> bool:
    """Whether an argument is the handlers of an invocation, or a configuration that has some."""
    if arg.keyword in _CALLBACKS:
        return True
    value: Expr | None = arg.value
    if isinstance(value, Name):
        found = code.scope.bindings.get(value.id, ())
        value = found[0].stmt.value if len(found) == 1 and isinstance(found[0], Assigned) else None
    if isinstance(value, Dict):
        return any(getattr(key, "value", None) in _CALLBACKS for key, _ in value.items)
    return any(isinstance(link, Call) and any(a.keyword in _CALLBACKS for a in link.args) for link in _links(value))


def _links(expr: Expr | None) -> tuple[object, ...]:
    return expr.links if isinstance(expr, Chain) else ()
