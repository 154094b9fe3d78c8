"""Memoizers: the decorators that keep what passes through a function, the catalogue's and the project's own.

One of the project's own is a decorator around a memoizer of the catalogue, or one whose inner function stores what the
function under it returns in a dict that outlives the call, and never takes anything out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from toollint.analyses.values import Values
from toollint.catalog import Memoizer
from toollint.facts import Assigned, ClassFacts, FunctionFacts, Scope
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Const,
    Delete,
    Dict,
    Expr,
    Index,
    Name,
    argument,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    subscripted,
    walk,
)

_DICTS = frozenset({"dict", "OrderedDict", "defaultdict"})
_EVICTIONS = frozenset({"pop", "popitem", "clear"})
_COPY_OR_EXPIRE = ("ttl", "serializer")
"""Arguments of memoizers whose entries go by themselves, or are no objects but their bytes."""


class Applied(NamedTuple):
    """A memoizer as it stands over a function.

    ``row`` is None for the project's own. ``bound`` is how many entries it keeps, where that is known; ``unlimited``
    says that nothing is ever pushed out.
    """

    name: str
    row: Memoizer | None = None
    keeps_arguments: bool = True
    bound: int | None = None
    unlimited: bool = False


def applied(values: Values, scope: Scope, expr: Expr) -> Applied | None:
    """The memoizer that a decorator is, None for one that memoizes nothing or keeps nothing alive."""
    target = values.project.resolve(scope, callee(expr) or expr)
    if isinstance(target, Library):
        return _of_library(values, scope, target, last_call(expr))
    if isinstance(target, FunctionFacts):
        return Applied(target.name) if _memoizes(values, target, frozenset()) else None
    if isinstance(target, ClassFacts):
        return Applied(target.name) if _objects_memoize(target) else None
    if isinstance(target, Variable) and callee(expr) is None:
        value = _only_value(target)  # memo = lru_cache(maxsize=32)
        return applied(values, target.scope, value) if value is not None and callee(value) is not None else None
    return None


def _of_library(values: Values, scope: Scope, target: Library, call: Call | None) -> Applied | None:
    row = values.catalog.memoizer(target.name)
    if row is None or row.keeps == "nothing" or row.per_instance:
        return None
    found = Applied(row.name.rpartition(".")[2], row, row.keeps == "all", row.bound, row.bound is None)
    if call is None:
        return found
    if any(not is_none(argument(call, name) or Const(None, 0, 0)) for name in _COPY_OR_EXPIRE):
        return None
    size, store = argument(call, "maxsize", 0), argument(call, row.store, 0) if row.store else None
    if store is not None:
        limits = _store_limits(values, scope, store)
        if limits is None:
            return None
        found = found._replace(unlimited=limits == "never")
    elif size is not None:
        bound = size.value if isinstance(size, Const) and isinstance(size.value, int) else None
        if bound == 0:
            return None
        found = found._replace(bound=bound, unlimited=is_none(size))
    return found._replace(keeps_arguments=found.keeps_arguments and argument(call, "key") is None)


def _store_limits(values: Values, scope: Scope, store: Expr) -> str | None:
    """What limits the container that a memoizer is given; None where it lets its entries go, or is not understood."""
    if isinstance(store, Dict):
        return "never"
    made = callee(store)
    target = values.project.resolve(scope, made or store)
    if isinstance(target, Variable):
        value = _only_value(target)
        return None if value is None or isinstance(value, Name) else _store_limits(values, target.scope, value)
    row = values.catalog.container(target.name) if made is not None and isinstance(target, Library) else None
    return None if row is None or row.weak or row.expires else row.bound


def _only_value(variable: Variable) -> Expr | None:
    """What the one assignment to a variable gives it."""
    binding = variable.bindings[0]
    return binding.stmt.value if len(variable.bindings) == 1 and isinstance(binding, Assigned) else None


# --- the project's own -------------------------------------------------------------------------------------------


def _memoizes(values: Values, decorator: FunctionFacts, given: frozenset[str]) -> bool:
    """Whether a decorator (or the factory of one) memoizes; ``given`` are the parameters around it."""
    given |= {param.name for param in decorator.node.params}
    if any(_hands_to_memoizer(values, decorator.scope, node, given) for node in walk(decorator.node.body, into=False)):
        return True
    return any(
        (_calls(inner.node.body, given) and _is_memoized(values, inner))
        or _stores_results(inner, given)
        or _memoizes(values, inner, given)
        for inner in _inner(decorator)
    )


def _inner(function: FunctionFacts) -> Iterator[FunctionFacts]:
    for bindings in function.scope.bindings.values():
        yield from (binding for binding in bindings if isinstance(binding, FunctionFacts))


def _is_memoized(values: Values, function: FunctionFacts) -> bool:
    return any(_is_library_memoizer(values, function.outer, decorator) for decorator in function.decorators)


def _is_library_memoizer(values: Values, scope: Scope, expr: Expr) -> bool:
    return isinstance(values.project.resolve(scope, callee(expr) or expr), Library) and bool(
        applied(values, scope, expr)
    )


def _hands_to_memoizer(values: Values, scope: Scope, node: object, given: frozenset[str]) -> bool:
    """Whether it is ``lru_cache(...)(function)``, with a parameter in the last call."""
    call, maker = (last_call(node), callee(node)) if isinstance(node, Chain) else (None, None)
    if call is None or maker is None or len(call.args) != 1:
        return False
    passed = any(isinstance(part, Name) and part.id in given for part in walk(call.args[0].value))
    return passed and _is_library_memoizer(values, scope, maker)


def _calls(node: object, names: frozenset[str]) -> bool:
    """Whether one of the names is called anywhere inside."""
    return any(
        isinstance(part, Chain)
        and isinstance(part.base, Name)
        and part.base.id in names
        and isinstance(part.links[0], Call)
        for part in walk(node)
    )


def _stores_results(inner: FunctionFacts, given: frozenset[str]) -> bool:
    """Whether a wrapper stores what the wrapped function returns in a dict around it, and evicts nothing."""
    return any(
        _is_outer_dict(inner, head) and not _is_evicted(inner, last_name(head))
        for head in _stored(inner, lambda value: _calls(value, given))
    )


def _stored(function: FunctionFacts, is_result: Callable[[Expr], bool]) -> Iterator[Expr]:
    """Each ``head`` of ``head[key] = value``, where the value is a result, directly or by a local name."""
    for stmt in walk(function.node.body, into=False):
        if not isinstance(stmt, Bind) or stmt.value is None:
            continue
        local = function.scope.bindings.get(stmt.value.id, ()) if isinstance(stmt.value, Name) else ()
        made = [b.stmt.value for b in local if isinstance(b, Assigned) and b.stmt.value is not None]
        if any(map(is_result, [stmt.value, *made])):
            yield from (subscripted(target)[0] for target in stmt.targets if subscripted(target)[1])


def _is_outer_dict(inner: FunctionFacts, head: Expr) -> bool:
    """Whether it is a dict made outside of the wrapper: a variable around it, or an attribute of the wrapper."""
    if isinstance(head, Chain):
        if isinstance(head.links[-1], Index):
            return _is_outer_dict(inner, subscripted(head)[0])
        found = inner.scope.find(head.base.id) if isinstance(head.base, Name) else None
        return found is not None and isinstance(found[1][-1], FunctionFacts)
    found = inner.scope.find(head.id) if isinstance(head, Name) else None
    return (
        found is not None
        and found[0] is not inner.scope
        and all(isinstance(binding, Assigned) and _is_new_dict(binding.stmt.value) for binding in found[1])
    )


def _is_new_dict(value: Expr | None) -> bool:
    if isinstance(value, Dict):
        return not value.items
    return value is not None and last_call(value) is not None and last_name(value) in _DICTS


def _is_evicted(function: FunctionFacts, store: str) -> bool:
    """Whether the function, or one that stands beside it, takes entries out of the dict."""
    around = function.outer.owner
    body = around.node.body if isinstance(around, FunctionFacts) else function.node.body
    return any(
        any(last_name(subscripted(target)[0]) == store for target in node.targets)
        if isinstance(node, Delete)
        else isinstance(node, Chain) and last_name(node) in _EVICTIONS and store in _names(node)
        for node in walk(body)
    )


def _names(chain: Chain) -> set[str]:
    base = {chain.base.id} if isinstance(chain.base, Name) else set()
    return base | {link.name for link in chain.links if isinstance(link, Attr)}


def _objects_memoize(cls: ClassFacts) -> bool:
    """Whether objects of a class memoize a function: ``__call__`` stores its results in a dict of ``__init__``."""
    init, call = cls.methods.get("__init__"), cls.methods.get("__call__")
    if init is None or call is None:
        return False
    made = [stmt for stmt in init.node.body if isinstance(stmt, Bind) and stmt.value is not None]
    stores = {
        attribute_of(target, init.receiver) for stmt in made for target in stmt.targets if _is_new_dict(stmt.value)
    }
    wrapped = {
        attribute_of(target, init.receiver)
        for stmt in made
        for target in stmt.targets
        if isinstance(stmt.value, Name) and stmt.value.id in {param.name for param in init.node.params}
    }

    def is_result(value: Expr) -> bool:
        return any(attribute_of(callee(node) or node, call.receiver) in wrapped - {None} for node in _chains(value))

    found = [attribute_of(head, call.receiver) for head in _stored(call, is_result)]
    return any(name in stores and name is not None and not _is_evicted(call, name) for name in found)


def _chains(value: Expr) -> Iterator[Chain]:
    return (node for node in walk(value) if isinstance(node, Chain))
