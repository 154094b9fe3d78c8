"""Functions that open several things one after the other, and lose the first where a later one fails.

`async with` does not call `__aexit__` where `__aenter__` raised, and nobody gets at a local exit stack that was left
half filled. What counts as opened: a context manager that is entered by hand, an exit stack that is a local name, what
the catalogue acquires into an attribute, a task. What counts as failing: another opening, `raise`, and every `await`,
which may be cancelled too. Whatever may catch the failure, or close in its course, is silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from toollint.analyses.origins import Kind, origins
from toollint.analyses.release import is_closer
from toollint.analyses.values import Method, Values
from toollint.catalog import Acquisition
from toollint.facts import Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Class,
    Def,
    Expr,
    For,
    If,
    Lambda,
    Match,
    Name,
    Raise,
    Return,
    Simple,
    Stmt,
    Try,
    While,
    With,
    Yield,
    attribute_of,
    callee,
    is_name,
    last_name,
    prefix,
    walk,
)

_WORD = re.compile(rb"ExitStack|__a?enter__|create_task|def[ \t]+_*(?:a?connect|a?open|a?start|initialize|setup)\w*")
_STACKS = frozenset({Library("contextlib.ExitStack"), Library("contextlib.AsyncExitStack")})
_ENTERING = frozenset({"__enter__", "__aenter__"})
_OPENERS = re.compile(r"_*(?:async_?|a)?(?:connect|open|start|initialize|init|setup|set_up)(?:_\w+)?")
_FILLS = frozenset(
    {"enter_context", "enter_async_context", "push", "push_async_exit", "callback", "push_async_callback"}
)
_TASKS = frozenset({"create_task", "ensure_future"})
_ENDS = re.compile(r"clos|cancel|clean|shut|stop|disconnect|teardown|tear_down|exit|releas|abort|reset|unwind|rollback")
"""What a handler calls that cleans up."""


class Opened(NamedTuple):
    """Something that is open: under which name (``self.name`` or a local one), by which statement.

    ``what``: ``manager``, ``stack``, ``task``, or the catalogue's name of the resource.
    """

    name: str
    what: str
    node: Stmt


State: TypeAlias = tuple[Opened, ...]
"""What is open, in the order of opening."""


class Failure(NamedTuple):
    """A step that loses what is ``open`` if it fails; ``word`` is what the step calls, empty for a `raise`."""

    open: State
    word: str
    node: Expr | Stmt


class Stack(NamedTuple):
    """A local exit stack that is filled and then given away, whole, by the last statement that uses it.

    ``opening`` makes it, by the call ``made``; ``uses`` are the statements from there to the last one, and ``given`` is
    the name where that gives it away.
    """

    name: str
    opening: Bind
    made: Expr
    uses: Block
    given: Name

    @property
    def enters(self) -> str:
        """How it is entered."""
        return "async with" if "Async" in last_name(self.made) else "with"


@dataclass(frozen=True, eq=False)
class Opening:
    """A function that opens; ``is_entering`` where `with` runs it, and so nobody closes what it leaves behind."""

    values: Values
    code: Code
    function: FunctionFacts

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Opening]:
        """The functions of a file that may open several things, in source order."""
        words = frozenset(word for word in values.project.words(module.path) if _is_word(word))
        if module.is_test or not words:
            return
        for code in code_of(module, words):
            if code.function is not None and code.block:
                found = cls(values, code, code.function)
                if (
                    _OPENERS.fullmatch(code.function.name)
                    or found.is_entering
                    or any(map(_is_by_hand, walk(code.block)))
                ):
                    yield found

    @cached_property
    def failure(self) -> Failure | None:
        """The first step that loses something; of what a caller could still close, only where several things are open.

        A caller that gets an error from ``connect()`` may close the object, unless what it would close is half there.
        """
        run = _Run(self.values, self.function, entering=self.is_entering)
        run.block(self.code.block, ())
        for found in run.lost:
            opens = found.word in _ENTERING or len({one.name for one in found.open}) > 1
            if opens or self.is_entering or any(one.what == "stack" for one in found.open):
                return None if self._is_looked_after else found
        return None

    @cached_property
    def is_entering(self) -> bool:
        """Whether it is the opening half of a context manager, or the method that does the work of one."""
        cls = self.function.cls
        if cls is None or self.function.name in _ENTERING:
            return self.function.name in _ENTERING
        return any(
            isinstance(node, Chain) and attribute_of(prefix(node, 1), enter.receiver) == self.function.name
            for name in _ENTERING & cls.methods.keys()
            for enter in (cls.methods[name],)
            for node in walk(enter.node.body)
        )

    @cached_property
    def stack(self) -> Stack | None:
        """The local stack that the failure loses, where a `with` around its statements is all that is missing."""
        lost = [one.name for one in self.failure.open if one.what == "stack"] if self.failure is not None else []
        return _stack(self.function, lost[0]) if len(lost) == 1 else None

    @property
    def _is_looked_after(self) -> bool:
        """Whether the function cleans up somewhere, or a caller does when the call fails."""
        name = self.function.name
        if any(map(_is_ending, walk(self.code.block))):
            return True
        if name in _ENTERING:
            return False
        return any(
            isinstance(node, Try) and _cleans_up(node) and any(self._may_call(code, part) for part in walk(node.body))
            for module in self.values.project.mentioning(name)
            for code in code_of(module, frozenset({name.encode()}))
            for node in walk(code.block, into=False)
        )

    def _may_call(self, code: Code, node: object) -> bool:
        """Whether a node may call this function: it calls one of that name, on nothing that is known to be another."""
        called = callee(node) if isinstance(node, Chain) else None
        if called is None or last_name(called) != self.function.name:
            return False
        target = self.values.of(code.scope, called)
        return (
            target is None
            or target == self.function
            or (isinstance(target, Method) and target.function is self.function)
        )

    def at(self, node: Expr | Stmt) -> Place:
        """The place of a node of the function."""
        return self.code.at(node.start, node.end)


def _is_by_hand(node: object) -> bool:
    """Whether a node enters a context manager by hand, or makes an exit stack."""
    return isinstance(node, Chain) and last_name(node) in {*_ENTERING, "ExitStack", "AsyncExitStack"}


def _is_word(word: bytes) -> bool:
    return (
        word in {b"ExitStack", b"AsyncExitStack", b"__enter__", b"__aenter__"}
        or _OPENERS.fullmatch(word.decode()) is not None
    )


# --- a stack that only wants a `with` ----------------------------------------------------------------------------


def _stack(function: FunctionFacts, name: str) -> Stack | None:
    body = function.node.body
    if any(isinstance(node, Def | Class | Lambda | Yield) and _mentions(node, name) for node in walk(body, into=False)):
        return None
    for index, stmt in enumerate(body):
        if isinstance(stmt, Bind) and len(stmt.targets) == 1 and is_name(stmt.targets[0], name):
            uses = [i for i, other in enumerate(body) if i > index and _mentions(other, name)]
            if stmt.value is None or not uses or any(_mentions(other, name) for other in body[:index]):
                return None
            given = _given_away(body[index + 1 : uses[-1] + 1], name)
            rest = walk(body[uses[-1] + 1 :])
            if given is None or any(isinstance(node, Call | Await | Raise) for node in rest):
                return None
            return Stack(name, stmt, stmt.value, body[index + 1 : uses[-1] + 1], given)
    return None


def _given_away(block: Block, name: str) -> Name | None:
    """Where the last statement returns or stores a stack that all others only put something into."""
    *others, last = block
    value = last.value if isinstance(last, Return | Bind) else None
    inside = [node for node in walk(value) if is_name(node, name)]
    filled = {
        id(node.base)
        for node in walk(*others)
        if isinstance(node, Chain) and isinstance(node.links[0], Attr) and node.links[0].name in _FILLS
    }
    bare = [node for node in walk(*others) if is_name(node, name) and id(node) not in filled]
    kept = isinstance(last, Bind) and not last.op and all(isinstance(target, Chain) for target in last.targets)
    only = inside[0] if len(inside) == 1 and (kept or isinstance(last, Return)) and not bare else None
    plain = isinstance(only, Name) and only.end - only.start == len(name) and not _is_called_on(value, only)
    return only if isinstance(only, Name) and plain else None


def _is_called_on(value: Expr | None, name: Name) -> bool:
    """Whether an expression takes an attribute of what a name holds, rather than hands it on."""
    return any(isinstance(node, Chain) and node.base is name for node in walk(value))


def _mentions(node: Stmt | Lambda | Yield, name: str) -> bool:
    return any(is_name(part, name) for part in walk(node))


# --- one run through the function --------------------------------------------------------------------------------


class _Run:
    """The statements in order, with what is open on the way there; a branch that leaves takes what it has with it."""

    def __init__(self, values: Values, function: FunctionFacts, *, entering: bool) -> None:
        self.values = values
        self.function = function
        self.entering = entering
        self.lost: list[Failure] = []
        self.caught = 0

    def block(self, block: Block, state: State) -> State | None:
        """What is open after the statements; None where nobody gets there."""
        after: State | None = state
        for stmt in block:
            after = self.stmt(stmt, after) if after is not None else None
        return after

    def stmt(self, stmt: Stmt, state: State) -> State | None:
        after: State | None
        match stmt:
            case If():
                after = self.choice(stmt, state)
            case Match():
                after = self.branches([case.body for case in stmt.cases], (), state)
            case Try():
                after = self.attempt(stmt, state)
            case With():
                after = self.block(stmt.body, self.steps([item for item, _ in stmt.items], state))
            case For() | While():
                state = self.steps([stmt.iter if isinstance(stmt, For) else stmt.test], state)
                after = _union([state, self.block(stmt.body, state), self.block(stmt.orelse, state)])
            case Def() | Class():
                after = state
            case _:
                after = self.simple(stmt, state)
        return after

    def choice(self, stmt: If, state: State) -> State | None:
        """Branches below tests: a `raise` below a test of what is open may say that it is not."""
        for test, _ in stmt.branches:
            state = self.steps([test], state)
        names = {self.name(node) for test, _ in stmt.branches for node in walk(test)}
        asked = tuple(one for one in state if one.name in names)
        free = tuple(one for one in state if one.name not in names)
        after = self.branches([body for _, body in stmt.branches], stmt.orelse, free)
        return None if after is None else tuple(dict.fromkeys((*asked, *after)))

    def branches(self, bodies: list[Block], orelse: Block, state: State) -> State | None:
        return _union([self.block(body, state) for body in [*bodies, orelse]])

    def attempt(self, stmt: Try, state: State) -> State | None:
        """A ``try``: a handler or a ``finally`` that calls anything that cleans up answers for what its body opens."""
        catches = _cleans_up(stmt) or not all(_raises(handler.body) for handler in stmt.handlers)
        self.caught += catches
        after = self.block(stmt.body, state)
        self.caught -= catches
        if catches and after is not None:  # what is opened in there, its author has thought of
            after = tuple(one for one in after if one in state)
        after = self.block(stmt.orelse, after) if after is not None else None
        after = _union([after, *(self.block(handler.body, state) for handler in stmt.handlers)])
        return self.block(stmt.final, after) if after is not None else None

    def simple(self, stmt: Stmt, state: State) -> State | None:
        """What a statement does that holds no others."""
        if isinstance(stmt, Raise):
            self.fails(stmt, "", state)
            return None
        state = self.steps([stmt], state)
        if isinstance(stmt, Return):
            return None
        if isinstance(stmt, Simple) and stmt.word != "pass":
            return None
        return self.opened(stmt, state) if isinstance(stmt, Bind) else self.entered(stmt, state)

    # --- what may fail

    def steps(self, exprs: list[Expr | Stmt], state: State) -> State:
        """The steps in expressions that may fail, and what they close or hand over."""
        for node in walk(*exprs, into=False):
            if isinstance(node, Await):
                self.fails(node, last_name(callee(node.value) or node.value), state)
            elif isinstance(node, Chain) and any(self.opens(node)):
                self.fails(node, last_name(callee(node) or node), state)
        gone = {name for node in walk(*exprs, into=False) for name in self.gone(node)}
        return tuple(one for one in state if one.name not in gone)

    def opens(self, chain: Chain) -> Iterator[bool]:
        yield last_name(chain) in _ENTERING and isinstance(chain.links[-1], Call)

    def fails(self, node: Expr | Stmt, word: str, state: State) -> None:
        """A step may fail: what is open then is lost."""
        if state and not self.caught:
            self.lost.append(Failure(state, word, node))

    def gone(self, node: object) -> Iterator[str]:
        """The names of what is closed or handed to somebody in a node."""
        if not isinstance(node, Chain):
            return
        name = self.name(node)
        words = [link.name for link in node.links if isinstance(link, Attr)]
        if name is not None and any(is_closer(word) or word == "pop_all" for word in words):
            yield name
        if isinstance(node.links[-1], Call) and _ENDS.search(last_name(node)):
            yield from (n for arg in node.links[-1].args for part in walk(arg.value) if (n := self.name(part)))

    # --- what is opened

    def opened(self, stmt: Bind, state: State) -> State:
        """An assignment: what it opens, and under which name; a stack that gets an owner is no local one any more."""
        name = next((n for target in stmt.targets if (n := self.name(target)) is not None), None)
        state = self.entered(stmt, self.given_away(stmt, state))
        what = self.made(stmt.value)
        if name is None or not what or (what != "stack" and not name.startswith(".")):
            return state
        return (*(one for one in state if one.name != name), Opened(name, what, stmt)) if what != "stack" else state

    def given_away(self, stmt: Bind, state: State) -> State:
        """Without a local stack that is stored in an attribute; where `with` runs the function, that helps nobody."""
        value = self.name(stmt.value) if stmt.value is not None else None
        return state if self.entering else tuple(one for one in state if one.name != value)

    def made(self, value: Expr | None) -> str:
        """What an expression opens for its target: a task, or a resource of the catalogue."""
        if value is None:
            return ""
        called = callee(value.value if isinstance(value, Await) else value)
        if called is not None and last_name(called) in _TASKS:
            return "task"
        found = [one.made for one in origins(self.values, self.function.scope, value) if one.kind is Kind.MADE]
        only = found[0] if len(found) == 1 else None
        return only.resource.name if isinstance(only, Acquisition) and _counts(only) else ""

    def entered(self, stmt: Stmt, state: State) -> State:
        """What a statement enters by hand: a manager, or one more into a local stack."""
        for node in walk(stmt, into=False):
            called = callee(node) if isinstance(node, Chain) else None
            if not isinstance(called, Chain):
                continue
            holder = prefix(called, len(called.links) - 1)
            word, receiver = last_name(called), self.name(holder)
            if receiver is None or receiver == "super" or any(one.name == receiver for one in state):
                continue  # what a base class enters, its own other half exits
            value = self.values.instance(self.function.scope, holder)
            is_stack = value is not None and value.cls in _STACKS
            if word in _ENTERING and not is_stack:  # a stack holds nothing before something is put into it
                state = (*state, Opened(receiver, "manager", stmt))
            elif word in _FILLS and is_stack and self.is_lost_with(receiver):
                state = (*state, Opened(receiver, "stack", stmt))
        return state

    def is_lost_with(self, name: str) -> bool:
        """Whether a failure loses the stack: a local one that no `with` has entered, or one that `with` never exits."""
        if name.startswith("."):
            return self.entering
        bindings = self.function.scope.bindings.get(name, ())
        assigned = all(hasattr(binding, "stmt") for binding in bindings)
        entered = any(
            isinstance(node, With) and any(isinstance(item, Name) and item.id == name for item, _ in node.items)
            for node in walk(self.function.node.body)
        )
        return assigned and not entered

    def name(self, node: object) -> str | None:
        """A local name as it is, an attribute of ``self`` as ``.name``; None for all else."""
        if isinstance(node, Chain):
            attribute = attribute_of(prefix(node, 1), self.function.receiver)
            if attribute is not None:
                return f".{attribute}"
            node = node.base
        return node.id if isinstance(node, Name) and node.id != self.function.receiver else None


def _counts(acquisition: Acquisition) -> bool:
    """Whether it is worth a word: it is held at once, and does not go by itself with the last reference."""
    resource = acquisition.resource
    return (
        acquisition.lazy is not True
        and not resource.needs_entering
        and resource.weight in {"high", "medium"}
        and resource.leak != "freed by refcount"
    )


def _cleans_up(stmt: Try) -> bool:
    """Whether a handler or the ``finally`` calls anything that sounds like cleaning up."""
    return any(map(_is_ending, walk(stmt.final, *(handler.body for handler in stmt.handlers))))


def _is_ending(node: object) -> bool:
    """Whether a node calls what sounds like cleaning up."""
    return isinstance(node, Chain) and isinstance(node.links[-1], Call) and _ENDS.search(last_name(node)) is not None


def _raises(block: Block) -> bool:
    """Whether a block can only end in an exception."""
    return bool(block) and isinstance(block[-1], Raise)


def _union(ends: list[State | None]) -> State | None:
    """What is open on any of several paths that get there."""
    reached = [state for state in ends if state is not None]
    return tuple(dict.fromkeys(one for state in reached for one in state)) if reached else None
