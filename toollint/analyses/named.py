"""Everything that is done with what a statement binds: each use of the name, with what stands above it.

For rules that have to understand every use of an object before they say that nobody does something with it. A name
counts that is bound once, and an attribute that the methods of its class bind once, beside None. Where others may have
their hands on it (another file imports the name, a lambda mentions it), that is `UnclearError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from toollint.analyses.values import Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.syntax import (
    Attr,
    Bind,
    Bool,
    Chain,
    Compare,
    Delete,
    Evaluate,
    Expr,
    FString,
    If,
    Lambda,
    Name,
    Node,
    Not,
    OtherStmt,
    While,
    attribute_of,
    is_none,
    walk,
)

_OPENS = re.compile(r"connect|enter|start|open|initiali[sz]e|setup|__a?enter__")
_RELATIVE = re.compile(rb"^[ \t]*from[ \t]+\.", re.MULTILINE)


class UnclearError(Exception):
    """Somebody else may have the object, or a use of it is not understood."""


class Use(NamedTuple):
    """An expression that is the object, or a chain that starts with it, in its code."""

    code: Code
    parents: Parents
    node: Expr


class Parents:
    """The nodes of a piece of code, each with the one above it; nested functions and lambdas are other code."""

    def __init__(self, code: Code) -> None:
        """Take the code, which is walked once."""
        self.nodes = [*walk(code.block, into=False)]
        self.chains: Sequence[Chain] = [node for node in self.nodes if isinstance(node, Chain)]
        self.lambdas: Sequence[Expr] = [node.body for node in self.nodes if isinstance(node, Lambda)]
        self._above: dict[int, Node] = {id(child): node for node in self.nodes for child in _children(node)}

    def of(self, node: object) -> Node | None:
        """What stands right above a node."""
        return self._above.get(id(node))

    def above(self, node: object) -> Iterator[Node]:
        """What stands above a node, the nearest first."""
        found = self.of(node)
        while found is not None:
            yield found
            found = self.of(found)

    def only_looks(self, node: object) -> bool:
        """Whether what stands above an expression only asks about it, shows it or drops it."""
        parent = self.of(node)
        while isinstance(parent, Bool):
            parent = self.of(parent)
        return isinstance(parent, FString | Compare | Not | If | While | Delete | Evaluate | OtherStmt)

    def meaning(self, base: str, attribute: str) -> Iterator[Expr]:
        """The expressions that a bare name, or an attribute of one, starts or is."""
        for node in self.nodes:
            if isinstance(node, Name) and node.id == base and not attribute:
                above = self.of(node)
                yield above if isinstance(above, Chain) and above.base is node else node
            elif attribute and isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id == base:
                first = node.links[0]
                if isinstance(first, Attr) and first.name == attribute:
                    yield node


def _children(node: Any) -> Iterator[Node]:
    pending: list[Any] = [*node]
    while pending:
        child = pending.pop()
        if isinstance(child, tuple):
            pending.extend(child)
        elif isinstance(child, Node):
            yield child


def uses_of(values: Values, code: Code, stmt: Bind) -> Iterator[Use]:
    """Every place that may mean what a statement binds: a bare name, or an attribute of the same object.

    Raises UnclearError where it is not certain that these are all.
    """
    target = stmt.targets[0]
    if len(stmt.targets) != 1 or stmt.op:
        raise UnclearError
    if isinstance(target, Name):
        yield from _named(values, code, stmt, target.id)
    else:
        yield from _attribute(values, code, stmt, target)


# --- a name ------------------------------------------------------------------------------------------------------


def _named(values: Values, code: Code, stmt: Bind, name: str) -> Iterator[Use]:
    scope = code.scope
    bindings = scope.bindings.get(name, ())
    if scope.kind == "class" or len(bindings) != 1 or [b.stmt for b in bindings if isinstance(b, Assigned)] != [stmt]:
        raise UnclearError
    if scope.kind == "module" and _is_imported(values, scope.module, name):
        raise UnclearError
    for where in code_of(scope.module, frozenset({name.encode()})):
        found = where.scope.find(name)
        if found is not None and found[0] is scope:
            parents = Parents(where)
            if any(isinstance(node, Name) and node.id == name for node in walk(*parents.lambdas)):
                raise UnclearError
            yield from (Use(where, parents, node) for node in parents.meaning(name, ""))


def _is_imported(values: Values, module: ModuleFacts, name: str) -> bool:
    """Whether another file may use a module-level name."""
    own = module.name.rpartition(".")[2].encode()
    for other in values.project.mentioning(name):
        may = own in values.project.words(other.path) or _RELATIVE.search(other.utf8)
        if may and other is not module and not other.is_test:
            return True
    return False


# --- an attribute ------------------------------------------------------------------------------------------------


def _attribute(values: Values, code: Code, stmt: Bind, target: Expr) -> Iterator[Use]:
    function = code.function
    cls = function.cls if function is not None else None
    name = attribute_of(target, function.receiver) if function is not None else None
    if cls is None or name is None or name in cls.scope.bindings or _is_used_elsewhere(values, cls, name):
        raise UnclearError
    assigned = [one for _, one in values.field_assignments(cls, name) if one.value is not None]
    if [one for one in assigned if not is_none(one.value)] != [stmt]:
        raise UnclearError
    for where in code_of(cls.module, frozenset({name.encode()})):
        parents = Parents(where)
        method = _method_around(where.scope)
        own = method is not None and method.cls is cls
        chains = [*(() if own else parents.chains), *(n for n in walk(*parents.lambdas) if isinstance(n, Chain))]
        if any(isinstance(link, Attr) and link.name == name for chain in chains for link in chain.links):
            raise UnclearError
        if own and method is not None and method.receiver is not None:
            yield from (Use(where, parents, node) for node in parents.meaning(method.receiver, name))


def _is_used_elsewhere(values: Values, cls: ClassFacts, name: str) -> bool:
    """Whether another file mentions an attribute of that name and may open what it holds."""
    mentions = re.compile(rb"\.\s*" + name.encode() + rb"\b")
    for module in values.project.mentioning(name):
        if module is not cls.module and not module.is_test and mentions.search(module.utf8):
            words = values.project.words(module.path)
            if b"with" in words or any(_OPENS.search(word.decode()) for word in words):
                return True
    return False


def _method_around(scope: Scope) -> FunctionFacts | None:
    """The method that a scope stands in, itself included."""
    inner: Scope | None = scope
    while inner is not None:
        if isinstance(inner.owner, FunctionFacts) and inner.owner.cls is not None:
            return inner.owner
        inner = inner.parent
    return None
