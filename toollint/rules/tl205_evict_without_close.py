"""An entry is taken out of a lasting container and dropped, though it is a resource that somebody has to close.

## Why
Who removes the last reference to a client does not close it: its sockets, threads or processes stay until the garbage
collector or the server gives up. Caches that rotate their entries this way leak one connection for each key that they
forget (hermes-agent#25318, hermes-agent#41975, hermes-webui#3218, mempalace#1067).

Closing it at the very place is wrong as well: a request may still be using the entry, and then fails
(BerriAI/litellm#35492). What makes the objects has to release them, once nobody uses them any more.

## Bad
```python
import httpx

_CLIENTS: dict[str, httpx.AsyncClient] = {}


def client_for(user: str) -> httpx.AsyncClient:
    if user not in _CLIENTS:
        _CLIENTS[user] = httpx.AsyncClient()
    return _CLIENTS[user]


def forget(user: str) -> None:
    _CLIENTS.pop(user, None)
```

## Good
```python
import httpx

_CLIENTS: dict[str, httpx.AsyncClient] = {}


def client_for(user: str) -> httpx.AsyncClient:
    if user not in _CLIENTS:
        _CLIENTS[user] = httpx.AsyncClient()
    return _CLIENTS[user]


def forget(user: str) -> httpx.AsyncClient | None:
    return _CLIENTS.pop(user, None)  # whoever ends the user's last request closes it
```

## Not reported
Values that are returned, kept or given on; functions that release anything, read the entry first or go over all
entries, and functions that are called by one that releases something; values that callers bring, which are theirs;
objects that the interpreter releases as soon as they are dropped; clients of model providers; bounded and weak
containers; tests.
"""

from collections.abc import Iterator

from toollint.analyses.eviction import Eviction
from toollint.analyses.instances import InstanceContainer
from toollint.model import Default, Finding, Hop, Note, Role, Severity, rule


@rule("TL205", "evict-without-close", subject=Eviction, severity=Severity.WARNING, default=Default.PREVIEW)
def check(eviction: Eviction) -> Iterator[Finding]:
    """Report an eviction that drops a resource which the container's own side made."""
    found = eviction.dropped if eviction.is_dropped else None
    if found is None or eviction.is_looked_after:
        return
    write, kept = found
    box = eviction.box
    what = "every" if eviction.use.how == "clear" else "its"
    yield Finding(
        eviction.place,
        f"`{box.name}` drops {what} `{kept.name}` here, and nothing closes it",
        label="the last reference goes",
        related=[
            Note(write.place, "made and stored here", Role.ACQUIRED),
            Note(box.place, f"{box.level}-level {box.shape}", Role.KEPT_BY),
        ],
        chain=[Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place), Hop(f"`{kept.name}`", write.place)],
        notes=[f"one `{kept.name}` stays open for each entry that goes; closing it here could break one in use"],
        help=f"{_owner(eviction)} makes them: let it release each one after its last use",
    )


def _owner(eviction: Eviction) -> str:
    """Who should release the objects."""
    if isinstance(eviction.box, InstanceContainer):
        return f"`{eviction.box.owner.name}`"
    found = eviction.dropped
    function = found[0].code.function if found is not None else None
    return f"`{function.name}`" if function is not None else "the module"
