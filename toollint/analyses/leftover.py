"""Tasks that go on running when the function that answers for them is done.

Eight shapes, each certain by itself: what is still pending after the first of several has completed, and nobody looks
at it; a closer that asks its task to stop and returns before the task has heard of it; siblings that are cancelled on
one way out and not when one of them raises; a task that an async generator starts and polls while its reader may leave;
an endless task in an attribute that the class's closer does not mention; one that `async with` ends and `close` does
not; a task of an object's own method that nobody holds, so that the closer of the object cannot end it; and closing
itself as a task that nobody holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from toollint.analyses.closers import VERBS, ends_its_object
from toollint.analyses.release import is_closer
from toollint.analyses.values import Method, Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Chain,
    Clause,
    Collection,
    Compare,
    Comprehension,
    Const,
    Evaluate,
    Expr,
    For,
    Lambda,
    Name,
    Node,
    Raise,
    Return,
    Simple,
    Stmt,
    Try,
    While,
    With,
    Yield,
    argument,
    attribute_of,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_WORDS = frozenset({b"create_task", b"ensure_future"})
_STARTS = frozenset({Library("asyncio.create_task"), Library("asyncio.ensure_future")})
_LOOPS = frozenset({"loop", "_loop", "event_loop", "get_running_loop", "get_event_loop"})
_HANDLES = frozenset({"add_signal_handler", "signal"})
"""Functions that are given what handles a signal."""
_LOOKS = frozenset({"done", "result", "exception", "cancelled", "get_name", "set_name"})
"""What can be asked of a task without ending it."""

_LEAVES = frozenset({"all_tasks", "exit", "_exit"})
"""What reaches every task, or ends the process."""

Shape = Literal["pending", "cancelled", "siblings", "generator", "forgotten", "spared", "untracked", "closing"]


@dataclass(frozen=True, eq=False)
class Leftover:
    """Tasks that are left running.

    ``node`` is the statement that has to change, ``name`` what the tasks are called, ``started`` what started them, in
    which code; ``exit`` is where the function leaves them, ``closer`` the method that forgets them.
    """

    values: Values
    code: Code
    function: FunctionFacts
    shape: Shape
    node: Expr | Stmt
    name: str
    started: tuple[Code, Expr | Stmt] | None
    exit: Expr | Stmt | None = None
    closer: FunctionFacts | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Leftover]:
        """The tasks of a file, in source order of the code that leaves them."""
        if module.is_test or values.project.words(module.path).isdisjoint(_WORDS | {b"cancel"}):
            return
        for code in code_of(module, _WORDS | {b"cancel"}):
            if code.function is None:
                continue
            here = _Here(values, code, code.function)
            yield from here.forgotten()
            yield from here.spared()
            yield from here.untracked()
            yield from here.closing()
            if code.function.node.is_async:
                if not _is_whole_program(code.function):
                    yield from here.pending()
                    yield from here.siblings()
                yield from here.cancelled()
                yield from here.polled()

    @property
    def place(self) -> Place:
        """The statement that has to change."""
        return self.at(self.node)

    def at(self, node: Expr | Stmt) -> Place:
        """The place of a node of the function."""
        return self.code.at(node.start, node.end)


class _Here:
    """The tasks of one coroutine function."""

    def __init__(self, values: Values, code: Code, function: FunctionFacts) -> None:
        self.values = values
        self.code = code
        self.function = function

    def left(
        self, shape: Shape, node: Expr | Stmt, name: str, started: Expr | Stmt | None, leaves: Expr | Stmt | None = None
    ) -> Leftover:
        begun = (self.code, started) if started is not None else None
        return Leftover(self.values, self.code, self.function, shape, node, name, begun, leaves)

    # --- pending after the first

    def pending(self) -> Iterator[Leftover]:
        """``done, _ = await asyncio.wait(tasks, return_when=FIRST_COMPLETED)``, and nobody looks at the rest."""
        for stmt in walk(self.code.block, into=False):
            if not isinstance(stmt, Bind) or len(stmt.targets) != 1 or not isinstance(stmt.value, Await):
                continue
            target, call = stmt.targets[0], last_call(stmt.value)
            called = callee(stmt.value.value)
            if not isinstance(target, Collection) or len(target.items) != 2 or call is None or not call.args:
                continue
            rest, until = target.items[1], argument(call, "return_when")
            if not isinstance(rest, Name) or until is None or not last_name(until).startswith("FIRST_"):
                continue
            if self.values.of(self.code.scope, called) == Library("asyncio.wait") and not self.is_read(rest):
                tasks = self.tasks_of(call.args[0].value)
                if tasks and not self.is_in_loop_alone(stmt, tasks):
                    yield self.left("pending", stmt, rest.id, tasks[0])

    def is_read(self, name: Name) -> bool:
        """Whether anything else mentions the name."""
        return any(isinstance(n, Name) and n.id == name.id and n is not name for n in walk(self.function.node.body))

    def tasks_of(self, waited: Expr) -> list[Expr | Stmt]:
        """What starts the tasks that are waited for, where all are started here and nobody else ends one; else none."""
        if isinstance(waited, Name):
            many = self.made(waited.id, several=True)
            return [many] if many is not None and not self.is_ended(waited.id, {id(waited)}) else []
        if not isinstance(waited, Collection):
            return []
        found: list[Expr | Stmt] = []
        for item in waited.items:
            started = self.made(item.id, several=False) if isinstance(item, Name) else None
            if isinstance(item, Name) and self.is_ended(item.id, {id(item)}):
                return []
            if started is None and not self.starts(item):
                return []
            found.append(started or item)
        return found

    def is_in_loop_alone(self, stmt: Stmt, started: list[Expr | Stmt]) -> bool:
        """Whether a loop repeats the waiting and not the start: then the rest is waited for in the next round."""
        loops = [node for node in walk(self.code.block, into=False) if isinstance(node, For | While)]
        around = [{id(node) for node in walk(loop)} for loop in loops]
        return any(id(stmt) in inside and not all(id(one) in inside for one in started) for inside in around)

    # --- cancelled in a closer

    def cancelled(self) -> Iterator[Leftover]:
        """``self._task.cancel()`` in a closer that awaits nothing from there on."""
        function = self.function
        if function.cls is None or not _ends_its_object(function):
            return
        for stmt in walk(self.code.block, into=False):
            call = stmt.value if isinstance(stmt, Evaluate) else None
            if not isinstance(call, Chain) or len(call.links) != 3 or last_name(call) != "cancel":
                continue
            name = attribute_of(prefix(call, 1), function.receiver)
            started = self.task_in(name) if name is not None and last_call(call) is not None else None
            if name is None or started is None or self.waits_after(stmt) or self.is_awaited_elsewhere(name):
                continue
            yield Leftover(self.values, self.code, function, "cancelled", stmt, f"{function.receiver}.{name}", started)

    def task_in(self, name: str) -> tuple[Code, Expr | Stmt] | None:
        """The one place of the class that starts the task in an attribute, which does not call the closer itself."""
        cls = self.function.cls
        if cls is None:
            return None
        found = [
            (function, stmt)
            for function, stmt in self.values.field_assignments(cls, name)
            if stmt.value is not None and last_call(stmt.value) is not None
        ]
        if len(found) != 1 or found[0][1].value is None:
            return None
        function, stmt = found[0]
        code = Code(function.scope, function.origin, function.node.body)
        there = _Here(self.values, code, function)
        runs = there.coroutine(stmt.value) if stmt.value is not None and there.starts(stmt.value) else None
        if runs is None or any(isinstance(n, Attr) and n.name == self.function.name for n in walk(runs.node.body)):
            return None
        return code, stmt

    def coroutine(self, start: Expr) -> FunctionFacts | None:
        """The coroutine function of the project that a task runs."""
        call = last_call(start)
        coroutine = call.args[0].value if call is not None and call.args else None
        found = self.function.scope.bindings.get(coroutine.id, ()) if isinstance(coroutine, Name) else ()
        if len(found) == 1 and isinstance(found[0], Assigned):
            coroutine = found[0].stmt.value
        given = callee(coroutine) if coroutine is not None else None
        target = self.values.of(self.code.scope, given) if given is not None else None
        runs = target.function if isinstance(target, Method) else target
        return runs if isinstance(runs, FunctionFacts) else None

    def waits_after(self, stmt: Stmt) -> bool:
        """Whether the function awaits anything after a statement, or in a loop around it."""
        nodes = [*walk(self.code.block, into=False)]
        if any(_waits(node) and node.start > stmt.start for node in nodes):
            return True
        around = (node for node in nodes if isinstance(node, For | While) and node.start < stmt.start < node.end)
        return any(_waits(part) for loop in around for part in walk(loop, into=False))

    def is_awaited_elsewhere(self, name: str) -> bool:
        """Whether another method of the class awaits the attribute or hands it to anything."""
        cls = self.function.cls
        if cls is None:
            return True
        for method in (one for ancestor in self.values.project.lineage(cls).classes for one in ancestor.functions):
            for node in walk(method.node.body):
                if isinstance(node, Await) and any(_is_attribute(part, method, name) for part in walk(node)):
                    return True
        return False

    # --- forgotten by the closer

    def forgotten(self) -> Iterator[Leftover]:
        """``self._task = create_task(self._endless())`` in a class whose closer leaves the task alone."""
        function = self.function
        cls = function.cls
        for stmt in walk(self.code.block, into=False) if cls is not None and not is_closer(function.name) else ():
            value = stmt.value if isinstance(stmt, Bind) and len(stmt.targets) == 1 else None
            name = attribute_of(stmt.targets[0], function.receiver) if value is not None else None
            if cls is None or value is None or name is None or not self.starts(value) or self.is_mentioned(name):
                continue
            runs = self.coroutine(value)
            closer = _closer(self.values, cls)
            if runs is not None and closer is not None and any(map(_is_endless, walk(runs.node.body, into=False))):
                left = self.left("forgotten", stmt, f"{function.receiver}.{name}", None)
                yield replace(left, closer=closer)

    # --- ended by one closer of two

    def spared(self) -> Iterator[Leftover]:
        """``self._task = create_task(...)``, which ``__aexit__`` waits for, while ``close`` leaves it alone."""
        cls = self.function.cls
        leaving = cls.methods.get("__aexit__") if cls is not None else None
        if cls is None or leaving is None or is_closer(self.function.name):
            return
        closers = [one for one in cls.functions if one.name in VERBS and one.node.is_async and ends_its_object(one)]
        ending, others = self.reached(leaving), [self.reached(one) for one in closers]
        independent = [one for one in others if leaving not in one and not any(each in ending for each in closers)]
        for stmt in walk(self.code.block, into=False) if independent else ():
            value = stmt.value if isinstance(stmt, Bind) and len(stmt.targets) == 1 else None
            name = attribute_of(stmt.targets[0], self.function.receiver) if value is not None else None
            if name is None or value is None or not self.starts(value) or self.coroutine(value) is None:
                continue
            ends = any(_mentions_attribute(one, name) for one in ending) and any(map(_waits, _nodes(ending)))
            spare = next((one for one in independent if not any(_mentions_attribute(m, name) for m in one)), None)
            if ends and spare is not None and any(map(_waits, _nodes(spare[:1]))):
                left = self.left("spared", stmt, f"{self.function.receiver}.{name}", None)
                yield replace(left, closer=spare[0])

    def reached(self, method: FunctionFacts) -> list[FunctionFacts]:
        """A method and those of its object that it calls, however far."""
        found = [method]
        for one in found:  # grows on the way
            for node in walk(one.node.body):
                called = attribute_of(prefix(node, 1), one.receiver) if isinstance(node, Chain) else None
                helper = one.cls.methods.get(called) if called is not None and one.cls is not None else None
                if helper is not None and helper not in found:
                    found.append(helper)
        return found

    # --- kept nowhere

    def untracked(self) -> Iterator[Leftover]:
        """``create_task(self._work())``, held by nobody, in a class that is closed by a coroutine of its own."""
        cls = self.function.cls
        closer = next((one for one in cls.functions if _ends_its_object(one)), None) if cls is not None else None
        if cls is None or closer is None or is_closer(self.function.name) or _mentions_any(cls, _LEAVES):
            return
        for stmt, start in self.unheld(self.code.block):
            runs = self.coroutine(start) if closer.node.is_async else None
            own = runs is not None and runs.cls is not None and runs.cls in self.values.project.lineage(cls).classes
            if own and runs is not None and not is_closer(runs.name) and any(map(_waits, walk(runs.node.body))):
                left = self.left("untracked", stmt, f"{self.function.receiver}.{runs.name}", None)
                yield replace(left, closer=closer)

    def closing(self) -> Iterator[Leftover]:
        """``create_task(self.close())``, held by nobody, in a function that does not wait for it."""
        able = not self.function.node.is_async and self.function.name != "__del__"  # a coroutine may be what it ends
        for stmt, start in self.unheld((*(self.code.block if able else ()), *self.handlers())):
            runs = self.coroutine(start)
            ends = runs is not None and is_closer(runs.name) and any(map(_waits, walk(runs.node.body)))
            if runs is not None and ends and not _tells_at_the_end(runs):
                yield self.left("closing", stmt, runs.name, None)

    def handlers(self) -> Iterator[Evaluate]:
        """What the lambdas do that are given to handle signals."""
        for node in walk(self.code.block, into=False):
            call = last_call(node) if isinstance(node, Chain) and last_name(node) in _HANDLES else None
            for arg in call.args if call is not None else ():
                if isinstance(arg.value, Lambda):
                    yield Evaluate(arg.value.body, arg.value.body.start, arg.value.body.end)

    def unheld(self, block: tuple[Stmt, ...]) -> Iterator[tuple[Stmt, Expr]]:
        """The statements that start a task and keep it nowhere, and what starts it; a callback holds no task."""
        for stmt in walk(block, into=False):
            if isinstance(stmt, Evaluate) and self.starts(stmt.value):
                yield stmt, stmt.value
            elif isinstance(stmt, Bind) and len(stmt.targets) == 1 and isinstance(stmt.targets[0], Name):
                name, started = stmt.targets[0].id, self.made(stmt.targets[0].id, several=False)
                held = started is not stmt or self.is_ended(name, set(), frozenset({"add_done_callback"}))
                if stmt.value is not None and not held:
                    yield stmt, stmt.value

    def is_mentioned(self, name: str) -> bool:
        """Whether the project does anything with an attribute of that name but to assign it and to look at the task."""
        used = re.compile(
            rb"""\.\s*%b\b(?!\s*(?::[^=\r\n]*)?=(?!=)|\s*\.\s*(?:done|cancelled)\b|\s+is\b)|["']%b["']"""
            % ((name.encode(),) * 2)
        )
        return any(used.search(module.utf8) for module in self.values.project.mentioning(name))

    # --- siblings

    def siblings(self) -> Iterator[Leftover]:
        """Tasks awaited one by one that are cancelled on one way out, and left when the `await` raises."""
        body = self.function.node.body
        for loop in walk(self.code.block, into=False):
            if not isinstance(loop, For) or not isinstance(loop.target, Name):
                continue
            name = _completed(loop.iter)
            many = self.made(name, several=True) if name else None
            if many is None or self.is_guarded(loop, name):
                continue
            awaited = next((n for n in walk(loop.body, into=False) if _awaits(n, loop.target.id)), None)
            cancels = any(isinstance(n, For | Clause) and _cancels(n, name) for n in walk(body))
            if awaited is not None and cancels:
                yield self.left("siblings", loop, name, many, awaited)

    def is_guarded(self, loop: For, name: str) -> bool:
        """Whether a `try` in or around the loop catches anything, or ends the tasks in any case."""
        tries = [node for node in walk(self.function.node.body, into=False) if isinstance(node, Try)]
        inside = {id(node) for node in walk(loop)}
        for one in tries:
            around = id(loop) in {id(node) for node in walk(one.body)}
            if (around or id(one) in inside) and (one.handlers or _mentions(one.final, name)):
                return True
        return False

    # --- polled by a generator

    def polled(self) -> Iterator[Leftover]:
        """A task that an async generator awaits in the end, with a `yield` before, where its reader may leave."""
        nodes = [*walk(self.code.block, into=False)]
        yields = [node for node in nodes if isinstance(node, Yield)]
        if not yields or _is_run_by_with(self.function):
            return
        last = [part for node in nodes if isinstance(node, Try) for part in walk(node.final, node.handlers)]
        for stmt in nodes:
            if not isinstance(stmt, Bind) or not isinstance(stmt.targets[0], Name):
                continue
            target = stmt.targets[0]
            if self.made(target.id, several=False) is not stmt:
                continue
            awaited = [node for node in nodes if _awaits(node, target.id)]
            between = [one for one in yields if awaited and stmt.end <= one.start < max(n.start for n in awaited)]
            waited = any(_awaits(node, target.id) for node in last)  # the generator does not go before its task is done
            if between and not waited and not self.is_ended(target.id, {id(n.value) for n in awaited}):
                yield self.left("generator", stmt, target.id, stmt, between[0])

    # --- names

    def made(self, name: str, *, several: bool) -> Bind | None:
        """The only statement that binds a name, where it starts a task, or several at once."""
        bindings = self.function.scope.bindings.get(name, ())
        stmt = bindings[0].stmt if len(bindings) == 1 and isinstance(bindings[0], Assigned) else None
        if stmt is None or stmt.value is None:
            return None
        value = stmt.value
        if not several:
            return stmt if self.starts(value) else None
        if isinstance(value, Comprehension) and value.kind in {"list", "set"}:
            return stmt if self.starts(value.elements[0]) else None
        if isinstance(value, Collection) and value.items:
            return stmt if all(self.starts(item) for item in value.items) else None
        return None

    def starts(self, expr: Expr) -> bool:
        """Whether an expression starts a task that belongs to no group."""
        called = callee(expr)
        if called is None or last_name(called).encode() not in _WORDS:
            return False
        if self.values.of(self.code.scope, called) in _STARTS:
            return True
        return isinstance(called, Chain) and last_name(prefix(called, len(called.links) - 1)) in _LOOPS

    def is_ended(self, name: str, innocent: set[int], looks: frozenset[str] = frozenset()) -> bool:
        """Whether anything is done with tasks of that name but to look at them: somebody may end them."""
        for node in walk(self.function.node.body):
            if isinstance(node, Bind):
                innocent |= {id(target) for target in node.targets}
            elif isinstance(node, Compare):
                innocent |= {id(operand) for operand in node.operands}
            elif isinstance(node, Chain) and isinstance(node.links[0], Attr) and node.links[0].name in _LOOKS | looks:
                innocent.add(id(node.base))
            elif isinstance(node, Name) and node.id == name and id(node) not in innocent:
                return True
        return False


