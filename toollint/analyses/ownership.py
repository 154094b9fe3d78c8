"""Classes and the resources that they own: what is acquired where, and whether anything could release it.

An attribute is owned when everything that the class and its ancestors assign to it (None aside) is an acquisition of
the catalogue. A parameter among the assignments makes it borrowed or mixed, anything not understood makes it unknown:
neither is owned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.reach import Component, component_of
from toollint.analyses.release import Held, is_closer, is_empty, may_be_released_outside, may_release
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, Scope, classes_of
from toollint.model import Place
from toollint.project import Library, Lineage
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Block,
    Const,
    Expr,
    Lambda,
    Name,
    Param,
    Raise,
    Return,
    Try,
    With,
    argument,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    walk,
)

_CONSTRUCTORS = frozenset({"__init__", "model_post_init", "__post_init__", "__attrs_post_init__"})
_ELSEWHERE = re.compile(
    r"finalize|(?:Async)?ExitStack|enter_context|enter_async_context|push_async_callback|atexit|addfinalizer|lifespan"
    r"|_instances?|__new__"
)
"""Identifiers of a class after which the release is somebody else's, or there is one object for the process."""
_FLAG = re.compile(
    r"_*(?:owns?|owned|is_own(?:er|ed)?)(?:_\w+)?|_*should_close\w*|_*close_on_\w+|\w+_(?:owned|injected|provided|external)"
)
"""Identifiers that say who owns: somebody has thought of it."""
_FIELD_FUNCTIONS = frozenset({"Field", "PrivateAttr", "field", "attrib", "ib"})


class Owned(NamedTuple):
    """An attribute that holds what the class acquired.

    ``always``: every constructed instance holds it. ``declared``: the attribute exists on every instance, perhaps as
    None. ``shared``: the class body acquires it once for all instances. ``cached``: a cached property opens it.
    ``injectable``: a caller may pass one instead.
    """

    attribute: str
    acquisition: Acquisition
    place: Place
    always: bool = False
    declared: bool = False
    shared: bool = False
    cached: bool = False
    injectable: bool = False


