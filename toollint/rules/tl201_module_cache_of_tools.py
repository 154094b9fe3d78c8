"""A module-level or class-level container collects tools, agents or resources, and nothing removes them.

## Why
A dict at module level lives as long as the process. Filled once for each user, session or request, it keeps every
agent with its tools, their connections and their histories: one production service grew from 400 MB to between 20 and
37 GB in a day (hermes-agent#25318), session dicts of MCP servers grew without end (fastmcp#3443,
modelcontextprotocol/python-sdk#1283).

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
Writes at import time, by registrars (`register_tool(tool)`), by decorators and under the thing's own name
(`TOOLS[tool.name] = tool`); keys from constants, enums, `Literal`s and types; containers that anything in the project
pops from, clears, rebinds or guards by length (tests do not count); bounded and weak containers; containers that are
passed on, returned or given another name, where nobody knows who evicts; caches that a test decides about (the function
can return the value unstored); fields of models and dataclasses; scalar singletons; chat histories (TL606); keys that
are graphs, agents or sessions (TL301 speaks); numbers of objects that are not stored with them (TL304 speaks); clients
of model providers; objects of the project's own that hold nothing heavy, but for those under the number of a session,
user, connection or call.
"""

import re
from collections.abc import Iterator

from toollint.analyses.growth import is_per_request
from toollint.analyses.hosting import host_of
from toollint.analyses.kinds import Kept, is_history, is_record
from toollint.analyses.leakpath import leak_path
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.weak import referenceable, weak_declaration
from toollint.facts import Parameter
from toollint.model import Finding, Hop, Repair, Safety, Severity, rule
from toollint.project import Library, Variable
from toollint.syntax import Name

_KINDS = frozenset({"tool", "agent", "graph", "session", "resource", "component", "runnable", "object"})
_KEYS = frozenset({"tool", "agent", "graph", "session", "runnable", "component"})
_SHORT = 30
"""Characters of a key that still read well in a sentence."""

_BOUNDED = """\
from cachetools import LRUCache

{declared} = LRUCache(maxsize=256)  # do not close what drops out: a request may still be using it
"""
_BOUNDED_LIST = """\
from collections import deque

{declared} = deque(maxlen=256)  # do not close what drops out: a request may still be using it
"""
_APPLICATION = """\
@asynccontextmanager
async def lifespan(app):
    async with AsyncExitStack() as stack:  # releases all of them when the application stops
        app.state.{name} = {{key: build(key) for key in KEYS}}
        for each in app.state.{name}.values():
            stack.{callback}(each.{release})
        yield

app = {maker}(lifespan=lifespan)
"""
_SERVER = """\
@asynccontextmanager
async def lifespan(server):
    async with AsyncExitStack() as stack:  # releases all of them when the server stops
        {name} = {{key: build(key) for key in KEYS}}
        for each in {name}.values():
            stack.{callback}(each.{release})
        yield {{"{name}": {name}}}  # tools find it in the lifespan context of their request

server = {maker}("name", lifespan=lifespan)
"""
_PROGRAM = """\
async def main():
    async with AsyncExitStack() as stack:  # releases all of them when the program ends
        {name} = {{key: build(key) for key in KEYS}}
        for each in {name}.values():
            stack.{callback}(each.{release})
        await run({name})
"""
_ARGUMENTS = re.compile(r"""["']?(?:\w+\.)*(?:[dD]ict|[lL]ist)(\[.*\])["']?""", re.DOTALL)


