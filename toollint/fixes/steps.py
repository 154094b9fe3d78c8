"""One repair becomes one fix: every step as edits on the text that was analysed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from toollint.fixes.choose import in_order
from toollint.fixes.imports import add_import
from toollint.fixes.methods import add_methods
from toollint.fixes.outline import CannotFix
from toollint.model import AddImport, AddMethods, Edit, Fix, Repair, Replace, Span, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toollint.source import Source


def realise(repair: Repair, sources: Mapping[str, Source]) -> Fix:
    """Return the repair as a fix; its edits are in order of place, and each is there once.

    ``sources`` holds every file that a step names. A recipe without steps is a fix without edits.

    Raises:
        CannotFix: the text of a file does not allow it, or the steps overlap.
    """
    edits = in_order(_edits(repair.steps, sources))
    places = [(edit.region.path, edit.region.span) for edit in edits]
    if any(path == other and span.end > start for (path, span), (other, (start, _)) in itertools.pairwise(places)):
        raise CannotFix("its parts overlap")
    adds = tuple(name for step in repair.steps if isinstance(step, AddMethods) for name in step.names)
    return Fix(repair.title, repair.safety, tuple(edits), repair.why, repair.recipe, adds)


def _edits(steps: tuple[Step, ...], sources: Mapping[str, Source]) -> Iterator[Edit]:
    for step in steps:
        source = sources[step.path if isinstance(step, AddImport) else step.place.path]
        if not source.can_edit:
            raise CannotFix(f"files in {source.encoding} cannot be edited")
        for span, text in _changes(step, steps, source):
            yield Edit(source.region(span), text)


def _changes(step: Step, steps: tuple[Step, ...], source: Source) -> list[tuple[Span, str]]:
    match step:
        case Replace():
            return [(step.place.span, step.text.replace("\n", source.newline))]
        case AddMethods():
            return add_methods(source, step)
        case AddImport():
            replaced = [each.place for each in steps if isinstance(each, Replace) and each.place.path == step.path]
            needed_at = min((place.span.start for place in replaced), default=len(source.utf8))
            return add_import(source, step, needed_at)
