"""A class can be entered and never left, or the other way round: every `with` over it fails at once.

## Why
`with` looks up `__enter__` and `__exit__` on the class before it runs either, `async with` likewise `__aenter__` and
`__aexit__`. A class with one half raises `TypeError` (`AttributeError` up to Python 3.10) at the first `with`, so
whoever wants to release the object goes without, and nobody releases it. The half was written to be used: redis-py's
`PubSub` for several databases returns itself from `__enter__`, has `close`, and still cannot stand in a `with`; zeep's
`AsyncClient` closed its transport in `__aexit__` for months before it could be entered (python-zeep#1151, #1199).
pylint's E1129 speaks only where a `with` is there already.

## Bad
```python
class Feed:
    def __init__(self, url: str) -> None:
        self.url = url
        self.lines: list[str] = []

    def __enter__(self) -> "Feed":
        return self

    def close(self) -> None:
        self.lines.clear()
```

## Good
```python
class Feed:
    def __init__(self, url: str) -> None:
        self.url = url
        self.lines: list[str] = []

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.lines.clear()
```

## Fix
Only shown: the missing method in the class's own words, `__exit__` with its closer or the releases of what it owns,
`__enter__` with `return self`. What has to happen on the way out is its author's to decide.

## Not reported
The place is the method that is there. Classes with a base that is not known, with `__getattr__`, under a decorator that
could add methods; abstract classes, protocols, mixins; classes that a subclass of the project completes; methods that
are assigned, in the class or from outside; methods that do nothing or only raise, as aiohttp's do to send people to
`async with`; methods that code calls by hand; an exit alone in tests, or in a project that pushes such objects on an
exit stack; stub files.
"""

from collections.abc import Iterator

from toollint.analyses.closers import VERBS, closers_of
from toollint.analyses.missing_closer import release_lines
from toollint.analyses.ownership import Owner
from toollint.analyses.protocols import Half
from toollint.model import Finding, Repair, Safety, Severity, rule


@rule("TL105", "enter-without-exit", subject=Half, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(half: Half) -> Iterator[Finding]:
    """Report a class that has one half of a context manager."""
    word = "async with" if half.is_async else "with"
    yield Finding(
        half.method.place,
        f"`{half.cls.name}` has `{half.method.name}` but no `{half.missing}`: `{word}` fails at once",
        label="half a context manager",
        notes=[
            f"`{word}` looks both methods up before it enters: TypeError, AttributeError up to Python 3.10",
            *_consequence(half),
        ],
        help=_help(half),
        fixes=[Repair(_title(half), Safety.DISPLAY, recipe="\n".join(_lines(half)) + "\n")],
    )


def _consequence(half: Half) -> list[str]:
    closer = _closer(half)
    return [f"`{closer[0]}` then has to be called by hand on every path"] if half.lacks_exit and closer else []


def _help(half: Half) -> str:
    if half.mate:
        return f"make one protocol of `{half.method.name}` and `{half.mate}`: they belong to different ones"
    if not half.lacks_exit:
        return f"add `{half.missing}` that returns `self`, or remove `{half.method.name}`"
    closer = _closer(half)
    return f"add `{half.missing}` that " + (f"calls `{closer[0]}`" if closer else f"undoes `{half.method.name}`")


def _closer(half: Half) -> tuple[str, bool] | None:
    """The class's own closer and whether it is a coroutine; `with` cannot await one."""
    found = closers_of(half.values, half.cls)
    return next(((verb, found[verb]) for verb in VERBS if verb in found and (half.is_async or not found[verb])), None)


def _wanted(half: Half) -> str:
    """The method to add: where halves do not match, what suits the exit, which has the work to do."""
    return half.mate.replace("exit", "enter") if half.mate and half.lacks_exit else half.missing


def _title(half: Half) -> str:
    instead = f" in place of `{half.mate if not half.lacks_exit else half.method.name}`" if half.mate else ""
    return f"add `{_wanted(half)}`{instead}"


def _lines(half: Half) -> Iterator[str]:
    wanted = _wanted(half)
    word = "async def" if wanted.startswith("__a") else "def"
    if wanted.endswith("enter__"):
        yield f'{word} {wanted}(self) -> "{half.cls.name}":'
        yield "    return self"
    else:
        yield f"{word} {wanted}(self, *exc: object) -> None:"
        yield from ("    " + line for line in _releases(half))


def _releases(half: Half) -> list[str]:
    closer = _closer(half)
    if closer is not None:
        verb, awaited = closer
        return [f"await self.{verb}()" if awaited else f"self.{verb}()"]
    owned = Owner.of(half.values, half.cls).owned[::-1]
    waitable = [one for one in owned if half.is_async or not one.acquisition.resource.async_]
    return release_lines(waitable) if waitable else [f'"""Undo what `{half.method.name}` does."""']
