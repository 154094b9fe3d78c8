"""A class opens a resource, keeps it, and offers nobody a way to release it.

## Why
What a tool opens and never closes is TL101's; most leaks of this form are in the classes around the tools. A client
library whose factory opened an HTTP client and returned an object without `close` made every user leak one connection
pool a client until that method was added (langgraph's SDK: `LangGraphClient`), a session store opened an engine that
nobody could reach to dispose (openai-agents: `SQLAlchemySession.from_url`), and a document store made an executor
wherever none was given and never shut it down (haystack: `InMemoryDocumentStore`). Of 206 leaks that people fixed, 33
were classes without a closer, and only half of those opened the resource themselves: the others held an object that
did.

## Bad
```python
import httpx


class Registry:
    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url)

    async def names(self) -> list[str]:
        return (await self._http.get("/names")).json()
```

## Good
```python
import httpx


class Registry:
    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url)

    async def names(self) -> list[str]:
        return (await self._http.get("/names")).json()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> "Registry":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
```

## Fix
As TL101's: adds the closer and the context-manager methods, releases from the catalogue, in reverse order of
acquisition. Unsafe where the resource is opened later, only sometimes, or by a factory. Only shown where a caller may
have passed it in (closing that would be worse than the leak: keep a flag), where it may be one of several things that
are closed in different ways, where the class is frozen, and where the release only waits for an end.

## Not reported
Tests; what TL101 reports; resources that are opened at their first use and whose weight is not high, unless a factory
or a caller's omission leaves them to the object; objects of which the process has one; everything else that TL101
leaves out. What a factory opens is silent where a public attribute or property lets callers reach it.
"""

from collections.abc import Iterator

from toollint.analyses.lending import may_be_released
from toollint.analyses.missing_closer import unreleased
from toollint.analyses.once import lives_once
from toollint.analyses.ownership import Owned, Owner
from toollint.model import Default, Finding, Safety, Severity, rule


@rule(
    "TL110",
    "class-owns-unreleased-resource",
    subject=Owner,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.SAFE,
)
def check(owner: Owner) -> Iterator[Finding]:
    """Report a class that owns a resource, or may, and has no closer."""
    own = [one for one in owner.owned if _counts(one) and (one.acquisition.lazy is False or _is_high(one))]
    maybe = [one for one in owner.mixed if _counts(one)] + [one for one in owner.handed_over if one.is_heavy]
    if not (own or maybe) or not owner.lineage.known or owner.closers or owner.cls.module.is_test:
        return
    own = [one for one in own if not may_be_released(owner, one)]
    maybe = [one for one in maybe if not may_be_released(owner, one)]
    if not (own or maybe) or lives_once(owner.values, owner.cls):
        return
    if not own or owner.component is None:
        yield unreleased(owner, own + maybe, owner.component)


def _counts(owned: Owned) -> bool:
    return owned.is_heavy and not owned.shared and bool(owned.acquisition.resource.release)


def _is_high(owned: Owned) -> bool:
    return owned.acquisition.resource.weight == "high"
