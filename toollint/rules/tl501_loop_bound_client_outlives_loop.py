"""An async client is kept for longer than an event loop lasts, and more than one loop comes to use it.

## Why
Connections of `httpx.AsyncClient`, `AsyncOpenAI`, `AsyncEngine`, `redis.asyncio.Redis` and their like belong to the
event loop that opened them. `asyncio.run` closes its loop at the end. A client that outlives it still has the old
connections in its pool, and the next loop that uses it gets `RuntimeError: Event loop is closed`, a future «attached to
a different loop», requests that are sent twice, or a hang. It is the most duplicated bug of LLM libraries
(langchain#35783, pydantic-ai#748, litellm#7667, httpx#2058): the first call works, and so do all tests that make one.
The opposite mistake is a dict with an engine for each loop: loops come and go, and the dict keeps every engine with its
threads and sockets (marvin#1255).

## Bad
```python
import asyncio
from functools import lru_cache

import httpx


@lru_cache
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient()


async def fetch(url: str) -> str:
    return (await client().get(url)).text


def fetch_blocking(url: str) -> str:
    return asyncio.run(fetch(url))
```

## Good
```python
import asyncio

import httpx


async def fetch(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text


def fetch_blocking(url: str) -> str:
    return asyncio.run(fetch(url))
```

## Fix
Shown, never applied: the client has to be opened and closed in what each loop runs, or all of the program has to use
one loop. Never is one client for each loop offered: ids of loops come again, and a dead loop tells nobody.

## Not reported
Programs with one loop: servers, and `asyncio.run(main())` at the entry, in commands and scripts. Loops that are used
again (`get_event_loop().run_until_complete`, `nest_asyncio`). Functions that may be called once for all that is known.
Clients that keep nothing between two uses (`NullPool`, no keep-alive, SQLite); that are entered where they are used;
that something on the way closes or replaces; whose maker looks at the running loop. Calls on objects of unknown
classes, and ways of more than four calls.
"""

from collections.abc import Iterator

from toollint.analyses.loop_bound import Ended, Keeper, LoopKeyed
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule


@rule("TL501", "loop-bound-client-outlives-loop", subject=Keeper, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(keeper: Keeper | LoopKeyed) -> Iterator[Finding]:
    """Report a client that several loops share, and a dict that keeps one for every loop there has been."""
    ended = keeper.ended
    if ended is None:
        return
    yield _shared(keeper, ended) if isinstance(keeper, Keeper) else _keyed(keeper, ended)


# --- one client for several loops --------------------------------------------------------------------------------


def _shared(keeper: Keeper, ended: Ended) -> Finding:
    return Finding(
        keeper.place,
        f"`{keeper.name}` keeps one `{keeper.made}` for every event loop, and it belongs to the first",
        label="outlives the event loop",
        related=_related(keeper, ended),
        chain=[Hop(_kept(keeper), keeper.place), *_way(ended)],
        notes=[_outcome(ended)],
        help="open it with `async with` in what each loop runs, or run all of the program on one loop",
        fixes=[Repair("open it where the loop runs", Safety.DISPLAY, recipe=_recipe(keeper, ended))],
    )


def _kept(keeper: Keeper) -> str:
    words = {
        "memo": "the memo of",
        "variable": "the variable",
        "attribute": "the class attribute",
        "entry": "the dict",
        "object": "the object's",
    }
    return f"{words[keeper.how]} `{keeper.name}`"


def _related(keeper: Keeper, ended: Ended) -> list[Note]:
    notes = [Note(ended.reach.run.place, "runs a loop of its own", Role.ESCAPES)]
    if keeper.acquired != keeper.place:
        notes.append(Note(keeper.acquired, "made here", Role.ACQUIRED))
    return [*notes, Note(ended.reach.path[0].place, "used on that loop", Role.LAST_USE)]


def _way(ended: Ended) -> Iterator[Hop]:
    """From the use to the run; of a long way the calls in the middle are left out."""
    first, *calls = ended.reach.path
    function = first.code.function
    yield Hop("used here" if function is None else f"used by `{function.name}`", first.place)
    for site in calls[-3:]:
        caller = site.code.function
        yield Hop("called here" if caller is None else f"called by `{caller.name}`", site.place)
    yield Hop(f"`{ended.reach.run.name}` makes a loop and closes it", ended.reach.run.place)


def _outcome(ended: Ended) -> str:
    if ended.again.at_import:
        return "the loop that runs at import is closed before the program's own loop gets the same connections"
    return f"each {ended.again.each} has a loop of its own: the second finds connections of a loop that is closed"


def _recipe(keeper: Keeper, ended: Ended) -> str:
    function = next((f for f in ended.reach.functions if f.node.is_async), None)
    name = "work" if function is None else function.name
    maker = _CALL.get(keeper.acquisition.awaited, "{call}(...)").format(call=keeper.acquisition.name.rpartition(".")[2])
    if keeper.resource.async_with == "releases":
        return _WITH.format(name=name, maker=maker)
    release = keeper.resource.release if keeper.resource.release.isidentifier() else "aclose"
    return _FINALLY.format(name=name, maker=maker, release=release)


_CALL = {"yes": "await {call}(...)"}

_WITH = """\
async def {name}(...):
    async with {maker} as client:  # opened and closed on the loop that uses it
        ...
"""

_FINALLY = """\
async def {name}(...):
    client = {maker}  # opened and closed on the loop that uses it
    try:
        ...
    finally:
        await client.{release}()
"""

# --- one for each loop -------------------------------------------------------------------------------------------


def _keyed(keyed: LoopKeyed, ended: Ended) -> Finding:
    box, write = keyed.box, keyed.write
    made = keyed.resource.name.rpartition(".")[2] if keyed.resource is not None else "client"
    release = keyed.resource.release if keyed.resource is not None and keyed.resource.release else "close"
    when = "the loop that runs at import" if ended.again.at_import else f"each {ended.again.each}"
    return Finding(
        box.place,
        f"{box.level}-level dict `{box.name}` keeps the `{made}` of every event loop",
        label="keyed on event loops",
        related=[
            *([write.note("a loop becomes a key here")] if write is not None else []),
            Note(ended.reach.run.place, "this loop ends", Role.ESCAPES),
        ],
        chain=[Hop(f"{box.level}-level dict `{box.name}`", box.place), *_way(ended)],
        notes=[f"{when} leaves a closed loop and an open `{made}` behind: nothing on the way takes them out"],
        help=f"release the `{made}` in what the loop runs, in `finally`, and take its entry out there",
        fixes=[
            Repair("release it on its loop", Safety.DISPLAY, recipe=_RELEASED.format(box=box.name, release=release))
        ],
    )


_RELEASED = """\
try:
    await work()
finally:
    await {box}.pop(asyncio.get_running_loop()).{release}()
"""
