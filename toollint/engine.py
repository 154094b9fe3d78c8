"""The straight line: paths -> sources -> facts -> findings -> diagnostics, for one file and for many.

`check_file` is the pure function behind the command line, the language server and the library. What happens to fixes
is `toollint.mending`'s part.
"""

from __future__ import annotations

import contextlib
import enum
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from toollint import files, pool, rules
from toollint.analyses.lifetimes import Statistics
from toollint.config import Config
from toollint.diagnostics import NAMES, broken, fingerprinted, internal_error, present
from toollint.frontends import Refused
from toollint.linking import linked
from toollint.model import Default, Diagnostic, Report, Rule
from toollint.pool import Checked
from toollint.source import Source, Unreadable
from toollint.suppressions import Idle
from toollint.workspace import Workspace

Progress: TypeAlias = Callable[[int, int], None]


class Mode(enum.Enum):
    """What to do with fixes: offer them, write them, or compute what they would write."""

    CHECK = "check"
    FIX = "fix"
    DIFF = "diff"


# --- one file ----------------------------------------------------------------------------------------------------


def check_file(workspace: Workspace, path: str) -> list[Diagnostic]:
    """All diagnostics of one file, in order of place."""
    try:
        source = workspace[path]
        workspace.tree(path)
    except files.ReadError as error:
        return [broken("TL998", path, str(error))]
    except (Unreadable, Refused) as error:
        return [broken("TL999", path, error.message, error.row, error.column)]
    if source.suppressions.skip_file:
        return []
    enabled = workspace.config.enabled(rules.load(), Path(path))
    judged = {
        rule: _judge(workspace, path, rule, partial(workspace.subjects, rule, path))
        for rule in enabled
        if rule.subject is not Idle
    }
    kept, used = _unsuppressed(source, (one for found in judged.values() for one in found))
    ran = [rule for rule, found in judged.items() if all(one.code == rule.code for one in found)]
    for rule in enabled:
        if rule.subject is Idle:
            kept += _judge(workspace, path, rule, partial(_idle, source, ran, used))
    return fingerprinted(source, sorted(kept, key=_order))


def _judge(workspace: Workspace, path: str, rule: Rule, subjects: Callable[[], Iterable[object]]) -> list[Diagnostic]:
    """The diagnostics of one rule for one file; a crash is one of them, and never stops the others."""
    options = () if rule.options is None else (rule.options(**workspace.config.rules.get(rule.code, {})),)
    found: list[Diagnostic] = []
    try:
        for subject in subjects():
            for finding in rule.check(subject, *options):
                symbol = workspace.symbol(path, finding.place.span.start)
                found.append(present(workspace, rule, finding, symbol))
    except Exception as error:  # noqa: BLE001 - whatever a rule does, the run goes on
        found.append(internal_error(rule, path, error))
    return found


def _idle(source: Source, ran: Sequence[Rule], used: set[tuple[int, str]]) -> Iterator[Idle]:
    """The suppressions, or entries of their lists, that silenced nothing although their rules ran.

    A bare one speaks of every rule: nothing can be said of it where one that is on by default did not run to its end.
    """
    names = {text for rule in ran for text in (rule.code, rule.name)}
    all_ran = all(rule in ran for rule in rules.load() if rule.default is Default.ON and rule.subject is not Idle)
    for comment in source.suppressions.items:
        start = comment.span.start
        if comment.codes is None:
            if comment.kind == "ignore" and all_ran and (start, "") not in used:
                yield Idle(source.path, comment, frozenset())
            continue
        listed = {entry.text for entry in comment.codes if comment.is_ours(entry)}
        unused = frozenset(text for text in listed & names if (start, text) not in used)
        if unused:
            yield Idle(source.path, comment, unused)


def _unsuppressed(source: Source, found: Iterable[Diagnostic]) -> tuple[list[Diagnostic], set[tuple[int, str]]]:
    """The diagnostics that no comment silences, and which entries of which comments silenced something."""
    kept, used = [], set()
    for diagnostic in found:
        comment = source.suppressions.match(diagnostic.region.span.start, diagnostic.code, diagnostic.name)
        if comment is None or diagnostic.code in NAMES:
            kept.append(diagnostic)
        else:
            entry = comment.listed(diagnostic.code, diagnostic.name)
            used.add((comment.span.start, entry.text if entry else ""))
    return kept, used


def _order(diagnostic: Diagnostic) -> tuple[str, int, int, str, str]:
    return (diagnostic.path, *diagnostic.region.start, diagnostic.code, diagnostic.message)


# --- many files --------------------------------------------------------------------------------------------------


