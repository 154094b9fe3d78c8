"""What evaluating an expression does to a state, and what it gives: outcomes are pairs of a state and a value.

Failures leave through `Evaluator.strike`; where they get to is the interpreter's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from toollint.analyses.lifetimes.calls import (
    ENDS,
    LOOKS,
    PARTS,
    PASSES,
    READS,
    SERVES,
    STOPS_EARLY,
    Calls,
    Meaning,
    Spot,
    gives_itself,
    is_calm,
    is_plain,
    only_tells,
    releases,
)
from toollint.analyses.lifetimes.ledger import Ledger, Outcome, Site, held_by
from toollint.analyses.lifetimes.states import FALSE, NONE, TRUE, UNKNOWN, Dependent, Member, Spread, State, Value
from toollint.analyses.release import is_closer
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import ClassFacts, FunctionFacts
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Bool,
    Call,
    Chain,
    Collection,
    Comprehension,
    Const,
    Dict,
    Dots,
    Expr,
    FString,
    IfExp,
    Index,
    Lambda,
    Name,
    Not,
    Other,
    Star,
    Walrus,
    Yield,
    attribute_of,
    is_name,
    last_name,
    walk,
)

_OUTCOMES = 8
"""Outcomes of one expression that are told apart."""
_TRANSPARENT = frozenset({"wait_for", "shield"})
"""Functions that give what awaiting their first argument gives."""
_CLOSING = frozenset({"contextlib.closing", "contextlib.aclosing"})
"""Managers that take over what they are given, and give it to whoever enters them."""
_ENTERS = frozenset({"enter_context", "enter_async_context"})
"""Methods of stacks that take over what they are given, and give what entering it gives."""
_ANYTHING = "any"
"""The kind of a failure of which nothing is known but that it is an ordinary exception."""


class ExhaustedError(Exception):
    """A function takes more work than is spent on one."""


class Evaluator(Ledger):
    """Evaluates the expressions of one function."""

    def __init__(self, values: Values, function: FunctionFacts, borrowing: Callable[..., str]) -> None:
        """Take the function; ``borrowing(callee, param)`` says what a function of the project does with an argument."""
        self.values = values
        super().__init__(function)
        self.borrowing = borrowing
        self.calls = Calls(values, function, self.text)
        self.work = 0
        self._forms: dict[type, Callable[[Any, State], list[Outcome]]] = {
            Await: self._await,
            Bool: self._bool,
            IfExp: self._choice,
            Walrus: self._walrus,
            Comprehension: self._comprehension,
            Yield: self.yielded,
            Lambda: self._lambda,
        }

    def strike(self, state: State, node: Any, tier: int, word: str, kind: str = _ANYTHING) -> None:
        """Let something fail in a state."""
        raise NotImplementedError

    # --- expressions

    def evaluate(self, expr: Expr | None, state: State, *, awaited: bool = False) -> list[Outcome]:
        """The outcomes of an expression."""
        self.work += 1
        if isinstance(expr, Chain):
            return self._chain(expr, state, awaited=awaited)
        if isinstance(expr, Name):
            return [(state, state.names.get(expr.id, UNKNOWN))]
        if expr is None or isinstance(expr, Const | Dots):
            return [(state, _constant(expr))]
        found = self._forms.get(type(expr), self._parts)(expr, state)
        return found if len(found) <= _OUTCOMES else self._joined(found)

    def _choice(self, expr: IfExp, state: State) -> list[Outcome]:
        trues, falses = self.branch(expr.test, state)
        then = [one for s in trues for one in self.evaluate(expr.then, s)]
        found = then + [one for s in falses for one in self.evaluate(expr.orelse, s)]
        if not _is_of_one(expr):
            return found
        return [(self.give_value(s, value), UNKNOWN) for s, value in found]

    def _walrus(self, expr: Walrus, state: State) -> list[Outcome]:
        return [(self.bind(expr.target, value, s), value) for s, value in self.evaluate(expr.value, state)]

    def _lambda(self, expr: Lambda, state: State) -> list[Outcome]:
        """A lambda may do anything with the names that it uses."""
        named = {n.id for n in walk(expr.body) if isinstance(n, Name)}
        return [(self.give(state, _sites_named(state, named)), UNKNOWN)]

    def _joined(self, found: list[Outcome]) -> list[Outcome]:
        """Too many outcomes: what they hold is nobody's business any more."""
        state, _ = found[0]
        sites = {site for other, _ in found for site in other.debts}
        return [(self.give(state, sites), UNKNOWN)]

    def _parts(self, expr: Any, state: State) -> list[Outcome]:
        """Displays hold their items; operators only look at their operands."""
        parts = _children(expr)
        outcomes: list[tuple[State, tuple[Value, ...]]] = [(state, ())]
        for part in parts:
            outcomes = [(s, (*vs, v)) for before, vs in outcomes for s, v in self.evaluate(part, before)][:_OUTCOMES]
        if isinstance(expr, Collection | Dict | Star):
            return [(s, _display(expr, vs)) for s, vs in outcomes]
        return [(s, UNKNOWN) for s, _ in outcomes]

    def _bool(self, expr: Bool, state: State) -> list[Outcome]:
        """``a or b`` gives the first that is true, ``a and b`` the first that is not, else the last."""
        stops = expr.op == "or"
        found: list[Outcome] = []
        going = [state]
        for operand in expr.operands[:-1]:
            following = []
            for before in going:
                trues, falses = self.branch(operand, before)
                stopped, went = (trues, falses) if stops else (falses, trues)
                known = _numbers(before)
                for s in stopped:
                    unnamed = _numbers(s) - known - {*s.names.values()}
                    found.append((self.give(s, unnamed), self._plain(operand, s)))
                following += went
            going = following
        return found + [one for s in going for one in self.evaluate(expr.operands[-1], s)]

    def _plain(self, operand: Expr, state: State) -> Value:
        """The value of an operand that has just been evaluated, where it has a name."""
        operand = operand.target if isinstance(operand, Walrus) else operand
        return state.names.get(operand.id, UNKNOWN) if isinstance(operand, Name) else UNKNOWN

    def _await(self, expr: Await, state: State) -> list[Outcome]:
        outcomes = self.evaluate(expr.value, state, awaited=True)
        if not isinstance(expr.value, Chain) or not is_closer(last_name(expr.value)):
            for after, value in outcomes:
                fresh = {site for site in held_by(value) if site not in state.debts}
                self.strike(after.without(fresh), expr, 1, "await", "cancel")
        return outcomes

    def _comprehension(self, expr: Comprehension, state: State) -> list[Outcome]:
        """Everything in it is evaluated once; what it reads or names is held by what it gives."""
        held: set[int] = set()
        targets = {n.id for clause in expr.clauses for n in walk(clause.target) if isinstance(n, Name)}
        states = [state]
        for clause in expr.clauses:
            after = [one for s in states for one in self.evaluate(clause.iter, s)]
            for s, value in after:
                held |= held_by(value)
                if held_by(value) or clause.is_async:
                    self.strike(self._used(s, value), clause.iter, 1, "method", "own")
            states = [self.go_through(self._used(s, value), value) for s, value in after]
        hidden = {name: value for name, value in state.names.items() if name in targets}
        for name in targets:
            states = [s.bound(name, UNKNOWN) for s in states]
        for part in (*(test for clause in expr.clauses for test in clause.ifs), *expr.elements):
            named = {n.id for n in walk(part) if isinstance(n, Name)}
            held |= {site for s in states for site in _sites_named(s, named)}
            states = [self.give_value(s, v) for before in states for s, v in self.evaluate(part, before)][:_OUTCOMES]
        for name, value in hidden.items():
            states = [s.bound(name, value) for s in states]
        return [(s, tuple(sorted(held)) if expr.kind == "generator" else UNKNOWN) for s in states]

    def _used(self, state: State, value: Value) -> State:
        for number in held_by(value):
            state = self.use(state, number)
        return state

    # --- chains

    def _chain(self, chain: Chain, state: State, *, awaited: bool) -> list[Outcome]:
        outcomes = self.evaluate(chain.base, state)
        for index, link in enumerate(chain.links):
            last = index == len(chain.links) - 1
            if isinstance(link, Attr):  # None has no attributes: whoever wrote that knows that it is not None
                called = not last and isinstance(chain.links[index + 1], Call)
                outcomes = [self._attribute(s, v, link.name, called=called) for s, v in outcomes if v != NONE]
            elif isinstance(link, Index):
                outcomes = [
                    (s, self._item(v, link.key)) for before, v in outcomes for s, _ in self.evaluate(link.key, before)
                ]
            else:
                outcomes = [
                    one for s, v in outcomes for one in self._call(Spot(chain, index), s, v, awaited=awaited and last)
                ]
        return outcomes

    def _attribute(self, state: State, value: Value, name: str, *, called: bool) -> Outcome:
        """An attribute: a method that is called below, or one that may read the resource to its end by itself."""
        if isinstance(value, Member):
            return state, Member(value.site, f"{value.name}.{name}")
        if isinstance(value, Dependent):
            return state, Member(value.site, name)
        if not isinstance(value, int):
            return state, UNKNOWN
        return state if called else self.read(state, value, name), Member(value, name)

    def _item(self, value: Value, key: Expr) -> Value:
        """A subscript may go on using the resource; where that lies under a key, only this key gives it."""
        if isinstance(value, int):
            row = self.site(value).acquisition
            element = row.element if row is not None else None
            if element is None:
                return Dependent(value, "")
            return value if isinstance(key, Const) and key.value == element else UNKNOWN
        if isinstance(value, Dependent):
            return value
        index = key.value if isinstance(key, Const) else None
        if isinstance(value, tuple) and not isinstance(value, Member | Spread) and isinstance(index, int):
            return value[index] if -len(value) <= index < len(value) else UNKNOWN
        return UNKNOWN

    def _call(self, spot: Spot, state: State, receiver: Value, *, awaited: bool) -> list[Outcome]:
        outcomes: list[tuple[State, tuple[Value, ...]]] = [(state, ())]
        waits = awaited and spot.word in _TRANSPARENT
        for arg in spot.args:
            outcomes = [
                (s, (*given, v))
                for before, given in outcomes
                for s, v in self.evaluate(arg.value, before, awaited=waits)
            ][:_OUTCOMES]
        found = []
        for after, given in outcomes:
            if waits and given:
                found.append((after, given[0]))
            elif isinstance(receiver, Member):
                found += self._method(spot, after, receiver, given, awaited=awaited)
            else:
                found += self._function(spot, after, given, awaited=awaited)
        return found

    def _method(
        self, spot: Spot, state: State, receiver: Member, given: tuple[Value, ...], *, awaited: bool
    ) -> list[Outcome]:
        """A method of a resource, or of a part of it."""
        number, word = receiver.site, receiver.name.rpartition(".")[2]
        owner = receiver.name.rpartition(".")[0]
        row = self.site(number).acquisition
        if (not owner or owner in PARTS) and (releases(row.resource, word) if row is not None else is_closer(word)):
            return [(self.release(self._give_all(state, given), number), UNKNOWN)]
        state = self._give_all(state, given)
        if word in {"__enter__", "__aenter__"} or word in SERVES:
            return [(self.give(state, [number]), number)]
        if row is not None and row.element is not None and word == "get" and not owner:
            return [(state, number)]
        if not is_calm(spot):
            self._fails(spot, state, 1, "method", "own")
        state = self.use(state, number)
        state = state if owner else self.read(state, number, word)
        meaning = self.calls.of(spot, given=False)
        opened = self._opened(spot, state, meaning, number, awaited=awaited)
        if opened is not None:
            return [opened]
        if word in _ENTERS and len(given) == 1:
            return [(state, self.entering(given[0]))]
        lives = not owner and (gives_itself(word) or (row is not None and self.calls.gives_more(spot, row)))
        return [(state, Dependent(number, word) if lives else UNKNOWN)]

    def _give_all(self, state: State, given: Iterable[Value]) -> State:
        for value in given:
            state = self.give_value(state, value, argument=True)
        return state

    def _function(self, spot: Spot, state: State, given: tuple[Value, ...], *, awaited: bool) -> list[Outcome]:
        """Any other call."""
        word = spot.word
        if word in ENDS:
            return []
        owed = any(held_by(value, argument=True) for value in given)
        builtin = self._builtin(spot)
        if builtin:
            return [self._by_builtin(spot, state, given, builtin)]
        if spot.at and only_tells(word):
            return [(state, UNKNOWN)]
        meaning = self.calls.of(spot, given=owed)
        for kind in self.calls.refusals(spot, meaning) if owed else ():
            self._fails(spot, state, 2, "call", kind)
        state, value = self._given(spot, state, given, meaning, awaited=awaited) if owed else (state, UNKNOWN)
        if not is_calm(spot) and not self.calls.never_fails(spot):
            known = meaning.acquisition is not None  # whoever writes a handler knows what these raise
            self._fails(spot, state, 2, "call", "own" if known else _ANYTHING)
        opened = self._opened(spot, state, meaning, None, awaited=awaited)
        return [opened if opened is not None else (state, value)]

    def _builtin(self, spot: Spot) -> str:
        for kind, names in (("looks", LOOKS), ("reads", READS), ("passes", PASSES)):
            if spot.word in names and self.calls.is_builtin(spot.called, names):
                return kind
        return ""

    def _by_builtin(self, spot: Spot, state: State, given: tuple[Value, ...], kind: str) -> Outcome:
        sites = sorted({site for value in given for site in held_by(value)})
        if kind == "passes":
            return state, sites[0] if len(sites) == 1 else tuple(sites)
        if kind == "reads":
            for site in sites:
                state = self.use(state, site)
            if sites:
                self._fails(spot, state, 1, "method", "own")
            for value in given if spot.word not in STOPS_EARLY else ():
                state = self.go_through(state, value)
        if spot.word == "getattr" and sites:
            return self.give(state, sites), UNKNOWN
        return state, UNKNOWN

    def _fails(self, spot: Spot, state: State, tier: int, word: str, kind: str) -> None:
        self.strike(state, spot.whole, tier, word, kind)

    def _opened(
        self, spot: Spot, state: State, meaning: Meaning, parent: int | None, *, awaited: bool
    ) -> Outcome | None:
        """The outcome of a call that acquires, None for any other."""
        row = meaning.acquisition
        if row is None or (row.awaited != "no" and not awaited):
            return None
        if row.element == "*":
            return state, Spread(self._spread(spot, row), parent)
        return self.acquire(id(spot.link), state, spot.whole, row, parent)

    def _spread(self, spot: Spot, row: Acquisition) -> int:
        """The number of a call each item of whose result is acquired."""
        key = ("spread", id(spot.link))
        if key not in self.numbers:
            self.numbers[key] = self.enter(Site(row, spot.chain.start, spot.link.end))
        return self.numbers[key]

    # --- arguments

    def _given(self, spot: Spot, state: State, given: tuple[Value, ...], meaning: Meaning, *, awaited: bool) -> Outcome:
        """What a call does with the resources among its arguments, and what it gives if that is one of them."""
        result: Value = UNKNOWN
        for position, (arg, value) in enumerate(zip(spot.args, given, strict=True)):
            sites = held_by(value, argument=True)
            if not sites:
                continue
            fate = self._fate(meaning, arg, position, value, awaited=awaited)
            if fate == "closes":
                for site in sites:
                    state = self.release(state, site)
            elif fate == "gives":
                result = value
            elif fate in {"borrows", "drains"}:
                for site in sites:
                    state = self.use(state, site)
                    state = self.read(state, site, "read") if fate == "drains" else state
            else:
                state = self.give(state, sites)
                result = value if meaning.name in _CLOSING else result
        return state, result

    def _fate(self, meaning: Meaning, arg: Arg, position: int, value: Value, *, awaited: bool) -> str:
        """``closes``, ``borrows``, ``drains``, ``gives`` (the result is the argument), or anything else: takes over."""
        if isinstance(value, int):
            row = self.site(value).acquisition
            if row is not None and meaning.name and meaning.name == row.resource.release:
                return "closes"
        is_function = isinstance(value, Member) and not is_closer(value.name)
        if is_function and awaited and self.calls.runs(meaning, arg, position):
            return "borrows"
        if not isinstance(value, int) or arg.stars:
            return "owns"
        function, bound = meaning.function, meaning.bound
        if meaning.cls is not None:
            found = self.values.project.class_member(meaning.cls, "__init__")
            function, bound = (found if isinstance(found, FunctionFacts) else None), True
        if function is not None:
            names = [p.name for p in function.node.params if p.kind in {"positional", "plain", "keyword"}]
            names = names[1:] if bound else names
            name = arg.keyword or (names[position] if position < len(names) else "")
            if meaning.cls is not None:
                return "gives" if wraps(self.values, meaning.cls, function, name) else "owns"
            return self.borrowing(function, name, awaited) if name in names else "owns"
        name = arg.keyword or (meaning.params[position] if position < len(meaning.params) else "")
        return "drains" if name in meaning.drains else "borrows" if name in meaning.borrows else "owns"

    def entering(self, value: Value) -> Value:
        """What entering a value in a ``with`` gives."""
        if isinstance(value, Dependent):
            return value
        row = self.site(value).acquisition if isinstance(value, int) else None
        return value if row is not None and row.resource.yields == "self" else UNKNOWN

    # --- what only the interpreter knows

    def branch(self, test: Expr, state: State) -> tuple[list[State], list[State]]:
        """The states in which a test is true, and in which it is not."""
        raise NotImplementedError

    def yielded(self, expr: Yield, state: State) -> list[Outcome]:
        """The outcomes of a ``yield``."""
        raise NotImplementedError


