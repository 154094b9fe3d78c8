"""Memoized functions: what their caches keep, of arguments and of results.

A memo keeps its keys and its values until they are pushed out, and a bound of 256 saves nobody whose graphs are few
and heavy (langgraph #3842). Only memos that outlive a call count: one made inside a function dies with it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses import weights
from toollint.analyses.growth import is_finite
from toollint.analyses.loops import references
from toollint.analyses.memoizers import Applied, applied
from toollint.analyses.values import Method, Values
from toollint.analyses.weights import Weight
from toollint.catalog import Catalog, Memoized
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
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
    Param,
    Return,
    argument,
    callee,
    last_call,
    last_name,
    prefix,
    subscripted,
    walk,
)

_CLASS_ATTRIBUTES = frozenset({"__func__", "__class__"})
_CLEARERS = frozenset({"cache_clear", "cache_close", "cache_invalidate", "invalidate", "invalidate_all", "clear"})
_OPTIONAL = frozenset({"var", "kwvar"})


class Pinned(NamedTuple):
    """What a memo keeps: ``role`` is ``takes``, ``returns`` or ``receiver``; ``place`` says so in the source."""

    role: str
    weight: Weight
    place: Place


class Growing(NamedTuple):
    """A call that brings ever new keys: the function that makes it, and the argument."""

    function: FunctionFacts | None
    place: Place


@dataclass(frozen=True, eq=False)
class CachedCall:
    """A call of somebody else's memoized function with something that need not live as long as the process.

    ``argument`` is that, ``code`` what makes the call.
    """

    place: Place
    argument: Place
    code: Code
    function: Memoized

    @property
    def library(self) -> str:
        """Whose function it is."""
        return self.function.name.partition(".")[0]

    @property
    def name(self) -> str:
        """The function as callers write it: a method with its class."""
        owner, _, name = self.function.name.rpartition(".")
        cls = owner.rpartition(".")[2]
        return f"{cls}.{name}" if cls[:1].isupper() else name


@dataclass(frozen=True, eq=False)
class Memo:
    """A memoized function of the project; ``variable`` is the name that ``name = memo(function)`` binds."""

    values: Values
    place: Place
    memoizer: Applied
    function: FunctionFacts
    variable: Variable | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Memo | CachedCall]:
        """The memoized functions of a file and its calls of third-party memoized functions."""
        words = values.sieve.words(module.path, "memo")
        calls_foreign = not _foreign(values.catalog).isdisjoint(values.project.words(module.path))
        for code in code_of(module, words):
            if code.function is None:
                yield from cls._wrapped(values, code)
                continue
            if _outlives_calls(code.function.outer):
                yield from cls._decorated(values, code.function)
            if calls_foreign:
                yield from _cached_calls(values, code, words)

    @classmethod
    def _decorated(cls, values: Values, function: FunctionFacts) -> Iterator[Memo]:
        for decorator in function.decorators:
            memoizer = applied(values, function.outer, decorator)
            if memoizer is not None and not _stores_coroutines(memoizer, function):
                yield cls(values, function.at(decorator.start, decorator.end), memoizer, function)

    @classmethod
    def _wrapped(cls, values: Values, code: Code) -> Iterator[Memo]:
        """``name = lru_cache(...)(function)``, at module or class level."""
        if not _outlives_calls(code.scope):
            return
        for stmt in walk(code.block, into=False):
            call = last_call(stmt.value) if isinstance(stmt, Bind) else None
            if call is None or len(call.args) != 1 or not isinstance(stmt.targets[0], Name):
                continue
            function, maker = values.of(code.scope, call.args[0].value), callee(stmt.value)
            memoizer = applied(values, code.scope, maker) if maker is not None else None
            if memoizer is not None and isinstance(function, FunctionFacts):
                variable = Variable(code.scope, stmt.targets[0].id, ())
                yield cls(values, code.at(stmt.value.start, stmt.value.end), memoizer, function, variable)

    @property
    def name(self) -> str:
        """What callers call it."""
        return self.function.name if self.variable is None else self.variable.name

    @property
    def is_method(self) -> bool:
        """Whether every call has the object that it is called on among its keys."""
        return self.function.receiver is not None and not self.function.is_classmethod

    @property
    def parameters(self) -> tuple[Param, ...]:
        """The parameters that callers give, without ``self`` or ``cls``."""
        params = self.function.node.params
        return params[1:] if self.function.receiver is not None else params

    # --- how many keys, and for how long

    @property
    def grows(self) -> bool:
        """Whether calls can bring ever new keys, and nothing in the project empties the memo."""
        return self._has_changing_keys and not any(self._clears())

    @property
    def _has_changing_keys(self) -> bool:
        if self.is_method:
            return True
        calls = [*self._calls()]
        if all(param.default is not None or param.kind in _OPTIONAL for param in self.parameters):
            collects = any(param.kind in _OPTIONAL for param in self.parameters)
            return any(call.args for _, call in calls) or (collects and not calls)
        inside = [(code, call) for code, call in calls if code.function is not None]
        return not inside or self.growing is not None

    @cached_property
    def growing(self) -> Growing | None:
        """The first call in a function that may bring a key that was not there before."""
        for code, call in self._calls():
            for arg in call.args if code.function is not None else ():
                permanent = _is_permanent(self.values, code.scope, arg.value)
                if not permanent and not _is_given_permanent(self.values, code.function, arg.value):
                    return Growing(code.function, code.at(arg.value.start, arg.value.end))
        return None

    def _chains(self) -> Iterator[tuple[Code, Chain]]:
        """Every chain of every file of the project that mentions the function, tests aside."""
        for module in self.values.project.mentioning(self.name):
            for code in code_of(module) if not module.is_test else ():
                for node in walk(code.block, into=False):
                    if isinstance(node, Chain):
                        yield code, node

    def _calls(self) -> Iterator[tuple[Code, Call]]:
        for code, chain in self._chains():
            for index, link in enumerate(chain.links):
                if isinstance(link, Call) and self._is_me(code.scope, prefix(chain, index)):
                    yield code, link

    def _clears(self) -> Iterator[Chain]:
        """``name.cache_clear()``, ``name.cache.clear()`` and their like: somebody manages what the memo keeps."""
        for code, chain in self._chains():
            for index, link in enumerate(chain.links):
                if isinstance(link, Attr) and link.name in _CLEARERS:
                    heads = [prefix(chain, count) for count in {index, max(index - 1, 0)}]
                    if any(self._is_me(code.scope, head) for head in heads):
                        yield chain

    def _is_me(self, scope: Scope, expr: Expr) -> bool:
        target = self.values.project.resolve(scope, expr)
        if self.variable is not None:
            return isinstance(target, Variable) and target[:2] == self.variable[:2]
        if target is None and last_name(expr) == self.name:
            value = self.values.of(scope, expr)
            return isinstance(value, Method) and value.function is self.function
        return target is self.function

    # --- what it keeps

    @cached_property
    def pins(self) -> tuple[Pinned, ...]:
        """What of value the memo keeps, arguments first."""
        return (*self._receiver(), *self._taken(), *self._returned())

    def _receiver(self) -> Iterator[Pinned]:
        """A method's memo keeps ``self``: what ruff's B019 does not see, or what is worth more than its message."""
        cls, row = self.function.cls, self.memoizer.row
        if cls is None or not self.is_method or not self.memoizer.keeps_arguments:
            return
        weight = weights.of_class(self.values, cls)
        if weight is not None or row is None or not row.ruff:
            yield Pinned("receiver", weight or Weight(cls.name, "object"), cls.place)

    def _taken(self) -> Iterator[Pinned]:
        for param in self.parameters if self.memoizer.keeps_arguments else ():
            weight = weights.taken(self.values, self.function, param)
            if weight is not None:
                yield Pinned("takes", weight, self._at(param.annotation))

    def _returned(self) -> Iterator[Pinned]:
        found = weights.returned(self.values, self.function, without_end=self.memoizer.unlimited)
        if found is not None and not all(weights.is_finite(self.values, self.function, p) for p in self.parameters):
            yield Pinned("returns", found[0], self._at(found[1]))

    def _at(self, node: Expr | Return | None) -> Place:
        return self.function.place if node is None else self.function.at(node.start, node.end)


def _outlives_calls(scope: Scope | None) -> bool:
    """Whether what stands in a scope lives as long as its module: no function is around it."""
    while scope is not None and scope.kind != "function":
        scope = scope.parent
    return scope is None


def _stores_coroutines(memoizer: Applied, function: FunctionFacts) -> bool:
    """Whether a memo for plain functions is put over a coroutine function: it breaks at the second call (TL203)."""
    return function.node.is_async and memoizer.row is not None and not memoizer.row.async_


# --- calls of third-party functions ------------------------------------------------------------------------------


@functools.cache
def _foreign(catalog: Catalog) -> frozenset[bytes]:
    """The bare names of the functions that their libraries memoize."""
    return frozenset(name.rpartition(".")[2].encode() for name in catalog.names("memoized"))


def _cached_calls(values: Values, code: Code, words: frozenset[bytes]) -> Iterator[CachedCall]:
    for node in walk(code.block, into=False):
        if not isinstance(node, Chain):
            continue
        for index, link in enumerate(node.links):
            if not isinstance(link, Call) or not link.args or last_name(prefix(node, index)).encode() not in words:
                continue
            target = values.project.resolve(code.scope, prefix(node, index))
            row = values.catalog.memoized(target.name) if isinstance(target, Library) else None
            if row is not None and not _is_permanent(values, code.scope, link.args[0].value):
                given = link.args[0].value
                yield CachedCall(code.at(node.start, link.end), code.at(given.start, given.end), code, row)


def _is_permanent(values: Values, scope: Scope, expr: Expr) -> bool:
    """Whether an argument is one of few, or lives as long as the process anyway.

    Such are literals, functions, classes and globals of modules with what hangs on them, members of enums, classes.
    """
    if _is_class_or_its_function(values, scope, expr):
        return True
    target = values.project.resolve(scope, subscripted(expr)[0])
    if isinstance(target, FunctionFacts | ClassFacts):
        return _outlives_calls(target.outer)
    if isinstance(target, Variable) and _outlives_calls(target.scope):
        return len(target.bindings) == 1
    if isinstance(expr, Chain) and all(isinstance(link, Attr) for link in expr.links):
        return _is_permanent(values, scope, expr.base)
    return isinstance(target, Library | ModuleFacts) or is_finite(values, scope, expr)


def _is_given_permanent(values: Values, function: FunctionFacts | None, expr: Expr) -> bool:
    """Whether it is a parameter for which all that call the function give something permanent."""
    if function is None or not isinstance(expr, Name):
        return False
    names = [param.name for param in function.node.params if param.name != function.receiver]
    calls = [site for site in references(values, function) if site.called] if expr.id in names else []
    given = [(site, last_call(site.node)) for site in calls]
    arguments = [
        (site, None if call is None else argument(call, expr.id, names.index(expr.id))) for site, call in given
    ]
    return bool(arguments) and all(
        value is not None and _is_permanent(values, site.code.scope, value) for site, value in arguments
    )


def _is_class_or_its_function(values: Values, scope: Scope, expr: Expr) -> bool:
    """Whether it is the class of an object, or the function behind a bound method: nearly all stand in modules."""
    if not isinstance(expr, Chain):
        return False
    last = expr.links[-1]
    if not isinstance(last, Call):
        return isinstance(last, Attr) and last.name in _CLASS_ATTRIBUTES
    called, attribute = values.project.resolve(scope, callee(expr)), argument(last, "name", 1)
    if called == Library("builtins.getattr"):
        return isinstance(attribute, Const) and attribute.value in _CLASS_ATTRIBUTES
    return called == Library("builtins.type")
