"""What a function holds to be its own to close: it closes it itself on some path, so it owes that on all of them.

Nobody has to know the library for that. A local name gets what a call gives, and the same function calls a closer on
it: the author has decided that it must be closed here. What comes from a parameter, an attribute, a cache or a pool
is not presumed, and nor is a name that gets such a thing on any path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from toollint.analyses.lifetimes.failures import YES, catches
from toollint.analyses.values import Values
from toollint.catalog import Acquisition, Resource
from toollint.facts import Assigned, ClassFacts, Entered, FunctionFacts, ModuleFacts, Parameter
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Evaluate,
    Expr,
    If,
    Name,
    Raise,
    Try,
    callee,
    is_name,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

CATEGORY = "presumed"
"""The category of resources of which nothing is known but that the function closes them."""
_VERBS = frozenset({"close", "aclose", "quit", "disconnect", "dispose", "shutdown"})
_CLOSED = re.compile(rb"\b([A-Za-z_]\w*)\.(?:close|aclose|quit|disconnect|dispose|shutdown)\(\)")
_WORDS = frozenset(verb.encode() for verb in _VERBS)
_GETS = re.compile(
    r"get|pop\w*|setdefault|getattr|next|iter|cast|copy|deepcopy|with_\w+|\w*options|borrow\w*|find\w*|lookup\w*|current\w*|peek"
    r"|cursor|pool\w*|_*get_(?:or|cached|shared|existing|current|default|global)\w*|(?:fd)?open|open_\w*"
    r"|\w*(?:Writer|Reader|Parser|Buffer|IO)"
)
"""Functions that give what somebody else keeps, what needs no release of its own, or what is written and whose close
is the last step of that: what failed halfway is left alone."""
_DRIVEN = frozenset({"feed", "asend", "throw", "athrow", "__anext__", "__next__"})
"""Methods of a parser or a generator, whose close says that nothing more will come."""
_DRAWS = re.compile(r"\w*(?:bar|progress|spinner)")
"""Names of what draws on the screen, and holds nothing."""


def may_presume(text: bytes) -> bool:
    """Whether the text of a function closes a name that it assigns to: what does not is never translated."""
    names = {name for name in _CLOSED.findall(text) if name not in {b"self", b"cls"}}
    return (bool(names) and b"yield" in text) or any(
        re.search(rb"\b%s(?:[ \t]*:[^=\n]+)?[ \t]*=(?!=)" % name, text) for name in names
    )


def closing_words(module: ModuleFacts) -> frozenset[bytes]:
    """The closers by which a file closes what it assigns to a name."""
    return _WORDS if may_presume(module.utf8) else frozenset()


def may_close(function: FunctionFacts) -> bool:
    """Whether the text of a function calls a closer on a name."""
    start, end = function.at(function.node.start, function.node.end).span
    return _CLOSED.search(function.module.utf8, start, end) is not None


def presumed(function: FunctionFacts) -> Mapping[int, Acquisition]:
    """The calls whose result the function closes itself, by the id of their link."""
    closed = _closed(function)
    found: dict[int, Acquisition] = {}
    for name, (_, row) in closed.items():
        bindings = function.scope.bindings.get(name, ())
        values = [one.stmt for one in bindings if isinstance(one, Assigned) and one.stmt.value is not None]
        unclear = len(values) < len(bindings) or not all(_is_own(function, stmt) for stmt in values)
        if unclear or _DRAWS.fullmatch(name) or _ends_itself(function, name):
            continue
        for stmt in values:
            call = last_call(stmt.value)
            if call is not None and not _is_renewed(stmt, name):
                found[id(call)] = row._replace(awaited="yes" if isinstance(stmt.value, Await) else "no")
    return found


def _is_renewed(stmt: Bind, name: str) -> bool:
    """Whether a name gets what its own object gives, as in ``conn = conn.begin()``: the same, or what is around it."""
    called = callee(stmt.value.value if isinstance(stmt.value, Await) else stmt.value) if stmt.value else None
    return isinstance(called, Chain) and is_name(called.base, name)


def _ends_itself(function: FunctionFacts, name: str) -> bool:
    """Whether it is a parser that gets its text in pieces, or a generator that is resumed: what fails has ended."""
    return any(
        isinstance(node, Chain) and is_name(node.base, name) and last_name(prefix(node, 1)) in _DRIVEN
        for node in walk(function.node.body, into=False)
    )


def closed_at_end(function: FunctionFacts) -> dict[str, tuple[Chain, Acquisition]]:
    """The parameters that a generator closes when it is done, each with the call: who stops early skips that."""
    if not function.is_generator or function.is_manager or function.is_fixture:
        return {}
    own = {param.name for param in function.node.params[bool(function.receiver) :]}
    once = {name for name in own if len(function.scope.bindings.get(name, ())) == 1}
    return {
        name: found
        for name, found in _closed(function).items()
        if name in once and not _is_chosen(function.node.body, name, found[0])
    }


def _is_chosen(block: Block, name: str, closing: Chain) -> bool:
    """Whether a condition of its own decides whether a name is closed: the caller may own it."""
    return any(
        any(node is closing for _, body in stmt.branches for node in walk(body))
        and any(isinstance(part, Name) and part.id != name for test, _ in stmt.branches for part in walk(test))
        for stmt in walk(block, into=False)
        if isinstance(stmt, If)
    )


def kept_on_failure(function: FunctionFacts) -> dict[int, tuple[Expr, ...]]:
    """The calls that are given what a handler around them closes, with the types that such handlers catch.

    Where such a call fails it has not taken over what it was given: the author says so.
    """
    closed = _closed(function)
    found: dict[int, tuple[Expr, ...]] = {}
    for stmt in walk(function.node.body, into=False) if closed else ():
        if not isinstance(stmt, Try):
            continue
        names = {name for name in closed for handler in stmt.handlers if _closes(handler.body, name)}
        types = tuple(handler.type for handler in stmt.handlers if handler.type is not None)
        if not names or len(types) < len(stmt.handlers):
            continue
        for node in walk(stmt.body, into=False):
            if isinstance(node, Call) and any(isinstance(a.value, Name) and a.value.id in names for a in node.args):
                found[id(node)] = types
    return found


def escaping(values: Values, function: FunctionFacts, types: tuple[Expr, ...]) -> Iterator[str]:
    """The exceptions of the project that a function raises and handlers for these types let through."""
    nodes = [*walk(function.node.body, into=False)]
    seen_to = {id(part) for one in nodes if isinstance(one, Try) and one.handlers for part in walk(one.body)}
    for node in nodes:
        if isinstance(node, Raise) and node.value is not None and id(node) not in seen_to:
            raised = values.of(function.scope, callee(node.value) or node.value)
            if isinstance(raised, ClassFacts):
                lineage = values.project.lineage(raised)
                names = [*(one.name for one in lineage.classes), *(n.rpartition(".")[2] for n in lineage.libraries)]
                if lineage.known and all(catches(one, name) != YES for one in types for name in names):
                    yield raised.name


def _closes(block: Block, name: str) -> bool:
    return any(isinstance(node, Chain) and _closed_by(node) == name for node in walk(block, into=False))


def closings(function: FunctionFacts, name: str = "") -> Iterator[tuple[Chain, bool]]:
    """The statements that close a local name, or any, and whether they wait for it."""
    for stmt in walk(function.node.body, into=False):
        if isinstance(stmt, Evaluate):
            awaited = isinstance(stmt.value, Await)
            node = stmt.value.value if isinstance(stmt.value, Await) else stmt.value
            closed = _closed_by(node)
            if isinstance(node, Chain) and closed and (closed == name if name else closed != function.receiver):
                yield node, awaited


def _closed_by(node: Expr | None) -> str:
    """The name that a call closes, empty for any other."""
    if not isinstance(node, Chain) or not isinstance(node.base, Name) or len(node.links) != 2:
        return ""
    verb, call = node.links
    closes = isinstance(verb, Attr) and verb.name in _VERBS and isinstance(call, Call) and not call.args
    return node.base.id if closes else ""


def _closed(function: FunctionFacts) -> dict[str, tuple[Chain, Acquisition]]:
    """The names that the function calls a closer on, each with the first call that does, and what it owes."""
    found: dict[str, tuple[Chain, Acquisition]] = {}
    for node, awaited in closings(function):
        name, release = last_name(node.base), last_name(node)
        resource = Resource(name, CATEGORY, "medium", "judged", release, awaited)
        found.setdefault(name, (node, Acquisition(name, resource, "function", lazy=False)))
    return found


def _is_own(function: FunctionFacts, stmt: Bind) -> bool:
    """Whether an assignment gives a name nothing, or what a call has made for it, of nothing that lives longer."""
    if is_none(stmt.value):
        return True
    made = stmt.value.value if isinstance(stmt.value, Await) else stmt.value
    called, call = (callee(made) if made is not None else None), last_call(made)
    plain = len(stmt.targets) == 1 and isinstance(stmt.targets[0], Name) and not stmt.op
    if not plain or called is None or call is None or _GETS.fullmatch(last_name(called)):
        return False
    owner = called.base if isinstance(called, Chain) else None
    lenders = [_binding(function, owner), *(_binding(function, arg.value) for arg in call.args)]
    return not isinstance(lenders[0], Parameter) and not any(isinstance(one, Entered) for one in lenders)


def _binding(function: FunctionFacts, expr: Expr | None) -> object:
    """What binds a local name first: a parameter is somebody else's, and a `with` closes what was made of its own."""
    if not isinstance(expr, Name) or expr.id == function.receiver:
        return None
    return next(iter(function.scope.bindings.get(expr.id, ())), None)
