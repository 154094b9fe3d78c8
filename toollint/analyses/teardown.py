"""What the closers of a class leave out, or may skip.

The author has agreed that objects of the class must be closed, so what the closers miss is surely missed: an owned
attribute that nothing releases, the rest of a loop after the first failure, everything behind an early return, and a
release of an attribute that nobody assigns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeGuard

from toollint.analyses.closers import OPENERS, VERBS, ends_its_object
from toollint.analyses.driven import Driven, driven, working
from toollint.analyses.lending import is_lent_out
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.release import ANYTHING, Held, is_closer, may_be_released_outside, may_release
from toollint.analyses.values import Values
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, declarations_of
from toollint.model import Place
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Collection,
    Evaluate,
    Expr,
    For,
    If,
    Name,
    Not,
    Return,
    Try,
    With,
    attribute_of,
    callee,
    last_name,
    prefix,
    walk,
)

_CLOSER = re.compile(
    rb"def[ \t]+(?:__a?exit__|\w*(?:clos|shut_?down|disconnect|clean_?up|dispos|terminat|tear_?down|destroy|stop|releas"
    rb"|quit|kill|exit|finali))"
)
_HELPERS = 3
"""How many methods deep a closer's work is followed."""
_OF_LIFE = frozenset(
    {*VERBS, "__exit__", "__aexit__"} - {"stop", "terminate", "quit", "destroy", "cleanup", "clean_up"}
)
"""Closers that always mean the end of the object; `stop` and `cleanup` may be what the object does for a living."""
_TEARDOWN = re.compile(
    r"_*(?:on_?|handle_?)\w*(?:stop|clos|shut_?down|disconnect|exit|end|tear_?down)\w*", re.IGNORECASE
)
"""A handler that is called at the end, beside the closers."""
_STATE = re.compile(
    r"\w*(?:clos|stop|start|shut|runn|init|connect|open|activ|enter|alive|own|done|ready|dispos|finish|finali|exit|torn"
    r"|keep|extern|inject|shared|persist)\w*",
    re.IGNORECASE,
)
"""Flags that tell of the object's own life, or of a decision about it: a closer rightly asks them."""
_WAITING = "join"
"""A release that only waits: a thread ends when it is told to, which may be done in a hundred ways."""
_PLAIN_ROOTS = frozenset({"builtins", "abc", "typing", "typing_extensions", "collections"})


class Loop(NamedTuple):
    """A loop over members that ends at the first one whose ``verb`` fails."""

    function: FunctionFacts
    place: Place
    name: str
    verb: str


class Skip(NamedTuple):
    """An early return before the release of ``attribute``, for the sake of ``flag``, which has no say in it."""

    function: FunctionFacts
    place: Place
    flag: str
    attribute: str
    release: Place


class Ghost(NamedTuple):
    """A release of an attribute that nobody assigns, and where ``others`` of the closers ask for it."""

    function: FunctionFacts
    place: Place
    attribute: str
    others: tuple[Place, ...] = ()


class Abandoned(NamedTuple):
    """An iterator that the class reads and that its closer, which does its work in ``function``, leaves as it is."""

    function: FunctionFacts
    iterator: Driven


