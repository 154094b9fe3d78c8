"""The constructor of an async pool opens its connections in the background, where nobody awaits them.

## Why
`AsyncConnectionPool(...)` starts its workers and connects as soon as it is made. Where no event loop runs that is a
`RuntimeError`; where one runs, nobody sees the failure of the first connections: the pool is there, and the first
request waits for its timeout. psycopg warns of both ways to do it and will refuse them (psycopg#738, #1131,
langgraph#4228). An attempt that fails below leaves the workers running.

## Bad
```python
from psycopg_pool import AsyncConnectionPool


async def connect(dsn: str) -> AsyncConnectionPool:
    pool = AsyncConnectionPool(dsn)
    await pool.open()
    return pool
```

## Good
```python
from psycopg_pool import AsyncConnectionPool


async def connect(dsn: str) -> AsyncConnectionPool:
    pool = AsyncConnectionPool(dsn, open=False)
    await pool.open()
    return pool
```

## Fix
Adds `open=False` where the same function awaits `open()` of the pool; unsafe, because what stands between the two finds
a pool that is not open yet. Only shown elsewhere: the `await` is missing as well.

## Not reported
A pool that is entered by `async with` or a stack, which opens it; `open=False`, and values that are not literal;
arguments that come from `**options`; a pool that is returned or handed on where it is made; tests.
"""

from collections.abc import Iterator

from toollint.analyses.early import Early
from toollint.model import Finding, Note, Repair, Replace, Role, Safety, Severity, rule


@rule("TL507", "pool-opened-in-async-constructor", subject=Early, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(found: Early) -> Iterator[Finding]:
    """Report an async pool that is opened by its constructor."""
    defer = f"{found.acquisition.defer}=False"
    yield Finding(
        found.place,
        f"`{found.called}()` opens its connections without `await`",
        label=f"no `{defer}`",
        related=[Note(found.opened, "is open already", Role.ACQUIRED)] if found.opened is not None else [],
        notes=["the workers start before anybody waits: a failure to connect shows at the first request's timeout"],
        help=f"pass `{defer}`, and `await {found.text(found.target)}.open()`",
        fixes=[_repair(found, defer)],
    )


def _repair(found: Early, defer: str) -> Repair:
    title = f"pass `{defer}`"
    target = found.text(found.target)
    recipe = f"{target} = {found.called}(..., {defer})\nawait {target}.open()\n"
    if found.opened is None:
        return Repair(title, Safety.DISPLAY, why="somebody has to await `open()` then", recipe=recipe)
    why = "what stands before `open()` finds a pool that is not open yet"
    if found.given is not None:
        given = found.code.at(found.given.start, found.given.end)
        return Repair(title, Safety.UNSAFE, (Replace(given, "False"),), why=why)
    if found.end is None:
        return Repair(title, Safety.DISPLAY, why="its last argument does not end plainly", recipe=recipe)
    text = f", {defer}" if found.call.args else defer
    return Repair(title, Safety.UNSAFE, (Replace(found.end, text),), why=why)
