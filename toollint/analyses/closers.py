"""How objects of a class are closed: by which method, in which colour, with or without `with`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.release import is_closer, is_empty
from toollint.analyses.values import Values
from toollint.facts import Assigned, ClassFacts, FunctionFacts
from toollint.syntax import Attr, Chain, Expr, Lambda, Name, callee, last_name

VERBS = (
    *("aclose", "close", "close_async", "async_close", "shutdown", "disconnect", "dispose", "cleanup", "clean_up"),
    *("teardown", "tear_down", "terminate", "destroy", "quit", "stop"),
)
"""Methods that end the life of an object and are called by who owns it, the usual ones first."""
OPENERS = frozenset(
    {
        *("__enter__", "__aenter__", "connect", "aconnect", "open", "aopen", "start", "astart", "start_async", "setup"),
        *("warm_up", "warm_up_async", "initialize", "init", "launch", "_connect", "_open", "_start", "_initialize"),
    }
)
"""Methods after which an object that did nothing before holds something."""
_OF_THE_PROTOCOL = re.compile(r"_*(?:exc|exception|error|err|traceback|tb|args|kwargs)\w*|_+")
"""Parameters of `__exit__`, which a method that does its work may take as well."""


_PARTIAL = frozenset({"partial", "partialmethod", "staticmethod", "classmethod"})


class Verb(NamedTuple):
    """How to close an object: by a method (``name``, empty where there is none), by ``with``, by ``async with``."""

    name: str
    is_async: bool
    with_: bool
    async_with: bool


class Hook(NamedTuple):
    """An inherited closer that does nothing: subclasses are meant to fill it in, and somebody may call it already."""

    name: str
    is_async: bool


def empty_hook(values: Values, cls: ClassFacts, *, awaits: bool) -> Hook | None:
    """The inherited closer that a class should override to be closed; ``awaits``: its work has to be awaited."""
    lineage = values.project.lineage(cls)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    found = [Hook(name, name in base.async_closers) for base in bases if base for name in base.empty_closers]
    for ancestor in reversed(lineage.classes[1:]):
        found += [Hook(name, one.node.is_async) for name, one in ancestor.methods.items() if is_empty(one)]
    able = {hook.name: hook for hook in found if hook.is_async or not awaits}
    return next((able[verb] for verb in VERBS if verb in able), None)


def closing_verb(values: Values, cls: ClassFacts) -> Verb | None:
    """How objects of a class of the project are closed, by the class or an ancestor; None where nothing does it."""
    found = closers_of(values, cls)
    others = sorted(verb for verb in found if not verb.startswith("_") and verb not in VERBS)
    name = next((verb for verb in (*VERBS, *others) if verb in found), "")
    with_, async_with = "__exit__" in found, "__aexit__" in found
    if not (name or with_ or async_with):
        return None
    return Verb(name, found[name] if name else not with_, with_, async_with)


def closers_of(values: Values, cls: ClassFacts) -> dict[str, bool]:
    """The methods that end an object's life, do something and need no arguments, and whether each is a coroutine."""
    lineage = values.project.lineage(cls)
    found: dict[str, bool] = {}
    for name in lineage.libraries:
        base = values.catalog.base(name)
        if base is not None:
            found |= {verb: verb in base.async_closers for verb in base.closers if verb not in base.empty_closers}
    for ancestor in reversed(lineage.classes):
        for name, method in ancestor.methods.items():
            if is_closer(name) and name != "__del__" and ends_its_object(method):
                found[name] = method.node.is_async
    return found


def assigned_closers(cls: ClassFacts) -> Iterator[str]:
    """The closers that are no methods, as ``close = other`` and ``self.close = lambda: ...``: they may do anything."""
    for name, found in cls.scope.bindings.items():
        values = [one.stmt.value for one in found if isinstance(one, Assigned) and one.stmt.annotation is None]
        if is_closer(name) and any(isinstance(value, Name) or _is_function(value) for value in values):
            yield name
    for name, assigned in cls.assignments.items():
        if is_closer(name) and any(_is_function(stmt.value) for _, stmt in assigned):
            yield name


def _is_function(value: Expr | None) -> bool:
    """Whether it is a function by its form: a lambda, a dotted name, a partial call."""
    if isinstance(value, Chain):
        called = callee(value)
        return isinstance(value.links[-1], Attr) if called is None else last_name(called) in _PARTIAL
    return isinstance(value, Lambda)


def ends_its_object(method: FunctionFacts) -> bool:
    """Whether a method named like a closer does something, and nobody has to tell it what to close."""
    if is_empty(method) or method.receiver is None or "property" in map(last_name, method.decorators):
        return False
    needed = [
        param.name
        for param in method.node.params[1:]
        if param.kind in {"positional", "plain", "keyword"} and param.default is None
    ]
    return all(_OF_THE_PROTOCOL.fullmatch(name) for name in needed)
