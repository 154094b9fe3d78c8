"""A generator yields in a `finally`, or in a handler that catches what closes it: closing it fails halfway.

## Why
Whoever stops reading a generator closes it: a web server when the client disconnects, `break` under `aclosing`, the
garbage collector. `GeneratorExit` is raised at the `yield` where the generator waits, and the `finally` runs. A `yield`
in there is met by `RuntimeError: async generator ignored GeneratorExit` (measured), and what stands below it, the
release of the stream or the client, is not reached. agent-service-toolkit ends its stream with
`finally: yield "data: [DONE]"`; LightRAG (#3634, #3635, #3712), omnigent (#1198) and agno (#8265) had to mend the same.

## Bad
```python
from collections.abc import AsyncIterator


async def stream(events: AsyncIterator[str]) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield f"data: {event}"
    except ValueError:
        yield "data: error"
    finally:
        yield "data: [DONE]"
```

## Good
```python
from collections.abc import AsyncIterator


async def stream(events: AsyncIterator[str]) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield f"data: {event}"
    except ValueError:
        yield "data: error"
    yield "data: [DONE]"
```

## Fix
Moves a literal that is yielded in the `finally` below the `try`; unsafe, because it is no longer sent when an exception
leaves the `try`. Only where nothing in the `try` returns or leaves a loop, and where something else is left that needs
the `try`. All others are only shown.

## Not reported
Generators under decorators, which may run them in ways of their own: context managers, fixtures, coroutines made of
generators; a `yield` below a test, which may ask whether the generator is being closed; `yield from`; a `try` in which
the generator never waits; a handler of `BaseException` below one of `GeneratorExit`, and one that raises first; tests.
"""

from collections.abc import Iterator

from toollint.analyses.ignored_exit import IgnoredExit
from toollint.model import (
    Finding,
    InsertLines,
    Note,
    Repair,
    Replace,
    ReplaceLines,
    Role,
    Safety,
    Severity,
    Step,
    rule,
)

_TITLE = "yield below the `try`"


@rule("TL503", "yield-in-finally", subject=IgnoredExit, severity=Severity.ERROR, fix=Safety.UNSAFE)
def check(found: IgnoredExit) -> Iterator[Finding]:
    """Report a `yield` that is reached while the generator is being closed."""
    where = "`finally`" if found.where == "finally" else "a handler of what closes it"
    waiting = found.code.at(found.waiting.start, found.waiting.end)
    yield Finding(
        found.place,
        f"`{found.function.name}` yields in {where}: closing it early fails here",
        label="ignores `GeneratorExit`",
        related=[Note(waiting, "it may be closed here", Role.ESCAPES)],
        notes=["when its reader stops early Python raises `RuntimeError` here, and skips the cleanup that is left"],
        help=_advice(found),
        fixes=[_repair(found)],
    )


def _advice(found: IgnoredExit) -> str:
    if found.where == "finally":
        return "yield below the `try` statement, and keep only the cleanup in `finally`"
    return "catch `Exception`, which leaves `GeneratorExit` alone"


def _repair(found: IgnoredExit) -> Repair:
    if found.where == "except":
        recipe = "except Exception:\n    ...  # yields are right here: `GeneratorExit` is no `Exception`\n"
        return Repair("catch `Exception`", Safety.DISPLAY, recipe=recipe)
    recipe = f"try:\n    ...\nfinally:\n    ...  # only cleanup\n{found.text}\n"
    if not found.is_constant:
        return Repair(_TITLE, Safety.DISPLAY, why="what it yields may be different there", recipe=recipe)
    if found.leaves:
        return Repair(_TITLE, Safety.DISPLAY, why="not every way out of the `try` leads there", recipe=recipe)
    steps = _steps(found)
    if not steps:
        return Repair(_TITLE, Safety.DISPLAY, why="the `try` would have nothing left to do", recipe=recipe)
    why = "it is no longer sent when an exception leaves the `try`"
    return Repair(_TITLE, Safety.UNSAFE, steps, why=why)


def _steps(found: IgnoredExit) -> tuple[Step, ...]:
    """The steps that move the statement; none where it cannot be moved."""
    code, attempt = found.code, found.attempt
    below = InsertLines(code.at(attempt.start, attempt.end), (found.text,), below=True)
    if len(found.block) > 1:
        return (ReplaceLines(code.at(found.statement.start, found.statement.end), ()), below)
    between = code.scope.module.utf8[slice(*found.clause.span)]
    if not attempt.handlers or b"#" in between[: -len(found.text.encode())]:
        return ()
    return (Replace(found.clause, ""), below)
