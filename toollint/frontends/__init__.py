"""Front ends: Python source -> the little language, on `ast` (`fast`) or on libcst (`reference`), with equal results.

This module holds what the two share, and knows neither parser.
"""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from toollint.syntax import Attr, Binary, Chain, Collection, Const, Expr, Index, Item, Link, Name, Star

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Refused(Exception):  # noqa: N818 - a verdict on a file, not a fault of ours
    """A front end does not take this file: ``message``, and the place (from 1, columns in code points)."""

    def __init__(self, message: str, row: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.row = row
        self.column = column

    @classmethod
    def at(cls, message: str, utf8: bytes, line_starts: Sequence[int], offset: int) -> Refused:
        """The refusal for a byte offset in ``utf8``."""
        row = bisect.bisect_right(line_starts, offset)
        return cls(message, row, len(utf8[line_starts[row - 1] : offset].decode()) + 1)


def refuse_null(utf8: bytes, line_starts: Sequence[int]) -> None:
    """Raise `Refused` at a null byte: CPython refuses it everywhere, but not always says where; libcst takes some."""
    null = utf8.find(b"\0")
    if null >= 0:
        raise Refused.at("source code cannot contain null bytes", utf8, line_starts, null)


class Tree(Protocol):
    """A parsed file, of which items are translated on demand."""

    @property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Absolute byte spans of the top-level statements in source order, decorators included."""

    def translate(self, index: int) -> Item:
        """Translate the top-level statement ``spans[index]``; not memoised.

        Raises:
            Refused: the interpreter's stack has no room left.
        """


def unquote(annotation: Expr, parse: Callable[[Const, int], Expr | None], depth: int) -> Expr:
    """Replace the strings in an annotation that stand for types by what they say.

    Only places that hold types are looked at: subscripts, tuples and lists in them, unions, unpackings; nothing inside
    ``Literal[...]`` and only the first element of ``Annotated[...]``. ``depth`` is the level of ``annotation``.
    ``parse(string, depth)`` translates the text of a string at that level; None leaves the string as it is.
    """
    inner = depth + 1
    if isinstance(annotation, Const) and isinstance(annotation.value, str):
        parsed = parse(annotation, depth)
        return annotation if parsed is None else unquote(parsed, parse, depth)
    if isinstance(annotation, Chain) and any(isinstance(link, Index) for link in annotation.links):
        return replace(annotation, links=_unquoted_links(annotation, parse, inner))
    if isinstance(annotation, Collection):
        return replace(annotation, items=tuple([unquote(item, parse, inner) for item in annotation.items]))
    if isinstance(annotation, Binary):
        return replace(annotation, operands=tuple([unquote(operand, parse, inner) for operand in annotation.operands]))
    if isinstance(annotation, Star):
        return replace(annotation, value=unquote(annotation.value, parse, inner))
    return annotation


def _unquoted_links(chain: Chain, parse: Callable[[Const, int], Expr | None], depth: int) -> tuple[Link, ...]:
    name = chain.base.id if isinstance(chain.base, Name) else ""
    links: list[Link] = []
    for link in chain.links:
        if isinstance(link, Attr):
            name = link.name
        elif isinstance(link, Index) and name != "Literal":
            links.append(replace(link, key=_unquoted_key(name, link.key, parse, depth)))
            continue
        links.append(link)
    return tuple(links)


def _unquoted_key(name: str, key: Expr, parse: Callable[[Const, int], Expr | None], depth: int) -> Expr:
    if name == "Annotated" and isinstance(key, Collection) and key.items:
        return replace(key, items=(unquote(key.items[0], parse, depth + 1), *key.items[1:]))
    return unquote(key, parse, depth)
