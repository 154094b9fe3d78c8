"""Constructors that open something and may fail afterwards: the object is lost, and with it the only way to close.

A must-analysis over the statements of one constructor: what is open for certain when a step fails is lost. Branches are
taken apart and joined by what they agree on. Steps are those that are known to fail: an explicit ``raise``, another
acquisition, a call that asks the other end of a connection. Whatever may catch the failure, or close in its course
(`toollint.analyses.release`), is silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from toollint.analyses.claims import assignments
from toollint.analyses.finalizers import DEL, is_handed_over
from toollint.analyses.origins import origins
from toollint.analyses.release import Held, is_closer, is_empty, may_release
from toollint.analyses.values import Values
from toollint.catalog import Acquisition, Resource
from toollint.facts import ClassFacts, FunctionFacts, ModuleFacts, classes_of
from toollint.model import Place
from toollint.project import Lineage
from toollint.syntax import (
    Bind,
    Block,
    Call,
    Chain,
    Class,
    Def,
    Expr,
    For,
    If,
    Match,
    Name,
    Node,
    Raise,
    Return,
    Simple,
    Stmt,
    Try,
    While,
    With,
    attribute_of,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_CONSTRUCTORS = frozenset({"__init__", "__post_init__", "__attrs_post_init__", "model_post_init"})
_ASKS = frozenset(
    {
        *("connect", "reconnect", "login", "auth", "authenticate", "handshake", "starttls", "open", "initialize"),
        *("ping", "heartbeat", "health_check", "server_info", "verify_connectivity", "verify_authentication"),
        *("execute", "executescript", "command"),
    }
)
"""Methods of connections that go to the other end, which may not be there, or say no."""
_LETS_GO = frozenset({"super", "setattr", "getattr", "hasattr", "isinstance", "type", "id", "repr", "str", "vars"})
"""Functions that are given ``self`` and do not keep it; so does what is called ``__init__``."""


class Open(NamedTuple):
    """What the constructor has opened for certain.

    ``names`` are the local names and, as ``.name``, the attributes that stand for it or come from it. ``is_held`` is
    False for what holds nothing before its first use, and has not been used yet. ``stmt`` is what opened it.
    """

    attribute: str
    acquisition: Acquisition
    place: Place
    stmt: Bind
    names: frozenset[str]
    is_held: bool


State: TypeAlias = Mapping[str, Open]
"""What is open, by attribute."""


class Step(NamedTuple):
    """Something that may fail: where, and what it is called; empty for a ``raise``."""

    place: Place
    name: str


class Loss(NamedTuple):
    """Something open, the steps that lose it if they fail, in source order, and the name by which it can be closed."""

    opened: Open
    steps: tuple[Step, ...]
    name: str


@dataclass(frozen=True, eq=False)
class Construction:
    """A method that makes the objects of a class what they are."""

    cls: ClassFacts
    function: FunctionFacts
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Construction]:
        """Every constructor in a file of a class that may open something, in source order."""
        about = values.sieve.words(module.path, "acquisition")
        for facts in sorted(classes_of(module, about), key=lambda c: (c.origin, c.node.start)):
            for function in facts.functions:
                if function.name in _CONSTRUCTORS and function.receiver is not None:
                    yield cls(facts, function, values)

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """What it opens and loses if it fails afterwards, in source order."""
        found = tuple(loss for loss in _Run(self.values, self.function).losses() if not self._may_close(loss.opened))
        return () if found and self._is_looked_after else found

    @property
    def lineage(self) -> Lineage:
        """The class and its ancestors."""
        return self.values.project.lineage(self.cls)

    @cached_property
    def _is_looked_after(self) -> bool:
        """Whether an object that could not be finished is not lost: somebody has it, or its `__del__` cleans up."""
        finalizers = [cls.methods[DEL] for cls in self.lineage.classes if DEL in cls.methods]
        bases = [self.values.catalog.base(name) for name in self.lineage.libraries]
        return (
            not all(map(is_empty, finalizers))
            or any(base is not None and DEL in base.closers for base in bases)
            or is_handed_over(self.lineage)
            or _gives_itself_away(self.function)
        )

    def _may_close(self, opened: Open) -> bool:
        """Whether the constructor, or a method that it calls, may close what is open."""
        held = Held(opened.attribute, opened.acquisition.resource)
        called = {name for node in walk(self.function.node.body) if (name := self._own_call(node)) is not None}
        methods = [self.values.project.class_member(self.cls, name) for name in called]
        return any(map(is_closer, called)) or any(
            may_release(method, held) for method in (self.function, *methods) if isinstance(method, FunctionFacts)
        )

    def _own_call(self, node: Node) -> str | None:
        """The ``name`` of ``self.name(...)``."""
        called = callee(node) if isinstance(node, Chain) else None
        return attribute_of(called, self.function.receiver) if called is not None else None


def _gives_itself_away(function: FunctionFacts) -> bool:
    """Whether anybody else gets hold of ``self``."""
    for node in walk(function.node.body):
        if isinstance(node, Bind) and isinstance(node.value, Name) and node.value.id == function.receiver:
            return True
        for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
            given = [arg.value for arg in link.args] if isinstance(link, Call) else []
            if any(isinstance(value, Name) and value.id == function.receiver for value in given):
                name = last_name(prefix(node, index))
                if name not in _LETS_GO and not name.startswith("__"):
                    return True
    return False


# --- one run through the constructor -----------------------------------------------------------------------------


class _Run:
    """The statements of a constructor, with what is open at each; None for what is open where nobody gets to."""

    def __init__(self, values: Values, function: FunctionFacts) -> None:
        self.values = values
        self.function = function
        self.receiver = function.receiver
        self.kept = {
            stmt.value.id: attribute for attribute, stmt in assignments(function) if isinstance(stmt.value, Name)
        }
        self.tests: list[Expr] = []
        self.caught = 0
        self.lost: dict[Place, tuple[Open, dict[Step, None]]] = {}

    def losses(self) -> Iterator[Loss]:
        self.block(self.function.node.body, {})
        for opened, steps in self.lost.values():
            local = next((target.id for target in opened.stmt.targets if isinstance(target, Name)), "")
            ordered = sorted(steps, key=lambda step: step.place.span)
            yield Loss(opened, tuple(ordered), local or f"{self.receiver}.{opened.attribute}")

    def block(self, block: Block, state: State | None) -> State | None:
        for stmt in block:
            state = self.stmt(stmt, state) if state is not None else None
        return state

    def stmt(self, stmt: Stmt, state: State) -> State | None:
        after: State | None
        match stmt:
            case If():
                after = self.choice(stmt.branches, stmt.orelse, state)
            case Match():
                after = self.choice([(stmt.subject, case.body) for case in stmt.cases], (), state)
            case Try():
                after = self.attempt(stmt, state)
            case With():
                after = self.within(stmt, state)
            case For() | While():
                after = self.evaluate(stmt.iter if isinstance(stmt, For) else stmt.test, state)
                self.block(stmt.body, after)
                after = _agreed([after, self.block(stmt.orelse, after)])
            case Def() | Class():
                after = state
            case _:
                after = self.simple(stmt, self.evaluate(stmt, state))
        return after

    def simple(self, stmt: Stmt, state: State) -> State | None:
        """What a statement does that holds no others, after what it evaluates."""
        if isinstance(stmt, Raise):
            self.fails(stmt, "", [one for one in state.values() if not any(self.is_about(t, one) for t in self.tests)])
        if isinstance(stmt, Raise | Return) or (isinstance(stmt, Simple) and stmt.word != "pass"):
            return None
        return self.bound(stmt, state) if isinstance(stmt, Bind) else state

    # --- statements that hold others

    def choice(self, branches: Iterable[tuple[Expr, Block]], orelse: Block, state: State) -> State | None:
        """Branches: where a test asks what is open about itself, a ``raise`` below may say that it is not."""
        ends: list[State | None] = []
        count = len(self.tests)
        for test, body in branches:
            state = self.evaluate(test, state)
            self.tests.append(test)
            ends.append(self.block(body, state))
        ends.append(self.block(orelse, state))
        del self.tests[count:]
        return _agreed(ends)

    def attempt(self, stmt: Try, state: State) -> State | None:
        """A ``try``: a handler that does not end in ``raise`` may catch whatever fails."""
        catches = not all(_ends_in_raise(handler.body) for handler in stmt.handlers)
        self.caught += catches
        after = self.block(stmt.body, state)
        self.caught -= catches
        after = self.block(stmt.orelse, after)
        end = _agreed([after, *(self.block(handler.body, state) for handler in stmt.handlers)])
        final = self.block(stmt.final, end if end is not None else state)
        return final if end is not None else None

    def within(self, stmt: With, state: State) -> State | None:
        """A ``with``: who knows what a context manager does about failures, locks and resources aside."""
        caught = not all(self.is_transparent(context, state) for context, _ in stmt.items)
        for context, target in stmt.items:
            state = self.evaluate(context, state)
            state = self.renamed(target, context, state) if target is not None else state
        self.caught += caught
        after = self.block(stmt.body, state)
        self.caught -= caught
        return after

    def is_transparent(self, context: Expr, state: State) -> bool:
        """Whether failures pass through a context manager, and nothing but it is released."""
        acquires = self.values.acquisition(self.function.scope, context) is not None
        return callee(context) is None or acquires or any(self.is_about(context, one) for one in state.values())

    # --- what a statement does itself

    def evaluate(self, node: Stmt | Expr, state: State) -> State:
        """The steps in an expression, or in a statement that holds no others."""
        for chain in walk(node, into=False):
            for index, link in enumerate(chain.links if isinstance(chain, Chain) else ()):
                if isinstance(link, Call):
                    state = self.called(prefix(chain, index), prefix(chain, index + 1), state)
        return state

    def called(self, function: Expr, call: Expr, state: State) -> State:
        """A call: whether it may fail, and whether something that waited for its first use is held from now on."""
        name = last_name(function)
        acquisition = self.values.acquisition(self.function.scope, call)
        if acquisition is not None and acquisition.lazy is False:
            self.fails(call, name, state.values())
        asked = [one for one in state.values() if name in _ASKS and self.is_about(function, one)]
        if asked:
            self.fails(call, name, state.values())
        return {**state, **{one.attribute: one._replace(is_held=True) for one in asked}}

    def fails(self, node: Stmt | Expr, name: str, state: Iterable[Open]) -> None:
        """A step may fail: whatever is held then is lost."""
        for opened in state:
            if opened.is_held and not self.caught:
                _, steps = self.lost.get(opened.place, (opened, {}))
                self.lost[opened.place] = (opened, steps)
                steps[Step(self.function.at(node.start, node.end), name)] = None

    def bound(self, stmt: Bind, state: State) -> State:
        """An assignment: what it opens, what gets another name, what is replaced."""
        if stmt.value is None:
            return state
        acquisition = self.made(stmt.value)
        for target in stmt.targets:
            attribute = attribute_of(target, self.receiver)
            kept = self.kept.get(target.id) if isinstance(target, Name) else attribute
            if any(self.is_about(stmt.value, one) for one in state.values()):
                state = self.renamed(target, stmt.value, state)  # what comes from something open is closed with it
            elif kept is not None and acquisition is not None:
                names = frozenset({f".{kept}", *({target.id} if isinstance(target, Name) else ())})
                place = self.function.at(stmt.value.start, stmt.value.end)
                state = {**state, kept: Open(kept, acquisition, place, stmt, names, acquisition.lazy is False)}
            else:
                state = {name: one for name, one in state.items() if name != attribute}
        return state

    def made(self, value: Expr) -> Acquisition | None:
        """What an expression opens for certain, directly or through a factory, that has to be closed."""
        found = [one.made for one in origins(self.values, self.function.scope, value)] if last_call(value) else []
        only = found[0] if len(found) == 1 else None
        return only if isinstance(only, Acquisition) and _counts(only.resource) else None

    def renamed(self, target: Expr, value: Expr, state: State) -> State:
        """Names that are given what is open, or something that comes from it."""
        names = {name for node in walk(target) if (name := self.name(node)) is not None}
        return {
            name: one._replace(names=one.names | names) if self.is_about(value, one) else one
            for name, one in state.items()
        }

    def is_about(self, expr: Expr, opened: Open) -> bool:
        """Whether what is open stands in an expression."""
        return any(self.name(node) in opened.names for node in walk(expr))

    def name(self, node: Node) -> str | None:
        """A local name as it is, an attribute of ``self`` as ``.name``; None for all else."""
        if isinstance(node, Chain):
            attribute = attribute_of(prefix(node, 1), self.receiver)
            return None if attribute is None else f".{attribute}"
        return node.id if isinstance(node, Name) and node.id != self.receiver else None


def _counts(resource: Resource) -> bool:
    """Whether it is worth a word, can be closed, and stays open when the failed object is dropped."""
    weights = {"high"} if resource.leak == "freed by full gc pass" else {"high", "medium"}
    stays = resource.weight in weights and resource.leak != "freed by refcount"
    return stays and resource.category != "llm" and bool(resource.release)


def _ends_in_raise(block: Block) -> bool:
    """Whether a block gets to its end only by an exception."""
    last = block[-1] if block else None
    if isinstance(last, If):
        return _ends_in_raise(last.orelse) and all(_ends_in_raise(body) for _, body in last.branches)
    return isinstance(last, Raise)


def _agreed(ends: Iterable[State | None]) -> State | None:
    """What is open at the end of all branches that get there."""
    reached = [state for state in ends if state is not None]
    if not reached:
        return None
    first, *others = reached
    return {
        name: one._replace(
            names=one.names.union(*(state[name].names for state in others)),
            is_held=one.is_held and all(state[name].is_held for state in others),
        )
        for name, one in first.items()
        if all(name in state for state in others)
    }
