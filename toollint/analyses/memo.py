"""Memoized functions: what their caches keep, of arguments and of results.

A memo keeps its keys and its values until they are pushed out, and a bound of 256 saves nobody whose graphs are few
and heavy (langgraph #3842). Memoizers are the catalogue's, and the project's own: a decorator whose inner function
fills a dict of the outer one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.kinds import kept
from toollint.analyses.ownership import Owner
from toollint.analyses.values import Instance, Method, Values
from toollint.catalog import Memoized, Memoizer
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Const,
    Dict,
    Expr,
    Index,
    Name,
    Param,
    Return,
    argument,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_WATCHED = frozenset({"tool", "agent", "graph", "runnable", "resource", "session", "component"})
_OPEN_TYPES = frozenset({"typing.Any", "builtins.object"})
_INSPECTORS = frozenset({"signature", "getsource", "unwrap", "isfunction", "ismethod", "iscoroutinefunction"})
_CODE_ATTRIBUTES = frozenset({"__code__", "__closure__", "__wrapped__", "__defaults__", "__globals__"})
_FINITE = frozenset({"builtins.type", "builtins.bool", "typing.Type", "typing.Literal", "typing_extensions.Literal"})


class Pinned(NamedTuple):
    """What a memo keeps: ``role`` is ``takes`` or ``returns``; ``name`` is a class, or ``callable``."""

    role: str
    name: str
    kind: str
    parameter: str = ""


@dataclass(frozen=True, eq=False)
class Memo:
    """A memoized function of the project (``function``), or a call of somebody else's (``third_party``)."""

    values: Values
    place: Place
    name: str
    memoizer: str
    function: FunctionFacts | None = None
    row: Memoizer | None = None
    decorator: Expr | None = None
    third_party: Memoized | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Memo]:
        """The memoized functions of a file and its calls of third-party memoized functions."""
        for code in code_of(module, values.sieve.words(module.path, "memo")):
            if code.function is not None:
                yield from cls._decorated(values, code.function)
            yield from cls._wrapped(values, code)
            yield from cls._calls(values, code)

    @classmethod
    def _decorated(cls, values: Values, function: FunctionFacts) -> Iterator[Memo]:
        for decorator in function.decorators:
            name, row = _memoizer(values, function.outer, callee(decorator) or decorator)
            if name and not _is_off(row, decorator):
                place = function.at(decorator.start, decorator.end)
                yield cls(values, place, function.name, name, function, row, decorator)

    @classmethod
    def _wrapped(cls, values: Values, code: Code) -> Iterator[Memo]:
        """``name = lru_cache(...)(function)``."""
        for stmt in code.block:
            call = last_call(stmt.value) if isinstance(stmt, Bind) else None
            if call is None or not isinstance(stmt, Bind) or stmt.value is None or len(call.args) != 1:
                continue
            maker = callee(stmt.value)
            wrapped = values.of(code.scope, call.args[0].value)
            if maker is None or not isinstance(wrapped, FunctionFacts):
                continue
            name, row = _memoizer(values, code.scope, callee(maker) or maker)
            if name and not _is_off(row, maker):
                yield cls(values, code.at(stmt.value.start, stmt.value.end), wrapped.name, name, wrapped, row, maker)

    @classmethod
    def _calls(cls, values: Values, code: Code) -> Iterator[Memo]:
        for node in walk(code.block, into=False):
            if not isinstance(node, Chain):
                continue
            for index, link in enumerate(node.links):
                if not isinstance(link, Call):
                    continue
                target = values.project.resolve(code.scope, prefix(node, index))
                row = values.catalog.memoized(target.name) if isinstance(target, Library) else None
                if row is not None and not _is_module_level(values, code.scope, link):
                    name = row.name.rpartition(".")[2]
                    yield cls(values, code.at(node.start, link.end), name, row.name, third_party=row)

    @property
    def has_parameters(self) -> bool:
        """Whether different calls can have different keys: a parameter that is given somewhere."""
        if self.function is None:
            return True
        params = self._parameters
        if all(param.default is not None for param in params):
            return any(self._given(param) for param in params)
        return bool(params)

    @cached_property
    def _parameters(self) -> tuple[Param, ...]:
        assert self.function is not None
        params = self.function.node.params
        return params[1:] if self.function.receiver is not None else params

    def _given(self, param: Param) -> bool:
        """Whether any call in the project gives an argument to the function."""
        assert self.function is not None
        del param
        for module in self.values.project.mentioning(self.function.name):
            for code in code_of(module):
                for node in walk(code.block, into=False):
                    if isinstance(node, Chain) and last_name(node) == self.function.name:
                        call = last_call(node)
                        if call is not None and call.args and self._is_me(code.scope, callee(node)):
                            return True
        return False

    def _is_me(self, scope: Scope, expr: Expr | None) -> bool:
        value = self.values.of(scope, expr)
        return (value.function if isinstance(value, Method) else value) is self.function

    @cached_property
    def pins(self) -> tuple[Pinned, ...]:
        """What of value the memo keeps, arguments first."""
        if self.function is None:
            return ()
        taken = [found for param in self._parameters for found in _taken(self.values, self.function, param)]
        return (*self._receiver, *taken, *self._returned)

    @property
    def _receiver(self) -> Iterator[Pinned]:
        """A method's memo keeps ``self``: what ruff's B019 does not see, or what is worth more than its message."""
        function = self.function
        if function is None or function.cls is None or function.receiver is None or function.is_classmethod:
            return
        if self.row is not None and self.row.per_instance:
            return
        owner = Owner.of(self.values, function.cls)
        known_to_ruff = self.row is not None and self.row.ruff
        heavy = kept(self.values, Instance(function.cls))
        if not known_to_ruff or (heavy is not None and heavy.kind in _WATCHED) or owner.owned:
            yield Pinned("takes", function.cls.name, heavy.kind if heavy else "instance", function.receiver)

    @property
    def _returned(self) -> Iterator[Pinned]:
        function = self.function
        if function is None or all(_is_finite(self.values, function.scope, param) for param in self._parameters):
            return
        alternatives: tuple[Instance, ...] = self.values.annotation(function.scope, function.node.returns)
        if not alternatives:
            value = self.values.returned(function)
            alternatives = (value,) if isinstance(value, Instance) else ()
        for found in filter(None, (kept(self.values, one) for one in alternatives)):
            if found.kind in _WATCHED:
                yield Pinned("returns", found.name, found.kind)


