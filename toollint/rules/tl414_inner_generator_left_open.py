"""An async generator passes on what another one yields, and does not close it when its own reader stops early.

## Why
A reader that stops before the end (a `break`, an error, a user who closes the browser tab) closes the generator that it
reads. The loop inside is left, and the generator that it read is not told: its `finally` and the `async with` around
its `yield` run when the garbage collector's hook gets round to it, in another task and another context. There a cancel
scope must not be left and a context variable cannot be reset, and where the event loop ends before, nothing runs at
all. openai-agents mended `model_run_context_stream` for this: the request of the model went on after the run had ended.
A plain `for` over a plain generator has no such gap, which makes this one easy to overlook.

## Bad
```python
from collections.abc import AsyncIterator

import httpx


async def lines(client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    async with client.stream("GET", url) as response:
        async for line in response.aiter_lines():
            yield line


async def numbered(client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    number = 0
    async for line in lines(client, url):
        number += 1
        yield f"{number}: {line}"
```

## Good
```python
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx


async def lines(client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    async with client.stream("GET", url) as response:
        async for line in response.aiter_lines():
            yield line


async def numbered(client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    number = 0
    async with aclosing(lines(client, url)) as inner:
        async for line in inner:
            number += 1
            yield f"{number}: {line}"
```

## Fix
Puts the loop into `async with contextlib.aclosing(...)`; unsafe, because the end of the inner generator is then waited
for before this one goes on. Only shown where the call is written over several lines, or its new name is taken.

## Not reported
Loops over what is no async generator of the project; inner generators that await nothing at their end; generators that
are made into context managers or fixtures, or otherwise decorated; an inner generator that the function, or the caller
that made it, mentions once more; loops that yield nothing themselves; tests.
"""

from collections.abc import Iterator

from toollint.analyses.delegating import Delegation
from toollint.model import AddImport, Default, Finding, Note, Repair, Replace, Role, Safety, Severity, Surround, rule


@rule(
    "TL414",
    "inner-generator-left-open",
    subject=Delegation,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(found: Delegation) -> Iterator[Finding]:
    """Report an async generator that leaves the one it reads open when its own reader stops."""
    related = [
        Note(found.leaves, "the reader may stop here", Role.ESCAPES),
        Note(found.cleanup, "runs at the end, or late", Role.CLOSES),
    ]
    if found.made is not None:
        related.insert(0, Note(found.made, "made and passed here", Role.ACQUIRED))
    yield Finding(
        found.place,
        f"`{found.function.name}` leaves `{found.inner.name}` where it is when its reader stops early",
        label="left, and not closed",
        related=related,
        notes=["the end of the inner one then runs late, in another task, or never when the event loop ends"],
        help=f"read it inside `async with aclosing({found.name or '...'})`",
        fixes=[_repair(found)],
    )


def _repair(found: Delegation) -> Repair:
    title, text = "read it inside `async with aclosing(...)`", found.text
    if found.name:
        head = f"async with contextlib.aclosing({found.name}):"
        steps: tuple[Replace, ...] = ()
    elif "\n" in text or "inner" in found.function.scope.bindings:
        recipe = "async with contextlib.aclosing(...) as inner:\n    async for item in inner:\n        ...\n"
        return Repair(title, Safety.DISPLAY, recipe=recipe)
    else:
        head = f"async with contextlib.aclosing({text}) as inner:"
        steps = (Replace(found.read, "inner"),)
    around = Surround(found.whole, (head,), ())
    why = "what follows waits for the end of the inner generator"
    imported = AddImport(found.place.path, "contextlib")
    return Repair(title, Safety.UNSAFE, (around, *steps, imported), why=why, adds=(found.function.name,))