@dataclass(frozen=True, eq=False)
class Teardown:
    """A class with closers, and what they leave out."""

    owner: Owner

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Teardown]:
        """Every class of a file that has a closer, its own or an inherited one, in source order; tests aside."""
        if module.is_test:
            return
        found = {
            code.scope.owner: None
            for code in declarations_of(module, _CLOSER)
            if isinstance(code.scope.owner, ClassFacts)
        }
        found |= {owner.cls: None for owner in Owner.find(values, module) if owner.closers}
        for facts in sorted(found, key=lambda c: (c.origin, c.node.start)):
            yield cls(Owner.of(values, facts))

    @property
    def cls(self) -> ClassFacts:
        """The class."""
        return self.owner.cls

    @cached_property
    def closers(self) -> tuple[FunctionFacts, ...]:
        """The class's own methods that end the life of its objects, the usual ones first; `__del__` aside."""
        return _closers_among(self.cls.functions)

    @cached_property
    def inherited(self) -> tuple[FunctionFacts, ...]:
        """The same methods of its ancestors in the project."""
        return _closers_among([one for cls in self.owner.lineage.classes[1:] for one in cls.functions])

    # --- what they miss

    @cached_property
    def missed(self) -> tuple[Owned, ...]:
        """The owned attributes that no method releases although the class has closers."""
        if not self.owner.lineage.known or not (self.closers or self.inherited) or self._closed_by_library:
            return ()
        found = tuple(one for one in self.owner.owned if self._is_missed(one))
        return found if found and self._means_the_end(found) else ()

    @property
    def _closed_by_library(self) -> bool:
        """Whether the only closers at the end are a library's, of which nobody knows what they reach."""
        values = self.owner.values
        bases = [values.catalog.base(name) for name in self.owner.lineage.libraries]
        closers = {name for base in bases if base is not None for name in set(base.closers) - set(base.empty_closers)}
        return bool(closers) and not self.closers

    def _is_missed(self, owned: Owned) -> bool:
        resource = owned.acquisition.resource
        if owned.shared or resource.category == "llm" or not (resource.release or owned.part is not None):
            return False
        if resource.release == _WAITING or resource.weight == "none":
            return False
        if owned.part is not None and not resource.release and resource.with_ == resource.async_with == "absent":
            return False
        held = self.owner.held(owned)
        return not (
            self._depends(owned)
            or any(may_release(one, held) for cls in self.owner.lineage.classes for one in cls.functions)
            or is_lent_out(self.owner, owned.attribute)
            or may_be_released_outside(self.owner.values, self.cls, held)
        )

    def _depends(self, owned: Owned) -> bool:
        """Whether another attribute gave it: what a connection made goes with the connection."""
        if owned.acquisition.kind != "method" or owned.function is None or owned.function.receiver is None:
            return False
        text = self.cls.module.utf8[slice(*owned.place.span)]
        return re.match(rb"(?:await\s+)?%b\s*\." % owned.function.receiver.encode(), text) is not None

    def _means_the_end(self, missed: tuple[Owned, ...]) -> bool:
        """Whether a closer is one by its name, looks at what is missed, or closes something else."""
        everything = (*self.closers, *self.inherited)
        return (
            any(one.name in _OF_LIFE for one in everything)
            or any(_mentions(one, owned.attribute) for one in (*everything, *self._handlers) for owned in missed)
            or any(may_release(one, self.owner.held(owned)) for one in everything for owned in self.owner.owned)
            or any(map(_ends_a_part, everything))
        )

    @cached_property
    def _handlers(self) -> tuple[FunctionFacts, ...]:
        return tuple(one for one in self.cls.functions if _TEARDOWN.fullmatch(one.name))

    def where(self, missed: Owned) -> FunctionFacts | None:
        """The closer that should release an attribute: one that looks at it, else the usual one; None: inherited."""
        touching = [one for one in (*self.closers, *self._handlers) if _mentions(one, missed.attribute)]
        alike = [one for one in self.closers if one.node.is_async == missed.acquisition.resource.async_]
        return next(iter((*touching, *alike, *self.closers)), None)

    def released_by(self, function: FunctionFacts) -> tuple[Owned, ...]:
        """The attributes that the closer, or a helper of it, does release."""
        methods = [*self._with_helpers(function)]
        return tuple(
            one for one in self.owner.owned if any(may_release(method, self.owner.held(one)) for method in methods)
        )

    def _with_helpers(self, function: FunctionFacts) -> Iterator[FunctionFacts]:
        """A method, and those of the same object that it calls, three deep."""
        seen = {function}
        left = [(function, 0)]
        for method, depth in left:  # grows on the way
            yield method
            for _, name in _own_attributes(method) if depth < _HELPERS else ():
                helper = self.owner.values.project.class_member(self.cls, name)
                if isinstance(helper, FunctionFacts) and helper not in seen:
                    seen.add(helper)
                    left.append((helper, depth + 1))

    @cached_property
    def abandoned(self) -> tuple[Abandoned, ...]:
        """The iterators that the class reads for others and that no closer looks at."""
        closers = [one for one in self.closers if one.name in _OF_LIFE]
        if not closers or not self.owner.lineage.known:
            return ()
        inside = [method for closer in (*self.closers, *self.inherited) for method in self._with_helpers(closer)]
        return tuple(
            Abandoned(working(self.owner.values, self.cls, _of_colour(closers, one)), one)
            for one in driven(self.owner.values, self.cls)
            if not any(_mentions(method, one.attribute) for method in inside)
        )

    # --- what they may skip

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """The loops over members that one failure ends."""
        return tuple(
            Loop(function, function.at(call.start, call.end), name, last_name(callee(call) or call))
            for function in self.closers
            for node in walk(function.node.body, into=False)
            if isinstance(node, For) and _is_of_members(function, node.iter)
            for name, call in _unguarded(node)
        )

    @cached_property
    def skips(self) -> tuple[Skip, ...]:
        """The early returns at the head of a closer that a flag decides which has no say in the release."""
        found = []
        for function in self.closers:
            for index, stmt in enumerate(function.node.body):
                flag = _returning_flag(function, stmt)
                if flag is None or _STATE.fullmatch(flag) or not self._changes_freely(flag):
                    continue
                for attribute, place in _released_after(function, function.node.body[index + 1 :]):
                    if self._is_there_always(attribute):
                        found.append(Skip(function, function.at(stmt.start, stmt.end), flag, attribute, place))
        return tuple(found[:1])

    def _changes_freely(self, flag: str) -> bool:
        """Whether methods other than closers and constructors set the flag, or a caller gives it."""
        setters = {function.name for function, _ in self.cls.assignments.get(flag, ())}
        closing = {one.name for one in self.closers}
        return bool(setters - {"__init__"}) and setters.isdisjoint(closing | OPENERS)

    def _is_there_always(self, attribute: str) -> bool:
        """Whether every object holds it, whatever the flag says."""
        claims = self.owner.claims.get(attribute, [])
        return bool(claims) and all(claim.always for claim in claims)

    @cached_property
    def ghosts(self) -> tuple[Ghost, ...]:
        """The attributes that a closer asks for and releases, and that nothing in the project ever sets."""
        lineage = self.owner.lineage
        if not lineage.known or not _PLAIN_ROOTS.issuperset(name.partition(".")[0] for name in lineage.libraries):
            return ()
        found: dict[str, Ghost] = {}
        for function in sorted(self.closers, key=lambda one: one.node.start):
            read = {name: chain for chain, name in reversed([*_own_attributes(function)])}  # where it is read first
            for attribute, chain in read.items():
                place = function.at(chain.start, chain.end)
                if attribute in found:
                    found[attribute] = found[attribute]._replace(others=(*found[attribute].others, place))
                elif self._is_ghost(function, attribute):
                    found[attribute] = Ghost(function, place, attribute)
        return tuple(found.values())

    def _is_ghost(self, function: FunctionFacts, attribute: str) -> bool:
        lineage = self.owner.lineage
        if attribute.startswith("__") or not may_release(function, Held(attribute, ANYTHING)):
            return False
        if any(attribute in c.scope.bindings or attribute in c.assignments for c in lineage.classes):
            return False
        if any("__getattr__" in c.scope.bindings or "__setattr__" in c.scope.bindings for c in lineage.classes):
            return False
        modules = self.owner.values.project.mentioning(attribute)
        return not any(_sets(module.utf8, attribute.encode()) for module in modules)


