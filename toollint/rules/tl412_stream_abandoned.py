"""A model provider's stream is read in a loop that may stop early, and nothing closes the stream.

## Why
A streamed answer holds a connection of its client until it is read to the end or closed. Where the loop stops early,
by `break`, by an error of a callback, or because whoever consumes a generator goes away (a user closes the browser
tab), the provider goes on writing the answer, and the connection never comes back to the pool: collecting the garbage
does not close it (measured with openai and anthropic). Frameworks have had to add the close afterwards (openai-agents
for each of its models, haystack for its streaming callbacks).

## Bad
```python
from collections.abc import AsyncIterator

from openai import AsyncOpenAI


async def answer(client: AsyncOpenAI, question: str) -> AsyncIterator[str]:
    stream = await client.responses.create(model="gpt-5", input=question, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            yield event.delta
```

## Good
```python
from collections.abc import AsyncIterator

from openai import AsyncOpenAI


async def answer(client: AsyncOpenAI, question: str) -> AsyncIterator[str]:
    stream = await client.responses.create(model="gpt-5", input=question, stream=True)
    async with stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta
```

## Fix
Puts the loop into the stream's own `async with` or `with`, which closes it however the loop ends; unsafe, because
what follows the loop finds the stream closed. Only shown where the stream is known by its annotation alone, or is made
in the head of the loop. `contextlib.aclosing` is for async generators: a stream of anthropic has no `aclose`.

## Not reported
Loops that can only end with the stream; a stream that the function closes, enters, returns, stores or hands to anything
that may close it; a parameter of a generator, which belongs to whoever made the stream (a caller in the project is
reported in its place) and one of a function whose callers close something; streams that go by themselves when they are
dropped; context managers; tests.
"""

from collections.abc import Iterator

from toollint.analyses.streams import StreamLoop
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, Surround, rule

_ENDS = {
    "yield": "the consumer may stop here",
    "break": "leaves the loop, not the stream",
    "return": "leaves the loop, not the stream",
    "raise": "leaves the loop, not the stream",
}


@rule("TL412", "stream-abandoned", subject=StreamLoop, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(found: StreamLoop) -> Iterator[Finding]:
    """Report a loop over a stream that nothing closes when the loop stops early."""
    related = [Note(found.leaves, _ENDS.get(found.word, "may fail, and leaves the loop"), Role.ESCAPES)]
    if found.obtained is not None:
        related.insert(0, Note(found.obtained, "the stream is opened here", Role.ACQUIRED))
    if found.through is not None:
        related.append(Note(found.through.place, "reads it, and leaves it open", Role.ESCAPES))
    what = f"`{found.name}`" if found.name else "the stream"
    yield Finding(
        found.place,
        f"nothing closes {what} when the loop over it stops {_how(found)}",
        label="may stop before the stream ends",
        related=related,
        notes=["the answer goes on arriving, and its connection stays out of the client's pool"],
        help=f"read it inside `{_manager(found)}`: that closes it however the loop ends",
        fixes=[_repair(found)],
    )


def _how(found: StreamLoop) -> str:
    return f"at a `{found.word}`" if found.word in _ENDS else f"because `{found.word}` fails"


def _manager(found: StreamLoop) -> str:
    word = "async with" if found.resource.async_with == "releases" else "with"
    return f"{word} {found.name or 'stream'}:"


def _repair(found: StreamLoop) -> Repair:
    title = f"read the stream inside `{_manager(found)}`"
    if not found.is_sure:
        return Repair(title, Safety.DISPLAY, recipe=f"{_manager(found)}\n    ...  # the loop\n")
    around = Surround(found.whole, (_manager(found),), ())
    why = "what follows the loop finds the stream closed"
    return Repair(title, Safety.UNSAFE, (around,), why=why, adds=(found.function.name,))
