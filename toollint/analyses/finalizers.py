"""Classes whose `__del__` releases what their objects have opened, and whatever else would release it.

What `__del__` closes is read exactly: an attribute, a local name for it, each of several in a loop. What anything else
may close is judged generously (`toollint.analyses.release`), so that a finding says «only `__del__`» and means it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.claims import Claim, claims_of
from toollint.analyses.ownership import Owner
from toollint.analyses.release import Held, is_closer, may_release
from toollint.analyses.values import Instance, Values
from toollint.analyses.verbs import heirs
from toollint.catalog import Resource
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, classes_of, code_of
from toollint.model import Place
from toollint.project import Lineage
from toollint.syntax import (
    Attr,
    Bind,
    Chain,
    Collection,
    Expr,
    For,
    Name,
    Walrus,
    attribute_of,
    callee,
    fetched,
    is_name,
    prefix,
    walk,
)

DEL = "__del__"
_ELSEWHERE = re.compile(rb"\b(?:finalize|(?:Async)?ExitStack|enter_context|atexit|addfinalizer|_instances?|__new__)\b")
"""Words of a class after which the release is somebody else's, or there is one object for the process."""


class MemberCall(NamedTuple):
    """A call of a method of what an attribute holds: ``self.client.close()``, or by a local name of it."""

    attribute: str
    verb: str
    chain: Chain


class Released(NamedTuple):
    """An attribute that `__del__` releases: what it holds, where that was opened, how and where it is closed."""

    attribute: str
    resource: Resource
    acquired: Place
    verb: str
    closed: Place


def is_handed_over(lineage: Lineage) -> bool:
    """Whether a class or an ancestor names a mechanism that may release for it, or keeps one object for ever."""
    return any(
        _ELSEWHERE.search(cls.module.utf8, cls.origin + cls.node.start, cls.origin + cls.node.end)
        for cls in lineage.classes
    )


# --- what a method does with its attributes ----------------------------------------------------------------------


def calls_in(function: FunctionFacts) -> Iterator[MemberCall]:
    """Each call in a method of something that an attribute of ``self`` holds."""
    names = _local_names(function)
    for node in walk(function.node.body, into=False):
        called = callee(node) if isinstance(node, Chain) else None
        verb = called.links[-1] if isinstance(called, Chain) else None
        if isinstance(node, Chain) and isinstance(called, Chain) and isinstance(verb, Attr):
            held = prefix(called, len(called.links) - 1)
            attribute = attribute_of(held, function.receiver)
            known = names.get(held.id, ()) if isinstance(held, Name) else ()
            for name in (attribute,) if attribute is not None else known:
                yield MemberCall(name, verb.name, node)


def _local_names(function: FunctionFacts) -> Mapping[str, tuple[str, ...]]:
    """Local names with the attributes that they stand for."""
    names: dict[str, tuple[str, ...]] = {}
    for node in walk(function.node.body, into=False):
        for target, value in _pairs(node):
            attribute = _attribute(value, function.receiver)
            if attribute is not None and isinstance(target, Name):
                names[target.id] = (*names.get(target.id, ()), attribute)
    return names


def _pairs(node: object) -> Iterator[tuple[Expr, Expr]]:
    """Each target with what is bound to it; a loop over a display binds its target to each of the items."""
    if isinstance(node, Walrus):
        yield node.target, node.value
    elif isinstance(node, For) and isinstance(node.iter, Collection):
        yield from ((node.target, item) for item in node.iter.items)
    elif isinstance(node, Bind) and node.value is not None:
        for target in node.targets:
            if isinstance(target, Collection) and isinstance(node.value, Collection):
                yield from zip(target.items, node.value.items, strict=False)
            else:
                yield target, node.value


def _attribute(expr: Expr, receiver: str | None) -> str | None:
    """The ``name`` of ``self.name`` or ``getattr(self, "name", ...)``."""
    owner, name = fetched(expr) or (None, None)
    if owner is not None:
        return name if is_name(owner, receiver) else None
    return attribute_of(expr, receiver)


