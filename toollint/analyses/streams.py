"""Loops over a model provider's stream that may be left before its end, in functions that do not close it.

A stream holds a connection until it is read to the end or closed. Left early, the answer goes on arriving, and the
connection is kept out of its client's pool. A loop is left early by `break`, `return` and `raise`, where a callback of
the caller's fails, and at every `yield` of a generator whose consumer stops. A generator of the project that reads a
stream for somebody else leaves it with whoever obtained it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.release import is_closer
from toollint.analyses.values import Instance, Method, Values
from toollint.catalog import Resource
from toollint.facts import Assigned, Code, FunctionFacts, ModuleFacts, Parameter, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Class,
    Clause,
    Collection,
    Def,
    Expr,
    For,
    Lambda,
    Name,
    Raise,
    Return,
    Simple,
    While,
    With,
    Yield,
    callee,
    is_name,
    last_call,
    last_name,
    walk,
)

_LOOP = re.compile(rb"\bfor\b[^\n]*\bin\b")
_STREAM = "llm-stream"
_LOOKS = frozenset({"isinstance", "hasattr", "type", "callable", "print", "repr", "str", "id", "bool", "cast"})
"""Functions that only look at what they are given."""
_CLOSING = frozenset({"closing", "aclosing", "enter_context", "enter_async_context", "push_async_exit"})
_ENDS = re.compile(r"clos|cancel|finish|releas|drain")


@dataclass(frozen=True, eq=False)
class StreamLoop:
    """A loop over a stream that may be left early, and nothing in the function closes the stream.

    ``name`` is that of the stream, empty where it is made in the head of the loop; ``through`` is the project's
    generator that reads it for the loop. ``exit`` is the node that leaves the loop, ``word`` what a message calls it.
    """

    values: Values
    code: Code
    function: FunctionFacts
    loop: For
    resource: Resource
    name: str
    through: FunctionFacts | None
    exit: Yield | Return | Raise | Simple | Await
    word: str

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[StreamLoop]:
        """The loops of a file that may leave a stream behind, in source order of the code that they stand in."""
        words = frozenset(word for word in values.project.words(module.path) if b"tream" in word)
        if not words or module.is_test or not _LOOP.search(module.utf8):
            return
        for code in code_of(module, words):
            if code.function is not None and not (code.function.is_manager or code.function.is_fixture):
                for node in walk(code.block, into=False):
                    if isinstance(node, For):
                        yield from _left_early(values, code, code.function, node)

    @property
    def place(self) -> Place:
        """The head of the loop."""
        return self.code.at(self.loop.start, self.loop.iter.end)

    @property
    def whole(self) -> Place:
        """The loop."""
        return self.code.at(self.loop.start, self.loop.end)

    @property
    def is_sure(self) -> bool:
        """Whether the stream has a name, and comes from a call that the catalogue knows."""
        found = _assignment(self.function, self.name)
        return found is not None and self.values.acquisition(self.code.scope, found.value) is not None

    @property
    def leaves(self) -> Place:
        """What leaves the loop."""
        return self.code.at(self.exit.start, self.exit.end)

    @property
    def obtained(self) -> Place | None:
        """The statement that gave the stream its name, None for a parameter and where the loop's head makes it."""
        found = _assignment(self.function, self.name)
        return None if found is None else self.code.at(found.start, found.end)


def _left_early(values: Values, code: Code, function: FunctionFacts, loop: For) -> Iterator[StreamLoop]:
    stream, through = _read_by(values, code.scope, loop.iter)
    resource = _stream(values, function, stream)
    left = next(_exits(function, loop), None) if resource is not None else None
    if resource is None or left is None:
        return
    named = _uncast(values, code.scope, stream)
    name = named.id if isinstance(named, Name) else ""
    if name and (name not in function.scope.bindings or _is_answered_for(function, loop, name)):
        return
    if any(_closes(node, one) for one in _renamed(function, name) for node in walk(function.node.body)):
        return
    if _is_parameter(function, name) and (function.is_generator or not _is_left_with(values, function)):
        return
    yield StreamLoop(values, code, function, loop, resource, name, through, *left)


# --- what is read ------------------------------------------------------------------------------------------------


