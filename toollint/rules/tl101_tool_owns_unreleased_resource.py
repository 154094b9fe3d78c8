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
decorated or acquires for its subclasses. Only shown where a name clashes, where the framework has hooks of another
kind, or where the class body holds one resource for all instances. Somebody still has to call the new method: the note
says who.

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

from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.reach import Component
from toollint.model import AddImport, AddMethods, Finding, Note, Place, Repair, Role, Safety, Severity, Span, Step, rule


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
    owned = [one for one in owner.owned if _counts(one, options)]
    if not owned or not owner.lineage.known or owner.closers:
        return
    owned = [one for one in owned if not owner.may_be_released(one)]
    component = owner.component if owned else None
    if component is None:
        return
    first, closer = owned[0], _Closer(owner, component, owned)
    yield Finding(
        owner.cls.place,
        f"`{owner.cls.name}` opens `{_short(first)}` into `self.{first.attribute}` but has no closer",
        label="keeps it, never releases it",
        related=[Note(one.place, f"`self.{one.attribute}` is acquired here", Role.ACQUIRED) for one in owned]
        + _origin(component),
        notes=[_growth(first), closer.caller],
        help=f"{closer.advice}, and call it when the {component.role} is no longer used",
        fixes=[closer.repair()],
        severity=Severity.ERROR if first.acquisition.resource.leak == "open after gc" else None,
    )


def _counts(owned: Owned, options: Options) -> bool:
    resource = owned.acquisition.resource
    wanted = options.llm_clients if resource.category == "llm" else resource.weight in {"high", "medium"}
    return wanted and bool(resource.release)


# --- words -------------------------------------------------------------------------------------------------------


def _origin(component: Component) -> list[Note]:
    """Where something other than the class's own bases makes it part of an agent."""
    if component.place is None:
        return []
    if component.heir is not None:
        return [Note(component.place, f"this {component.role} inherits it", Role.REGISTERED)]
    return [Note(component.place, "this makes it a tool", Role.REGISTERED)]


def _short(owned: Owned) -> str:
    """The acquiring call: a class by its name, a function with the module or class that it belongs to."""
    *_, owner, name = ["", *owned.acquisition.name.split(".")]
    deep = owned.acquisition.name.count(".") > 1
    return name if deep and name[:1].isupper() else f"{owner}.{name}".lstrip(".")


def _growth(owned: Owned) -> str:
    resource = owned.acquisition.resource
    name = resource.name.rpartition(".")[2]
    if owned.shared:
        return f"all instances share one `{name}`, which stays open until the process exits"
    when = {
        "open after gc": "until the process exits: garbage collection does not close it",
        "freed by full gc pass": "until a full garbage collection, which may come long after the last use",
        "freed by refcount": "as long as anything refers to the object",
    }.get(resource.leak, "until the process exits or the object is collected")
    return f"each instance holds one `{name}` {when}"


# --- the closer that is missing ----------------------------------------------------------------------------------


