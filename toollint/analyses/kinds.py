"""What an object is worth keeping an eye on: the kinds that caches must not collect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.values import Instance, Values
from toollint.catalog import Resource
from toollint.facts import Assigned, ClassFacts, FunctionFacts, Scope
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Bind, Collection, Expr, last_name

_ELEMENTS = frozenset(
    {"list", "tuple", "set", "frozenset", "List", "Tuple", "Set", "Sequence", "Iterable", "Collection"}
)
_COLLECT = frozenset({"list", "List", "set", "Set", "deque", "Deque"})
_ENTRIES = frozenset({"dict", "defaultdict", "OrderedDict", "Dict", "DefaultDict", "Mapping", "MutableMapping"})
_HEAVY = frozenset({"agent", "graph", "session", "resource"})
_WORK = {
    "asyncio.Task": "task",
    "asyncio.Future": "task",
    "concurrent.futures.Future": "task",
    "typing.Callable": "callback",
    "collections.abc.Callable": "callback",
}
_DATA = frozenset({"typing.TypedDict", "typing_extensions.TypedDict", "typing.NamedTuple", "builtins.type"})


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


def held(values: Values, instance: Instance | None, depth: int = 3) -> Kept | None:
    """An object of a project's class that holds an agent, a graph, a session or a resource, in a field or deeper."""
    if instance is None or not isinstance(instance.cls, ClassFacts):
        return None
    found = (kept(values, field) or held(values, field, depth - 1) for field in fields(values, instance.cls))
    heavy = (one for one in found if one is not None and one.kind in _HEAVY) if depth else ()
    return next((Kept(instance, one.kind, inside=True) for one in heavy), None)


def is_history(values: Values, found: Kept) -> bool:
    """Whether it is the memory of a conversation: it grows by itself, and its users want it to last."""
    row = values.type_of(found.instance)
    return row is not None and row.kind == "session" and row.role == "memory"


def object_of(values: Values, instance: Instance | None) -> Kept | None:
    """What an object is that stands for something going on: what matters, a task, a callback, an object of the project.

    Enums, exceptions and plain records of the kind of `TypedDict` are none.
    """
    if instance is None:
        return None
    if isinstance(instance.cls, Library):
        found = kept(values, instance)
        if found is not None and found.kind:
            return found
        kind = _WORK.get(instance.cls.name)
        return Kept(instance, kind) if kind is not None else _first_inside(values, instance)
    lineage = values.project.lineage(instance.cls)
    plain = any(name.startswith("enum.") or name in _DATA for name in lineage.libraries)
    raised = any(name.startswith("builtins.") and name.endswith(("Exception", "Error")) for name in lineage.libraries)
    return None if plain or raised else kept(values, instance) or Kept(instance, "object")


def is_record(values: Values, found: Kept) -> bool:
    """Whether an object is no more than its fields, and these neither stand for anything nor collect: a dataclass."""
    cls = found.instance.cls
    if not isinstance(cls, ClassFacts):
        return False
    if any(field.name in _COLLECT or object_of(values, field) for field in fields(values, cls)):
        return False
    lineage = values.project.lineage(cls)
    words = {last_name(one) for above in lineage.classes for one in above.node.decorators}
    bases = [values.catalog.base(name) for name in lineage.libraries]
    made = not words.isdisjoint({"dataclass", "define", "frozen"}) or any(base and base.pydantic for base in bases)
    return made and not any(above.methods for above in lineage.classes)


def _first_inside(values: Values, instance: Instance) -> Kept | None:
    """The first object that a container of a known type has as an element or value."""
    parts = instance.args if instance.name in _ELEMENTS else instance.args[1:] if instance.name in _ENTRIES else ()
    found = (object_of(values, element) for alternatives in parts for element in alternatives)
    return next((one._replace(inside=True) for one in found if one is not None), None)


def _inside(values: Values, instances: Iterable[Instance]) -> Kept | None:
    found = (kept(values, instance) for instance in instances)
    return next((one._replace(inside=True) for one in found if one is not None), None)


def fields(values: Values, cls: ClassFacts) -> Iterator[Instance]:
    """What the class body annotates its fields with, and what the constructor stores under annotations."""
    return (instance for _, instance, _ in named_fields(values, cls))


def named_fields(values: Values, cls: ClassFacts) -> Iterator[tuple[str, Instance, Place]]:
    """The same with the names of the fields and where they stand."""
    for ancestor in values.project.lineage(cls).classes:
        for name, bindings in ancestor.scope.bindings.items():
            for binding in bindings:
                if isinstance(binding, Assigned):
                    place = ancestor.at(binding.stmt.start, binding.stmt.end)
                    declared = values.annotation(ancestor.scope, binding.stmt.annotation)
                    yield from ((name, instance, place) for instance in declared)
        for name, assigned in ancestor.assignments.items():
            for function, stmt in assigned:
                if function.name == "__init__":
                    place = function.at(stmt.start, stmt.end)
                    yield from ((name, instance, place) for instance in _stored(values, function, stmt))


def _stored(values: Values, constructor: FunctionFacts, stmt: Bind) -> tuple[Instance, ...]:
    """What a constructor stores in an attribute, by its annotation or its value."""
    declared = values.annotation(constructor.scope, stmt.annotation)
    value = values.instance(constructor.scope, stmt.value)
    return declared or (() if value is None else (value,))


def owned_by(values: Values, instance: Instance) -> list[Owned]:
    """The resources, light ones aside, that objects of a project's class acquire and hold."""
    if not isinstance(instance.cls, ClassFacts):
        return []
    return [owned for owned in Owner.of(values, instance.cls).owned if owned.is_heavy]


def _is_heavy(resource: Resource) -> bool:
    return resource.weight in {"high", "medium"} and resource.category != "llm"