def _closers_among(functions: Sequence[FunctionFacts]) -> tuple[FunctionFacts, ...]:
    found = [one for one in functions if is_closer(one.name) and one.name != "__del__" and ends_its_object(one)]
    return tuple(sorted(found, key=lambda one: VERBS.index(one.name) if one.name in VERBS else len(VERBS)))


def _of_colour(closers: Sequence[FunctionFacts], iterator: Driven) -> FunctionFacts:
    """The closer that could end an iterator: one that may await, where that has to be awaited."""
    return next((one for one in closers if one.node.is_async == iterator.is_async), closers[0])


def _mentions(function: FunctionFacts, attribute: str) -> bool:
    """Whether a method looks at the attribute."""
    return any(name == attribute for _, name in _own_attributes(function))


def _ends_a_part(function: FunctionFacts) -> bool:
    """Whether a method ends something that its object keeps: ``self.container.stop()``."""
    return any(
        isinstance(node, Chain)
        and len(node.links) == 3
        and attribute_of(prefix(node, 1), function.receiver) is not None
        and isinstance(node.links[1], Attr)
        and is_closer(node.links[1].name)
        and isinstance(node.links[2], Call)
        for node in walk(function.node.body)
    )


def _own_attributes(function: FunctionFacts) -> Iterator[tuple[Expr, str]]:
    """Each ``self.name`` of a method that is not assigned to."""
    for node in walk(function.node.body):
        if isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id == function.receiver:
            first = node.links[0]
            if isinstance(first, Attr):
                yield prefix(node, 1), first.name


