"""Database sessions and connections that are held while something waits for a model.

A connection is held from the head of its `with` to the end of the block, a session from its first use to the next
commit: in its block, or in the function that a framework gives it to for one request. What waits is known by the
catalogue, by unmistakable names, or because a function of the project that is called there does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from toollint.analyses.values import Instance, Method, Values
from toollint.facts import Assigned, ClassFacts, Code, Entered, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.source import identifiers
from toollint.syntax import (
    Attr,
    Block,
    Call,
    Chain,
    Expr,
    Name,
    Node,
    Param,
    With,
    Yield,
    callee,
    is_name,
    last_name,
    prefix,
    walk,
)

_STEPS = 3
"""How many functions and managers of the project in a row are followed."""
_ASKS = re.compile(
    r"a?(?:invoke|stream|batch|complete|chat|generate|predict|call|run|query|kickoff|respond|stream_chat|stream_complete"
    r"|generate_content|structured_predict|create|parse)(?:_sync|_async|_stream|_streamed)?"
)
"""Methods of models, agents and graphs that wait for an answer."""
_MODEL = re.compile(r"_*(?:\w+_)?(?:llm|chat_model|language_model)(?:_with_tools|_client)?")
"""Names that only a model has."""
_RUNNABLE = re.compile(r"_*(?:\w+_)?(?:llm|model|chain|agent|graph|runnable|chat)(?:_with_\w+)?")
_INVOKES = frozenset({"invoke", "ainvoke"})
"""Names of what can be invoked, and the verbs that are said of nothing else."""
_COMPLETIONS = ("chat", "completions")
_TAKES = re.compile(r"\w*(?:session|conn|db|database|engine|transaction|unit_of_work|uow|begin|pool)\w*", re.IGNORECASE)
"""How sessions, connections and what gives them are called."""
_ASKED = frozenset({"model", "agent", "graph"})
_GIVES_UP = frozenset({"commit", "rollback", "close", "aclose", "remove", "invalidate", "expunge_all"})
"""What gives a session's connection back to the pool before the end of the block."""
_IDLE = frozenset({"add", "add_all", "begin", "expire", "expunge", "info", "is_active", "get_bind", "no_autoflush"})
"""What is done with a session without a connection."""
_HEADS = re.compile(rb"with|Depends|\w*Dep|\w*Session\w*|\w*(?:DB|Db|Database)")
"""What a function mentions that takes a session, or is given one: a `with`, a dependency, or a name for its type."""
_LATER = frozenset(
    {"create_task", "ensure_future", "add_task", "submit", "Thread", "run_in_executor", "call_soon", "partial"}
)
"""Calls that have something done later, or elsewhere."""


class Taken(NamedTuple):
    """What the head of a `with` takes: the ``kind`` of object, and whether it holds a connection ``at_once``."""

    kind: str
    at_once: bool


class Wait(NamedTuple):
    """A call that waits for a model: what is ``called``, and ``inner``, the place where the model is asked."""

    call: Expr
    called: str
    inner: Place | None


