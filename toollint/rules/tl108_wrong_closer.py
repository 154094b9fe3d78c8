"""Something is closed with a method that its class does not have, or that does not release it.

## Why
Every library has its own word for the end: `aclose` for `httpx.AsyncClient`, an awaited `close` for `AsyncOpenAI`,
`quit` for a selenium driver, whose `close` closes a window, `logout` for IMAP, whose `close` closes the mailbox,
`disconnect` for smolagents' `MCPClient`. With the wrong word the call raises `AttributeError` (SuggestArr#437,
smolagents#1365), mostly in a `finally` or under an `except` that hides it, or it does something else; either way the
object stays open. PraisonAI asked its MCP clients whether they had `shutdown`: they had `close`, so nothing ever closed
them.

## Bad
```python
from openai import AsyncOpenAI


async def answer(question: str) -> str:
    client = AsyncOpenAI()
    try:
        reply = await client.responses.create(model="small", input=question)
        return reply.output_text
    finally:
        await client.aclose()
```

## Good
```python
from openai import AsyncOpenAI


async def answer(question: str) -> str:
    client = AsyncOpenAI()
    try:
        reply = await client.responses.create(model="small", input=question)
        return reply.output_text
    finally:
        await client.close()
```

## Fix
Puts the right verb in the place of the wrong one. Safe where both are awaited or neither is, and the object is
constructed in the same function or in the constructor of its owner. Unsafe where the object comes from elsewhere,
where an `await` comes or goes, where the wrong verb did something that may have been wanted, and where the catalogue's
row was read off the library rather than tried. Only shown where an `await` would be needed and cannot stand, and where
the right verb only waits (`join` of a thread): something has to end it first.

## Not reported
Objects whose class is not certain, or of which the catalogue has no row that somebody checked; classes of the project
with a base that is not known, that make attributes at run time, or that a subclass completes; objects of the project
that are not constructed in sight (`self.close()` of a mixin); code that asks what the object has, or expects an
`AttributeError`, unless the answer is certain and there is no other branch. Of a method that means something else:
calls with arguments, calls that are not the last thing done to the object, objects that came from elsewhere, and those
that anything else in the function or class releases.
"""

from collections.abc import Iterator

from toollint.analyses.asking import asks_for_others, is_asked, is_named_beside, only_question
from toollint.analyses.closing import Closing
from toollint.analyses.last_release import is_last_release, is_released
from toollint.analyses.release import WAITS
from toollint.analyses.values import Instance
from toollint.analyses.verbs import VERBS, Closer, closer_of, closers
from toollint.catalog import Resource
from toollint.facts import ClassFacts
from toollint.model import Finding, Note, Place, Repair, Replace, Role, Safety, Severity, rule
from toollint.project import Library

_EXPECTS = frozenset({"AttributeError", "raises", "assertRaises", "assertRaisesRegex", "version_info", "__version__"})
_HIDES = frozenset({"Exception", "BaseException", "suppress"})
_ENDS_PROCESSES = frozenset({"terminate", "kill"})


@rule("TL108", "wrong-closer", subject=Closing, severity=Severity.ERROR, fix=Safety.SAFE)
def check(closing: Closing) -> Iterator[Finding]:
    """Report a releasing call that does not release the object."""
    if closing.verb not in VERBS or closing.instance is None:
        return
    meaning = closing.meaning.meaning
    if meaning == "absent":
        right = closer_of(closing.values, closing.instance, awaited=closing.wait is not None)
        if right is not None and not closing.around & _EXPECTS:
            yield from _absent(closing, closing.instance, right)
    elif meaning == "method":
        yield from _other(closing, closing.instance)


def _row(closing: Closing, instance: Instance) -> Resource | None:
    """The catalogue's row for an object of a library's class."""
    return closing.values.catalog.resource(instance.cls.name) if isinstance(instance.cls, Library) else None


# --- a method that the class does not have -----------------------------------------------------------------------


def _absent(closing: Closing, instance: Instance, right: Closer) -> Iterator[Finding]:
    if isinstance(instance.cls, ClassFacts) and not closing.makers:
        return
    if not is_asked(closing):
        yield Finding(
            closing.place,
            f"`{instance.name}` has no `{closing.verb}`: the call fails, and `{closing.name}` stays open",
            label="no such method",
            related=_made(closing),
            notes=[_failure(closing), *_source(closing, instance)],
            help=f"call `{right.name}`" + (" and await it" if right.is_async else ""),
            fixes=[_renamed(closing, right, doubt=_age(closing, instance))],
        )
    elif _is_alone(closing, instance):
        yield Finding(
            closing.place,
            f"`{instance.name}` has no `{closing.verb}`: this never runs, and `{closing.name}` stays open",
            label="never runs",
            related=_made(closing),
            notes=[f"`{instance.name}` has `{right.name}`, which nobody here asks for"],
            help=f"ask for `{right.name}` and call it" + (" with `await`" if right.is_async else ""),
            fixes=[_asked_for(closing, right)],
        )


