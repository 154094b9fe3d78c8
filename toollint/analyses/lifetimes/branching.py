"""Which way a test goes: what is known of names and conditions decides, or both ways are taken, and learnt from."""

from __future__ import annotations

from collections.abc import Callable

from toollint.analyses.lifetimes.calls import asks_if_closed, asks_if_open
from toollint.analyses.lifetimes.evaluator import Evaluator
from toollint.analyses.lifetimes.ledger import held_by
from toollint.analyses.lifetimes.states import FALSE, NONE, TRUE, UNKNOWN, Dependent, State, Value
from toollint.syntax import Bool, Chain, Compare, Const, Expr, Name, Not, callee, is_none, last_name


class Brancher(Evaluator):
    """Evaluates the tests of one function."""

    def branch(self, test: Expr, state: State) -> tuple[list[State], list[State]]:
        """The states in which a test is true, and in which it is not."""
        if isinstance(test, Not):
            yes, no = self.branch(test.operand, state)
            return no, yes
        if isinstance(test, Bool):
            return self._branch_bool(test, state)
        outcome = self._known(test, state)
        if outcome is not None:
            return ([state], []) if outcome else ([], [state])
        return self._branch_plain(test, state)

    def _branch_bool(self, test: Bool, state: State) -> tuple[list[State], list[State]]:
        """``and``: all operands are true, or one after the other stops; ``or`` the other way round."""
        going, stopped = [state], []
        for operand in test.operands:
            following: list[State] = []
            for before in going:
                yes, no = self.branch(operand, before)
                following += yes if test.op == "and" else no
                stopped += no if test.op == "and" else yes
            going = following
        return (going, stopped) if test.op == "and" else (stopped, going)

    def _known(self, test: Expr, state: State) -> bool | None:
        """The outcome of a test that needs no evaluation."""
        if isinstance(test, Name):
            return _truth(state.names.get(test.id, UNKNOWN))
        if isinstance(test, Const):
            return bool(test.value)
        if isinstance(test, Compare) and len(test.ops) == 1 and is_none(test.operands[1]):
            left = test.operands[0]
            value = state.names.get(left.id, UNKNOWN) if isinstance(left, Name) else UNKNOWN
            if test.ops[0] in {"is", "==", "is not", "!="} and _is_known(value):
                return (value == NONE) == (test.ops[0] in {"is", "=="})
        if isinstance(test, Chain) and isinstance(test.base, Name) and self.text(test).endswith(".closed"):
            value = state.names.get(test.base.id, UNKNOWN)
            return False if isinstance(value, int) and value in state.debts and len(test.links) == 1 else None
        return None

    def _branch_plain(self, test: Expr, state: State) -> tuple[list[State], list[State]]:
        condition = self.conditions.of(test)
        known = state.facts.get(condition.text) if condition is not None else None
        if condition is not None and known is not None:
            return ([state], []) if known != condition.negated else ([], [state])
        yes, no = [], []
        for s, value in self.evaluate(_tested(test), state):
            truth = self._truth_of(test, value)
            if truth is not False:
                yes.append(self._learnt(test, s.without(self._asked(test, s, asks_if_closed)), outcome=True))
            if truth is not True:
                no.append(self._learnt(test, s.without(self._asked(test, s, asks_if_open)), outcome=False))
        return yes, no

    def _asked(self, test: Expr, state: State, about: Callable[[str], bool]) -> set[int]:
        """The resource that a test asks whether it is open, or closed: ``if not camera.isOpened()``."""
        asks = callee(test)
        if not isinstance(asks, Chain) or not isinstance(asks.base, Name) or len(asks.links) != 1:
            return set()
        return held_by(state.names.get(asks.base.id, UNKNOWN)) if about(last_name(asks)) else set()

    def _truth_of(self, test: Expr, value: Value) -> bool | None:
        if not isinstance(test, Compare):
            return _truth(value)
        if len(test.ops) == 1 and is_none(test.operands[1]) and _is_known(value) and test.ops[0] in {"is", "is not"}:
            return (value == NONE) == (test.ops[0] == "is")
        return None

    def _learnt(self, test: Expr, state: State, *, outcome: bool) -> State:
        """What a test has shown: its own outcome, and a name that is None."""
        condition = self.conditions.of(test)
        if condition is not None:
            state = state.knowing(condition.text, outcome != condition.negated)
        if isinstance(test, Compare) and len(test.ops) == 1 and is_none(test.operands[1]):
            name = test.operands[0]
            if isinstance(name, Name) and outcome == (test.ops[0] in {"is", "=="}):
                return state.bound(name.id, NONE)
        return state


def _is_known(value: Value) -> bool:
    return value != UNKNOWN and not isinstance(value, Dependent)


def _truth(value: Value) -> bool | None:
    if value in {NONE, FALSE}:
        return False
    return True if isinstance(value, int) or value == TRUE else None


def _tested(test: Expr) -> Expr:
    """What is evaluated of a test: of a comparison with None, the other side."""
    plain = isinstance(test, Compare) and len(test.ops) == 1 and is_none(test.operands[1])
    return test.operands[0] if plain and isinstance(test, Compare) else test
