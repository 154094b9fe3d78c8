"""Lasting containers whose keys are made from `id()`: the number of a dead object is given to the next one.

Only what outlives the objects counts: a set in a function lives shorter than what it has seen, and an object may file
its own parts. An entry that holds its object, or goes with it, is right; so is, to be careful, every container that
anything takes entries out of, or that is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from toollint.analyses.instances import InstanceContainer
from toollint.analyses.kinds import kept
from toollint.analyses.once import lives_once
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.values import Instance, Values
from toollint.analyses.weak import may_reach
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Parameter, Scope, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Binary,
    Bind,
    Call,
    Chain,
    Collection,
    Expr,
    FString,
    Index,
    Name,
    Node,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_ID = Library("builtins.id")
_CALLED = re.compile(rb"(?<![\w.])id\(")
_SPELLS = frozenset({"builtins.str", "builtins.hex", "builtins.repr", "builtins.hash", "builtins.tuple"})
"""Builtins that make another key of a number."""
_KEEPS = frozenset(
    {"append", "add", "appendleft", "insert", "setdefault", "extend", "update", "put", "put_nowait", "push"}
)
_TIED = frozenset({"weakref.ref", "weakref.finalize", "weakref.WeakMethod", "weakref.proxy"})
_FOREVER = frozenset({"f_code", "__code__", "__class__", "__func__"})
"""Attributes whose objects live as long as the program's text."""
_TYPES = frozenset({"builtins.type", "typing.Type", "typing.Callable", "collections.abc.Callable", "types.ModuleType"})
_MARKS = re.compile(r"seen|visit|walked|done|pending|active")
_WORDS = frozenset({b"id"})
_STEPS = 3


