"""The books of one function: what was acquired, who owes it a release, and which names stand for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from toollint.analyses.lifetimes.calls import DATA, is_part
from toollint.analyses.lifetimes.conditions import Conditions
from toollint.analyses.lifetimes.states import NONE, UNKNOWN, Debt, Dependent, Member, Spread, State, Value
from toollint.analyses.release import is_closer
from toollint.catalog import Acquisition
from toollint.facts import FunctionFacts
from toollint.syntax import Attr, Chain, Class, Collection, Def, Expr, Lambda, Name, Scope, Star, walk

Outcome: TypeAlias = tuple[State, Value]
"""A state, and the value that an expression has in it."""


@dataclass(eq=False)
class Site:
    """A call that acquires: its row, its span, what it was acquired from, and what became of it on any path.

    ``acquisition`` is None for a parameter, in a summary. ``name`` is that of the first variable that gets it.
    ``drained``: it was read to its end, where there was nothing left to release.
    ``entered``: it stands in a ``with`` that keeps it open.
    """

    acquisition: Acquisition | None
    start: int
    end: int
    name: str = ""
    parents: set[int] = field(default_factory=set)
    children: set[int] = field(default_factory=set)
    released: bool = False
    given: bool = False
    drained: bool = False
    entered: bool = False


class Ledger:
    """What one function acquires, and what becomes of it."""

    def __init__(self, function: FunctionFacts) -> None:
        """Take the function."""
        self.function = function
        self.conditions = Conditions(function.node.body, self.text)
        self.sites: list[Site] = []
        self.captured, self.shared = _names_of_others(function)
        self.numbers: dict[object, int] = {}

    def text(self, node: Any) -> str:
        """A node as it is written."""
        start, end = self.function.at(node.start, node.end).span
        return self.function.module.utf8[start:end].decode(errors="replace")

    # --- acquisitions

    def acquire(self, key: object, state: State, node: Any, row: Acquisition | None, parent: int | None) -> Outcome:
        """A new debt; the one that the same call left behind in an earlier round gets another number."""
        if key not in self.numbers:
            self.numbers[key] = self.enter(Site(row, node.start, node.end))
        number = self.numbers[key]
        if number in state.debts or number in state.names.values():
            state = state.renamed(number, number + 1)
        if parent is not None and parent | 1 != number | 1:
            self.site(number).parents.add(parent)
            self.site(parent).children.add(number)
        eager = row is None or row.lazy is False
        return state.owing(number, Debt(held=eager, strike=None)), number

    def enter(self, site: Site) -> int:
        """Open an account; its number."""
        self.sites.append(site)
        return len(self.sites) * 2

    def site(self, number: int) -> Site:
        """What is known of an acquisition: its number is even, that of the one of an earlier round odd."""
        return self.sites[number // 2 - 1]

    def release(self, state: State, number: int) -> State:
        """Let go of an acquisition, and of what was acquired from it."""
        gone = [number]
        for one in gone:  # grows on the way
            self.site(one).released = True
            gone += [c for child in self.site(one).children for c in (child, child + 1) if c not in gone]
        return state.without(gone)

    def read(self, state: State, number: int, member: str) -> State:
        """Use a member of a resource, which may read it to its end: then there is nothing left to release."""
        row = self.site(number).acquisition
        return self.drain(state, number) if row is not None and member in row.resource.drained_by else state

    def go_through(self, state: State, value: Value) -> State:
        """Loop over a resource, or over what a method of it gave, until nothing is left."""
        if not isinstance(value, Dependent | int):
            return state
        number, member = (value, "__iter__") if isinstance(value, int) else value
        row = self.site(number).acquisition
        return self.drain(state, number) if row is not None and member in row.resource.looped_by else state

    def drain(self, state: State, number: int) -> State:
        """Read a resource to its end."""
        self.site(number).drained = True
        return state.without([number])

    def give(self, state: State, sites: Iterable[int]) -> State:
        """Hand acquisitions to somebody else, and what they were acquired from."""
        gone = [*sites]
        for one in gone:  # grows on the way
            self.site(one).given = True
            gone += [p for parent in self.site(one).parents for p in (parent, parent | 1) if p not in gone]
        return state.without(gone)

    def give_value(self, state: State, value: Value, *, argument: bool = False) -> State:
        """Hand over everything that a value holds."""
        return self.give(state, held_by(value, argument=argument)) if value else state

    def use(self, state: State, number: int) -> State:
        """What opens lazily is open once it is used."""
        debt = state.debts.get(number)
        return state if debt is None or debt.held else state.owing(number, debt._replace(held=True))

    # --- names

    def bind(self, target: Expr | None, value: Value, state: State) -> State:
        """An assignment to a target."""
        if isinstance(target, Name):
            return self._bind_name(target.id, value, state)
        if isinstance(target, Collection):
            return self._unpack(target, value, state)
        if isinstance(target, Star):
            return self.bind(target.value, value if isinstance(value, tuple) else (), state)
        if isinstance(target, Chain):
            link = target.links[-1]
            if isinstance(link, Attr):
                state = state.forgetting(self.conditions.about(link.name))
        return self.give_value(state, value)

    def _bind_name(self, name: str, value: Value, state: State) -> State:
        state = state.forgetting(self.conditions.about(name))
        if isinstance(value, Dependent | int):
            number = value if isinstance(value, int) else value.site
            if isinstance(value, int):
                self.site(number).name = self.site(number).name or name
            if name in self.captured or name in self.shared:
                state = self.give(state, [number])
        elif isinstance(value, tuple):
            state = self.give_value(state, value)
            value = UNKNOWN
        elif value != NONE and name not in self.conditions.names:
            value = UNKNOWN
        return state.bound(name, UNKNOWN if name in self.shared else value)

    def _unpack(self, target: Collection, value: Value, state: State) -> State:
        if isinstance(value, Spread):
            return self._unpack_spread(target, value, state)
        plain = not any(isinstance(item, Star) for item in target.items)
        if isinstance(value, int):
            row = self.site(value).acquisition
            element = row.element if row is not None else None
            for position, item in enumerate(target.items):
                state = self.bind(item, value if plain and position == element else UNKNOWN, state)
            return state if isinstance(element, int) else self.give(state, [value])
        if (
            isinstance(value, tuple)
            and not isinstance(value, Member | Dependent)
            and plain
            and len(value) == len(target.items)
        ):
            for item, one in zip(target.items, value, strict=True):
                state = self.bind(item, one, state)
            return state
        state = self.give_value(state, value)
        for item in target.items:
            state = self.bind(item, UNKNOWN, state)
        return state

    def _unpack_spread(self, target: Collection, value: Spread, state: State) -> State:
        row = self.site(value.call).acquisition
        for position, item in enumerate(target.items):
            if isinstance(item, Name) and item.id != "_":
                key = ("item", value.call, position)
                state, number = self.acquire(key, state, self.site(value.call), row, value.parent)
                state = self.bind(item, number, state)
        return state


def held_by(value: Value, *, argument: bool = False) -> set[int]:
    """The acquisitions that a value holds. An attribute given to a call may be a bound method, other ones are parts."""
    if isinstance(value, Member):
        first, last = value.name.partition(".")[0], value.name.rpartition(".")[2]
        part = is_part(first) or is_closer(last) or (argument and last not in DATA)
        return {value.site} if part else set()
    if isinstance(value, Dependent):
        return {value.site}
    if isinstance(value, tuple) and not isinstance(value, Spread):
        return {site for one in value for site in held_by(one, argument=argument)}
    return {value} if isinstance(value, int) else set()


def _names_of_others(function: FunctionFacts) -> tuple[frozenset[str], frozenset[str]]:
    """The names that nested functions and classes use, and those that belong to other scopes."""
    captured: set[str] = set()
    shared: set[str] = set()
    for node in walk(function.node.body, into=False):
        if isinstance(node, Def | Class | Lambda):
            captured |= {part.id for part in walk(node) if isinstance(part, Name)}
        elif isinstance(node, Scope):
            shared |= {*node.names}
    return frozenset(captured), frozenset(shared)
