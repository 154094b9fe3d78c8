"""What can be said about a fixed text without linting it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from toollint.fixes.outline import CannotFix, outline_by_ast, outline_by_libcst
from toollint.model import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from toollint.model import Edit
    from toollint.source import Source


_Change: TypeAlias = tuple[Span, str]


def same_outside(before: Source, after: Source, edits: Iterable[Edit]) -> bool:
    """Whether ``after`` is Python and differs from ``before`` in nothing but the edits.

    Top-level statements that no edit touches must still be top-level statements. Their bytes are the same, and a whole
    statement at the start of a line means the same wherever it stands, so their trees need not be compared.
    """
    changes = sorted((edit.region.span, edit.content) for edit in edits)
    try:
        old, new = _spans(before, after)
    except CannotFix:
        return False
    kept = {_moved(span, changes) for span in _untouched(old, len(before.utf8), changes)}
    return _same_bytes(before.utf8, after.utf8, changes) and kept <= set(new)


def _spans(before: Source, after: Source) -> tuple[list[Span], list[Span]]:
    """Return the spans of the top-level statements by one parser; raises CannotFix if it refuses a text."""
    old, new = outline_by_ast(before), outline_by_ast(after)
    if old is None:
        old, new = outline_by_libcst(before), outline_by_libcst(after)
    if new is None:
        raise CannotFix("the fixed text is no Python")
    return [piece.span for piece in old], [piece.span for piece in new]


def _untouched(spans: list[Span], end: int, changes: list[_Change]) -> Iterator[Span]:
    """Yield the statements that no edit touches; up to the next one, an edit could be a statement's continuation."""
    following = [*(span.start for span in spans[1:]), end]
    for span, limit in zip(spans, following, strict=False):
        if not any(span.start <= edited.end and edited.start <= limit for edited, _ in changes):
            yield span


def _moved(span: Span, changes: list[_Change]) -> Span:
    shift = sum(len(text.encode()) - (end - start) for (start, end), text in changes if end < span.start)
    return Span(span.start + shift, span.end + shift)


def _same_bytes(old: bytes, new: bytes, changes: list[_Change]) -> bool:
    cursor = shift = 0
    for (start, end), text in [*changes, (Span(len(old), len(old)), "")]:
        if old[cursor:start] != new[cursor + shift : start + shift]:
            return False
        shift += len(text.encode()) - (end - start)
        cursor = end
    return len(new) == len(old) + shift
