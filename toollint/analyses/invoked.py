"""Functions that run again and again while the program runs: once for each request, tool call, message or graph step.

A decorator, a registration, a base class or a list of tools says so, or such a function calls them. What is memoized,
leaves a mark, or stands under a question whether it is there already, is taken to be done once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from toollint.analyses.once import leaves_a_mark, lives_once
from toollint.analyses.values import Method, Value, Values
from toollint.facts import Assigned, Code, FunctionFacts, code_of
from toollint.lower import blocks
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Bind,
    Bool,
    Call,
    Chain,
    Class,
    Collection,
    Compare,
    Const,
    Def,
    Evaluate,
    Expr,
    For,
    If,
    IfExp,
    Match,
    Name,
    Not,
    Return,
    Simple,
    Stmt,
    While,
    With,
    argument,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_STEPS = 3
"""How many callers in a row are followed."""
_FILES = 60
"""A name that more files mention says nothing about who calls it."""
_FEW = 10
"""A loop of so many rounds tries again rather than works through something."""
_INVOCATION = re.compile(
    r"_?a?(?:invoke|stream|stream_events|chat|ask|answer|query|complete|kickoff)(?:_async)?"
    r"|_?(?:on|handle|process)_(?:message|request|query|question)"
)
_PROPERTIES = frozenset({"property", "cached_property"})


class Invoked(NamedTuple):
    """Why a function runs again and again: ``entry`` is the ``role`` that runs once for each ``event``.

    ``place`` is what makes it one: the decorator, the registration, the base class.
    """

    role: str
    event: str
    entry: FunctionFacts
    place: Place


def invoked(values: Values, function: FunctionFacts) -> Invoked | None:
    """Whether a function runs once for each request, tool call, message or step, and why; None where nobody says so."""
    return _invoked(values, function, _STEPS)


def _invoked(values: Values, function: FunctionFacts, steps: int) -> Invoked | None:
    if function.module.is_test or _is_done_once(values, function):
        return None
    found = _by_decorator(values, function) or _by_base(values, function) or _by_registration(values, function)
    found = found or _by_name(function)
    if found is not None or not steps:
        return found
    outer = function.outer.owner
    if isinstance(outer, FunctionFacts):
        return _invoked(values, outer, steps - 1)  # made anew by each call of the function around it
    for code, chain in callers(values, function):
        caller = code.function
        done = is_asked_first(code, chain) or is_kept(code, chain) or _is_scoped(code, chain)
        if caller is not None and caller is not function and not done:
            found = _invoked(values, caller, steps - 1)
            if found is not None:
                return found
    return None


def _is_done_once(values: Values, function: FunctionFacts) -> bool:
    """Whether the function remembers what it did, makes the one object of a class, or is a manager that undoes it."""
    if function.cls is not None and function.name == "__init__" and lives_once(values, function.cls):
        return True
    targets = (values.project.resolve(function.outer, callee(one) or one) for one in function.decorators)
    memoized = any(isinstance(one, Library) and values.catalog.memoizer(one.name) is not None for one in targets)
    managed = function.is_manager or not _PROPERTIES.isdisjoint(map(last_name, function.decorators))
    return memoized or managed or leaves_a_mark(values, function)


# --- what says so ------------------------------------------------------------------------------------------------


def _by_decorator(values: Values, function: FunctionFacts) -> Invoked | None:
    for decorator in function.decorators:
        place = Code(function.outer, function.origin, ()).at(decorator.start, decorator.end)
        value = values.of(function.outer, callee(decorator) or decorator)
        name = value.name if isinstance(value, Library) else ""
        entry, tool = values.catalog.entry(name), values.catalog.tool(name)
        if entry is not None:
            return Invoked(entry.role, entry.event, function, place)
        if tool is not None and tool.kind == "decorator":
            return Invoked("tool", "call", function, place)
    return None


def _by_base(values: Values, function: FunctionFacts) -> Invoked | None:
    """A method that a framework calls on objects of the class."""
    if function.cls is None or function.name.startswith("__"):
        return None
    for name in values.project.lineage(function.cls).libraries:
        entry = values.catalog.entry(name)
        if entry is not None and function.name in entry.methods:
            return Invoked(entry.role, entry.event, function, function.place)
    return None


def _by_name(function: FunctionFacts) -> Invoked | None:
    """A method that is named as what callers run once for each thing that they ask of the object."""
    named = function.cls is not None and _INVOCATION.fullmatch(function.name) is not None
    return Invoked("method", "call", function, function.place) if named else None


def _by_registration(values: Values, function: FunctionFacts) -> Invoked | None:
    """A function that is handed over to be called: as an endpoint, a node, one of a list of tools."""
    if function.name.startswith("__"):
        return None
    for code, chain, index in _calls_with(values, function.name):
        called, call = prefix(chain, index), chain.links[index]
        if isinstance(call, Call):
            found = _registered(values, code, called, call, function)
            if found is not None:
                return found
    return None


def _calls_with(values: Values, name: str) -> Iterator[tuple[Code, Chain, int]]:
    """The calls in the running program that have an argument which mentions a name."""
    for body in _mentioning(values, name):
        for code in (body, _head(body)):
            for chain in _chains(code):
                for index, link in enumerate(chain.links):
                    if isinstance(link, Call) and any(_mentions(arg.value, name) for arg in link.args):
                        yield code, chain, index


def _head(code: Code) -> Code:
    """What a function's head evaluates: ``Depends(get_user)`` as a default, or in an annotation."""
    function = code.function
    if function is None:
        return code._replace(block=())
    params = [each for param in function.node.params for each in (param.default, param.annotation) if each is not None]
    block = tuple(Evaluate(each, each.start, each.end) for each in (*function.decorators, *params))
    return Code(function.outer, function.origin, block)


