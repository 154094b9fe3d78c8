"""A closer closes what the constructor was given: whoever passed it in may still be using it.

## Why
A client, a session or a pool is made to be shared. A class that closes the one it was given closes it for its caller
and for everybody else who has it, and their next call fails far away from here. The close methods of an API wrapper
were removed for that reason (open-meteo/python-requests#91), others ask now who made the client
(qdrant-client#1283, openai-agents#4134, huggingface_hub#4673). browser-use's agent closed every HTTP client that
`gc.get_objects()` found in the process, until that went. Copies make it worse: `model_copy` of a pydantic model shares
the connection of the original (measured). Many classes that close what they were given mean it, and say so nowhere:
therefore the rule is off unless it is selected.

## Bad
```python
import httpx


class Tracker:
    def __init__(self, client: httpx.Client, project: str) -> None:
        self._client = client
        self._project = project

    def issues(self) -> object:
        return self._client.get(f"https://tracker/{self._project}").json()

    def close(self) -> None:
        self._client.close()
```

## Good
```python
import httpx


class Tracker:
    def __init__(self, project: str, client: httpx.Client | None = None) -> None:
        self._owns_client = client is None
        self._client = client if client is not None else httpx.Client()
        self._project = project

    def issues(self) -> object:
        return self._client.get(f"https://tracker/{self._project}").json()

    def close(self) -> None:
        if self._owns_client:
            self._client.close()
```

## Fix
Only shown: an ownership flag, which the constructor sets where it has to make the object itself.

## Not reported
A class that says who owns what, by a flag, a parameter such as `close_on_exit`, or a word in its documentation; one
that makes the object where none is passed in, or opens it itself; objects that a factory, or every caller in the
project, makes for this one purpose; wrappers, by their name, by `__getattr__`, or because they are of the kind that
they are given; files and other things that are not known to be closable; classes with a base that is not known; tests.
"""

from collections.abc import Iterator

from toollint.analyses.borrowed import Closed
from toollint.model import Default, Finding, Note, Repair, Role, Safety, Severity, rule


@rule(
    "TL107",
    "closes-borrowed-resource",
    subject=Closed,
    severity=Severity.WARNING,
    default=Default.OFF,
    fix=Safety.DISPLAY,
)
def check(closed: Closed) -> Iterator[Finding]:
    """Report a call that closes what belongs to others."""
    yield _found_everywhere(closed) if closed.given is None else _passed_in(closed, closed.given.name)


def _passed_in(closed: Closed, given: str) -> Finding:
    cls, method = closed.function.cls, closed.function.name
    flag = f"self._owns_{given.strip('_')}"
    recipe = (
        f"{flag} = {given} is None  # in the constructor, which then makes one itself\n"
        f"if {flag}:  # in `{method}`, around the call\n"
    )
    return Finding(
        closed.place,
        f"`{cls.name if cls is not None else ''}.{method}` closes `self.{closed.attribute}`, which was passed in",
        label="belongs to whoever passed it in",
        related=[Note(closed.origin, "stored as it was given", Role.STORED)],
        notes=[f"whoever passed the {_thing(closed)} in, and all who share it, are left with a closed one"],
        help="close only what was made here: remember in the constructor who owns it",
        fixes=[Repair("close it only if it was made here", Safety.DISPLAY, recipe=recipe)],
    )


def _thing(closed: Closed) -> str:
    return f"`{closed.type}`" if closed.type else "object"


def _found_everywhere(closed: Closed) -> Finding:
    return Finding(
        closed.place,
        f"`{closed.function.name}` closes what it finds among all objects of the process",
        label="whoever owns it",
        related=[Note(closed.origin, "taken from all objects here", Role.ACQUIRED)],
        notes=["other parts of the program, and libraries, are left with closed objects in the middle of their work"],
        help="keep what has to be closed where it is made, and close only that",
    )