# --- classes with a __del__ --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Finalized:
    """A class and the `__del__` that ends its objects: its own, or that of an ancestor in the project."""

    cls: ClassFacts
    method: FunctionFacts
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Finalized]:
        """Every class of a file that has a `__del__`, or that opens something and inherits one, in source order."""
        about = values.sieve.words(module.path, "acquisition") | {DEL.encode()}
        for facts in sorted(classes_of(module, about), key=lambda c: (c.origin, c.node.start)):
            found = next((c.methods[DEL] for c in values.project.lineage(facts).classes if DEL in c.methods), None)
            if found is not None:
                yield cls(facts, found, values)

    @property
    def owner(self) -> Owner:
        """The class as an owner of resources."""
        return Owner.of(self.values, self.cls)

    @property
    def lineage(self) -> Lineage:
        """The class and its ancestors."""
        return self.values.project.lineage(self.cls)

    @property
    def is_inherited(self) -> bool:
        """Whether the `__del__` is that of an ancestor."""
        return self.method.cls is not self.cls

    @cached_property
    def parts(self) -> tuple[FunctionFacts, ...]:
        """`__del__`, and the private methods that nothing but it calls: they are pieces of it."""
        found = [self.method]
        for part in found:  # grows on the way
            for node in walk(part.node.body, into=False):
                called = callee(node) if isinstance(node, Chain) else None
                name = attribute_of(called, part.receiver) if called is not None else None
                member = self.values.project.class_member(self.cls, name) if name is not None else None
                if isinstance(member, FunctionFacts) and member not in found and self._serves_only(member, found):
                    found.append(member)
        return tuple(found)

    def _serves_only(self, helper: FunctionFacts, callers: list[FunctionFacts]) -> bool:
        """Whether a private method is mentioned by these methods alone, in the whole project."""
        if not helper.name.startswith("_") or helper.name.endswith("__"):
            return False
        for module in self.values.project.mentioning(helper.name):
            for code in code_of(module, frozenset({helper.name.encode()})):
                nodes = walk(code.block, into=False) if code.function not in callers else ()
                if any(isinstance(node, Attr) and node.name == helper.name for node in nodes):
                    return False
        return True

    # --- what it releases

    @cached_property
    def released(self) -> tuple[Released, ...]:
        """The attributes that it releases and that the class opens itself.

        What an ancestor opens under an inherited `__del__` is that ancestor's affair.
        """
        found: dict[str, Released] = {}
        for part in self.parts:
            for call in calls_in(part):
                for claim in self._made.get(call.attribute, ()):
                    resource = self._resource(claim)
                    if resource is not None and _releases(resource, call.verb):
                        closed = part.at(call.chain.start, call.chain.end)
                        found.setdefault(
                            call.attribute, Released(call.attribute, resource, claim.place, call.verb, closed)
                        )
        return tuple(found.values())

    @cached_property
    def _made(self) -> Mapping[str, tuple[Claim, ...]]:
        made: dict[str, tuple[Claim, ...]] = {}
        for cls in (self.cls,) if self.is_inherited else self.lineage.classes:
            for claim in claims_of(self.values, cls):
                if claim.made is not None and not claim.shared:
                    made[claim.attribute] = (*made.get(claim.attribute, ()), claim)
        return made

    def _resource(self, claim: Claim) -> Resource | None:
        """The resource that is made; of an object of the project, what it owns in turn, by its own closers."""
        if isinstance(claim.made, ClassFacts):
            made = Owner.of(self.values, claim.made)
            held = (leaf.acquisition.resource._replace(others=made.closers) for leaf in made.leaves)
            return next(filter(_counts, held), None)
        return claim.made.resource if claim.made is not None and _counts(claim.made.resource) else None

    # --- who else does

    @cached_property
    def closers(self) -> tuple[str, ...]:
        """The methods beside it that end the life of an object."""
        parts = {part.name for part in self.parts}
        return tuple(name for name in self.owner.closers if name not in parts)

    def is_released_elsewhere(self, one: Released) -> bool:
        """Whether anything beside it could release an attribute."""
        held = Held(one.attribute, one.resource._replace(others=(*one.resource.others, one.verb)))
        classes = [*self.lineage.classes, *heirs(self.values, self.cls)]
        others = [f for cls in classes for f in cls.functions if f not in self.parts and f.name != DEL]
        return (
            any(may_release(function, held) or _mentions_del(function) for function in others)
            or is_handed_over(self.lineage)
            or self._is_closed_outside(held, {*self.parts, *others})
        )

    def _is_closed_outside(self, held: Held, seen: set[FunctionFacts]) -> bool:
        """Whether other code of the project closes an attribute of that name on what may be an object of the class."""
        for verb in sorted(held.verbs):
            for module in self.values.project.mentioning(held.attribute, verb):
                for code in code_of(module, frozenset({held.attribute.encode()})):
                    nodes = walk(code.block, into=False) if code.function not in seen else ()
                    if any(
                        isinstance(node, Chain) and self._closes(code, node, held.attribute, verb) for node in nodes
                    ):
                        return True
        return False

    def _closes(self, code: Code, chain: Chain, attribute: str, verb: str) -> bool:
        names = [link.name if isinstance(link, Attr) else "" for link in chain.links]
        for index, pair in enumerate(itertools.pairwise(names)):
            if pair == (attribute, verb):
                owner = self.values.of(code.scope, prefix(chain, index))
                return not isinstance(owner, Instance) or owner.cls in self.lineage.classes
        return False


def _counts(resource: Resource) -> bool:
    """Whether it is worth a word: files close themselves, and a coroutine closes nothing in `__del__`."""
    return resource.weight in {"high", "medium"} and resource.category not in {"llm", "file"} and not resource.async_


def _releases(resource: Resource, verb: str) -> bool:
    """Whether a call of that name ends it; ``close`` of what has another release is meant for something else."""
    return verb in {resource.release, *resource.others} or (is_closer(verb) and verb != "close")


def _mentions_del(function: FunctionFacts) -> bool:
    return any(isinstance(node, Attr) and node.name == DEL for node in walk(function.node.body))
