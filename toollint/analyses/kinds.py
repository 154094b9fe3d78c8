"""What an object is worth keeping an eye on: the kinds that caches must not collect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.ownership import Owner
from toollint.analyses.values import Instance, Values
from toollint.facts import Assigned, ClassFacts, Scope
from toollint.project import Library
from toollint.syntax import Collection, Expr

_CONTAINERS = frozenset(
    {"list", "tuple", "set", "frozenset", "List", "Tuple", "Set", "Sequence", "Iterable", "Collection"}
)
_MAPPINGS = frozenset({"dict", "defaultdict", "OrderedDict", "Dict", "DefaultDict", "Mapping", "MutableMapping"})
_HELD = frozenset({"agent", "graph", "session", "tool", "resource"})


class Kept(NamedTuple):
    """An object that something keeps: its class, and what it is (``tool``, ``graph``, ``resource``, ...).

    ``inside``: it is an element of a tuple or list, or held in a field, not the thing that was asked about.
    """

    instance: Instance
    kind: str
    inside: bool = False

    @property
    def name(self) -> str:
        """The class's name as a message gives it."""
        return self.instance.name


def kept(values: Values, instance: Instance | None) -> Kept | None:
    """What an object is, None where it is nothing that matters (numbers, strings, classes of plain data)."""
    if instance is None:
        return None
    itself = _itself(values, instance)
    if itself is not None:
        return itself
    if instance.name in _CONTAINERS:
        return _first(values, [element for alternatives in instance.args for element in alternatives])
    if instance.name in _MAPPINGS:
        return _first(values, [element for alternatives in instance.args[1:] for element in alternatives])
    if isinstance(instance.cls, ClassFacts):
        return _first(values, [*_fields(values, instance.cls)])
    return None


def kept_by(values: Values, scope: Scope, expr: Expr | None) -> Kept | None:
    """What an expression gives that matters: itself, or an element of a tuple or list display."""
    if isinstance(expr, Collection):
        inner = (kept_by(values, scope, item) for item in expr.items)
        return next((one._replace(inside=True) for one in inner if one is not None), None)
    return kept(values, values.instance(scope, expr))
