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
from typing import NamedTuple, TypeVar

from toollint.analyses.closers import OPENERS
from toollint.analyses.managers import colour_of
from toollint.analyses.release import is_closer
from toollint.analyses.values import Instance, Method, Value, Values, is_coroutine
from toollint.analyses.verbs import heirs
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, classes_of, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Collection,
    Comprehension,
    Expr,
    For,
    Handler,
    Index,
    Name,
    Node,
    Star,
    While,
    With,
    Yield,
    attribute_of,
    callee,
    fetched,
    is_name,
    is_none,
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
_LEAVES = frozenset({"__aexit__", "aclose"})
_WORDS = frozenset(word.encode() for word in _SPAWNERS)
_ENTRIES = (b"enter_async_context", b"__aenter__")
_KNOWS_ITS_TASK = "current_task"
_STEPS = 4
"""How many methods, attributes and classes in a row are looked through."""

_Answer = TypeVar("_Answer")


class Entry(NamedTuple):
    """Where a class enters a scope that it keeps, and what that scope is called."""

    place: Place
    name: str


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


class _Search:
    """Looks for what enters and leaves scopes, each function once."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self._fields: dict[int, dict[str, Entry]] = {}
        self._kept: list[ClassFacts] = []

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
        kept = self.kept_by(code, owner) if verb in _LEAVES else None
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
        aside = {id(one) for node in _handlers(function) for one in walk(node.body)}
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

    # --- what a class keeps

    def methods(self, facts: ClassFacts) -> Iterator[FunctionFacts]:
        for ancestor in self.values.project.lineage(facts).classes:
            yield from ancestor.functions

    def fields(self, facts: ClassFacts) -> dict[str, Entry]:
        """The attributes of a class in which it keeps scopes that only the task which entered them may leave."""
        found = self._fields.get(id(facts))
        if found is None:
            self._kept.append(facts)  # its id stays its own
            found = self._fields[id(facts)] = {}
            for function in self.methods(facts):
                for attribute, entry in self.entries(function).items():
                    found.setdefault(attribute, entry)
        return found

    def entries(self, function: FunctionFacts) -> dict[str, Entry]:
        """The scopes that a method itself enters and keeps in attributes."""
        if not function.node.is_async:
            return {}
        found: dict[str, Entry] = {}
        nodes = [*walk(function.node.body, into=False)]
        locals_: dict[str, Entry] = {}
        for node in nodes:
            chain = node if isinstance(node, Chain) and isinstance(node.links[-1], Call) else None
            called = callee(chain) if chain is not None else None
            if chain is None or not isinstance(called, Chain):
                continue
            owner, verb = prefix(called, len(called.links) - 1), last_name(called)
            scope = self.scope_entered(function, owner, verb, chain)
            if scope:
                entry = Entry(function.at(chain.start, chain.end), scope)
                attribute = attribute_of(owner, function.receiver)
                if attribute is not None:
                    found.setdefault(attribute, entry)
                elif isinstance(owner, Name):
                    locals_.setdefault(owner.id, entry)
        for node in nodes if locals_ else ():
            for target in node.targets if isinstance(node, Bind) else ():
                kept, name = _attribute_in(target, function.receiver), _local_in(node.value)
                if kept is not None and name in locals_:
                    found.setdefault(kept, locals_[name])
        return found

    def entered_at(self, function: FunctionFacts) -> dict[str, Place]:
        """Where a method enters the scopes that it keeps."""
        return {name: entry.place for name, entry in self.entries(function).items()}

    def scope_entered(self, function: FunctionFacts, owner: Expr, verb: str, chain: Chain) -> str:
        """The scope that a call enters, as a message calls it; empty for any other call."""
        if verb == "__aenter__":
            return self.scope(function.scope, owner)
        call = last_call(chain)
        if verb == "enter_async_context" and call is not None and len(call.args) == 1:
            return self.scope(function.scope, call.args[0].value)
        return ""

    def scope(self, scope: Scope, expr: Expr, steps: int = _STEPS) -> str:
        """What a manager is called that only the task which entered it may leave; empty for anything else."""
        if not steps:
            return ""
        called = callee(expr)
        target = self.values.of(scope, called) if called is not None else None
        row = self.values.catalog.acquisition(target.name) if isinstance(target, Library) else None
        if row is not None and row.resource.task_bound:
            return row.name.rpartition(".")[2]
        function = target.function if isinstance(target, Method) else target
        if isinstance(function, FunctionFacts):
            return self.manager(function, steps - 1)
        if called is None:
            return self.bound(scope, expr, steps - 1)
        return self.of_class(self.values.of(scope, expr))

    def bound(self, scope: Scope, expr: Expr, steps: int) -> str:
        """What a local name or an attribute holds that is bound to a manager."""
        values: list[tuple[Scope, Expr]] = []
        if isinstance(expr, Name):
            found = scope.bindings.get(expr.id, ())
            values = [
                (scope, one.stmt.value) for one in found if isinstance(one, Assigned) and one.stmt.value is not None
            ]
        owner = scope.owner
        if isinstance(owner, FunctionFacts) and owner.cls is not None:
            attribute = attribute_of(expr, owner.receiver)
            if attribute is not None:
                fields = self.values.field_assignments(owner.cls, attribute)
                values = [(one.scope, stmt.value) for one, stmt in fields if stmt.value is not None]
        made = (self.scope(where, value, steps) for where, value in values if not is_none(value))
        return next(filter(None, made), "") or self.of_class(self.values.of(scope, expr))

    def of_class(self, value: Value | None) -> str:
        """The name of an object's class, where entering it enters such a scope."""
        if not isinstance(value, Instance):
            return ""
        if isinstance(value.cls, Library):
            row = self.values.catalog.resource(value.cls.name)
            return value.name if row is not None and row.task_bound else ""
        enter = self.values.project.class_member(value.cls, "__aenter__")
        known = isinstance(enter, FunctionFacts) and self.reach(enter, self.entries)
        return value.cls.name if known else ""

    def manager(self, function: FunctionFacts, steps: int) -> str:
        """What a decorated generator's manager enters, or that of a method which replaces it in a subclass."""
        if colour_of(self.values, function) != "async":
            return ""
        found = self.generated(function, steps)
        family = heirs(self.values, function.cls) if not found and function.cls is not None else ()
        replaced = (one.methods[function.name] for one in family if function.name in one.methods)
        return found or next(filter(None, (self.generated(one, steps) for one in replaced)), "")

    def generated(self, function: FunctionFacts, steps: int) -> str:
        """What the manager of a decorated generator enters around its `yield`."""
        for node in walk(function.node.body, into=False):
            if isinstance(node, With) and any(isinstance(one, Yield) for one in walk(node.body, into=False)):
                for item, _ in node.items:
                    if self.scope(function.scope, item, steps):
                        return function.name
        return ""

    # --- what leaves it

    def exits(self, function: FunctionFacts, *, handlers: bool = True) -> dict[str, Place]:
        """The attributes whose scopes a method itself leaves, each with the place."""
        if not function.node.is_async or self.knows_its_task(function):
            return {}
        aside = set() if handlers else {id(one) for node in _handlers(function) for one in walk(node.body)}
        found: dict[str, Place] = {}
        for node in walk(function.node.body, into=False):
            if isinstance(node, Await) and isinstance(node.value, Chain) and id(node) not in aside:
                called = callee(node.value)
                if isinstance(called, Chain) and last_name(called) in _LEAVES:
                    kept = _kept(function, prefix(called, len(called.links) - 1))
                    if kept is not None:
                        found.setdefault(kept, function.at(node.start, node.end))
        return found

    def knows_its_task(self, function: FunctionFacts) -> bool:
        """Whether a method asks in which task it runs."""
        nodes = walk(function.node.body)
        return any(_KNOWS_ITS_TASK in (getattr(node, "name", ""), getattr(node, "id", "")) for node in nodes)

    def kept_by(self, code: Code, owner: Expr) -> tuple[ClassFacts, str] | None:
        """The class and the attribute that an expression in a method takes a scope from."""
        function = code.function
        if function is None or function.cls is None:
            return None
        kept = _kept(function, owner)
        return None if kept is None else (function.cls, kept)

    # --- through other methods

    def reach(self, function: FunctionFacts, ask: Callable[..., dict[str, _Answer]], **how: bool) -> dict[str, _Answer]:
        """What a method does by itself and through the methods that it awaits, by attribute."""
        found = dict(ask(function, **how))
        for one in self.called_by(function, **how):
            for attribute, answer in ask(one, **how).items():
                found.setdefault(attribute, answer)
        return found

    def called_by(self, function: FunctionFacts, *, handlers: bool = True) -> list[FunctionFacts]:
        """The methods of the same object that a method awaits, and those that they await."""
        found: list[FunctionFacts] = []
        left = [(function, _STEPS)]
        while left:
            one, steps = left.pop()
            for called in self.awaited(one, handlers=handlers) if steps else ():
                if called not in found and called is not function:
                    found.append(called)
                    left.append((called, steps - 1))
        return found

    def awaited(self, function: FunctionFacts, *, handlers: bool = True) -> Iterator[FunctionFacts]:
        aside = set() if handlers else {id(one) for node in _handlers(function) for one in walk(node.body)}
        for node in walk(function.node.body, into=False):
            if isinstance(node, Await) and id(node) not in aside:
                yield from self.awaited_by(function, node)

    def awaited_by(self, function: FunctionFacts, node: Await) -> Iterator[FunctionFacts]:
        """The method of the same object that an await runs."""
        called = callee(node.value)
        name = attribute_of(called, function.receiver) if called is not None else None
        member = self.values.project.class_member(function.cls, name) if name and function.cls else None
        if isinstance(member, FunctionFacts):
            yield member


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


