"""Names whose values may need an object that another name holds: a cursor needs its connection, a graph its saver.

Asked by fixes that end the life of an object where it did not end before. What has been read out of the object (rows,
counts, answers to yes-or-no questions) needs it no more; whatever else mentions it may.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from toollint.facts import Code
from toollint.lower import blocks
from toollint.syntax import (
    Attr,
    Await,
    Binary,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Class,
    Collection,
    Compare,
    Comprehension,
    Const,
    Def,
    Dict,
    Expr,
    For,
    FString,
    IfExp,
    Lambda,
    Name,
    Node,
    Not,
    Return,
    Star,
    Stmt,
    Walrus,
    With,
    Yield,
    callee,
    last_name,
    walk,
)

_READ = frozenset(
    {
        *("fetchall", "fetchone", "fetchmany", "fetchval", "rowcount", "lastrowid", "total_changes", "description"),
        *("keys", "items", "tolist", "to_dict", "text", "content", "status_code", "status", "reason"),
    }
)
"""Attributes and methods that give plain values."""
_READS = frozenset(
    {
        *("read", "readline", "readlines", "recv", "json", "decode", "fetchrow", "getvalue", "ping", "count"),
        *("count_documents", "estimated_document_count", "find_one", "insert_one", "insert_many", "commit", "rollback"),
        *("list_collection_names", "list_database_names", "is_connected", "isOpened", "fileno", "tell", "getsockname"),
    }
)
"""Methods that give plain values where they are called; the attribute alone may be anything."""
_EAGER = frozenset({"list", "tuple", "set", "dict", "frozenset", "sorted", "len", "bool", "int", "str", "float"}) | {
    *("sum", "any", "all", "min", "max", "repr", "hasattr", "isinstance", "print")
}
"""Builtins that are done with their argument when they return."""
_MAKES = frozenset({"list", "tuple", "set", "dict", "frozenset", "sorted"})
"""Those of them whose result holds what they are given by a keyword, or in a display."""
_KEEPS = frozenset({"append", "add", "put", "put_nowait", "submit", "setdefault", "insert", "extend", "create_task"})
"""Methods that keep what they are given for later."""


def needs(expr: Node | None, names: frozenset[str]) -> bool:
    """Whether the value of an expression may need what one of the names holds."""
    if expr is None or isinstance(expr, Const | Compare | Not | FString):
        return False
    if isinstance(expr, Chain):
        return _chain_needs(expr, names)
    parts: tuple[Node | None, ...] | None = None
    if isinstance(expr, IfExp):
        parts = (expr.then, expr.orelse)
    elif isinstance(expr, Collection):
        parts = expr.items
    elif isinstance(expr, Dict):
        parts = tuple(value for _, value in expr.items)
    elif isinstance(expr, Comprehension) and expr.kind != "generator":
        parts = expr.elements
    elif isinstance(expr, Binary | Bool):
        parts = expr.operands
    elif isinstance(expr, Await | Star):
        parts = (expr.value,)
    if parts is None:
        return mentions(expr, names)
    return any(needs(part, names) for part in parts)


def mentions(node: Node, names: AbstractSet[str]) -> bool:
    """Whether one of the names stands anywhere in a node."""
    return any(isinstance(part, Name) and part.id in names for part in walk(node))


def _chain_needs(chain: Chain, names: frozenset[str]) -> bool:
    if any(isinstance(link, Attr) and link.name in _READ for link in chain.links) or _reads(chain):
        return False
    called, call = callee(chain), chain.links[-1]
    if isinstance(called, Name) and called.id in _EAGER and isinstance(call, Call):
        kept = (arg.value for arg in call.args if arg.keyword is not None or isinstance(arg.value, Collection | Dict))
        return called.id in _MAKES and any(needs(value, names) for value in kept)
    given = (arg.value for link in chain.links if isinstance(link, Call) for arg in link.args)
    return needs(chain.base, names) or any(needs(value, names) for value in given)


def is_eager(called: Expr) -> bool:
    """Whether a function is done with its argument when it returns."""
    return isinstance(called, Name) and called.id in _EAGER


def _reads(chain: Chain) -> bool:
    """Whether a chain calls a method that gives a plain value."""
    return any(
        isinstance(link, Attr) and link.name in _READS and isinstance(following, Call)
        for link, following in itertools.pairwise(chain.links)
    )


def tied(block: tuple[Stmt, ...], name: str) -> frozenset[str]:
    """The name, and those that statements bind to values that may need what it holds."""
    found = frozenset({name})
    while True:
        more = found.union(*(_bound(node, found) for node in walk(block, into=False)))
        if more == found:
            return found
        found = more


def _bound(node: Node, names: frozenset[str]) -> frozenset[str]:
    """The names that a node binds to something that needs one of the names."""
    pairs: list[tuple[Expr | None, Expr | None]] = []
    if isinstance(node, Bind):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, Walrus):
        pairs = [(node.target, node.value)]
    elif isinstance(node, With):
        pairs = [(target, context) for context, target in node.items]
    elif isinstance(node, For):  # what a cursor gives one by one are rows
        return frozenset()
    bound = (part for target, value in pairs if needs(value, names) for part in walk(target))
    return frozenset(part.id for part in bound if isinstance(part, Name))


def escapes(block: tuple[Stmt, ...], names: frozenset[str]) -> Iterator[Expr | Stmt]:
    """What may let a value that needs one of the names out of the statements: it may be used when they are done."""
    for node in walk(block, into=False):
        if isinstance(node, Return | Yield):
            leaves = needs(node.value, names)
        elif isinstance(node, Bind):
            stored = not all(isinstance(target, Name | Collection) for target in node.targets)
            leaves = stored and needs(node.value, names)
        elif isinstance(node, Def | Class | Lambda):
            leaves = mentions(node, names)
        elif isinstance(node, Comprehension):
            leaves = node.kind == "generator" and mentions(node, names)
        else:
            leaves = isinstance(node, Chain) and _is_kept(node, names)
        if leaves:
            yield node


def _is_kept(chain: Chain, names: frozenset[str]) -> bool:
    """Whether a call keeps what it is given for later."""
    last = chain.links[-1]
    return isinstance(last, Call) and last_name(chain) in _KEEPS and any(needs(arg.value, names) for arg in last.args)


def following(block: Block, stmt: Stmt) -> Block:
    """The statements after one in the block that it stands in, which may lie in another; none where it does not."""
    for index, one in enumerate(block):
        if one is stmt:
            return block[index + 1 :]
        for inner in blocks(one):
            if found := following(inner, stmt):
                return found
    return ()


def rest_of(code: Code, binding: Bind | None) -> Block:
    """The statements that follow a binding in its block, where all that needs the object stands in them; else none."""
    target = binding.targets[0] if binding is not None else None
    if binding is None or code.function is None or not isinstance(target, Name) or binding.annotation is not None:
        return ()
    rest = following(code.block, binding)
    names = tied(rest, target.id)
    inside = {id(node) for node in walk(rest)} | {id(node) for node in walk(binding)}
    outside = (node for node in walk(code.function.node.body) if id(node) not in inside)
    left = any(isinstance(node, Name) and node.id in names for node in outside)
    return () if left or any(escapes(rest, names)) else rest
