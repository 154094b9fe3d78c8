"""Just enough of Python's grammar to find lines, and to tell comments and logical lines from what is in strings.

It takes the syntax of every version at once (f-strings nest as in 3.12) and whatever else it is given: a broken file
gets some answer, never an error. Nothing here recurses, and the work is linear in the length of the text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from toollint.model import Span

_CODE = re.compile(
    rb"(?P<newline>\r\n?|\n)|(?P<comment>\#[^\r\n]*)|\\(?:\r\n?|\n)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<colon>:)"
    rb"|(?:\b(?P<prefix>[bBfFrRtTuU]{1,2}))?(?P<quote>\"\"\"|'''|\"|')"
)
_NEWLINE = re.compile(rb"\r\n?|\n")
_VISIBLE = re.compile(rb"[^ \t\f]")
_DEFINITION = re.compile(rb"(?:async[ \t\f]+)?(?:def|class)\b")


class Statement(NamedTuple):
    """A logical line, from its first character to the newline that ends it (outside)."""

    start: int
    end: int
    is_decorator: bool
    is_definition: bool

    @property
    def is_definition_part(self) -> bool:
        """Whether decorators directly above belong to it."""
        return self.is_decorator or self.is_definition


class _String(NamedTuple):
    """A string being read: how to read on in its text and in a format specification, what to go back to after it."""

    text: re.Pattern[bytes]
    specification: re.Pattern[bytes]
    depth: int
    fields: int


class _Field(NamedTuple):
    """An open ``{`` of an f-string, the depth inside, and how the string goes on after its ``}``."""

    string: _String
    depth: int
    rest: re.Pattern[bytes]


def line_starts(utf8: bytes) -> tuple[int, ...]:
    r"""Return the byte offset of every line; lines end at ``\n``, ``\r\n`` and ``\r`` only."""
    return (0, *(match.end() for match in _NEWLINE.finditer(utf8)))


def scan(utf8: bytes) -> tuple[list[Statement], list[Span]]:
    """Return the logical lines and the comments of a text, in source order."""
    return _Lexer(utf8).run()


def strings(utf8: bytes) -> list[Span]:
    """Return the string literals from quote to quote, in source order; an f-string is one with all in its fields."""
    lexer = _Lexer(utf8)
    lexer.run()
    return lexer.strings


class _Lexer:
    def __init__(self, utf8: bytes) -> None:
        self.utf8 = utf8
        self.offset = 0
        self.depth = 0
        self.fields: list[_Field] = []
        self.start: int | None = None
        self.statements: list[Statement] = []
        self.comments: list[Span] = []
        self.strings: list[Span] = []
        self.string_start = 0

    def run(self) -> tuple[list[Statement], list[Span]]:
        self._begin_line()
        while found := _CODE.search(self.utf8, self.offset):
            self.offset = found.end()
            kind = found.lastgroup
            if kind == "newline":
                self._newline(found.start())
            elif kind == "comment":
                self.comments.append(Span(*found.span()))
            elif kind == "open":
                self.depth += 1
            elif kind == "close":
                self._close(found.group())
            elif kind == "quote":
                self.string_start = self.string_start if self.fields else found.start()
                self._open_string(found["quote"], (found["prefix"] or b"").lower())
            elif kind == "colon" and self.fields and self.depth == self.fields[-1].depth:
                self._read(self.fields[-1].string, self.fields[-1].string.specification)
        self._end_line(len(self.utf8))
        return self.statements, self.comments

    def _newline(self, offset: int) -> None:
        if not self.depth:
            self._end_line(offset)
            self._begin_line()

    def _begin_line(self) -> None:
        first = _VISIBLE.search(self.utf8, self.offset)
        if first and first.group() not in b"#\r\n":
            self.start = first.start()

    def _end_line(self, end: int) -> None:
        if self.start is not None:
            is_definition = _DEFINITION.match(self.utf8, self.start) is not None
            is_decorator = self.utf8.startswith(b"@", self.start)
            self.statements.append(Statement(self.start, end, is_decorator, is_definition))
            self.start = None

    def _close(self, bracket: bytes) -> None:
        if self.depth > (self.fields[-1].depth if self.fields else 0):
            self.depth -= 1
        elif self.fields and bracket == b"}":
            field = self._leave_field()
            self._read(field.string, field.rest)

    def _open_string(self, quote: bytes, prefix: bytes) -> None:
        formatted = b"f" in prefix or b"t" in prefix
        text, specification = _patterns(quote, formatted=formatted, raw=b"r" in prefix)
        self._read(_String(text, specification, self.depth, len(self.fields)), text)

    def _leave_field(self) -> _Field:
        field = self.fields.pop()
        self.depth = field.depth - 1
        return field

    def _read(self, string: _String, pattern: re.Pattern[bytes]) -> None:
        """Read on in a string: to a replacement field, or to its end (or where it has to be taken for ended)."""
        stop = self._stop(pattern)
        while stop == "close":
            field = self._leave_field()
            string, pattern = field.string, field.rest
            stop = self._stop(pattern)
        if stop == "field":
            self.depth += 1
            self.fields.append(_Field(string, self.depth, pattern))
        else:
            self.depth = string.depth
            del self.fields[string.fields :]
            if not self.fields:
                self.strings.append(Span(self.string_start, self.offset))

    def _stop(self, pattern: re.Pattern[bytes]) -> str:
        """Go on to the next thing in a string that matters, and say what it is."""
        for found in pattern.finditer(self.utf8, self.offset):
            if found.lastgroup:
                self.offset = found.start() if found.lastgroup == "newline" else found.end()
                return found.lastgroup
        self.offset = len(self.utf8)
        return "end"


@cache
def _patterns(quote: bytes, *, formatted: bool, raw: bool) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what matters in the text of a string and in its format specifications; the rest has no group."""
    end = rb"|(?P<end>" + quote + rb")" + (rb"|(?P<newline>[\r\n])" if len(quote) == 1 else b"")
    if not formatted:
        plain = re.compile(rb"\\(?:\r\n|[\s\S])" + end)
        return plain, plain
    escape = (b"" if raw else rb"\\N\{[^}\r\n\"']*\}|") + rb"\\(?:\r\n|[^{}])"
    text = re.compile(escape + rb"|\{\{|(?P<field>\{)" + end)
    specification = re.compile(escape + rb"|(?P<field>\{)|(?P<close>\})" + end)
    return text, specification