class _Closer:
    """The methods that would release everything: how they are called, what they do, who calls them."""

    def __init__(self, owner: Owner, component: Component, owned: list[Owned]) -> None:
        self.owner = owner
        self.component = component
        self.owned = owned
        tool = component.tool
        self.awaits = any(one.acquisition.resource.async_ for one in owned)
        self.is_async = self.awaits or (tool is not None and tool.closer == "async")
        usual = self._usual_verb()
        self.hollow = usual in owner.cls.methods
        self.taken = usual if usual in owner.members and not self.hollow else ""
        self.verb = usual.replace("close", "release") if self.taken else usual
        self.names = (self.verb, "__aenter__", "__aexit__") if self.is_async else (self.verb, "__enter__", "__exit__")

    def _usual_verb(self) -> str:
        """The hook of the framework where it has one of the right colour, else the usual name."""
        tool = self.component.tool
        hooks = tool.hooks if tool is not None and tool.called else ()
        if self.is_async and "close_async" in hooks:
            return "close_async"
        if "close" in hooks and (not self.is_async or (tool is not None and tool.closer == "async")):
            return "close"
        return "aclose" if self.is_async else "close"

    @property
    def _is_hook(self) -> bool:
        tool = self.component.tool
        return tool is not None and tool.called and self.verb in tool.hooks

    @property
    def caller(self) -> str:
        """Who has to call it."""
        if self.component.tool is not None:
            return self.component.tool.caller
        return f"no framework is known to call `{self.verb}` of it: whoever builds the {self.component.role} has to"

    @property
    def advice(self) -> str:
        """What to do, in words."""
        first = self.owned[0]
        if first.shared:
            return f"acquire it in the constructor, add `{self.verb}`"
        return f"add `{self.verb}` that calls `{_call(first, f'self.{first.attribute}').removeprefix('await ')}`"

    def repair(self) -> Repair:
        """The methods as a fix, as safe as they are; only shown where they cannot simply be added."""
        title = f"add `{self.verb}` and the context-manager methods"
        obstacle = self._obstacle()
        if obstacle:
            return Repair(title, Safety.DISPLAY, why=obstacle, recipe="\n".join(self._lines()) + "\n")
        doubt = self._doubt()
        cls = self.owner.cls
        place = Place(cls.module.path, Span(cls.origin + cls.node.start, cls.origin + cls.node.end))
        functions = {one.acquisition.resource.release.rpartition(".")[0] for one in self.owned} - {""}
        imports: list[Step] = [AddImport(cls.module.path, module) for module in sorted(functions)]
        methods = AddMethods(place, self._lines(), self.names)
        return Repair(title, Safety.UNSAFE if doubt else Safety.SAFE, (methods, *imports), why=doubt)

    def _obstacle(self) -> str:
        """Why the methods cannot simply be added, empty if they can."""
        if self.hollow:
            return f"`{self.verb}` is there already and does nothing: fill it in"
        clash = self.taken or next((name for name in self.names if name in self.owner.members), "")
        if clash:
            return f"`{clash}` means something else in this class already"
        tool = self.component.tool
        if tool is not None and tool.called and not self._is_hook and "close" not in tool.hooks:
            return f"{tool.framework} has hooks of its own: {', '.join(tool.hooks)}"
        if any(one.shared for one in self.owned):
            return "all instances share what the class body acquired: acquire it in the constructor first"
        return ""

    def _doubt(self) -> str:
        """Why the fix is not safe, empty if it is."""
        tool = self.component.tool
        if self._is_hook and tool is not None:
            return f"`{self.verb}` is a hook of {tool.framework}, which may call it from then on"
        if self.owner.cls.node.decorators:
            return "the class is decorated"
        if self.component.heir is not None:
            return f"the class is no {self.component.role} itself, and all its subclasses get the methods"
        if any(one.injectable for one in self.owned):
            return "a caller may have passed the resource in, and closes it too"
        if not all(one.always for one in self.owned):
            return "the resource is opened later or only sometimes"
        return ""

    def _lines(self) -> tuple[str, ...]:
        close, enter, leave = self.names
        word, wait = ("async def", "await ") if self.is_async else ("def", "")
        again = "; calling it twice is harmless" if all(map(_is_repeatable, self.owned)) else ""
        return (
            f"{word} {close}(self) -> None:",
            f'    """Release what this object has opened{again}."""',
            *("    " + line for line in _releases(self.owned[::-1])),
            "",
            f'{word} {enter}(self) -> "{self.owner.cls.name}":',
            "    return self",
            "",
            f"{word} {leave}(self, *exc: object) -> None:",
            f"    {wait}self.{close}()",
        )


def _is_repeatable(owned: Owned) -> bool:
    return owned.acquisition.resource.second_close == "ok" or not _is_plain(owned)


def _is_plain(owned: Owned) -> bool:
    """Whether the attribute is there for certain and may be closed as often as one likes."""
    return owned.always and not owned.cached and owned.acquisition.resource.second_close == "ok"


def _releases(owned: list[Owned]) -> list[str]:
    """The statements that release everything, each even if the one before fails."""
    first = _release(owned[0])
    if len(owned) == 1:
        return first
    return ["try:", *("    " + line for line in first), "finally:", *("    " + line for line in _releases(owned[1:]))]


def _release(owned: Owned) -> list[str]:
    """The statements that release one attribute, if it is there and has not been released yet."""
    name, local = owned.attribute, owned.attribute.strip("_") or "held"
    if _is_plain(owned):
        return [_call(owned, f"self.{name}")]
    if owned.cached:
        return [f'{local} = self.__dict__.pop("{name}", None)', *_if_there(owned, local)]
    if owned.declared:
        return [f"{local}, self.{name} = self.{name}, None", *_if_there(owned, local)]
    return [
        f'if hasattr(self, "{name}"):',
        f"    {local} = self.{name}",
        f"    del self.{name}",
        f"    {_call(owned, local)}",
    ]


def _if_there(owned: Owned, local: str) -> list[str]:
    return [f"if {local} is not None:", f"    {_call(owned, local)}"]


def _call(owned: Owned, value: str) -> str:
    release = owned.acquisition.resource.release
    call = f"{release}({value})" if "." in release else f"{value}.{release}()"
    return f"await {call}" if owned.acquisition.resource.async_ else call