def _mentions(expr: Expr, name: str) -> bool:
    given = expr.items if isinstance(expr, Collection) else (expr,)
    return any(isinstance(one, Name | Chain) and last_name(one) == name for one in given)


def _registered(values: Values, code: Code, called: Expr, call: Call, function: FunctionFacts) -> Invoked | None:
    value = values.of(code.scope, called)
    name = value.name if isinstance(value, Library) else ""
    entry, tool = values.catalog.entry(name), values.catalog.tool(name)
    if entry is not None and entry.runs:
        given = [argument(call, one, _position(entry.params, one)) for one in entry.runs]
        role, event = entry.role, entry.event
    else:
        makes_tools = tool is not None and tool.kind in {"factory", "class", "holder", "decorator"}
        given = [arg.value for arg in call.args] if makes_tools else [argument(call, "tools")]
        role, event = "tool", "call"
    for expr in given:
        for one in expr.items if isinstance(expr, Collection) else (expr,):
            if one is not None and _is_function(values.of(code.scope, one), function):
                return Invoked(role, event, function, code.at(one.start, one.end))
    return None


def _position(params: tuple[str, ...], name: str) -> int | None:
    return params.index(name) if name in params else None


def _is_function(value: Value | None, function: FunctionFacts) -> bool:
    return (value.function if isinstance(value, Method) else value) is function


# --- who calls ---------------------------------------------------------------------------------------------------


def callers(values: Values, function: FunctionFacts) -> Iterator[tuple[Code, Chain]]:
    """The calls of a function in the running program; of a constructor, the calls of its class."""
    made = function.cls if function.cls is not None and function.name == "__init__" else None
    name = made.name if made is not None else function.name
    for code in _mentioning(values, name):
        for chain in _chains(code):
            for index, link in enumerate(chain.links):
                if isinstance(link, Call) and last_name(prefix(chain, index)) in {name, "cls"}:
                    value = values.of(code.scope, prefix(chain, index))
                    if value is made if made is not None else _is_function(value, function):
                        yield code, chain


def _mentioning(values: Values, name: str) -> Iterator[Code]:
    """The code of the running program that mentions a name, none where too much does."""
    word = name.encode()
    paths = [path for path in values.project.paths if word in values.project.words(path)]
    for path in paths if len(paths) <= _FILES else ():
        module = values.project.module_at(path)
        if module is not None and not module.is_test:
            yield from code_of(module, frozenset({word}))


def _chains(code: Code) -> Iterator[Chain]:
    return (node for node in walk(code.block, into=False) if isinstance(node, Chain))


# --- where in a function -----------------------------------------------------------------------------------------


def around(code: Code, node: Expr | Stmt) -> list[Stmt]:
    """The statements of a piece of code that a node stands in, outermost first."""
    found: list[Stmt] = []
    block = code.block
    while True:
        stmt = next((one for one in block if _encloses(one, node)), None)
        if stmt is None:
            return found
        found.append(stmt)
        block = tuple(inner for each in blocks(stmt) for inner in each)


def _encloses(stmt: Stmt, node: Expr | Stmt) -> bool:
    """Whether a node lies within a statement, the decorators of a definition included."""
    decorators = stmt.decorators if isinstance(stmt, Def | Class) else ()
    start = min([stmt.start, *(one.start for one in decorators)])
    return start <= node.start and node.end <= stmt.end


