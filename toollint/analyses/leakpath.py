"""The leak path: from what lives on, over the fields of the objects that it keeps, to the resource at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toollint.analyses.kinds import Kept, named_fields, owned_by
from toollint.analyses.kinds import kept as kept_of
from toollint.analyses.values import Instance, Values
from toollint.facts import ClassFacts
from toollint.model import Hop
from toollint.project import Library

_HOPS = 6
_CLASSES = 40
"""How many classes are looked through on the way: the nearest resource is near."""
_ENDS = frozenset({"agent", "graph", "session", "resource", "tool"})


def leak_path(values: Values, root: Sequence[Hop], kept: Kept) -> list[Hop]:
    """The whole chain, at most six hops; of a longer one the middle is counted, not shown."""
    hops = [*root, *_to_resource(values, kept.instance)]
    if len(hops) <= _HOPS:
        return hops
    left_out = hops[_HOPS - 2 : -1]
    return [*hops[: _HOPS - 2], Hop(f"… {len(left_out)} more", left_out[0].place), hops[-1]]


def _to_resource(values: Values, instance: Instance) -> list[Hop]:
    """The shortest way over fields to something that holds a resource, or is heavy by itself."""
    queue: list[tuple[Instance, list[Hop]]] = [(instance, [])]
    seen: set[object] = set()
    for current, hops in queue:  # grows on the way
        if not isinstance(current.cls, ClassFacts) or current.cls in seen or len(seen) > _CLASSES:
            continue
        seen.add(current.cls)
        for owned in owned_by(values, current):
            return [*hops, Hop(f"its `{owned.attribute}`: {owned.acquisition.resource.name}", owned.place)]
        for name, field, place in named_fields(values, current.cls):
            step = [*hops, Hop(f"its `{name}`: {field.name}", place)]
            for inner in _within(field):
                if isinstance(inner.cls, Library) and _is_heavy(values, inner):
                    return step
                queue.append((inner, step))
    return []


def _within(instance: Instance) -> Iterator[Instance]:
    """The object, and what a container of a known type has as elements."""
    yield instance
    for alternatives in instance.args:
        for one in alternatives:
            yield from _within(one)


def _is_heavy(values: Values, instance: Instance) -> bool:
    found = kept_of(values, instance)
    return found is not None and found.kind in _ENDS
