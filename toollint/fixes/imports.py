"""Where an import goes, and whether one is needed or possible at all."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from toollint.fixes.outline import NEWLINE, CannotFix, Piece, after_line, line_gap, outline, outline_by_ast
from toollint.model import AddImport, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from toollint.source import Source

_BLANK = rb"[ \t\f]*" + NEWLINE
_COMMENT = rb"[ \t\f]*#[^\r\n]*" + NEWLINE
_COOKIE = rb"[ \t\f]*#[^\r\n]*coding[:=][^\r\n]*" + NEWLINE

_BLANK_OR_END = re.compile(_BLANK + rb"|[ \t\f]*\Z")
_NO_PLAIN_LIST = re.compile(rb"[(\\\r\n;*]")

MAX_LINE = 88
"""Columns up to which a name is added to a line of imports."""

_FIXED = rb"(?:(?:%b|%b)?%b|(?=#!)%b)?" % (_BLANK, _COMMENT, _COOKIE, _COMMENT)
"""What has to stay in the first two lines: an encoding, or the program that runs the file."""
_HEADER = re.compile(_FIXED + rb"(?:(?:%b)*(?:%b)+(?=%b|\Z))*" % (_BLANK, _COMMENT, _BLANK))
"""Comments that a blank line parts from the code; those right above the code belong to it."""


class _Binding(NamedTuple):
    """A name that is bound, to what (dotted; empty where no import binds it), and the module that was loaded for it."""

    name: str
    target: str = ""
    module: str = ""


def add_import(source: Source, step: AddImport, needed_at: int) -> list[tuple[Span, str]]:
    """Return the edit that imports, or none if the import stands at top level before ``needed_at``.

    ``needed_at`` is the offset of the first place that uses the name while the module is executed.

    Raises:
        CannotFix: the name is bound to something else, anywhere in the file; or no line is free for the import.
    """
    pieces = outline(source)
    wanted = _wanted(step)
    _refuse_other_meaning(source, pieces, wanted)
    ahead = [piece for piece in pieces if piece.span.end <= needed_at]
    at_top = (each for piece in ahead for statement in piece.statements or () for each in _imported(statement))
    return [] if wanted in at_top else [_insertion(source, step, ahead)]


def _wanted(step: AddImport) -> _Binding:
    if step.name is None:
        top = step.module.partition(".")[0]
        return _Binding(top, top, step.module)
    return _Binding(step.name, f"{step.module}.{step.name}", step.module)


def _refuse_other_meaning(source: Source, pieces: Iterable[Piece], wanted: _Binding) -> None:
    """Refuse if the name means something else in any scope: no reader should have to tell the two apart."""
    for piece in pieces:
        if piece.statements is None:
            clash = re.search(rf"\b{wanted.name}\b", source.utf8[slice(*piece.span)].decode()) is not None
        else:
            bound = (each for statement in piece.statements for each in _bindings(statement))
            clash = any(each.name == wanted.name and each.target != wanted.target for each in bound)
        if clash:
            raise CannotFix(f"`{wanted.name}` may mean something else in this file")


def _bindings(statement: ast.stmt) -> Iterator[_Binding]:
    for node in ast.walk(statement):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _imported(node)
            case (
                ast.Name(id=str(name), ctx=ast.Store() | ast.Del())
                | ast.arg(arg=str(name))
                | ast.FunctionDef(name=str(name))
                | ast.AsyncFunctionDef(name=str(name))
                | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
            ):
                yield _Binding(name)


def _imported(statement: ast.stmt) -> Iterator[_Binding]:
    """Yield what an import statement binds; nothing for any other statement."""
    match statement:
        case ast.Import(names=names):
            for each in names:
                top = each.name.partition(".")[0]
                yield _Binding(each.asname, each.name, each.name) if each.asname else _Binding(top, top, each.name)
        case ast.ImportFrom(names=names):
            module = "." * statement.level + (statement.module or "")
            for each in names:
                yield _Binding(each.asname or each.name, f"{module}.{each.name}", module)


def _insertion(source: Source, step: AddImport, ahead: Iterable[Piece]) -> tuple[Span, str]:
    line = f"import {step.module}" if step.name is None else f"from {step.module} import {step.name}"
    pieces = list(ahead)
    anchor, joins = _anchor(source, pieces)
    newline = source.newline
    if joins and _is_stdlib(step.module):
        joined = _joined(source, pieces, step)
        if joined is not None:
            return joined
        anchor, starts_section = _beside_stdlib(source, pieces, anchor, step)
        if starts_section and anchor is not None:
            return Span(anchor, anchor), line + newline + newline
    header = _HEADER.match(source.utf8)
    offset = anchor if anchor is not None else header.end() if header else 0
    before = "" if joins or not offset else newline
    follows = _BLANK_OR_END.match(source.utf8, offset)
    after = "" if joins or follows else newline
    return Span(offset, offset), line_gap(source, offset) + before + line + newline + after


def _joined(source: Source, pieces: Iterable[Piece], step: AddImport) -> tuple[Span, str] | None:
    """Return the edit that adds a name to a ``from`` import of one line that imports from its module already."""
    if step.name is None or outline_by_ast(source) is None:
        return None
    for piece in pieces:
        for statement in piece.statements or ():
            if not isinstance(statement, ast.ImportFrom) or statement.level or statement.module != step.module:
                continue
            text = source.utf8[slice(*piece.span)]
            if len(text) + len(step.name) + 2 > MAX_LINE or _NO_PLAIN_LIST.search(text):
                continue
            after = next((each for each in statement.names if _rank(each.name) > _rank(step.name)), None)
            if after is None:
                return Span(piece.span.end, piece.span.end), f", {step.name}"
            start = source.line_starts[after.lineno - 1] + after.col_offset
            return Span(start, start), f"{step.name}, "
    return None


def _rank(name: str) -> tuple[int, str]:
    """Order names as import sorters do: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def _anchor(source: Source, ahead: Iterable[Piece]) -> tuple[int | None, bool]:
    """Return the offset below the first block of imports; else below ``__future__`` or the docstring, or None.

    The flag says whether the import joins a block, that is, needs no blank line.

    Raises:
        CannotFix: what has to stay above the import shares its line with other code.
    """
    offset, joins = None, False
    for index, piece in enumerate(ahead):
        statements = piece.statements or ()
        is_import = bool(statements) and all(isinstance(each, ast.Import | ast.ImportFrom) for each in statements)
        is_first = _is_future(statements) or (index == 0 and _is_docstring(statements))
        below = after_line(source, piece.span.end)
        if is_first and below is None:
            raise CannotFix("other code stands in the line of the docstring or of `from __future__`")
        if joins and not is_import:
            break
        if is_first or (is_import and below is not None):
            offset, joins = below, not is_first
    return offset, joins


