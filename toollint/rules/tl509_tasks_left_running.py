"""Tasks go on running when the function that answers for them is done.

## Why
Ways to lose a task, of which ruff's RUF006 (a task that nobody holds) sees one by half. `asyncio.wait` with
`FIRST_COMPLETED` gives back what is still pending, and nobody looks at it. `cancel()` only asks: a closer that returns
without awaiting its task leaves it running on what has just been closed (openai-agents mended
`OpenAIRealtimeWebSocketModel.close`). Tasks that are awaited one by one are cancelled when one of them says so, and
left when one of them raises (openai-agents' input guardrails). An async generator polls a task that it has started,
its reader leaves at a `yield`, and nothing stops the task (agent-framework's workflow runner). A class that can be
closed keeps an endless task, and its closer does not mention it; or `async with` ends the task, and `close`, which
others call, does not (fastmcp's client). A class that is closed by a coroutine starts tasks of its own methods and
keeps them nowhere: what is closed goes on working (distributed's worker). The closing itself is started as a task that
nobody awaits: a signal handler starts `shutdown()`, which sets the event that the program waits for, the loop ends, and
the browser that was to be killed next stays (browser-use's daemon).

## Bad
```python
import asyncio


class Connection:
    async def open(self) -> None:
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self._task.cancel()
```

## Good
```python
import asyncio


class Connection:
    async def open(self) -> None:
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
```

## Fix
Awaits the cancelled task in the closer, or cancels what is pending; unsafe, because the function waits for the task
from then on, or ends work that somebody may have wanted. The others are only shown.

## Not reported
Tasks of a `TaskGroup`; tasks that anything is done with but to look at them (`done`, `result`): stored, returned,
cancelled, given a callback or to any function; waiting that a loop repeats; a function that an event loop is run for,
which cancels what is left; a closer that awaits anything after `cancel()`, as the task then gets its turn, or whose
task is awaited by another method or calls the closer itself; a `try` around the waiting that catches, or mentions the
tasks in its `finally`; a generator that awaits its task in `finally`, or is decorated; tasks in attributes that end by
themselves or that anything in the project uses; unheld tasks of other objects, of classes with a plain closer or one
that looks through all tasks, and those that await nothing; closing that stops the loop, or sets an event as the last
thing it does; closing that a coroutine starts, which may run in the very task that it cancels; `__del__` (TL502);
tests.
"""

from collections.abc import Iterator

from toollint.analyses.leftover import Leftover
from toollint.model import (
    AddImport,
    Default,
    Finding,
    InsertLines,
    Note,
    Repair,
    Replace,
    Role,
    Safety,
    Severity,
    rule,
)
from toollint.syntax import Bind, Collection

_MESSAGES = {
    "pending": "`{function}` leaves what is still pending running: nothing reads `{name}`",
    "cancelled": "`{function}` cancels `{name}` and returns without awaiting it",
    "siblings": "`{function}` leaves the rest of `{name}` running when one of them raises",
    "generator": "`{name}` goes on running when the reader of `{function}` leaves it early",
    "forgotten": "`{function}` leaves the endless task in `{name}` running",
    "spared": "`{function}` leaves the task in `{name}` running, which `__aexit__` ends",
    "untracked": "`{function}` cannot end the task of `{name}`: nobody keeps it",
    "closing": "`{function}` starts `{name}` as a task that nobody keeps or awaits",
}
_LABELS = {
    "pending": "the rest goes on",
    "cancelled": "asked to stop, not awaited",
    "siblings": "the others go on",
    "generator": "started here",
    "forgotten": "started here, never ended",
    "spared": "started here, ended by `async with` alone",
    "untracked": "kept nowhere",
    "closing": "nobody waits for it",
}
_NOTES = {
    "pending": "the tasks that are not done run on behind the function's back, once more with each call",
    "cancelled": "the task has not even heard of it when the closer returns: its cleanup runs later, or never",
    "siblings": "when one task raises, the function ends, and the tasks that are left run on without a reader",
    "generator": "a reader that leaves at a `yield` closes the generator, and the task runs on without it",
    "forgotten": "the task holds the object, and runs until the event loop ends, whatever the closer has closed",
    "spared": "whoever closes the object by hand leaves the task behind, with all that it holds open",
    "untracked": "after the close the task goes on with an object that is closed, and holds it",
    "closing": "the event loop may end, or the task be collected, before everything is closed",
}
_HELP = {
    "pending": "cancel what is pending, and await it",
    "cancelled": "await the task after `cancel()`: `await asyncio.gather({name}, return_exceptions=True)`",
    "siblings": "cancel the tasks in a `finally`, or start them in an `asyncio.TaskGroup`",
    "generator": "cancel the task in a `finally` around the `yield`s",
    "forgotten": "cancel `{name}` in the closer, and await it there",
    "spared": "let `{closer}` and `__aexit__` end it in one and the same method",
    "untracked": "keep the task in a set, and in `{closer}` cancel and await what is left there",
    "closing": "keep the task, and await it before the loop ends",
}
_ROLES = {"siblings": "raises what the task raises", "generator": "the reader may leave here"}