def _closer(values: Values, cls: ClassFacts) -> FunctionFacts | None:
    """The method that ends the life of objects of a class; None where it has none, or its bases may have another."""
    lineage = values.project.lineage(cls)
    methods = (one for ancestor in lineage.classes for one in ancestor.methods.values())
    return next((one for one in methods if lineage.known and _ends_its_object(one)), None)


def _ends_its_object(method: FunctionFacts) -> bool:
    return method.name in {*VERBS, "__exit__", "__aexit__"} and ends_its_object(method)


def _nodes(functions: Sequence[FunctionFacts]) -> Iterator[Node]:
    return (node for one in functions for node in walk(one.node.body))


def _mentions_attribute(method: FunctionFacts, name: str) -> bool:
    return any(_is_attribute(node, method, name) for node in walk(method.node.body))


def _mentions_any(cls: ClassFacts, words: frozenset[str]) -> bool:
    return any(isinstance(n, Attr | Name) and _word(n) in words for one in cls.functions for n in walk(one.node.body))


def _word(node: Attr | Name) -> str:
    return node.name if isinstance(node, Attr) else node.id


def _tells_at_the_end(closer: FunctionFacts) -> bool:
    """Whether a closer says that it is done when it is: it stops the loop, ends the process, sets an event last."""
    for node in walk(closer.node.body):
        if isinstance(node, Attr | Name) and _word(node) in _LEAVES:
            return True
        if isinstance(node, Chain) and re.search(r"loop", "".join(_words(node))) and last_name(node) == "stop":
            return True
    last = closer.node.body[-1]
    while isinstance(last, Try | With):
        last = ((last.final or last.orelse or last.body) if isinstance(last, Try) else last.body)[-1]
    return isinstance(last, Evaluate) and last_name(last.value) in {"set", "set_result", "put_nowait"}


