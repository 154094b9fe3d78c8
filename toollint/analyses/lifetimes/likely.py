"""Which failures happen: a server refuses, a query is wrong, a file is not there. Bookkeeping goes well.

The interpretation lets everything fail that is not known not to. A rule that speaks of failures unasked is worth
reading only where its failure is one that its reader has seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toollint.analyses.lifetimes.calls import LOOKS, READS, Spot, is_calm
from toollint.analyses.lifetimes.failures import YES, catches
from toollint.analyses.lifetimes.leaks import Leak
from toollint.analyses.values import Method, Values
from toollint.facts import FunctionFacts
from toollint.model import Place
from toollint.syntax import (
    Await,
    Call,
    Chain,
    Collection,
    Const,
    Expr,
    Handler,
    Index,
    Name,
    Raise,
    Try,
    With,
    callee,
    last_name,
    walk,
)

_MILD = re.compile(
    r"(?:un)?register|modify|mount|client|pubsub|connect_ex|(?:un)?subscribe|unlock|get_loop|on|once|(?:to|as)_\w+"
    r"|create_task|add_(?:reader|writer|done_callback)|call_soon"
)
"""Calls that note something down, ask, convert, or undo: they fail by a mistake in the program, if ever."""
_WRITES = frozenset({"write", "writelines"})
_DOES = re.compile(
    r"_*(?:a|async_|do_|try_|re)?(?:connect|log_?in|authenticate|handshake|open|url_?open|request|fetch|download|upload"
    r"|send|recv|receive|read|write|load|execute|exec|query|invoke|submit|publish|ping|validate|verify|check|parse"
    r"|run|accept|bind|listen|process)(?:_\w+|[A-Z]\w*|s|all)?"
    r"|Popen|wait_for|raise_for_status|json|start"
)
"""Functions whose name says that they work with the outside, or on what comes from there."""
_PLAIN = LOOKS | READS
"""Builtins that plain values are made with."""
_STEPS = 2
"""How many functions deep it is asked whether one can fail."""
_OUTSIDE = frozenset({"OSError", "IOError", "EnvironmentError", "error"})
"""Classes of what calls raise that work with the outside."""
_WIDE = _OUTSIDE | {"Exception", "BaseException", ""}
"""What catches those; a bare `except` has no name."""


def failed_at(function: FunctionFacts, place: Place) -> Spot | Raise | Await | None:
    """What stands at the place of a loss: the call, the ``raise`` or the ``await`` that fails."""
    for node in walk(function.node.body, into=False):
        if isinstance(node, Raise | Await) and function.at(node.start, node.end) == place:
            return node
        if isinstance(node, Chain) and function.at(node.start, node.end).span.start == place.span.start:
            ends = [function.origin + link.end for link in node.links]
            if place.span.end in ends:
                return Spot(node, ends.index(place.span.end))
    return None


def is_likely(values: Values, leak: Leak) -> bool:
    """Whether the failure that loses a resource is one that happens, and happens to what is open by then."""
    spot = failed_at(leak.function, leak.lost)
    if leak.how == "await":  # a mere cancellation
        return leak.acquisition.resource.weight == "high" and leak.acquisition.lazy is False
    if isinstance(spot, Spot) and _is_mild(spot, leak):
        return False
    return leak.how != "call" or (isinstance(spot, Spot) and _is_likely_call(values, leak, spot))


def _is_likely_call(values: Values, leak: Leak, spot: Spot) -> bool:
    """Whether a call that nobody knows fails: by what it raises, by its name, by what it is given."""
    target = _target(values, leak.function, spot)
    if target is not None and (_is_harmless(values, target) or _is_expected(leak, spot, target)):
        return False
    if target is not None and _escapes(leak, spot, target):
        return True
    if _DOES.fullmatch(spot.word) is not None:
        return not _is_closed_on(leak.function, spot, leak.name)
    return _is_given(spot, leak.name) and not (
        _is_closed_on(leak.function, spot, leak.name) or _is_caught(leak.function, spot)
    )


def _is_mild(spot: Spot, leak: Leak) -> bool:
    """Whether the call hardly fails: it notes down, converts, writes to a buffer, or is given any port that is free."""
    if spot.word in _WRITES:
        return leak.how != "method" or leak.acquisition.resource.category == "net"
    return _MILD.fullmatch(spot.word) is not None or (spot.word == "bind" and _asks_for_any_port(spot))


def _asks_for_any_port(spot: Spot) -> bool:
    address = spot.args[0].value if spot.args else None
    port = address.items[1] if isinstance(address, Collection) and len(address.items) > 1 else None
    return isinstance(port, Const) and port.value == 0


def _is_closed_on(function: FunctionFacts, spot: Spot, resource: str) -> bool:
    """Whether a handler around the call that catches `OSError`, which such calls raise, deals with the resource."""
    handlers = _handlers(function, spot)
    return any(not _WIDE.isdisjoint(_types(one)) and _names(one.body, resource) for one in handlers)


def _is_caught(function: FunctionFacts, spot: Spot) -> bool:
    """Whether `OSError` is caught around the call, and nothing wider: then it is something else that gets away."""
    types = {name for one in _handlers(function, spot) for name in _types(one)}
    inside = any(_suppresses(stmt, spot) for stmt in walk(function.node.body, into=False))
    return inside or (not _OUTSIDE.isdisjoint(types) and (_WIDE - _OUTSIDE).isdisjoint(types))


def _handlers(function: FunctionFacts, spot: Spot) -> Iterator[Handler]:
    """The handlers of each `try` that has the call in its body."""
    for stmt in walk(function.node.body, into=False):
        if isinstance(stmt, Try) and stmt.handlers and stmt.start <= spot.chain.start < stmt.handlers[0].start:
            yield from stmt.handlers


def _suppresses(stmt: object, spot: Spot) -> bool:
    return (
        isinstance(stmt, With)
        and stmt.start <= spot.chain.start < stmt.end
        and any(last_name(callee(context) or context) == "suppress" for context, _ in stmt.items)
    )


def _types(handler: Handler) -> list[str]:
    types = handler.type.items if isinstance(handler.type, Collection) else (handler.type,)
    return ["" if one is None else last_name(one) for one in types]


def _is_given(spot: Spot, resource: str) -> bool:
    """Whether the resource is among the arguments: the call works with it."""
    return any(_names(arg.value, resource) for arg in spot.args)


def _names(node: object, name: str) -> bool:
    return any(isinstance(part, Name) and part.id == name for part in walk(node))


def _target(values: Values, function: FunctionFacts, spot: Spot) -> FunctionFacts | None:
    """The function of the project that a call runs."""
    target = values.of(function.scope, spot.called)
    target = target.function if isinstance(target, Method) else target
    return target if isinstance(target, FunctionFacts) else None


def _raised(target: FunctionFacts) -> list[str]:
    """The classes of what a function raises itself."""
    return [
        last_name(callee(node.value) or node.value)
        for node in walk(target.node.body)
        if isinstance(node, Raise) and node.value is not None and not _is_abstract(node.value)
    ]


def _closing(leak: Leak, spot: Spot) -> list[Expr | None]:
    """What the handlers around a call catch that deal with the resource."""
    return [one.type for one in _handlers(leak.function, spot) if _names(one.body, leak.name)]


def _escapes(leak: Leak, spot: Spot, target: FunctionFacts) -> bool:
    """Whether a function raises something itself that no handler closes on."""
    closing = _closing(leak, spot)
    return any(all(catches(one, name) != YES for one in closing) for name in _raised(target))


def _is_expected(leak: Leak, spot: Spot, target: FunctionFacts) -> bool:
    """Whether a function raises something itself, and handlers close on all of that: they were written for it."""
    return bool(_raised(target)) and bool(_closing(leak, spot)) and not _escapes(leak, spot, target)


def _is_harmless(values: Values, target: FunctionFacts, steps: int = _STEPS) -> bool:
    """Whether a function cannot fail but by a mistake in it: what may is inside a ``try`` that answers for it."""
    nodes = [*walk(target.node.body, into=False)]
    answered = {id(part) for one in nodes if isinstance(one, Try) and _answers(one) for part in walk(one.body)}
    return not any(
        id(node) not in answered and _may_fail(values, target, node, steps)
        for node in nodes
        if isinstance(node, Raise | Await | With | Index | Chain)
    )


def _answers(stmt: Try) -> bool:
    """Whether handlers of a ``try`` go on instead of failing."""
    return bool(stmt.handlers) and not any(isinstance(node, Raise) for one in stmt.handlers for node in walk(one.body))


def _may_fail(values: Values, function: FunctionFacts, node: object, steps: int) -> bool:
    """Whether a node of a function may fail; of calls those of plain values do not."""
    if not isinstance(node, Chain):
        return True
    for index, link in enumerate(node.links):
        spot = Spot(node, index)
        if not isinstance(link, Call) or is_calm(spot) or (not index and spot.word in _PLAIN):
            continue
        inner = _target(values, function, spot) if steps else None
        if inner is None or not _is_harmless(values, inner, steps - 1):
            return True
    return False


def _is_abstract(raised: Expr) -> bool:
    """Whether it is the mark of a method that subclasses write."""
    return last_name(callee(raised) or raised) == "NotImplementedError"
