"""A context manager releases what it has opened below a bare `yield`: not when the block raises.

## Why
What the block of a `with` raises is raised at the `yield`. Without `try` and `finally` the rest of the generator does
not run, so exactly the blocks that fail leave their connection, server or task behind. The lifespans of an application
are context managers like any other, and what FastAPI is given as a dependency is run as one, so that each failed
request leaks. agno released its databases, clients and scheduler that way (agno#10340); arel#43, openchoreo#3358 and
shuttle#114 are the same.

## Bad
```python
from contextlib import asynccontextmanager

import httpx


@asynccontextmanager
async def lifespan(app):
    client = httpx.AsyncClient()
    yield {"client": client}
    await client.aclose()
```

## Good
```python
from contextlib import asynccontextmanager

import httpx


@asynccontextmanager
async def lifespan(app):
    client = httpx.AsyncClient()
    try:
        yield {"client": client}
    finally:
        await client.aclose()
```

## Fix
Puts the `yield` into a `try` and what stands below it into its `finally`. Safe where nothing but such releases stands
there; unsafe otherwise, because the rest then runs after an error as well. Only shown where something there returns.

## Not reported
A `yield` inside `try` or `with`, or one of several; releases of what was not opened in the same function; a tail that
restores or reports and releases nothing (ruff's RUF075, a preview rule, asks for `finally` there too); pytest fixtures,
whose rest pytest runs when the test fails (measured); generators that nobody is seen to run this way; tests.
"""

from collections.abc import Iterator

from toollint.analyses.afterwards import Afterwards
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, Surround, rule

_TITLE = "release it in `finally`"


@rule("TL406", "cleanup-after-bare-yield", subject=Afterwards, severity=Severity.WARNING, fix=Safety.SAFE)
def check(found: Afterwards) -> Iterator[Finding]:
    """Report a `yield` below which something is released that was opened above it."""
    if not found.releases:
        return
    first = found.releases[0]
    body = "block" if found.role == "context manager" else "request"
    yield Finding(
        found.place,
        f"`{first.words}` below this `yield` is skipped when the {body} fails",
        label="an exception is raised here",
        related=[
            Note(found.code.at(first.opened.start, first.opened.end), "opened here", Role.ACQUIRED),
            *(Note(found.code.at(one.call.start, one.call.end), "not reached", Role.CLOSES) for one in found.releases),
        ],
        notes=[
            f"the {body}'s exception leaves the function here: what it has opened stays open, once for each failure"
        ],
        help="put the `yield` into `try`, and what stands below it into `finally`",
        fixes=[_repair(found)],
    )


def _repair(found: Afterwards) -> Repair:
    if found.returns:
        recipe = "try:\n    yield\nfinally:\n    ...  # without `return`, which would swallow the exception\n"
        return Repair(_TITLE, Safety.DISPLAY, why="a `return` there would swallow the exception", recipe=recipe)
    steps = (Surround(found.place, ("try:",), ()), Surround(found.tail_place, ("finally:",), ()))
    if found.only_releases:
        return Repair(_TITLE, Safety.SAFE, steps)
    return Repair(_TITLE, Safety.UNSAFE, steps, why="all that stands below the `yield` then runs after an error too")