def _handlers(function: FunctionFacts) -> Iterator[Handler]:
    return (node for node in walk(function.node.body, into=False) if isinstance(node, Handler))


def _kept(function: FunctionFacts, expr: Expr) -> str | None:
    """The attribute that an expression takes something from: itself, an item of it, or a local name for either."""
    attribute = _attribute_in(expr, function.receiver)
    if attribute is not None or not isinstance(expr, Name):
        return attribute
    for node in walk(function.node.body, into=False):
        pairs: list[tuple[Expr, Expr | None]] = []
        if isinstance(node, Bind):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, For):
            pairs = [(node.target, node.iter)]
        for target, value in pairs:
            parts = target.items if isinstance(target, Collection) else (target,)
            if value is not None and any(isinstance(part, Name) and part.id == expr.id for part in parts):
                found = _attribute_in(value, function.receiver) or _looked_up(value, function.receiver)
                if found is not None:
                    return found
    return None


def _attribute_in(expr: Expr, receiver: str | None) -> str | None:
    """``name`` of ``self.name``, ``self.name[key]``, ``self.name.pop(key)``, ``self.name.values()``."""
    if not isinstance(expr, Chain) or not isinstance(expr.links[0], Attr):
        return None
    attribute, rest = attribute_of(prefix(expr, 1), receiver), expr.links[1:]
    if attribute is None or not rest:
        return attribute
    looks = isinstance(rest[0], Attr) and rest[0].name in {"pop", "values", "items", "get", "popitem"}
    return attribute if isinstance(rest[0], Index) or (looks and len(rest) == 2) else None


def _looked_up(expr: Expr, receiver: str | None) -> str | None:
    """``name`` of ``getattr(self, "name", None)``."""
    owner, name = fetched(expr) or (None, None)
    return name if is_name(owner, receiver) else None


def _local_in(expr: Node | None) -> str:
    """The local name that an expression is, or whose ``pop_all`` it calls."""
    if isinstance(expr, Chain) and last_name(expr) == "pop_all":
        expr = expr.base
    return expr.id if isinstance(expr, Name) else ""
