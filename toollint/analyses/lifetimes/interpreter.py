"""Must-release interpretation of one function: every way through its statements, with what is owed on it.

Structured, as the statements are: a block takes the states in which it is entered and gives those in which it is left
at its end; other ways out (`return`, `break`, `continue`, failures by kind) collect in `Interpreter.exits`, where the
statements around them find them. `finally` runs once for each way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from toollint.analyses.lifetimes.branching import Brancher
from toollint.analyses.lifetimes.evaluator import ExhaustedError
from toollint.analyses.lifetimes.failures import MAYBE, NO, catches, divided, is_base, is_class
from toollint.analyses.lifetimes.ledger import Outcome, held_by
from toollint.analyses.lifetimes.states import (
    FALSE,
    NONE,
    TRUE,
    TWICE,
    UNKNOWN,
    Dependent,
    State,
    States,
    Strike,
    Value,
)
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import FunctionFacts
from toollint.project import Library
from toollint.syntax import (
    Bind,
    Block,
    Class,
    Collection,
    Compare,
    Def,
    Delete,
    Evaluate,
    Expr,
    For,
    Handler,
    If,
    Match,
    Name,
    Not,
    OtherStmt,
    Raise,
    Return,
    Simple,
    Star,
    Stmt,
    Try,
    While,
    With,
    Yield,
    callee,
    last_call,
    last_name,
    walk,
)

Way: TypeAlias = tuple[str, Any]
"""A way out: ``return`` with its statement, ``break``, ``continue``, ``raise`` with the kind of the failure."""

ROUNDS = 3
"""How often a loop's body is gone through."""
_WORK = 15_000
"""Expressions and statements that are evaluated for one function before it is given up."""
_RETURNS = 6
"""Return statements of one function that are told apart inside a ``try``."""
_UNROLLED = 8
"""Items of a display that a loop goes through one by one."""
_SUPPRESSING = Library("contextlib.suppress")
_INNER = re.compile(r"(?:begin|transaction|cursor|pipeline|savepoint|atomic|lock|batch|nested|execut)\w*")
"""Methods that give something to enter which does not close the resource at its end."""
_NOTHING: Mapping[str, Any] = {}


class Loss(NamedTuple):
    """A debt that nobody can pay any more, at ``start`` to ``end``.

    ``how``: ``end``, ``return``, ``rebind`` (its name gets another value), ``loop`` (the next round opens another one),
    ``drop`` (it never had a name); or, where only a failure loses it, the word of the `Strike`. ``left`` is how the
    function is left then.
    """

    site: int
    how: str
    start: int
    end: int
    tier: int
    left: str


