"""Work spread over processes; one that dies takes only the file that killed it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeAlias

from toollint.config import Config
from toollint.diagnostics import broken
from toollint.model import Diagnostic

_WORTHWHILE = 64
"""Files below which starting processes costs more than it saves."""
_CHUNKS = 4
"""Pieces of work for each process: few enough to share a project's files, enough to even out."""

Work: TypeAlias = Callable[[Sequence[str], Config], list[Diagnostic]]
Progress: TypeAlias = Callable[[int, int], None]


def spread(work: Work, paths: Sequence[str], config: Config, jobs: int, progress: Progress | None) -> list[Diagnostic]:
    """Call ``work`` on chunks of the paths in ``jobs`` processes (0: one a processor); neighbours stay together."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(paths) < _WORTHWHILE:
        return work(paths, config)
    size = -(-len(paths) // (jobs * _CHUNKS))
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    return _in_processes(work, chunks, config, jobs, progress)


def _in_processes(
    work: Work, chunks: list[Sequence[str]], config: Config, jobs: int, progress: Progress | None
) -> list[Diagnostic]:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - dear, and small runs need none
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    total, done = sum(map(len, chunks)), 0
    found: list[Diagnostic] = []
    left: list[Sequence[str]] = []
    with ProcessPoolExecutor(jobs) as pool:
        for chunk, future in [(chunk, pool.submit(work, chunk, config)) for chunk in chunks]:
            try:
                found += future.result()
            except BrokenProcessPool:
                left.append(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    for path in (path for chunk in left for path in chunk):
        with ProcessPoolExecutor(1) as alone:
            try:
                found += alone.submit(work, [path], config).result()
            except BrokenProcessPool:
                found.append(broken("TL998", path, "reading this file ended the process that did it"))
    return found