@dataclass(frozen=True, eq=False)
class HeldSession:
    """A session or connection, and the first call that waits for a model while it is held.

    ``taken_at`` is the head of the `with` that takes it, or the parameter ``for_request`` that brings it.
    """

    code: Code
    name: str
    taken_at: Place
    for_request: bool
    wait: Wait

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[HeldSession]:
        """Those of a file, in source order."""
        mentioned = frozenset() if module.is_test else values.project.words(module.path)
        words = {word for word in mentioned if _HEADS.fullmatch(word)}
        for code in code_of(module, frozenset(words)) if words else ():
            if code.function is not None:
                yield from cls._given(values, code, code.function)
                for node in walk(code.block, into=False):
                    if isinstance(node, With):
                        yield from cls._entered(values, code, node)

    @classmethod
    def _entered(cls, values: Values, code: Code, block: With) -> Iterator[HeldSession]:
        """What a `with` takes."""
        for context, target in block.items:
            name = target.id if isinstance(target, Name) else ""
            taken = _taken(values, code.scope, context, _STEPS) if _may_take(context, name) else None
            if taken is not None:
                at = code.at(context.start, context.end)
                for wait in _held(values, code, block.body, name, at_once=taken.at_once):
                    yield cls(code, name or taken.kind, at, for_request=False, wait=wait)
                    return

    @classmethod
    def _given(cls, values: Values, code: Code, function: FunctionFacts) -> Iterator[HeldSession]:
        """What a dependency brings, which has it back when the request is over."""
        for param in function.node.params:
            found = _dependency(values, function, param)
            kinds = values.annotation(function.outer, param.annotation) if found is not None else ()
            if found is not None and len(kinds) == 1 and _by_type(values, kinds[0]) is not None:
                for wait in _held(values, code, code.block, param.name, at_once=False):
                    yield cls(code, param.name, code.at(found.start, found.end), for_request=True, wait=wait)
                    break

    @property
    def place(self) -> Place:
        """The call that waits."""
        return self.code.at(self.wait.call.start, self.wait.call.end)


def _dependency(values: Values, function: FunctionFacts, param: Param) -> Expr | None:
    """What tells that a framework brings the parameter: ``Depends(...)`` as its default, or its annotation."""
    scope = function.outer
    alias = values.project.resolve(scope, param.annotation)
    one = alias.bindings[0] if isinstance(alias, Variable) and len(alias.bindings) == 1 else None
    if _depends(values, scope, param.default):
        return param.default
    if isinstance(one, Assigned) and isinstance(alias, Variable) and _depends(values, alias.scope, one.stmt.value):
        return param.annotation
    return param.annotation if _depends(values, scope, param.annotation) else None


def _depends(values: Values, scope: Scope, expr: Expr | None) -> bool:
    for node in walk(expr):
        target = values.of(scope, callee(node)) if isinstance(node, Chain) else None
        entry = values.catalog.entry(target.name) if isinstance(target, Library) else None
        if entry is not None and entry.role == "dependency":
            return True
    return False


# --- what a `with` takes -----------------------------------------------------------------------------------------


def _may_take(context: Expr, name: str) -> bool:
    """Whether anything in the head of a `with` is called as sessions and connections are."""
    words = [node.id for node in walk(context) if isinstance(node, Name)]
    words += [node.name for node in walk(context) if isinstance(node, Attr)]
    return any(map(_TAKES.fullmatch, [*words, name]))


def _taken(values: Values, scope: Scope, expr: Expr | None, steps: int) -> Taken | None:
    """What entering an expression gives, where that is a session or a connection of a database."""
    if expr is None or not steps:
        return None
    found = _by_type(values, values.instance(scope, expr))
    row = values.acquisition(scope, expr)
    if found is not None and (not found.at_once or (row is not None and row.kind == "method")):
        return found  # a connection of its own, that no pool gave, is missing nowhere
    if isinstance(expr, Name):
        bound = scope.bindings.get(expr.id, ())
        one = bound[0] if len(bound) == 1 else None
        if isinstance(one, Entered):
            return _taken(values, scope, one.context, steps - 1)
        return _taken(values, scope, one.stmt.value, steps - 1) if isinstance(one, Assigned) else None
    return _by_call(values, scope, expr, steps)


def _by_type(values: Values, given: object) -> Taken | None:
    """A session or connection by its type, or by that of what a manager yields."""
    if not isinstance(given, Instance) or not isinstance(given.cls, Library):
        return None
    if given.args and given.cls.name.startswith(("typing.", "collections.abc.", "contextlib.")):
        return _by_type(values, given.args[0][0]) if given.args[0] else None
    row = values.catalog.resource(given.cls.name)
    if row is None or row.category != "db" or row.pool or row.thread_bound:
        return None
    kind = row.name.rpartition(".")[2]
    if not kind.endswith(("Session", "Connection")):
        return None
    return Taken(kind, at_once=kind.endswith("Connection"))


