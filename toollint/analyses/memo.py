"""Memoized functions: what their caches keep, of arguments and of results.

A memo keeps its keys and its values until they are pushed out, and a bound of 256 saves nobody whose graphs are few
and heavy (langgraph #3842). Only memos that outlive a call count: one made inside a function dies with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import NamedTuple

from toollint.analyses.kinds import Kept, kept, kept_by
from toollint.analyses.memoizers import Applied, applied
from toollint.analyses.values import Instance, Method, Values
from toollint.catalog import Memoized
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Comprehension,
    Const,
    Expr,
    Name,
    Param,
    Return,
    argument,
    attribute_of,
    callee,
    last_call,
    last_name,
    prefix,
    subscripted,
    walk,
)

_WATCHED = frozenset({"tool", "agent", "graph", "runnable", "resource", "session", "component"})
_OPEN_TYPES = frozenset({"typing.Any", "builtins.object"})
_INSPECTORS = frozenset({"signature", "getsource", "unwrap", "isfunction", "ismethod", "iscoroutinefunction"})
_CODE_ATTRIBUTES = frozenset({"__code__", "__closure__", "__wrapped__", "__defaults__", "__globals__", "__self__"})
_CLASS_ATTRIBUTES = frozenset({"__func__", "__class__"})
_FINITE = frozenset({"builtins.type", "builtins.bool", "typing.Type", "typing.Literal", "typing_extensions.Literal"})
_CLOSERS = frozenset({"close", "aclose", "shutdown", "disconnect", "dispose", "__exit__", "__aexit__", "__del__"})
_CLASS_NAME = re.compile(r".*(?:cls|class|klass|type|model)_?")
_CLEARERS = frozenset({"cache_clear", "cache_close", "cache_invalidate", "invalidate", "invalidate_all", "clear"})


class Weight(NamedTuple):
    """An object that is worth a finding: ``name`` is its class, or ``callable``.

    ``holds`` is what makes it so where it is an object of the project or a closure: something heavy inside.
    """

    name: str
    kind: str
    holds: Kept | None = None


class Pinned(NamedTuple):
    """What a memo keeps: ``role`` is ``takes``, ``returns`` or ``receiver``; ``place`` says so in the source."""

    role: str
    weight: Weight
    place: Place


@dataclass(frozen=True, eq=False)
class CachedCall:
    """A call of somebody else's memoized function with something that need not live as long as the process."""

    place: Place
    function: Memoized

    @property
    def name(self) -> str:
        """The function's bare name."""
        return self.function.name.rpartition(".")[2]


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
        foreign = _may_call_memoized(values, module)
        for code in code_of(module):
            if code.function is None:
                yield from cls._wrapped(values, code)
                continue
            if _outlives_calls(code.function.outer):
                yield from cls._decorated(values, code.function)
            if foreign:
                yield from _cached_calls(values, code)

    @classmethod
    def _decorated(cls, values: Values, function: FunctionFacts) -> Iterator[Memo]:
        for decorator in function.decorators:
            memoizer = applied(values, function.outer, decorator)
            if memoizer is not None and not _stores_coroutines(memoizer, function):
                yield cls(values, function.at(decorator.start, decorator.end), memoizer, function)

    @classmethod
    def _wrapped(cls, values: Values, code: Code) -> Iterator[Memo]:
        """``name = lru_cache(...)(function)``, at module or class level."""
        for stmt in walk(code.block, into=False):
            call = last_call(stmt.value) if isinstance(stmt, Bind) else None
            if call is None or len(call.args) != 1 or not _outlives_calls(code.scope):
                continue
            maker, target = callee(stmt.value), stmt.targets[0]
            function = values.of(code.scope, call.args[0].value)
            memoizer = applied(values, code.scope, maker) if maker is not None else None
            if memoizer is not None and isinstance(function, FunctionFacts) and isinstance(target, Name):
                variable = Variable(code.scope, target.id, ())
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
        if all(param.default is not None or param.kind in {"var", "kwvar"} for param in self.parameters):
            return any(call.args for _, call in calls)
        inside = [(scope, call) for scope, call in calls if scope.kind == "function"]
        return not inside or any(
            not _is_permanent(self.values, scope, arg.value) for scope, call in inside for arg in call.args
        )

    def _mentions(self, *words: str) -> Iterator[tuple[Scope, Chain]]:
        """Every chain in the project, its tests aside, that starts from the function."""
        for module in self.values.project.mentioning(self.name, *words):
            if _is_test(module.path):
                continue
            for code in code_of(module):
                for node in walk(code.block, into=False):
                    if isinstance(node, Chain):
                        yield code.scope, node

    def _calls(self) -> Iterator[tuple[Scope, Call]]:
        for scope, chain in self._mentions():
            for index, link in enumerate(chain.links):
                if isinstance(link, Call) and self._is_me(scope, prefix(chain, index)):
                    yield scope, link

    def _clears(self) -> Iterator[Chain]:
        """``name.cache_clear()`` and its like: somebody manages what the memo keeps."""
        for scope, chain in self._mentions():
            for index, link in enumerate(chain.links):
                if index and isinstance(link, Attr) and link.name in _CLEARERS:
                    head = prefix(chain, index)
                    if self._is_me(scope, head) or self._is_me(scope, prefix(chain, index - 1)):
                        yield chain
            if isinstance(chain.links[0], Attr) and chain.links[0].name in _CLEARERS and self._is_me(scope, chain.base):
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
        found = kept(self.values, Instance(cls))
        if found is not None and found.kind in _WATCHED:
            yield Pinned("receiver", Weight(cls.name, found.kind), cls.place)
        elif row is None or not row.ruff:
            yield Pinned("receiver", Weight(cls.name, "object"), cls.place)

    def _taken(self) -> Iterator[Pinned]:
        if not self.memoizer.keeps_arguments:
            return
        for param in self.parameters:
            expr = param.annotation
            alternatives = self.values.annotation(self.function.scope, expr)
            weight = _heaviest(self.values, alternatives, _WATCHED | {"callable"})
            if weight is None and _is_open(alternatives) and _is_used_as_function(self.function, param.name):
                weight = Weight("callable", "callable")
            if weight is not None:
                yield Pinned("takes", weight, self._at(expr))

    def _returned(self) -> Iterator[Pinned]:
        function = self.function
        if all(_is_finite(self.values, function.scope, param) for param in self.parameters):
            return
        alternatives = self.values.annotation(function.scope, function.node.returns)
        weight = _heaviest(self.values, alternatives, _WATCHED)
        if weight is None and any(_is_set_of_callables(self.values, one) for one in alternatives):
            weight = Weight("callable", "callable")
        if weight is not None:
            yield Pinned("returns", weight, self._at(function.node.returns))
        elif _is_open(alternatives):
            for node in walk(function.node.body, into=False):
                made = _made(self.values, function.scope, node.value) if isinstance(node, Return) else None
                if made is not None:
                    yield Pinned("returns", made, self._at(node))
                    return

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


