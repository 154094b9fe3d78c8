"""Comments that silence findings: which there are, what each of them covers, how to take one back.

Three forms, each from a ``#`` to the end of the comment or to the next form in it:

* ``# noqa: TL101, E501 reason`` in the grammar that flake8 and ruff share; a bare ``# noqa`` silences everything;
* ``# toollint: ignore[TL101, tool-owns-unreleased-resource] reason``, codes or names; bare it silences everything;
* ``# toollint: skip-file`` on a line of its own.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from toollint.lexer import line_starts, scan
from toollint.model import Place, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from toollint.lexer import Statement

_MENTION = re.compile(rb"(?i:noqa)|toollint:")
_TL = re.compile(rb"(?i:TL)[0-9]")
_PIECE = re.compile(rb"#(?=[# \t]*(?:(?i:noqa)|toollint:))|(?<=[ \t])#(?=[ \t]*[A-Za-z])")
_NOQA = re.compile(rb"#+[ \t]*(?i:noqa)(?![\w-])(?P<colon>[ \t]*:[ \t]*)?")
_NOQA_CODES = re.compile(rb"[A-Za-z]+[0-9]+\b(?:[ \t,]+[A-Za-z]+[0-9]+\b)*")
_TOOLLINT = re.compile(
    rb"#+[ \t]*toollint:[ \t]*(?P<word>ignore|skip-file)(?:[ \t]*\[(?P<codes>[^\]]*)\])?(?=[ \t]|$)(?![ \t]*\[)"
)
_LISTED = re.compile(rb"[^ \t,]+")
_CODE = re.compile(r"[A-Za-z]+[0-9]+")


class Listed(NamedTuple):
    """A code (upper case) or a rule's name in the list of a suppression."""

    text: str
    span: Span


@dataclass(frozen=True)
class Suppression:
    """One comment, or one of several pieces of a comment, that silences findings.

    ``kind`` is ``noqa`` or ``ignore``; ``codes`` is None where the comment is bare and silences everything; ``span``
    is the piece with its reason; ``removal`` is what has to go if all of the piece goes.
    """

    kind: str
    span: Span
    codes: tuple[Listed, ...] | None
    removal: Span

    def listed(self, code: str, name: str) -> Listed | None:
        """Return the entry that names this rule, by its code or (``ignore`` only) by its name."""
        wanted = (code, name) if self.kind == "ignore" else (code,)
        return next((entry for entry in self.codes or () if entry.text in wanted), None)

    def is_ours(self, entry: Listed) -> bool:
        """Whether the entry speaks to toollint: other tools read ``noqa`` lists too."""
        return self.kind == "ignore" or entry.text.startswith("TL")

    def edit_without(self, texts: AbstractSet[str]) -> list[tuple[Span, str]]:
        """Return the edits that take these entries out of the list, or all of the comment if none would be left.

        Entries of other tools stay whatever ``texts`` says. A bare ``# noqa`` is never touched, since other tools
        may need it; a bare ``# toollint: ignore`` goes.
        """
        if self.codes is None:
            return [(self.removal, "")] if self.kind == "ignore" else []
        kept = [entry for entry in self.codes if entry.text not in texts or not self.is_ours(entry)]
        if not kept:
            return [(self.removal, "")]
        edits = []
        for index, entry in enumerate(self.codes):
            if entry in kept:
                continue
            if entry.span.start > kept[0].span.start:
                edits.append((Span(self.codes[index - 1].span.end, entry.span.end), ""))
            else:
                edits.append((Span(entry.span.start, self.codes[index + 1].span.start), ""))
        return edits


class _Found(NamedTuple):
    """What there is to know of the comments of a text; rows count from 1."""

    line_starts: Sequence[int]
    statements: Sequence[Statement]
    by_row: Mapping[int, Sequence[Suppression]]
    lone_rows: AbstractSet[int]
    skip_file: bool


class Idle(NamedTuple):
    """A suppression in the file ``path`` of which some entries (``texts``; none: the bare comment) silenced nothing."""

    path: str
    comment: Suppression
    texts: frozenset[str]

    def at(self, span: Span) -> Place:
        """A span of the file as a place."""
        return Place(self.path, span)


