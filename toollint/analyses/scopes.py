"""Which scopes a class enters and keeps in its attributes, and which of its methods leave them.

A scope, here, is a context manager that only the task which entered it may leave: what the catalogue calls bound to its
task, and what generators and classes of the project build on that. A class enters one by `__aenter__`, or with an exit
stack that it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from toollint.analyses.managers import colour_of
from toollint.analyses.values import Instance, Method, Value, Values
from toollint.analyses.verbs import heirs
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, Scope
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Collection,
    Expr,
    For,
    Handler,
    Index,
    Name,
    Node,
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

LEAVES = frozenset({"__aexit__", "aclose"})
_KNOWS_ITS_TASK = "current_task"
_STEPS = 4
"""How many methods, attributes and classes in a row are looked through."""

_Answer = TypeVar("_Answer")


class Entry(NamedTuple):
    """Where a class enters a scope that it keeps, and what that scope is called."""

    place: Place
    name: str


class Scopes:
    """Asks the classes of a project which scopes they enter and leave."""

    def __init__(self, values: Values) -> None:
        """Take the project's values."""
        self.values = values
        self._fields: dict[ClassFacts, dict[str, Entry]] = {}

    def methods(self, facts: ClassFacts) -> Iterator[FunctionFacts]:
        """The methods of a class, its own first."""
        for ancestor in self.values.project.lineage(facts).classes:
            yield from ancestor.functions

    def fields(self, facts: ClassFacts) -> dict[str, Entry]:
        """The attributes of a class in which it keeps scopes that only the task which entered them may leave."""
        found = self._fields.get(facts)
        if found is None:
            found = self._fields[facts] = {}
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
        aside = set() if handlers else {id(one) for node in handlers_of(function) for one in walk(node.body)}
        found: dict[str, Place] = {}
        for node in walk(function.node.body, into=False):
            if isinstance(node, Await) and isinstance(node.value, Chain) and id(node) not in aside:
                called = callee(node.value)
                if isinstance(called, Chain) and last_name(called) in LEAVES:
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
        """The methods of the same object that a method itself awaits; ``handlers``: those in handlers too."""
        aside = set() if handlers else {id(one) for node in handlers_of(function) for one in walk(node.body)}
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


def handlers_of(function: FunctionFacts) -> Iterator[Handler]:
    """The ``except`` clauses of a function."""
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
