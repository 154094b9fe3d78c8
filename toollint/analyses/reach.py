"""What makes a class a part of an agent: its bases, its decorators, or who hands its objects over as tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.values import Instance, Method, Values
from toollint.catalog import Tool
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, classes_of, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Call, Chain, Collection, Expr, Name, argument, callee, last_name, prefix, walk

_WORDS = {"vectorstore": "vector store", "mcp": "MCP client", "memory": "chat memory", "embeddings": "embedder"}


class Component(NamedTuple):
    """Why a class is part of an agent.

    ``role`` is the word for it in a message; ``tool`` is how its framework makes tools, None for other components.
    ``place`` is where something other than its bases makes it one. ``heir``: it is none itself, a subclass is.
    """

    role: str
    tool: Tool | None = None
    place: Place | None = None
    heir: ClassFacts | None = None


def component_of(values: Values, cls: ClassFacts) -> Component | None:
    """What makes the class a component, None where nothing says so."""
    found = _by_bases(values, cls) or _by_decorator(values, cls) or _by_methods(values, cls)
    return found or _by_registration(values, cls) or _by_subclass(values, cls)


def _by_bases(values: Values, cls: ClassFacts) -> Component | None:
    lineage = values.project.lineage(cls)
    for name in (*(ancestor.full_name for ancestor in lineage.classes[1:]), *lineage.libraries):
        tool, kind = values.catalog.tool(name), values.catalog.kind(name)
        if tool is not None or (kind is not None and (kind.role or kind.kind in {"tool", "agent", "component"})):
            role = kind.role or kind.kind if kind is not None else "tool"
            return Component(_WORDS.get(role, role), tool)
    return None


def _by_decorator(values: Values, cls: ClassFacts) -> Component | None:
    for decorator in cls.node.decorators:
        target = values.project.resolve(cls.outer, callee(decorator) or decorator)
        tool = values.catalog.tool(target.name) if isinstance(target, Library) else None
        if tool is not None:
            return Component("component", tool)
    return None


def _by_methods(values: Values, cls: ClassFacts) -> Component | None:
    """A class whose methods a decorator makes tools: a plugin, a set of tools."""
    for function in cls.functions:
        tool = values.decorated_tool(function)
        if tool is not None:
            return Component("tool", tool, function.place)
    return None


def _by_subclass(values: Values, cls: ClassFacts) -> Component | None:
    """A class that acquires for its subclasses, of which one is a component."""
    for module in values.project.mentioning(cls.name):
        for heir in classes_of(module, frozenset({cls.name.encode()})):
            lineage = values.project.lineage(heir)
            if lineage.known and cls in lineage.classes[1:]:
                found = _by_bases(values, heir)
                if found is not None:
                    return found._replace(place=heir.place, heir=heir)
    return None


# --- registration ------------------------------------------------------------------------------------------------


def _by_registration(values: Values, cls: ClassFacts) -> Component | None:
    """The first place in the project where the class, an instance or one of its methods is given away as a tool."""
    for module in values.project.mentioning(cls.name):
        makers = values.sieve.words(module.path, "kind") | _taking_tools(values)
        for code in code_of(module, frozenset({b"tools", b"from_function", cls.name.encode()})):
            for expr in _registered(values, code, makers):
                if _belongs_to(values, values.of(code.scope, expr), cls):
                    return Component("tool", place=code.at(expr.start, expr.end))
    return None


def _taking_tools(values: Values) -> frozenset[bytes]:
    """The last parts of the names of calls that do something with what they are given."""
    return frozenset(name.rpartition(".")[2].encode() for name in values.catalog.names("effect"))


def _registered(values: Values, code: Code, makers: frozenset[bytes]) -> Iterator[Expr]:
    """What the calls in ``code`` register: elements of ``tools=[...]`` and of a holder's list, what a factory wraps.

    ``makers`` are the identifiers of calls that may register: of others only ``tools=`` is looked at.
    """
    for node in walk(code.block, into=False):
        if not isinstance(node, Chain):
            continue
        for index, link in enumerate(node.links):
            if isinstance(link, Call) and link.args:
                called = prefix(node, index)
                if last_name(called).encode() in makers:
                    yield from _given(values, code, called, link)
                else:
                    yield from _elements(code, argument(link, "tools"))


def _given(values: Values, code: Code, called: Expr, call: Call) -> Iterator[Expr]:
    value = values.of(code.scope, called)
    name = value.name if isinstance(value, Library) else ""
    tool, effect = values.catalog.tool(name), values.catalog.effect(name)
    if tool is not None and tool.kind in {"factory", "decorator", "class"}:
        yield from (arg.value for arg in call.args)
    position = effect.params.index("tools") if effect is not None and "tools" in effect.params else None
    if tool is not None and tool.kind == "holder" and position is None:
        position = 0
    yield from _elements(code, argument(call, "tools", position))


def _elements(code: Code, given: Expr | None) -> tuple[Expr, ...]:
    """The elements of a list that is written out where it is given, or bound to a name of the same scope."""
    if isinstance(given, Name):
        found = code.scope.bindings.get(given.id, ())
        if len(found) == 1 and isinstance(found[0], Assigned):
            given = found[0].stmt.value
    return given.items if isinstance(given, Collection) else ()


def _belongs_to(values: Values, value: object, cls: ClassFacts) -> bool:
    if isinstance(value, Method):
        value = value.receiver
    if isinstance(value, FunctionFacts):
        return value.cls is cls
    owner = value.cls if isinstance(value, Instance) else value
    return isinstance(owner, ClassFacts) and cls in values.project.lineage(owner).classes