@rule("TL201", "module-cache-of-tools", subject=Container, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared container that only grows and keeps something heavy."""
    if box.limited:
        return
    write, kept = next(_kept(box), (None, None))
    if write is not None and kept is not None and box.only_grows(write):
        yield _collects(box, write, kept)
    elif write is None:
        yield from _pinned(box)


def _collects(box: Container, write: Use, kept: Kept) -> Finding:
    return Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps every `{kept.name}` it is given",
        label="lives as long as the process",
        related=[write.note(f"{kept.word} goes in here")],
        chain=leak_path(box.values, [_root(box), Hop(f"value `{kept.name}`", write.place)], kept),
        notes=[_note(write, kept.name)],
        help="bound it, or let the application's lifespan own the objects and close them there",
        fixes=_repairs(box, write, kept),
    )


def _pinned(box: Container) -> Iterator[Finding]:
    """A container under whose keys the very objects lie whose ``id`` is the key."""
    found = ((write, box.pinned_by_id(write)) for write in box.writes)
    for write, name in found:
        if name and box.grows_with(write) and box.only_grows(write):
            yield Finding(
                box.place,
                f"{box.level}-level {box.shape} `{box.name}` keeps every `{name}` under its own id",
                label="lives as long as the process",
                related=[write.note("the object goes in here")],
                chain=[_root(box), Hop(f"value `{name}`", write.place)],
                notes=[_note(write, name)],
                help="bound it, or keep the value beside the object that it belongs to",
                fixes=[Repair("bound the container", Safety.DISPLAY, recipe=_bounded(box))],
            )
            return


def _kept(box: Container) -> Iterator[tuple[Use, Kept]]:
    for write in box.writes:
        key = box.keeps_key(write)
        if box.shape != "list" and key is not None and key.kind in _KEYS:
            continue
        kept = box.keeps_value(write) or (box.keeps_object(write) if is_per_request(write) else None)
        if kept is None or kept.kind not in _KINDS or is_history(box.values, kept) or is_record(box.values, kept):
            continue
        if box.grows_with(write):
            yield write, kept


def _root(box: Container) -> Hop:
    return Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place)


def _note(write: Use, name: str) -> str:
    function = write.code.function
    of = f" of `{function.name}`" if function is not None else ""
    each = f"call{of}" if write.appends else f"`{write.text}`{of}" if len(write.text) <= _SHORT else f"key{of}"
    return f"one more `{name}` for each new {each}, until the process exits: nothing removes entries"


def _repairs(box: Container, write: Use, kept: Kept) -> list[Repair]:
    weak = weak_declaration(box, "WeakValueDictionary") if _all_from_callers(box) else ()
    if weak and referenceable(box.values, kept, box.values.type_of(kept.instance)):
        why = "an entry vanishes as soon as its caller lets the object go"
        return [Repair("hold the values weakly", Safety.UNSAFE, weak, why)]
    repairs = [Repair("bound the container", Safety.DISPLAY, recipe=_bounded(box))]
    return [*repairs, *_owned_by_program(box, write, kept)]


def _owned_by_program(box: Container, write: Use, kept: Kept) -> Iterator[Repair]:
    """The recipe for an owner that lives as long as the program: of the framework at hand, where there is one."""
    resource = box.values.catalog.resource(kept.instance.cls.name) if isinstance(kept.instance.cls, Library) else None
    if box.shape == "dict" and not write.nested and resource is not None and resource.release.isidentifier():
        host = host_of(box.values)
        recipe = _PROGRAM if host is None else _APPLICATION if host.name == "app" else _SERVER
        names = {
            "name": box.name.strip("_").lower(),
            "callback": "push_async_callback" if resource.async_ else "callback",
            "release": resource.release,
            "maker": host.maker if host is not None else "",
        }
        title = "let the lifespan own the objects" if host is not None else "let the program own the objects"
        yield Repair(title, Safety.DISPLAY, recipe=recipe.format(**names))


def _bounded(box: Container) -> str:
    """The declaration as it would read, with the type arguments that it has."""
    arguments = box.stmt.annotation and _ARGUMENTS.fullmatch(box.text(box.stmt.annotation))
    maker, recipe = ("deque", _BOUNDED_LIST) if box.shape == "list" else ("LRUCache", _BOUNDED)
    return recipe.format(declared=f"{box.name}: {maker}{arguments[1]}" if arguments else box.name)


def _all_from_callers(box: Container) -> bool:
    """Whether every value that is stored is a parameter of the function that stores it: somebody else holds it too."""
    return all(isinstance(write.value, Name) and _is_parameter(box, write, write.value) for write in box.writes)


def _is_parameter(box: Container, write: Use, name: Name) -> bool:
    target = box.values.project.named(write.code.scope, name.id)
    return isinstance(target, Variable) and all(isinstance(binding, Parameter) for binding in target.bindings)