def _made(closing: Closing) -> list[Note]:
    return [Note(place, "constructed here", Role.ACQUIRED) for place in closing.constructions[:1]]


def _failure(closing: Closing) -> str:
    if closing.around & _HIDES:
        return "it raises AttributeError, which the code around it hides"
    return "it raises AttributeError when it runs, mostly after everything else went well"


def _source(closing: Closing, instance: Instance) -> list[str]:
    """Which release of the library was looked at."""
    row = _row(closing, instance)
    seen = row.evidence.partition(": ")[2] if row is not None else ""
    return [f"the catalogue tells of {seen}"] if seen else []


def _age(closing: Closing, instance: Instance) -> str:
    """Why the class may be another one than the catalogue tells of: only what was run is certain."""
    row = _row(closing, instance)
    certain = row is None or row.evidence.startswith("measured")
    return "" if certain else f"another release of the library may have `{closing.verb}`"


def _is_alone(closing: Closing, instance: Instance) -> bool:
    """Whether the code asks for the method that is missing, and does nothing where it is missing."""
    verbs = {one.name for one in closers(closing.values, instance)}
    is_ours = isinstance(instance.cls, ClassFacts)  # a library's class may have had the method in another release
    asks = is_ours and closing.call is not None and not asks_for_others(closing)
    return asks and only_question(closing) is not None and not is_released(closing, verbs)


# --- a method that does something else ---------------------------------------------------------------------------


def _other(closing: Closing, instance: Instance) -> Iterator[Finding]:
    row = _row(closing, instance)
    if row is None or closing.verb not in set(row.never) - _ENDS_PROCESSES or is_asked(closing):
        return
    if closing.call is None or closing.call.args or not is_last_release(closing, {row.release, *row.others}):
        return
    yield Finding(
        closing.place,
        f"`{closing.name}.{closing.verb}()` does not release the `{instance.name}`: `{row.release}` does",
        label="means something else",
        related=_made(closing),
        notes=[row.note or f"after `{closing.verb}` the object is still open"],
        help=f"call `{row.release}`" + (" and await it" if row.async_ else ""),
        fixes=[
            _renamed(closing, Closer(row.release, row.async_), doubt=f"it no longer does what `{closing.verb}` did")
        ],
    )


# --- repairs -----------------------------------------------------------------------------------------------------


def _renamed(closing: Closing, right: Closer, doubt: str = "") -> Repair:
    """The right verb in the place of the wrong one, with an ``await`` if it needs one."""
    title, steps = f"call `{right.name}`", [Replace(closing.verb_place, right.name)]
    if right.name in WAITS:
        return Repair(title, Safety.DISPLAY, why=f"`{right.name}` waits for an end that something has to bring about")
    if closing.call is None:
        doubt = doubt or "what takes the method may want one of the other colour"
    elif right.is_async and closing.wait is None:
        if not (closing.can_wait and closing.is_whole):
            return Repair(title, Safety.DISPLAY, why=f"`{right.name}` has to be awaited, which is not possible here")
        steps.append(Replace(_span(closing, closing.chain.start, closing.chain.start), "await "))
        doubt = doubt or f"`{right.name}` has to be awaited"
    elif closing.wait is not None and not right.is_async:
        gap = closing.text_between(closing.wait.start, closing.chain.start)
        if gap.strip() != "await":
            return Repair(title, Safety.DISPLAY, why=f"`{right.name}` must not be awaited")
        steps.append(Replace(_span(closing, closing.wait.start, closing.chain.start), ""))
        doubt = doubt or f"`{right.name}` must not be awaited"
    elif not closing.is_made_here:
        doubt = doubt or "the object is not constructed here: it may be of a subclass"
    return Repair(title, Safety.UNSAFE if doubt else Safety.SAFE, tuple(steps), why=doubt)


def _asked_for(closing: Closing, right: Closer) -> Repair:
    """The right verb in the question too."""
    repair = _renamed(closing, right, doubt="the object is closed from then on")
    word = only_question(closing)
    if word is None or repair.safety is Safety.DISPLAY:
        return repair
    if is_named_beside(closing):
        return Repair(repair.title, Safety.DISPLAY, why=f"the condition around it names `{closing.verb}` too")
    place = _span(closing, word.start, word.end)
    quoted = closing.text(word).replace(closing.verb, right.name)
    return repair._replace(steps=(*repair.steps, Replace(place, quoted)))


def _span(closing: Closing, start: int, end: int) -> Place:
    return closing.code.at(start, end)
