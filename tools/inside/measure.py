"""Measures what one kind of resource costs and what gives it back, in the environment that it runs in.

Usage: ``measure.py CALL RELEASE``: the acquiring call as `subjects.py` has it, and the name of the releasing method.
Prints one line of JSON: counts of file descriptors, threads and child processes above those before, for `OBJECTS`
objects at a time, after they were ``made``, ``used``, ``dropped``, ``collected`` (by the garbage collector) and
``closed``; ``second`` (``ok`` or ``raises``); ``with`` and ``async_with`` (``releases``, ``keeps`` or ``raises``; not
there where the protocol is not).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import subjects

OBJECTS = 3
_PATIENCE = 1.0  # seconds: threads and sockets go a little after their release


def counts() -> tuple[int, int, int]:
    """Open file descriptors, threads, and children that have not ended, of this process."""
    children = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it ended just now
        children += int(parent) == os.getpid() and state != "Z"
    return len([*Path("/proc/self/fd").iterdir()]), len([*Path("/proc/self/task").iterdir()]), children


async def settled(value: Any) -> Any:
    """The value, awaited if it has to be."""
    return await value if inspect.isawaitable(value) else value


class Measurement:
    """One subject: how it is made and used, and the name of its release."""

    def __init__(self, subject: subjects.Subject, release: str) -> None:
        """Take what is measured."""
        self.subject = subject
        self.release = release

    async def run(self) -> dict[str, Any]:
        """Measure everything, after one warm-up, since the first use of a library leaves things of its own."""
        await self.close(await self.made(use=True))
        return {**await self.left_alone(), **await self.closed(), **await self.entered()}

    async def made(self, *, use: bool) -> Any:
        """A new object, used if asked to."""
        thing = await settled(self.subject.make())
        if use:
            await settled(self.subject.use(thing))
        return thing

    async def close(self, thing: Any) -> None:
        """Release an object."""
        await settled(getattr(thing, self.release)())

    async def left_alone(self) -> dict[str, Any]:
        """What remains of objects that nobody releases."""
        before = await calm()
        things = [await self.made(use=False) for _ in range(OBJECTS)]
        found = {"made": above(before)}
        for thing in things:
            await settled(self.subject.use(thing))
        found["used"] = above(before)
        gc.disable()
        del thing
        things.clear()
        found["dropped"] = await remaining(before)
        gc.enable()
        gc.collect()
        found["collected"] = await remaining(before)
        return found

    async def closed(self) -> dict[str, Any]:
        """What remains of objects that are released, and what a second release does."""
        before = await calm()
        things = [await self.made(use=True) for _ in range(OBJECTS)]
        for thing in things:
            await self.close(thing)
        found: dict[str, Any] = {"closed": await remaining(before)}
        try:
            await self.close(things[0])
        except Exception:  # noqa: BLE001 - which exception is the library's business
            found["second"] = "raises"
        else:
            found["second"] = "ok"
        return found

    async def entered(self) -> dict[str, str]:
        """What the end of a ``with`` or ``async with`` block does, for the protocols that there are."""
        cls = type(await self.made(use=False))
        found = {}
        for key, method, enter in (("with", "__exit__", within), ("async_with", "__aexit__", within_async)):
            if not hasattr(cls, method):
                continue
            before = await calm()
            thing = self.subject.make()
            if not hasattr(type(thing), method):
                thing = await thing  # a coroutine; what is both awaitable and a context manager is entered instead
            try:
                await enter(thing, self.subject.use)
            except (TypeError, RuntimeError, NotImplementedError):
                found[key] = "raises"
            else:
                found[key] = "keeps" if any(count > 0 for count in await remaining(before)) else "releases"
            await settled(getattr(thing, self.release)())
        return found


async def within(thing: Any, use: Any) -> None:
    """Use an object inside ``with``."""
    with thing:
        await settled(use(thing))


async def within_async(thing: Any, use: Any) -> None:
    """Use an object inside ``async with``."""
    async with thing:
        await settled(use(thing))


async def calm() -> tuple[int, int, int]:
    """The counts after what went before has gone."""
    gc.collect()
    await asyncio.sleep(_PATIENCE / 5)
    gc.collect()
    return counts()


async def remaining(before: tuple[int, int, int]) -> list[int]:
    """How many more there are after everything has gone that will go soon."""
    deadline = time.monotonic() + _PATIENCE
    while any(count > 0 for count in above(before)) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)
    return above(before)


def above(before: tuple[int, int, int]) -> list[int]:
    """How many more there are now."""
    return [now - then for now, then in zip(counts(), before, strict=True)]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    call, release = sys.argv[1:]
    print(json.dumps(asyncio.run(Measurement(subjects.SUBJECTS[call], release).run())), flush=True)
    os._exit(0)  # what was left open on purpose must not hold up the end
