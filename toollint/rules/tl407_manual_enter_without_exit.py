"""A context manager is entered by hand, and nothing ever leaves it.

## Why
`await self._streams.__aenter__()` is written where no block can hold the manager: it has to live as long as an object.
Then somebody has to call `__aexit__`, and nothing reminds of it. What the manager has opened (an MCP server's process,
a connection, a lock) stays open as long as the process lives, or until a garbage collection drops the generator behind
it, which runs its `finally` in whatever task or thread that happens in (any-agent#552, openagents#305). Most uses pair
up with an exit in another method; PraisonAI's SSE client never does.

## Bad
```python
from mcp import ClientSession, StdioServerParameters, stdio_client


class Client:
    async def connect(self, params: StdioServerParameters) -> None:
        self.streams = stdio_client(params)
        read, write = await self.streams.__aenter__()
        self.session = ClientSession(read, write)
```

## Good
```python
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters, stdio_client


class Client:
    def __init__(self) -> None:
        self.stack = AsyncExitStack()

    async def connect(self, params: StdioServerParameters) -> None:
        read, write = await self.stack.enter_async_context(stdio_client(params))
        self.session = await self.stack.enter_async_context(ClientSession(read, write))

    async def close(self) -> None:
        await self.stack.aclose()
```

## Fix
Only shown: an exit stack, which enters now and leaves in the closer. Who calls the closer is for its owner to say.

## Not reported
The place is the call that enters. Managers that any method of the class, of its ancestors or of its heirs may leave,
close or hand to somebody, or whose yielded value one of them closes; attributes that code elsewhere leaves, that are
given to the object (TL109), or entered by an exit stack; classes with a base that is not known. Local managers that are
left, returned, stored or given away; what entering returns, where it may be the manager itself; managers whose exit
does nothing, or is missing (TL105); code that runs once in the life of the process; tests.
"""

from collections.abc import Iterator

from toollint.analyses.byhand import Entered
from toollint.analyses.managers import written
from toollint.model import Finding, Repair, Safety, Severity, rule


@rule("TL407", "manual-enter-without-exit", subject=Entered, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(found: Entered) -> Iterator[Finding]:
    """Report a manager that is entered by hand and never left."""
    owner = written(found.code, found.owner)
    yield Finding(
        found.place,
        f"`{owner}` is entered by hand, and nothing calls its `{found.exit}`",
        label="entered here, never left",
        notes=[_note(found)],
        help=_help(found),
        fixes=[Repair("enter it in an exit stack", Safety.DISPLAY, recipe=_recipe(found, owner))],
    )


def _note(found: Entered) -> str:
    if found.dropped:
        return "nothing holds the manager: the garbage collector ends its generator, and closes what is still in use"
    holder = f"`{found.function.cls.name}`" if found.attribute and found.function.cls is not None else "the function"
    return f"what it opens stays open after {holder} is done with it, once for each time"


def _help(found: Entered) -> str:
    if found.attribute:
        return "enter it in an exit stack that the class keeps, and close that in a closer"
    return f"use `{'async with' if found.is_async else 'with'}`, or an exit stack where no block can hold it"


def _recipe(found: Entered, owner: str) -> str:
    word, enter, stack = "", "enter_context", "ExitStack"
    if found.is_async:
        word, enter, stack = "await ", "enter_async_context", "AsyncExitStack"
    if not found.attribute:
        return f"{'async ' if found.is_async else ''}with {owner} as it:\n    ...  # everything that needs it\n"
    close = "await self._stack.aclose()" if found.is_async else "self._stack.close()"
    return (
        f"self._stack = {stack}()  # in the constructor\n"
        f"{word}self._stack.{enter}({owner})  # here\n"
        f"{close}  # in the closer\n"
    )
