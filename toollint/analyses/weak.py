"""Whether a container can hold its entries weakly, and how its declaration then reads."""

from __future__ import annotations

import re

from toollint.analyses.kinds import Kept
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.values import Instance, Values
from toollint.catalog import Type
from toollint.facts import Assigned, ClassFacts, Parameter, Scope
from toollint.model import AddImport, Replace
from toollint.project import Library, Variable
from toollint.syntax import Dict, Expr, Name, callee, last_call, walk

_SUPPORTED = frozenset({"[]", "in", "get", "setdefault", "pop"})
_SCALARS = frozenset({"builtins.str", "builtins.int", "builtins.float", "builtins.bool", "builtins.bytes"})
_IDENTITY = frozenset({"__eq__", "__hash__", "__slots__"})
_WRAPPED_DICT = re.compile(
    r"""(?P<outside>["']?(?:(?:\w+\.)*(?:ClassVar|Final)\[)*)(?:typing\.)?[dD]ict(?P<inside>\W.*)?""", re.DOTALL
)
_PROTOCOL = re.compile(r"(?:\w+\.)*(?:Mutable)?Mapping\[.*", re.DOTALL)


def weak_declaration(box: Container, weak: str) -> tuple[Replace | AddImport, ...]:
    """The steps that make a container ``weakref.<weak>``; none where its declaration or a use does not allow it."""
    value, annotation = box.stmt.value, box.stmt.annotation
    if value is None or not _is_new_dict(value) or not all(_is_supported(use) for use in box.uses):
        return ()
    made = (Replace(box.at(value), f"weakref.{weak}()"), AddImport(box.place.path, "weakref"))
    if annotation is None:
        return made
    text = box.text(annotation)
    found = _WRAPPED_DICT.fullmatch(text)
    if found is not None:
        return (Replace(box.at(annotation), f"{found['outside']}weakref.{weak}{found['inside'] or ''}"), *made)
    return made if _PROTOCOL.fullmatch(text) else ()


def _is_new_dict(value: Expr) -> bool:
    if isinstance(value, Dict):
        return not value.items
    function, call = callee(value), last_call(value)
    return isinstance(function, Name) and function.id == "dict" and call is not None and not call.args


def _is_supported(use: Use) -> bool:
    """Whether a weak dict can do the same."""
    return use.what in {"read", "write", "lend"} and use.how in _SUPPORTED and not use.nested


def identifies(values: Values, key: Kept, row: Type | None) -> bool:
    """Whether keys of that type are known to be hashed and compared by identity, and weakly referenceable."""
    return not key.inside and row is not None and row.weak_key_safe and not _defines(values, key.instance, _IDENTITY)


def is_hashable(values: Values, key: Kept, row: Type | None) -> bool:
    """Whether keys of that type can be hashed, as far as is known."""
    return row is None or row.hashable or _defines(values, key.instance, frozenset({"__hash__"}))


def referenceable(values: Values, kept: Kept, row: Type | None) -> bool:
    """Whether values of that type are known to be weakly referenceable."""
    slots = frozenset({"__slots__"})
    return not kept.inside and row is not None and row.weak_value_valid and not _defines(values, kept.instance, slots)


def _defines(values: Values, instance: Instance, names: frozenset[str]) -> bool:
    """Whether a project's class, before its framework's base, defines one of the names."""
    if not isinstance(instance.cls, ClassFacts):
        return False
    return any(names & set(cls.scope.bindings) for cls in values.project.lineage(instance.cls).classes)


# --- from the value to the key -----------------------------------------------------------------------------------


def may_reach(box: Container, write: Use, key: Expr) -> bool:
    """Whether the object that is stored could refer to ``key``: False only where that is certain."""
    if len(box.annotated) > 1 and all(_is_scalar(value) for value in box.annotated[1]) and box.annotated[1]:
        return False
    names = {node.id for node in walk(key) if isinstance(node, Name)}
    return _mentions(box.values, write.code.scope, write.value, names, frozenset())


def _mentions(values: Values, scope: Scope, value: Expr | None, names: set[str], seen: frozenset[str]) -> bool:
    fresh = {node.id for node in walk(value) if isinstance(node, Name)} - seen
    return bool(fresh & names) or any(_may_lead_to(values, scope, name, names, seen | fresh) for name in fresh)


def _may_lead_to(values: Values, scope: Scope, name: str, names: set[str], seen: frozenset[str]) -> bool:
    target = values.project.named(scope, name)
    if isinstance(target, ClassFacts):
        return not _has_scalar_fields(values, target)
    if not isinstance(target, Variable):
        return not isinstance(target, Library)
    return not all(
        (isinstance(binding, Parameter) and _is_scalar_parameter(values, scope, binding))
        or (
            isinstance(binding, Assigned)
            and target.scope is scope
            and not _mentions(values, scope, binding.stmt.value, names, seen)
        )
        for binding in target.bindings
    )


def _is_scalar(instance: Instance) -> bool:
    return isinstance(instance.cls, Library) and instance.cls.name in _SCALARS


def _is_scalar_parameter(values: Values, scope: Scope, binding: Parameter) -> bool:
    found = values.annotation(scope, binding.param.annotation)
    return bool(found) and all(map(_is_scalar, found))


def _has_scalar_fields(values: Values, cls: ClassFacts) -> bool:
    """Whether objects of a project's class can hold nothing but numbers and strings."""
    lineage = values.project.lineage(cls)
    if not lineage.known:
        return False
    for ancestor in lineage.classes:
        for bindings in ancestor.scope.bindings.values():
            for binding in bindings:
                if isinstance(binding, Assigned):
                    found = values.annotation(ancestor.scope, binding.stmt.annotation)
                    if not found or not all(map(_is_scalar, found)):
                        return False
        if "__init__" in ancestor.methods:
            return False
    return True