def _is_off(row: Memoizer | None, decorator: Expr) -> bool:
    """Whether the memo keeps nothing: ``maxsize=0``."""
    call = last_call(decorator)
    if row is None or call is None:
        return row is not None and row.weak
    size = argument(call, "maxsize", 0)
    return row.weak or (isinstance(size, Const) and size.value == 0)


def _is_module_level(values: Values, scope: Scope, call: Call) -> bool:
    """Whether the first argument is certainly a function or class of a module, which lives for ever anyway."""
    target = values.project.resolve(scope, call.args[0].value) if call.args else None
    return isinstance(target, FunctionFacts | ClassFacts) and target.outer.kind == "module"


# --- parameters --------------------------------------------------------------------------------------------------


def _taken(values: Values, function: FunctionFacts, param: Param) -> Iterator[Pinned]:
    alternatives = values.annotation(function.scope, param.annotation)
    for instance in alternatives:
        found = kept(values, instance)
        if found is not None and found.kind in _WATCHED | {"callable"}:
            yield Pinned("takes", "callable" if found.kind == "callable" else found.name, found.kind, param.name)
            return
    is_open = param.annotation is None or any(
        isinstance(one.cls, Library) and one.cls.name in _OPEN_TYPES for one in alternatives
    )
    if is_open and _is_used_as_function(function, param.name):
        yield Pinned("takes", "callable", "callable", param.name)


def _is_used_as_function(function: FunctionFacts, name: str) -> bool:
    """Whether the body looks into the parameter as one looks into a function: its signature, code or closure."""
    for node in walk(function.node.body, into=False):
        if not isinstance(node, Chain):
            continue
        if isinstance(node.base, Name) and node.base.id == name and isinstance(node.links[0], Attr):
            if node.links[0].name in _CODE_ATTRIBUTES:
                return True
        call = last_call(node)
        if call is not None and last_name(node) in _INSPECTORS:
            if any(isinstance(arg.value, Name) and arg.value.id == name for arg in call.args):
                return True
    return False


def _is_finite(values: Values, scope: Scope, param: Param) -> bool:
    alternatives = values.annotation(scope, param.annotation)
    return bool(alternatives) and all(_is_finite_type(values, one) for one in alternatives)


def _is_finite_type(values: Values, instance: Instance) -> bool:
    if isinstance(instance.cls, Library):
        return instance.cls.name in _FINITE
    return any(name.startswith("enum.") for name in values.project.lineage(instance.cls).libraries)


# --- memoizers ---------------------------------------------------------------------------------------------------


def _memoizer(values: Values, scope: Scope, expr: Expr) -> tuple[str, Memoizer | None]:
    """The memoizer's name, and the catalogue's row unless it is the project's own; an empty name for none."""
    target = values.project.resolve(scope, expr)
    if isinstance(target, Library):
        row = values.catalog.memoizer(target.name)
        return (row.name.rpartition(".")[2], row) if row is not None else ("", None)
    if isinstance(target, FunctionFacts) and _memoizes(target):
        return target.name, None
    return "", None


def _memoizes(function: FunctionFacts, depth: int = 2) -> bool:
    """Whether a function returns an inner function that fills a dict which the outer one made."""
    inner = [b for found in function.scope.bindings.values() for b in found if isinstance(b, FunctionFacts)]
    returned = {
        node.value.id
        for node in walk(function.node.body, into=False)
        if isinstance(node, Return) and isinstance(node.value, Name)
    }
    stores = {
        name
        for name, found in function.scope.bindings.items()
        for b in found
        if isinstance(b, Assigned) and _is_new_dict(b.stmt.value)
    }
    for made in inner:
        if made.name in returned and (
            any(_fills(node, stores) for node in walk(made.node.body, into=False))
            or (depth > 0 and _memoizes(made, depth - 1))
        ):
            return True
    return False


def _is_new_dict(value: Expr | None) -> bool:
    if isinstance(value, Dict):
        return not value.items
    return isinstance(value, Chain) and last_call(value) is not None and last_name(value) in {"dict", "OrderedDict"}


def _fills(node: object, stores: set[str]) -> bool:
    if not isinstance(node, Bind):
        return False
    return any(
        isinstance(target, Chain)
        and isinstance(target.base, Name)
        and target.base.id in stores
        and len(target.links) == 1
        and isinstance(target.links[0], Index)
        for target in node.targets
    )
