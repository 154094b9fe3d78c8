"""Coroutines in a cache: a memo for plain functions stores what a coroutine function returns, not what it gives.

A coroutine may be awaited once, an async generator be looped over once: from the second call on the memo hands out
one that is used up. Memoizers that know coroutines await them and store the result: those are no subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.memoizers import applied
from toollint.analyses.values import Instance, Method, Values, is_coroutine
from toollint.catalog import Resource
from toollint.facts import Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Const,
    Def,
    Expr,
    Name,
    Return,
    argument,
    callee,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

_PROPERTY = Library("functools.cached_property")
_TRANSPARENT = frozenset({"staticmethod", "classmethod", "abstractmethod", "override", "final"})
_AWARE = frozenset(
    {
        *("iscoroutinefunction", "isasyncgenfunction", "iscoroutine", "isawaitable", "Awaitable", "Coroutine"),
        *("ensure_future", "create_task", "gather", "run", "run_until_complete", "run_coroutine_threadsafe"),
    }
)
"""What a memoizer of the project mentions if it thinks of coroutines."""
_COPIES = frozenset({"wraps", "update_wrapper", "tuple", "frozenset", "str", "repr", "hash", "callable", "getattr"})
"""What may be given a function, or its arguments, without anything happening to its calls."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A memo over a function whose calls give coroutines or async generators.

    ``inner`` is the coroutine function that a plain function calls without awaiting it, ``place`` the memo.
    """

    values: Values
    place: Place
    memoizer: str
    function: FunctionFacts
    is_property: bool = False
    inner: FunctionFacts | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Stored]:
        """The memos of a file that keep coroutines."""
        words = values.project.words(module.path)
        about = values.sieve.words(module.path, "memo") | (words & {b"cached_property"})
        if b"async" not in words:
            return
        for code in code_of(module, about):
            if code.function is not None:
                yield from cls._decorated(values, code.function)
            yield from cls._wrapped(values, code)

    @classmethod
    def _decorated(cls, values: Values, function: FunctionFacts) -> Iterator[Stored]:
        """The memo directly over a function: what stands between them may do anything with a coroutine."""
        plain = [one for one in function.decorators if last_name(callee(one) or one) not in _TRANSPARENT]
        memo = plain[-1] if plain else None
        if memo is None:
            return
        is_property = values.project.resolve(function.outer, memo) == _PROPERTY
        name = "cached_property" if is_property else _memoizer(values, function.outer, memo)
        inner = None if name is None or function.node.is_async else _unawaited(values, function)
        if name is not None and (function.node.is_async or inner is not None):
            yield cls(values, function.at(memo.start, memo.end), f"@{name}", function, is_property, inner)

    @classmethod
    def _wrapped(cls, values: Values, code: Code) -> Iterator[Stored]:
        """``name = lru_cache(...)(function)``, also in a constructor: for an object of its own it breaks as well."""
        for stmt in walk(code.block, into=False):
            call = last_call(stmt.value) if isinstance(stmt, Bind) else None
            maker = callee(stmt.value) if call is not None and len(call.args) == 1 else None
            name = None if maker is None else _memoizer(values, code.scope, maker)
            if name is None or call is None:
                continue
            value = values.of(code.scope, call.args[0].value)
            function = value.function if isinstance(value, Method) else value
            if isinstance(function, FunctionFacts) and is_coroutine(function):
                yield cls(values, code.at(stmt.value.start, stmt.value.end), name, function)

    @property
    def is_generator(self) -> bool:
        """Whether it keeps async generators."""
        return self.function.is_generator

    @property
    def result(self) -> Resource | None:
        """What the coroutine gives, where that belongs to the event loop that uses it first."""
        function = self.inner or self.function
        results = [*self.values.annotation(function.outer, function.node.returns)]
        if not results:
            nodes = (node for node in walk(function.node.body, into=False) if isinstance(node, Return))
            found = (self.values.instance(function.scope, node.value) for node in nodes)
            results = [one for one in found if isinstance(one, Instance)]
        names = (one.cls.name for one in results if isinstance(one.cls, Library))
        rows = (self.values.catalog.resource(name) for name in names)
        return next((row for row in rows if row is not None and row.loop_bound), None)


def _memoizer(values: Values, scope: Scope, expr: Expr) -> str | None:
    """The name of a memoizer that stores whatever the function returns, None for one that awaits it or stores nothing.

    Stores of every kind count: an entry that expires is used up before.
    """
    target = values.project.resolve(scope, callee(expr) or expr)
    if isinstance(target, Library):
        row = values.catalog.memoizer(target.name)
        stores = row is not None and not row.async_ and not _is_off(last_call(expr), row.store)
        return row.name.rpartition(".")[2] if row is not None and stores else None
    found = applied(values, scope, expr)
    if found is None or (found.row is not None and found.row.async_):
        return None
    known = found.row is not None or (isinstance(target, FunctionFacts) and not _may_await(target))
    return found.name if known else None


def _is_off(call: Call | None, store: str) -> bool:
    """Whether its arguments say that nothing is kept: ``maxsize=0``, ``cache=None``."""
    size = argument(call, "maxsize", 0) if call is not None and not store else None
    given = argument(call, store, 0) if call is not None and store else None
    return (isinstance(size, Const) and size.value == 0) or is_none(given)


def _may_await(memoizer: FunctionFacts) -> bool:
    """Whether a memoizer of the project has to do with coroutines, or hands the function to something that may."""
    defs = [node for node in walk(memoizer.node) if isinstance(node, Def)]
    given = {param.name for one in defs for param in one.params if param.kind not in {"var", "kwvar"}}
    return any(
        isinstance(node, Await)
        or (isinstance(node, Def) and node.is_async)
        or (isinstance(node, Name) and node.id in _AWARE)
        or (isinstance(node, Attr) and node.name in _AWARE)
        or (isinstance(node, Chain) and _hands_on(node, given))
        for node in walk(memoizer.node.body)
    )


def _hands_on(chain: Chain, given: set[str]) -> bool:
    """Whether a call may wrap the function: it takes it and is neither a call of it, a memoizer's, nor of `wraps`."""
    for index, link in enumerate(chain.links):
        called = prefix(chain, index)
        plain = isinstance(called, Name) and called.id not in given and called.id not in _COPIES
        takes = isinstance(link, Call) and any(isinstance(n, Name) and n.id in given for n in walk(link.args))
        if takes and plain:
            return True
    return False


def _unawaited(values: Values, function: FunctionFacts) -> FunctionFacts | None:
    """The coroutine function whose coroutine a plain function returns as it is."""
    for node in walk(function.node.body, into=False):
        called = callee(node.value) if isinstance(node, Return) and node.value is not None else None
        value = None if called is None else values.of(function.scope, called)
        found = value.function if isinstance(value, Method) else value
        if isinstance(found, FunctionFacts) and is_coroutine(found):
            return found
    return None
