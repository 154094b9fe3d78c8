"""What an object is worth keeping an eye on: the kinds that caches must not collect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.values import Instance, Values
from toollint.catalog import Resource
from toollint.facts import Assigned, ClassFacts, Scope
from toollint.project import Library
from toollint.syntax import Bind, Collection, Expr, attribute_of, walk

_ELEMENTS = frozenset(
    {"list", "tuple", "set", "frozenset", "List", "Tuple", "Set", "Sequence", "Iterable", "Collection"}
)
_ENTRIES = frozenset({"dict", "defaultdict", "OrderedDict", "Dict", "DefaultDict", "Mapping", "MutableMapping"})
_HEAVY = frozenset({"agent", "graph", "session", "resource"})


class Kept(NamedTuple):
    """An object that something keeps: its class, and what it is (``tool``, ``graph``, ``resource``, ...).

    ``inside``: it is an element of a tuple, list or dict, or in a field of what was asked about.
    """

    instance: Instance
    kind: str
    inside: bool = False

    @property
    def name(self) -> str:
        """The class's name as a message gives it."""
        return self.instance.name

    @property
    def word(self) -> str:
        """The kind with its article."""
        return f"an {self.kind}" if self.kind[0] in "aeiou" else f"a {self.kind}"


def kept(values: Values, instance: Instance | None) -> Kept | None:
    """What an object is, None where it is nothing that matters (numbers, strings, classes of plain data)."""
    if instance is None:
        return None
    if isinstance(instance.cls, Library):
        resource = values.catalog.resource(instance.cls.name)
        if resource is not None:
            return Kept(instance, "resource") if _is_heavy(resource) else None
    found = values.type_of(instance)
    if found is not None:
        return Kept(instance, found.kind)
    if isinstance(instance.cls, ClassFacts):
        return Kept(instance, "resource") if owned_by(values, instance) else None
    parts = instance.args if instance.name in _ELEMENTS else instance.args[1:] if instance.name in _ENTRIES else ()
    return _inside(values, (element for alternatives in parts for element in alternatives))


def kept_by(values: Values, scope: Scope, expr: Expr | None) -> Kept | None:
    """What an expression gives that matters: itself, or an element of a tuple or list display."""
    if isinstance(expr, Collection):
        inner = (kept_by(values, scope, item) for item in expr.items)
        return next((one._replace(inside=True) for one in inner if one is not None), None)
    return kept(values, values.instance(scope, expr))


def held(values: Values, instance: Instance | None) -> Kept | None:
    """An object of a project's class that holds an agent, a graph, a session or a resource in a field."""
    if instance is None or not isinstance(instance.cls, ClassFacts):
        return None
    found = _inside(values, fields(values, instance.cls))
    return Kept(instance, found.kind, inside=True) if found is not None and found.kind in _HEAVY else None


def _inside(values: Values, instances: Iterable[Instance]) -> Kept | None:
    found = (kept(values, instance) for instance in instances)
    return next((one._replace(inside=True) for one in found if one is not None), None)


def fields(values: Values, cls: ClassFacts) -> Iterator[Instance]:
    """What the class body annotates its fields with, and what the constructor stores under annotations."""
    for ancestor in values.project.lineage(cls).classes:
        for bindings in ancestor.scope.bindings.values():
            for binding in bindings:
                if isinstance(binding, Assigned):
                    yield from values.annotation(ancestor.scope, binding.stmt.annotation)
        constructor = ancestor.methods.get("__init__")
        if constructor is not None:
            for stmt in walk(constructor.node.body, into=False):
                if isinstance(stmt, Bind) and any(attribute_of(t, constructor.receiver) for t in stmt.targets):
                    stored = values.instance(constructor.scope, stmt.value)
                    yield from values.annotation(constructor.scope, stmt.annotation) or filter(None, [stored])


def owned_by(values: Values, instance: Instance) -> list[Owned]:
    """The resources, light ones aside, that objects of a project's class acquire and hold."""
    if not isinstance(instance.cls, ClassFacts):
        return []
    return [owned for owned in Owner.of(values, instance.cls).owned if owned.is_heavy]


def _is_heavy(resource: Resource) -> bool:
    return resource.weight in {"high", "medium"} and resource.category != "llm"