@dataclass(frozen=True, eq=False)
class Owner:
    """A class, what it acquires and keeps in attributes, and who may release that."""

    cls: ClassFacts
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Owner]:
        """Every class of a file that owns at least one resource, in source order."""
        about = values.sieve.words(module.path, "acquisition")
        for facts in sorted(classes_of(module, about), key=lambda c: (c.origin, c.node.start)):
            owner = cls.of(values, facts)
            if owner.owned:
                yield owner

    @classmethod
    def of(cls, values: Values, facts: ClassFacts) -> Owner:
        """The one record of a class."""
        owner = values.owners.get(facts)
        if not isinstance(owner, Owner):
            owner = values.owners[facts] = cls(facts, values)
        return owner

    @property
    def lineage(self) -> Lineage:
        """The class and its ancestors."""
        return self.values.project.lineage(self.cls)

    @cached_property
    def component(self) -> Component | None:
        """What makes the class part of an agent, None where nothing says so."""
        return component_of(self.values, self.cls)

    # --- what it owns

    @cached_property
    def owned(self) -> tuple[Owned, ...]:
        """The attributes that it acquires itself, in order of their first acquisition."""
        above = [Owner.of(self.values, ancestor) for ancestor in self.lineage.classes[1:]]
        found = []
        for attribute, claims in self.claims.items():
            certain = [claim for claim in claims if claim is not None]
            if len(certain) == len(claims) and not any(attribute in owner.claims for owner in above):
                found.append(self._merged(attribute, certain))
        return tuple(one for one in found if one is not None)

    def _merged(self, attribute: str, claims: list[Owned]) -> Owned | None:
        """What several acquisitions of one attribute amount to; None for a field that callers may fill instead."""
        chosen = next((claim for claim in claims if claim.always), claims[0])
        always = chosen.always and attribute not in self._emptied
        if self._is_field(attribute) and not always and not chosen.injectable:
            return None
        declared = always or chosen.declared or self._exists(attribute)
        return chosen._replace(always=always, declared=declared)

    @cached_property
    def claims(self) -> Mapping[str, list[Owned | None]]:
        """Each attribute with what the class assigns to it; None stands for what is no acquisition."""
        claims: dict[str, list[Owned | None]] = {}
        for attribute, owned in (*_from_body(self.values, self.cls), *_from_methods(self.values, self.cls)):
            claims.setdefault(attribute, []).append(owned)
        return claims

    @cached_property
    def _emptied(self) -> frozenset[str]:
        """Attributes that a method other than a constructor sets to None."""
        late = [function for function in self.cls.functions if not _is_constructor(function)]
        return frozenset(name for function in late for name, stmt in _assignments(function) if is_none(stmt.value))

    def _exists(self, attribute: str) -> bool:
        """Whether the class body or a constructor gives the attribute a first value, for which None will do."""
        bound = self.cls.scope.bindings.get(attribute, ())
        if any(isinstance(binding, Assigned) and binding.stmt.value is not None for binding in bound):
            return True
        return any(
            name == attribute and _is_certain(function.node.body, stmt)
            for function in self.cls.functions
            if _is_constructor(function)
            for name, stmt in _assignments(function)
        )

    def _is_field(self, attribute: str) -> bool:
        """Whether the attribute is a public field that the generated constructor takes."""
        bound = self.cls.scope.bindings.get(attribute, ())
        annotated = any(isinstance(binding, Assigned) and binding.stmt.annotation is not None for binding in bound)
        return annotated and not attribute.startswith("_") and (self.is_pydantic or self._is_dataclass)

    @cached_property
    def is_pydantic(self) -> bool:
        """Whether instances are pydantic models: what is no declared or private attribute cannot be assigned."""
        known = [self.values.catalog.base(name) for name in self.lineage.libraries]
        return any(base is not None and base.pydantic for base in known)

    @property
    def _is_dataclass(self) -> bool:
        words = {last_name(callee(decorator) or decorator) for decorator in self.cls.node.decorators}
        return not words.isdisjoint({"dataclass", "define", "attrs", "s"})

    # --- who may release it

    @cached_property
    def closers(self) -> tuple[str, ...]:
        """Methods of the class or an ancestor that end its life and do something."""
        found = [
            name
            for ancestor in self.lineage.classes
            for name, method in ancestor.methods.items()
            if is_closer(name) and not is_empty(method)
        ]
        for name in self.lineage.libraries:
            base = self.values.catalog.base(name)
            if base is not None:
                found += [closer for closer in base.closers if closer not in base.empty_closers]
        return tuple(dict.fromkeys(found))

    def may_be_released(self, owned: Owned) -> bool:
        """Whether anything in sight could release the attribute: then other rules speak, or none."""
        held = Held(owned.attribute, owned.acquisition.resource, self._getters(owned.attribute))
        return (
            self._hands_over
            or any(may_release(function, held) for c in self.lineage.classes for function in c.functions)
            or may_be_released_outside(self.values, self.cls, held)
        )

    def _getters(self, attribute: str) -> frozenset[str]:
        """Properties and methods that give the attribute away under another name."""
        return frozenset(
            function.name
            for ancestor in self.lineage.classes
            for function in ancestor.functions
            for node in walk(function.node.body, into=False)
            if isinstance(node, Return) and node.value is not None
            if attribute_of(node.value, function.receiver) == attribute
        )

    @cached_property
    def _hands_over(self) -> bool:
        words = {word for ancestor in self.lineage.classes for word in _identifiers(ancestor)}
        return any(_ELSEWHERE.fullmatch(word) or _FLAG.fullmatch(word) for word in words)

    # --- what a method may be called

    @cached_property
    def members(self) -> frozenset[str]:
        """Every name that means something in the class already; inherited methods that do nothing may be overridden."""
        names: set[str] = set(self.cls.scope.bindings)
        for ancestor in self.lineage.classes:
            hollow = {name for name, method in ancestor.methods.items() if is_empty(method)}
            names.update(name for name in ancestor.scope.bindings if ancestor is self.cls or name not in hollow)
            names.update(name for function in ancestor.functions for name, _ in _assignments(function))
        for name in self.lineage.libraries:
            tool, base = self.values.catalog.tool(name), self.values.catalog.base(name)
            names.update(tool.reserved if tool else ())
            names.update(set(base.closers) - set(base.empty_closers) if base else ())
        return frozenset(names)


# --- acquisitions ------------------------------------------------------------------------------------------------


def _from_body(values: Values, cls: ClassFacts) -> Iterator[tuple[str, Owned | None]]:
    """What the class body acquires: values, default factories, cached properties."""
    for name, bindings in cls.scope.bindings.items():
        for binding in bindings:
            if isinstance(binding, FunctionFacts):
                yield from _cached_property(values, binding)
            elif isinstance(binding, Assigned) and binding.stmt.value is not None:
                yield from _default(values, cls, name, binding.stmt.value)