def wraps(values: Values, cls: ClassFacts, init: FunctionFacts, param: str) -> bool:
    """Whether objects of a class keep what they are given in an attribute, and nobody else gets hold of either."""
    lineage = values.project.lineage(cls)
    if not is_plain(lineage) or not lineage.known or cls.node.decorators or "__del__" in cls.methods:
        return False
    nodes = [*walk(init.node.body)]
    stored = [node for node in nodes if isinstance(node, Bind) and is_name(node.value, param)]
    uses = sum(is_name(node, param) for node in nodes)
    given = any(isinstance(node, Arg) and is_name(node.value, init.receiver) for node in nodes)
    own = all(attribute_of(target, init.receiver) for stmt in stored for target in stmt.targets)
    return uses == len(stored) == 1 and own and not given


def _is_of_one(expr: IfExp) -> bool:
    """Whether both choices come from one object, which keeps what it makes: ``c.tabs[0] if c.tabs else c.open()``."""
    arms = [arm.value if isinstance(arm, Await) else arm for arm in (expr.then, expr.orelse)]
    bases = [arm.base.id for arm in arms if isinstance(arm, Chain) and isinstance(arm.base, Name)]
    return len(bases) == 2 and bases[0] == bases[1]


def _sites_named(state: State, names: set[str]) -> list[int]:
    return [value for name, value in state.names.items() if name in names and isinstance(value, int)]


