"""What code asks about an object before it closes it: who asks knows something that is not written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toollint.analyses.closing import Closing
from toollint.syntax import Attr, Bool, Const, Expr, If, Name, callee, last_call, walk

_ASKS = r"(?:hasattr|getattr|isinstance|issubclass|callable|type|iscoroutine\w*|isawaitable)\s*\("


def is_asked(closing: Closing) -> bool:
    """Whether the function asks what the receiver is or has, or gives it another method of that name."""
    patches = rf"[\"'][\w.]*\b{closing.verb}[\"']|{closing.pattern}\.{closing.verb}\s*=[^=]"
    return re.search(f"{_question(closing)}|{patches}", closing.surroundings) is not None


def asks_for_others(closing: Closing) -> bool:
    """Whether the function asks anything of the receiver but whether it has this very method."""
    same = rf"\s*,\s*[\"']{closing.verb}[\"']|\.{closing.verb}\b"
    return re.search(f"{_question(closing)}(?!{same})", closing.surroundings) is not None


def _question(closing: Closing) -> str:
    return rf"{_ASKS}\s*(?:getattr\(\s*)?{closing.pattern}(?!\w)"


def only_question(closing: Closing) -> Const | None:
    """The method's name in a ``hasattr`` in an ``if`` around the closing that has no other branch."""
    return next(filter(None, (_asked_in(closing, part) for part in _conditions(closing))), None)


def is_named_beside(closing: Closing) -> bool:
    """Whether the conditions beside that question name the method as well."""
    parts = [node for part in _conditions(closing) if _asked_in(closing, part) is None for node in walk(part)]
    return any(isinstance(node, Attr) and node.name == closing.verb for node in parts)


def _conditions(closing: Closing) -> Iterator[Expr]:
    """All that has to be true, by each ``if`` around the closing that has one branch."""
    for node in walk(closing.code.block, into=False):
        if isinstance(node, If) and len(node.branches) == 1 and not node.orelse and closing.is_in(node.branches[0][1]):
            test = node.branches[0][0]
            yield from test.operands if isinstance(test, Bool) and test.op == "and" else (test,)


def _asked_in(closing: Closing, test: Expr) -> Const | None:
    call, asks = last_call(test), callee(test)
    if call is None or not isinstance(asks, Name) or asks.id != "hasattr" or len(call.args) != 2:
        return None
    receiver, word = (arg.value for arg in call.args)
    same = re.fullmatch(closing.pattern, closing.text(receiver)) is not None
    return word if same and isinstance(word, Const) and word.value == closing.verb else None
