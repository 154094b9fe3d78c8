"""A memo for plain functions is put over a coroutine function: it stores the coroutine, which can be awaited once.

## Why
Calling a coroutine function gives a coroutine object, and that is what `functools.cache`, `lru_cache`,
`cached_property` and `cachetools.cached` keep. The first caller awaits it. The second gets the same object from the
cache, and `await` raises `RuntimeError: cannot reuse already awaited coroutine`: cpython#90780, cached-property#85,
karapace#1036. It passes every test that calls the function once. An async generator fares worse, because nothing is
raised: the second loop over it just finds nothing.

## Bad
```python
from functools import lru_cache


@lru_cache(maxsize=64)
async def prompt_of(user: str) -> str:
    return f"You help {user}."
```

## Good
```python
_PROMPTS: dict[str, str] = {}


async def prompt_of(user: str) -> str:
    if user not in _PROMPTS:
        _PROMPTS[user] = f"You help {user}."
    return _PROMPTS[user]
```

## Fix
Shown, never applied: a memo that awaits (`async_lru.alru_cache`) is a package of its own, and it keeps failures,
cancellations and loops in another way than one that is written by hand.

## Not reported
Memoizers that know coroutines (`alru_cache`, `aiocache`, `asyncstdlib`), and those of the project that mention
anything of the kind. Tasks and futures: they may be awaited any number of times. A decorator between the memo and the
function, which may turn the coroutine into anything. Memos that keep nothing (`maxsize=0`).
"""

from collections.abc import Iterator

from toollint.analyses.coroutines import Stored
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule


@rule("TL203", "cached-coroutine", subject=Stored, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(stored: Stored) -> Iterator[Finding]:
    """Report a memo that hands out the same coroutine, or async generator, again and again."""
    name = stored.function.name
    kept, end = (
        ("one async generator", "the second loop gets nothing")
        if stored.is_generator
        else ("the coroutine", "its second `await` fails")
    )
    yield Finding(
        stored.place,
        f"`{stored.memoizer}` keeps {kept} of `{name}`: {end}",
        label="stores what is awaited only once",
        related=[_coroutine(stored)],
        notes=[_outcome(stored), *_belongs_to_loop(stored)],
        help="store what the coroutine gives: a memo for coroutines, or the awaited result in a dict or attribute",
        fixes=[_repair(stored)],
    )


def _coroutine(stored: Stored) -> Note:
    if stored.inner is not None:
        return Note(stored.inner.place, "its coroutine is returned unawaited", Role.STORED)
    what = "an async generator function" if stored.is_generator else "a coroutine function"
    return Note(stored.function.place, what, Role.STORED)


def _outcome(stored: Stored) -> str:
    again = f"`{stored.function.name}` is read again" if stored.is_property else "the same arguments come again"
    if stored.is_generator:
        return f"when {again} the memo gives the generator that has run out, and the loop ends at once"
    return f"when {again} the memo gives the coroutine that was awaited before: a RuntimeError"


def _belongs_to_loop(stored: Stored) -> list[str]:
    if stored.result is None:
        return []
    made = stored.result.name.rpartition(".")[2]
    return [f"do not just store the `{made}` instead: it belongs to one event loop and fails in the next one (TL501)"]


def _repair(stored: Stored) -> Repair:
    name = stored.function.name
    if stored.is_property or (stored.function.receiver is not None and not stored.function.is_classmethod):
        return Repair("store the result in the object", Safety.DISPLAY, recipe=_ATTRIBUTE.format(name=name))
    if stored.is_generator:
        return Repair("call it without a memo", Safety.DISPLAY, recipe=_PLAIN.format(name=name))
    return Repair("use a memo for coroutines", Safety.DISPLAY, recipe=_MEMO.format(name=name))


_ATTRIBUTE = """\
async def {name}(self):
    if self._{name} is None:  # set to None in __init__
        self._{name} = ...  # what is awaited here is stored, and dies with the object
    return self._{name}
"""

_MEMO = """\
from async_lru import alru_cache  # a package of its own: async-lru


@alru_cache(maxsize=64)
async def {name}(...): ...
"""

_PLAIN = """\
async def {name}(...): ...  # without a memo: each loop gets a generator of its own
"""
