"""The little language -> facts: which scopes a file has and what binds each name in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from toollint.facts import (
    Assigned,
    Binding,
    Bindings,
    ClassFacts,
    Entered,
    FunctionFacts,
    Imported,
    ModuleFacts,
    Opaque,
    Parameter,
    Scope,
)
from toollint.syntax import (
    Bind,
    Block,
    Class,
    Clause,
    Collection,
    Const,
    Def,
    Delete,
    Expr,
    For,
    If,
    Import,
    ImportFrom,
    Item,
    Match,
    Name,
    Star,
    Stmt,
    Try,
    Walrus,
    While,
    With,
    walk,
)
from toollint.syntax import Scope as ScopeStmt


class Tree(Protocol):
    """What a front end gives: the top-level statements, translated one at a time."""

    @property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Absolute byte spans of the top-level statements, decorators included."""

    def translate(self, index: int) -> Item:
        """One of them in the little language, spans relative to its start."""


def lower(path: str, name: str, *, is_package: bool, utf8: bytes, tree: Tree) -> ModuleFacts:
    """Facts of the file at ``path``, which others import as ``name``; nothing is translated before it is asked for."""
    translated: dict[int, Stmt] = {}

    def statement(index: int) -> Stmt:
        if index not in translated:
            translated[index] = tree.translate(index).stmt
        return translated[index]

    return ModuleFacts(path, name, is_package, utf8, tuple(tree.spans), statement, _module_scope)


# --- scopes ------------------------------------------------------------------------------------------------------

_HEAD = re.compile(rb"^(?:(?:async[ \t]+)?def|class)[ \t]+([^\W\d]\w*)", re.MULTILINE)


def _module_scope(module: ModuleFacts) -> Scope:
    def make(scope: Scope) -> Bindings:
        names = _Names(scope)
        for index, (start, end) in enumerate(module.spans):
            head = _definition_head(module.utf8[start:end])
            if head is not None:
                names.add(head[1], _definition(head, partial(module.statement, index), start, scope))
            else:
                names.statement(module.statement(index), start)
        return names.bindings

    return Scope("module", module, None, make)


def _definition_head(text: bytes) -> tuple[str, str] | None:
    """Keyword and name of a top-level definition, without translating it; None where that is not certain."""
    found = _HEAD.match(text) if text[:1] != b"@" else _HEAD.search(text)
    if found is None or not found[1].isascii() or b'"""' in text[: found.start()] or b"'''" in text[: found.start()]:
        return None
    return ("class" if found[0].startswith(b"class") else "def"), found[1].decode()


def _definition(head: tuple[str, str], load: Callable[[], Stmt], origin: int, scope: Scope) -> Binding:
    keyword, name = head
    if keyword == "class":
        return _class(name, load, origin, scope)
    return _function(name, load, origin, scope)


def _class(name: str, load: Callable[[], Stmt], origin: int, outer: Scope) -> ClassFacts:
    def make(scope: Scope) -> Bindings:
        names = _Names(scope)
        names.block(facts.node.body, origin)
        return names.bindings

    facts = ClassFacts(name, _qualified(outer, name), load, origin, Scope("class", outer.module, outer, make))
    facts.scope.owner = facts
    return facts


def _function(name: str, load: Callable[[], Stmt], origin: int, outer: Scope) -> FunctionFacts:
    def make(scope: Scope) -> Bindings:
        names = _Names(scope)
        for param in facts.node.params:
            names.add(param.name, Parameter(param))
        names.block(facts.node.body, origin)
        return names.bindings

    cls = outer.owner if isinstance(outer.owner, ClassFacts) else None
    inner = Scope("function", outer.module, outer, make)
    facts = FunctionFacts(name, _qualified(outer, name), load, origin, inner, cls)
    inner.owner = facts
    return facts


def _qualified(outer: Scope, name: str) -> str:
    owner = outer.owner
    if owner is None:
        return name
    return f"{owner.qualname}.{name}" if isinstance(owner, ClassFacts) else f"{owner.qualname}.<locals>.{name}"


# --- what binds a name -------------------------------------------------------------------------------------------


