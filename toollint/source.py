"""The bytes of one file as text: encoding, byte order mark, newlines, line table, words, suppression comments.

Pure: nothing here opens a file. Two coordinate systems meet in a `Source`: what the rest of toollint speaks (byte
offsets in ``utf8``, rows and columns in code points) and the raw bytes of the file, which only `Source.splice` sees.
"""

from __future__ import annotations

import bisect
import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from toollint import lexer
from toollint.model import Edit, Position, Region, Span
from toollint.suppressions import Suppressions

if TYPE_CHECKING:
    from collections.abc import Iterable

_COOKIE = re.compile(rb"[ \t\f]*#[^\r\n]*?coding[:=][ \t]*([-\w.]+)")
_BLANK_LINE = re.compile(rb"[ \t\f]*(?:#[^\r\n]*)?(?:\r\n?|\n)")
_NEWLINE = re.compile(rb"\r\n?|\n")

_STATEFUL = ("utf-7", "iso2022", "hz", "punycode", "idna")
"""Canonical names (or their beginnings) of codecs where what a byte means depends on the bytes before it."""

_NOT_IN_WORDS = bytes(code for code in range(0x80) if not (chr(code).isalnum() or chr(code) == "_"))
_WORDS = bytes.maketrans(_NOT_IN_WORDS, b" " * len(_NOT_IN_WORDS))


def identifiers(utf8: bytes) -> frozenset[bytes]:
    """Everything in a text that could be an identifier, as the front ends spell it (NFKC)."""
    if not utf8.isascii():
        utf8 = unicodedata.normalize("NFKC", utf8.decode(errors="replace")).encode()
    return frozenset(utf8.translate(_WORDS).split())