def _read_by(values: Values, scope: Scope, expr: Expr) -> tuple[Expr, FunctionFacts | None]:
    """What a loop reads in the end: a generator of the project may read, for it, a stream that it is handed."""
    call, called = last_call(expr), callee(expr)
    target = values.of(scope, called) if called is not None else None
    reader = target.function if isinstance(target, Method) else target
    if call is None or not isinstance(reader, FunctionFacts) or not reader.is_generator:
        return expr, None
    bound = reader.receiver is not None and not (isinstance(target, FunctionFacts) and not reader.is_classmethod)
    params = reader.node.params[1 if bound else 0 :]
    for index, arg in enumerate(call.args):
        named = (p.name for p in params if p.name == arg.keyword)
        name = next(named, "") if arg.keyword else params[index].name if index < len(params) else ""
        given = _uncast(values, scope, arg.value)
        if isinstance(given, Name) and not arg.stars and _reads(reader, name):
            return arg.value, reader
    return expr, None


def _uncast(values: Values, scope: Scope, expr: Expr) -> Expr:
    """The expression itself where `typing.cast` is around it."""
    call, called = last_call(expr), callee(expr)
    if call is None or len(call.args) != 2 or values.of(scope, called) != Library("typing.cast"):
        return expr
    return call.args[1].value


def _reads(reader: FunctionFacts, name: str) -> bool:
    """Whether a generator loops over what it is given under that name, and leaves it open."""
    loops = (node for node in walk(reader.node.body, into=False) if isinstance(node, For))
    return any(is_name(loop.iter, name) and not _is_answered_for(reader, loop, name) for loop in loops)


def _stream(values: Values, function: FunctionFacts, expr: Expr) -> Resource | None:
    """The catalogue's row where an expression gives a stream that stays open when it is dropped."""
    scope = function.scope
    found = values.acquisition(scope, expr)
    name = found.resource.name if found is not None else ""
    call = last_call(expr)
    if call is not None and _uncast(values, scope, expr) is not expr:
        allowed = values.annotation(scope, call.args[0].value)
        instance = allowed[0] if len(allowed) == 1 else None
    else:
        instance = values.instance(scope, expr) or _unpacked(values, function, expr)
    if not name and instance is not None and isinstance(instance.cls, Library):
        name = instance.cls.name
    resource = values.catalog.resource(name) if name else None
    return resource if resource is not None and _is_kept_open(resource) else None


def _is_kept_open(resource: Resource) -> bool:
    return resource.category == _STREAM and resource.leak == "open after gc"


def _unpacked(values: Values, function: FunctionFacts, expr: Expr) -> Instance | None:
    """What a name is that a tuple is unpacked into, by the annotation of the function that returns the tuple."""
    if not isinstance(expr, Name):
        return None
    for stmt in walk(function.node.body, into=False):
        target = stmt.targets[0] if isinstance(stmt, Bind) and len(stmt.targets) == 1 else None
        if isinstance(target, Collection) and any(is_name(item, expr.id) for item in target.items):
            index = next(i for i, item in enumerate(target.items) if is_name(item, expr.id))
            return _item(values, function.scope, stmt.value, index, len(target.items))
    return None


def _item(values: Values, scope: Scope, value: Expr | None, index: int, size: int) -> Instance | None:
    """The item of the one tuple of that size that a call may return, as annotated."""
    called = callee(value.value if isinstance(value, Await) else value) if value is not None else None
    target = values.of(scope, called) if called is not None else None
    returning = target.function if isinstance(target, Method) else target
    if not isinstance(returning, FunctionFacts):
        return None
    allowed = values.annotation(returning.outer, returning.node.returns)
    tuples = [one for one in allowed if one.name in {"tuple", "Tuple"} and len(one.args) == size]
    return tuples[0].args[index][0] if len(tuples) == 1 and len(tuples[0].args[index]) == 1 else None


# --- how it is left ----------------------------------------------------------------------------------------------


