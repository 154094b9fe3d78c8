"""Objects that die with the statement that makes them, unless somebody keeps them.

A method is bound anew each time that it is read; a lambda, a partial and a new object have only those that the
statement gives them to. An object that gives itself away while it is made is somebody's, and so is, to be careful, each
object of a class whose making is not understood.
"""

from __future__ import annotations

from typing import NamedTuple

from toollint.analyses.holding import bound_method
from toollint.analyses.values import Values, is_property
from toollint.analyses.weakly import Weakly
from toollint.facts import Assigned, ClassFacts, FunctionFacts, Scope
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Class,
    Const,
    Def,
    Evaluate,
    Expr,
    Lambda,
    Name,
    Return,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_PARTIAL = Library("functools.partial")
_MAKERS = ("__init__", "__post_init__")
_UNPLAIN = frozenset({"__new__", "__getattribute__", "__init_subclass__"})
_PLAIN_BASES = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})
_PLAIN_DECORATORS = frozenset({"abstractmethod", "override", "final", "dataclass", "total_ordering"})
_STEPS = 3
"""How many methods of an object are followed from its constructor."""


class Temporary(NamedTuple):
    """An object that nobody holds: a ``method``, ``lambda``, ``partial``, ``function`` or ``object``.

    ``name`` is what a message calls it, ``place`` where its method or class is defined, where that is in the project.
    """

    kind: str
    name: str
    place: Place | None = None


def temporary(weakly: Weakly) -> Temporary | None:
    """What is held weakly, where nobody holds it any other way when the statement or function is over."""
    found = _made(weakly, weakly.held) or _local(weakly)
    return None if found is None or _is_given_on(weakly) else found


def _made(weakly: Weakly, expr: Expr) -> Temporary | None:
    """What an expression makes anew."""
    if isinstance(expr, Lambda):
        return Temporary("lambda", "lambda")
    if not isinstance(expr, Chain):
        return None
    if isinstance(expr.links[-1], Attr):
        return _method(weakly, expr)
    return _called(weakly, expr, expr.links[-1]) if isinstance(expr.links[-1], Call) else None


def _called(weakly: Weakly, chain: Chain, call: Call) -> Temporary | None:
    """The partial or the object that a call makes."""
    target = weakly.values.of(weakly.code.scope, callee(chain))
    if target == _PARTIAL:
        return Temporary("partial", "partial")
    if isinstance(target, ClassFacts):
        is_kept = gives_itself_away(weakly.values, target)
        return None if is_kept else Temporary("object", target.name, target.place)
    plain = isinstance(target, Library) and _is_plain_library(weakly.values, target.name)
    named = weakly.values.project.resolve(weakly.code.scope, callee(chain)) == target
    alone = all(isinstance(arg.value, Const) for arg in call.args)
    return Temporary("object", last_name(chain)) if plain and named and alone else None


def _method(weakly: Weakly, chain: Chain) -> Temporary | None:
    """A method of the project that is bound here; a decorator may have made anything else of it."""
    owner = weakly.values.instance(weakly.code.scope, prefix(chain, len(chain.links) - 1))
    cls = owner.cls if owner is not None else None
    method = bound_method(weakly.values, cls, last_name(chain))
    if not isinstance(cls, ClassFacts) or not isinstance(method, FunctionFacts):
        return None
    odd = any("__getattribute__" in one.scope.bindings for one in weakly.values.project.lineage(cls).classes)
    if odd or not _PLAIN_DECORATORS.issuperset(map(last_name, method.decorators)):
        return None
    return Temporary("method", weakly.text(chain), method.place)


# --- local names -------------------------------------------------------------------------------------------------


def _local(weakly: Weakly) -> Temporary | None:
    """What a local name stands for that is used nowhere else, in the last statement of its function."""
    function, name = weakly.code.function, weakly.held
    if function is None or not isinstance(name, Name) or not _is_last(function, weakly.node):
        return None
    bindings = function.scope.bindings.get(name.id, ())
    named = [node for node in walk(function.node.body) if isinstance(node, Name) and node.id == name.id]
    only = bindings[0] if len(bindings) == 1 else None
    if isinstance(only, FunctionFacts) and len(named) == 1 and not only.decorators:
        return Temporary("function", name.id, only.place)
    if isinstance(only, Assigned) and len(named) == 2 and len(only.stmt.targets) == 1 and only.stmt.value is not None:
        return _made(weakly, only.stmt.value)
    return None


