"""A tool opens a resource, keeps it, and offers nobody a way to release it.

## Why
An agent framework makes tools when an agent is built and drops them when it is gone; hardly any framework ever calls a
closer. A tool that opens a connection into `self` and has no `close` therefore costs one connection for each agent,
session or request until the process ends or the garbage collector happens to run. LangChain's `SQLDatabase` made people
reboot their servers this way (langchain#15687), the drivers behind `Neo4jGraph` stay open (langchain-neo4j#14), and
vector-store clients pile up (llama_index#20463, chroma#5843). Other linters assume that some method closes what an
attribute holds; this rule looks.

## Bad
```python
import sqlite3

from langchain_core.tools import BaseTool


class SqlTool(BaseTool):
    name: str = "sql"
    description: str = "run a query"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._conn = sqlite3.connect(path)

    def _run(self, query: str) -> str:
        return str(self._conn.execute(query).fetchall())
```

## Good
```python
import sqlite3

from langchain_core.tools import BaseTool


class SqlTool(BaseTool):
    name: str = "sql"
    description: str = "run a query"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._conn = sqlite3.connect(path)

    def _run(self, query: str) -> str:
        return str(self._conn.execute(query).fetchall())

    def close(self) -> None:
        self._conn.close()

    def __enter__(self) -> "SqlTool":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
```

## Fix
Adds `close` (or `aclose`, where anything has to be awaited; or the framework's own hook) with the matching
context-manager methods. The releasers come from the catalogue, in reverse order of acquisition, each runs even if
another fails, and calling the method twice does no harm. Safe where every base class is known, no name clashes and the
constructor always acquires: methods that nobody calls yet change nothing. Unsafe where the resource is opened later or
only sometimes, where a caller may have passed one in, where the framework will call the new hook, or where the class is
decorated or acquires for its subclasses. An inherited hook that does nothing is overridden in its own colour. Only
shown where a name clashes, where the framework has hooks of another kind, where the attribute may hold things that are
closed in different ways, where the class is frozen, and where the release only waits for an end. Somebody still has to
call the new method: the note says who.

## Options
`llm-clients` (default false): count SDK clients of model providers as resources too, whatever their weight.

## Not reported
Resources of low weight; classes that are no part of an agent by base, decorator or registration, nor have a subclass
that is; classes with a base that is not known; a closer in the class or any base, however incomplete; an attribute that
anything in the class or the project may release; what is passed in, or built only when nothing is passed in, public
fields of pydantic models and dataclasses among it; ownership flags; `ExitStack`, `weakref.finalize` and `atexit`;
singletons.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.lending import may_be_released
from toollint.analyses.missing_closer import unreleased
from toollint.analyses.ownership import Owned, Owner
from toollint.model import Finding, Safety, Severity, rule


@dataclass(frozen=True)
class Options:
    """What the rule counts as a resource."""

    llm_clients: bool = False


@rule(
    "TL101",
    "tool-owns-unreleased-resource",
    subject=Owner,
    severity=Severity.WARNING,
    fix=Safety.SAFE,
    options=Options,
)
def check(owner: Owner, options: Options) -> Iterator[Finding]:
    """Report an agent component that owns a resource and has no closer."""
    owned = [one for one in owner.owned if _counts(owner, one, options)]
    if not owned or not owner.lineage.known or owner.closers:
        return
    owned = [one for one in owned if not may_be_released(owner, one)]
    component = owner.component if owned else None
    if component is not None:
        yield unreleased(owner, owned, component)


def _counts(owner: Owner, owned: Owned, options: Options) -> bool:
    """Whether it is heavy enough; what the class body shares, and a part that is reported itself, is not counted."""
    if owned.shared:
        return False
    resource = owned.acquisition.resource
    wanted = options.llm_clients if resource.category == "llm" else resource.weight in {"high", "medium"}
    if owned.part is not None and not resource.release:
        return wanted and Owner.of(owner.values, owned.part).component is None
    return wanted and bool(resource.release)