def _by_call(values: Values, scope: Scope, expr: Expr, steps: int) -> Taken | None:
    """A session by the factory that makes it, or the manager that yields it."""
    called = callee(expr)
    target = values.of(scope, called)
    function = target.function if isinstance(target, Method) else target
    if isinstance(target, Library):
        row = values.catalog.acquisition(target.name)
        return _by_type(values, Instance(Library(row.resource.name)) if row is not None and row.manager else None)
    if isinstance(function, FunctionFacts):
        given = values.returned(function)
        return _yielded(values, function, steps) if function.is_manager else _by_type(values, given)
    if isinstance(called, Chain) and isinstance(called.links[-1], Attr) and called.links[-1].name == "begin":
        target = values.of(scope, prefix(called, len(called.links) - 1))
    return Taken("Session", at_once=False) if _is_factory(values, target) else None


def _is_factory(values: Values, value: object) -> bool:
    """Whether it is an object that makes sessions when it is called."""
    if not isinstance(value, Instance) or not isinstance(value.cls, Library):
        return False
    row = values.catalog.resource(value.cls.name)
    return row is not None and row.category == "factory"


def _yielded(values: Values, function: FunctionFacts, steps: int) -> Taken | None:
    """What a generator that is a manager yields."""
    found = [
        _taken(values, function.scope, node.value, steps - 1)
        for node in walk(function.node.body, into=False)
        if isinstance(node, Yield) and not node.delegates
    ]
    return found[0] if found and all(one == found[0] for one in found) else None


# --- what waits --------------------------------------------------------------------------------------------------


def _held(values: Values, code: Code, block: Block, name: str, *, at_once: bool) -> Iterator[Wait]:
    """The calls in a block that wait for a model while a session is in use, in source order."""
    for call in _run_here(block):
        found = _asked(values, code, call, _STEPS)
        if found is not None and (at_once or _is_in_use(values, code, block, name, call)):
            inside = code.at(call.start, call.end)
            yield Wait(call, _written(call), None if found == inside else found)


def _run_here(block: Block) -> Iterator[Chain]:
    """The calls that statements make themselves, not those that they leave to somebody else."""
    nodes = [*walk(block, into=False)]
    later = {
        id(part)
        for node in nodes
        for index, link in enumerate(node.links if isinstance(node, Chain) else ())
        if isinstance(link, Call) and last_name(prefix(node, index)) in _LATER
        for arg in link.args
        for part in walk(arg.value)
    }
    for node in nodes:
        if isinstance(node, Chain) and id(node) not in later:
            for index, link in enumerate(node.links):
                whole = node if index + 1 == len(node.links) else prefix(node, index + 1)
                if isinstance(link, Call) and isinstance(whole, Chain):
                    yield whole


def _asked(values: Values, code: Code, call: Chain, steps: int) -> Place | None:
    """Where a call, or a function of the project that it runs, asks a model."""
    called = callee(call)
    word = last_name(call)
    if called is None or not steps:
        return None
    target = values.of(code.scope, called)
    if _is_model_call(values, called, word, target):
        return code.at(call.start, call.end)
    function = target.function if isinstance(target, Method) else target
    if not isinstance(function, FunctionFacts) or function.is_generator:
        return None
    body = Code(function.scope, function.origin, function.node.body)
    if function is code.function or not _is_run_through(function):
        return None
    return next((place for one in _run_here(body.block) if (place := _asked(values, body, one, steps - 1))), None)


def _is_model_call(values: Values, called: Expr, word: str, target: object) -> bool:
    if isinstance(target, Library):
        row, answer = values.catalog.acquisition(target.name), values.catalog.find("returns", target.name)
        if row is not None and row.resource.category == "llm-stream" and row.resource.release:
            return True
        kind = values.catalog.kind(answer[1]["type"]) if answer is not None else None
        owner = values.catalog.kind(target.name.rpartition(".")[0])
        asks = _ASKS.fullmatch(word) is not None
        return (kind is not None and kind.kind == "answer") or (asks and owner is not None and owner.kind in _ASKED)
    if isinstance(target, Method):
        kind = values.type_of(target.receiver)
        return kind is not None and kind.kind in _ASKED and _ASKS.fullmatch(word) is not None
    return target is None and _is_named_so(called, word)


