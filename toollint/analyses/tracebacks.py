"""Exceptions that a function keeps under a name of its own when it is left: they and the frame hold each other.

The traceback of an exception refers to the frames that it went through, and a frame to its local names. Python deletes
the name of an ``except ... as error`` at the end of its block for this reason; a second name undoes that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from toollint.analyses.values import Values
from toollint.facts import Assigned, Code, FunctionFacts, ModuleFacts, Parameter, code_of
from toollint.model import Place
from toollint.syntax import (
    Bind,
    Chain,
    Delete,
    Handler,
    If,
    Name,
    Raise,
    Return,
    Scope,
    is_name,
    is_none,
    last_call,
    last_name,
    walk,
)

_CAUGHT = re.compile(rb"\bexcept\b[^\r\n]*\bas[ \t]+(\w+)[ \t]*:")
_COPIED = re.compile(rb"^[ \t]+\w+[ \t]*(?::[^=\r\n]*)?=[ \t]*(\w+)[ \t]*(?:#[^\r\n]*)?\r?$", re.MULTILINE)
_ASKED = re.compile(rb"\bisinstance\([ \t]*(\w+)[ \t]*,")
_DETACHES = re.compile(r"traceback|detach|clear_frames")
_RAISED = re.compile(rb"\braise[ \t]+(\w+)\b")


@dataclass(frozen=True, eq=False)
class Kept:
    """An exception in a local ``name``; ``stmt`` is how the function is left with it, or what gives it the name.

    ``caught`` is the statement that copies it from the handler's own name, None where it came as a value.
    """

    code: Code
    function: FunctionFacts
    name: str
    stmt: Raise | Return | Bind
    caught: Bind | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Kept]:
        """The exceptions that the functions of a file keep, in source order of the functions; tests aside."""
        del values  # the text of the file tells
        text = module.utf8
        about = {*_CAUGHT.findall(text)} & {*_COPIED.findall(text)}
        about |= {*_ASKED.findall(text)} & {*_RAISED.findall(text)}
        if module.is_test or not about:
            return
        for code in code_of(module, frozenset(about)):
            if code.function is not None:
                yield from _copied(code, code.function)
                yield from _as_values(code, code.function)

    @property
    def place(self) -> Place:
        """The statement that has to change."""
        return self.code.at(self.stmt.start, self.stmt.end)

    @property
    def copied(self) -> Place | None:
        """Where the exception gets its second name, if that is another place."""
        return self.code.at(self.caught.start, self.caught.end) if self.caught not in {None, self.stmt} else None


def _copied(code: Code, function: FunctionFacts) -> Iterator[Kept]:
    """``last = error`` in an ``except ... as error``, and nothing takes ``last`` away again."""
    nodes = [*walk(code.block, into=False)]
    handlers = [node for node in nodes if isinstance(node, Handler) and node.name is not None]
    seen: set[str] = set()
    for handler in handlers:
        for stmt in walk(handler.body, into=False):
            target = stmt.targets[0] if isinstance(stmt, Bind) and len(stmt.targets) == 1 else None
            if not isinstance(stmt, Bind) or not isinstance(target, Name) or not is_name(stmt.value, handler.name):
                continue
            name = target.id
            goes = any(one.name == name and one.start <= stmt.start < one.end for one in handlers)  # Python deletes it
            if goes or name in seen or not _is_local(nodes, function, name) or _is_let_go(nodes, name, stmt.end):
                continue
            seen.add(name)
            yield Kept(code, function, name, _leaving(nodes, name, stmt) or stmt, stmt)


def _as_values(code: Code, function: FunctionFacts) -> Iterator[Kept]:
    """``if isinstance(answer, Error): raise answer``: it came as a value, and is raised where it has a name."""
    nodes = [*walk(code.block, into=False)]
    for stmt in (node for node in nodes if isinstance(node, If)):
        for test, body in stmt.branches:
            asked = _asked(test)
            raised = next((one for one in body if isinstance(one, Raise) and is_name(one.value, asked)), None)
            found = function.scope.bindings.get(asked, ())
            plain = bool(found) and all(isinstance(one, Assigned | Parameter) for one in found)
            if raised is not None and plain and not _is_let_go(nodes, asked, raised.start):
                yield Kept(code, function, asked, raised, None)


def _asked(test: object) -> str:
    """The name that a test asks for its class."""
    call = last_call(test) if isinstance(test, Chain) and last_name(test) == "isinstance" else None
    first = call.args[0].value if call is not None and call.args else None
    return first.id if isinstance(first, Name) else ""


def _is_local(nodes: list[Any], function: FunctionFacts, name: str) -> bool:
    elsewhere = any(isinstance(node, Scope) and name in node.names for node in nodes)
    return name in function.scope.bindings and not elsewhere


def _is_let_go(nodes: list[Any], name: str, after: int) -> bool:
    """Whether the function takes the name, or the traceback of what it stands for, away from some place on."""
    for node in nodes:
        if isinstance(node, Chain) and node.start >= after and _detaches(node, name):
            return True
        gone = isinstance(node, Delete) or (isinstance(node, Bind) and is_none(node.value))
        bases = [one.base if isinstance(one, Chain) else one for one in node.targets] if gone else []
        if any(is_name(base, name) for base in bases) and node.start >= after:
            return True
    return False


def _detaches(chain: Chain, name: str) -> bool:
    """Whether a call is given the exception, or is one of its methods, to take its traceback away."""
    call = last_call(chain)
    given = [chain.base, *(arg.value for arg in call.args)] if call is not None else []
    return _DETACHES.search(last_name(chain)) is not None and any(is_name(one, name) for one in given)


def _leaving(nodes: list[Any], name: str, copy: Bind) -> Raise | Return | None:
    """The statement after the copy that leaves the function with the exception."""
    for node in nodes:
        if isinstance(node, Raise | Return) and node.start > copy.end and any(is_name(n, name) for n in walk(node)):
            return node
    return None
