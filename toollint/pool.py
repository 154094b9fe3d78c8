"""Work spread over processes; one that dies takes only the file that killed it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from toollint.analyses.lifetimes import Statistics
from toollint.config import Config
from toollint.diagnostics import broken
from toollint.model import Diagnostic

if TYPE_CHECKING:
    from concurrent.futures import Future

_WORTHWHILE = 64
"""Files below which starting processes costs more than it saves."""
_CHUNKS = 4
"""Pieces of work for each process: few enough to share a project's files, enough to even out."""


@dataclass
class Checked:
    """What was found in files, and what the interpretation of their functions has cost."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)

    def __add__(self, other: Checked) -> Checked:
        """Give both together, in this order."""
        return Checked(self.diagnostics + other.diagnostics, self.statistics + other.statistics)


Work: TypeAlias = Callable[[Sequence[str]], Checked]
Make: TypeAlias = Callable[[Config], Work]
Progress: TypeAlias = Callable[[int, int], None]


def spread(make: Make, paths: Sequence[str], config: Config, jobs: int, progress: Progress | None) -> Checked:
    """Do the work that ``make`` gives on chunks of the paths in ``jobs`` processes (0: one a processor).

    ``make`` is called once in each process, so that its chunks share what they look into; neighbours stay together.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(paths) < _WORTHWHILE:
        return make(config)(paths)
    size = -(-len(paths) // (jobs * _CHUNKS))
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    return _in_processes(make, chunks, config, jobs, progress)


_work: list[Work] = []
"""What this process was started for."""


def _start(make: Make, config: Config) -> None:
    _work[:] = [make(config)]


def _do(paths: Sequence[str]) -> Checked:
    return _work[0](paths)


def _in_processes(
    make: Make, chunks: list[Sequence[str]], config: Config, jobs: int, progress: Progress | None
) -> Checked:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - dear, and small runs need none
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    total, done = sum(map(len, chunks)), 0
    found = Checked()
    broken_off: list[Sequence[str]] = []
    with ProcessPoolExecutor(jobs, initializer=_start, initargs=(make, config)) as pool:
        futures: list[Future[Checked]] = []
        with suppress(BrokenProcessPool):  # a process may die before everything is handed out
            futures.extend(pool.submit(_do, chunk) for chunk in chunks)
        for chunk, future in zip(chunks, futures, strict=False):
            try:
                found += future.result()
            except BrokenProcessPool:
                broken_off.append(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    for chunk in (*broken_off, *chunks[len(futures) :]):
        found += _by_halves(make, chunk, config)
    return found


def _by_halves(make: Make, paths: Sequence[str], config: Config) -> Checked:
    """What is found in files of which one may end the process that looks into it: then it is told apart by halving."""
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    try:
        with ProcessPoolExecutor(1, initializer=_start, initargs=(make, config)) as alone:
            return alone.submit(_do, paths).result()
    except BrokenProcessPool:
        if len(paths) == 1:
            return Checked([broken("TL998", paths[0], "reading this file ended the process that did it")])
    middle = len(paths) // 2
    return _by_halves(make, paths[:middle], config) + _by_halves(make, paths[middle:], config)
