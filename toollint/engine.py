"""The straight line: paths -> sources -> facts -> findings -> diagnostics, for one file and for many.

`check_file` is the pure function behind the command line, the language server and the library. What happens to fixes
is `toollint.mending`'s part.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from toollint import files, pool, rules
from toollint.config import Config
from toollint.diagnostics import NAMES, broken, fingerprinted, internal_error, present, unused_suppressions
from toollint.frontends import Refused
from toollint.model import Diagnostic, Report, Rule
from toollint.source import Source, Unreadable
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
    found = [diagnostic for rule in enabled for diagnostic in _judge(workspace, path, rule)]
    kept, used = _unsuppressed(source, found)
    kept += unused_suppressions(source, enabled, used)
    return fingerprinted(source, sorted(kept, key=_order))


def _judge(workspace: Workspace, path: str, rule: Rule) -> Iterator[Diagnostic]:
    """The diagnostics of one rule for one file; a crash is one of them, and never stops the others."""
    options = () if rule.options is None else (rule.options(**workspace.config.rules.get(rule.code, {})),)
    try:
        for subject in workspace.subjects(rule.subject, path):
            for finding in rule.check(subject, *options):
                yield present(workspace, rule, finding, workspace.symbol(path, finding.place.span.start))
    except Exception as error:  # noqa: BLE001 - whatever a rule does, the run goes on
        yield internal_error(rule, path, error)


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
) -> Report:
    """Check files and folders (or ``stdin``), and mend them as ``mode`` says.

    ``jobs`` processes share the work, 0 means one for each processor. ``progress(done, all)`` is called now and then.

    Raises:
        MissingPath: a path that was asked for does not exist.
    """
    if stdin is not None:
        path = Path(stdin_filename or "stdin.py").absolute()
        return _finish([str(path)], {path: stdin}, config, mode, None, {})
    found = [str(path.absolute()) for path in files.discover(paths, config)]
    diagnostics = pool.spread(_check_some, found, config, jobs, progress)
    return _finish(found, {}, config, mode, diagnostics, {})


def check_buffers(paths: Sequence[Path], buffers: Mapping[Path, bytes], config: Config) -> Report:
    """Check files of which some are unsaved: ``buffers`` lie over the disk."""
    return _finish([str(path) for path in paths], buffers, config, Mode.CHECK, None, {})


def _check_some(paths: Sequence[str], config: Config) -> list[Diagnostic]:
    workspace = Workspace(config)
    return [diagnostic for path in paths for diagnostic in check_file(workspace, path)]


def _finish(
    paths: Sequence[str],
    buffers: Mapping[Path, bytes],
    config: Config,
    mode: Mode,
    diagnostics: list[Diagnostic] | None,
    statistics: Mapping[str, int],
) -> Report:
    from toollint import mending  # noqa: PLC0415 - most runs mend nothing

    workspace = Workspace(config, buffers)
    if diagnostics is None:
        diagnostics = [diagnostic for path in paths for diagnostic in check_file(workspace, path)]
    if mode is not Mode.CHECK:
        return mending.mend(workspace, paths, diagnostics, write=mode is Mode.FIX and not buffers)
    texts = texts_of(workspace, diagnostics)
    return Report(tuple(sorted(diagnostics, key=_order)), len(paths), texts, statistics=dict(statistics))


def texts_of(workspace: Workspace, diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
    """The text of every file that a region of the diagnostics names, where it can be had."""
    regions = [
        region
        for found in diagnostics
        for region in (found.region, *(r.region for r in found.related), *(hop.region for hop in found.chain))
    ]
    texts = {}
    for path in {region.path for region in regions}:
        try:
            texts[path] = workspace[path].text
        except (files.ReadError, Unreadable):
            continue
    return texts
