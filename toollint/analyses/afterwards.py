"""Generators that `with` runs and that release, below a bare `yield`, what they have opened above it.

An exception of the block is raised at the `yield`: without `try` nothing below it runs. That goes for context managers
and for the dependencies of a web framework; pytest runs the rest of a fixture whatever becomes of the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.invoked import invoked
from toollint.analyses.release import is_closer
from toollint.analyses.values import Values
from toollint.facts import Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Evaluate,
    Expr,
    For,
    Name,
    Return,
    Stmt,
    Yield,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_MANAGERS = frozenset({"contextlib.contextmanager", "contextlib.asynccontextmanager"})
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "override", "final"})
_OPENS = re.compile(
    r"_*(?:async_|a)?(?:connect|open|start|startup|init|initiali[sz]e|setup|set_up|create|launch|acquire|begin|spawn|boot"
    r"|prepare|make|get|build|new)(?:_(?P<what>\w+))?"
)
_ENDS = re.compile(
    r"_*(?:async_|a)?(?:close|stop|shutdown|shut_down|cleanup|clean_up|dispose|disconnect|teardown|tear_down|release"
    r"|terminate|destroy|kill|quit)(?:_(?P<what>\w+))?"
)
_STARTS = frozenset(
    {"connect", "open", "start", "startup", "initialize", "initialise", "setup", "acquire", "aopen"}
) | {
    *("aconnect", "astart", "set_up", "start_up", "launch", "init", "begin", "boot"),
}
"""Methods that begin what a closer of the same object ends."""


class Release(NamedTuple):
    """A call that releases something; ``words`` is how a message spells it, ``opened`` where the thing was opened."""

    call: Chain
    words: str
    opened: Chain | Bind


@dataclass(frozen=True, eq=False)
class Afterwards:
    """A generator with one bare `yield`, in its own block, and statements below.

    ``role`` is what runs it: a context manager or a dependency.
    """

    values: Values
    code: Code
    function: FunctionFacts
    index: int
    role: str

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Afterwards]:
        """The generators of a file, in source order."""
        if b"yield" not in values.project.words(module.path) or module.is_test:
            return
        for code in code_of(module, frozenset({b"yield"})):
            index = _bare_yield(code) if code.function is not None else None
            if index is None or code.function is None:
                continue
            role = _role(values, code.function)
            if role:
                yield cls(values, code, code.function, index, role)

    @property
    def before(self) -> tuple[Stmt, ...]:
        """What runs before the block."""
        return self.code.block[: self.index]

    @property
    def statement(self) -> Stmt:
        """The statement of the `yield`."""
        return self.code.block[self.index]

    @property
    def tail(self) -> tuple[Stmt, ...]:
        """What runs after a block that does not raise."""
        return self.code.block[self.index + 1 :]

    @property
    def place(self) -> Place:
        """The statement of the `yield`."""
        return self.code.at(self.statement.start, self.statement.end)

    @property
    def tail_place(self) -> Place:
        """The statements below it."""
        return self.code.at(self.tail[0].start, self.tail[-1].end)

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        """The calls below the `yield` that release what was opened above it."""
        return tuple(self._releases())

    @property
    def only_releases(self) -> bool:
        """Whether each statement below is one of these calls and nothing else."""
        calls = {id(one.call) for one in self.releases}
        return all(isinstance(stmt, Evaluate) and id(_unawaited(stmt.value)) in calls for stmt in self.tail)

    @property
    def returns(self) -> bool:
        """Whether anything below returns, which a `finally` must not do."""
        return any(isinstance(node, Return) for node in walk(self.tail, into=False))

    def _releases(self) -> Iterator[Release]:
        loops = {id(part): node for node in walk(self.tail, into=False) if isinstance(node, For) for part in walk(node)}
        for node in walk(self.tail, into=False):
            if isinstance(node, Chain) and isinstance(node.links[-1], Call):
                opened = self._began(node, loops.get(id(node)))
                if opened is not None:
                    yield Release(node, f"{self.text(callee(node) or node)}()", opened)

    def _began(self, call: Chain, loop: For | None) -> Chain | Bind | None:
        """Where began what a call ends, None where that is not above the `yield` or the call ends nothing."""
        called = callee(call)
        verb = last_name(call)
        if isinstance(called, Name):
            return self._counterpart("", verb)
        if not isinstance(called, Chain) or not isinstance(called.links[-1], Attr):
            return None
        receiver = prefix(called, len(called.links) - 1)
        found = None
        if is_closer(verb) or verb == "cancel":
            found = self._acquired(receiver, verb) or self._started(receiver, loop)
        return found or self._handed(call) or self._counterpart(self.text(receiver), verb)

    def _acquired(self, receiver: Expr, verb: str) -> Chain | Bind | None:
        """The statement above that makes the object anew, for a name of this function or an attribute."""
        bindings = self.function.scope.bindings.get(receiver.id, ()) if isinstance(receiver, Name) else ()
        if isinstance(receiver, Name) and (len(bindings) != 1 or self._holds_nothing(receiver)):
            return None
        for stmt in walk(self.before, into=False):
            if not isinstance(stmt, Bind) or stmt.op or not self._makes(stmt.value, verb):
                continue
            if any(self.text(target) == self.text(receiver) for target in stmt.targets):
                return stmt
        return None

    def _makes(self, value: Expr | None, verb: str) -> bool:
        """Whether a value is the outcome of a call that may open something; to be cancelled, of one that starts it."""
        call = last_call(value)
        if value is None or call is None:
            return False
        word = last_name(callee(_unawaited(value)) or value)
        return verb != "cancel" or word in {"create_task", "ensure_future", "Timer", "call_later", "start_soon"}

    def _holds_nothing(self, name: Name) -> bool:
        """Whether the object is known to hold nothing that needs a release."""
        instance = self.values.instance(self.code.scope, name)
        if instance is None or not isinstance(instance.cls, Library):
            return False
        row = self.values.catalog.resource(instance.cls.name)
        base = self.values.catalog.base(instance.cls.name)
        return row.weight == "none" if row is not None else base is not None and not base.kind

    def _started(self, receiver: Expr, loop: For | None) -> Chain | Bind | None:
        """The call above that starts or connects the same object, or each one of the same collection."""
        for node in walk(self.before, into=False):
            if not isinstance(node, Chain):
                continue
            called = callee(node)
            if not isinstance(called, Chain) or not isinstance(called.links[-1], Attr):
                continue
            if called.links[-1].name not in _STARTS:
                continue
            started = prefix(called, len(called.links) - 1)
            if self.text(started) == self.text(receiver) and self._is_same(receiver, loop):
                return node
        return None

    def _is_same(self, receiver: Expr, loop: For | None) -> bool:
        """Whether a name is bound above alone, or by two loops over the same thing."""
        if loop is None or not isinstance(receiver, Name) or self.text(loop.target) != receiver.id:
            return True
        others = (node for node in walk(self.before, into=False) if isinstance(node, For))
        return any(self.text(one.iter) == self.text(loop.iter) for one in others)

    def _handed(self, call: Chain) -> Chain | Bind | None:
        """The statement above that acquires what a function of the catalogue is given to release."""
        given = last_call(call)
        target = self.values.of(self.code.scope, callee(call))
        if given is None or not given.args or not isinstance(target, Library):
            return None
        for stmt in walk(self.before, into=False):
            if isinstance(stmt, Bind) and any(self._is(one, given.args[0].value) for one in stmt.targets):
                found = self.values.acquisition(self.code.scope, stmt.value)
                if found is not None and target.name in {found.resource.release, *found.resource.others}:
                    return stmt
        return None

    def _is(self, target: Expr, value: Expr) -> bool:
        return isinstance(target, Name) and isinstance(value, Name) and target.id == value.id

    def _counterpart(self, receiver: str, verb: str) -> Chain | Bind | None:
        """The call above whose name is the counterpart: ``init_db()`` of ``close_db()``, on the same object."""
        ends = _ENDS.fullmatch(verb)
        if ends is None or not ends["what"]:
            return None
        for node in walk(self.before, into=False):
            if not isinstance(node, Chain):
                continue
            called = callee(node)
            opens = _OPENS.fullmatch(last_name(called)) if called is not None else None
            if called is None or opens is None or opens["what"] != ends["what"]:
                continue
            if receiver == (self.text(prefix(called, len(called.links) - 1)) if isinstance(called, Chain) else ""):
                return node
        return None

    def text(self, node: Expr) -> str:
        """What is written where a node stands, on one line."""
        start, end = self.code.at(node.start, node.end).span
        return " ".join(self.code.scope.module.utf8[start:end].decode().split())


def _unawaited(expr: Expr) -> Expr:
    return expr.value if isinstance(expr, Await) else expr


def _bare_yield(code: Code) -> int | None:
    """Where the only `yield` of a function stands in its own block, with something below it."""
    found = [node for node in walk(code.block, into=False) if isinstance(node, Yield)]
    if len(found) != 1 or found[0].delegates:
        return None
    for index, stmt in enumerate(code.block[:-1]):
        if isinstance(stmt, Evaluate | Bind) and stmt.value is found[0]:
            return index
    return None


def _role(values: Values, function: FunctionFacts) -> str:
    """What runs the generator and raises at its `yield` what the block raises; empty where that is not known."""
    others = [one for one in function.decorators if last_name(one) not in _PLAIN_DECORATORS]
    targets = [values.project.resolve(function.outer, one) for one in others]
    if len(targets) == 1 and isinstance(targets[0], Library) and targets[0].name in _MANAGERS:
        return "context manager"
    found = invoked(values, function) if not others and function.cls is None else None
    return "dependency" if found is not None and found.role == "dependency" and found.entry is function else ""
