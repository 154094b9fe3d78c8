"""Classes and the resources that they own: what is acquired where, who could release it, who says it is a component.

An attribute is owned when everything that the class ever assigns to it (None aside) is an acquisition of the
catalogue. A parameter among the assignments makes it borrowed or mixed; anything not understood makes it unknown.
Both are silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.reach import registered_as_tool
from toollint.analyses.values import Values
from toollint.catalog import Acquisition, Tool
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, Scope, classes_of
from toollint.model import Place
from toollint.project import Library, Lineage
from toollint.syntax import (
    Bind,
    Call,
    Chain,
    Const,
    Ellipsis_,
    Evaluate,
    Expr,
    Lambda,
    Name,
    Raise,
    Return,
    Simple,
    With,
    argument,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    walk,
)

_CLOSER = re.compile(
    r"_*(?:a|async_|_?do_)?(?:close|shut_?down|stop|disconnect|clean_?up|dispose|terminate|tear_?down|release|destroy"
    r"|quit|kill|exit|finish|unload|reset|finali[sz]e|del)(?:_.*|__)?"
)
_CONSTRUCTORS = frozenset({"__init__", "model_post_init", "__post_init__", "__attrs_post_init__"})
_ELSEWHERE = frozenset(
    b"finalize ExitStack AsyncExitStack enter_context enter_async_context push_async_callback atexit addfinalizer "
    b"lifespan asynccontextmanager".split()
)
"""Words of a class after which the release may be somewhere that this analysis does not look."""
_FLAG = re.compile(rb"_?(?:owns?_|owned|should_close|close_on_|is_owner)\w*|_own\b")
_FIELD_FUNCTIONS = frozenset({"Field", "PrivateAttr", "field", "attrib", "ib"})


class Owned(NamedTuple):
    """An attribute that holds what the class acquired.

    ``function`` acquires it, None where the class body does. ``always``: every constructed instance holds it.
    ``shared``: the class body acquires it once for all instances. ``injectable``: a caller may pass one instead.
    """

    attribute: str
    acquisition: Acquisition
    place: Place
    function: FunctionFacts | None
    always: bool = False
    shared: bool = False
    cached: bool = False
    injectable: bool = False


class Component(NamedTuple):
    """Why a class is part of an agent: what the catalogue says of the base or decorator, or who registers it."""

    name: str
    tool: Tool | None
    role: str
    registered: Place | None = None


@dataclass(frozen=True, eq=False)
class Owner:
    """A class that acquires something and keeps it in an attribute."""

    cls: ClassFacts
    values: Values
    owned: tuple[Owned, ...]

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Owner]:
        """Every class of a file that owns at least one resource, in source order."""
        for facts in sorted(classes_of(module, values.sieve.words(module.path, "acquisition")), key=lambda c: (c.origin, c.node.start)):
            owner = cls.of(values, facts)
            if owner.owned:
                yield owner

    @classmethod
    def of(cls, values: Values, facts: ClassFacts) -> Owner:
        """What a class owns, possibly nothing; worked out once."""
        owner = values.owners.get(facts)
        if not isinstance(owner, Owner):
            owner = values.owners[facts] = cls(facts, values, tuple(_owned(values, facts)))
        return owner

    @property
    def lineage(self) -> Lineage:
        """The class and its ancestors."""
        return self.values.project.lineage(self.cls)

    @cached_property
    def component(self) -> Component | None:
        """What makes the class an agent component, None where nothing says so."""
        catalog = self.values.catalog
        names = [c.full_name for c in self.lineage.classes[1:]] + list(self.lineage.libraries)
        for name in names:
            kind = catalog.kind(name)
            if catalog.tool(name) is not None or (kind is not None and (kind.role or kind.kind in {"tool", "agent"})):
                return Component(name.rpartition(".")[2], catalog.tool(name), kind.role if kind else "")
        for decorator in self.cls.node.decorators:
            target = self.values.project.resolve(self.cls.outer, callee(decorator) or decorator)
            tool = catalog.tool(target.name) if isinstance(target, Library) else None
            if tool is not None:
                return Component(tool.name.rpartition(".")[2], tool, "")
        place = registered_as_tool(self.values, self.cls)
        return None if place is None else Component("", None, "", place)

    @cached_property
    def closers(self) -> tuple[str, ...]:
        """Methods of the class or an ancestor that look like a closer and do something."""
        found = [
            name
            for ancestor in self.lineage.classes
            for name, method in ancestor.methods.items()
            if _CLOSER.fullmatch(name) and not _is_empty(method)
        ]
        for name in self.lineage.libraries:
            base = self.values.catalog.base(name)
            if base is not None:
                found += [closer for closer in base.closers if closer not in base.empty_closers]
        return tuple(dict.fromkeys(found))

    @cached_property
    def members(self) -> frozenset[str]:
        """Every name that the class, an ancestor or a framework base defines or assigns."""
        names: set[str] = set()
        for ancestor in self.lineage.classes:
            names.update(ancestor.scope.bindings)
            for function in ancestor.functions:
                for node in walk(function.node.body, into=False):
                    if isinstance(node, Bind):
                        names.update(filter(None, (attribute_of(t, function.receiver) for t in node.targets)))
        for name in self.lineage.libraries:
            tool, base = self.values.catalog.tool(name), self.values.catalog.base(name)
            names.update(tool.reserved if tool else (), base.closers if base else ())
        return frozenset(names)

    def may_be_released(self, owned: Owned) -> bool:
        """Whether anything in sight could release the attribute: then other rules speak, or none."""
        return (
            self._hands_over()
            or any(_uses_up(function, owned.attribute) for c in self.lineage.classes for function in c.functions)
            or self._released_outside(owned)
        )

    def _hands_over(self) -> bool:
        text = self._text()
        return bool(_FLAG.search(text)) or any(word in text for word in _ELSEWHERE)

    def _text(self) -> bytes:
        start, end = self.cls.origin + self.cls.node.start, self.cls.origin + self.cls.node.end
        return self.cls.module.utf8[start:end]

    def _released_outside(self, owned: Owned) -> bool:
        """Whether any file of the project calls a closer on an attribute of that name."""
        verbs = {owned.acquisition.resource.release.rpartition(".")[2] or "close", *owned.acquisition.resource.others}
        call = re.compile(rf"\.{owned.attribute}\s*\.\s*(?:{'|'.join(map(re.escape, verbs))})\b".encode())
        return any(call.search(module.utf8) for module in self.values.project.mentioning(owned.attribute))


# --- acquisitions ------------------------------------------------------------------------------------------------


def _owned(values: Values, cls: ClassFacts) -> Iterator[Owned]:
    found = [*_from_body(values, cls), *_from_methods(values, cls)]
    by_name: dict[str, list[Owned | None]] = {}
    for attribute, owned in found:
        by_name.setdefault(attribute, []).append(owned)
    for claims in by_name.values():
        certain = [claim for claim in claims if claim is not None]
        if len(certain) == len(claims):
            always = next((claim for claim in certain if claim.always), certain[0])
            yield always._replace(always=always.always and len(certain) == 1)


def _from_body(values: Values, cls: ClassFacts) -> Iterator[tuple[str, Owned | None]]:
    """What the class body gives its attributes: defaults, default factories; None for a field that callers fill."""
    for name, bindings in cls.scope.bindings.items():
        for binding in bindings:
            if isinstance(binding, FunctionFacts):
                yield from _cached_property(values, binding)
            if not isinstance(binding, Assigned) or binding.stmt.value is None or is_none(binding.stmt.value):
                continue
            yield from _default(values, cls, name, binding.stmt)


def _cached_property(values: Values, function: FunctionFacts) -> Iterator[tuple[str, Owned]]:
    if "cached_property" not in map(last_name, function.decorators):
        return
    for node in walk(function.node.body, into=False):
        if isinstance(node, Return) and node.value is not None:
            acquisition = _acquired(values, function.scope, node.value)
            if acquisition is not None:
                place = function.at(node.value.start, node.value.end)
                yield function.name, Owned(function.name, acquisition, place, function, cached=True)


def _default(values: Values, cls: ClassFacts, name: str, stmt: Bind) -> Iterator[tuple[str, Owned | None]]:
    value = stmt.value
    if value is None:
        return
    factory = _default_factory(value)
    acquisition = _acquired(values, cls.scope, factory.body if isinstance(factory, Lambda) else value)
    if acquisition is None and factory is not None and not isinstance(factory, Lambda):
        target = values.of(cls.scope, factory)
        acquisition = values.catalog.acquisition(target.name) if isinstance(target, Library) else None
    if acquisition is None or acquisition.manager or acquisition.element is not None:
        return
    place = cls.at(value.start, value.end)
    injectable = factory is not None and not name.startswith("_")
    yield name, Owned(name, acquisition, place, None, factory is not None, factory is None, injectable=injectable)


def _default_factory(value: Expr) -> Expr | None:
    """The factory of ``Field(default_factory=...)`` and its kin."""
    call, function = last_call(value), callee(value)
    if call is None or function is None:
        return None
    if last_name(function) not in _FIELD_FUNCTIONS:
        return None
    return argument(call, "default_factory") or argument(call, "factory")


def _from_methods(values: Values, cls: ClassFacts) -> Iterator[tuple[str, Owned | None]]:
    """Each assignment to an attribute in the methods of the class; None for one that is no acquisition."""
    for ancestor in values.project.lineage(cls).classes:
        for function in ancestor.functions:
            if function.is_classmethod or function.receiver is None:
                continue
            for stmt in walk(function.node.body, into=False):
                if not isinstance(stmt, Bind) or stmt.value is None or is_none(stmt.value):
                    continue
                for target in stmt.targets:
                    attribute = attribute_of(target, function.receiver)
                    if attribute is not None:
                        yield attribute, _claim(values, cls, function, stmt, attribute)


def _claim(values: Values, cls: ClassFacts, function: FunctionFacts, stmt: Bind, attribute: str) -> Owned | None:
    acquisition = _acquired(values, function.scope, stmt.value)
    if acquisition is None or function.cls is not cls or stmt.value is None:
        return None
    always = function.name in _CONSTRUCTORS and stmt in function.node.body and not _returns_before(function, stmt)
    return Owned(attribute, acquisition, function.at(stmt.value.start, stmt.value.end), function, always)


def _returns_before(function: FunctionFacts, stmt: Bind) -> bool:
    return any(isinstance(node, Return) and node.start < stmt.start for node in walk(function.node.body, into=False))


def _acquired(values: Values, scope: Scope, value: Expr | None) -> Acquisition | None:
    """The acquisition that an expression is, directly or through one local name."""
    if isinstance(value, Name):
        found = scope.find(value.id)
        if found is None or found[0] is not scope or len(found[1]) != 1 or not isinstance(found[1][0], Assigned):
            return None
        value = found[1][0].stmt.value
    return values.acquisition(scope, value)


# --- releases ----------------------------------------------------------------------------------------------------


def _uses_up(function: FunctionFacts, attribute: str) -> bool:
    """Whether a method enters the attribute in a ``with``, calls a closer on it, or hands it to a closing helper."""
    receiver = function.receiver
    for node in walk(function.node.body):
        if isinstance(node, With):
            if any(_mentions(context, receiver, attribute) for context, _ in node.items):
                return True
        elif isinstance(node, Chain) and _closes(node, receiver, attribute):
            return True
    return False


def _mentions(expr: Expr, receiver: str | None, attribute: str) -> bool:
    call = last_call(expr)
    given = [arg.value for arg in call.args] if call is not None else []
    return any(attribute_of(e, receiver) == attribute for e in (expr, *given))


def _closes(chain: Chain, receiver: str | None, attribute: str) -> bool:
    names = [getattr(link, "name", None) for link in chain.links]
    if isinstance(chain.base, Name) and chain.base.id == receiver and names[0] == attribute:
        return any(name is not None and _CLOSER.fullmatch(name) for name in names[1:])
    if not isinstance(chain.links[-1], Call):
        return False
    called = next((name for name in reversed(names) if name), getattr(chain.base, "id", ""))
    return bool(_CLOSER.fullmatch(called or "")) and _mentions(chain, receiver, attribute)


def _is_empty(function: FunctionFacts) -> bool:
    """Whether a method does nothing: a docstring, ``pass``, ``...``, ``return None`` or NotImplementedError alone."""
    return all(
        isinstance(stmt, Simple | Raise)
        or (isinstance(stmt, Evaluate) and isinstance(stmt.value, Const | Ellipsis_))
        or (isinstance(stmt, Return) and (stmt.value is None or is_none(stmt.value)))
        for stmt in function.node.body
    )