def _exits(function: FunctionFacts, loop: For) -> Iterator[tuple[Yield | Return | Raise | Simple | Await, str]]:
    """What leaves a loop before its end, surest first: statements, then the callbacks of whoever called."""
    inner = [node for node in walk(loop.body, into=False) if isinstance(node, For | While)]
    jumps = {id(node) for one in inner for node in walk(one.body) if isinstance(node, Simple)}
    nodes = [*walk(loop.body, into=False)]
    for node in nodes:
        if isinstance(node, Return | Raise) or (
            isinstance(node, Simple) and node.word == "break" and id(node) not in jumps
        ):
            yield node, node.word if isinstance(node, Simple) else type(node).__name__.lower()
    for node in nodes:
        if isinstance(node, Yield):
            yield node, "yield"
    for node in nodes:
        called = callee(node.value) if isinstance(node, Await) else None
        if isinstance(called, Name) and _is_parameter(function, called.id):
            yield node, called.id


# --- who answers for it ------------------------------------------------------------------------------------------


def _is_answered_for(function: FunctionFacts, loop: For, name: str) -> bool:
    """Whether the function does anything with a stream but read it and look at it: then somebody may close it."""
    innocent = {id(node) for node in walk(loop.iter)}
    for node in walk(function.node.body, into=False):
        if isinstance(node, Def | Class | Lambda):
            if any(is_name(part, name) for part in walk(node)):
                return True
        elif _closes(node, name) or (is_name(node, name) and id(node) not in innocent):
            return True
        innocent |= {id(part) for part in _looked_at(node)}
    return False


def _looked_at(node: object) -> Iterator[object]:
    """What a node only reads, or gives a name to."""
    if isinstance(node, Chain):
        yield node.base
        if isinstance(node.links[-1], Call) and last_name(node) in _LOOKS:
            yield from (arg.value for arg in node.links[-1].args)
    elif isinstance(node, For | Clause):
        yield node.iter
    elif isinstance(node, Bind):
        yield from walk(node.targets)


def _closes(node: object, name: str) -> bool:
    """Whether a node enters something of that name, calls a closer of it, or hands it to what sounds like one."""
    if isinstance(node, With):
        return any(is_name(part, name) for item, _ in node.items for part in walk(item))
    if not isinstance(node, Chain):
        return False
    if isinstance(node.links[-1], Call) and any(is_name(arg.value, name) for arg in node.links[-1].args):
        return _ENDS.search(last_name(node)) is not None
    return is_name(node.base, name) and any(isinstance(link, Attr) and is_closer(link.name) for link in node.links)


def _renamed(function: FunctionFacts, name: str) -> Iterator[str]:
    """The names that a name is assigned from: the stream may be closed under one of these."""
    for binding in function.scope.bindings.get(name, ()):
        if isinstance(binding, Assigned) and isinstance(binding.stmt.value, Name):
            yield binding.stmt.value.id


def _is_left_with(values: Values, function: FunctionFacts) -> bool:
    """Whether the function is called in the project, and none of its callers closes anything."""
    word = function.name.encode()
    callers = [
        code
        for module in values.project.mentioning(function.name)
        if not module.is_test
        for code in code_of(module, frozenset({word}))
        if code.function not in (None, function) and any(_is_call_of(node, function.name) for node in walk(code.block))
    ]
    return bool(callers) and not any(_closes_anything(node) for code in callers for node in walk(code.block))


def _closes_anything(node: object) -> bool:
    """Whether a node may close something: a `with`, a closer, `closing`."""
    word = node.name if isinstance(node, Attr) else node.id if isinstance(node, Name) else ""
    return isinstance(node, With) or (bool(word) and (is_closer(word) or word in _CLOSING))


def _is_call_of(node: object, name: str) -> bool:
    return isinstance(node, Chain) and isinstance(node.links[-1], Call) and last_name(node) == name


def _is_parameter(function: FunctionFacts, name: str) -> bool:
    return any(isinstance(binding, Parameter) for binding in function.scope.bindings.get(name, ()))


def _assignment(function: FunctionFacts, name: str) -> Bind | None:
    """The first statement that binds a name, alone or in a tuple."""
    for stmt in walk(function.node.body, into=False):
        if isinstance(stmt, Bind) and any(is_name(part, name) for target in stmt.targets for part in walk(target)):
            return stmt
    return None
