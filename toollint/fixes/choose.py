"""Which fixes can be applied together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toollint.model import Diagnostic, Edit, Fix


def select(fixes: Iterable[tuple[Diagnostic, Fix]]) -> list[tuple[Diagnostic, Fix]]:
    """Take fixes in order of their diagnostics' places, each whole or not at all, while they get on with those taken.

    Fixes without edits are left out. An edit that two fixes share (an import) is one edit; see `edits_by_path`.
    """
    chosen: list[tuple[Diagnostic, Fix]] = []
    taken: dict[Edit, None] = {}
    for diagnostic, fix in sorted(fixes, key=_order):
        fresh = [edit for edit in fix.edits if edit not in taken]
        if fix.edits and not any(_conflict(edit, other) for edit in fresh for other in taken):
            chosen.append((diagnostic, fix))
            taken.update(dict.fromkeys(fresh))
    return chosen


def edits_by_path(fixes: Iterable[Fix]) -> dict[str, tuple[Edit, ...]]:
    """Return the edits of selected fixes by file, in order of place, each once."""
    edits = in_order(edit for fix in fixes for edit in fix.edits)
    paths = dict.fromkeys(edit.region.path for edit in edits)
    return {path: tuple(edit for edit in edits if edit.region.path == path) for path in paths}


def in_order(edits: Iterable[Edit]) -> list[Edit]:
    """Return the edits by path and place, equal ones once; insertions at one point keep their order."""
    return sorted(dict.fromkeys(edits), key=lambda edit: (edit.region.path, edit.region.span))


def _conflict(one: Edit, other: Edit) -> bool:
    """Whether edits of two fixes change the same bytes, or insert at the same point, so that their order matters."""
    first, second = one.region.span, other.region.span
    if one.region.path != other.region.path:
        return False
    return first == second or (first.start < second.end and second.start < first.end)


def _order(pair: tuple[Diagnostic, Fix]) -> tuple[object, ...]:
    diagnostic, fix = pair
    return diagnostic.region.path, diagnostic.region.span, diagnostic.code, diagnostic.message, fix.title, fix.edits
