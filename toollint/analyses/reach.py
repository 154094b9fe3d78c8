"""Who hands an object over: the places where a class's instances are registered as tools of an agent."""

from __future__ import annotations

from collections.abc import Iterator

from toollint.analyses.values import Instance, Method, Values
from toollint.facts import ClassFacts, Code, FunctionFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Call, Chain, Collection, Expr, argument, prefix, walk


def registered_as_tool(values: Values, cls: ClassFacts) -> Place | None:
    """The first place in the project where an instance, or one of its methods, is given to an agent as a tool."""
    for module in values.project.mentioning(cls.name, "tools"):
        for code in code_of(module, frozenset({b"tools"})):
            for expr in _registered(values, code):
                if _belongs_to(values, values.of(code.scope, expr), cls):
                    return code.at(expr.start, expr.end)
    return None


def _registered(values: Values, code: Code) -> Iterator[Expr]:
    """What the calls in ``code`` register: the elements of ``tools=[...]`` and of a holder's list."""
    for node in walk(code.block, into=False):
        if not isinstance(node, Chain):
            continue
        for index, link in enumerate(node.links):
            if isinstance(link, Call):
                given = argument(link, "tools")
                if given is None and link.args and _takes_tools_first(values, code, prefix(node, index)):
                    given = link.args[0].value
                if isinstance(given, Collection):
                    yield from given.items


def _takes_tools_first(values: Values, code: Code, callee: Expr) -> bool:
    value = values.of(code.scope, callee)
    tool = values.catalog.tool(value.name) if isinstance(value, Library) else None
    return tool is not None and tool.kind == "holder"


def _belongs_to(values: Values, value: object, cls: ClassFacts) -> bool:
    if isinstance(value, Method):
        value = value.receiver
    if isinstance(value, FunctionFacts):
        return value.cls is cls
    return (
        isinstance(value, Instance)
        and isinstance(value.cls, ClassFacts)
        and cls in values.project.lineage(value.cls).classes
    )