def run(  # noqa: PLR0913 - the command's own options
    paths: Sequence[Path],
    config: Config,
    *,
    mode: Mode = Mode.CHECK,
    stdin: bytes | None = None,
    stdin_filename: str | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
    nearest: Callable[[Path], Config] | None = None,
) -> Report:
    """Check files and folders (or ``stdin``), and mend them as ``mode`` says.

    ``jobs`` processes share the work, 0 means one for each processor. ``progress(done, all)`` is called now and then.
    ``config`` says which files there are; ``nearest`` gives the configuration for the files of a folder, where it may
    be another.

    Raises:
        MissingPath: a path that was asked for does not exist.
    """
    if stdin is not None:
        path = Path(stdin_filename or "stdin.py").absolute()
        workspace = Workspace(config, {path: stdin})
        checked = _checked(workspace, [str(path)])
        report = _report(workspace, [str(path)], mode, checked.diagnostics, write=False)
        return replace(report, statistics=_counts(checked.statistics))
    found = [path.absolute() for path in files.discover(paths, config)]
    reports = []
    total = Statistics()
    for each, group in _by_config(found, nearest or (lambda _: config)):
        checked = pool.spread(_checker, group, each, jobs, progress)
        total += checked.statistics
        reports.append(_report(Workspace(each), group, mode, checked.diagnostics, write=True))
    return replace(_merged(reports), statistics=_counts(total))


def _by_config(paths: Sequence[Path], nearest: Callable[[Path], Config]) -> list[tuple[Config, list[str]]]:
    """The files by configuration, so that one run over everything says what a run in each folder would."""
    by_folder = {folder: nearest(folder) for folder in dict.fromkeys(path.parent for path in paths)}
    groups: list[tuple[Config, list[str]]] = []
    for path in paths:
        config = by_folder[path.parent]
        group = next((group for each, group in groups if each == config), None)
        if group is None:
            group = []
            groups.append((config, group))
        group.append(str(path))
    return groups


def _merged(reports: Sequence[Report]) -> Report:
    if len(reports) == 1:
        return reports[0]
    return Report(
        tuple(sorted((found for report in reports for found in report.diagnostics), key=_order)),
        sum(report.files for report in reports),
        {path: text for report in reports for path, text in report.texts.items()},
        {path: counts for report in reports for path, counts in report.fixed.items()},
        {path: change for report in reports for path, change in report.changes.items()},
        tuple(notice for report in reports for notice in report.notices),
    )


def check_buffers(paths: Sequence[Path], buffers: Mapping[Path, bytes], config: Config) -> Report:
    """Check files of which some are unsaved: ``buffers`` lie over the disk."""
    workspace, names = Workspace(config, buffers), [str(path) for path in paths]
    return _report(workspace, names, Mode.CHECK, check_files(workspace, names), write=False)


def check_files(workspace: Workspace, paths: Iterable[str]) -> list[Diagnostic]:
    """All diagnostics of several files, in the order of the files."""
    with _uncollected():
        return [diagnostic for path in paths for diagnostic in check_file(workspace, path)]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the garbage collector out: nearly all that a run makes it keeps, and looking through it costs a third."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _checker(config: Config) -> Callable[[Sequence[str]], Checked]:
    return partial(_checked, Workspace(config))


def _checked(workspace: Workspace, paths: Sequence[str]) -> Checked:
    return Checked(check_files(workspace, paths), workspace.take_statistics())


def _counts(total: Statistics) -> dict[str, int]:
    """What ``--statistics`` says of the interpretation of functions; nothing where there was none."""
    if not total.functions:
        return {}
    return {
        "lifetimes, functions given up": total.exhausted,
        "lifetimes, functions interpreted": total.functions,
        "lifetimes, points where states were joined": total.joins,
        "lifetimes, work of the heaviest function": total.heaviest,
    }


def _report(workspace: Workspace, paths: Sequence[str], mode: Mode, found: list[Diagnostic], *, write: bool) -> Report:
    if mode is not Mode.CHECK:
        from toollint import mending  # noqa: PLC0415 - most runs mend nothing

        return linked(mending.mend(workspace, paths, found, write=write and mode is Mode.FIX))
    return linked(Report(tuple(sorted(found, key=_order)), len(paths), texts_of(workspace, found)))


def texts_of(workspace: Workspace, diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
    """The text of every file that a region of the diagnostics names, where it can be had."""
    regions = [
        region
        for found in diagnostics
        for region in (
            found.region,
            *(related.region for related in found.related),
            *(hop.region for hop in found.chain),
            *(edit.region for one in found.fixes for edit in one.edits),
        )
    ]
    sources = {path: workspace.readable(path) for path in {region.path for region in regions}}
    return {path: source.text for path, source in sources.items() if source is not None}
