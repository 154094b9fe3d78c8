"""Whether a class gives an attribute to somebody who may answer for it from then on."""

from __future__ import annotations

from collections.abc import Iterator

from toollint.analyses.closers import closing_verb
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.release import is_closer
from toollint.analyses.values import Method
from toollint.facts import Assigned, ClassFacts, FunctionFacts
from toollint.project import Library
from toollint.syntax import (
    Await,
    Call,
    Chain,
    Evaluate,
    Expr,
    Name,
    Yield,
    attribute_of,
    last_name,
    prefix,
    walk,
)

_BORROWING = frozenset({"builtins", "asyncio", "threading", "logging", "time", "json", "copy", "inspect", "functools"})
"""Modules whose functions look at what they are given, or use it, and never release it."""


_USING = frozenset({"run_in_executor"})
"""Methods, of whatever, that only use what they are given."""


def may_be_released(owner: Owner, owned: Owned) -> bool:
    """Whether anything in sight may release what the attribute holds, the objects that it is given to among them.

    What a library's resource is given to mostly uses it; an object of the project may be closed by whoever gets it.
    """
    lent = owned.part is not None and is_lent_out(owner, owned.attribute)
    return lent or owner.may_be_released(owned)


def is_lent_out(owner: Owner, attribute: str) -> bool:
    """Whether a method gives the attribute, or yields it, to code that is not known to leave it alone."""
    for ancestor in owner.lineage.classes:
        for function in ancestor.functions:
            if any(_may_keep(owner, function, call, called) for call, called in _given_to(function, attribute)):
                return True
    return False


def _given_to(function: FunctionFacts, attribute: str) -> Iterator[tuple[bool, Expr]]:
    """What each call calls that gets the attribute as an argument, and whether the call's result is dropped."""
    names = _names_of(function, attribute)
    nodes = [*walk(function.node.body)]
    dropped = {id(_plain(node.value)) for node in nodes if isinstance(node, Evaluate)}
    for node in nodes:
        if isinstance(node, Yield) and node.value is not None and _is_it(function, node.value, attribute, names):
            yield False, node.value
        if isinstance(node, Chain):
            for index, link in enumerate(node.links):
                if isinstance(link, Call):
                    given = [arg.value for arg in link.args]
                    if any(_is_it(function, value, attribute, names) for value in given):
                        yield id(node) in dropped, prefix(node, index)


def _plain(expr: Expr) -> Expr:
    return expr.value if isinstance(expr, Await) else expr


def _names_of(function: FunctionFacts, attribute: str) -> frozenset[str]:
    """Local names that stand for the attribute, or that it is assigned from."""
    names = {
        name
        for name, bindings in function.scope.bindings.items()
        for binding in bindings
        if isinstance(binding, Assigned) and binding.stmt.value is not None
        if attribute_of(binding.stmt.value, function.receiver) == attribute
    }
    for made, stmt in ((name, stmt) for name, found in _assigned(function).items() for stmt in found):
        if made == attribute and isinstance(stmt, Name):
            names.add(stmt.id)
    return frozenset(names)


def _assigned(function: FunctionFacts) -> dict[str, list[Expr]]:
    found: dict[str, list[Expr]] = {}
    for name, pairs in function.cls.assignments.items() if function.cls is not None else ():
        found[name] = [stmt.value for owner, stmt in pairs if owner is function and stmt.value is not None]
    return found


def _is_it(function: FunctionFacts, expr: Expr, attribute: str, names: frozenset[str]) -> bool:
    if isinstance(expr, Name):
        return expr.id in names
    return attribute_of(expr, function.receiver) == attribute


def _may_keep(owner: Owner, function: FunctionFacts, dropped: bool, called: Expr) -> bool:
    """Whether what is called may release what it is given, now or when its result is closed."""
    if last_name(called) in _USING:
        return False
    target = owner.values.of(function.scope, called)
    if isinstance(target, Method):
        target = target.function
    if isinstance(target, FunctionFacts):
        return any(isinstance(node, Chain) and _closes(node) for node in walk(target.node.body))
    if isinstance(target, ClassFacts):
        return closing_verb(owner.values, target) is not None
    if isinstance(target, Library):
        root = target.name.partition(".")[0]
        return root not in _BORROWING and not dropped
    return True


def _closes(chain: Chain) -> bool:
    return any(is_closer(getattr(link, "name", "")) for link in chain.links)