@dataclass(frozen=True, eq=False)
class IdKey:
    """A write into a lasting container under a key that is made from the `id()` of ``subject``."""

    values: Values
    box: Container
    write: Use
    subject: Expr

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[IdKey]:
        """The writes in the functions of a file that put such a key into a container that outlives the object."""
        if module.is_test or not _CALLED.search(module.utf8):
            return
        for code in code_of(module, _WORDS):
            if code.function is not None:
                for container in _stored_into(values, code):
                    yield from _keyed(cls, values, code, container)

    @property
    def text(self) -> str:
        """The object whose number is the key, as it is written."""
        return _written(self.subject)

    @property
    def key_text(self) -> str:
        """The key as it is written."""
        return self._source(self.write.key if self.write.key is not None else self.write.value)

    @property
    def container_text(self) -> str:
        """The container as it is written."""
        return self._source(self.write.container)

    def _source(self, expr: Expr | None) -> str:
        if expr is None:
            return ""
        start, end = self.write.code.at(expr.start, expr.end).span
        return " ".join(self.write.code.scope.module.utf8[start:end].decode().split())

    @property
    def place(self) -> Place:
        """The write."""
        return self.write.place

    @cached_property
    def is_right(self) -> bool:
        """Whether the number cannot go stale: the entry holds its object or ends with it, or the object never dies."""
        return (
            self.box.limited
            or any(use.what in {"evict", "escape"} for use in self.box.uses)
            or self._may_hold_it
            or self._is_kept_beside
            or self._is_tied
            or self._never_dies
            or self._is_a_part
        )

    @property
    def _may_hold_it(self) -> bool:
        """Whether the value could refer to the object; a number made from it does not."""
        number = _identified(self.values, self.write.code.scope, self.write.value) is not None
        return not number and may_reach(self.box, self.write, self.subject)

    @cached_property
    def _is_kept_beside(self) -> bool:
        """Whether the function also puts the object somewhere else, where it may live as long."""
        function = self.write.code.function
        for node in walk(function.node.body, into=False) if function is not None else ():
            given: list[Expr | None] = []
            if isinstance(node, Bind) and not all(isinstance(target, Name) for target in node.targets):
                given = [node.value]
            elif isinstance(node, Chain) and last_name(node) in _KEEPS:
                call = last_call(node)
                given = [arg.value for arg in call.args] if call is not None else []
            if any(map(self._gives, given)):
                return True
        return False

    def _gives(self, value: Expr | None) -> bool:
        """Whether a value is the object, or a display or object made with it; numbers made from it are not."""
        if value is None or _identified(self.values, self.write.code.scope, value) is not None:
            return False
        return any(_same(node, self.subject) for node in _outside_ids(value))

    @cached_property
    def _is_tied(self) -> bool:
        """Whether the function makes a weak reference to the object, or a finalizer for it."""
        function = self.write.code.function
        for node in walk(function.node.body) if function is not None else ():
            call = last_call(node) if isinstance(node, Chain) else None
            if call is not None and any(_same(arg.value, self.subject) for arg in call.args):
                target = self.values.of(self.write.code.scope, callee(node))
                if isinstance(target, Library) and target.name in _TIED:
                    return True
        return False

    @cached_property
    def _never_dies(self) -> bool:
        """Whether the object lives as long as the program's text, or the process has one."""
        scope = self.write.code.scope
        if last_name(self.subject) in _FOREVER:
            return True
        target = self.values.project.resolve(scope, self.subject)
        if target is not None and not isinstance(target, Variable):
            return True
        value = self.values.of(scope, self.subject)
        if isinstance(value, Instance):
            cls = value.cls
            return cls.name in _TYPES if isinstance(cls, Library) else lives_once(self.values, cls)
        lasts = isinstance(target, Variable) and target.scope.kind != "function"
        return lasts or isinstance(value, ClassFacts | FunctionFacts)

    @cached_property
    def _is_a_part(self) -> bool:
        """Whether the container belongs to an object that may well own what it files.

        It does not where the process has one such object, nor where a caller brings the object for this one call.
        """
        function = self.write.code.function
        if not isinstance(self.box, InstanceContainer) or function is None:
            return False
        base = self.subject.base if isinstance(self.subject, Chain) else self.subject
        if isinstance(base, Name) and base.id == function.receiver:
            return True
        return not lives_once(self.values, self.box.owner) and not self._is_lent(function)

    def _is_lent(self, function: FunctionFacts) -> bool:
        """Whether the object is a parameter that the function gives to nobody, and matters in its own right.

        What a walk over a structure marks as seen is mostly alive for longer than the walk.
        """
        bindings = function.scope.bindings.get(self.subject.id, ()) if isinstance(self.subject, Name) else ()
        if len(bindings) != 1 or not isinstance(bindings[0], Parameter) or _MARKS.search(self.box.name):
            return False
        if kept(self.values, self.values.instance(function.scope, self.subject)) is None:
            return False
        chains = [node for node in walk(function.node.body) if isinstance(node, Chain)]
        calls = [link for chain in chains for link in _calls(self.values, function, chain)]
        return not any(_same(arg.value, self.subject) for call in calls for arg in call.args)


# --- the writes --------------------------------------------------------------------------------------------------


def _stored_into(values: Values, code: Code) -> Iterator[Expr]:
    """What is written into under a key made from `id()`."""
    for node in walk(code.block, into=False):
        if isinstance(node, Bind):
            for target in node.targets:
                link = target.links[-1] if isinstance(target, Chain) else None
                if isinstance(target, Chain) and isinstance(link, Index) and _identified(values, code.scope, link.key):
                    yield prefix(target, len(target.links) - 1)
        elif isinstance(node, Chain) and last_name(node) in _KEEPS:
            call, called = last_call(node), callee(node)
            given = call.args[0].value if call is not None and call.args else None
            if isinstance(called, Chain) and _identified(values, code.scope, given) is not None:
                yield prefix(called, len(called.links) - 1)


def _keyed(cls: type[IdKey], values: Values, code: Code, container: Expr) -> Iterator[IdKey]:
    box = container_at(values, code.scope, container)
    for write in box.writes if box is not None else ():
        if write.code.scope is code.scope and write.container == container and box is not None:
            for key in (*write.keys, *([write.value] if write.value is not None and not write.keys else [])):
                subject = _identified(values, code.scope, key)
                if subject is not None:
                    yield cls(values, box, write, subject)