def _is_test(path: str) -> bool:
    pure = PurePath(path)
    return pure.stem.startswith("test_") or pure.stem.endswith("_test") or "tests" in pure.parts[:-1]


# --- calls of third-party functions ------------------------------------------------------------------------------


def _may_call_memoized(values: Values, module: ModuleFacts) -> bool:
    words = values.catalog.triggers()["memo"].values()
    return any(word in module.utf8 for group in words for word in group)


def _cached_calls(values: Values, code: Code) -> Iterator[CachedCall]:
    for node in walk(code.block, into=False):
        if not isinstance(node, Chain):
            continue
        for index, link in enumerate(node.links):
            if not isinstance(link, Call) or not link.args:
                continue
            target = values.project.resolve(code.scope, prefix(node, index))
            row = values.catalog.memoized(target.name) if isinstance(target, Library) else None
            if row is not None and not _is_permanent(values, code.scope, link.args[0].value):
                yield CachedCall(code.at(node.start, link.end), row)


def _is_permanent(values: Values, scope: Scope, expr: Expr) -> bool:
    """Whether an argument lives as long as the process anyway: a literal, a function, class or global of a module."""
    if isinstance(expr, Const) or _is_class_or_its_function(values, scope, expr):
        return True
    target = values.project.resolve(scope, subscripted(expr)[0])
    if isinstance(target, FunctionFacts | ClassFacts):
        return _outlives_calls(target.outer)
    if isinstance(target, Variable):
        return _outlives_calls(target.scope) and len(target.bindings) == 1
    return target is not None


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


# --- objects -----------------------------------------------------------------------------------------------------


def _heaviest(values: Values, alternatives: tuple[Instance, ...], kinds: frozenset[str]) -> Weight | None:
    """The first of several classes whose objects are worth a finding."""
    return next(filter(None, (_weighed(values, instance, kinds) for instance in alternatives)), None)


