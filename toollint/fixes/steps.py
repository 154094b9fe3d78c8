"""One repair becomes one fix: every step as edits on the text that was analysed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from toollint.fixes import lines
from toollint.fixes.choose import in_order
from toollint.fixes.imports import add_import
from toollint.fixes.lines import Change
from toollint.fixes.methods import add_methods
from toollint.fixes.outline import CannotFix
from toollint.model import (
    AddImport,
    AddMethods,
    Edit,
    Fix,
    InsertLines,
    Place,
    Repair,
    Replace,
    ReplaceLines,
    Step,
    Surround,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from toollint.source import Source

OVERLAP = "its parts overlap"


def realise(repair: Repair, sources: Mapping[str, Source]) -> Fix:
    """Return the repair as a fix; its edits are in order of place, and each is there once.

    ``sources`` holds every file that a step names. A recipe without steps is a fix without edits.

    Raises:
        CannotFix: the text of a file does not allow it, or the steps overlap.
    """
    edits = in_order(_edits(repair.steps, sources))
    places = [(edit.region.path, edit.region.span) for edit in edits]
    if any(path == other and span.end > start for (path, span), (other, (start, _)) in itertools.pairwise(places)):
        raise CannotFix(OVERLAP)
    members = [name for step in repair.steps if isinstance(step, AddMethods) for name in step.names]
    return Fix(repair.title, repair.safety, tuple(edits), repair.why, repair.recipe, (*repair.adds, *members))


def _edits(steps: tuple[Step, ...], sources: Mapping[str, Source]) -> Iterator[Edit]:
    changes: dict[str, list[Change]] = {}
    for step in steps:
        path = _path(step)
        if not sources[path].can_edit:
            raise CannotFix(f"files in {sources[path].encoding} cannot be edited")
        changes.setdefault(path, []).extend(_changes(step, steps, sources[path]))
    for path, made in changes.items():
        for change in lines.settled(sources[path], made):
            yield Edit(sources[path].region(change.span), change.text)


def _path(step: Step) -> str:
    return step.path if isinstance(step, AddImport) else step.place.path


def _changes(step: Step, steps: tuple[Step, ...], source: Source) -> list[Change]:
    match step:
        case Replace():
            return [Change(step.place.span, step.text.replace("\n", source.newline), lines.TEXT)]
        case AddImport():
            places = [each.place for each in steps if not isinstance(each, AddImport | AddMethods)]
            needed_at = min((p.span.start for p in places if p.path == step.path), default=len(source.utf8))
            return [Change(span, text, lines.IMPORT) for span, text in add_import(source, step, needed_at)]
        case InsertLines():
            return lines.insert_lines(source, step, _around(step.place, steps))
        case ReplaceLines():
            return lines.replace_lines(source, step, _around(step.place, steps))
        case AddMethods() | Surround():
            if _around(step.place, [each for each in steps if each != step]):
                raise CannotFix(OVERLAP)
            if isinstance(step, Surround):
                return lines.surround(source, step)
            order = lines.at_end(step.place.span.start)
            return [Change(span, text, order) for span, text in add_methods(source, step)]


def _around(place: Place, steps: Iterable[Step]) -> Surround | None:
    """Return the step that surrounds all of a place.

    Raises:
        CannotFix: a step surrounds a part of it.
    """
    start, end = place.span
    for step in steps:
        if isinstance(step, Surround) and step.place.path == place.path:
            first, last = step.place.span
            if first <= start and end <= last:
                return step
            if start < last and first < end and not start < first < last <= end:
                raise CannotFix(OVERLAP)
    return None