def _words(chain: Chain) -> Iterator[str]:
    yield from (_word(one) for one in (chain.base, *chain.links) if isinstance(one, Attr | Name))


def _is_endless(node: Node) -> bool:
    """Whether a node is a loop that only an exception ends."""
    if not isinstance(node, While) or not isinstance(node.test, Const) or not node.test.value:
        return False
    leaves = (part for part in walk(node.body, into=False) if isinstance(part, Return | Raise | Simple))
    return all(isinstance(part, Simple) and part.word != "break" for part in leaves)


def _is_whole_program(function: FunctionFacts) -> bool:
    """Whether an event loop is run for the function: with it ends the loop, which cancels what is left."""
    run = rb"run\w*\(\s*(?:\w+\s*=\s*)?(?:\w+\.)?%b(?:\(|\s*[,)])" % function.name.encode()
    return function.name == "main" or re.search(run, function.module.utf8) is not None


def _waits(node: Node) -> bool:
    return isinstance(node, Await) or (isinstance(node, For | With) and node.is_async)


def _awaits(node: Node, name: str) -> bool:
    return isinstance(node, Await) and isinstance(node.value, Name) and node.value.id == name


def _is_attribute(node: Node, method: FunctionFacts, name: str) -> bool:
    return isinstance(node, Chain) and attribute_of(prefix(node, 1), method.receiver) == name


def _completed(expr: Expr) -> str:
    """The name of the tasks that a loop takes one by one, in their order or as they complete."""
    if isinstance(expr, Name):
        return expr.id
    call = last_call(expr)
    first = call.args[0].value if call is not None and call.args and last_name(expr) == "as_completed" else None
    return first.id if isinstance(first, Name) else ""


def _cancels(node: For | Clause, name: str) -> bool:
    """Whether a loop over the tasks cancels them."""
    iterates = isinstance(node.iter, Name) and node.iter.id == name
    body = node.body if isinstance(node, For) else ()
    return iterates and any(isinstance(part, Attr) and part.name == "cancel" for part in walk(body))


def _mentions(block: tuple[Stmt, ...], name: str) -> bool:
    return any(isinstance(node, Name) and node.id == name for node in walk(block))


def _is_run_by_with(function: FunctionFacts) -> bool:
    """Whether a decorator may run the generator in a way of its own."""
    return bool(function.decorators)
