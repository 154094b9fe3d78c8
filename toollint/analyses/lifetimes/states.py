"""What may be true at one point of a function: which name stands for what, and what is still owed a release.

States are immutable values. `States` are the alternatives at one point: at most `LIMIT` of them, beyond that they are
joined, and what is then only possible is forgotten, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeGuard

LIMIT = 16
"""Alternatives that are told apart at one point."""

UNKNOWN, NONE, TRUE, FALSE = "", "none", "true", "false"


class Member(NamedTuple):
    """An attribute of a resource that nobody has called yet: a bound method, or a part of it."""

    site: int
    name: str


class Spread(NamedTuple):
    """A tuple each item of which is a resource of its own, as `os.pipe` gives."""

    call: int
    parent: int | None


class Dependent(NamedTuple):
    """What a method (``word``) of a resource gave: perhaps the resource again, or something that goes on using it."""

    site: int
    word: str


Value: TypeAlias = "int | str | Member | Spread | Dependent | tuple[Any, ...]"
"""The number of an acquisition, one of the constants above, or a tuple of values in a display."""


class Strike(NamedTuple):
    """Something that fails: ``tier`` 0 is a ``raise``, 1 what may fail by its nature, 2 a call that nobody knows.

    ``word`` tells what: ``raise``, ``method`` (of the resource), ``await``, ``yield`` or ``call``.
    """

    tier: int
    start: int
    end: int
    word: str


TWICE = Strike(3, 0, 0, "")
"""More than one failure, its tier above all others: nobody is told of what it takes two to lose."""


class Debt(NamedTuple):
    """What is owed to an acquisition: ``held`` is False before the first use of what opens lazily.

    ``strike`` is the failure that the path went through since.
    """

    held: bool
    strike: Strike | None


class State:
    """Names with a known value, debts by acquisition, and conditions whose outcome is known."""

    __slots__ = ("debts", "facts", "key", "names")

    def __init__(self, names: Mapping[str, Value], debts: Mapping[int, Debt], facts: Mapping[str, bool]) -> None:
        """Take the three mappings, which nobody changes afterwards."""
        self.names = names
        self.debts = debts
        self.facts = facts
        owed = frozenset((site, debt.held) for site, debt in debts.items())
        self.key = (frozenset(names.items()), owed, frozenset(facts.items()))

    def bound(self, name: str, value: Value) -> State:
        """The state after an assignment; an unknown value forgets the name."""
        if self.names.get(name, UNKNOWN) == value:
            return self
        names = {**self.names, name: value}
        if value == UNKNOWN:
            del names[name]
        return State(names, self.debts, self.facts)

    def owing(self, site: int, debt: Debt) -> State:
        """The state in which an acquisition is owed a release."""
        return State(self.names, {**self.debts, site: debt}, self.facts)

    def without(self, sites: Iterable[int]) -> State:
        """The state in which nobody here owes anything to these acquisitions any more."""
        gone = set(sites)
        if gone.isdisjoint(self.debts):
            return self
        return State(self.names, {site: debt for site, debt in self.debts.items() if site not in gone}, self.facts)

    def struck(self, strike: Strike) -> State:
        """The state after a failure: a ``raise`` that was caught counts as if nothing had happened."""
        debts = {site: debt._replace(strike=_after(debt, strike)) for site, debt in self.debts.items()}
        return State(self.names, debts, self.facts)

    def knowing(self, text: str, outcome: bool) -> State:
        """The state in which a condition came out that way."""
        return State(self.names, self.debts, {**self.facts, text: outcome})

    def forgetting(self, texts: Iterable[str]) -> State:
        """The state in which the outcome of these conditions may be another."""
        gone = self.facts.keys() & set(texts)
        if not gone:
            return self
        return State(self.names, self.debts, {text: known for text, known in self.facts.items() if text not in gone})

    def renamed(self, old: int, new: int) -> State:
        """The state in which an acquisition has another number."""
        names = {
            name: new if value == old else value._replace(site=new) if _depends_on(value, old) else value
            for name, value in self.names.items()
        }
        debts = {new if site == old else site: debt for site, debt in self.debts.items()}
        return State(names, debts, self.facts)

    def merged(self, other: State) -> State:
        """One state for two that are equal but for the failures behind them: for each debt the more ordinary one."""
        debts = {
            site: debt._replace(strike=min(debt.strike, other.debts[site].strike, key=_rank))
            for site, debt in self.debts.items()
        }
        return State(self.names, debts, self.facts)


def _after(debt: Debt, strike: Strike) -> Strike | None:
    """What is behind a debt after one more failure."""
    known = debt.strike
    if not debt.held or known is None:
        return strike if debt.held else known
    if not strike.tier:
        return known
    return TWICE if known.tier else strike


def _rank(strike: Strike | None) -> tuple[int, int]:
    return (-1, 0) if strike is None else (strike.tier, strike.start)


class States:
    """The alternatives at one point; equal ones are one."""

    __slots__ = ("_found",)

    def __init__(self, states: Iterable[State] = ()) -> None:
        """Take the first alternatives."""
        self._found: dict[Any, State] = {}
        self.update(states)

    def add(self, state: State) -> None:
        """Add an alternative."""
        known = self._found.get(state.key)
        self._found[state.key] = state if known is None else known.merged(state)

    def update(self, states: Iterable[State]) -> None:
        """Add several alternatives."""
        for state in states:
            self.add(state)

    def __iter__(self) -> Iterator[State]:
        """Give the alternatives in the order in which they came."""
        return iter([*self._found.values()])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    @property
    def is_joinable(self) -> bool:
        """Whether there are more than are told apart."""
        return len(self._found) > LIMIT

    def joined(self) -> States:
        """The same without the conditions' outcomes, and if that does not do, one state of what all agree on."""
        plain = States(State(state.names, state.debts, {}) for state in self)
        return States([_agreed([*plain])]) if plain.is_joinable else plain


def _agreed(states: list[State]) -> State:
    """What holds in all states; a debt whose name they do not agree on is forgotten with it."""
    first, *others = states
    names = {
        name: value
        for name, value in first.names.items()
        if all(state.names.get(name, UNKNOWN) == value for state in others)
    }
    kept = {*map(_number, names.values())}
    lost = {_number(value) for state in states for name, value in state.names.items() if name not in names} - kept
    debts = {
        site: debt
        for site, debt in first.debts.items()
        if site not in lost and all(site in state.debts for state in others)
    }
    common = State(names, debts, {})
    for state in others:
        same = {site: state.debts[site]._replace(held=debt.held) for site, debt in debts.items()}
        common = common.merged(State(names, same, {}))
    return common


def _number(value: Value) -> int:
    """The acquisition that a name stands for, 0 where it is none."""
    return value.site if isinstance(value, Dependent) else value if isinstance(value, int) else 0


def _depends_on(value: Value, number: int) -> TypeGuard[Dependent]:
    return isinstance(value, Dependent) and value.site == number
