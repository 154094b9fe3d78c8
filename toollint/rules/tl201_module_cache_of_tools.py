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
Shown, not applied: bound the container, or build the objects in the application's lifespan and close them there. A
`WeakValueDictionary` is applied (unsafe) only where the catalogue knows that the values can be weakly referenced and
each of them comes from a caller, who owns it: a weak dict that is the only owner empties at once. Never close on
eviction: a request may still be using the entry (BerriAI/litellm#35492).

## Not reported
Writes at import time, by registrars (`register_tool(tool)`), decorators and under the thing's own name (`TOOLS[tool.name] =
tool`); keys from constants, enums, `Literal`s and types; containers that anything in the project pops from, clears,
rebinds or guards by length (tests do not count); bounded and weak containers; containers that are passed on, returned
or given another name, where nobody knows who evicts; caches that a test decides about (the function can return the value
unstored); fields of models and dataclasses; scalar singletons; chat histories; keys that are graphs, agents or sessions
(TL301 speaks); clients of model providers.
"""

from collections.abc import Iterator

from toollint.analyses.kinds import Kept
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.weak import referenceable, weak_declaration
from toollint.model import Finding, Hop, Repair, Safety, Severity, rule
from toollint.syntax import Name

_KINDS = frozenset({"tool", "agent", "graph", "session", "resource", "component", "runnable"})
_KEYS = frozenset({"tool", "agent", "graph", "session", "runnable", "component"})

_BOUNDED = """\
from cachetools import LRUCache

{name} = LRUCache(maxsize=256)  # do not close what drops out: a request may still be using it
"""
_BOUNDED_LIST = """\
from collections import deque

{name} = deque(maxlen=256)  # do not close what drops out: a request may still be using it
"""
_LIFESPAN = """\
@asynccontextmanager
async def lifespan(app):
    async with AsyncExitStack() as stack:  # closes all that is entered, in reverse order, when the application stops
        app.state.{name} = {{key: stack.enter_context(build(key)) for key in KNOWN_KEYS}}
        yield
"""


@rule("TL201", "module-cache-of-tools", subject=Container, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared container that only grows and keeps something heavy."""
    if box.limited:
        return
    write, kept = next(_kept(box), (None, None))
    if write is None or kept is None or not box.only_grows(write):
        return
    yield Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps every `{kept.name}` it is given",
        label="lives as long as the process",
        related=[write.note(f"{kept.word} goes in here")],
        chain=[Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place), Hop(f"value `{kept.name}`", write.place)],
        notes=[_note(box, write, kept)],
        help="bound it, or let the application's lifespan own the objects and close them there",
        fixes=_repairs(box, write, kept),
    )


def _kept(box: Container) -> Iterator[tuple[Use, Kept]]:
    for write in box.writes:
        key = box.keeps_key(write)
        if box.shape != "list" and key is not None and key.kind in _KEYS:
            continue
        kept = box.keeps_value(write)
        if kept is not None and kept.kind in _KINDS and not _is_history(box, kept) and box.grows_with(write):
            yield write, kept


def _is_history(box: Container, kept: Kept) -> bool:
    found = box.values.type_of(kept.instance)
    return found is not None and found.kind == "session" and found.role == "memory"


def _note(box: Container, write: Use, kept: Kept) -> str:
    function = write.code.function
    where = f" in `{function.name}`" if function is not None else ""
    each = "call" if write.appends else "key"
    return f"one more `{kept.name}` for each new {each}{where}, until the process exits: nothing removes entries of `{box.name}`"


def _repairs(box: Container, write: Use, kept: Kept) -> list[Repair]:
    weak = weak_declaration(box, "WeakValueDictionary") if _all_from_callers(box) else ()
    if weak and referenceable(box.values, kept, box.values.type_of(kept.instance)):
        why = "an entry vanishes as soon as its caller lets the object go"
        return [Repair("hold the values weakly", Safety.UNSAFE, weak, why)]
    bounded = (_BOUNDED_LIST if box.shape == "list" else _BOUNDED).format(name=box.name)
    repairs = [Repair("bound the container", Safety.DISPLAY, recipe=bounded)]
    if box.shape == "dict" and kept.kind == "resource" and not write.nested:
        owned = _LIFESPAN.format(name=box.name.strip("_").lower())
        repairs.append(Repair("let the application's lifespan own them", Safety.DISPLAY, recipe=owned))
    return repairs


def _all_from_callers(box: Container) -> bool:
    """Whether every value that is stored is a parameter of the function that stores it: somebody else holds it too."""
    return all(
        isinstance(write.value, Name)
        and write.code.function is not None
        and write.value.id in {param.name for param in write.code.function.node.params}
        for write in box.writes
    )
