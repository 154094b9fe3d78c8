"""What a ``__del__`` does with coroutines: schedules them, runs them, drops them, or is one itself.

The garbage collector calls ``__del__`` in whatever thread and at whatever time, often when the loop that the object
lived in is gone. Left alone are a loop that the object made for itself or that its caller gave, helpers that are not
understood, and classes whose ordinary methods run a loop to completion too: they are for synchronous code, where no
loop is running.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from toollint.analyses.release import is_closer
from toollint.analyses.values import Instance, Method, Value, Values, is_coroutine
from toollint.analyses.verbs import heirs, verb_of
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, Parameter, classes_of, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Class,
    Evaluate,
    Expr,
    IfExp,
    Name,
    argument,
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

DEL = "__del__"
_DEPTH = 3
"""How many methods in a row are looked through."""
_SPAWNERS = (
    Library("asyncio.create_task"),
    Library("asyncio.ensure_future"),
    Library("asyncio.TaskGroup.create_task"),
)
_RUN = Library("asyncio.run")
_THREADSAFE = Library("asyncio.run_coroutine_threadsafe")
_SCHEDULE = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe", "run_until_complete", "run"})
"""The names of all of these, and of the methods of loops: what is called by another name is not looked up."""
_CURRENT = (Library("asyncio.get_running_loop"), Library("asyncio.get_event_loop"))
_NEW = Library("asyncio.new_event_loop")
_WRAPPERS = (Library("asyncio.wait_for"), Library("asyncio.shield"), Library("asyncio.gather"))
_GUARDS = frozenset({"is_running", "get_running_loop", "_get_running_loop"})
_SYNCHRONOUS = frozenset({"run_until_complete", "run_coroutine_threadsafe", "run_forever"})


class Slip(NamedTuple):
    """One thing that a ``__del__`` does with a coroutine, and that releases nothing.

    ``what``: ``spawned`` (a loop is to run it later), ``run`` (at once), ``dropped`` (never awaited) or ``async`` (the
    method itself). ``place`` is in ``__del__``; ``inside`` is where a helper does it, None where no helper is between.
    ``coroutine`` is the call that makes the coroutine, in ``function``; ``bound`` is the class of what it closes in the
    wrong loop.
    """

    what: str
    place: Place
    function: FunctionFacts
    coroutine: Chain | None = None
    inside: Place | None = None
    bound: str = ""

    @property
    def name(self) -> str:
        """What is called to release something."""
        called = callee(self.coroutine) if self.coroutine is not None else None
        return last_name(called) if called is not None else ""


@dataclass(frozen=True, eq=False)
class AsyncDel:
    """A class with a ``__del__`` of its own."""

    cls: ClassFacts
    method: FunctionFacts
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[AsyncDel]:
        """The classes of a file that have one, in source order."""
        for facts in sorted(classes_of(module, frozenset({DEL.encode()})), key=lambda c: (c.origin, c.node.start)):
            if DEL in facts.methods:
                yield cls(facts, facts.methods[DEL], values)

    @property
    def slip(self) -> Slip | None:
        """The worst that it does with a coroutine; None where it does nothing of the kind."""
        if self.method.node.is_async:
            return None if self._may_be_awaited else Slip("async", self.method.place, self.method)
        found = [*self._handed_over(self.method, _DEPTH), *self._dropped()]
        ranks = ("spawned", "run", "dropped")
        return min(found, key=lambda slip: ranks.index(slip.what), default=None)

    # --- (a) given to a loop

    def _handed_over(self, function: FunctionFacts, depth: int) -> Iterator[Slip]:
        """What a method gives to a loop, itself or through ``depth`` methods in a row that it calls."""
        for node in walk(function.node.body, into=False):
            for index, call in enumerate(node.links) if isinstance(node, Chain) else ():
                if isinstance(call, Call):
                    place = function.at(node.start, call.end)
                    slip = self._given(function, prefix(node, index), call, place)
                    helper = self._helper(function, prefix(node, index))
                    if slip is not None:
                        yield slip
                    elif helper is not None and depth:
                        for inner in self._handed_over(helper, depth - 1):
                            yield inner._replace(place=place, inside=inner.inside or inner.place)

    def _helper(self, function: FunctionFacts, called: Expr) -> FunctionFacts | None:
        """The ordinary method of the class that is called on ``self``."""
        name = attribute_of(called, function.receiver)
        member = self._method(name) if name is not None else None
        return member if member is not None and not member.node.is_async else None

    def _method(self, name: str) -> FunctionFacts | None:
        """A method by its name; the class itself is asked first, for ancestors can be large."""
        own = self.cls.methods.get(name)
        found = own or self.values.project.class_member(self.cls, name)
        return found if isinstance(found, FunctionFacts) else None

    def _given(self, function: FunctionFacts, called: Expr, call: Call, place: Place) -> Slip | None:
        """What becomes of the coroutine that a call is given; None where that may work."""
        how, loops = self._scheduler(function, called, call)
        coroutine = self._coroutine(function, call.args[0].value if call.args and how else None)
        if coroutine is None:
            return None
        if how == "run":
            return self._run(function, coroutine, place, loops)
        foreign = loops & {"current", "recorded"} and loops <= {"current", "recorded", "new"}
        return Slip(how, place, function, coroutine) if foreign else None

    def _scheduler(self, function: FunctionFacts, called: Expr, call: Call) -> tuple[str, set[str]]:
        """What a call does with a coroutine, and where the loop comes from; empty for any other call.

        A loop in another thread takes work from anywhere, so only the one that runs here is a wrong place for it.
        """
        if not isinstance(called, Name) and last_name(called) not in _SCHEDULE:
            return "", set()
        value = self.values.of(function.scope, called)
        if value in _SPAWNERS:
            loop = argument(call, "loop")
            return "spawned", {"current"} if loop is None else self._loops(function, loop)
        if value == _THREADSAFE:
            loop = argument(call, "loop", 1)
            loops = self._loops(function, loop) if loop is not None else set()
            return "spawned", loops - {"recorded"}
        if value == _RUN:
            return "run", {"new"}
        method = called.links[-1] if isinstance(called, Chain) else None
        how = {"create_task": "spawned", "run_until_complete": "run"}.get(_word(method), "")
        if how and isinstance(called, Chain):
            return how, self._loops(function, prefix(called, len(called.links) - 1))
        return "", set()

    def _run(self, function: FunctionFacts, coroutine: Chain, place: Place, loops: set[str]) -> Slip | None:
        """Running to completion fails inside a running loop, and a new loop cannot close what belongs to another."""
        if not loops or not loops <= {"current", "recorded", "new"}:
            return None
        bound = self._bound(function, coroutine, ()) if "new" in loops else ""
        guarded = any(_word(node) in _GUARDS for node in walk(function.node.body, into=False))
        sure = (not guarded or loops != {"new"}) and not self._is_synchronous(function)
        return Slip("run", place, function, coroutine, bound=bound) if bound or sure else None

    def _is_synchronous(self, finalizer: FunctionFacts) -> bool:
        """Whether ordinary methods of the class run a loop to completion, too."""
        return any(
            _word(node) in _SYNCHRONOUS or (isinstance(node, Chain) and self._calls_run(function, node))
            for ancestor in self.values.project.lineage(self.cls).classes
            for function in ancestor.functions
            if not function.node.is_async and function is not finalizer and not is_closer(function.name)
            for node in walk(function.node.body, into=False)
        )

    def _calls_run(self, function: FunctionFacts, chain: Chain) -> bool:
        called = callee(chain)
        return called is not None and last_name(called) == "run" and self.values.of(function.scope, called) == _RUN

    def _coroutine(self, function: FunctionFacts, given: Expr | None) -> Chain | None:
        """The call that makes a coroutine, from under a local name and what asyncio wraps around it."""
        if isinstance(given, Name):
            found = function.scope.bindings.get(given.id, ())
            given = found[0].stmt.value if len(found) == 1 and isinstance(found[0], Assigned) else None
        call, called = last_call(given), callee(given) if given is not None else None
        if call is None or called is None or not isinstance(given, Chain):
            return None
        if self.values.of(function.scope, called) in _WRAPPERS:
            return self._coroutine(function, call.args[0].value) if call.args and not call.args[0].stars else None
        return given

    # --- which loop

    def _loops(self, function: FunctionFacts, loop: Expr) -> set[str]:
        """Where a loop comes from.

        ``current``: asked for here; ``recorded``: when the object was made; ``new``: made here; ``own``: made by the
        object for itself; ``unknown``. What a caller may give instead of the current one changes nothing.
        """
        found = self._sources(function, loop)
        return found - {"given"} if found & {"current", "recorded"} else found

    def _sources(self, function: FunctionFacts, loop: Expr | None) -> set[str]:
        if loop is None or is_none(loop):
            return set()
        if isinstance(loop, Bool | IfExp):
            parts = loop.operands if isinstance(loop, Bool) else (loop.then, loop.orelse)
            return set().union(*(self._sources(function, part) for part in parts))
        if isinstance(loop, Name):
            return self._local(function, loop.id)
        attribute = attribute_of(loop, function.receiver)
        if attribute is not None:
            assigned = self.values.field_assignments(self.cls, attribute)
            kept = {"current": "recorded", "new": "own"}
            kinds = set().union(*(self._sources(where, stmt.value) for where, stmt in assigned))
            return {kept.get(kind, kind) for kind in kinds} or {"unknown"}
        called = callee(loop)
        value = self.values.of(function.scope, called) if called is not None else None
        return {"current"} if value in _CURRENT else {"new"} if value == _NEW else {"unknown"}

    def _local(self, function: FunctionFacts, name: str) -> set[str]:
        """Where the loop under a local name comes from."""
        kinds: set[str] = set()
        for binding in function.scope.bindings.get(name, ()):
            if isinstance(binding, Assigned):
                kinds |= self._sources(function, binding.stmt.value)
            else:
                kinds.add("given" if isinstance(binding, Parameter) else "unknown")
        return kinds or {"unknown"}

    # --- what the coroutine closes

    def _bound(self, function: FunctionFacts, coroutine: Chain, path: tuple[FunctionFacts, ...]) -> str:
        """The class of a resource that the coroutine closes and that belongs to the loop of its first use."""
        value = self._value(function, callee(coroutine))
        if isinstance(value, Library):
            resource = self.values.catalog.resource(value.name.rpartition(".")[0])
            return resource.name.rpartition(".")[2] if resource is not None and resource.loop_bound else ""
        inner = _function_of(value)
        if inner is None or inner in path or len(path) >= _DEPTH:
            return ""
        calls = (node for node in walk(inner.node.body, into=False) if isinstance(node, Chain) and callee(node))
        return next(filter(None, (self._bound(inner, call, (*path, inner)) for call in calls)), "")

    def _value(self, function: FunctionFacts, expr: Expr | None) -> Value | None:
        """The value of an expression; ``getattr(self, "name", None)`` under a local name is ``self.name``."""
        if isinstance(expr, Chain) and isinstance(expr.base, Name) and isinstance(expr.links[0], Attr):
            attribute = _fetched(function, expr.base.id) if len(expr.links) == 1 else None
            if attribute is not None:
                held = self.values.attribute(Instance(self.cls), attribute)
                return self.values.attribute(held, expr.links[0].name) if isinstance(held, Instance) else None
        return self.values.of(function.scope, expr)

    # --- (b) never awaited

    def _dropped(self) -> Iterator[Slip]:
        """The coroutines that ``__del__`` makes and leaves."""
        body = self.method.node.body
        if any("iscoroutine" in _word(node) or "isawaitable" in _word(node) for node in walk(body)):
            return
        for node in walk(body, into=False):
            called = callee(node.value) if isinstance(node, Evaluate) else None
            if called is not None and self._gives_coroutine(called):
                place = self.method.at(node.value.start, node.value.end)
                yield Slip("dropped", place, self.method, node.value)

    def _gives_coroutine(self, called: Expr) -> bool:
        """Whether a call in ``__del__`` gives a coroutine for certain."""
        own = self.cls.methods.get(attribute_of(called, self.method.receiver) or "")
        if own is not None and not own.node.is_async:
            return False  # the usual case, and ancestors can be large
        value = self._value(self.method, called)
        if isinstance(value, Library):
            owner, _, verb = value.name.rpartition(".")
            return verb_of(self.values, Instance(Library(owner)), verb).meaning == "coroutine"
        function = _function_of(value)
        if function is None or not is_coroutine(function):
            return False
        receiver = value.receiver if isinstance(value, Method) else None
        return receiver is None or verb_of(self.values, receiver, function.name).meaning == "coroutine"

    # --- (c) a coroutine itself

    @property
    def _may_be_awaited(self) -> bool:
        """Whether a framework may know that ``__del__`` is a coroutine: some await it when they drop an object."""
        lineages = [self.values.project.lineage(cls) for cls in (self.cls, *heirs(self.values, self.cls))]
        return (
            any(not lineage.known or one.node.decorators for lineage in lineages for one in lineage.classes)
            or bool(self.method.decorators)
            or any(self._is_given_away(module) for module in self.values.project.mentioning(self.cls.name))
            or any(_calls_del(module) for module in self.values.project.mentioning(DEL))
        )

    def _is_given_away(self, module: ModuleFacts) -> bool:
        """Whether the class itself is a value somewhere: an argument, an element, assigned."""
        blocks = [code.block for code in code_of(module, frozenset({self.cls.name.encode()}))]
        return any(_names(block, self.cls.name) for block in blocks)


def _function_of(value: Value | None) -> FunctionFacts | None:
    return value.function if isinstance(value, Method) else value if isinstance(value, FunctionFacts) else None


def _fetched(function: FunctionFacts, name: str) -> str | None:
    """The attribute of ``self`` that a local name is fetched from by ``getattr``."""
    found = function.scope.bindings.get(name, ())
    value = found[0].stmt.value if len(found) == 1 and isinstance(found[0], Assigned) else None
    owner, key = fetched(value) or (None, None)
    return key if is_name(owner, function.receiver) else None


def _word(node: object) -> str:
    """The identifier of a name or of an attribute link."""
    return node.id if isinstance(node, Name) else node.name if isinstance(node, Attr) else ""


def _names(block: Block, name: str) -> bool:
    """Whether statements name a class otherwise than to call it, derive from it, or annotate."""
    nodes = list(walk(block, into=False))
    fine = {id(node.base) for node in nodes if isinstance(node, Chain)}
    fine |= {id(arg.value) for node in nodes if isinstance(node, Class) for arg in node.args}
    fine |= {id(node.annotation) for node in nodes if isinstance(node, Bind)}
    return any(isinstance(node, Name) and node.id == name and id(node) not in fine for node in nodes)


def _calls_del(module: ModuleFacts) -> bool:
    """Whether code calls ``__del__`` by its name; ``super()`` does no more than the interpreter."""
    return any(
        isinstance(node, Chain)
        and not (isinstance(node.base, Name) and node.base.id == "super")
        and any(_word(link) == DEL for link in node.links)
        for code in code_of(module, frozenset({DEL.encode()}))
        for node in walk(code.block, into=False)
    )
