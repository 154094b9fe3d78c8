"""Graphs and agents that a function builds each time it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.invoked import Invoked, invoked, is_asked_first, is_kept
from toollint.analyses.values import Instance, Values
from toollint.facts import Code, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Call, Chain, Expr, last_name, prefix, walk


class Compiled(NamedTuple):
    """The call that builds a graph or an agent in a function that runs again and again."""

    name: str
    kind: str
    place: Place
    invoked: Invoked

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Compiled]:
        """The first of each function of a file, tests aside."""
        about = values.sieve.words(module.path, "kind") & values.project.words(module.path)
        for code in code_of(module, about) if about and not module.is_test else ():
            if code.function is not None:
                found = next(_built(values, code, about), None)
                reason = invoked(values, code.function) if found is not None else None
                if found is not None and reason is not None and reason.role != "method":
                    yield cls(*found, reason)


def _built(values: Values, code: Code, about: frozenset[bytes]) -> Iterator[tuple[str, str, Place]]:
    for node in walk(code.block, into=False):
        for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
            called = prefix(node, index)
            if isinstance(link, Call) and last_name(called).encode() in about and not _is_cached(code, called):
                kind = _kind(values, code, called, link)
                if kind in {"graph", "agent"}:
                    yield last_name(called), kind, code.at(called.start, link.end)


def _is_cached(code: Code, called: Expr) -> bool:
    return is_asked_first(code, called) or is_kept(code, called)


def _kind(values: Values, code: Code, called: Expr, call: Call) -> str:
    """What a library's call builds; empty for a builder, which something is to be compiled from."""
    function = values.of(code.scope, called)
    made = values.called(function, call) if isinstance(function, Library) else None
    row = values.type_of(made) if isinstance(made, Instance) else None
    return row.kind if row is not None and values.catalog.returns(f"{row.name}.compile") is None else ""
