"""Connections that belong to the thread that opened them, and are used by functions that run in others.

The catalogue tells which connections refuse other threads, and which frameworks run plain functions in worker threads.
A connection counts that a module opens while it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.values import Values
from toollint.facts import Assigned, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Const,
    Expr,
    Name,
    argument,
    callee,
    last_call,
    walk,
)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A connection and the first use of it in another thread.

    ``opened`` is the call that opens it, ``name`` how it is called, ``user`` the function that uses it in ``use``.
    """

    code: Code
    opened: Expr
    name: str
    user: FunctionFacts
    use: Expr

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Foreign]:
        """The connections that a file opens for good, and that another thread uses."""
        words = values.sieve.words(module.path, "acquisition")
        if not words or module.is_test:
            return
        for code in code_of(module, words):
            for stmt in walk(code.block, into=False) if code.scope.kind == "module" else ():
                if isinstance(stmt, Bind) and len(stmt.targets) == 1 and _is_bound(values, code, stmt.value):
                    yield from cls._used(values, code, stmt)

    @classmethod
    def _used(cls, values: Values, code: Code, stmt: Bind) -> Iterator[Foreign]:
        target, value = stmt.targets[0], stmt.value
        if value is not None and isinstance(target, Name):
            for user, use in _users(values, code, target.id):
                yield cls(code, value, target.id, user, use)
                return

    @property
    def place(self) -> Place:
        """The call that opens the connection."""
        return self.code.at(self.opened.start, self.opened.end)


def _is_bound(values: Values, code: Code, expr: Expr | None) -> bool:
    """Whether an expression opens something that refuses other threads."""
    found = values.acquisition(code.scope, expr)
    call = last_call(expr)
    if found is None or call is None or not found.resource.thread_bound or any(arg.stars for arg in call.args):
        return False
    given = argument(call, found.resource.thread_bound)
    return given is None or (isinstance(given, Const) and given.value is True)


def _users(values: Values, code: Code, name: str) -> Iterator[tuple[FunctionFacts, Expr]]:
    """The functions that run in worker threads and call something of a variable of a module that is bound once."""
    bindings = code.scope.bindings.get(name, ())
    if len(bindings) != 1 or not isinstance(bindings[0], Assigned):
        return
    for module in values.project.mentioning(name):
        for other in code_of(module, frozenset({name.encode()})):
            function = other.function
            if function is None or module.is_test or not _runs_in_threads(values, function):
                continue
            use = next((node for node in walk(other.block, into=False) if _calls_on(node, name)), None)
            target = values.project.named(other.scope, name) if use is not None else None
            if use is not None and isinstance(target, Variable) and target.scope is code.scope:
                yield function, use


def _calls_on(node: object, name: str) -> bool:
    """Whether a node calls a method of what a name holds."""
    return (
        isinstance(node, Chain)
        and isinstance(node.base, Name)
        and node.base.id == name
        and len(node.links) > 1
        and isinstance(node.links[0], Attr)
        and isinstance(node.links[1], Call)
    )


def _runs_in_threads(values: Values, function: FunctionFacts) -> bool:
    """Whether a framework runs the function, which is no coroutine function, in worker threads."""
    if function.node.is_async:
        return False
    for decorator in function.decorators:
        value = values.of(function.outer, callee(decorator) or decorator)
        if isinstance(value, Library):
            entry, tool = values.catalog.entry(value.name), values.catalog.tool(value.name)
            if (entry is not None and entry.threads) or (tool is not None and tool.threads):
                return True
    return False
