"""Wrappers: objects that open what they were given, and then have to pass the closing on as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.claims import is_constructor
from toollint.analyses.closers import OPENERS, closers_of, closing_verb
from toollint.analyses.origins import Kind
from toollint.analyses.ownership import Owner
from toollint.analyses.release import Held, may_be_released_outside, may_release
from toollint.analyses.values import Instance, Values
from toollint.catalog import Resource
from toollint.facts import ClassFacts, FunctionFacts, ModuleFacts, classes_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Const,
    Name,
    Return,
    attribute_of,
    is_name,
    is_none,
    last_name,
    prefix,
    walk,
)

_OPENING = frozenset(opener for opener in OPENERS if not opener.startswith("_") or opener.endswith("__"))


class Opening(NamedTuple):
    """A call ``self.attribute.opener()``."""

    attribute: str
    opener: str
    place: Place


class Opened(NamedTuple):
    """An attribute that a caller gave, of what type, where the wrapper opens and stores it, and how it is closed.

    ``optional``: a caller may give None.
    """

    attribute: str
    type: str
    opening: Opening
    stored: Place
    verb: str
    is_async: bool
    optional: bool


@dataclass(frozen=True, eq=False)
class Wrapper:
    """A class without a closer that opens what it was given."""

    owner: Owner

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Wrapper]:
        """Every such class of a file, in source order."""
        about = frozenset(opener.encode() for opener in _OPENING)
        for facts in sorted(classes_of(module, about), key=lambda c: (c.origin, c.node.start)):
            wrapper = cls(Owner.of(values, facts))
            if wrapper.opened:
                yield wrapper

    @cached_property
    def opened(self) -> tuple[Opened, ...]:
        """The attributes that it opens and that nothing in sight closes."""
        calls = {call.attribute: call for function in self.owner.cls.functions for call in _openings(function)}
        if not calls or not self.owner.lineage.known or self.owner.closers or self.owner.hands_over:
            return ()
        found = (self._opened(name, call) for name, call in calls.items())
        return tuple(one for one in found if one is not None)

    def _opened(self, attribute: str, call: Opening) -> Opened | None:
        claims = self.owner.claims.get(attribute, [])
        if not claims or any(claim.kind is not Kind.GIVEN for claim in claims):
            return None
        if not any(claim.function is not None and is_constructor(claim.function) for claim in claims):
            return None
        held = self.owner.values.attribute(Instance(self.owner.cls), attribute)
        closer = self._closer(held, call.opener) if isinstance(held, Instance) else None
        if closer is None or not isinstance(held, Instance) or self._is_closed(attribute, closer):
            return None
        optional = any(_may_be_none(*found) for found in self.owner.cls.assignments[attribute])
        return Opened(attribute, held.name, call, claims[0].place, closer.release, closer.async_, optional)

    def _closer(self, held: Instance, opener: str) -> Resource | None:
        """How what is held is closed, where it is known to be both opened and closed."""
        values = self.owner.values
        if isinstance(held.cls, Library):
            found = values.catalog.resource(held.cls.name)
            gives = values.called(Library(f"{held.cls.name}.{opener}"))  # `engine.connect()` opens something else
            return found if found is not None and gives is None and found.release.isidentifier() else None
        verb = closing_verb(values, held.cls)
        method = values.project.class_member(held.cls, opener)
        if verb is None or not verb.name or not isinstance(method, FunctionFacts) or _answers(method, held.cls):
            return None
        others = tuple(closers_of(values, held.cls))
        return Resource(held.cls.full_name, "project", "high", "", verb.name, verb.is_async, others=others)

    def _is_closed(self, attribute: str, resource: Resource) -> bool:
        held = Held(attribute, resource, self.owner.getters(attribute))
        lineage = self.owner.lineage
        return any(
            may_release(function, held) for cls in lineage.classes for function in cls.functions
        ) or may_be_released_outside(self.owner.values, self.owner.cls, held)


def _answers(method: FunctionFacts, cls: ClassFacts) -> bool:
    """Whether a method gives what was asked for, as ``agent.start(question)`` does: that is work, and opens nothing."""
    told = method.node.returns
    if told is not None:
        return not is_none(told) and last_name(told) not in {"Self", "bool", cls.node.name}
    given = [node.value for node in walk(method.node.body, into=False) if isinstance(node, Return) and node.value]
    return not all(is_name(value, method.receiver) or isinstance(value, Const) for value in given)


def _may_be_none(function: FunctionFacts, stmt: Bind) -> bool:
    """Whether an assignment may give None: by its value or annotation, or those of the parameter that it stores."""
    params = [one for one in function.node.params if isinstance(stmt.value, Name) and one.name == stmt.value.id]
    told = walk(stmt.value, stmt.annotation, *((one.default, one.annotation) for one in params))
    return any(is_none(node) or (isinstance(node, Name) and node.id == "Optional") for node in told)


def _openings(function: FunctionFacts) -> Iterator[Opening]:
    """Each ``self.name.open()`` of a method."""
    for node in walk(function.node.body):
        chain = node.value if isinstance(node, Await) else node
        if isinstance(chain, Chain) and isinstance(chain.base, Name) and len(chain.links) == 3:
            attribute = attribute_of(prefix(chain, 1), function.receiver)
            verb, call = chain.links[1], chain.links[2]
            if attribute is not None and isinstance(verb, Attr) and isinstance(call, Call) and verb.name in _OPENING:
                yield Opening(attribute, verb.name, function.at(chain.start, chain.end))
