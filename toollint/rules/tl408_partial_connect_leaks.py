"""A function opens several things in a row, and loses the first where a later step fails.

## Why
Python does not call `__aexit__` where `__aenter__` raised, and nobody gets at a local exit stack that was left half
filled: what was opened before the failure stays open, the server process of an MCP client for one. Agents connect over
and over, to servers that are not up yet, and each attempt leaves a process (odysseus#1493, agentscope#2458,
nanobot#3610). A cancelled task stops at an `await` just as well.

## Bad
```python
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters, stdio_client


async def connect(server: StdioServerParameters) -> tuple[ClientSession, AsyncExitStack]:
    stack = AsyncExitStack()
    read, write = await stack.enter_async_context(stdio_client(server))
    session = await stack.enter_async_context(ClientSession(read, write))
    await session.initialize()
    return session, stack
```

## Good
```python
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters, stdio_client


async def connect(server: StdioServerParameters) -> tuple[ClientSession, AsyncExitStack]:
    async with AsyncExitStack() as stack:
        read, write = await stack.enter_async_context(stdio_client(server))
        session = await stack.enter_async_context(ClientSession(read, write))
        await session.initialize()
        return session, stack.pop_all()
```

## Fix
Everything opens inside `async with AsyncExitStack() as stack:`, and `stack.pop_all()` keeps it open only when all has
gone well. Unsafe, because a failure then closes what is open before anybody sees it; offered where a local stack is
filled and, by the last statement that uses it, returned or stored. Only shown for all else.

## Not reported
A single thing that a method other than `__enter__` and `__aenter__` opens into an attribute: whoever gets the error may
close the object. A `try` whose handler or `finally` calls anything that cleans up, here or around a call in the
project; an exit stack in a `with`, or one that is stored in an attribute before the failure; what is held only from its
first use on, or goes by itself when it is dropped; constructors (TL103); tests.
"""

from collections.abc import Iterator

from toollint.analyses.opening import Failure, Opened, Opening
from toollint.model import Default, Finding, Note, Repair, Replace, Role, Safety, Severity, Surround, rule

_TITLE = "open everything inside an exit stack"
_RECIPE = """\
{word} {maker}() as stack:
    ...  # open everything by {enter}
    self._stack = stack.pop_all()  # all is open: now the object owns it, and its closer calls {close}
"""


@rule(
    "TL408",
    "partial-connect-leaks",
    subject=Opening,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(opening: Opening) -> Iterator[Finding]:
    """Report a function that may stop halfway and leave open what it has opened."""
    failure = opening.failure
    if failure is None:
        return
    first = failure.open[0]
    yield Finding(
        opening.at(first.node),
        f"`{opening.function.name}` leaves `{_name(opening, first)}` open if {_event(failure)}",
        label="open, and lost on failure",
        related=[
            *(Note(opening.at(one.node), "open by then as well", Role.ACQUIRED) for one in failure.open[1:]),
            Note(opening.at(failure.node), "fails here, nothing closes it", Role.ESCAPES),
            Note(opening.function.place, "stops halfway", Role.ESCAPES),
        ],
        notes=[_note(opening)],
        help="open it all inside an exit stack, and keep `stack.pop_all()` when everything is open",
        fixes=[_repair(opening)],
    )


def _name(opening: Opening, opened: Opened) -> str:
    return f"{opening.function.receiver}{opened.name}" if opened.name.startswith(".") else opened.name


def _event(failure: Failure) -> str:
    return f"`{failure.word}` fails" if failure.word else "it raises"


def _note(opening: Opening) -> str:
    if opening.is_entering:
        return "after a failure in here `with` does not call the other half: each attempt leaves one more open"
    return "whoever called gets an exception, and nothing to close: each attempt leaves one more open"


def _repair(opening: Opening) -> Repair:
    return _in_a_with(opening) or _recipe(opening)


def _in_a_with(opening: Opening) -> Repair | None:
    """The local stack becomes the `with` around the statements that fill it, and is emptied where it is given away."""
    stack = opening.stack
    if stack is None:
        return None
    at, first, last = opening.function.at, stack.uses[0], stack.uses[-1]
    head = at(stack.opening.start, stack.opening.end)
    steps = (
        Replace(at(stack.opening.start, stack.made.start), f"{stack.enters} "),
        Replace(at(stack.opening.end, stack.opening.end), f" as {stack.name}:"),
        Surround(at(first.start, last.end), (), (), head),
        Replace(at(stack.given.end, stack.given.end), ".pop_all()"),
    )
    return Repair(_TITLE, Safety.UNSAFE, steps, why="a failure closes what is open before anybody sees it")


def _recipe(opening: Opening) -> Repair:
    if opening.function.node.is_async:
        names = ("async with", "AsyncExitStack", "`await stack.enter_async_context(...)`", "`await stack.aclose()`")
    else:
        names = ("with", "ExitStack", "`stack.enter_context(...)`", "`stack.close()`")
    recipe = _RECIPE.format(**dict(zip(("word", "maker", "enter", "close"), names, strict=True)))
    return Repair(_TITLE, Safety.DISPLAY, recipe=recipe)
