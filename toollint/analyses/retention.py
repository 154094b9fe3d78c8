"""Long-lived containers: what is written into them, under which keys, and what ever takes it out again.

A container is a module-level or class-level dict, list or set. Every reference to it, in any file of the project, is
a write, an eviction, a plain read, or an escape (it is passed on, returned, aliased): after an escape nobody knows who
evicts, and the rules are silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from toollint.analyses.kinds import Kept, kept, kept_by
from toollint.analyses.values import Instance, Values
from toollint.catalog import Container as Row
from toollint.facts import Assigned, ClassFacts, Code, ModuleFacts, Opaque, Parameter, Scope, code_of, declarations_of
from toollint.model import Note, Place, Role
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Clause,
    Collection,
    Compare,
    Comprehension,
    Const,
    Delete,
    Dict,
    Expr,
    For,
    FString,
    Index,
    Name,
    Node,
    Star,
    attribute_of,
    callee,
    last_call,
    prefix,
    walk,
)

_EVICTIONS = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "__delitem__", "move_to_end"})
_READS = frozenset({"get", "keys", "values", "items", "copy", "index", "count", "__contains__", "__getitem__"})
_WRITES = {"setdefault": (0, 1), "append": (None, 0), "appendleft": (None, 0), "add": (0, None), "insert": (None, 1)}
_DISPLAY = re.compile(rb"^[ \t]+\w+[ \t]*(?::[^=\r\n]+)?=[ \t]*(?:[\[{]|(?:\w+\.)*[A-Za-z]+\()", re.MULTILINE)
_READING_BUILTINS = frozenset(
    f"builtins.{name}"
    for name in [
        "dict",
        "list",
        "set",
        "tuple",
        "frozenset",
        "sorted",
        "iter",
        "str",
        "repr",
        "bool",
        "enumerate",
        "any",
        "all",
        "sum",
        "print",
        "max",
        "min",
        "len",
    ]
)
_PLAIN = frozenset({"builtins.str", "builtins.int", "builtins.float", "builtins.bool", "builtins.bytes"})
_FINITE = frozenset({"builtins.bool", "builtins.type", "typing.Type", "typing.Literal", "typing_extensions.Literal"})
_REGISTRARS = ("register", "_register", "install", "add_tool", "add_agent", "use_", "set_default")


class Use(NamedTuple):
    """One reference to a container. ``what``: write, evict, read or escape; ``how``: the method or ``[]``."""

    what: str
    how: str
    code: Code
    node: Any
    key: Expr | None = None
    value: Expr | None = None

    @property
    def place(self) -> Place:
        """The reference with the key or the call."""
        return self.code.at(self.node.start, self.node.end)


@dataclass(frozen=True, eq=False)
class Container:
    """A dict, list or set that lives as long as its module or class."""

    name: str
    values: Values
    scope: Scope
    origin: int
    stmt: Bind
    row: Row

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Container]:
        """The containers that a file declares, in source order."""
        for code in declarations_of(module, _DISPLAY):
            for stmt in code.block:
                if isinstance(stmt, Bind) and stmt.value is not None and len(stmt.targets) == 1 and not stmt.op:
                    target = stmt.targets[0]
                    row = _row(values, code.scope, stmt.value)
                    if isinstance(target, Name) and row is not None and _is_shared(values, code.scope, stmt):
                        yield cls(target.id, values, code.scope, code.origin, stmt, row)

    # --- the declaration

    @property
    def level(self) -> str:
        """``module`` or ``class``."""
        return self.scope.kind

    @property
    def shape(self) -> str:
        """``dict``, ``list`` or ``set`` as a message calls it."""
        return {"mapping": "dict", "sequence": "list", "set": "set"}[self.row.shape]

    @property
    def place(self) -> Place:
        """The container's name where it is declared."""
        target = self.stmt.targets[0]
        return self._at(target)

    def _at(self, node: Any) -> Place:
        return Code(self.scope, self.origin, ()).at(node.start, node.end)

    def at(self, node: Any) -> Place:
        """The place of a node of the declaration."""
        return self._at(node)

    @property
    def limited(self) -> bool:
        """Whether it is bounded, or holds weakly: then it keeps nothing for ever."""
        call = last_call(self.stmt.value)
        given = {arg.keyword for arg in call.args} if call else set()
        return bool(self.row.weak) or self.row.bound == "always" or self.row.bound in given

    @cached_property
    def annotated(self) -> tuple[tuple[Instance, ...], ...]:
        """The alternatives for each type argument of the annotation (key and value, or element)."""
        found = self.values.annotation(self.scope, self.stmt.annotation)
        return found[0].args if len(found) == 1 else ()

    # --- the uses

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every reference in the project but the declaration itself."""
        return tuple(
            use
            for module in self.values.project.mentioning(self.name)
            for code in code_of(module, frozenset({self.name.encode()}))
            for use in _uses(self, code)
        )

    @property
    def writes(self) -> tuple[Use, ...]:
        """The writes that run when a function does, not while a module is imported."""
        return tuple(use for use in self.uses if use.what == "write" and use.code.function is not None)

    @property
    def only_grows(self) -> bool:
        """Whether nothing in the project takes anything out, and every reference is understood."""
        return not self.limited and not any(use.what in {"evict", "escape"} for use in self.uses)

    def refers(self, code: Code, expr: Expr) -> bool:
        """Whether an expression used in ``code`` is this container."""
        if isinstance(expr, Name):
            if code.scope.kind == "class" and code.scope is not self.scope:
                return False
            target = self.values.project.named(code.scope, expr.id)
            return isinstance(target, Variable) and target.scope is self.scope
        if not isinstance(expr, Chain):
            return False
        target = self.values.project.resolve(code.scope, expr)
        if isinstance(target, Variable):
            return target.scope is self.scope
        owner = self.values.of(code.scope, prefix(expr, len(expr.links) - 1))
        cls = owner.cls if isinstance(owner, Instance) else owner
        return isinstance(cls, ClassFacts) and self.scope.owner in self.values.project.lineage(cls).classes

    # --- what it keeps

    def keeps_key(self, use: Use) -> Kept | None:
        """What a write uses as its key that matters, by its value or by the annotation."""
        found = kept_by(self.values, use.code.scope, use.key)
        return found or self._by_annotation(0) if use.key is not None else None

    def keeps_value(self, use: Use) -> Kept | None:
        """What a write stores that matters, by its value or by the annotation."""
        found = kept_by(self.values, use.code.scope, use.value)
        return found or self._by_annotation(-1) if use.value is not None else None

    def _by_annotation(self, index: int) -> Kept | None:
        if not self.annotated or (index == 0 and self.row.shape == "mapping" and len(self.annotated) < 2):
            return None
        return next(filter(None, (kept(self.values, one) for one in self.annotated[index])), None)

    def grows_with(self, use: Use) -> bool:
        """Whether a write can add entries without end: its key is not from a finite set, and it is no registration."""
        if use.key is None:
            return not _registers(use)
        return not _registers(use) and not _is_finite(self.values, use.code.scope, use.key)


def note_of(use: Use, message: str) -> Note:
    """A write as a related place."""
    return Note(use.place, message, Role.STORED)


# --- declarations ------------------------------------------------------------------------------------------------


def _row(values: Values, scope: Scope, value: Expr) -> Row | None:
    """What kind of container an initial value is."""
    if isinstance(value, Dict):
        return values.catalog.container("builtins.dict")
    if isinstance(value, Collection) and value.kind in {"list", "set"}:
        return values.catalog.container(f"builtins.{value.kind}")
    called = callee(value)
    target = values.project.resolve(scope, called) if called is not None else None
    return values.catalog.container(target.name) if isinstance(target, Library) else None


def _is_shared(values: Values, scope: Scope, stmt: Bind) -> bool:
    """Whether all instances share it: not a field of a model or dataclass, which gives each instance its own."""
    if not isinstance(scope.owner, ClassFacts):
        return True
    lineage = values.project.lineage(scope.owner)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    is_model = not lineage.known or any(base is not None and base.pydantic for base in bases)
    if is_model or scope.owner.node.decorators:
        return stmt.annotation is not None and any(
            isinstance(node, Name) and node.id == "ClassVar" for node in walk(stmt.annotation)
        )
    name = stmt.targets[0]
    return isinstance(name, Name) and not any(values.field_assignments(scope.owner, name.id))


# --- references --------------------------------------------------------------------------------------------------


def _uses(box: Container, code: Code) -> Iterator[Use]:
    word = box.name.encode()
    for stmt in code.block:
        if word not in code.scope.module.utf8[code.origin + stmt.start : code.origin + stmt.end]:
            continue
        for node, above in _with_parents(stmt):
            if isinstance(node, Name) and node.id == box.name and box.refers(code, node):
                if not (isinstance(above[-1], Chain) and above[-1].base is node):
                    yield from _bare(box, code, node, above)
            if isinstance(node, Chain):
                count = _referred(box, code, node)
                if count is not None and count == len(node.links):
                    yield from _bare(box, code, node, above)
                elif count is not None:
                    yield _linked(code, node, count, above)


def _with_parents(stmt: Node) -> Iterator[tuple[Any, list[Any]]]:
    """The nodes of a statement with the nodes above them; nested definitions belong to other code."""
    pending: list[tuple[Any, list[Any]]] = [(stmt, [])]
    while pending:
        node, above = pending.pop()
        if isinstance(node, Node):
            yield node, above or [stmt]
        if not (above and type(node).__name__ in {"Def", "Class"}):
            inner = [*above, node] if isinstance(node, Node) else above
            pending += [(child, inner) for child in [*node][::-1] if isinstance(child, Node | tuple)]


def _referred(box: Container, code: Code, chain: Chain) -> int | None:
    """How many links of a chain make the reference to the container, None where it is not in it."""
    if isinstance(chain.base, Name) and chain.base.id == box.name and box.refers(code, chain.base):
        return 0
    for index, link in enumerate(chain.links):
        if isinstance(link, Attr) and link.name == box.name and box.refers(code, prefix(chain, index + 1)):
            return index + 1
    return None


def _bare(box: Container, code: Code, node: Expr, above: list[Any]) -> Iterator[Use]:
    """The container itself, neither subscripted nor asked for an attribute."""
    parent = above[-1]
    if isinstance(parent, Bind) and node in parent.targets:
        if parent is box.stmt:
            return
        what = "write" if parent.op else "evict"
        yield Use(what, parent.op or "rebind", code, node, None, parent.value if parent.op else None)
        return
    yield Use(_bare_meaning(box, code, parent, above), "bare", code, node)


def _bare_meaning(box: Container, code: Code, parent: Any, above: list[Any]) -> str:
    if isinstance(parent, Delete):
        return "evict"
    if type(parent).__name__ == "Arg" and len(above) > 2 and isinstance(above[-3], Chain):
        function = box.values.project.resolve(code.scope, callee(above[-3]))
        if isinstance(function, Library) and function.name in _READING_BUILTINS:
            guards = function.name.endswith(".len") and len(above) > 3 and isinstance(above[-4], Compare)
            return "evict" if guards else "read"
        return "escape"
    reads = Compare | For | Clause | Comprehension | FString | Star | Dict
    if isinstance(parent, reads) or type(parent).__name__ in {"If", "While", "Not", "Evaluate", "OtherStmt"}:
        return "read"
    return "escape"


def _linked(code: Code, chain: Chain, count: int, above: list[Any]) -> Use:
    """The container with something behind it: ``[key]``, a method."""
    parent, rest = above[-1], chain.links[count:]
    if isinstance(rest[0], Index):
        if len(rest) == 1 and isinstance(parent, Bind) and chain in parent.targets:
            return Use("write", "[]", code, chain, rest[0].key, parent.value)
        if len(rest) == 1 and isinstance(parent, Delete):
            return Use("evict", "del", code, chain)
        return Use("read", "[]", code, chain)
    method = rest[0].name if isinstance(rest[0], Attr) else ""
    if len(rest) < 2 or not isinstance(rest[1], Call):
        return Use("escape", method, code, chain)
    if method in _EVICTIONS:
        return Use("evict", method, code, chain)
    if method in _READS:
        return Use("read", method, code, chain)
    if method in _WRITES:
        key, value = (None if index is None else _positional(rest[1], index) for index in _WRITES[method])
        return Use("write", method, code, chain, key, value)
    return Use("escape", method, code, chain)


def _positional(call: Call, index: int) -> Expr | None:
    return call.args[index].value if index < len(call.args) and call.args[index].keyword is None else None


# --- keys --------------------------------------------------------------------------------------------------------


def _is_finite(values: Values, scope: Scope, key: Expr) -> bool:
    """Whether the key comes from a set that the program text bounds: constants, enums, types, module names."""
    if isinstance(key, Const):
        return True
    if isinstance(key, Collection):
        return all(_is_finite(values, scope, item) for item in key.items)
    if isinstance(key, Chain) and attribute_of(key, None) is None and isinstance(key.links[-1], Attr):
        if key.links[-1].name in {"__class__", "__name__", "__qualname__", "__module__"}:
            return True
    value = values.of(scope, key)
    if isinstance(value, ClassFacts):
        return True
    if isinstance(value, Instance):
        return _is_finite_type(values, value)
    names = [node.id for node in walk(key) if isinstance(node, Name)]
    return bool(names) and all(_is_constant_name(values, scope, name) for name in names)


def _is_finite_type(values: Values, value: Instance) -> bool:
    if isinstance(value.cls, Library):
        return value.cls.name in _FINITE
    return any(name.startswith("enum.") for name in values.project.lineage(value.cls).libraries)


def _is_constant_name(values: Values, scope: Scope, name: str) -> bool:
    target = values.project.named(scope, name)
    if isinstance(target, Variable):
        return target.scope.kind == "module" and not any(isinstance(b, Opaque | Parameter) for b in target.bindings)
    return isinstance(target, ClassFacts | ModuleFacts)


def _registers(use: Use) -> bool:
    """Whether the write enters a thing under its own name, or the function is a registrar: bounded by the program."""
    function = use.code.function
    if function is None or function.name.startswith(_REGISTRARS):
        return True
    if use.key is None or use.value is None:
        return False
    stored = {node.id for node in walk(use.value) if isinstance(node, Name)} if isinstance(use.value, Name) else set()
    return any(isinstance(node, Name) and node.id in stored for node in walk(use.key)) and isinstance(use.key, Chain)


def may_reach(values: Values, scope: Scope, value: Expr | None, key: Expr) -> bool:
    """Whether an object built by ``value`` could refer to ``key``: False only where that is certain."""
    names = {node.id for node in walk(key) if isinstance(node, Name)}
    pending, seen = [value], set()
    while pending:
        for node in walk(pending.pop()):
            if not isinstance(node, Name) or node.id in seen:
                continue
            seen.add(node.id)
            if node.id in names:
                return True
            target = values.project.named(scope, node.id)
            if isinstance(target, Variable):
                for binding in target.bindings:
                    if isinstance(binding, Assigned) and target.scope is scope:
                        pending.append(binding.stmt.value)
                    elif not (isinstance(binding, Parameter) and _is_plain(values, scope, binding)):
                        return True
            elif target is None:
                return True
    return False


def _is_plain(values: Values, scope: Scope, binding: Parameter) -> bool:
    found = values.annotation(scope, binding.param.annotation)
    return bool(found) and all(isinstance(one.cls, Library) and one.cls.name in _PLAIN for one in found)