def _numbers(state: State) -> set[int]:
    return {*state.debts, *(value for value in state.names.values() if isinstance(value, int))}


def _constant(expr: Expr | None) -> Value:
    value = expr.value if isinstance(expr, Const) else ""
    if expr is None or value is None:
        return NONE
    return TRUE if value is True else FALSE if value is False else UNKNOWN


def _children(expr: Any) -> list[Any]:
    """The expressions directly below one that has no meaning of its own."""
    if isinstance(expr, Dict):
        return [part for pair in expr.items for part in pair if part is not None]
    if isinstance(expr, FString):
        return [*expr.parts]
    if isinstance(expr, Other):
        return [*expr.children]
    if isinstance(expr, Not):
        return [expr.operand]
    if isinstance(expr, Star):
        return [expr.value]
    return [*getattr(expr, "operands", getattr(expr, "items", ()))]


def _display(expr: Any, values: tuple[Value, ...]) -> Value:
    if isinstance(expr, Star):
        return values[0] if values else UNKNOWN
    if isinstance(expr, Collection) and expr.kind in {"tuple", "list"}:
        return values if any(map(_is_told_apart, values)) else UNKNOWN
    held = {site for value in values for site in held_by(value)}
    return tuple(sorted(held)) if held else UNKNOWN


def _is_told_apart(value: Value) -> bool:
    return bool(held_by(value, argument=True)) or value in {NONE, TRUE, FALSE}
