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
Adds `close` (or `aclose`, where anything has to be awaited) with the matching context-manager methods; the releaser
comes from the catalogue, in reverse order of acquisition, and may be called twice and after a failed constructor. Safe
where every base class is known, no name clashes and the constructor always acquires: methods that nobody calls yet
change nothing. Unsafe where the resource is opened later or only sometimes, or where a caller may have passed one in.
Only shown where a name clashes, where the framework prescribes its own hook, or where the class body holds one
resource for all instances. Somebody still has to call the new method: the note says who.

## Options
`llm-clients` (default false): count SDK clients of model providers as resources too.

## Not reported
Resources of low weight; classes with a base that is not known; a closer in the class or any base; a resource that is
passed in, or built only when none is passed in; ownership flags; `ExitStack`, `weakref.finalize` and `atexit`; an
attribute that something in the project releases from outside.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.ownership import Component, Owned, Owner
from toollint.model import AddMethods, Finding, Note, Place, Repair, Role, Safety, Severity, Span, rule


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
    owned = [one for one in owner.owned if _counts(one, options) and not owner.may_be_released(one)]
    if not owned or not owner.lineage.known or owner.closers or owner.component is None:
        return
    first = owned[0]
    resource = first.acquisition.resource
    yield Finding(
        owner.cls.place,
        f"`{owner.cls.name}` opens `{_short(first)}` into `self.{first.attribute}` but has no closer",
        label="keeps it, never releases it",
        related=[Note(one.place, f"`self.{one.attribute}` is acquired here", Role.ACQUIRED) for one in owned]
        + _registration(owner.component),
        notes=[_growth(first), _caller(owner.component, _verb(owned))],
        help=f"add `{_verb(owned)}` that calls `{_release_text(first)}`, and call it when the {_what(owner)} is done",
        fixes=[_repair(owner, owned)],
        severity=Severity.ERROR if resource.leak == "open after gc" else None,
    )


def _counts(owned: Owned, options: Options) -> bool:
    resource = owned.acquisition.resource
    if resource.category == "llm" and not options.llm_clients:
        return False
    return resource.weight in {"high", "medium"} and bool(resource.release)


def _registration(component: Component) -> list[Note]:
    if component.registered is None:
        return []
    return [Note(component.registered, "given to an agent here", Role.REGISTERED)]


# --- words -------------------------------------------------------------------------------------------------------


def _short(owned: Owned) -> str:
    """The acquiring call with its module, cut to its last two names."""
    return ".".join(owned.acquisition.name.split(".")[-2:])


def _what(owner: Owner) -> str:
    component = owner.component
    return component.role or "tool" if component is not None else "tool"


def _growth(owned: Owned) -> str:
    when = {
        "open after gc": "until the process exits: garbage collection does not close it",
        "freed by full gc pass": "until a full garbage collection, which may be long after the last use",
        "freed by refcount": "as long as anything refers to the object",
    }.get(owned.acquisition.resource.leak, "until the process exits or the object is collected")
    return f"each instance holds one `{owned.acquisition.resource.name.rpartition('.')[2]}` {when}"


def _caller(component: Component, verb: str) -> str:
    if component.tool is not None and component.tool.caller:
        return component.tool.caller
    return f"nothing calls `{verb}` by itself: whoever builds the object has to"


def _release_text(owned: Owned) -> str:
    release = owned.acquisition.resource.release
    return f"{release}()" if "." in release else f"self.{owned.attribute}.{release}()"


# --- the fix -----------------------------------------------------------------------------------------------------


def _is_async(owned: list[Owned]) -> bool:
    return any(one.acquisition.resource.async_ for one in owned)


def _verb(owned: list[Owned]) -> str:
    return "aclose" if _is_async(owned) else "close"


def _repair(owner: Owner, owned: list[Owned]) -> Repair:
    names = ("aclose", "__aenter__", "__aexit__") if _is_async(owned) else ("close", "__enter__", "__exit__")
    lines = _methods(owner, owned, names)
    title = f"add `{names[0]}` and the context-manager methods"
    obstacle = _obstacle(owner, owned, names)
    if obstacle:
        return Repair(title, Safety.DISPLAY, why=obstacle, recipe="\n".join(lines) + "\n")
    doubt = _doubt(owner, owned)
    node = owner.cls.node
    place = Place(owner.cls.module.path, Span(owner.cls.origin + node.start, owner.cls.origin + node.end))
    return Repair(title, Safety.UNSAFE if doubt else Safety.SAFE, (AddMethods(place, lines, names),), why=doubt)


def _obstacle(owner: Owner, owned: list[Owned], names: tuple[str, ...]) -> str:
    """Why the methods cannot simply be added, empty if they can."""
    clash = next((name for name in names if name in owner.members), None)
    if clash is not None:
        return f"`{clash}` means something else in this class already"
    tool = owner.component.tool if owner.component else None
    if tool is not None and tool.closer not in {"any", "async" if _is_async(owned) else "sync"}:
        return f"{tool.framework} asks for {tool.closer} hooks: {', '.join(tool.hooks)}"
    if any(one.shared for one in owned):
        return "all instances share what the class body acquired: acquire it in the constructor first"
    return ""


def _doubt(owner: Owner, owned: list[Owned]) -> str:
    """Why the fix is not safe, empty if it is."""
    if owner.cls.node.decorators:
        return "the class is decorated"
    if any(one.injectable for one in owned):
        return "a caller may have passed the resource in, and closes it too"
    if not all(one.always for one in owned):
        return "the resource is opened later or only sometimes"
    return ""


def _methods(owner: Owner, owned: list[Owned], names: tuple[str, ...]) -> tuple[str, ...]:
    close, enter, leave = names
    word, wait = ("async def", "await ") if _is_async(owned) else ("def", "")
    return (
        f"{word} {close}(self) -> None:",
        '    """Release what this object has opened; calling it twice is harmless."""',
        *("    " + line for line in _releases(list(reversed(owned)))),
        "",
        f'{word} {enter}(self) -> "{owner.cls.name}":',
        "    return self",
        "",
        f"{word} {leave}(self, *exc: object) -> None:",
        f"    {wait}self.{close}()",
    )


def _releases(owned: list[Owned]) -> list[str]:
    """The statements that release everything, each even if the one before fails."""
    first = _release(owned[0])
    if len(owned) == 1:
        return first
    return ["try:", *("    " + line for line in first), "finally:", *("    " + line for line in _releases(owned[1:]))]


def _release(owned: Owned) -> list[str]:
    resource = owned.acquisition.resource
    local = owned.attribute.strip("_") or "held"
    wait = "await " if resource.async_ else ""
    call = f"{resource.release}({local})" if "." in resource.release else f"{local}.{resource.release}()"
    if owned.cached:
        return [
            f'{local} = self.__dict__.pop("{owned.attribute}", None)',
            f"if {local} is not None:",
            f"    {wait}{call}",
        ]
    lines = [f'{local} = getattr(self, "{owned.attribute}", None)', f"if {local} is not None:"]
    if owned.attribute.startswith("_") and (not owned.always or resource.second_close != "ok"):
        lines.append(f"    self.{owned.attribute} = None")
    return [*lines, f"    {wait}{call}"]
