"""A close that is a coroutine is called without `await`, or a close is named and not called: nothing is closed.

## Why
Calling a coroutine function runs nothing: the call gives a coroutine, and a statement that drops it leaves the object
open. All that is to be seen is a `RuntimeWarning` some time later. It happens where a class turns from blocking to
async: its `close` becomes a coroutine function and one caller is forgotten (OpenHands#1751: `AgentUnit.close` called
`AgentController.close`, which another file defines). `stream.close` without parentheses does not even warn: that way
OpenHands kept a log file open for each LLM call (OpenHands#2215). Where it is called `aclose`, the name is enough: that
is what libraries call a close that has to be awaited.

## Bad
```python
import httpx


async def fetch(url: str) -> str:
    client = httpx.AsyncClient()
    try:
        return (await client.get(url)).text
    finally:
        client.aclose()
```

## Good
```python
import httpx


async def fetch(url: str) -> str:
    client = httpx.AsyncClient()
    try:
        return (await client.get(url)).text
    finally:
        await client.aclose()
```

## Fix
Adds what is missing: `await`, the parentheses, or both. Safe where the method is known and `await` may stand there.
Unsafe on an object of which nothing is known. Only shown in functions that are not async, where the
function has to become one and its callers have to await it in turn.

## Not reported
A coroutine that is kept, returned, awaited later or handed to something (`gather`, `create_task`, `asyncio.run`, a
list); a method that is handed over uncalled; objects whose class is not certain, `aclose` aside, unless the project has
a plain method of that name; methods that a decorator may have changed or that subclasses in the project define in
another colour; code that asks what the object has (`hasattr`, `isinstance`, `iscoroutinefunction`) or puts another
method in its place; `__del__` (TL502). Of mentions without a call: properties, names that are not certain at module
level, and statements that expect an exception.
"""

import re
from collections.abc import Iterator

from toollint.analyses.asking import is_asked
from toollint.analyses.closing import Closing
from toollint.model import Finding, Note, Place, Repair, Replace, Role, Safety, Severity, Span, rule

_EXPECTS = frozenset({"raises", "warns", "assertRaises", "assertWarns", "assertRaisesRegex", "deprecated_call"})
_ASYNC = "aclose"
"""The verb that means a coroutine whatever the object is: for a plain method there is ``close``."""
_PLAIN_ACLOSE = re.compile(rb"(?<!async)[ \t]+def[ \t]+aclose\b")
_EVERYBODY = frozenset({"close", "aclose", "shutdown"})
"""Verbs that are methods whatever the object is."""


@rule("TL505", "close-not-awaited", subject=Closing, severity=Severity.ERROR, fix=Safety.SAFE)
def check(closing: Closing) -> Iterator[Finding]:
    """Report a statement that was to close something and does not."""
    if closing.statement is None or closing.in_del:
        return
    if closing.call is not None and closing.wait is None:
        yield from _dropped(closing)
    elif closing.call is None:
        yield from _mentioned(closing)


# --- called, not awaited -----------------------------------------------------------------------------------------


def _dropped(closing: Closing) -> Iterator[Finding]:
    known = closing.meaning.meaning == "coroutine"
    if not (known or _is_named_so(closing)) or is_asked(closing) or closing.around & _EXPECTS:
        return
    yield Finding(
        closing.place,
        f"`{closing.name}.{closing.verb}()` is a coroutine that nobody awaits: nothing is closed",
        label="never awaited",
        related=_definition(closing),
        notes=["the coroutine is dropped before it has run: Python warns when it goes, and the object stays open"],
        help=_advice(closing),
        fixes=[_doubted(closing, _wait(closing, ""))],
    )


def _is_named_so(closing: Closing) -> bool:
    """Whether the name alone tells that it is a coroutine, on an object of which nothing is known."""
    if closing.verb != _ASYNC or closing.meaning.meaning != "unknown" or closing.code.scope.module.is_test:
        return False
    project = closing.values.project
    return not any(_PLAIN_ACLOSE.search(module.utf8) for module in project.mentioning(_ASYNC, "def"))