def _cached_property(values: Values, function: FunctionFacts) -> Iterator[tuple[str, Owned]]:
    if "cached_property" not in map(last_name, function.decorators):
        return
    for node in walk(function.node.body, into=False):
        if isinstance(node, Return) and node.value is not None:
            acquisition = _acquired(values, function.scope, node.value)
            if acquisition is not None:
                place = function.at(node.value.start, node.value.end)
                yield function.name, Owned(function.name, acquisition, place, cached=True)


def _default(values: Values, cls: ClassFacts, name: str, value: Expr) -> Iterator[tuple[str, Owned]]:
    factory = _default_factory(value)
    if factory is None or isinstance(factory, Lambda):
        acquisition = _acquired(values, cls.scope, value if factory is None else factory.body)
    else:
        target = values.of(cls.scope, factory)
        acquisition = values.catalog.acquisition(target.name) if isinstance(target, Library) else None
    if acquisition is not None and not acquisition.manager and acquisition.element is None:
        injectable = factory is not None and not name.startswith("_")
        place = cls.at(value.start, value.end)
        yield name, Owned(name, acquisition, place, factory is not None, shared=factory is None, injectable=injectable)


def _default_factory(value: Expr) -> Expr | None:
    """The factory of ``Field(default_factory=...)`` and its kin."""
    call, function = last_call(value), callee(value)
    if call is None or function is None or last_name(function) not in _FIELD_FUNCTIONS:
        return None
    return argument(call, "default_factory") or argument(call, "factory")


def _from_methods(values: Values, cls: ClassFacts) -> Iterator[tuple[str, Owned | None]]:
    for function in cls.functions:
        for attribute, stmt in _assignments(function):
            if stmt.value is not None and not is_none(stmt.value):
                yield attribute, _claim(values, function, stmt, attribute, stmt.value)


def _assignments(function: FunctionFacts) -> Iterator[tuple[str, Bind]]:
    """Each ``self.name = ...`` of a method; what a class method assigns belongs to no instance."""
    if function.is_classmethod or function.receiver is None:
        return
    for stmt in walk(function.node.body, into=False):
        if isinstance(stmt, Bind):
            for target in stmt.targets:
                attribute = attribute_of(target, function.receiver)
                if attribute is not None:
                    yield attribute, stmt


def _is_constructor(function: FunctionFacts) -> bool:
    """Whether it runs for every instance: by its name, or as a validator after all others of a pydantic model."""
    if function.name in _CONSTRUCTORS:
        return True
    calls = [last_call(one) for one in function.decorators if last_name(callee(one) or one) == "model_validator"]
    modes = [argument(call, "mode") for call in calls if call is not None]
    return any(isinstance(mode, Const) and mode.value == "after" for mode in modes)


def _claim(values: Values, function: FunctionFacts, stmt: Bind, attribute: str, value: Expr) -> Owned | None:
    acquisition = _acquired(values, function.scope, value)
    if acquisition is None:
        return None
    always = _is_constructor(function) and _is_certain(function.node.body, stmt)
    place = function.at(value.start, value.end)
    return Owned(attribute, acquisition, place, always and not _returns_before(function, stmt))


def _is_certain(block: Block, stmt: Bind) -> bool:
    """Whether a block that runs to its end has run the statement."""
    for one in block:
        if one is stmt:
            return True
        if isinstance(one, With) and _is_certain(one.body, stmt):
            return True
        if isinstance(one, Try):
            raising = all(handler.body and isinstance(handler.body[-1], Raise) for handler in one.handlers)
            if _is_certain(one.final, stmt) or (raising and _is_certain(one.body + one.orelse, stmt)):
                return True
    return False


def _returns_before(function: FunctionFacts, stmt: Bind) -> bool:
    return any(isinstance(node, Return) and node.start < stmt.start for node in walk(function.node.body, into=False))


def _acquired(values: Values, scope: Scope, value: Expr) -> Acquisition | None:
    """The acquisition that an expression is, directly or through one local name."""
    if isinstance(value, Name):
        found = scope.bindings.get(value.id, ())
        if len(found) != 1 or not isinstance(found[0], Assigned) or found[0].stmt.value is None:
            return None
        value = found[0].stmt.value
    acquisition = values.acquisition(scope, value)
    if acquisition is not None and acquisition.awaited == "yes" and not isinstance(value, Await):
        return None  # a coroutine that somebody has yet to await
    return acquisition


def _identifiers(cls: ClassFacts) -> Iterator[str]:
    for node in walk(cls.node):
        if isinstance(node, Name):
            yield node.id
        elif isinstance(node, Attr | Param):
            yield node.name
        elif isinstance(node, Arg) and node.keyword:
            yield node.keyword
    yield from cls.scope.bindings
