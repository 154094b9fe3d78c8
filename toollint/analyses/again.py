"""Closers that may be called twice, because all they do is release what may be released twice."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from toollint.facts import FunctionFacts
from toollint.lower import blocks
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Const,
    Evaluate,
    If,
    Return,
    Simple,
    Try,
    attribute_of,
    prefix,
    walk,
)


def releases_only(method: FunctionFacts, releases: AbstractSet[tuple[str, str]]) -> bool:
    """Whether a closer does nothing but these releases: pairs of an attribute and the method that releases it."""
    return _is_harmless(method, method.node.body, releases)


def _is_harmless(method: FunctionFacts, block: Block, releases: AbstractSet[tuple[str, str]]) -> bool:
    for stmt in block:
        if isinstance(stmt, If | Try):
            harmless = all(_is_harmless(method, inner, releases) for inner in blocks(stmt))
        elif isinstance(stmt, Evaluate):
            harmless = isinstance(stmt.value, Const) or _released(method, stmt) in releases
        elif isinstance(stmt, Bind | Return):
            harmless = not any(isinstance(node, Call) for node in walk(stmt.value))
        else:
            harmless = isinstance(stmt, Simple)
        if not harmless:
            return False
    return True


def _released(method: FunctionFacts, stmt: Evaluate) -> tuple[str, str] | None:
    """The attribute and the method of ``self.attribute.method()``, awaited or not."""
    called = stmt.value.value if isinstance(stmt.value, Await) else stmt.value
    if not isinstance(called, Chain) or len(called.links) != 3:
        return None
    attribute, verb = attribute_of(prefix(called, 1), method.receiver), called.links[1]
    if attribute is None or not isinstance(verb, Attr) or not isinstance(called.links[2], Call):
        return None
    return attribute, verb.name
