"""Things that run by themselves, started on each call by a function that then loses its hold of them.

Processes, browsers, containers, sandboxes and threads without end go on when the object that started them is gone. What
was made to be left alone is left out: a detached process, one without pipes, which may be on an errand, a thread that
comes to its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.invoked import Invoked, invoked, is_asked_first
from toollint.analyses.lifetimes.leaks import Leak, leaks_in
from toollint.analyses.values import Method, Values
from toollint.catalog import Resource
from toollint.facts import Code, FunctionFacts, ModuleFacts
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Const,
    Expr,
    If,
    Node,
    Raise,
    Return,
    Simple,
    While,
    argument,
    attribute_of,
    is_name,
    last_call,
    last_name,
    prefix,
    walk,
)

_TARGETS = {"join": "target"}
"""The release of what runs a function of the program, and the argument that is the function."""
_DETACHES = frozenset({"start_new_session", "creationflags", "process_group", "preexec_fn", "startupinfo"})
"""Arguments by which a process is told to live on without whoever started it."""
_ERRANDS = frozenset({"wait"})
"""The release of what may come to an end by itself."""
_PIPE = "PIPE"
"""Whoever starts a process with pipes means to read what it says, or to tell it something."""
_HANDLES = re.compile(
    r"pid|poll|returncode|stdout|stderr|stdin|kill|terminate|send_signal|is_alive|\w*id|name|short_id|ident|attrs|url"
    r"|\w*_endpoint|wait\w*|reload|logs|status"
)
"""Attributes by which a running thing is found again, waited for, or looked after."""


@dataclass(frozen=True, eq=False)
class Dropped:
    """A running thing that nobody can stop, and why its function runs again and again."""

    leak: Leak
    invoked: Invoked

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Dropped]:
        """Those of a file, in source order."""
        leaks = [] if module.is_test else [one for one in leaks_in(values, module) if _is_left_running(one)]
        for leak in sorted(leaks, key=lambda one: one.place.span):
            why = None if _is_meant(values, leak) else invoked(values, leak.function)
            if why is not None:
                yield cls(leak, why)

    @property
    def resource(self) -> Resource:
        """What was started."""
        return self.leak.acquisition.resource


def _is_left_running(leak: Leak) -> bool:
    """Whether no way through the function stops it, or gives it to anybody."""
    never = leak.is_definite and not leak.released and not leak.given and not leak.entered
    return never and leak.acquisition.resource.runs


def _is_meant(values: Values, leak: Leak) -> bool:
    """Whether it was made to be left alone, ends by itself, is started but once, or can be found again."""
    function, expr = leak.function, _start_of(leak)
    call = last_call(expr)
    if expr is None or call is None or _is_found_again(leak) or _is_started_once(function, expr):
        return True
    release = leak.acquisition.resource.release
    if release in _TARGETS:
        return not _is_endless(values, function, argument(call, _TARGETS[release]))
    return release in _ERRANDS and _is_on_its_own(call)


def _start_of(leak: Leak) -> Expr | None:
    """The call that starts it, with what is called."""
    function, span = leak.function, leak.place.span
    for node in walk(function.node.body, into=False):
        if isinstance(node, Chain) and function.origin + node.start == span.start:
            for index, link in enumerate(node.links):
                if isinstance(link, Call) and function.origin + link.end == span.end:
                    return prefix(node, index + 1)
    return None


def _is_started_once(function: FunctionFacts, expr: Expr) -> bool:
    """Whether the function asks whether it runs already: in a test around the start, or by a flag that it sets."""
    if is_asked_first(Code(function.scope, function.origin, function.node.body), expr):
        return True
    nodes = [*walk(function.node.body, into=False)]
    flags = {
        attribute_of(target, function.receiver) for node in nodes if isinstance(node, Bind) for target in node.targets
    }
    tests = [test for node in nodes if isinstance(node, If) for test, _ in node.branches]
    asked = {attribute_of(node, function.receiver) for node in walk(*tests) if isinstance(node, Chain)}
    return not (flags & asked).issubset({None})


def _is_found_again(leak: Leak) -> bool:
    """Whether the function asks for something by which it can be found, read or looked after."""
    span, function = leak.place.span, leak.function
    for node in walk(function.node.body):
        if isinstance(node, Chain):
            here = function.origin + node.start == span.start
            rest = [link for link in node.links if not here or function.origin + link.end > span.end]
            words = [link.name for link in rest if isinstance(link, Attr)]
            if (here or (leak.name and is_name(node.base, leak.name))) and any(map(_HANDLES.fullmatch, words)):
                return True
    return False


def _is_on_its_own(call: Call) -> bool:
    """Whether a process is started to live on by itself, or may be on an errand: it has no pipes."""
    detached = any(arg.stars == 2 or arg.keyword in _DETACHES for arg in call.args)
    return detached or not any(last_name(arg.value) == _PIPE for arg in call.args)


def _is_endless(values: Values, function: FunctionFacts, target: Expr | None) -> bool:
    """Whether a function of the project has a loop that nothing but an exception ends."""
    found = values.of(function.scope, target)
    runs = found.function if isinstance(found, Method) else found
    return isinstance(runs, FunctionFacts) and any(map(_has_no_end, walk(runs.node.body, into=False)))


def _has_no_end(node: Node) -> bool:
    if not isinstance(node, While) or not isinstance(node.test, Const) or not node.test.value:
        return False
    leaves = (one for one in walk(node.body, into=False) if isinstance(one, Return | Raise | Simple))
    return all(isinstance(one, Simple) and one.word != "break" for one in leaves)