class Unreadable(Exception):  # noqa: N818
    """The bytes are no Python text; ``row`` and ``column`` count from 1."""

    def __init__(self, message: str, row: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.row = row
        self.column = column


@dataclass(frozen=True, eq=False)
class Source:
    """A file that could be decoded.

    ``data`` is the file as it is on disk; ``text`` is its decoded text without the byte order mark ``bom``, newlines
    untouched; ``utf8`` is ``text`` encoded, which every `Span` points into.
    """

    path: str
    data: bytes
    text: str
    utf8: bytes
    encoding: str
    bom: bytes

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        r"""Byte offsets in ``utf8`` of every line; lines end at ``\n``, ``\r\n`` and ``\r`` only."""
        return lexer.line_starts(self.utf8)

    @cached_property
    def newline(self) -> str:
        """The file's own newline: the first one that occurs."""
        found = _NEWLINE.search(self.utf8)
        return found.group().decode() if found else "\n"

    @cached_property
    def words(self) -> frozenset[bytes]:
        """Everything in the file that could be an identifier, as the front ends spell it (NFKC)."""
        return identifiers(self.utf8)

    @cached_property
    def suppressions(self) -> Suppressions:
        """The comments that silence findings."""
        return Suppressions(self.utf8)

    def position(self, offset: int) -> Position:
        """Return the row and column of a byte offset."""
        row = bisect.bisect_right(self.line_starts, offset)
        start = self.line_starts[row - 1]
        return Position(row, len(self.utf8[start:offset].decode(errors="ignore")) + 1)

    def offset(self, position: Position) -> int:
        """Return the byte offset of a position; columns behind the line's end mean its end.

        Raises:
            IndexError: there is no such row.
        """
        start = self.line_starts[position.row - 1]
        return start + len(self.line(position.row)[: position.column - 1].encode())

    def region(self, span: Span) -> Region:
        """Return the span with its rows and columns."""
        return Region(self.path, span, self.position(span.start), self.position(span.end))

    def line(self, row: int) -> str:
        """Return the text of a row (from 1) without its newline.

        Raises:
            IndexError: there is no such row.
        """
        start = self.line_starts[row - 1]
        end = self.line_starts[row] if row < len(self.line_starts) else len(self.utf8)
        return self.utf8[start:end].decode().rstrip("\r\n")

    @cached_property
    def can_edit(self) -> bool:
        """Whether `splice` can leave every other byte alone: false for stateful and for lossy encodings."""
        if self.encoding == "utf-8":
            return True
        if codecs.lookup(self.encoding).name.startswith(_STATEFUL):
            return False
        return self.text.encode(self.encoding, "replace") == self.data

    def splice(self, edits: Iterable[Edit | tuple[Span, str]]) -> bytes:
        """Return the file's new bytes: byte order mark and all that stands outside the edits unchanged.

        Insertions at one offset keep the order in which they are given, before a replacement that starts there.

        Raises:
            ValueError: edits overlap, lie outside the text or within a character, or hold text that the file's
                encoding has no bytes for; or the file cannot be edited at all.
        """
        if not self.can_edit:
            raise ValueError(f"files in {self.encoding} cannot be edited")
        changes = [(place.span if isinstance(place, Region) else place, text) for place, text in edits]
        before, after = [self.bom], [self.bom]
        cursor = 0
        for (start, end), text in sorted(changes, key=lambda change: change[0]):
            if not cursor <= start <= end <= len(self.utf8):
                raise ValueError(f"edits overlap or leave the text at byte {start}")
            kept = self._raw(cursor, start)
            before += [kept, self._raw(start, end)]
            after += [kept, self._encode(text)]
            cursor = end
        rest = self._raw(cursor, len(self.utf8))
        if b"".join([*before, rest]) != self.data:  # some encodings have one code for two characters
            raise ValueError(f"an edit cuts a character of {self.encoding} in two")
        return b"".join([*after, rest])

    def _raw(self, start: int, end: int) -> bytes:
        """Return a part of the text as it is in the file; raises ValueError where a character would be cut."""
        text = self.utf8[start:end].decode()
        return self.utf8[start:end] if self.encoding == "utf-8" else text.encode(self.encoding)

    def _encode(self, text: str) -> bytes:
        encoded = text.encode(self.encoding)
        if encoded.decode(self.encoding) != text:  # shift_jis writes a yen sign as a backslash
            raise ValueError(f"{self.encoding} cannot hold {text!r}")
        return encoded


def decode(path: str, data: bytes) -> Source:
    """Decode a file as CPython does (PEP 263, byte order mark).

    Raises:
        Unreadable: with CPython's words, and the place of the cookie or of the first byte that is wrong.
    """
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data[len(bom) :]
    cookie = _find_cookie(body)
    encoding = _normal_name(cookie.group(1).decode("ascii")) if cookie else "utf-8"
    place = _place(body, cookie.start(1), "latin-1") if cookie else (1, 1)
    if bom and encoding != "utf-8":
        raise Unreadable(f"encoding problem: {encoding} with BOM", *place)
    try:
        text = body.decode(encoding)
        utf8 = body if encoding == "utf-8" else text.encode()
    except UnicodeDecodeError as error:
        row, column = _place(body, error.start, encoding)
        raise Unreadable(_undecodable(error, row, has_cookie=cookie is not None), row, column) from None
    except LookupError as error:
        message = str(error) if "not a text encoding" in str(error) else f"unknown encoding: {encoding}"
        raise Unreadable(message, *place) from None
    except UnicodeError as error:
        raise Unreadable(f"(unicode error) {error}", *place) from None
    return Source(path, data, text, utf8, encoding, bom)


def _find_cookie(body: bytes) -> re.Match[bytes] | None:
    """Find the encoding declaration: on the first line, or on the second if the first has no code."""
    first = _COOKIE.match(body)
    blank = _BLANK_LINE.match(body)
    return first or (_COOKIE.match(body, blank.end()) if blank else None)


def _normal_name(name: str) -> str:
    """Spell the encodings that the tokenizer knows by itself, as CPython's ``get_normal_name`` does."""
    head = name[:12].lower().replace("_", "-")
    for normal, spellings in {"utf-8": ("utf-8",), "iso-8859-1": ("latin-1", "iso-8859-1", "iso-latin-1")}.items():
        if any(head == spelling or head.startswith(spelling + "-") for spelling in spellings):
            return normal
    return name


def _undecodable(error: UnicodeDecodeError, row: int, *, has_cookie: bool) -> str:
    if has_cookie:
        return f"(unicode error) {error}"
    start = f"\\x{error.object[error.start]:02x}"
    return (
        f"Non-UTF-8 code starting with '{start}' on line {row}, but no encoding declared; "
        "see https://peps.python.org/pep-0263/ for details"
    )


def _place(body: bytes, offset: int, encoding: str) -> tuple[int, int]:
    """Return row and column of a byte that could not be decoded, or of the cookie."""
    before = _NEWLINE.split(body[:offset])
    if encoding.startswith(_STATEFUL):
        encoding = "latin-1"
    return len(before), len(before[-1].decode(encoding, "replace")) + 1