def _is_named_so(called: Expr, word: str) -> bool:
    """Whether the names alone say that a model is asked."""
    if not isinstance(called, Chain) or _ASKS.fullmatch(word) is None:
        return False
    names = [link.name for link in called.links if isinstance(link, Attr)]
    if tuple(names[-3:-1]) == _COMPLETIONS:
        return True
    owner = last_name(prefix(called, len(called.links) - 1))
    return _MODEL.fullmatch(owner) is not None or (word in _INVOKES and _RUNNABLE.fullmatch(owner) is not None)


def _is_run_through(function: FunctionFacts) -> bool:
    """Whether the function gives no session back on its way."""
    start, end = function.at(function.node.start, function.node.end).span
    words = identifiers(function.module.utf8[start:end])
    return words.isdisjoint({word.encode() for word in _GIVES_UP})


def _written(call: Chain) -> str:
    """What is called, as a message gives it: the last two names."""
    called = callee(call)
    names = [called.base.id] if isinstance(called, Chain) and isinstance(called.base, Name) else []
    names += [link.name for link in called.links if isinstance(link, Attr)] if isinstance(called, Chain) else []
    return ".".join(names[-2:]) if names else last_name(call)


# --- what is held ------------------------------------------------------------------------------------------------


def _is_in_use(values: Values, code: Code, block: Block, name: str, call: Expr) -> bool:
    """Whether a session has a connection when a call waits: it has been used, and not given anything back since."""
    events = [one for node in walk(block, into=False) for one in _events(values, code, node, name, _STEPS)]
    before = [(end, not held) for end, held in events if end <= call.start]
    return bool(before) and not max(before)[1]


def _events(values: Values, code: Code, node: Node, name: str, steps: int) -> Iterator[tuple[int, bool]]:
    """Where a node uses a session (True), or may have it give its connection back (False)."""
    if isinstance(node, With):
        if any(_is_transaction(context, name) for context, _ in node.items):
            yield node.end, False
    elif isinstance(node, Chain) and is_name(node.base, name):
        verbs = {link.name for link in node.links if isinstance(link, Attr)}
        if not verbs.issubset(_IDLE) and any(isinstance(link, Call) for link in node.links):
            yield node.end, _GIVES_UP.isdisjoint(verbs)
    elif isinstance(node, Chain):
        for index, link in enumerate(node.links):
            if isinstance(link, Call):
                for position, arg in enumerate(link.args):
                    if is_name(arg.value, name):
                        yield from (
                            (link.end, held)
                            for held in _lent(values, code, prefix(node, index), arg.keyword or position, steps)
                        )


def _is_transaction(context: Expr, name: str) -> bool:
    return isinstance(context, Chain) and is_name(context.base, name) and last_name(context) == "begin"


def _lent(values: Values, code: Code, called: Expr, param: str | int, steps: int) -> Iterator[bool]:
    """What becomes of a session that is given to a call; nothing where it is only kept."""
    target = values.of(code.scope, called)
    function = target.function if isinstance(target, Method) else target
    if isinstance(target, ClassFacts):
        return
    if not isinstance(function, FunctionFacts) or not steps:
        yield False  # nobody knows
        return
    names = [one.name for one in function.node.params if one.kind in {"positional", "plain", "keyword"}]
    names = names[1:] if isinstance(target, Method) and not function.is_static else names
    name = param if isinstance(param, str) else names[param] if param < len(names) else ""
    body = Code(function.scope, function.origin, function.node.body)
    events = [held for node in walk(body.block, into=False) for _, held in _events(values, body, node, name, steps - 1)]
    if events:
        yield all(events)
