"""What passes through a function, in or out, and is worth a finding when something keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.kinds import Kept, fields, kept, kept_by
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.values import Instance, Values
from toollint.facts import ClassFacts, FunctionFacts, Scope
from toollint.project import Library
from toollint.syntax import Attr, Call, Chain, Comprehension, Expr, Name, Param, Return, last_name, prefix, walk

_HEAVY = frozenset({"tool", "agent", "graph", "runnable", "resource", "session", "component"})
_OPEN_TYPES = frozenset({"typing.Any", "builtins.object"})
_FINITE = frozenset({"builtins.type", "builtins.bool", "typing.Type", "typing.Literal", "typing_extensions.Literal"})
_CLOSERS = frozenset({"close", "aclose", "shutdown", "disconnect", "dispose", "__exit__", "__aexit__", "__del__"})
_INSPECTORS = frozenset({"signature", "getsource", "unwrap", "isfunction", "ismethod", "iscoroutinefunction"})
_CODE_ATTRIBUTES = frozenset({"__code__", "__closure__", "__wrapped__", "__defaults__", "__globals__", "__self__"})
_CLASS_NAME = re.compile(r".*(?:cls|class|klass|type|model)_?")

_SETTING = re.compile(
    r"(?:\w+_)?timeouts?|(?:max_)?retries|(?:\w+_)?(?:version|region|region_name|device|dtype)|verify\w*"
)
"""Parameters of which a program has one value, or a few."""


class Weight(NamedTuple):
    """An object that is worth a finding: ``name`` is its class; for functions both words are ``callable``.

    ``holds`` is what makes it so where it is an object of the project or a closure: something heavy inside. ``owned``
    is what an object of the project acquires and keeps.
    """

    name: str
    kind: str
    holds: Kept | None = None
    owned: Owned | None = None


_CALLABLE = Weight("callable", "callable")


def of_class(values: Values, cls: ClassFacts) -> Weight | None:
    """What objects of a class weigh by what they are (not by what they hold)."""
    found = kept(values, Instance(cls))
    return Weight(cls.name, found.kind, owned=_owned(values, cls)) if found and found.kind in _HEAVY else None


def taken(values: Values, function: FunctionFacts, param: Param) -> Weight | None:
    """What a function takes by a parameter: by its annotation, or as a function where the body uses it as one."""
    alternatives = values.annotation(function.scope, param.annotation)
    found = _heaviest(values, alternatives, _HEAVY | {"callable"})
    if found is None and _is_open(alternatives) and _is_used_as_function(function, param.name):
        return _CALLABLE
    return found


def returned(
    values: Values, function: FunctionFacts, *, without_end: bool = False
) -> tuple[Weight, Expr | Return] | None:
    """What a function returns, and the annotation or statement that says so.

    What a model answered weighs something only where it is collected ``without_end``.
    """
    kinds = _HEAVY | {"answer"} if without_end else _HEAVY
    annotation = function.node.returns
    alternatives = values.annotation(function.scope, annotation)
    found = _heaviest(values, alternatives, kinds)
    if found is None and any(_are_callables(values, one) for one in alternatives):
        found = _CALLABLE
    if found is not None and annotation is not None:
        return found, annotation
    if not _is_open(alternatives) and not any(_is_callable(values, one) for one in alternatives):
        return None
    results = [node for node in walk(function.node.body, into=False) if isinstance(node, Return)]
    made = ((_made(values, function.scope, node.value, kinds), node) for node in results)
    return next(((weight, node) for weight, node in made if weight is not None), None)


def is_finite(values: Values, function: FunctionFacts, param: Param) -> bool:
    """Whether a parameter has few values only: classes, flags, literals, members of an enum, settings by their name."""
    if _SETTING.fullmatch(param.name):
        return True
    alternatives = values.annotation(function.scope, param.annotation)
    return bool(alternatives) and all(_is_finite_type(values, one) for one in alternatives)


# --- objects -----------------------------------------------------------------------------------------------------


def _heaviest(values: Values, alternatives: tuple[Instance, ...], kinds: frozenset[str]) -> Weight | None:
    return next(filter(None, (_weighed(values, instance, kinds) for instance in alternatives)), None)


def _weighed(values: Values, instance: Instance, kinds: frozenset[str]) -> Weight | None:
    """What an object weighs: by its kind, because somebody has to close it, or by what one of its fields holds."""
    found = kept(values, instance)
    if found is not None and found.kind in kinds:
        return _CALLABLE if found.kind == "callable" else _of_kept(values, found)
    if not isinstance(instance.cls, ClassFacts):
        return None
    lineage = values.project.lineage(instance.cls)
    if "callable" in kinds and "typing.Protocol" in lineage.libraries and "__call__" in instance.cls.methods:
        return _CALLABLE
    if any(not _CLOSERS.isdisjoint(cls.methods) for cls in lineage.classes):
        return Weight(instance.name, "resource", owned=_owned(values, instance.cls))
    held = _first((kept(values, field) for field in fields(values, instance.cls)), kinds)
    return None if held is None else Weight(instance.name, "object", held)


def _of_kept(values: Values, found: Kept) -> Weight:
    return Weight(found.name, found.kind, owned=_owned(values, found.instance.cls))


def _owned(values: Values, cls: Library | ClassFacts) -> Owned | None:
    return next(iter(Owner.of(values, cls).owned), None) if isinstance(cls, ClassFacts) else None


def _made(values: Values, scope: Scope, value: Expr | None, kinds: frozenset[str]) -> Weight | None:
    """What a returned expression gives: an object, a list of them, or a closure over one."""
    if isinstance(value, Comprehension):
        return _made(values, scope, value.elements[-1], kinds)
    target = values.project.resolve(scope, value) if isinstance(value, Name) else None
    if isinstance(target, FunctionFacts) and target.outer is scope and values.decorated_tool(target) is None:
        return _closure(values, target)
    found = kept_by(values, scope, value)
    if found is not None and found.kind in kinds:
        return _of_kept(values, found)
    instance = values.instance(scope, value)
    return None if instance is None else _weighed(values, instance, kinds)


def _closure(values: Values, function: FunctionFacts) -> Weight | None:
    """A function that its maker gives something heavy to hold."""
    used = [node for node in walk(function.node.body) if isinstance(node, Name)]
    captured = (kept_by(values, function.outer, node) for node in used if node.id in function.outer.bindings)
    held = _first(captured, _HEAVY)
    return None if held is None else Weight("callable", "callable", held)


def _first(found: Iterator[Kept | None], kinds: frozenset[str]) -> Kept | None:
    return next((one for one in found if one is not None and one.kind in kinds), None)


def _is_callable(values: Values, instance: Instance) -> bool:
    found = kept(values, instance)
    return found is not None and found.kind == "callable"


def _are_callables(values: Values, instance: Instance) -> bool:
    """Whether it is a container of callables: in an agent, its tools."""
    return _is_callable(values, instance) and values.type_of(instance) is None


def _is_finite_type(values: Values, instance: Instance) -> bool:
    if isinstance(instance.cls, Library):
        return instance.cls.name in _FINITE
    return any(name.startswith("enum.") for name in values.project.lineage(instance.cls).libraries)


# --- functions ---------------------------------------------------------------------------------------------------


def _is_open(alternatives: tuple[Instance, ...]) -> bool:
    """Whether an annotation (or its absence) allows everything."""
    return not alternatives or any(isinstance(one.cls, Library) and one.cls.name in _OPEN_TYPES for one in alternatives)


def _is_used_as_function(function: FunctionFacts, name: str) -> bool:
    """Whether the body calls the parameter, or looks into it as one looks into a function: signature, code, closure."""
    chains = [node for node in walk(function.node.body) if isinstance(node, Chain)]
    return any(_starts_as_function(chain, name) or _is_inspected(chain, name) for chain in chains)


def _starts_as_function(chain: Chain, name: str) -> bool:
    if not isinstance(chain.base, Name) or chain.base.id != name:
        return False
    first = chain.links[0]
    if isinstance(first, Attr):
        return first.name in _CODE_ATTRIBUTES
    return isinstance(first, Call) and _CLASS_NAME.fullmatch(name) is None


def _is_inspected(chain: Chain, name: str) -> bool:
    return any(
        isinstance(link, Call)
        and last_name(prefix(chain, index)) in _INSPECTORS
        and any(isinstance(arg.value, Name) and arg.value.id == name for arg in link.args)
        for index, link in enumerate(chain.links)
    )
