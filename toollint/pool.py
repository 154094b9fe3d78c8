"""Work spread over processes; one that dies takes only the file that killed it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from toollint.config import Config
from toollint.diagnostics import broken
from toollint.model import Diagnostic

if TYPE_CHECKING:
    from concurrent.futures import Future

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
    broken_off: list[Sequence[str]] = []
    with ProcessPoolExecutor(jobs) as pool:
        futures: list[Future[list[Diagnostic]]] = []
        with suppress(BrokenProcessPool):  # a process may die before everything is handed out
            futures.extend(pool.submit(work, chunk, config) for chunk in chunks)
        for chunk, future in zip(chunks, futures, strict=False):
            try:
                found += future.result()
            except BrokenProcessPool:
                broken_off.append(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    for chunk in (*broken_off, *chunks[len(futures) :]):
        found += _by_halves(work, chunk, config)
    return found


def _by_halves(work: Work, paths: Sequence[str], config: Config) -> list[Diagnostic]:
    """What is found in files of which one may end the process that looks into it: then it is told apart by halving."""
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    try:
        with ProcessPoolExecutor(1) as alone:
            return alone.submit(work, paths, config).result()
    except BrokenProcessPool:
        if len(paths) == 1:
            return [broken("TL998", paths[0], "reading this file ended the process that did it")]
    middle = len(paths) // 2
    return _by_halves(work, paths[:middle], config) + _by_halves(work, paths[middle:], config)
