"""What whoever makes an object of a project's class owes: the release of what its constructor opens and keeps.

Stricter than `toollint.analyses.ownership.Owner.duty`, which asks whether an object may hold something at some time of
its life: here it must hold it as soon as it is made, must have a method that lets go of it, and nothing of its own may
see to that when it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from toollint.analyses.claims import is_constructor
from toollint.analyses.origins import Kind
from toollint.analyses.ownership import Owner
from toollint.analyses.teardown import Teardown
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import ClassFacts

PROJECT = "the project's code"
"""How it is known that objects of the project's classes have to be released."""
_WEIGHTS = ("none", "low", "medium", "high")
_LEAKS = ("unknown", "freed by refcount", "freed by full gc pass", "open after gc")


def obligation(values: Values, cls: ClassFacts) -> Acquisition | None:
    """What making an object of the class acquires; None where that is nothing, or nothing is known to release it."""
    owner = Owner.of(values, cls)
    duty = owner.duty
    if duty is None or owner.hands_over or any("__del__" in one.methods for one in owner.lineage.classes):
        return None
    opened = [*_opened(values, cls)]
    if Teardown(owner).missed:
        return None  # its closer does not do it: whoever makes an object cannot mend that (TL102)
    if not opened or not (duty.resource.release or "releases" in {duty.resource.with_, duty.resource.async_with}):
        return None
    weightiest = max(opened, key=lambda one: _WEIGHTS.index(one.resource.weight))
    resource = duty.resource._replace(
        category=weightiest.resource.category,
        weight=weightiest.resource.weight,
        note=weightiest.resource.name.rpartition(".")[2],
        leak=max((one.resource.leak for one in opened), key=_LEAKS.index),
    )
    return duty._replace(resource=resource, lazy=all(one.lazy is not False for one in opened))


def _opened(values: Values, cls: ClassFacts) -> Iterator[Acquisition]:
    """The heavy resources that the constructor opens and keeps, its own and those of what it makes."""
    seen = {cls}
    left = [cls]
    while left:
        for claim in Owner.of(values, left.pop()).kept_open:
            if claim.kind is not Kind.MADE or claim.function is None or not is_constructor(claim.function):
                continue
            if isinstance(claim.made, ClassFacts):
                if claim.made not in seen:
                    seen.add(claim.made)
                    left.append(claim.made)
            elif claim.made is not None and claim.made.resource.weight in _WEIGHTS[2:]:
                yield claim.made