def _doubted(closing: Closing, repair: Repair) -> Repair:
    """The repair, held back where nobody can tell what is closed."""
    if repair.safety is Safety.SAFE and closing.meaning.meaning not in {"coroutine", "plain"}:
        return repair._replace(safety=Safety.UNSAFE, why=f"what `{closing.name}` is cannot be told")
    return repair


def _definition(closing: Closing) -> list[Note]:
    function = closing.meaning.function
    if function is None:
        return []
    return [Note(function.place, f"`{function.name}` is a coroutine function", Role.CLOSES)]


def _advice(closing: Closing) -> str:
    if closing.can_wait:
        return f"await `{closing.name}.{closing.verb}()`"
    if closing.function is None:
        return "await it in the coroutine that uses the object, or close it in `async with` there"
    return f"make `{closing.function.name}` a coroutine function that awaits it, and await that where it is called"


def _wait(closing: Closing, parentheses: str) -> Repair:
    """``await`` before it, and the parentheses behind it where they are missing."""
    title = "call it and await it" if parentheses else "await it"
    if not closing.can_wait:
        why = "it stands in no coroutine function: those who call it have to await it too"
        return Repair(title, Safety.DISPLAY, why=why, recipe=_recipe(closing, parentheses))
    if not closing.is_whole:
        return Repair(title, Safety.DISPLAY, why="it is only a part of the statement")
    start, end = closing.place.span
    steps = [_insert(closing, start, "await "), *([_insert(closing, end, parentheses)] if parentheses else [])]
    return Repair(title, Safety.SAFE, tuple(steps))


def _insert(closing: Closing, offset: int, text: str) -> Replace:
    return Replace(Place(closing.place.path, Span(offset, offset)), text)


def _recipe(closing: Closing, parentheses: str) -> str:
    call = f"await {closing.text(closing.chain)}{parentheses}\n"
    if closing.function is None:
        return call
    params = "self" if closing.function.receiver is not None else "..."
    return f"async def {closing.function.name}({params}):\n    ...\n    {call}"


# --- named, not called -------------------------------------------------------------------------------------------


def _mentioned(closing: Closing) -> Iterator[Finding]:
    if not _is_method(closing) or "AttributeError" in closing.around or closing.around & _EXPECTS:
        return
    awaits = "`await` fails on a method" if closing.wait is not None else "the statement does nothing"
    yield Finding(
        closing.place,
        f"`{closing.name}.{closing.verb}` is named but not called: {awaits}",
        label="no call",
        related=_definition(closing) if closing.meaning.meaning == "coroutine" else [],
        notes=[f"without parentheses the method is looked up and dropped each time, and `{closing.name}` stays open"],
        help=f"call it: `{closing.name}.{closing.verb}()`",
        fixes=[_call(closing)],
    )


def _is_method(closing: Closing) -> bool:
    """Whether what is named is a method: known as one, or a verb of which no class here makes a property."""
    meaning = closing.meaning.meaning
    if closing.wait is not None:
        return meaning == "coroutine"
    if meaning in {"coroutine", "plain", "method"}:
        return True
    unknown = meaning == "unknown" and closing.verb in _EVERYBODY and closing.function is not None
    return unknown and not _is_property_somewhere(closing)


def _is_property_somewhere(closing: Closing) -> bool:
    property_ = re.compile(rb"property\s+(?:async\s+)?def\s+%s\b" % closing.verb.encode())
    project = closing.values.project
    return any(property_.search(module.utf8) for module in project.mentioning(closing.verb, "def"))


def _call(closing: Closing) -> Repair:
    """The parentheses, with an ``await`` where the method is a coroutine function or is called like one."""
    meaning = closing.meaning.meaning
    coroutine = meaning == "coroutine" or (meaning not in {"plain", "property"} and closing.verb == _ASYNC)
    if coroutine and closing.wait is None:
        repair = _wait(closing, "()")
    else:
        repair = Repair("call it", Safety.SAFE, (_insert(closing, closing.place.span.end, "()"),))
    return _doubted(closing, repair)
