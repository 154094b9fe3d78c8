"""Findings of one file that meet on one leak path: each says where the other is, or the two become one.

They meet where a step of one's leak path is a place that the other names. What a comment silences and what is not
selected is gone before, so nothing points to it. Every file is judged for itself: what a finding knows of other files
is in its path.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from toollint.diagnostics import NAMES
from toollint.lexer import scan
from toollint.model import Diagnostic, Region, Related, Report, Role, Severity

MAX_LINKS = 3
"""Other findings that one points to: with more of them a screen says less."""

_CROWD = 50  # findings that name one place, beyond which it tells nothing of any of them
_GRAVITY = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def linked(report: Report) -> Report:
    """The report with the findings of each file linked to one another; its findings are in order of place."""
    files = groupby(report.diagnostics, key=lambda found: found.path)
    done = [each for path, found in files for each in _linked([*found], report.texts.get(path, ""))]
    return replace(report, diagnostics=tuple(done))


def _linked(found: Sequence[Diagnostic], text: str) -> Sequence[Diagnostic]:
    meetings = _meetings(found)
    if not meetings:
        return found
    host = _hosts(found, meetings, text)
    done = []
    for index, each in enumerate(found):
        if host[index] == index:
            guests = [other for other, its in host.items() if its == index != other]
            others = {host[other] for one in (index, *guests) for other in meetings.get(one, ())} - {index}
            links = [_link(found[other]) for other in sorted(others)[:MAX_LINKS]]
            done.append(_with(each, [found[guest] for guest in guests], links))
    return done


def _meetings(found: Sequence[Diagnostic]) -> Mapping[int, set[int]]:
    """Which findings, by index, meet which others of another rule."""
    steps: dict[Region, set[int]] = {}
    named: dict[Region, set[int]] = {}
    for index, each in enumerate(found):
        if each.code not in NAMES:
            for hop in each.chain:
                steps.setdefault(hop.region, set()).add(index)
            for region in (each.region, *(note.region for note in each.related)):
                named.setdefault(region, set()).add(index)
    meetings: dict[int, set[int]] = {}
    for region, on_path in steps.items():
        here = on_path | named.get(region, set())
        for one in on_path if len(here) <= _CROWD else ():
            for other in here:
                if found[one].code != found[other].code:
                    meetings.setdefault(one, set()).add(other)
                    meetings.setdefault(other, set()).add(one)
    return meetings


def _hosts(found: Sequence[Diagnostic], meetings: Mapping[int, set[int]], text: str) -> dict[int, int]:
    """Each finding with the one that speaks for it: of those that meet in one statement the gravest, else itself."""
    starts = [statement.start for statement in scan(text.encode())[0]]
    statement = [bisect.bisect_right(starts, each.region.span.start) for each in found]
    host = {index: index for index in range(len(found))}
    for index in sorted(host, key=lambda index: (_GRAVITY.index(found[index].severity), found[index].code, index)):
        for other in meetings.get(index, ()) if host[index] == index else ():
            if statement[other] == statement[index] and host[other] == other:
                host[other] = index
    return host


def _link(other: Diagnostic) -> Related:
    if other.chain:
        return Related(f"{other.code} keeps it alive", Role.KEPT_BY, other.region)
    return Related(f"{other.code} speaks of this", Role.ACQUIRED, other.region)


def _with(found: Diagnostic, guests: Sequence[Diagnostic], links: Sequence[Related]) -> Diagnostic:
    """A finding with those that it speaks for, and the places of others on its path."""
    places = dict.fromkeys(note for each in (found, *guests) for note in each.related)
    return replace(
        found,
        related=(*places, *links),
        chain=next((each.chain for each in (found, *guests) if each.chain), ()),
        notes=(*found.notes, *(f"{guest.code}: {guest.message}" for guest in guests)),
        fixes=tuple(fix for each in (found, *guests) for fix in each.fixes),
    )