def _calls(values: Values, function: FunctionFacts, chain: Chain) -> Iterator[Call]:
    """The calls in a chain, other than `id()`."""
    if values.project.resolve(function.scope, chain.base) != _ID:
        yield from (link for link in chain.links if isinstance(link, Call))


def _identified(values: Values, scope: Scope, expr: Expr | None, steps: int = _STEPS) -> Expr | None:
    """The object whose `id()` an expression is, or is made from; local names are followed."""
    if expr is None or not steps:
        return None
    if isinstance(expr, Chain):
        call, target = last_call(expr), values.project.resolve(scope, expr.base)
        if call is None or len(expr.links) != 1 or len(call.args) != 1 or not isinstance(target, Library):
            return None
        given = call.args[0].value
        if target == _ID:
            return given
        return _identified(values, scope, given, steps - 1) if target.name in _SPELLS else None
    if isinstance(expr, Name):
        bindings = scope.bindings.get(expr.id, ())
        only = bindings[0] if len(bindings) == 1 else None
        return _identified(values, scope, only.stmt.value, steps - 1) if isinstance(only, Assigned) else None
    parts: tuple[Expr, ...] = ()
    if isinstance(expr, FString):
        parts = expr.parts
    elif isinstance(expr, Collection):
        parts = expr.items
    elif isinstance(expr, Binary):
        parts = expr.operands
    found = (_identified(values, scope, part, steps - 1) for part in parts)
    return next((one for one in found if one is not None), None)


def container_at(values: Values, scope: Scope, expr: Expr) -> Container | None:
    """The lasting container that an expression stands for: a module's, a class's, or one of each object of a class."""
    target = values.project.resolve(scope, expr)
    if isinstance(expr, Chain) and isinstance(expr.links[-1], Attr) and not isinstance(target, Variable):
        owner = values.of(scope, prefix(expr, len(expr.links) - 1))
        cls = owner.cls if isinstance(owner, Instance) else owner
        if not isinstance(cls, ClassFacts):
            return None
        own = values.project.lineage(cls).classes if isinstance(owner, Instance) else ()
        boxes = (box for one in own for box in InstanceContainer.of(values, one))
        found = next((box for box in boxes if box.name == expr.links[-1].name), None)
        if found is not None:
            return found
        target = values.project.class_member(cls, expr.links[-1].name)
    if not isinstance(target, Variable) or target.scope.kind == "function":
        return None
    shared = Container.find(values, target.scope.module)
    return next((box for box in shared if box.name == target.name and box.scope is target.scope), None)


def _written(expr: Expr) -> str:
    """A name with its attributes; within an f-string no other node has a place of its own."""
    if isinstance(expr, Name):
        return expr.id
    if not isinstance(expr, Chain):
        return "..."
    parts = (
        f".{link.name}" if isinstance(link, Attr) else "()" if isinstance(link, Call) else "[]" for link in expr.links
    )
    return _written(expr.base) + "".join(parts)


# --- small questions ---------------------------------------------------------------------------------------------


def _same(one: Any, other: Expr) -> bool:
    """Whether two expressions are written alike: a name, or attributes of one."""
    if isinstance(one, Name) and isinstance(other, Name):
        return one.id == other.id
    if isinstance(one, Chain) and isinstance(other, Chain):
        plain = all(isinstance(link, Attr) for link in (*one.links, *other.links))
        names = [[link.name for link in chain.links if isinstance(link, Attr)] for chain in (one, other)]
        return plain and names[0] == names[1] and _same(one.base, other.base)
    return False


def _outside_ids(value: Expr) -> Iterator[Node]:
    """The nodes of an expression, without what stands in `id(...)`."""
    pending: list[Any] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id == "id" and len(node.links) == 1:
            continue
        if isinstance(node, tuple):
            pending += node
        elif isinstance(node, Node):
            yield node
            pending += [part for part in node if isinstance(part, Node | tuple)]
