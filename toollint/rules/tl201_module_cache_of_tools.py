"""A module-level or class-level container collects tools, agents, graphs, sessions or resources, and nothing removes them.

## Why
A dict at module level lives as long as the process. Filled once for each user, session or request, it keeps every
agent with its tools, their connections and their histories: one production service grew from 400 MB to between 20 and
37 GB in a day (hermes-agent#25318), session dicts of MCP servers grew without end (modelcontextprotocol/python-sdk#1283,
fastmcp#3443).

## Bad
```python
from langgraph.graph.state import CompiledStateGraph

from app.graphs import build

_GRAPHS: dict[str, CompiledStateGraph] = {}


def graph_for(user: str) -> CompiledStateGraph:
    if user not in _GRAPHS:
        _GRAPHS[user] = build(user)
    return _GRAPHS[user]
```

## Good
```python
from cachetools import LRUCache
from langgraph.graph.state import CompiledStateGraph

from app.graphs import build

_GRAPHS: LRUCache[str, CompiledStateGraph] = LRUCache(maxsize=256)


def graph_for(user: str) -> CompiledStateGraph:
    if user not in _GRAPHS:
        _GRAPHS[user] = build(user)
    return _GRAPHS[user]
```

## Fix
Mostly shown, not applied. A `WeakValueDictionary` is offered (unsafe) only where its values can be weakly referenced and
come from a caller, who owns them: a weak dict that is the only owner empties at once. Otherwise the recipes: bound the
container, or build the objects in the application's lifespan and close them there. Never close on eviction: a request
may still be using the entry (BerriAI/litellm#35492).

## Not reported
Writes at import time and by registrars (`register(tool)`, `TOOLS[tool.name] = tool`); constant, enum and type keys;
containers that anything in the project pops from, clears, rebinds or guards by length; bounded and weak containers;
containers that are passed on or returned, where nobody knows who evicts; scalar singletons; keys that are graphs
(TL301 speaks); clients of model providers.
"""

from collections.abc import Iterator

from toollint.analyses.kinds import Kept
from toollint.analyses.retention import Container, Use, note_of
from toollint.model import AddImport, Finding, Hop, Repair, Replace, Safety, Severity, rule
from toollint.rules.recipes import BOUNDED, weak_declaration
from toollint.syntax import Name

_KINDS = frozenset({"tool", "agent", "graph", "session", "resource", "component", "runnable"})
_KEYS = frozenset({"tool", "agent", "graph", "session", "runnable", "component"})


@rule("TL201", "module-cache-of-tools", subject=Container, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared container that only grows and keeps something heavy."""
    if box.limited:
        return
    write, kept = next(_kept(box), (None, None))
    if write is None or kept is None or not box.only_grows:
        return
    yield Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps every `{kept.name}` it is given",
        label="lives as long as the process",
        related=[note_of(write, f"a {kept.kind} goes in here")],
        chain=[Hop(f"{box.level} {box.shape} `{box.name}`", box.place), Hop(f"`{kept.name}`", write.place)],
        notes=[f"one `{kept.name}` for each new {_unit(write)}, until the process exits: nothing removes entries"],
        help="bound it, or let the application's lifespan own the objects and close them there",
        fixes=[_repair(box, write, kept)],
    )


def _kept(box: Container) -> Iterator[tuple[Use, Kept]]:
    for write in box.writes:
        kept, key = box.keeps_value(write), box.keeps_key(write)
        if box.shape != "list" and key is not None and key.kind in _KEYS:
            continue
        if kept is not None and kept.kind in _KINDS and box.grows_with(write):
            yield write, kept


def _unit(write: Use) -> str:
    return "call" if write.key is None else "key"


def _repair(box: Container, write: Use, kept: Kept) -> Repair:
    from_caller = (
        isinstance(write.value, Name)
        and write.code.function is not None
        and write.value.id in {param.name for param in write.code.function.node.params}
    )
    found = box.values.type_of(kept.instance)
    weak = weak_declaration(box, "WeakValueDictionary")
    if from_caller and found is not None and found.weak_value_valid and weak is not None:
        return Repair(
            "hold the values weakly",
            Safety.UNSAFE,
            (*(Replace(place, text) for place, text in weak), AddImport(box.place.path, "weakref")),
            why="an entry vanishes as soon as its caller lets the object go",
        )
    return Repair("bound the container", Safety.DISPLAY, recipe=BOUNDED.format(name=box.name))