class Interpreter(Brancher):
    """Goes through one function; afterwards `losses` says what it loses, by acquisition."""

    def __init__(self, values: Values, function: FunctionFacts, borrowing: Callable[..., str]) -> None:
        """Take the function and what asks for summaries, as `Evaluator` does."""
        super().__init__(values, function, borrowing)
        self.exits: dict[Way, States] = {}
        self.losses: dict[int, list[Loss]] = {}
        self.joins = 0
        self.params: dict[str, int] = {}
        self.ends: list[tuple[str, State]] = []
        self._handling: list[str] = []
        self._catching = 0
        self._returned: dict[int, Value] = {}
        self._is_resumed = function.is_manager or function.is_fixture
        self._compounds: dict[type, Callable[[Any, States], States]] = {
            If: self._if,
            While: self._while,
            For: self._for,
            Try: self._try,
            With: self._with,
            Match: self._match,
        }
        self._simples: dict[type, Callable[[Any, State], Iterable[State]]] = {
            Evaluate: self._evaluate,
            Bind: self._bind,
            Return: self._return,
            Raise: self._raise,
            Delete: self._delete,
            Simple: self._simple,
            OtherStmt: self._other,
            Def: self._define,
            Class: self._define,
        }

    # --- a function

    def run(self, params: Iterable[str] = (), presumed: Mapping[str, tuple[Any, Acquisition]] = _NOTHING) -> None:
        """Go through the function, with debts for these parameters.

        ``presumed``: those that the function means to close, each with the call that does and what is owed.

        Raises:
            ExhaustedError: it takes too much work.
        """
        state = State({}, {}, {})
        for name, (closing, row) in presumed.items():
            state, value = self.acquire(("param", name), state, closing, row, None)
            self.params[name] = self.numbers["param", name]
            state = self.bind(self._name(name), value, state)
        for name in params:
            state, value = self.acquire(("param", name), state, self.function.node, None, None)
            self.params[name] = self.numbers["param", name]
            state = self.bind(self._name(name), value, state)
        body = self.function.node.body
        for end in self.block(body, States([state])):
            self._ends(end, "end", body[-1])
        for (word, what), states in self.exits.items():
            for end in states:
                self._ends(end, word, what if word == "return" else body[-1])

    def _name(self, name: str) -> Name:
        node = self.function.node
        return Name(name, node.name_start, node.name_end)

    def _ends(self, state: State, how: str, node: Any) -> None:
        self.ends.append((how, state))
        self._lose(state, state.debts, how, node)

    def _lose(self, state: State, sites: Iterable[int], how: str, node: Any) -> State:
        """Note down what is lost in a state: by a failure where the path went through one, else where it stands."""
        sites = [*sites]
        for number in sites:
            debt = state.debts[number]
            strike = debt.strike
            if not debt.held or self.site(number).acquisition is None or not self._above(number).isdisjoint(sites):
                continue  # what it was acquired from goes at the same time, and takes it along
            if strike == TWICE:
                continue
            if strike is not None and (strike.tier or how == "raise"):
                loss = Loss(number & ~1, strike.word, strike.start, strike.end, max(strike.tier, 1), how)
            else:
                word = "loop" if number & 1 and how in {"rebind", "drop"} else "end" if how == "raise" else how
                loss = Loss(number & ~1, word, node.start, node.end, 0, how)
            self.losses.setdefault(number & ~1, []).append(loss)
        return state.without(sites)

    def _settle(self, state: State, node: Any, how: str) -> State:
        """Lose what no name leads to any more."""
        if not state.debts:
            return state
        reached = {number for value in state.names.values() for number in held_by(value)}
        for number in [*reached]:
            reached |= self._above(number)
        lost = [number for number in state.debts if number not in reached]
        return self._lose(state, lost, how, node) if lost else state

    def _above(self, number: int) -> set[int]:
        found: set[int] = set()
        pending = [*self.site(number).parents]
        while pending:
            one = pending.pop()
            if one not in found:
                found |= {one, one | 1}
                pending += self.site(one).parents
        return found

    # --- statements

    def block(self, block: Block, states: States) -> States:
        """Go through statements; the states at their end."""
        for stmt in block:
            if not len(states):
                return states
            self.work += len(states)
            if self.work > _WORK:
                raise ExhaustedError
            states = self._stmt(stmt, states)
            if states.is_joinable:
                self.joins += 1
                states = states.joined()
        return states

    def _stmt(self, stmt: Stmt, states: States) -> States:
        compound = self._compounds.get(type(stmt))
        if compound is not None:
            return compound(stmt, states)
        simple = self._simples.get(type(stmt))
        if simple is None:
            return states
        return States(after for state in states for after in simple(stmt, state))

    def _evaluate(self, stmt: Evaluate, state: State) -> Iterable[State]:
        return [self._settle(s, stmt, "drop") for s, _ in self.evaluate(stmt.value, state)]

    def _bind(self, stmt: Bind, state: State) -> Iterable[State]:
        if stmt.value is None:
            return [state]
        found = []
        for s, value in self._values_of(stmt, state):
            after = s
            for target in stmt.targets:
                after = self.bind(target, UNKNOWN if stmt.op else value, after)
            named = any(number in s.names.values() for number in s.debts)
            found.append(self._settle(after, stmt, "rebind" if named else "drop"))
        return found

    def _values_of(self, stmt: Bind, state: State) -> list[Outcome]:
        """What is assigned; ``own = client is None`` is asked again later."""
        test = stmt.value
        target = stmt.targets[0] if len(stmt.targets) == 1 else None
        if isinstance(test, Compare | Not) and isinstance(target, Name) and target.id in self.conditions.names:
            yes, no = self.branch(test, state)
            return [*((s, TRUE) for s in yes), *((s, FALSE) for s in no)]
        return self.evaluate(test, state)

    def _return(self, stmt: Return, state: State) -> Iterable[State]:
        for s, value in self.evaluate(stmt.value, state):
            after = self.give_value(s, value)
            if isinstance(value, int):
                self._returned[id(stmt)] = value
            self.leave(("return", stmt), self._settle(after, stmt, "return"))
        return []

    def _raise(self, stmt: Raise, state: State) -> Iterable[State]:
        kind = "any"
        if stmt.value is None:
            kind = self._handling[-1] if self._handling else "any"
        elif is_class(last_name(callee(stmt.value) or stmt.value)):
            kind = last_name(callee(stmt.value) or stmt.value)
        for s, value in self.evaluate(stmt.value, state):
            after = self.give_value(s, value)
            self.leave(("raise", kind), after.struck(Strike(0, stmt.start, stmt.end, "raise")))
        return []

    def _delete(self, stmt: Delete, state: State) -> Iterable[State]:
        """``del name``: whoever writes that has thought of it, and does nothing with the name afterwards."""
        for target in stmt.targets:
            if isinstance(target, Name):
                state = self.give_value(state, state.names.get(target.id, UNKNOWN)).bound(target.id, NONE)
        return [state]

    def _simple(self, stmt: Simple, state: State) -> Iterable[State]:
        if stmt.word == "pass":
            return [state]
        self.leave((stmt.word, None), state)
        return []

    def _other(self, stmt: OtherStmt, state: State) -> Iterable[State]:
        """``assert`` lets through what it holds for."""
        if not stmt.children:
            return [state]
        return self.branch(stmt.children[0], state)[0] or [state]

    def _define(self, stmt: Def | Class, state: State) -> Iterable[State]:
        """A nested function may do anything with the names that it uses."""
        used = {n.id for n in walk(stmt) if isinstance(n, Name)}
        held = [v for name, v in state.names.items() if name in used and isinstance(v, int)]
        return [self.give(state, held).bound(stmt.name, UNKNOWN)]

    # --- ways out

    def leave(self, way: Way, state: State) -> None:
        """A state leaves the statement that is gone through."""
        if way[0] == "return" and way not in self.exits:
            others = [known for known in self.exits if known[0] == "return"]
            way = others[-1] if len(others) >= _RETURNS else way
        found = self.exits.setdefault(way, States())
        found.add(state)
        if found.is_joinable:
            self.joins += 1
            self.exits[way] = found.joined()

    def strike(self, state: State, node: Any, tier: int, word: str, kind: str = "any") -> None:
        """Something fails; nobody asks where nothing is owed or caught, or where all of it has met a failure before."""
        held = [debt for debt in state.debts.values() if debt.held]
        if held and all(debt.strike is not None and debt.strike.tier for debt in held):
            return
        if self._catching or held:
            self.leave(("raise", kind), state.struck(Strike(tier, node.start, node.end, word)))

    # --- branches

    def _if(self, stmt: If, states: States) -> States:
        ends = States()
        left = states
        for test, body in stmt.branches:
            trues, left, either = self._branches(test, left)
            after, skipped = self._through(partial(self.block, body), trues, either)
            ends.update(after)
            left.update(skipped)
        ends.update(self.block(stmt.orelse, left))
        return ends

    def _through(self, body: Callable[[States], States], trues: States, either: States) -> tuple[States, States]:
        """The states at the end of a branch, and those that skip it; told apart by what they owe."""
        ends, skipped = States(), States()
        skipping = _by_debts(either)
        for owed, entered in _by_debts(trues).items():
            after = body(entered)
            ends.update(after)
            skipped.update(self._guarded(entered, after, skipping.pop(owed, States())))
        skipped.update(state for states in skipping.values() for state in states)
        return ends, skipped

    def _guarded(self, entered: States, left: States, passed: States) -> States:
        """What a branch lets go of wherever it comes to its end: who skips it, and might not have, knows why."""
        if not len(entered) or not len(left) or not len(passed):
            return passed
        owed = set.intersection(*({*state.debts} for state in entered))
        gone = owed - {number for state in left for number in state.debts}
        return States(state.without(gone) for state in passed) if gone else passed

    def _branches(self, test: Expr, states: States) -> tuple[States, States, States]:
        """The states in which a test is true, in which it cannot be, and in which it is not but might have been."""
        trues, falses, either = States(), States(), States()
        for state in states:
            yes, no = self.branch(test, state)
            trues.update(self._settle(s, test, "drop") for s in yes)
            (either if yes else falses).update(self._settle(s, test, "drop") for s in no)
        return trues, falses, either

    def _match(self, stmt: Match, states: States) -> States:
        """One of the cases, where any comes to its end; their patterns are not looked at.

        Where none does, perhaps none was meant to: what goes on behind them then, owes nothing of before.
        """
        entered = States()
        for state in states:
            for s, value in self.evaluate(stmt.subject, state):
                kept = s if isinstance(stmt.subject, Name) else self.give_value(s, value)
                entered.add(self._settle(kept, stmt.subject, "drop"))
        ends = States()
        for case in stmt.cases:
            taken = States(self._forgotten(state, case.binds) for state in entered)
            if case.guard is not None:
                taken = self._branches(case.guard, taken)[0]
            ends.update(self.block(case.body, taken))
        return ends if len(ends) else States(state.without(state.debts) for state in entered)

    def _forgotten(self, state: State, names: Iterable[str]) -> State:
        for name in names:
            state = self.bind(self._name(name), UNKNOWN, state)
        return state

    # --- loops

    def _while(self, stmt: While, states: States) -> States:
        def enter(heads: States) -> tuple[States, States, States]:
            return self._branches(stmt.test, heads)

        return self._loop(stmt, states, enter)

    def _for(self, stmt: For, states: States) -> States:
        unrolled = self._unrolled(stmt, states)
        if unrolled is not None:
            return unrolled
        iterator = f"#{stmt.start}"
        heads = States()
        for state in states:
            for s, value in self.evaluate(stmt.iter, state):
                if value == NONE:
                    continue  # nobody loops over None: whoever wrote that knows that it is not
                held = [*held_by(value)]
                used = value if isinstance(value, Dependent) else held[0] if len(held) == 1 else None
                after = s.bound(iterator, used) if used is not None else self.give(s, held)
                heads.add(self._settle(after, stmt.iter, "drop"))
        nonempty = isinstance(stmt.iter, Collection) and any(not isinstance(i, Star) for i in stmt.iter.items)

        def enter(heads: States) -> tuple[States, States, States]:
            entered = States(self._next(stmt, state, iterator) for state in heads)
            return entered, States(), States() if nonempty and heads is first else exhausted(heads)

        def exhausted(left: States) -> States:
            return finished(States(self.go_through(state, state.names.get(iterator, UNKNOWN)) for state in left))

        def finished(left: States) -> States:
            return States(self._settle(state.bound(iterator, UNKNOWN), stmt.iter, "drop") for state in left)

        first = heads
        return finished(self._loop(stmt, heads, enter))

    def _next(self, stmt: For, state: State, iterator: str) -> State:
        """The state in which a round of a loop begins."""
        for number in held_by(state.names.get(iterator, UNKNOWN)):
            state = self.use(state, number)
            self.strike(state, stmt.iter, 1, "method", "own")
        if stmt.is_async:
            self.strike(state, stmt.iter, 1, "await", "cancel")
        return self._settle(self.bind(stmt.target, UNKNOWN, state), stmt, "rebind")

    def _unrolled(self, stmt: For, states: States) -> States | None:
        """A loop over a display of names, one of which stands for a resource: one round for each."""
        items = stmt.iter.items if isinstance(stmt.iter, Collection) else ()
        named = {item.id for item in items if isinstance(item, Name)}
        if (
            stmt.orelse
            or len(items) > _UNROLLED
            or not any(
                isinstance(value, int) for state in states for name, value in state.names.items() if name in named
            )
        ):
            return None
        outer, self.exits = self.exits, {}
        ended = States()
        for item in items:
            entered = States(
                self.bind(stmt.target, value, s) for state in states for s, value in self.evaluate(item, state)
            )
            states = self.block(stmt.body, entered)
            states.update(self.exits.pop(("continue", None), States()))
            ended.update(self.exits.pop(("break", None), States()))
        self._forward(outer)
        states.update(ended)
        return states

    def _loop(
        self, stmt: For | While, states: States, enter: Callable[[States], tuple[States, States, States]]
    ) -> States:
        def round_of(entered: States) -> States:
            after = self.block(stmt.body, entered)
            after.update(self.exits.pop(("continue", None), States()))
            return after

        outer, self.exits = self.exits, {}
        ended, broken = States(), States()
        heads = states
        seen: set[object] = set()
        for _ in range(ROUNDS):
            entered, left, either = enter(heads)
            after, skipped = self._through(round_of, entered, either)
            broken.update(self.exits.pop(("break", None), States()))
            ended.update(left)
            ended.update(skipped)
            seen |= {state.key for state in heads}
            heads = States(state for state in after if state.key not in seen)
            if not len(heads):
                break
            if heads.is_joinable:
                self.joins += 1
                heads = heads.joined()
        if len(heads):
            ended.update(state for states in enter(heads)[1:] for state in states)
        self._forward(outer)
        after = self.block(stmt.orelse, ended) if stmt.orelse else ended
        after.update(broken)
        return after

    def _forward(self, outer: dict[Way, States]) -> None:
        """The ways out that are left go on outwards."""
        inner, self.exits = self.exits, outer
        for way, states in inner.items():
            for state in states:
                self.leave(way, state)

    # --- with, try

    def _with(self, stmt: With, states: States) -> States:
        suppresses: list[Expr] = []
        for context, target in stmt.items:
            entered = States()
            for state in states:
                for s, value in self.evaluate(context, state):
                    if value == NONE:
                        continue
                    after = self._entered(s, value, stmt)
                    if isinstance(value, int) and self.site(value).start == context.start:
                        self.site(value).entered = True
                    after = self.bind(target, self.entering(value), after) if target is not None else after
                    entered.add(self._settle(after, context, "drop"))
            states = entered
            called = callee(context)
            if called is not None and last_name(called) == "suppress":
                suppresses += self._suppressed(called, context)
        if stmt.is_async:
            for state in states:
                self.strike(state, stmt.items[0][0], 1, "await", "cancel")
        return self._suppressing(stmt, states, suppresses) if suppresses else self.block(stmt.body, states)

    def _entered(self, state: State, value: Value, stmt: With) -> State:
        """A resource that is entered is released whatever happens, where its ``with`` does that."""
        if isinstance(value, Dependent):
            return self.use(state, value.site) if _INNER.fullmatch(value.word) else self.give(state, [value.site])
        if not isinstance(value, int):
            return self.give_value(state, value, argument=True)
        row = self.site(value).acquisition
        kept = row is not None and (row.resource.async_with if stmt.is_async else row.resource.with_) == "keeps"
        return self.use(state, value) if kept else self.release(state, value)

    def _suppressed(self, called: Expr, context: Expr) -> list[Expr]:
        call = last_call(context)
        if call is None or self.values.of(self.function.scope, called) != _SUPPRESSING:
            return []
        return [arg.value for arg in call.args]

    def _suppressing(self, stmt: With, states: States, types: list[Expr]) -> States:
        """``with suppress(...)``: as a ``try`` whose handler does nothing."""
        first, last = types[0], types[-1]
        handled = Collection("tuple", tuple(types), first.start, last.end)
        handler = Handler(handled, None, (), stmt.start, stmt.end)
        return self._try(Try(stmt.body, (handler,), (), (), stmt.start, stmt.end), states)

    def _try(self, stmt: Try, states: States) -> States:
        outer, self.exits = self.exits, {}
        self._catching += 1  # what fails goes on below, in a handler or in `finally`
        ends = self.block(stmt.body, states)
        self._catching += bool(stmt.final) - 1
        raised = {way[1]: self.exits.pop(way) for way in [*self.exits] if way[0] == "raise" and stmt.handlers}
        ends = self.block(stmt.orelse, ends)
        ends.update(self._handled(stmt.handlers, raised))
        self._catching -= bool(stmt.final)
        if not stmt.final:
            self._forward(outer)
            return ends
        inner, self.exits = self.exits, outer
        for way, leaving in inner.items():
            for state in self.block(stmt.final, leaving):
                self.leave(way, state)
        return self.block(stmt.final, ends)

    def _handled(self, handlers: tuple[Handler, ...], raised: dict[str, States]) -> States:
        """The handlers' ends; what none of them catches for certain goes on."""
        ends = States()
        for handler in handlers:
            caught: dict[bool, dict[str, States]] = {}
            for kind, states in [*raised.items()]:
                verdict = catches(handler.type, kind)
                here, left = divided(handler.type, kind) if verdict == MAYBE else (kind, "")
                if verdict != NO:
                    caught.setdefault(is_base(kind), {}).setdefault(here, States()).update(states)
                    del raised[kind]
                if left:
                    raised.setdefault(left, States()).update(states)
            for kinds in caught.values():
                ends.update(self._handle(handler, kinds))
        for kind, states in raised.items():
            for state in states:
                self.leave(("raise", kind), state)
        return ends

    def _handle(self, handler: Handler, kinds: dict[str, States]) -> States:
        entered = States(
            self._settle(self._forgotten(state, [handler.name] if handler.name else ()), handler, "drop")
            for states in kinds.values()
            for state in states
        )
        self._handling.append(next(iter(kinds)) if len(kinds) == 1 else "any")
        ends = self.block(handler.body, entered.joined() if entered.is_joinable else entered)
        self._handling.pop()
        return ends

    # --- yield

    def yielded(self, expr: Yield, state: State) -> list[Outcome]:
        """A generator may be closed at a ``yield``; what runs for a ``with`` goes on owing what it yields."""
        found: list[Outcome] = []
        for s, value in self.evaluate(expr.value, state):
            after = s if self._is_resumed else self.give_value(s, value)
            if not self.function.is_fixture:
                self.strike(after, expr, 1, "yield", "any" if self._is_resumed else "exit")
            found.append((after, UNKNOWN))
        return found

    # --- summaries

    def returns(self, number: int) -> bool:
        """Whether every way to return gives this acquisition."""
        ends = [way for way, _ in self.exits.items() if way[0] == "return"]
        return bool(ends) and all(self._returned.get(id(way[1])) == number for way in ends)


def _by_debts(states: States) -> dict[frozenset[int], States]:
    """The states by what is owed in them."""
    found: dict[frozenset[int], States] = {}
    for state in states:
        found.setdefault(frozenset(state.debts), States()).add(state)
    return found