class _Names:
    """Collects the bindings of one scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found: dict[str, list[Binding]] = {}
        self.foreign: set[str] = set()  # declared global or nonlocal here

    @property
    def bindings(self) -> Bindings:
        """Each name with everything that binds it, in source order."""
        return {name: tuple(found) for name, found in self.found.items()}

    def add(self, name: str, binding: Binding) -> None:
        if name not in self.foreign:
            self.found.setdefault(name, []).append(binding)

    def block(self, block: Block, origin: int) -> None:
        for stmt in walk(block, into=False):
            if isinstance(stmt, ScopeStmt):
                self.foreign.update(stmt.names)
        for stmt in block:
            self.statement(stmt, origin)

    def statement(self, stmt: Stmt, origin: int) -> None:
        """Add what ``stmt`` and the blocks inside it bind."""
        if isinstance(stmt, Bind):
            self.assignment(stmt)
        elif isinstance(stmt, Def):
            self.add(stmt.name, _function(stmt.name, lambda: stmt, origin, self.scope))
        elif isinstance(stmt, Class):
            self.add(stmt.name, _class(stmt.name, lambda: stmt, origin, self.scope))
        elif isinstance(stmt, Import | ImportFrom):
            for name, target in imported(stmt, self.scope.module):
                self.add(name, Imported(target))
        else:
            self.targets(stmt)
        for block in blocks(stmt):
            for inner in block:
                self.statement(inner, origin)
        self.expressions(stmt)

    def targets(self, stmt: Stmt) -> None:
        """Add the names that the head of a statement binds."""
        if isinstance(stmt, For):
            self.opaque([stmt.target])
        elif isinstance(stmt, Delete):
            self.opaque(stmt.targets)
        elif isinstance(stmt, Try):
            self.unknown(handler.name for handler in stmt.handlers)
        elif isinstance(stmt, Match):
            self.unknown(name for case in stmt.cases for name in case.binds)
        elif isinstance(stmt, With):
            for context, target in stmt.items:
                if isinstance(target, Name):
                    self.add(target.id, Entered(context))
                elif target is not None:
                    self.opaque([target])

    def unknown(self, names: Iterable[str | None]) -> None:
        for name in filter(None, names):
            self.add(name, Opaque())

    def assignment(self, stmt: Bind) -> None:
        for target in stmt.targets:
            if isinstance(target, Name) and not stmt.op:
                self.add(target.id, Assigned(stmt))
            else:
                self.opaque([target])

    def opaque(self, targets: Iterable[Expr]) -> None:
        for target in targets:
            if isinstance(target, Name):
                self.add(target.id, Opaque())
            elif isinstance(target, Collection):
                self.opaque(target.items)
            elif isinstance(target, Star):
                self.opaque([target.value])

    def expressions(self, stmt: Stmt) -> None:
        """Names bound inside expressions: walrus, and comprehension variables (which then tell nothing here)."""
        if blocks(stmt) or isinstance(stmt, Def | Class):
            return  # the statements inside come by themselves; a walrus in a test is not worth a second walk
        for node in walk(stmt, into=False):
            if isinstance(node, Walrus | Clause):
                self.opaque([node.target])


def blocks(stmt: Stmt) -> tuple[Block, ...]:
    """The statement lists that run as part of a compound statement, in source order; none for definitions."""
    if isinstance(stmt, If):
        return (*(body for _, body in stmt.branches), stmt.orelse)
    if isinstance(stmt, For | While):
        return (stmt.body, stmt.orelse)
    if isinstance(stmt, Try):
        return (stmt.body, *(handler.body for handler in stmt.handlers), stmt.orelse, stmt.final)
    if isinstance(stmt, With):
        return (stmt.body,)
    if isinstance(stmt, Match):
        return tuple(case.body for case in stmt.cases)
    return ()


def imported(stmt: Import | ImportFrom, module: ModuleFacts) -> list[tuple[str, str]]:
    """Pairs of the name bound and the absolute dotted path that it stands for; a star import binds ``*``."""
    if isinstance(stmt, Import):
        return [
            (alias or name.partition(".")[0], name if alias else name.partition(".")[0]) for name, alias in stmt.names
        ]
    base = absolute(stmt.module, stmt.level, module.package)
    if stmt.names and stmt.names[0][0] == "*":
        return [("*", base)]
    return [(alias or name, f"{base}.{name}" if base else name) for name, alias in stmt.names]


def absolute(module: str, level: int, package: str) -> str:
    """The absolute name of the module that ``from ..module import`` names in a file of ``package``."""
    if not level:
        return module
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - (level - 1)]
    return ".".join([*kept, module] if module else kept)


def exported(module: ModuleFacts) -> tuple[str, ...] | None:
    """The names in ``__all__`` where it is one plain list of strings, else None."""
    found = module.scope.bindings.get("__all__", ())
    if len(found) != 1 or not isinstance(found[0], Assigned):
        return None
    value = found[0].stmt.value
    if not isinstance(value, Collection):
        return None
    names = [item.value for item in value.items if isinstance(item, Const) and isinstance(item.value, str)]
    return tuple(names) if len(names) == len(value.items) else None