def is_asked_first(code: Code, node: Expr) -> bool:
    """Whether a test decides that may ask whether the thing is there already: ``if x is None``, ``x or X()``."""
    statements = around(code, node)
    tests = [test for stmt in statements if isinstance(stmt, If) for test, _ in stmt.branches]
    choices = (one for stmt in statements[-1:] for one in walk(stmt, into=False) if isinstance(one, Bool | IfExp))
    chosen = any(one.start <= node.start and node.end <= one.end for one in choices)
    return chosen or any(_asks(part) for test in tests for part in walk(test))


def _is_scoped(code: Code, node: Expr) -> bool:
    """Whether it stands in a block that is named as one that undoes what happens in it."""
    contexts = (context for stmt in around(code, node) if isinstance(stmt, With) for context, _ in stmt.items)
    return any("scope" in last_name(callee(context) or context) for context in contexts)


def is_kept(code: Code, node: Expr) -> bool:
    """Whether what an expression gives is stored where the next call may find it; a constructor stores it each time."""
    if code.function is not None and code.function.name == "__init__":
        return False
    statement = around(code, node)[-1:]
    stored = any(isinstance(stmt, Bind) and any(isinstance(t, Chain) for t in stmt.targets) for stmt in statement)
    chains = (one for stmt in statement for one in walk(stmt, into=False) if isinstance(one, Chain))
    return stored or any(
        isinstance(link, Call)
        and last_name(prefix(one, index)) == "setdefault"
        and any(arg.value.start <= node.start and node.end <= arg.value.end for arg in link.args)
        for one in chains
        for index, link in enumerate(one.links)
    )


def _asks(part: object) -> bool:
    if isinstance(part, Compare):
        return any(op in {"is", "not in"} for op in part.ops)
    if isinstance(part, Chain):
        return last_name(part) in {"hasattr", "getattr", "len", "any", "get", "hasHandlers"}
    return isinstance(part, Not)


def loops_around(code: Code, node: Expr | Stmt) -> list[For | While]:
    """The loops that run a node again, outermost first; not those over a written-out list, nor that leave below it."""
    loops: list[For | While] = []
    for stmt in around(code, node):
        if isinstance(stmt, For | While):
            head = stmt.iter if isinstance(stmt, For) else stmt.test
            if not _is_short(head) and not _leaves(stmt, node) and not head.start <= node.start < head.end:
                loops.append(stmt)
    return loops


def repeating_loop(code: Code, node: Expr | Stmt, *parts: Any) -> For | While | None:
    """The innermost loop that does a thing again in each round, where the round brings it nothing new.

    Neither ``parts`` of the node nor the tests that lead to it name what a round brings: a loop over the backends that
    are configured makes one for each.
    """
    loops = loops_around(code, node)
    if not loops:
        return None
    brought = frozenset[str]().union(*(bound_names(loop, code) for loop in loops))
    asked = [test for stmt in around(code, node) for test in _tests(stmt)]
    used = {one.id for one in walk(*parts, *asked) if isinstance(one, Name)}
    return loops[-1] if used.isdisjoint(brought) else None


def _tests(stmt: Stmt) -> list[Expr]:
    """What decides which way a statement goes."""
    if isinstance(stmt, If):
        return [test for test, _ in stmt.branches]
    return [stmt.subject] if isinstance(stmt, Match) else []


def _leaves(loop: For | While, node: Expr | Stmt) -> bool:
    """Whether a loop may end below a node: the rounds before it are tries."""
    return any(
        one.start >= node.end and (isinstance(one, Return) or (isinstance(one, Simple) and one.word == "break"))
        for one in walk(loop.body, into=False)
        if isinstance(one, Return | Simple)
    )


def _is_short(expr: Expr) -> bool:
    """A list that is written out, or the few rounds of a loop that tries again."""
    if isinstance(expr, Collection):
        return True
    called, call = callee(expr), last_call(expr)
    if called is None or call is None or last_name(called) != "range":
        return False
    counts = [arg.value.value for arg in call.args if isinstance(arg.value, Const)]
    return len(counts) == len(call.args) and all(isinstance(one, int) and one <= _FEW for one in counts)


def bound_names(stmt: For | While, code: Code) -> frozenset[str]:
    """The names that a loop binds in its head, and those that its body derives from them."""
    found = {node.id for node in walk(stmt.target) if isinstance(node, Name)} if isinstance(stmt, For) else set()
    size = -1
    while found and len(found) != size:
        size = len(found)
        for name, bindings in code.scope.bindings.items():
            values = [one.stmt.value for one in bindings if isinstance(one, Assigned) and one.stmt.value is not None]
            if any(isinstance(node, Name) and node.id in found for value in values for node in walk(value)):
                found.add(name)
    return frozenset(found)
