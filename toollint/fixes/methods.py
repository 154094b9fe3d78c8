"""Where methods go in a class, and how they are indented there.

Only the header of the class needs a parser. All that is asked of its body lies before its first statement (how deep it
is indented) or behind its last one (comments, blank lines), and there plain text is exact.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from toollint.fixes.outline import NEWLINE, CannotFix, after_comments, after_line, block_text, line_gap, parses
from toollint.model import AddMethods, Span

if TYPE_CHECKING:
    from toollint.source import Source

MAX_COLONS = 50
"""Colons in the header of a class (lambdas, slices, dicts) that are tried before the fix is given up."""

_BLOCK = re.compile(rb"(?:[ \t\f]*(?:#[^\r\n]*)?" + NEWLINE + rb")+([ \t]+)(?=[^\s#\\])")
_SAME_LINE = re.compile(rb"(?:[ \t\f]|\\" + NEWLINE + rb")*(?=[^\s#\\])")


class _Body(NamedTuple):
    """How a body is indented, by how much more than its class, and the edits that bring a one-line body there."""

    indent: str
    unit: str
    edits: list[tuple[Span, str]]


def add_methods(source: Source, step: AddMethods) -> list[tuple[Span, str]]:
    """Return the edits that append the methods, after the comments that belong to the class by their indentation.

    Raises:
        CannotFix: the header cannot be parsed, or something else stands in the lines of the class.
    """
    body = _body(source, step.place.span)
    end = after_line(source, step.place.span.end)
    if end is None:
        raise CannotFix("other code stands in the last line of the class")
    end = after_comments(source, end, body.indent)
    text = line_gap(source, end) + block_text(source, ("", *step.lines), body.indent, body.unit)
    return [*body.edits, (Span(end, end), text)]


def _body(source: Source, span: Span) -> _Body:
    outer = _outer_indent(source, span.start)
    colon = _colon(source, span) + 1
    block = _BLOCK.match(source.utf8, colon)
    if block:
        indent = block.group(1).decode()
        unit = indent[len(outer) :] if indent.startswith(outer) else ""
        return _Body(indent, unit or "    ", [])
    same_line = _SAME_LINE.match(source.utf8, colon)
    if not same_line:
        raise CannotFix("the indentation of the class is not plain")
    unit = "\t" if b"\n\t" in source.utf8 else "    "
    return _Body(outer + unit, unit, [(Span(*same_line.span()), source.newline + outer + unit)])


def _outer_indent(source: Source, start: int) -> str:
    row = source.position(start).row
    text = source.utf8[source.line_starts[row - 1] : start].decode()
    continued = row > 1 and source.line(row - 1).endswith("\\")
    if text.strip(" \t") or continued:
        raise CannotFix("the class does not start its line")
    return text


def _colon(source: Source, span: Span) -> int:
    """Find the colon that ends the header of a class.

    A prefix of the class that stops in a string, a comment or brackets does not become a class by ``: pass``; the first
    one that does is therefore the header.
    """
    text = source.utf8[slice(*span)]
    for colon in itertools.islice(re.finditer(b":", text), MAX_COLONS):
        if parses(text[: colon.start()].decode() + ": pass"):
            return span.start + colon.start()
    raise CannotFix("the header of the class cannot be parsed")
