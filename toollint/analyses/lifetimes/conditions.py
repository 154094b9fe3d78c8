"""Conditions whose outcome can be remembered: the same test of the same names comes out the same way again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from toollint.syntax import (
    Attr,
    Binary,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Collection,
    Compare,
    Const,
    Expr,
    For,
    If,
    IfExp,
    Index,
    Name,
    Not,
    OtherStmt,
    While,
    walk,
)

_ASKS = frozenset({"isinstance", "hasattr", "len", "callable", "bool", "issubclass"})
_PURE = (Name, Const, Compare, Not, Binary, Attr, Index, Collection, Bool)
_OPPOSITE = {"is not": "is", "!=": "==", "not in": "in"}


class Condition(NamedTuple):
    """A test in its positive form: its text, whether the text says the opposite, and the names that it looks at."""

    text: str
    negated: bool
    names: frozenset[str]


class Conditions:
    """The tests of one function; only those that come up again are worth remembering."""

    def __init__(self, body: Block, text: Callable[[Expr], str]) -> None:
        """Take the function's body, and what gives an expression as it is written."""
        self._text = text
        tests = {id(test): test for test in _tests(body)}
        found = [self._condition(test) for test in tests.values()]
        counts = Counter(one.text for one in found if one is not None)
        rounds = {
            id(test) for loop in walk(body, into=False) if isinstance(loop, For | While) for test in _inside(loop)
        }
        self._again = {
            one.text: one
            for test, one in zip(tests.values(), found, strict=True)
            if one is not None and (counts[one.text] > 1 or (id(test) in rounds and _is_of_names(test)))
        }
        self.names = frozenset(node.id for test in tests.values() for node in walk(test) if isinstance(node, Name))

    def of(self, test: Expr) -> Condition | None:
        """The condition that a test asks, None where it asks something new or has effects."""
        found = self._condition(test)
        return found if found is not None and found.text in self._again else None

    def about(self, word: str) -> list[str]:
        """The texts of the conditions that look at a name or attribute."""
        return [text for text, one in self._again.items() if word in one.names]

    def _condition(self, test: Expr) -> Condition | None:
        if isinstance(test, Not):
            inner = self._condition(test.operand)
            return inner and inner._replace(negated=not inner.negated)
        if not all(map(_is_pure, walk(test))):
            return None
        names = frozenset(word for node in walk(test) if (word := _word(node)))
        if isinstance(test, Compare) and len(test.ops) == 1:
            left, right = map(self._text, test.operands)
            op = test.ops[0]
            return Condition(f"{left} {_OPPOSITE.get(op, op)} {right}", op in _OPPOSITE, names)
        return Condition(" ".join(self._text(test).split()), False, names)


def _inside(loop: For | While) -> Iterator[Expr]:
    """The tests that each round of a loop asks again."""
    if isinstance(loop, While):
        yield from _parts(loop.test)
    yield from _tests(loop.body)


def _is_of_names(test: Expr) -> bool:
    """Whether it looks at names alone: a round may change what attributes and items hold, behind any call."""
    return not any(isinstance(node, Attr | Index | Call) for node in walk(test))


def _word(node: object) -> str:
    return node.id if isinstance(node, Name) else node.name if isinstance(node, Attr) else ""


def _is_pure(node: object) -> bool:
    """Whether it looks at values and does nothing to them; calls are looked at with the chain they stand in."""
    if isinstance(node, Chain):
        calls = [index for index, link in enumerate(node.links) if isinstance(link, Call)]
        return not calls or (calls == [0] and isinstance(node.base, Name) and node.base.id in _ASKS)
    return isinstance(node, (*_PURE, Call)) or type(node).__name__ == "Arg"


def _tests(body: Block) -> Iterator[Expr]:
    """Every test of the body, those that ``and``, ``or`` and ``not`` combine apart."""
    for node in walk(body, into=False):
        if isinstance(node, If):
            for test, _ in node.branches:
                yield from _parts(test)
        elif isinstance(node, While | IfExp):
            yield from _parts(node.test)
        elif isinstance(node, OtherStmt):
            for child in node.children[:1]:
                yield from _parts(child)
        elif isinstance(node, Bind) and isinstance(node.value, Compare | Not):
            yield node.value
        elif isinstance(node, Bool):
            for operand in node.operands:
                yield from _parts(operand)


def _parts(test: Expr) -> Iterator[Expr]:
    if isinstance(test, Bool):
        for operand in test.operands:
            yield from _parts(operand)
    elif isinstance(test, Not) and isinstance(test.operand, Bool):
        yield from _parts(test.operand)
    else:
        yield test