@rule(
    "TL509",
    "tasks-left-running",
    subject=Leftover,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(found: Leftover) -> Iterator[Finding]:
    """Report tasks that nobody ends when the function is left."""
    related = []
    if found.started is not None and found.shape != "generator":
        code, node = found.started
        related.append(Note(code.at(node.start, node.end), "started here", Role.ACQUIRED))
    if found.exit is not None:
        related.append(Note(found.at(found.exit), _ROLES[found.shape], Role.ESCAPES))
    if found.closer is not None:
        said = "cannot reach it" if found.shape == "untracked" else "closes, and leaves it running"
        related.append(Note(found.closer.place, said, Role.CLOSES))
    yield Finding(
        found.place,
        _message(found),
        label=_LABELS[found.shape],
        related=related,
        notes=[_NOTES[found.shape]],
        help=_HELP[found.shape].format(name=found.name, closer=found.closer.name if found.closer else ""),
        fixes=[] if found.shape in {"spared", "untracked", "closing"} else [_repair(found)],
    )


def _message(found: Leftover) -> str:
    name = found.closer.name if found.closer is not None else found.function.name
    return _MESSAGES[found.shape].format(function=name, name=found.name)


def _repair(found: Leftover) -> Repair:
    if found.shape == "cancelled":
        wait = f"await asyncio.gather({found.name}, return_exceptions=True)"
        steps = (InsertLines(found.place, (wait,), below=True), AddImport(found.place.path, "asyncio"))
        return Repair("await it", Safety.UNSAFE, steps, why="the closer waits for what the task has left to do")
    if found.shape == "pending":
        return _cancel_pending(found)
    if found.shape == "forgotten":
        recipe = f"{found.name}.cancel()\nawait asyncio.gather({found.name}, return_exceptions=True)\n"
        return Repair("cancel it in the closer", Safety.DISPLAY, recipe=recipe)
    title = "cancel it in `finally`"
    if found.shape == "siblings":
        recipe = f"try:\n    ...  # await them\nfinally:\n    for task in {found.name}:\n        task.cancel()\n"
        recipe += f"    await asyncio.gather(*{found.name}, return_exceptions=True)\n"
    else:
        recipe = f"try:\n    ...  # the `yield`s\nfinally:\n    {found.name}.cancel()\n"
    return Repair(title, Safety.DISPLAY, recipe=recipe)


def _cancel_pending(found: Leftover) -> Repair:
    """Cancel what is left, under the name that it has, or gets where that is none."""
    target = found.node.targets[0] if isinstance(found.node, Bind) else None
    name = "pending" if found.name == "_" else found.name
    lines = (f"for left in {name}:", "    left.cancel()")
    recipe = "\n".join((*lines, ""))
    taken = found.function.scope.bindings
    if not isinstance(target, Collection) or "left" in taken or (name != found.name and name in taken):
        return Repair("cancel what is pending", Safety.DISPLAY, recipe=recipe)
    renamed = () if name == found.name else (Replace(found.at(target.items[1]), name),)
    steps = (*renamed, InsertLines(found.place, lines, below=True))
    return Repair("cancel what is pending", Safety.UNSAFE, steps, why="somebody may count on the work that it ends")
