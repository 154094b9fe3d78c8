"""Classes and the resources that they own: what is acquired where, and whether anything could release it.

An attribute is owned when everything that the class and its ancestors assign to it (None aside) is made here: an
acquisition of the catalogue, or an object of a project's class that owns something itself. Where a caller may hand one
in instead it is mixed; where a factory makes it for the object that it returns, it is handed over. Anything not
understood makes it unknown, and unknown is not owned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.again import releases_only
from toollint.analyses.claims import Claim, assignments, claims_of, emptied, is_certain, is_constructor
from toollint.analyses.closers import OPENERS, VERBS, assigned_closers, closers_of, closing_verb, ends_its_object
from toollint.analyses.handover import Handover, handovers
from toollint.analyses.origins import Kind
from toollint.analyses.reach import Component, component_of
from toollint.analyses.release import ANYTHING, Held, is_closer, is_empty, may_be_released_outside, may_release
from toollint.analyses.values import Values
from toollint.catalog import Acquisition, Resource
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, classes_of
from toollint.model import Place
from toollint.project import Lineage
from toollint.syntax import (
    Arg,
    Attr,
    Call,
    Chain,
    Name,
    Param,
    Return,
    attribute_of,
    callee,
    is_none,
    last_name,
    prefix,
    walk,
)

_ELSEWHERE = re.compile(
    r"finalize|(?:Async)?ExitStack|enter_context|enter_async_context|push_async_callback|atexit|addfinalizer|lifespan"
    r"|_instances?|__new__"
)
"""Identifiers of a class after which the release is somebody else's, or there is one object for the process."""
_SINGLETON = frozenset({"__new__", "_instance", "_instances", "lru_cache", "singleton", "Singleton"})
_FLAG = re.compile(
    r"_*(?:owns?|owned|is_own(?:er|ed)?)(?:_\w+)?|_*should_close\w*|_*close_on_\w+|\w+_(?:owned|injected|provided|external)"
    r"|_*(?:injected|provided|external)_(?:\w+_)?(?:client|conn(?:ection)?|session|engine|pool|driver|db|database|transport"
    r"|executor|loop|resource|store|server)s?"
)
"""Identifiers that say who owns: somebody has thought of it."""
_HELPERS = 3
"""How many methods deep a closer's work is followed."""
_WEIGHTS = {"high": 2, "medium": 1}
_LEAKS = ("unknown", "freed by refcount", "freed by full gc pass", "open after gc")


class Owned(NamedTuple):
    """An attribute that holds what the class acquired.

    ``always``: every constructed instance holds it. ``declared``: the attribute exists wherever a closer may run,
    perhaps as None. ``shared``: the class body acquires it once for all instances. ``cached``: a cached property opens
    it. ``injectable``: a caller may pass one instead; ``mixed``: it is made only where no caller has passed one.
    ``nullable``: it may be None. ``unlike``: it is one of several things that are released in different ways. ``part``
    is the class of the project whose object it is; then the acquisition stands for what that object owns. ``function``
    is the method that acquires.
    """

    attribute: str
    acquisition: Acquisition
    place: Place
    always: bool = False
    declared: bool = False
    shared: bool = False
    cached: bool = False
    injectable: bool = False
    mixed: bool = False
    nullable: bool = False
    unlike: bool = False
    part: ClassFacts | None = None
    function: FunctionFacts | None = None

    @property
    def is_heavy(self) -> bool:
        """Whether each object costs something that the process runs out of; clients of models are told apart."""
        resource = self.acquisition.resource
        return resource.weight in _WEIGHTS and resource.category != "llm"