def _beside_stdlib(
    source: Source, pieces: Iterable[Piece], below: int | None, step: AddImport
) -> tuple[int | None, bool]:
    """Return where an import of the standard library stands among its like: import sorters leave it there.

    The flag says that it is the first of them, and stands above all other imports.
    """
    block = [piece for piece in pieces if piece.statements and below is not None and piece.span.end <= below]
    stdlib = [piece for piece in block if all(map(_imports_stdlib, piece.statements or ()))]
    plain = [piece for piece in stdlib if all(isinstance(each, ast.Import) for each in piece.statements or ())]
    froms = [piece for piece in stdlib if piece not in plain]
    if step.name is None:
        last, first = plain[-1:], stdlib[:1]
    else:
        ahead = [piece for piece in froms if _module(piece) <= step.module]
        imports = [piece for piece in block if any(map(_is_import, piece.statements or ()))]
        last, first = ahead[-1:] or (plain[-1:] if not froms else []), froms[:1] or imports[:1]
    if last:
        return after_line(source, last[0].span.end), False
    if not first or _has_text_above(source, first[0].span.start):
        return below, False
    return first[0].span.start, first[0] not in stdlib


def _module(piece: Piece) -> str:
    return next((each.module or "" for each in piece.statements or () if isinstance(each, ast.ImportFrom)), "")


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom) and not _is_future((statement,))


def _has_text_above(source: Source, start: int) -> bool:
    """Whether a comment stands right above an import, or something in its line."""
    above = source.utf8[:start].splitlines(keepends=True)
    return bool(above) and (above[-1].strip().startswith(b"#") or not above[-1].endswith((b"\n", b"\r")))


def _imports_stdlib(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import(names=names):
            return all(_is_stdlib(each.name) for each in names)
        case ast.ImportFrom(module=str(module), level=0):
            return module != "__future__" and _is_stdlib(module)
    return False


def _is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _is_future(statements: Iterable[ast.stmt]) -> bool:
    return any(isinstance(each, ast.ImportFrom) and each.module == "__future__" for each in statements)


def _is_docstring(statements: tuple[ast.stmt, ...]) -> bool:
    match statements:
        case (ast.Expr(value=ast.Constant(value=str())), *_):
            return True
    return False
