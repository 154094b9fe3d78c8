"""A scope that one task has entered is left by another.

## Why
The transports and sessions of MCP hold cancel scopes, and a cancel scope belongs to the task that entered it. Left by
a new task it raises `RuntimeError: Attempted to exit cancel scope in a different task than it was entered in`, or
cancels the task that happens to close it (both measured). The subprocess and the connection stay, and what still waits
may spin at full load (chainlit#2182). Reported for a dozen projects (python-sdk#79, #577, adk-python#2196,
agent-framework#2846); most swallow the error, and leak.

## Bad
```python
import asyncio
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters, stdio_client


class Server:
    def __init__(self) -> None:
        self.stack = AsyncExitStack()

    async def connect(self, params: StdioServerParameters) -> ClientSession:
        read, write = await self.stack.enter_async_context(stdio_client(params))
        return await self.stack.enter_async_context(ClientSession(read, write))

    def close(self) -> None:
        asyncio.create_task(self.stack.aclose())
```

## Good
```python
import asyncio

from mcp import ClientSession, StdioServerParameters, stdio_client


class Server:
    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def run(self, params: StdioServerParameters) -> None:
        async with stdio_client(params) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            await self.stopping.wait()

    def close(self) -> None:
        self.stopping.set()
```

## Fix
Only shown: one task that enters, waits to be told, and leaves. How it is started and told is its owner's to decide.

## Not reported
The place is the call that makes the task, or where a method that works with the object leaves what an earlier call has
entered, to connect again (a warning: all of it may run in one task, agent-framework#4687, NeMo-Agent-Toolkit#1935).
Closers that are awaited where they are called: the caller may be in the task that entered. Methods that enter what they
leave, tell another task to leave it, or ask in which task they run; managers that are not known to be bound to a task;
`asyncio.wait_for`, which makes a task up to Python 3.11 only; tests.
"""

from collections.abc import Iterator

from toollint.analyses.othertask import OtherTask, Reentered
from toollint.analyses.values import Values
from toollint.facts import ModuleFacts
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule

_RECIPE = """async def run(self) -> None:  # the only task that enters and leaves it
    async with ...:
        await self.stopping.wait()

def close(self) -> None:
    self.stopping.set()
"""


_NOTE = "its cancel scope belongs to the task that entered it: leaving it elsewhere fails, what it holds stays open"
_HELP = "enter and leave it in one task that runs as long as it is needed"


class Scopes:
    """Scopes that are left by a task made for it, or by whichever task comes along."""

    @staticmethod
    def find(values: Values, module: ModuleFacts) -> Iterator[OtherTask | Reentered]:
        """Those of a file."""
        yield from OtherTask.find(values, module)
        yield from Reentered.find(values, module)


@rule("TL504", "scope-exited-in-other-task", subject=Scopes, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(found: OtherTask | Reentered) -> Iterator[Finding]:
    """Report a task that leaves a scope of another task, or enters one that others leave."""
    yield _new_task(found) if isinstance(found, OtherTask) else _any_task(found)


def _new_task(found: OtherTask) -> Finding:
    kept = f"`{found.cls.name}.{found.attribute}`"
    if found.enters:
        message = f"{kept} is entered in a task of `{found.word}`, and left outside it"
    else:
        message = f"{kept} is left in a new task by `{found.word}`, and entered in another"
    return Finding(
        found.place,
        message,
        label="a new task",
        related=[_entered(found), Note(found.leaves, "left here", Role.CLOSES)],
        notes=[_NOTE],
        help=_HELP,
        fixes=[_owner_task()],
    )


def _any_task(found: Reentered) -> Finding:
    caller = Note(found.caller.place, "may run in any task", Role.LAST_USE)
    through = [Note(found.through.place, "leaves it", Role.CLOSES)] if found.through is not None else []
    return Finding(
        found.place,
        f"`{found.function.name}` leaves and enters `{found.attribute}` again in the task of `{found.caller.name}`",
        label="entered by an earlier call",
        related=[_entered(found), *through, caller],
        notes=[_NOTE],
        help=_HELP,
        fixes=[_owner_task()],
        severity=Severity.WARNING,
    )


def _entered(found: OtherTask | Reentered) -> Note:
    return Note(found.entry.place, f"`{found.entry.name}` is entered here", Role.ACQUIRED)


def _owner_task() -> Repair:
    return Repair("give it a task of its own", Safety.DISPLAY, recipe=_RECIPE)
