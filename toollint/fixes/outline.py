"""What the fix engine has to know of a text: where its top-level statements stand, where lines end, how new ones look.

`ast` tells it where it can; libcst, which is dear to import, where the text is newer than the running interpreter.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

from toollint.model import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toollint.source import Source

NEWLINE = rb"(?:\r\n|\r(?!\n)|\n)"
"""A newline as a regular expression that matches in one way only, so that nothing built on it backtracks."""

_REST_OF_LINE = re.compile(rb"(?:[ \t\f;]|\\" + NEWLINE + rb")*(?:#[^\r\n]*)?(?:" + NEWLINE + rb"|\Z)")


class CannotFix(Exception):  # noqa: N818 - a verdict on the text, no error
    """The text does not allow the repair; the message says why, as the end of «not offered as a fix: ...»."""


class Piece(NamedTuple):
    """Top-level code: its span, and its statements, or None where the running interpreter refuses them."""

    span: Span
    statements: tuple[ast.stmt, ...] | None


def outline(source: Source) -> list[Piece]:
    """Return the top-level pieces of a file in order.

    Raises:
        CannotFix: no parser takes the text, or libcst does not give it back as it was.
    """
    pieces = outline_by_ast(source)
    return outline_by_libcst(source) if pieces is None else pieces


def outline_by_ast(source: Source) -> list[Piece] | None:
    """Return one piece a statement, decorators included; None where the running interpreter refuses the text."""
    statements = _parse(source.text)
    return None if statements is None else [Piece(_span(source, each), (each,)) for each in statements]


def outline_by_libcst(source: Source) -> list[Piece]:
    """Return one piece a statement line, with the comments above it.

    Raises:
        CannotFix: libcst refuses the text, or does not give it back as it was.
    """
    import libcst  # noqa: PLC0415 - dear

    try:
        module = libcst.parse_module(source.text)
        codes = [module.code_for_node(line) for line in (*module.header, *module.body)]
    except Exception as error:  # libcst raises a dozen unrelated classes
        raise CannotFix("the file cannot be parsed") from error
    pieces: list[Piece] = []
    start = 0
    for index, code in enumerate(codes):
        end = start + len(code.rstrip().encode())
        if source.utf8[start:end] != code.rstrip().encode():
            raise CannotFix("libcst does not give the file back as it is")
        if index >= len(module.header):
            parsed = _parse(code)
            pieces.append(Piece(Span(start, end), None if parsed is None else tuple(parsed)))
        start += len(code.encode())
    return pieces


def parses(text: str) -> bool:
    """Whether the running interpreter, else libcst, takes the text for Python."""
    if _parse(text) is not None:
        return True
    import libcst  # noqa: PLC0415 - dear

    try:
        libcst.parse_module(text)
    except Exception:  # noqa: BLE001 - libcst raises a dozen unrelated classes
        return False
    return True


def after_line(source: Source, offset: int) -> int | None:
    """Return where the line after the statement that ends at ``offset`` starts; None if another one shares its line."""
    rest = _REST_OF_LINE.match(source.utf8, offset)
    return rest.end() if rest else None


def after_comments(source: Source, offset: int, indent: str, *, deeper: bool = False) -> int:
    """Return where the comments end that follow the line start ``offset`` and are indented so, or only ``deeper``."""
    blank = rb"(?:[ \t\f]*" + NEWLINE + rb")*"
    indented = re.escape(indent.encode()) + (rb"[ \t]+" if deeper else rb"[ \t]*")
    comment = indented + rb"#[^\r\n]*(?:" + NEWLINE + rb"|\Z)"
    found = re.compile(rb"(?:" + blank + comment + rb")*").match(source.utf8, offset)
    return found.end() if found else offset


def line_gap(source: Source, offset: int) -> str:
    """Return the newline that is missing in front of an insertion at ``offset``: the last line may have none."""
    return "" if source.utf8[:offset].endswith((b"\n", b"\r")) or not offset else source.newline


def block_text(source: Source, lines: Iterable[str], indent: str, unit: str) -> str:
    """Return the lines of a step (four spaces a level) at an indentation, a level being ``unit``, as text."""
    return "".join(_indented(line, indent, unit) + source.newline for line in lines)


def _indented(line: str, indent: str, unit: str) -> str:
    code = line.lstrip(" ")
    levels, rest = divmod(len(line) - len(code), 4)
    return indent + unit * levels + " " * rest + code if code else ""


def _parse(text: str) -> list[ast.stmt] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _span(source: Source, statement: ast.stmt) -> Span:
    decorators = getattr(statement, "decorator_list", ())
    row = min([statement.lineno, *(each.lineno for each in decorators)])
    column = 0 if decorators else statement.col_offset
    end_row, end_column = statement.end_lineno or statement.lineno, statement.end_col_offset or 0
    return Span(source.line_starts[row - 1] + column, source.line_starts[end_row - 1] + end_column)
