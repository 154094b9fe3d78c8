"""Where whole lines go: above or below a statement, around statements, or in their place.

No parser is asked. Indentation is a matter of logical lines, comments and strings, and these the lexer finds, in files
too that the running interpreter refuses. Front ends say where a statement starts and ends; whether it has its lines for
itself is looked at here.
"""

from __future__ import annotations

import bisect
import operator
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from toollint import lexer
from toollint.fixes.outline import NEWLINE, CannotFix, after_comments, block_text, line_gap
from toollint.model import InsertLines, ReplaceLines, Span, Surround

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from toollint.lexer import Statement
    from toollint.source import Source

Order: TypeAlias = tuple[int, ...]
"""Which change comes first of those at one point: what is of the line above, then what is of the line below."""

IMPORT: Order = (1,)
BEFORE: Order = (2,)
ABOVE: Order = (3,)
INDENT: Order = (4,)
TEXT: Order = (5,)

_NEWLINE = re.compile(NEWLINE)
_BLANK = re.compile(rb"[ \t\f]*(?:" + NEWLINE + rb"|\Z)")
_COMMENT = re.compile(rb"[ \t\f]*#")
_START = operator.attrgetter("start")
_CLAUSE = re.compile(rb"(?:else|elif|except|finally)\b")
_NO_CODE = re.compile(rb"(?:[ \t\f;]|\\" + NEWLINE + rb")*(?:#[^\r\n]*)?")


class Change(NamedTuple):
    """A span and its new text."""

    span: Span
    text: str
    order: Order


class _Block(NamedTuple):
    """The lines of consecutive whole statements, decorators included.

    ``line`` is where the first line starts, ``start`` where its code does; ``end`` is where the last line ends, and
    ``below`` where the line starts that follows it and the comments that are indented deeper. ``is_all`` says that
    nothing else is in the block that they are in.
    """

    line: int
    start: int
    end: int
    below: int
    indent: str
    unit: str
    has_comments: bool
    is_all: bool


def at_end(start: int, *, around: bool = False) -> Order:
    """Return the order of what ends with a statement that starts at ``start``: inner statements end first."""
    return (0, -start, around)


def insert_lines(source: Source, step: InsertLines, around: Surround | None) -> list[Change]:
    """Return the insertion; ``around`` is the step that indents the statement.

    Raises:
        CannotFix: the statement has not its lines for itself.
    """
    block = _block(source, step.place.span)
    text = block_text(source, step.lines, _added_by(source, around) + block.indent, block.unit)
    if step.below:
        return _insertion(source, block.below, text, at_end(step.place.span.start))
    return _insertion(source, block.line, text, ABOVE)


def replace_lines(source: Source, step: ReplaceLines, around: Surround | None) -> list[Change]:
    """Return the edits that replace statements, or delete them with their lines.

    All lines but the last are put above the statements, and the last one where they stood: an edit that indents the
    statements does the right thing to it, and is in conflict with the lines above unless it is of the same repair.

    Raises:
        CannotFix: the statements have not their lines for themselves, a comment would be lost, or nothing be left.
    """
    block = _block(source, step.place.span)
    if block.has_comments:
        raise CannotFix("a comment would be lost")
    if not step.lines:
        return [_deletion(source, block, step.place.span, around)]
    above = block_text(source, step.lines[:-1], _added_by(source, around) + block.indent, block.unit)
    last = block_text(source, step.lines[-1:], "", block.unit).removesuffix(source.newline)
    return [*_insertion(source, block.line, above, ABOVE), Change(Span(block.start, block.end), last, TEXT)]


def surround(source: Source, step: Surround) -> list[Change]:
    """Return the edits that indent statements, and that put lines above and below.

    Raises:
        CannotFix: the statements have not their lines for themselves, or are not indented plainly.
    """
    block = _block(source, step.place.span)
    if block.unit + block.indent != block.indent + block.unit:
        raise CannotFix("tabs and spaces are mixed in the indentation")
    before = block_text(source, step.before, block.indent, block.unit)
    after = block_text(source, step.after, block.indent, block.unit)
    indented, gap = (block, []) if step.head is None else _below_head(source, block, step.head.span)
    return [
        *_insertion(source, indented.line, before, BEFORE),
        *gap,
        *(Change(Span(line, line), block.unit, INDENT) for line in _lines_to_indent(source, indented)),
        *_insertion(source, block.below, after, at_end(step.place.span.start, around=True)),
    ]


def settled(source: Source, changes: Iterable[Change]) -> list[Change]:
    """Return the changes to one text with insertions at one point in order, and lines that go not indented."""
    ordered = sorted(changes, key=lambda change: change.order)
    replaced = [change for change in ordered if change.span.start < change.span.end]
    return [
        change
        for change in ordered
        if change.order != INDENT or not any(_takes(source, other, change.span.start) for other in replaced)
    ]


def _below_head(source: Source, block: _Block, span: Span) -> tuple[_Block, list[Change]]:
    """Return the block with the comments below its head, and the edit that takes blank lines above these away.

    Raises:
        CannotFix: the head is not the statement right above.
    """
    head = _block(source, span)
    newline = _NEWLINE.match(source.utf8, head.end)
    start = newline.end() if newline else head.end
    if head.indent != block.indent or any(start <= line.start < block.line for line in lexer.scan(source.utf8)[0]):
        raise CannotFix("the head is not right above the statements")
    first = start
    while first < block.line and (blank := _BLANK.match(source.utf8, first)):
        first = blank.end()
    gap = [Change(Span(start, first), "", TEXT)] if start < first else []
    return block._replace(line=first, start=first), gap