def _weighed(values: Values, instance: Instance, kinds: frozenset[str]) -> Weight | None:
    found = kept(values, instance)
    if found is not None and found.kind in kinds:
        return Weight("callable" if found.kind == "callable" else found.name, found.kind)
    if not isinstance(instance.cls, ClassFacts):
        return None
    lineage = values.project.lineage(instance.cls)
    if "callable" in kinds and "typing.Protocol" in lineage.libraries and "__call__" in instance.cls.methods:
        return Weight("callable", "callable")
    if any(not _CLOSERS.isdisjoint(cls.methods) for cls in lineage.classes):
        return Weight(instance.name, "resource")
    held = next((one for one in _fields(values, instance) if one.kind in kinds), None)
    return None if held is None else Weight(instance.name, "object", held)


def _fields(values: Values, instance: Instance) -> Iterator[Kept]:
    """What the fields of an object of the project hold that matters: annotated ones, and those set in ``__init__``."""
    assert isinstance(instance.cls, ClassFacts)
    for cls in values.project.lineage(instance.cls).classes:
        for name in dict.fromkeys((*_annotated(cls), *_initialised(cls))):
            value = values.attribute(instance, name)
            found = kept(values, value) if isinstance(value, Instance) else None
            if found is not None:
                yield found


def _annotated(cls: ClassFacts) -> Iterator[str]:
    for name, bindings in cls.scope.bindings.items():
        if any(isinstance(binding, Assigned) and binding.stmt.annotation is not None for binding in bindings):
            yield name


def _initialised(cls: ClassFacts) -> Iterator[str]:
    init = cls.methods.get("__init__")
    if init is not None:
        binds = [stmt for stmt in init.node.body if isinstance(stmt, Bind)]
        yield from filter(None, (attribute_of(target, init.receiver) for stmt in binds for target in stmt.targets))


def _made(values: Values, scope: Scope, value: Expr | None) -> Weight | None:
    """What a returned expression gives: an object, a list of them, or a closure over one."""
    if isinstance(value, Comprehension):
        return _made(values, scope, value.elements[-1])
    target = values.project.resolve(scope, value) if isinstance(value, Name) else None
    if isinstance(target, FunctionFacts) and target.outer is scope and values.decorated_tool(target) is None:
        return _closure(values, target)
    found = kept_by(values, scope, value)
    if found is not None and found.kind in _WATCHED:
        return Weight(found.name, found.kind)
    instance = values.instance(scope, value)
    return None if instance is None else _weighed(values, instance, _WATCHED)


def _closure(values: Values, function: FunctionFacts) -> Weight | None:
    """A function that its maker gives something heavy to hold."""
    used = [node for node in walk(function.node.body) if isinstance(node, Name)]
    captured = (kept_by(values, function.outer, node) for node in used if node.id in function.outer.bindings)
    held = next((one for one in captured if one is not None and one.kind in _WATCHED), None)
    return None if held is None else Weight("callable", "callable", held)


def _is_set_of_callables(values: Values, instance: Instance) -> bool:
    """Whether it is a container of callables: in an agent, its tools."""
    found = kept(values, instance)
    return found is not None and found.kind == "callable" and found.instance is not instance


# --- parameters --------------------------------------------------------------------------------------------------


def _is_open(alternatives: tuple[Instance, ...]) -> bool:
    """Whether an annotation (or its absence) allows everything."""
    return not alternatives or any(isinstance(one.cls, Library) and one.cls.name in _OPEN_TYPES for one in alternatives)


def _is_used_as_function(function: FunctionFacts, name: str) -> bool:
    """Whether the body calls the parameter, or looks into it as one looks into a function: signature, code, closure."""
    for node in walk(function.node.body):
        if not isinstance(node, Chain):
            continue
        if isinstance(node.base, Name) and node.base.id == name:
            first = node.links[0]
            if isinstance(first, Attr) and first.name in _CODE_ATTRIBUTES:
                return True
            if isinstance(first, Call) and not _CLASS_NAME.fullmatch(name):
                return True
        if any(_inspects(node, index, name) for index in range(len(node.links))):
            return True
    return False


def _inspects(chain: Chain, index: int, name: str) -> bool:
    link = chain.links[index]
    if not isinstance(link, Call) or last_name(prefix(chain, index)) not in _INSPECTORS:
        return False
    return any(isinstance(arg.value, Name) and arg.value.id == name for arg in link.args)


def _is_finite(values: Values, scope: Scope, param: Param) -> bool:
    alternatives = values.annotation(scope, param.annotation)
    return bool(alternatives) and all(_is_finite_type(values, one) for one in alternatives)


def _is_finite_type(values: Values, instance: Instance) -> bool:
    if isinstance(instance.cls, Library):
        return instance.cls.name in _FINITE
    return any(name.startswith("enum.") for name in values.project.lineage(instance.cls).libraries)