@dataclass(frozen=True, eq=False)
class Owner:
    """A class, what it acquires and keeps in attributes, and who may release that."""

    cls: ClassFacts
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Owner]:
        """Every class of a file that may own a resource, in source order."""
        about = values.sieve.words(module.path, "acquisition") | values.sieve.words(module.path, "ownership")
        for facts in sorted(classes_of(module, about), key=lambda c: (c.origin, c.node.start)):
            owner = cls.of(values, facts)
            if owner.owned or owner.mixed or owner.handed_over:
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
    def claims(self) -> Mapping[str, list[Claim]]:
        """Each attribute with what the class itself assigns to it."""
        claims: dict[str, list[Claim]] = {}
        for claim in claims_of(self.values, self.cls):
            claims.setdefault(claim.attribute, []).append(claim)
        return claims

    @cached_property
    def owned(self) -> tuple[Owned, ...]:
        """The attributes that it makes itself, in order of their first acquisition."""
        return tuple(self._owned(claims) for claims in self._candidates if not self._is_mixed(claims))

    @cached_property
    def mixed(self) -> tuple[Owned, ...]:
        """The attributes that it makes itself unless a caller gives one."""
        return tuple(self._owned(claims) for claims in self._candidates if self._is_mixed(claims))

    @cached_property
    def handed_over(self) -> tuple[Owned, ...]:
        """The attributes that a factory fills with what it has acquired for the object that it returns."""
        return tuple(
            Owned(one.attribute, self._through(one), one.place, one.always, declared=True, part=one.wrapper)
            for one in handovers(self.values, self.cls)
            if (one.wrapper is not None or not self.gives_away(one.attribute))
            and not any(claims[0].attribute == one.attribute for claims in self._candidates)
        )

    def _through(self, handover: Handover) -> Acquisition:
        """What a factory acquires, released as what it is wrapped in is."""
        acquisition = handover.acquisition
        if handover.wrapper is None:
            return acquisition
        verb = closing_verb(self.values, handover.wrapper)
        release, awaits = (verb.name, verb.is_async) if verb is not None else ("", acquisition.resource.async_)
        resource = acquisition.resource._replace(release=release, async_=awaits, second_close="unknown")
        return acquisition._replace(resource=resource)

    @cached_property
    def _candidates(self) -> list[list[Claim]]:
        """The claims on each attribute that is known to hold something which has to be released."""
        above = [Owner.of(self.values, ancestor) for ancestor in self.lineage.classes[1:]]
        return [
            claims
            for attribute, claims in self.claims.items()
            if all(claim.kind is not Kind.UNKNOWN for claim in claims)
            and any(self._acquisition(claim) is not None for claim in claims)
            and not any(attribute in owner.claims for owner in above)
        ]

    def _is_mixed(self, claims: list[Claim]) -> bool:
        made = [claim for claim in claims if self._acquisition(claim) is not None]
        always = any(claim.always for claim in made) and claims[0].attribute not in self._emptied
        injectable = any(claim.injectable for claim in claims)
        fillable = self._is_field(claims[0].attribute) and not always and not injectable
        return len(made) < len(claims) or fillable

    def _owned(self, claims: list[Claim]) -> Owned:
        """What several acquisitions of one attribute amount to."""
        made = [(claim, acquisition) for claim in claims if (acquisition := self._acquisition(claim)) is not None]
        claim, acquisition = next((pair for pair in made if pair[0].always), made[0])
        always = claim.always and claim.attribute not in self._emptied
        return Owned(
            claim.attribute,
            acquisition,
            claim.place,
            always,
            claim.shared or self._exists(claim.attribute),
            claim.shared,
            claim.cached,
            claim.injectable,
            self._is_mixed(claims),
            any(one.nullable for one in claims) or self._is_set_to_none(claim.attribute),
            len({(one.resource.release, one.resource.async_) for _, one in made}) > 1,
            claim.made if isinstance(claim.made, ClassFacts) else None,
            claim.function,
        )

    def _acquisition(self, claim: Claim) -> Acquisition | None:
        """What a claim acquires; an object of the project's only where it owns something."""
        if isinstance(claim.made, ClassFacts):
            part = Owner.of(self.values, claim.made)
            return part.duty if not part.waits_to_be_opened or self._opens(claim.attribute) else None
        return claim.made

    def _opens(self, attribute: str) -> bool:
        """Whether a method opens or enters what the attribute holds."""
        return any(
            isinstance(link, Call)
            and isinstance(called := prefix(node, index), Chain)
            and last_name(called) in OPENERS
            and attribute_of(prefix(called, 1), function.receiver) == attribute
            for function in self.cls.functions
            for node in walk(function.node.body)
            if isinstance(node, Chain)
            for index, link in enumerate(node.links)
        )

    @cached_property
    def _emptied(self) -> frozenset[str]:
        return emptied(self.cls)

    def _exists(self, attribute: str) -> bool:
        """Whether the class body or a constructor gives the attribute a first value, whenever a closer may run."""
        bound = self.cls.scope.bindings.get(attribute, ())
        if any(isinstance(binding, Assigned) and binding.stmt.value is not None for binding in bound):
            return True
        return not self._may_close_half_made and any(
            name == attribute and is_certain(function.node.body, stmt)
            for function in self.cls.functions
            if is_constructor(function)
            for name, stmt in assignments(function)
        )

    def _is_set_to_none(self, attribute: str) -> bool:
        return any(is_none(stmt.value) for _, stmt in self.cls.assignments.get(attribute, ()))

    @cached_property
    def _may_close_half_made(self) -> bool:
        """Whether closers run on objects whose constructor has failed: from `__del__`, or from the constructor."""
        methods = [method for cls in self.lineage.classes for method in cls.functions]
        return any(method.name == "__del__" for method in methods) or any(
            attribute_of(node, method.receiver) in self.closers
            for method in methods
            if is_constructor(method)
            for node in (prefix(chain, 1) for chain in walk(method.node.body) if isinstance(chain, Chain))
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

    # --- an object of it is a resource itself

    @cached_property
    def duty(self) -> Acquisition | None:
        """What making an object of the class acquires: it has to be released as its weightiest part has to be.

        None where no part of it, however deep, is a resource, where a part is released without a closer, and for
        singletons. ``release`` is empty where the class has no closer yet.
        """
        leaves = () if self._is_singleton else self.leaves
        verb = closing_verb(self.values, self.cls)
        if not leaves:
            return None
        if verb is None and (not self.lineage.known or self.closers):
            return None
        resources = [leaf.acquisition.resource for leaf in leaves]
        resource = Resource(
            self.cls.full_name,
            "project",
            max((resource.weight for resource in resources), key=lambda weight: _WEIGHTS.get(weight, 0)),
            "the project's code",
            verb.name if verb else "",
            verb.is_async if verb else False,
            "releases" if verb and verb.with_ else "absent",
            "releases" if verb and verb.async_with else "absent",
            second_close="ok" if self._closes_again else "unknown",
            leak=max((resource.leak for resource in resources), key=_LEAKS.index),
            others=self._effective_closers,
        )
        lazy = all(leaf.acquisition.lazy is not False for leaf in leaves)
        return Acquisition(self.cls.full_name, resource, "constructor", lazy=lazy)

    @property
    def _closes_again(self) -> bool:
        """Whether an object may be closed twice: its closer, and those of its parts, only release what may be too.

        A walk over the classes, as `leaves` is.
        """
        seen = {self.cls}
        left = [self]
        while left:
            owner = left.pop()
            verb = closing_verb(self.values, owner.cls)
            closer = self.values.project.class_member(owner.cls, verb.name) if verb is not None else None
            if not isinstance(closer, FunctionFacts) or not releases_only(closer, owner.repeatable):
                return False
            parts = {claim.made for claim in owner.kept_open if isinstance(claim.made, ClassFacts)} - seen
            seen |= parts
            left += [Owner.of(self.values, part) for part in parts]
        return True

    @property
    def repeatable(self) -> set[tuple[str, str]]:
        """The releases that do no harm when they come twice, those of the project's own objects taken for granted."""
        found: set[tuple[str, str]] = set()
        for claim in self.kept_open:
            if isinstance(claim.made, ClassFacts):
                found |= {(claim.attribute, name) for name in closers_of(self.values, claim.made)}
            elif claim.made is not None and claim.made.resource.second_close == "ok":
                resource = claim.made.resource
                found |= {(claim.attribute, name) for name in (resource.release, *resource.others)}
        return found

    @property
    def _effective_closers(self) -> tuple[str, ...]:
        """The closers that release something: those with an unusual name only if they, or a helper, are seen to."""
        return tuple(
            name
            for name in closers_of(self.values, self.cls)
            if name in {*VERBS, "__exit__", "__aexit__"} or self._releases_something(name, _HELPERS)
        )

    def _releases_something(self, name: str, depth: int) -> bool:
        method = self.values.project.class_member(self.cls, name)
        if not isinstance(method, FunctionFacts) or not depth:
            return not isinstance(method, FunctionFacts)
        if any(may_release(method, Held(claim.attribute, ANYTHING)) for claim in self.kept_open):
            return True
        called = [callee(node) for node in walk(method.node.body) if isinstance(node, Chain)]
        helpers = {attribute_of(one, method.receiver) for one in called if one is not None} - {name}
        return any(
            self._releases_something(helper, depth - 1) for helper in helpers if helper and helper in self.members
        )

    @cached_property
    def leaves(self) -> tuple[Owned, ...]:
        """The catalogue's heavy resources that an object keeps open, its own and those of its parts.

        A walk over the classes, not a recursion on `duty`, so that the answer for classes which hold one another does
        not depend on where it starts.
        """
        found: list[Owned] = []
        seen = {self.cls}
        left = [self]
        while left:
            for claim in left.pop().kept_open:
                if isinstance(claim.made, ClassFacts):
                    if claim.made not in seen:
                        seen.add(claim.made)
                        left.append(Owner.of(self.values, claim.made))
                elif claim.made is not None:
                    found.append(Owned(claim.attribute, claim.made, claim.place, function=claim.function))
        return tuple(leaf for leaf in found if leaf.is_heavy)

    @cached_property
    def kept_open(self) -> tuple[Claim, ...]:
        """What the class and its ancestors make and keep; without a closer, only what no other method releases."""
        closes = closing_verb(self.values, self.cls) is not None
        if not closes and self.hands_over:
            return ()
        return tuple(
            claim
            for ancestor in self.lineage.classes
            for claims in Owner.of(self.values, ancestor).claims.values()
            for claim in claims
            if claim.kind is Kind.MADE and not claim.shared and self._is_kept_open(claims, closes=closes)
        )

    def _is_kept_open(self, claims: list[Claim], *, closes: bool) -> bool:
        if closes:
            return all(claim.kind is not Kind.UNKNOWN for claim in claims)
        if any(claim.kind is not Kind.MADE for claim in claims):
            return False
        made = claims[0].made
        resource = made.resource if isinstance(made, Acquisition) else ANYTHING
        held = Held(claims[0].attribute, resource, self.getters(claims[0].attribute))
        return not any(may_release(function, held) for c in self.lineage.classes for function in c.functions)

    @cached_property
    def waits_to_be_opened(self) -> bool:
        """Whether a new object holds nothing until somebody opens or enters it."""
        made = [claim for claims in self.claims.values() for claim in claims if claim.made is not None]
        return bool(made) and all(claim.function is not None and claim.function.name in OPENERS for claim in made)

    @cached_property
    def _is_singleton(self) -> bool:
        words = {word for ancestor in self.lineage.classes for word in _identifiers(ancestor)}
        return not words.isdisjoint(_SINGLETON)

    # --- who may release it

    @cached_property
    def closers(self) -> tuple[str, ...]:
        """Methods of the class or an ancestor that end its life and do something, or may."""
        found = [
            name
            for ancestor in self.lineage.classes
            for name, method in ancestor.methods.items()
            if is_closer(name) and ends_its_object(method)
        ]
        found += [name for ancestor in self.lineage.classes for name in assigned_closers(ancestor)]
        for name in self.lineage.libraries:
            base = self.values.catalog.base(name)
            if base is not None:
                found += [closer for closer in base.closers if closer not in base.empty_closers]
        return tuple(dict.fromkeys(found))

    def may_be_released(self, owned: Owned) -> bool:
        """Whether anything in sight could release the attribute: then other rules speak, or none."""
        held = self.held(owned)
        return (
            self.hands_over
            or any(may_release(function, held) for c in self.lineage.classes for function in c.functions)
            or may_be_released_outside(self.values, self.cls, held)
        )

    def held(self, owned: Owned) -> Held:
        """What to look for, to find a release of the attribute."""
        return Held(
            owned.attribute, owned.acquisition.resource, self.getters(owned.attribute), exact=owned.part is not None
        )

    def gives_away(self, attribute: str) -> bool:
        """Whether callers can reach what the attribute holds, under its own name or through a getter."""
        return not attribute.startswith("_") or any(not name.startswith("_") for name in self.getters(attribute))

    def getters(self, attribute: str) -> frozenset[str]:
        """Properties and methods that give the attribute away under another name."""
        return frozenset(getter for getter, given in self._getters if given == attribute)

    @cached_property
    def _getters(self) -> tuple[tuple[str, str], ...]:
        """The methods that return an attribute, with it."""
        return tuple(
            (function.name, attribute)
            for ancestor in self.lineage.classes
            for function in ancestor.functions
            for node in walk(function.node.body, into=False)
            if isinstance(node, Return) and node.value is not None
            if (attribute := attribute_of(node.value, function.receiver)) is not None
        )

    @cached_property
    def hands_over(self) -> bool:
        """Whether a word of the class says that its release is somebody else's, or was thought of."""
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
            names.update(name for function in ancestor.functions for name, _ in assignments(function))
        for name in self.lineage.libraries:
            tool, base = self.values.catalog.tool(name), self.values.catalog.base(name)
            names.update(tool.reserved if tool else ())
            names.update(set(base.closers) - set(base.empty_closers) if base else ())
        return frozenset(names)


def _identifiers(cls: ClassFacts) -> Iterator[str]:
    for node in walk(cls.node):
        if isinstance(node, Name):
            yield node.id
        elif isinstance(node, Attr | Param):
            yield node.name
        elif isinstance(node, Arg) and node.keyword:
            yield node.keyword
    yield from cls.scope.bindings
