"""Whether a write can go on adding entries for as long as the process runs.

It cannot where the key comes from a set that the program text bounds (constants, enums, types, names of functions), nor
where the write is part of starting up: while a module is imported, or when something is registered under its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from toollint.analyses.kinds import kept
from toollint.analyses.uses import Use, key_name
from toollint.analyses.values import Instance, Values
from toollint.facts import Assigned, ClassFacts, FunctionFacts, Opaque, Scope, code_of
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Clause,
    Collection,
    Comprehension,
    Dict,
    Expr,
    For,
    Index,
    Lambda,
    Name,
    Node,
    Return,
    Walrus,
    Yield,
    is_name,
    last_name,
    walk,
)

_FINITE = frozenset({"builtins.bool", "builtins.type", "typing.Type", "typing.Literal", "typing_extensions.Literal"})
_NAMES_OF_CODE = frozenset({"__class__", "__name__", "__qualname__", "__module__"})
_PURE = frozenset(f"builtins.{name}" for name in ["str", "repr", "tuple", "frozenset", "len", "hash", "int", "bool"])
"""Functions that give no more results than there are arguments."""
_CONSTRUCTORS = frozenset({"__init__", "__post_init__", "model_post_init", "__attrs_post_init__", "__new__"})
_REGISTRAR = re.compile(r"_*(?:re)?(?:register|install|add_tool|add_agent|set_default|set_global)(?:_|$)")
_OWN_NAME = re.compile(r"(?:\w*_)?(?:name|key|slug|kind|type|role)")

REQUESTS = (
    r"session|user|request|req|thread|conversation|conv|connection|conn|client|peer|run|call|chat|message|msg|query|stream"
    r"|tenant|turn|trace|span|invocation"
)
"""Words for what comes without end."""
_PER_REQUEST = re.compile(rf"(?:\w+_)?(?:{REQUESTS})(?:_?(?:id|key|uid|uuid))?|sid|cid|rid|tid")
"""Names of keys that are new with each request."""
_CONFIGURES = re.compile(
    r"_*(?:add|register|set|on|subscribe|use|with|build|load|install|mount|include|configure|init)(?:_\w+)?"
)
"""Methods by which a program is put together, not served."""


def can_grow(values: Values, use: Use) -> bool:
    """Whether a write can add entries without end."""
    scope = use.code.scope
    bounded = not use.appends and all(is_finite(values, scope, key) for key in use.keys)
    return not bounded and not _is_registration(values, use) and not _is_passed_by(use)


def is_per_request(use: Use) -> bool:
    """Whether a method that serves writes under a key that is new with each session, user, connection or call."""
    outermost = [*_around(use)][-1:]
    serves = outermost and outermost[0].name not in _CONSTRUCTORS and not _CONFIGURES.fullmatch(outermost[0].name)
    return bool(serves) and use.what == "write" and _PER_REQUEST.fullmatch(key_name(use.key).lower()) is not None


# --- keys --------------------------------------------------------------------------------------------------------


def is_finite(values: Values, scope: Scope, key: Expr, names: int = 4) -> bool:
    """Whether the program text bounds what an expression can be; ``names`` local names in a row are followed."""
    if isinstance(key, Name):
        return _is_finite_name(values, scope, key, names)
    if isinstance(key, Chain):
        return _is_finite_chain(values, scope, key, names)
    if isinstance(key, Comprehension | Lambda | Await | Yield | Walrus):
        return False
    fields: list[Any] = [part for field in key for part in (field if isinstance(field, tuple) else (field,))]
    parts: list[Any] = [part for part in fields if isinstance(part, Node)]
    return all(is_finite(values, scope, part, names) for part in parts)


def _is_finite_chain(values: Values, scope: Scope, chain: Chain, names: int) -> bool:
    """Attributes and methods of what is finite are finite; so are types, and the names of functions and types."""
    last = chain.links[-1]
    if isinstance(last, Attr) and last.name in _NAMES_OF_CODE:
        return True
    value = values.of(scope, chain)
    if isinstance(value, ClassFacts | Instance) and _is_finite_value(values, value):
        return True
    calls = [link for link in chain.links if isinstance(link, Call)]
    base = values.project.resolve(scope, chain.base)
    if calls and base == Library("builtins.type"):
        return True
    if any(isinstance(link, Index) for link in chain.links):
        return len(chain.links) == 1 and _is_constant_source(values, scope, chain.base)
    if calls and not _gives_what_it_is_given(base):
        return False
    arguments = [arg.value for call in calls for arg in call.args]
    return all(is_finite(values, scope, part, names) for part in [chain.base, *arguments])


def _gives_what_it_is_given(base: object) -> bool:
    """Whether calls that start there give no more results than there are arguments.

    Methods of a parameter or local do; those of a module's object may look anything up (``current_user.get()``).
    """
    if isinstance(base, Library):
        return base.name in _PURE
    return isinstance(base, Variable) and base.scope.kind == "function"


def _is_finite_name(values: Values, scope: Scope, name: Name, names: int) -> bool:
    target = values.project.named(scope, name.id)
    if not isinstance(target, Variable):
        return target is not None
    value = values.of(scope, name)
    if isinstance(value, ClassFacts | Instance) and _is_finite_value(values, value):
        return True
    if target.scope.kind == "module":
        return True
    if any(isinstance(binding, Opaque) for binding in target.bindings):
        return _runs_over_constants(values, target)
    return names > 0 and all(
        isinstance(binding, Assigned)
        and binding.stmt.value is not None
        and is_finite(values, target.scope, binding.stmt.value, names - 1)
        for binding in target.bindings
    )


def _is_finite_value(values: Values, value: ClassFacts | Instance) -> bool:
    if isinstance(value, ClassFacts):
        return True
    if isinstance(value.cls, Library):
        return value.cls.name in _FINITE
    above = values.project.lineage(value.cls).libraries
    return any(name.startswith("enum.") or name == "builtins.type" for name in above)


def _runs_over_constants(values: Values, variable: Variable) -> bool:
    """Whether a name is only the target of loops over displays, constants of a module, and enums."""
    owner = variable.scope.owner
    if not isinstance(owner, FunctionFacts):
        return False
    loops = [
        node
        for node in walk(owner.node.body, into=False)
        if isinstance(node, For | Clause) and variable.name in _names_in(node.target)
    ]
    return len(loops) == len(variable.bindings) and all(
        _is_constant_source(values, variable.scope, loop.iter) for loop in loops
    )


def _is_constant_source(values: Values, scope: Scope, source: Expr) -> bool:
    if isinstance(source, Collection):
        return is_finite(values, scope, source)
    base = source.base if isinstance(source, Chain) else source
    target = values.project.resolve(scope, base)
    if isinstance(target, ClassFacts):
        return _is_finite_value(values, Instance(target))
    if not isinstance(target, Variable) or target.scope.kind == "function" or len(target.bindings) != 1:
        return False
    binding = target.bindings[0]
    return isinstance(binding, Assigned) and isinstance(binding.stmt.value, Collection | Dict)


def _names_in(expr: Expr) -> set[str]:
    return {node.id for node in walk(expr) if isinstance(node, Name)}


# --- starting up -------------------------------------------------------------------------------------------------


def _is_registration(values: Values, use: Use) -> bool:
    """Whether the write enters a part of the program, not a thing that requests bring."""
    functions = list(_around(use))
    if any(_REGISTRAR.match(function.name) or _is_decorator(values, function) for function in functions):
        return True
    return _is_under_own_name(use) or _runs_at_import(values, functions[-1])


def _around(use: Use) -> Iterator[FunctionFacts]:
    """The functions that a use stands in, innermost first."""
    scope: Scope | None = use.code.scope
    while scope is not None:
        if isinstance(scope.owner, FunctionFacts):
            yield scope.owner
        scope = scope.parent


def _is_decorator(values: Values, function: FunctionFacts) -> bool:
    """Whether it gives back what it is given, and that is nothing heavy: ``def tool(function): return function``."""
    params = {param.name: param for param in function.node.params if param.name != function.receiver}
    for node in walk(function.node.body, into=False):
        if isinstance(node, Return) and isinstance(node.value, Name) and node.value.id in params:
            types = values.annotation(function.outer, params[node.value.id].annotation)
            return all(found is None or found.kind == "callable" for found in (kept(values, each) for each in types))
    return False


def _is_under_own_name(use: Use) -> bool:
    """``TOOLS[tool.name] = tool``: there are as many as the program names; ``session.id`` is no such name."""
    key = use.key
    return (
        isinstance(use.value, Name)
        and isinstance(key, Chain)
        and isinstance(key.base, Name)
        and key.base.id == use.value.id
        and _OWN_NAME.fullmatch(last_name(key)) is not None
    )


def _runs_at_import(values: Values, function: FunctionFacts) -> bool:
    """Whether all that the project does with a function is to call it while a module is imported."""
    name = function.name
    calls = 0
    for module in values.project.mentioning(name):
        for code in code_of(module, frozenset({name.encode()})):
            for node in walk(code.block, into=False):
                if isinstance(node, Name | Chain) and last_name(node) == name:
                    calls += isinstance(node, Chain)
                    if code.function is not None:
                        return False
    return calls > 0


def _is_passed_by(use: Use) -> bool:
    """Whether the function can return the very value without storing it: then it chooses what is stored.

    ``if not importable(func): return made`` before ``CACHE[func] = made``.
    """
    function = use.code.function
    if function is None or not isinstance(use.value, Name):
        return False
    name, stored = use.value.id, use.node.start
    before = [
        node for node in walk(function.node.body, into=False) if isinstance(node, Bind | Return) and node.end <= stored
    ]
    made = [node.end for node in before if isinstance(node, Bind) and any(is_name(t, name) for t in node.targets)]
    returned = [node.end for node in before if isinstance(node, Return) and is_name(node.value, name)]
    return bool(made) and max(returned, default=0) > max(made)