# --- loops -------------------------------------------------------------------------------------------------------


def _is_of_members(function: FunctionFacts, source: Expr, depth: int = 2) -> bool:
    """Whether a loop goes over something that ``self`` holds, or a local list of it."""
    for node in walk(source):
        if isinstance(node, Chain) and attribute_of(prefix(node, 1), function.receiver) is not None:
            return True
        if isinstance(node, Name) and depth:
            found = function.scope.bindings.get(node.id, ())
            values = [one.stmt.value for one in found if isinstance(one, Assigned) and one.stmt.value is not None]
            if any(
                isinstance(value, Collection | Chain) and _is_of_members(function, value, depth - 1) for value in values
            ):
                return True
    return False


def _unguarded(loop: For) -> Iterator[tuple[str, Chain]]:
    """The awaited closing calls on the loop's variable that no handler in the loop stands around."""
    names = {node.id for node in walk(loop.target) if isinstance(node, Name)}
    left: list[Block] = [loop.body]
    while left:
        for stmt in left.pop():
            if isinstance(stmt, If):
                left += [*(body for _, body in stmt.branches), stmt.orelse]
            elif _lets_errors_out(stmt):
                left.append(stmt.body)
            elif isinstance(stmt, Evaluate) and isinstance(stmt.value, Await):
                call = stmt.value.value
                called = callee(call)
                if isinstance(call, Chain) and isinstance(called, Chain) and isinstance(called.base, Name):
                    plain = len(called.links) == 1 and isinstance(called.links[0], Attr)
                    if plain and called.base.id in names and is_closer(last_name(called)):
                        yield called.base.id, call


def _lets_errors_out(stmt: object) -> TypeGuard[With | Try]:
    """Whether a block hands on what is raised in it."""
    if isinstance(stmt, With):
        return all(last_name(callee(context) or context) != "suppress" for context, _ in stmt.items)
    return isinstance(stmt, Try) and not stmt.handlers


# --- early returns -----------------------------------------------------------------------------------------------


def _returning_flag(function: FunctionFacts, stmt: object) -> str | None:
    """The ``flag`` of ``if self.flag: return``, negated or not; None for any other statement."""
    if not isinstance(stmt, If) or len(stmt.branches) != 1 or stmt.orelse:
        return None
    test, body = stmt.branches[0]
    if not body or not isinstance(body[-1], Return) or any(isinstance(node, Chain) for node in walk(body[:-1])):
        return None
    return attribute_of(test.operand if isinstance(test, Not) else test, function.receiver)


def guard_length(function: FunctionFacts, block: Block) -> int:
    """How many statements at the head of a closer only see to it that it does its work once."""
    flag = _returning_flag(function, block[0]) if block else None
    sets = [attribute_of(t, function.receiver) for stmt in block[1:2] if isinstance(stmt, Bind) for t in stmt.targets]
    return 2 if flag is not None and flag in sets and _is_set(block[0]) else 0


def _is_set(stmt: object) -> bool:
    """Whether it is ``if self.flag: ...``, not negated."""
    return isinstance(stmt, If) and not isinstance(stmt.branches[0][0], Not)


def _released_after(function: FunctionFacts, block: Block) -> Iterator[tuple[str, Place]]:
    """The attributes that the statements release by a call, and where."""
    for node in walk(block, into=False):
        if isinstance(node, Chain) and len(node.links) > 2 and isinstance(node.links[2], Call):
            attribute = attribute_of(prefix(node, 1), function.receiver)
            verb = node.links[1]
            if attribute is not None and isinstance(verb, Attr) and is_closer(verb.name):
                yield attribute, function.at(node.start, node.end)


# --- attributes that nobody sets ---------------------------------------------------------------------------------


def _sets(text: bytes, name: bytes) -> bool:
    """Whether a file may set an attribute of the name: whatever is no plain reading of it counts as setting."""
    for found in re.finditer(rb"\b%b\b" % name, text):
        before = text[: found.start()]
        if before.endswith(b"."):
            stored = re.compile(rb"\s*(?:=(?!=)|[-+*/|&]=|:[^=\n]*=|,|\s+in\b)").match(text, found.end())
            if stored or re.search(rb"\bas\s+\w+\.$", before[-80:]):
                return True
        elif not re.search(rb"\b(?:hasattr|delattr|getattr)\(\s*\w+\s*,\s*['\"]$", before[-80:]):
            return True
    return False
