"""Fixes, proven before a byte reaches the disk: edit in memory, check again, keep or reject, then write.

A round takes every fix that may be applied and does not overlap another, and goes round again until nothing is left
to do (at most `ROUNDS`). A file whose fixes do not stand the test gets them one at a time; those that fail are TL002.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toollint import engine, files, fixes
from toollint.diagnostics import not_applied
from toollint.model import Diagnostic, Fix, Report, Safety
from toollint.workspace import Workspace

ROUNDS = 10
"""Rounds of fixing before what is left is given up as not converging."""


@dataclass
class _Work:
    """What is known while mending: unsaved texts over the disk, and the outcome so far.

    ``rejected`` says why a fix does not stand, by path and fingerprint of its finding.
    """

    first: Workspace
    paths: Sequence[str]
    workspace: Workspace
    fixed: dict[str, Counter[str]] = field(default_factory=dict)
    rejected: dict[tuple[str, str], str] = field(default_factory=dict)


def mend(workspace: Workspace, paths: Sequence[str], diagnostics: Sequence[Diagnostic], *, write: bool) -> Report:
    """Apply the fixes that the configuration allows; ``diagnostics`` are the findings before."""
    work = _Work(workspace, paths, workspace)
    left: Sequence[Diagnostic] = diagnostics
    for _ in range(ROUNDS):
        chosen = _choose(work, left)
        if not chosen:
            break
        for path in sorted({found.path for found, _ in chosen}):
            _mend_file(work, path, [pair for pair in chosen if pair[0].path == path])
        left = engine.check_files(work.workspace, paths)
    else:
        for found, _ in _choose(work, left):
            _reject(work, found, f"still found after {ROUNDS} rounds")
    if write and not _write(work):
        left = engine.check_files(work.workspace, paths)
    return _report(work, diagnostics, left)


def _choose(work: _Work, diagnostics: Iterable[Diagnostic]) -> list[tuple[Diagnostic, Fix]]:
    """The best fix of each finding that may be applied, as far as they do not overlap."""
    allowed = {Safety.SAFE, Safety.UNSAFE} if work.first.config.unsafe_fixes else {Safety.SAFE}
    pairs = []
    for found in diagnostics:
        offered = [one for one in found.fixes if one.safety in allowed and one.edits]
        if offered and (found.path, found.fingerprint) not in work.rejected:
            pairs.append((found, min(offered, key=lambda one: one.safety is not Safety.SAFE)))
    return fixes.select(pairs)


def _mend_file(work: _Work, path: str, chosen: Sequence[tuple[Diagnostic, Fix]]) -> None:
    """Apply the fixes of one file together, or one by one where together they do not stand the test."""
    if len(chosen) > 1 and _try(work, path, chosen) is None:
        return
    for pair in chosen:
        current = [d for d in engine.check_file(work.workspace, path) if d.fingerprint == pair[0].fingerprint]
        again = [(found, one) for found, one in _choose(work, current) if found.fingerprint == pair[0].fingerprint]
        why = _try(work, path, again) if again else None
        if why is not None:
            _reject(work, pair[0], why)


def _try(work: _Work, path: str, chosen: Sequence[tuple[Diagnostic, Fix]]) -> str | None:
    """Apply fixes in memory and keep them where every check passes; None, else why not."""
    by_path = fixes.edits_by_path([one for _, one in chosen])
    try:
        after = work.workspace.with_texts({name: work.workspace[name].splice(edits) for name, edits in by_path.items()})
    except ValueError as error:
        return str(error)
    for name, edits in by_path.items():
        if not fixes.same_outside(work.workspace[name], after[name], edits):
            return "the text outside the fix would change, or no longer parse"
    why = _findings_differ(work, after, path, chosen)
    if why is None:
        work.workspace = after
        for found, _ in chosen:
            work.fixed.setdefault(path, Counter())[found.code] += 1
    return why


def _findings_differ(work: _Work, after: Workspace, path: str, chosen: Sequence[tuple[Diagnostic, Fix]]) -> str | None:
    """Whether a finding is still there, or a new one appeared that neither names nor advises what was just added."""
    before = Counter(map(_identity, engine.check_file(work.workspace, path)))
    before.subtract(_identity(found) for found, _ in chosen)
    added = {f"`{name}" for _, one in chosen for name in one.adds}
    for found in engine.check_file(after, path):
        before[_identity(found)] -= 1
        if before[_identity(found)] >= 0:
            continue
        if _identity(found) in {_identity(mended) for mended, _ in chosen}:
            return "the finding would still be there"
        if not any(name in text for name in added for text in (found.message, found.help)):
            return f"it would cause {found.code}: {found.message}"
    return None


def _identity(found: Diagnostic) -> tuple[str, str, str]:
    return (found.code, found.symbol, found.message)


def _reject(work: _Work, found: Diagnostic, why: str) -> None:
    work.rejected[found.path, found.fingerprint] = why


def _changes(work: _Work) -> dict[str, tuple[str, str]]:
    sources = {path: (work.first.readable(path), work.workspace.readable(path)) for path in work.workspace.buffers}
    return {
        path: (before.text, after.text)
        for path, (before, after) in sources.items()
        if before is not None and after is not None and before.data != after.data
    }


def _write(work: _Work) -> bool:
    """Write what changed; whether all of it could be. A file that could not is again as if nobody had mended it."""
    outcomes = [(path, _write_file(work, path)) for path in _changes(work)]
    refused = {path: why for path, why in outcomes if why is not None}
    work.workspace = work.workspace.with_texts({path: work.first[path].data for path in refused})
    for path, why in refused.items():
        work.fixed.pop(path, None)
        for found, _ in _choose(work, engine.check_file(work.first, path)):
            _reject(work, found, why)
    return not refused


def _write_file(work: _Work, path: str) -> str | None:
    """Write one file; None, else why that cannot be done."""
    try:
        files.write_atomic(Path(path), work.workspace[path].data, work.first[path].data)
    except files.WriteError as error:
        return str(error)
    return None


def _report(work: _Work, before: Sequence[Diagnostic], left: Sequence[Diagnostic]) -> Report:
    changes = _changes(work)
    reasons = [(found, work.rejected.get((found.path, found.fingerprint))) for found in left]
    everything = [*left, *(not_applied(found, why) for found, why in reasons if why is not None)]
    known = {(found.path, found.fingerprint) for found in before}
    news = [found for found in left if (found.path, found.fingerprint) not in known and changes]
    return Report(
        tuple(sorted(everything, key=lambda d: (d.path, *d.region.start, d.code))),
        len(work.paths),
        engine.texts_of(work.workspace, everything),
        {path: dict(counts) for path, counts in work.fixed.items()},
        changes,
        tuple(f"now also needed: {d.path}:{d.region.start.row}: {d.code} {d.message}" for d in news),
    )
