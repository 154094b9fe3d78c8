"""What an object is worth keeping an eye on: the kinds that caches must not collect."""

from __future__ import annotations

from typing import NamedTuple

from toollint.analyses.ownership import Owner
from toollint.analyses.values import Instance, Values
from toollint.facts import ClassFacts, Scope
from toollint.project import Library
from toollint.syntax import Collection, Expr

_CONTAINERS = frozenset(
    {"list", "tuple", "set", "frozenset", "List", "Tuple", "Set", "Sequence", "Iterable", "Collection"}
)


class Kept(NamedTuple):
    """An object that something keeps: its class, and what it is (``tool``, ``graph``, ``resource``, ...)."""

    instance: Instance
    kind: str

    @property
    def name(self) -> str:
        """The class's name as a message gives it."""
        return self.instance.name


def kept(values: Values, instance: Instance | None) -> Kept | None:
    """What an object is, None where it is nothing that matters (numbers, strings, classes of plain data)."""
    if instance is None:
        return None
    if isinstance(instance.cls, Library):
        resource = values.catalog.resource(instance.cls.name)
        if resource is not None:
            heavy = resource.weight in {"high", "medium"} and resource.category != "llm"
            return Kept(instance, "resource") if heavy else None
    found = values.type_of(instance)
    if found is not None:
        return Kept(instance, found.kind)
    if isinstance(instance.cls, ClassFacts) and _owns(values, instance.cls):
        return Kept(instance, "resource")
    if instance.name in _CONTAINERS:
        inner = [kept(values, element) for alternatives in instance.args for element in alternatives]
        return next((one for one in inner if one is not None), None)
    return None


def kept_by(values: Values, scope: Scope, expr: Expr | None) -> Kept | None:
    """What an expression gives that matters: itself, or an element of a tuple or list display."""
    if isinstance(expr, Collection):
        inner = [kept_by(values, scope, item) for item in expr.items]
        return next((one for one in inner if one is not None), None)
    return kept(values, values.instance(scope, expr))


def _owns(values: Values, cls: ClassFacts) -> bool:
    """Whether objects of a project's class hold a resource that is not light."""
    return any(
        owned.acquisition.resource.weight in {"high", "medium"} and owned.acquisition.resource.category != "llm"
        for owned in Owner.of(values, cls).owned
    )