@dataclass(frozen=True, eq=False)
class Suppressions:
    """All suppressions of a text. Nothing is looked for before it is asked for: most files are never asked."""

    utf8: bytes

    @cached_property
    def items(self) -> tuple[Suppression, ...]:
        """The suppressions that speak to toollint and to nobody else, in source order: these can be unused."""
        if not self._addressed:
            return ()
        found = (item for row in self.by_row.values() for item in row)
        return tuple(item for item in found if item.kind == "ignore" or any(map(item.is_ours, item.codes or ())))

    @property
    def skip_file(self) -> bool:
        """Whether the whole file is to be left alone."""
        return self._addressed and self._found.skip_file

    @property
    def by_row(self) -> Mapping[int, Sequence[Suppression]]:
        """The suppressions on each row (from 1) that has any, those of other tools included, in source order."""
        return self._found.by_row

    def match(self, offset: int, code: str, name: str) -> Suppression | None:
        """Return the suppression that silences this rule at a byte offset; one that lists the rule before a bare one.

        It stands on a line of the logical statement around the offset (of a compound statement only its header; with
        a definition go its decorators) or in the comment lines directly above.
        """
        covering = [item for row in self._rows(offset) for item in self.by_row.get(row, ())] if self.by_row else []
        bare = next((item for item in covering if item.codes is None), None)
        return next((item for item in covering if item.listed(code, name)), bare)

    def _rows(self, offset: int) -> Iterator[int]:
        """Yield the rows whose suppressions cover an offset."""
        starts, statements, _, lone_rows, _ = self._found
        row = _row(starts, offset)
        first = last = bisect.bisect_right(statements, offset, key=lambda statement: statement.start) - 1
        if first < 0 or row > _row(starts, statements[first].end):
            yield row
            return
        while first and statements[first].is_definition_part and statements[first - 1].is_decorator:
            first -= 1
        while statements[last].is_decorator and last + 1 < len(statements):
            last += 1
        top = _row(starts, statements[first].start)
        yield from range(top, _row(starts, statements[last].end) + 1)
        while (top := top - 1) in lone_rows:
            yield top

    @cached_property
    def _addressed(self) -> bool:
        """Whether the text can hold anything that only toollint reads."""
        return b"toollint:" in self.utf8 or (b"noqa" in self.utf8.lower() and _TL.search(self.utf8) is not None)

    @cached_property
    def _found(self) -> _Found:
        utf8 = self.utf8
        if not _MENTION.search(utf8):
            return _Found((0,), (), {}, frozenset(), skip_file=False)
        starts = line_starts(utf8)
        statements, comments = scan(utf8)
        by_row: dict[int, list[Suppression]] = {}
        lone_rows = set()
        skip_file = False
        for comment in comments:
            row = _row(starts, comment.start)
            alone = not utf8[starts[row - 1] : comment.start].strip(b" \t\f")
            if alone:
                lone_rows.add(row)
            if _MENTION.search(utf8, comment.start, comment.end):
                line = Span(starts[row - 1], starts[row] if row < len(starts) else len(utf8))
                by_row[row] = list(_pieces(utf8, comment, line, alone=alone))
                skip_file = skip_file or (alone and _says_skip_file(utf8[comment.start : comment.end]))
        return _Found(starts, statements, by_row, lone_rows, skip_file)


def _row(starts: Sequence[int], offset: int) -> int:
    return bisect.bisect_right(starts, offset)


def _says_skip_file(comment: bytes) -> bool:
    found = _TOOLLINT.match(comment)
    return found is not None and found["word"] == b"skip-file"


def _pieces(utf8: bytes, comment: Span, line: Span, *, alone: bool) -> Iterator[Suppression]:
    """Yield the suppressions in a comment; ``line`` is its whole line, ``alone`` if nothing else stands there."""
    later = [match.start() for match in _PIECE.finditer(utf8, comment.start + 1, comment.end)]
    starts = [comment.start, *(start for start in later if utf8[start - 1 : start] != b"#")]
    for start, end in zip(starts, [*starts[1:], comment.end], strict=True):
        span = Span(start, start + len(utf8[start:end].rstrip(b" \t\f")))
        if end < comment.end:
            removal = Span(start, end)
        elif alone and start == comment.start:
            removal = line
        else:
            removal = Span(line.start + len(utf8[line.start : start].rstrip(b" \t\f")), end)
        if found := _noqa(utf8, span, removal) or _ignore(utf8, span, removal):
            yield found


def _noqa(utf8: bytes, span: Span, removal: Span) -> Suppression | None:
    head = _NOQA.match(utf8, *span)
    if not head:
        return None
    if not head["colon"]:
        return Suppression("noqa", span, None, removal)
    codes = _NOQA_CODES.match(utf8, head.end(), span.end)
    return Suppression("noqa", span, _entries(utf8, Span(*codes.span())), removal) if codes else None


def _ignore(utf8: bytes, span: Span, removal: Span) -> Suppression | None:
    head = _TOOLLINT.match(utf8, *span)
    if not head or head["word"] != b"ignore":
        return None
    codes = None if head["codes"] is None else _entries(utf8, Span(*head.span("codes")))
    return Suppression("ignore", span, codes, removal)


def _entries(utf8: bytes, span: Span) -> tuple[Listed, ...]:
    entries = []
    for found in _LISTED.finditer(utf8, *span):
        text = found.group().decode()
        entries.append(Listed(text.upper() if _CODE.fullmatch(text) else text, Span(*found.span())))
    return tuple(entries)