def _added_by(source: Source, around: Surround | None) -> str:
    return _block(source, around.place.span).unit if around else ""


def _takes(source: Source, change: Change, line: int) -> bool:
    """Whether a replacement takes away that a line starts at ``line``, or the whole line."""
    start, end = change.span
    is_whole = not change.text and not line_gap(source, start) and not line_gap(source, end)
    if line == end:
        return not is_whole and not change.text.endswith(("\n", "\r"))
    return start < line < end or (is_whole and line == start)


def _insertion(source: Source, offset: int, text: str, order: Order) -> list[Change]:
    return [Change(Span(offset, offset), line_gap(source, offset) + text, order)] if text else []


def _deletion(source: Source, block: _Block, span: Span, around: Surround | None) -> Change:
    """Return the edit that deletes lines, from the end of the line above on: there, no edit that indents them fits."""
    if block.is_all or (around and around.place.span == span):
        raise CannotFix("nothing would be left in the block")
    if not block.line or (around and around.place.span.start == span.start):
        return Change(Span(block.line, block.below), "", TEXT)
    start = _above_blank_lines(source, block.line) if _BLANK.match(source.utf8, block.below) else block.line
    newline = 2 if source.utf8.endswith(b"\r\n", 0, start) else 1
    return Change(Span(start - newline, block.end), "", TEXT)


def _above_blank_lines(source: Source, line: int) -> int:
    """Return where the blank lines start that are right above a line: below what goes, one more would stand."""
    starts = source.line_starts
    index = bisect.bisect_left(starts, line)
    while index > 1 and not source.utf8[starts[index - 1] : starts[index]].strip():
        index -= 1
    return starts[index]


def _lines_to_indent(source: Source, block: _Block) -> Iterator[int]:
    """Yield the starts of lines but for those in strings, blank ones, and comments that are indented less."""
    starts = source.line_starts
    in_strings: set[int] = set()
    for start, end in lexer.strings(source.utf8[block.start : block.below]):
        first = bisect.bisect_right(starts, block.start + start)
        in_strings.update(starts[first : bisect.bisect_left(starts, block.start + end)])
    for line in starts[bisect.bisect_left(starts, block.line) : bisect.bisect_left(starts, block.below)]:
        is_indented = source.utf8.startswith(block.indent.encode(), line)
        is_other = _BLANK.match(source.utf8, line) or (_COMMENT.match(source.utf8, line) and not is_indented)
        if line not in in_strings and not is_other:
            yield line


def _block(source: Source, span: Span) -> _Block:
    lines, comments = lexer.scan(source.utf8)
    first = bisect.bisect_left(lines, span.start, key=_START)
    last = bisect.bisect_left(lines, span.end, key=_START) - 1
    if first == len(lines) or lines[first].start != span.start:
        raise CannotFix("the statement does not start its line")
    if not _NO_CODE.fullmatch(source.utf8, span.end, lines[last].end):
        raise CannotFix("other code stands in the last line of the statement")
    while first and lines[first - 1].is_decorator:
        first -= 1
    above, inside, under = lines[:first], lines[first : last + 1], lines[last + 1 :]
    indent = _common_indent(source, inside)
    if any(_is_part(source, line, indent) for line in (inside[0], *under[:1])):
        raise CannotFix("the statement is not whole")
    start, below = inside[0].start, _below(source, inside[-1].end, indent)
    return _Block(
        line=start - len(indent),
        start=start,
        end=inside[-1].end,
        below=below,
        indent=indent,
        unit=_unit(source, above, [*inside, *lines], indent),
        has_comments=any(start <= comment.start < below for comment in comments),
        is_all=not any(_indentation(source, line).startswith(indent) for line in (*above[-1:], *under[:1])),
    )


def _common_indent(source: Source, lines: Sequence[Statement]) -> str:
    """Return the indentation of the first line; no other line may be indented less."""
    indents = [_before(source, line) for line in lines]
    if "\f" in "".join(indents):
        raise CannotFix("a form feed stands in the indentation")
    if not all(indent.startswith(indents[0]) for indent in indents):
        raise CannotFix("the statements are not in one block")
    return indents[0]


def _is_part(source: Source, line: Statement, indent: str) -> bool:
    """Whether the first line, or the one below, of a statement at an indentation belongs to a larger one."""
    deeper = _indentation(source, line)
    return deeper.startswith(indent) and (deeper != indent or _CLAUSE.match(source.utf8, line.start) is not None)


def _below(source: Source, end: int, indent: str) -> int:
    newline = _NEWLINE.match(source.utf8, end)
    return after_comments(source, newline.end() if newline else end, indent, deeper=True)


def _unit(source: Source, above: Sequence[Statement], lines: Iterable[Statement], indent: str) -> str:
    """Return how much deeper a block is than what is around it; at top level, the first deeper one of ``lines``."""
    if indent:
        outers = (_indentation(source, line) for line in reversed(above))
        return indent.removeprefix(next((outer for outer in outers if len(outer) < len(indent)), ""))
    return next(filter(None, (_indentation(source, line) for line in lines)), "    ")


def _indentation(source: Source, line: Statement) -> str:
    """Return the white space that tells the block of a line: to the interpreter, a form feed starts it anew."""
    return _before(source, line).rpartition("\f")[2]


def _before(source: Source, line: Statement) -> str:
    starts = source.line_starts
    return source.utf8[starts[bisect.bisect_right(starts, line.start) - 1] : line.start].decode()
