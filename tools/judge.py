"""Compares a row of the catalogue with what a probe found under its name; every difference is a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from toollint.catalog.records import Acquisition, Effect, Memoized, Memoizer, Resource, Returns, Tool, Type

Facts: TypeAlias = dict[str, Any]
"""What `inside/probe.py` says of a name."""

CLASS_TOOLS = frozenset({"base", "class", "toolkit", "holder"})
CLOSER = re.compile(r"a?close|close_async|a?cleanup|dispose|disconnect|shutdown|__a?exit__")
"""Methods that a subclass inherits as its closer, so that a class which has one must say so."""
_KEYS = {"hashable": "hashable", "weakref": "weakref", "eq_by_value": "eq-by-value"}


def differences(record: Any, facts: Facts, *, derived: bool = False) -> Iterator[str]:
    """Say what a record claims and the installed package denies, and what to write instead.

    ``derived``: a class whose closers come from its row as a resource.
    """
    if isinstance(record, Resource):
        yield from _resource(record, facts)
    elif isinstance(record, Acquisition):
        yield from _acquisition(record, facts)
    elif isinstance(record, Type):
        yield from _type(record, facts, derived=derived)
    elif isinstance(record, Tool):
        yield from _tool(record, facts)
    elif isinstance(record, Effect):
        yield from _effect(record, facts)
    elif isinstance(record, Returns | Memoizer | Memoized) and facts["is"] == "other":
        yield "is neither a function nor a class"


def _resource(row: Resource, facts: Facts) -> Iterator[str]:
    if facts["is"] != "class":  # named by the call that acquires it: there is no class to look at
        return
    members = facts["members"]
    for name in (row.release, *row.others, *row.needs_entering, *row.coroutines, *row.gives_tools):
        if name and "." not in name and name not in members:
            yield f"`{name}` is no method of it; it has {_closers(members)}"
    if row.release in members and "." not in row.release:
        found = members[row.release] == "async"
        if found != row.async_:
            yield f"`{row.release}` {'has to' if found else 'need not'} be awaited: write `async = {_toml(found)}`"
    for name in (each for each in row.coroutines if members.get(each, "async") != "async"):
        yield f"`{name}` is no coroutine function"
    for key, claim, method in (("with", row.with_, "__exit__"), ("async-with", row.async_with, "__aexit__")):
        if (claim == "absent") != (method not in members):
            yield f'`{key}` is "{claim}" but `{method}` is {"there" if method in members else "missing"}'
    yield from _as_key(row, facts["instance"])


def _acquisition(row: Acquisition, facts: Facts) -> Iterator[str]:
    if row.kind == "constructor" and facts["is"] != "class":
        yield f'is no class: write `kind = "function"`, not "{row.kind}"'
    if facts["is"] != "function":
        return
    if facts["manager"] not in {row.manager, ""}:  # a function may give an object that is a context manager as well
        yield f'write `manager = "{facts["manager"]}"`, not "{row.manager}"'
    elif facts["colour"] == "async" and row.awaited == "no" and not row.manager:
        yield 'has to be awaited: write `awaited = "yes"`'
    elif facts["colour"] == "sync" and row.awaited == "yes":
        yield 'is no coroutine function: write `awaited = "either"` if it gives an awaitable'


def _type(row: Type, facts: Facts, *, derived: bool) -> Iterator[str]:
    if facts["is"] != "class":
        yield "is no class"
        return
    members = facts["members"]
    for name in row.closers:
        if name not in members:
            yield f"closer `{name}` is missing; it has {_closers(members)}"
        elif (members[name] == "async") != (name in row.async_closers):
            yield f"closer `{name}` is {members[name]}"
    missing = sorted(name for name in members if CLOSER.fullmatch(name) and name not in row.closers)
    if missing and not derived:
        yield f"`closers` lacks {', '.join(missing)}"
    if facts["pydantic"] != row.pydantic:
        yield f"write `pydantic = {_toml(facts['pydantic'])}`"
    yield from _as_key(row, facts["instance" if row.kind or derived else "heir"])


def _tool(row: Tool, facts: Facts) -> Iterator[str]:
    if (row.kind in CLASS_TOOLS) != (facts["is"] == "class"):
        yield f'`kind` is "{row.kind}" but it is a {facts["is"]}'
    elif facts["is"] == "class":
        unknown = sorted({*row.reserved} - {*facts["members"]})
        if unknown:
            yield f"`reserved` has names that the class does not: {', '.join(unknown)}"


def _effect(row: Effect, facts: Facts) -> Iterator[str]:
    if "positional" in facts:
        positional = [name for name in facts["positional"] if name not in {"self", "cls"}]
        named = [real or name for name, real in zip(row.params, positional, strict=False)]
        if list(row.params) != named:
            yield f"`params` is {list(row.params)} but the positional parameters are {positional}"
    if "parameters" in facts and "" not in facts["parameters"]:
        named = {*row.owns, *row.retains, *row.borrows, *row.registers, *row.entered}
        unknown = sorted(named - {*facts["parameters"]})
        if unknown:
            yield f"no such parameters: {', '.join(unknown)}; it has {', '.join(facts['parameters'])}"


def _as_key(row: Resource | Type, found: dict[str, bool]) -> Iterator[str]:
    for field, key in _KEYS.items():
        if field == "eq_by_value" and not found["hashable"]:
            continue  # what cannot be hashed is no key, whatever it equals
        if getattr(row, field) != found[field]:
            yield f"write `{key} = {_toml(found[field])}`"


def _closers(members: dict[str, str]) -> str:
    found = [name for name in members if CLOSER.fullmatch(name)]
    return ", ".join(f"{name} ({members[name]})" for name in found) or "nothing like it"


def _toml(value: bool) -> str:
    return "true" if value else "false"