def _is_last(function: FunctionFacts, node: Expr) -> bool:
    """Whether the function ends with the statement that a node stands in, or with a plain ``return`` behind it."""
    body = function.node.body
    last = body[-1]
    if isinstance(last, Return) and last.value is None and len(body) > 1:
        last = body[-2]
    return isinstance(last, Evaluate | Bind | Return) and last.start <= node.start and node.end <= last.end


# --- who else gets it --------------------------------------------------------------------------------------------


def _is_given_on(weakly: Weakly) -> bool:
    """Whether the statement gives the object to somebody else too: ``x = d[k] = X()``, ``x = d.setdefault(k, X())``."""
    for stmt in walk(weakly.code.block, into=False):
        if isinstance(stmt, Bind) and len(stmt.targets) > 1 and any(one is weakly.node for one in stmt.targets):
            return True
    if weakly.write is None or weakly.write.how != "setdefault":
        return False
    return not any(
        isinstance(stmt, Evaluate) and stmt.value is weakly.node and _ends_with(weakly.node, "setdefault")
        for stmt in walk(weakly.code.block, into=False)
    )


def _ends_with(expr: Expr, method: str) -> bool:
    return last_call(expr) is not None and last_name(expr) == method


def gives_itself_away(values: Values, cls: ClassFacts) -> bool:
    """Whether an object of the class may be held by somebody as soon as it is made."""
    lineage = values.project.lineage(cls)
    words = {last_name(one) for each in lineage.classes for one in each.node.decorators}
    if not lineage.known or not words <= _PLAIN_DECORATORS:
        return True
    if not all(_is_plain_library(values, name) for name in lineage.libraries):
        return True
    if any(not _UNPLAIN.isdisjoint(one.scope.bindings) for one in lineage.classes):
        return True
    makers = [one.methods[name] for one in lineage.classes for name in _MAKERS if name in one.methods]
    return any(_lets_go(values, maker, _STEPS) for maker in makers)


def _is_plain_library(values: Values, name: str) -> bool:
    """Whether objects of a library's class are known, and nothing that is held by what it belongs to."""
    base = values.catalog.base(name)
    harmless = base is not None and not base.kind and base.frees != "never"
    return name in _PLAIN_BASES or (harmless and not name.startswith(("enum.", "builtins.")))


def _lets_go(values: Values, method: FunctionFacts, steps: int) -> bool:
    """Whether a method gives its object to anybody: as an argument, in a closure, as one of its bound methods."""
    receiver, body = method.receiver, method.node.body
    if receiver is None or method.node.is_async or not steps:
        return True
    inner = [node for node in walk(body) if isinstance(node, Def | Lambda | Class)]
    if any(isinstance(node, Name) and node.id == receiver for one in inner for node in walk(one)):
        return True
    chains = [node for node in walk(body) if isinstance(node, Chain) and _starts_from(node, receiver)]
    named = sum(isinstance(node, Name) and node.id == receiver for node in walk(body))
    return named > len(chains) or any(_member_lets_go(values, method.scope, chain, steps) for chain in chains)


def _starts_from(chain: Chain, receiver: str) -> bool:
    return isinstance(chain.base, Name) and chain.base.id == receiver and isinstance(chain.links[0], Attr)


def _member_lets_go(values: Values, scope: Scope, chain: Chain, steps: int) -> bool:
    """Whether reading a member of the object gives it away: a method that is not called, or one that lets go."""
    owner, link = values.instance(scope, chain.base), chain.links[0]
    if owner is None or not isinstance(owner.cls, ClassFacts) or not isinstance(link, Attr):
        return True
    member = values.project.class_member(owner.cls, link.name)
    if not isinstance(member, FunctionFacts) or member.cls is None or member.is_static:
        return False
    called = is_property(member) or (len(chain.links) > 1 and isinstance(chain.links[1], Call))
    return not called or _lets_go(values, member, steps - 1)
