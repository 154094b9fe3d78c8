"""Scopes that one task enters and another leaves: a cancel scope belongs to the task that entered it.

The catalogue says of which managers this is known (MCP's sessions and transports), and what a project's generator or
class builds on them counts with them. A class enters one by `__aenter__`, or with an exit stack that it keeps. A method
that leaves what it has not entered, given to something that makes a task of it, is in the wrong task for certain: the
task begins with that method. So is one that leaves what only ever a task of its own has entered, and that is over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toollint.analyses.closers import OPENERS
from toollint.analyses.release import is_closer
from toollint.analyses.scopes import LEAVES, Entry, Scopes, handlers_of
from toollint.analyses.values import Method, Values, is_coroutine
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, classes_of, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Call,
    Chain,
    Collection,
    Comprehension,
    Expr,
    For,
    Star,
    While,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_SPAWNERS = frozenset(
    {
        *("create_task", "ensure_future", "run_coroutine_threadsafe", "run_until_complete", "run", "gather", "shield"),
        "start_soon",
    }
)
"""Functions and methods that make a task of a coroutine or of a coroutine function; `run` has to be known as one."""
_TAKES_FUNCTION = "start_soon"
_WORDS = frozenset(word.encode() for word in _SPAWNERS)
_ENTRIES = (b"enter_async_context", b"__aenter__")


@dataclass(frozen=True, eq=False)
class OtherTask:
    """A call that makes a task: one that leaves a scope entered elsewhere, or (``enters``) one that enters it alone.

    ``word`` is what is called; ``leaves`` is where the scope of ``cls`` is left, ``entry`` where it is entered.
    """

    code: Code
    call: Chain
    word: str
    cls: ClassFacts
    attribute: str
    entry: Entry
    leaves: Place
    enters: bool = False

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[OtherTask]:
        """The calls of a file that leave a scope in a task that has not entered it; of one call the first."""
        words = values.project.words(module.path)
        if words.isdisjoint(_WORDS) or module.is_test or not _are_there_scopes(values):
            return
        search = _Search(values)
        found = [one for code in code_of(module, _WORDS) for one in search.in_code(cls, code)]
        left = {one.cls for one in found if not one.enters}
        seen: set[Place] = set()
        for one in found:
            if one.place not in seen and not (one.enters and one.cls in left):
                seen.add(one.place)
                yield one

    @property
    def place(self) -> Place:
        """The call that makes the task."""
        return self.code.at(self.call.start, self.call.end)


@dataclass(frozen=True, eq=False)
class Reentered:
    """A method that leaves a scope which an earlier call has entered, and enters it again, in whatever task calls it.

    ``leaves`` is where it does, ``through`` the method that leaves for it, None where it does so itself; ``caller`` is
    a method that calls it while it works, and is neither opening nor closing.
    """

    function: FunctionFacts
    attribute: str
    leaves: Place
    through: FunctionFacts | None
    entry: Entry
    caller: FunctionFacts

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Reentered]:
        """The methods of a file that reconnect for whoever happens to work with the object, one for each class."""
        if module.is_test or values.project.words(module.path).isdisjoint(_ENTRIES):
            return
        search = _Search(values)
        for facts in classes_of(module, frozenset(_ENTRIES)):
            found = (one for function in facts.functions for one in search.reentered(cls, facts, function))
            yield from itertools.islice(found, 1)

    @property
    def place(self) -> Place:
        """Where the scope is left."""
        return self.leaves


def _are_there_scopes(values: Values) -> bool:
    """Whether anything in the project enters a manager by hand or into a stack."""
    found = values.noted.get("othertask")
    if not isinstance(found, bool):
        paths = values.project.paths
        found = any(not values.project.words(path).isdisjoint(_ENTRIES) for path in paths)
        values.noted["othertask"] = found
    return found


class _Search(Scopes):
    """Looks for what enters and leaves scopes, each function once."""

    # --- calls that make tasks

    def in_code(self, cls: type[OtherTask], code: Code) -> Iterator[OtherTask]:
        for node in walk(code.block, into=False):
            if isinstance(node, Chain) and isinstance(node.links[-1], Call) and last_name(node) in _SPAWNERS:
                for inner in self.given(code, node):
                    yield from self.judge(cls, code, node, inner)

    def given(self, code: Code, chain: Chain) -> Iterator[Chain]:
        """The calls of methods, or the methods, that a call makes tasks of."""
        word, call = last_name(chain), last_call(chain)
        if call is None or (word == "run" and not self.runs(code, chain)):
            return
        for arg in call.args if word == "gather" else call.args[:1]:
            for expr in _spread(arg):
                is_call = isinstance(expr, Chain) and isinstance(expr.links[-1], Call)
                if isinstance(expr, Chain) and is_call != (word == _TAKES_FUNCTION):
                    yield expr

    def runs(self, code: Code, chain: Chain) -> bool:
        """Whether a call makes an event loop and runs a coroutine on it."""
        target = self.values.of(code.scope, callee(chain))
        row = self.values.catalog.runner(target.name) if isinstance(target, Library) else None
        return row is not None and row.takes == "coroutine"

    def judge(self, cls: type[OtherTask], code: Code, call: Chain, inner: Chain) -> Iterator[OtherTask]:
        method = callee(inner) or inner
        if not isinstance(method, Chain) or not isinstance(method.links[-1], Attr):
            return
        owner, verb = prefix(method, len(method.links) - 1), last_name(method)
        kept = self.kept_by(code, owner) if verb in LEAVES else None
        if kept is not None:
            facts, attribute = kept
            entry = self.fields(facts).get(attribute)
            if entry is not None:
                yield cls(code, call, last_name(call), facts, attribute, entry, code.at(inner.start, inner.end))
            return
        value = self.values.of(code.scope, method)
        if not isinstance(value, Method) or not isinstance(value.receiver.cls, ClassFacts):
            return
        if is_coroutine(value.function):
            yield from self.by_method(cls, code, call, value)

    def by_method(self, cls: type[OtherTask], code: Code, call: Chain, run: Method) -> Iterator[OtherTask]:
        """What is wrong with a task that runs a method of an object of the project."""
        facts = run.receiver.cls
        if not isinstance(facts, ClassFacts):
            return
        fields = self.fields(facts)
        left, entered = self.reach(run.function, self.exits), self.reach(run.function, self.entries)
        loops = [*walk(run.function.node.body, into=False)]
        repeated = {id(node) for loop in loops if isinstance(loop, For | While) for node in walk(loop)}
        again = {name: node for name, node, _ in self.again(run.function) if id(node) not in repeated}
        for attribute, entry in fields.items():
            if attribute in left and attribute not in entered:
                yield cls(code, call, last_name(call), facts, attribute, entry, left[attribute])
            elif attribute in again:
                place = run.function.at(again[attribute].start, again[attribute].end)
                yield cls(code, call, last_name(call), facts, attribute, entry, place)
            elif attribute in entered and attribute not in self.reach(run.function, self.exits, handlers=False):
                outside = self.left_by_others(facts, attribute, run.function)
                if outside is not None and self.is_only_entered_by(facts, attribute, run.function):
                    yield cls(code, call, last_name(call), facts, attribute, entry, outside, enters=True)

    def left_by_others(self, facts: ClassFacts, attribute: str, spawned: FunctionFacts) -> Place | None:
        """Where another method leaves what a method enters."""
        own = self.called_by(spawned)
        for function in self.methods(facts):
            if function is not spawned and (function not in own or self.is_public(function)):
                left = self.exits(function).get(attribute)
                if left is not None:
                    return left
        return None

    def is_public(self, function: FunctionFacts) -> bool:
        """Whether several methods await a method."""
        others = function.cls.functions if function.cls is not None else ()
        return sum(function in self.awaited(one) for one in others if one is not function) > 1

    def is_only_entered_by(self, facts: ClassFacts, attribute: str, spawned: FunctionFacts) -> bool:
        """Whether nothing but the task enters the scope: no other method does, and none calls the method itself."""
        own = {spawned, *self.called_by(spawned)}
        entering = [one for one in self.methods(facts) if attribute in self.entries(one)]
        awaited = any(spawned in self.awaited(one) for one in self.methods(facts))
        return all(one in own for one in entering) and not awaited

    # --- methods that leave and enter again

    def reentered(self, cls: type[Reentered], facts: ClassFacts, function: FunctionFacts) -> Iterator[Reentered]:
        """What a method leaves and then enters again, where a method that works with the object calls it."""
        callers = [one for one in self.methods(facts) if function in self.awaited(one) and not _opens_or_closes(one)]
        if not callers or not function.node.is_async or self.has_owner(facts, function):
            return
        for attribute, node, through in self.again(function):
            entry = self.fields(facts).get(attribute)
            if entry is not None:
                yield cls(function, attribute, function.at(node.start, node.end), through, entry, callers[0])

    def again(self, function: FunctionFacts) -> Iterator[tuple[str, Await, FunctionFacts | None]]:
        """What a method leaves before it enters it: an earlier call, then, has entered that."""
        entered = {name: node.start for node, _, names in self.steps(function, self.entered_at) for name in names}
        for node, through, left in self.steps(function, self.exits):
            for name in sorted(left):
                if node.start < entered.get(name, -1):
                    yield name, node, through

    def steps(
        self, function: FunctionFacts, ask: Callable[..., dict[str, Place]]
    ) -> Iterator[tuple[Await, FunctionFacts | None, frozenset[str]]]:
        """The awaits of a method, handlers aside, that do something with scopes: by themselves, or through a method."""
        aside = {id(one) for node in handlers_of(function) for one in walk(node.body)}
        own = {place.span: name for name, place in ask(function).items()}
        for node in walk(function.node.body, into=False):
            if isinstance(node, Await) and id(node) not in aside:
                spans = [function.at(one.start, one.end).span for one in (node, node.value)]
                direct = frozenset(own[span] for span in spans if span in own)
                if direct:
                    yield node, None, direct
                for through in self.awaited_by(function, node):
                    reached = frozenset(self.reach(through, ask))
                    if reached:
                        yield node, through, reached

    def has_owner(self, facts: ClassFacts, function: FunctionFacts) -> bool:
        """Whether the class makes a task that runs the method: then that one may enter and leave for all others."""
        for one in self.methods(facts):
            if self.knows_its_task(one):
                return True
            code = Code(one.scope, one.origin, one.node.body)
            for node in walk(one.node.body, into=False):
                if isinstance(node, Chain) and isinstance(node.links[-1], Call) and last_name(node) in _SPAWNERS:
                    for inner in self.given(code, node):
                        value = self.values.of(code.scope, callee(inner) or inner)
                        if isinstance(value, Method) and function in [value.function, *self.called_by(value.function)]:
                            return True
        return False


def _spread(arg: Arg) -> Iterator[Expr]:
    """The expressions that an argument stands for: those of a display or comprehension behind a star, too."""
    value = arg.value
    if isinstance(value, Comprehension):
        yield from value.elements
    elif isinstance(value, Collection):
        yield from (item.value if isinstance(item, Star) else item for item in value.items)
    else:
        yield value


def _opens_or_closes(function: FunctionFacts) -> bool:
    return function.name in OPENERS or is_closer(function.name)
