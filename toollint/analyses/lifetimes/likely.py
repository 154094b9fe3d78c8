"""Which failures happen: a server refuses, a query is wrong, a file is not there. Bookkeeping goes well.

The interpretation lets everything fail that is not known not to. A rule that speaks of failures unasked is worth
reading only where its failure is one that its reader has seen.
"""

from __future__ import annotations

import re

from toollint.analyses.lifetimes.calls import Spot
from toollint.analyses.lifetimes.leaks import Leak
from toollint.analyses.values import Method, Values
from toollint.facts import FunctionFacts
from toollint.model import Place
from toollint.syntax import Await, Chain, Collection, Const, Handler, Name, Raise, Try, callee, last_name, walk

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
_WIDE = frozenset({"OSError", "IOError", "EnvironmentError", "error", "Exception", "BaseException"})
"""Classes of what calls raise that work with the outside."""


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
    if leak.how != "call":
        return True
    if not isinstance(spot, Spot):
        return False
    if _raises(values, leak.function, spot):
        return True
    works = _DOES.fullmatch(spot.word) is not None or _is_given(spot, leak.name)
    return works and not _is_seen_to(leak.function, spot, leak.name)


def _is_mild(spot: Spot, leak: Leak) -> bool:
    """Whether the call hardly fails: it notes down, converts, writes to a buffer, or is given any port that is free."""
    if spot.word in _WRITES:
        return leak.how != "method" or leak.acquisition.resource.category == "net"
    return _MILD.fullmatch(spot.word) is not None or (spot.word == "bind" and _asks_for_any_port(spot))


def _asks_for_any_port(spot: Spot) -> bool:
    address = spot.args[0].value if spot.args else None
    port = address.items[1] if isinstance(address, Collection) and len(address.items) > 1 else None
    return isinstance(port, Const) and port.value == 0


def _is_seen_to(function: FunctionFacts, spot: Spot, resource: str) -> bool:
    """Whether a handler of `OSError` around the call does anything with the resource: that is what such calls raise."""
    return any(
        stmt.start <= spot.chain.start < (stmt.handlers[0].start if stmt.handlers else stmt.start)
        and any(_takes_all(handler) and _names(handler.body, resource) for handler in stmt.handlers)
        for stmt in walk(function.node.body, into=False)
        if isinstance(stmt, Try)
    )


def _takes_all(handler: Handler) -> bool:
    types = handler.type.items if isinstance(handler.type, Collection) else (handler.type,)
    return any(one is None or last_name(one) in _WIDE for one in types)


def _is_given(spot: Spot, resource: str) -> bool:
    """Whether the resource is among the arguments: the call works with it."""
    return any(_names(arg.value, resource) for arg in spot.args)


def _names(node: object, name: str) -> bool:
    return any(isinstance(part, Name) and part.id == name for part in walk(node))


def _raises(values: Values, function: FunctionFacts, spot: Spot) -> bool:
    """Whether it runs a function of the project that raises something itself."""
    target = values.of(function.scope, spot.called)
    target = target.function if isinstance(target, Method) else target
    return isinstance(target, FunctionFacts) and any(
        isinstance(node, Raise) and node.value is not None and _is_meant(node) for node in walk(target.node.body)
    )


def _is_meant(node: Raise) -> bool:
    """Whether it is an error of the caller's world, not the mark of a method that subclasses write."""
    return node.value is not None and last_name(callee(node.value) or node.value) != "NotImplementedError"
