"""What a piece of code does with a container, as far as its form tells: put in, take out, look, lend, or pass on.

Nothing is resolved here: a use is of *something* that has the container's name. Whether it is that container is asked
afterwards, and only of the uses that matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from toollint.facts import Code
from toollint.model import Note, Place, Role
from toollint.syntax import (
    Arg,
    Attr,
    Binary,
    Bind,
    Bool,
    Call,
    Chain,
    Class,
    Clause,
    Collection,
    Compare,
    Const,
    Def,
    Delete,
    Dict,
    Evaluate,
    Expr,
    For,
    FString,
    If,
    IfExp,
    Index,
    Link,
    Name,
    Node,
    Not,
    OtherStmt,
    Star,
    While,
    is_none,
    last_name,
    prefix,
)

_EVICTIONS = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "__delitem__", "move_to_end"})
_READS = frozenset({"keys", "index", "count", "__contains__", "__len__"})
_LOANS = frozenset({"get", "values", "items", "copy", "__getitem__"})
_STORES = {"setdefault": (0, 1), "append": (None, 0), "appendleft": (None, 0), "insert": (None, 1), "add": (0, 0)}
"""Methods that put one thing in: the positions of its key and of the thing."""
_ORDER = frozenset({"<", "<=", ">", ">="})
_ADDITIONS = frozenset({"|=", "+="})
_READERS = frozenset(
    {
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
        "reversed",
    }
)
_COPIERS = frozenset({"dict", "list", "set", "tuple", "frozenset"})

VAGUE = frozenset({"key", "k", "name", "id", "i", "idx", "index", "item", "x", "value", "uid", "cls", "type", "path"})
"""Names of keys that mean another thing in each method."""


class Use(NamedTuple):
    """One use of a container.

    ``what``: ``write``, ``evict``, ``read``, ``lend`` (an entry gets out, the container does not) or ``escape`` (who
    knows). ``how``: the method, ``[]``, ``in``, ``rebind``, or an operator. ``container`` is the expression that
    stands for the container, ``node`` that expression with what is done to it. An entry is written under ``keys``: none
    for lists, several where the entry lies in a container inside the container; ``appends`` where the innermost one
    takes it without a key.
    """

    what: str
    how: str
    code: Code
    node: Any
    container: Expr
    keys: tuple[Expr, ...] = ()
    value: Expr | None = None
    appends: bool = False
    nested: bool = False

    @property
    def place(self) -> Place:
        """The use with the key or the call."""
        return self.code.at(self.node.start, self.node.end)

    @property
    def key(self) -> Expr | None:
        """The outermost key."""
        return self.keys[0] if self.keys else None

    @property
    def text(self) -> str:
        """The outermost key as it is written."""
        if self.key is None:
            return ""
        start, end = self.code.at(self.key.start, self.key.end).span
        return self.code.scope.module.utf8[start:end].decode()

    def note(self, message: str) -> Note:
        """The use as a related place."""
        return Note(self.place, message, Role.STORED)


def uses_in(code: Code, names: frozenset[str], attribute: str) -> Iterator[Use]:
    """What ``code`` does with a bare name of ``names``, or with an attribute of the name ``attribute``."""
    wanted = [name.encode() for name in names | {attribute}]
    for stmt in code.block:
        text = code.scope.module.utf8[code.origin + stmt.start : code.origin + stmt.end]
        if any(word in text for word in wanted):
            for node, above in _with_parents(stmt):
                if isinstance(node, Name) and node.id in names and not _starts_chain(node, above):
                    yield from _bare(code, node, above)
                elif isinstance(node, Chain):
                    count = _container_links(node, names, attribute)
                    if count == len(node.links):
                        yield from _bare(code, node, above)
                    elif count is not None:
                        yield from _linked(code, node, count, above[-1] if above else stmt)


def _with_parents(root: Node) -> Iterator[tuple[Any, list[Any]]]:
    """The nodes of a statement, each with the nodes above it; the bodies of definitions are other code."""
    pending: list[tuple[Any, list[Any]]] = [(root, [])]
    while pending:
        node, above = pending.pop()
        if isinstance(node, Node):
            yield node, above
            above = [*above, node]
        inner = (node.decorators, _outside(node)) if isinstance(node, Def | Class) else node
        pending += [(child, above) for child in [*inner][::-1] if isinstance(child, Node | tuple)]


def _outside(node: Def | Class) -> tuple[Any, ...]:
    return node.args if isinstance(node, Class) else tuple(p.default for p in node.params if p.default is not None)


def _starts_chain(node: Name, above: Sequence[Any]) -> bool:
    return bool(above) and isinstance(above[-1], Chain) and above[-1].base is node


def _container_links(chain: Chain, names: frozenset[str], attribute: str) -> int | None:
    """How many links of a chain it takes to name the container, None where it does not."""
    if isinstance(chain.base, Name) and chain.base.id in names:
        return 0
    return next(
        (i + 1 for i, link in enumerate(chain.links) if isinstance(link, Attr) and link.name == attribute), None
    )


# --- the container itself ----------------------------------------------------------------------------------------


def _bare(code: Code, node: Expr, above: Sequence[Any]) -> Iterator[Use]:
    """The container itself, neither subscripted nor asked for an attribute."""
    parent = above[-1] if above else None
    if isinstance(parent, Bind) and any(target is node for target in parent.targets):
        yield from _bound(code, node, parent)
    else:
        what, how = _meaning(node, parent, above)
        yield Use(what, how, code, node, node)


def _bound(code: Code, node: Expr, stmt: Bind) -> Iterator[Use]:
    """``X = ...`` or ``X |= ...``: a new value that holds the old entries adds, any other one replaces."""
    if stmt.value is None:
        return
    if stmt.op in _ADDITIONS or _holds(stmt.value, node):
        yield from _entries(code, stmt, node, stmt.value, stmt.op or "rebind")
        return
    added = _added(stmt.value, node)
    if not added:
        yield Use("evict", "rebind", code, node, node)
    for value in added:
        yield from _entries(code, stmt, node, value, "+=" if isinstance(value, Collection) else "|=")


def _holds(value: Expr, node: Expr) -> bool:
    """Whether ``{**X, ...}`` or ``[*X, ...]`` unpacks ``X``."""
    if isinstance(value, Dict):
        return any(key is None and _same(item, node) for key, item in value.items)
    return isinstance(value, Collection) and any(isinstance(i, Star) and _same(i.value, node) for i in value.items)


def _added(value: Expr, node: Expr) -> tuple[Expr, ...]:
    """What ``X | {...}`` and ``X + [...]`` add to ``X``."""
    if isinstance(value, Binary) and not {"|", "+"}.isdisjoint(value.ops) and _same(value.operands[0], node):
        return value.operands[1:]
    return ()


def _same(one: Expr, other: Expr) -> bool:
    """Whether both are the same name or dotted name."""
    if isinstance(one, Chain) and isinstance(other, Chain):
        names = [[link.name for link in each.links if isinstance(link, Attr)] for each in (one, other)]
        dotted = len(names[0]) == len(one.links) and len(names[1]) == len(other.links)
        return dotted and names[0] == names[1] and _same(one.base, other.base)
    return isinstance(one, Name) and isinstance(other, Name) and one.id == other.id


def _entries(code: Code, node: Any, container: Expr, value: Expr, how: str) -> Iterator[Use]:
    """The entries of a display that is merged into the container; of other mappings and sets nothing is known."""
    if isinstance(value, Dict):
        for key, item in value.items:
            if key is not None:
                yield Use("write", how, code, node, container, (key,), item)
    elif isinstance(value, Collection):
        unordered = value.kind == "set" or how in {"|=", "update"}
        for item in value.items:
            if not isinstance(item, Star):
                keys = (item,) if unordered else ()
                yield Use("write", how, code, node, container, keys, item, appends=not unordered)
    elif how in {"extend", "+="}:
        yield Use("write", how, code, node, container, (), value, appends=True)


def _meaning(node: Expr, parent: Any, above: Sequence[Any]) -> tuple[str, str]:
    if isinstance(parent, Arg):
        return _given(above)
    if isinstance(parent, Bool) and len(above) > 1:
        return _meaning(parent, above[-2], above[:-1])
    if isinstance(parent, Compare):
        return "read", "in" if {"in", "not in"} & set(parent.ops) else "compare"
    if isinstance(parent, For | Clause | FString | If | While | Not | Evaluate | OtherStmt):
        return "read", "test"
    if isinstance(parent, IfExp) and parent.test is node:
        return "read", "test"
    known = {Delete: ("evict", "del"), **dict.fromkeys((Star, Dict, Binary), ("lend", "unpack"))}
    return known.get(type(parent), ("escape", ""))


def _given(above: Sequence[Any]) -> tuple[str, str]:
    """The container as an argument: known builtins only look at it; ``len`` in a comparison limits its growth."""
    chain = above[-3] if len(above) > 2 else None
    if not (isinstance(chain, Chain) and isinstance(chain.base, Name) and chain.links[0] is above[-2]):
        return "escape", ""
    name, outer = chain.base.id, above[-4] if len(above) > 3 else None
    if name == "len" and isinstance(outer, Compare) and _ORDER & set(outer.ops):
        limits = any(operand is not chain and not _is_nought(operand) for operand in outer.operands)
        return ("evict", "len") if limits else ("read", "len")
    if name in _COPIERS:
        return "lend", name
    return ("read", name) if name in _READERS else ("escape", name)


def _is_nought(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value in {0, 1}


# --- something behind it -----------------------------------------------------------------------------------------


def _linked(code: Code, chain: Chain, count: int, parent: Any) -> Iterator[Use]:
    """The container with links behind it: ``[key]``, a method call, and what is done to the entry."""
    look = Use("read", "[]", code, chain, prefix(chain, count))
    rest = chain.links[count:]
    if isinstance(rest[0], Index):
        yield _item(look, (rest[0].key,), rest[1:], parent)
        return
    method = rest[0].name if isinstance(rest[0], Attr) else ""
    if len(rest) == 1 or not isinstance(rest[1], Call):
        yield look._replace(what="escape", how=method)
        return
    yield from _method(look, method, rest[1])
    if method == "setdefault" and len(rest) > 2 and rest[1].args:
        yield _item(look, (rest[1].args[0].value,), rest[2:], parent)


def _method(look: Use, method: str, call: Call) -> Iterator[Use]:
    if method in _STORES:
        yield _stored(look, method, call)
    elif method in {"update", "extend"}:
        for arg in call.args:
            if arg.keyword is None:
                yield from _entries(look.code, look.node, look.container, arg.value, method)
    else:
        meanings = {"evict": _EVICTIONS, "read": _READS, "lend": _LOANS}
        what = next((what for what, methods in meanings.items() if method in methods), "escape")
        yield look._replace(what=what, how=method)


def _stored(look: Use, method: str, call: Call) -> Use:
    """The thing that a method puts in, under the keys of ``look`` and its own."""
    key, value = (None if index is None else _positional(call, index) for index in _STORES[method])
    keys = look.keys if key is None else (*look.keys, key)
    return look._replace(what="write", how=method, keys=keys, value=value, appends=_STORES[method][0] is None)


def _item(look: Use, keys: tuple[Expr, ...], rest: tuple[Link, ...], parent: Any) -> Use:
    """An entry under ``keys``, and what is done to it: bound, deleted, or changed as a container of its own."""
    look = look._replace(keys=keys, nested=len(keys) > 1)
    if not rest:
        return _whole_item(look, parent)
    if isinstance(rest[0], Index) and not look.nested:
        return _item(look, (*keys, rest[0].key), rest[1:], parent)
    if isinstance(rest[0], Attr) and len(rest) > 1 and isinstance(rest[1], Call):
        if rest[0].name in _STORES:
            return _stored(look, rest[0].name, rest[1])._replace(nested=True)
        if rest[0].name in _EVICTIONS:
            return look._replace(what="evict", how=rest[0].name)
    return look


def _whole_item(look: Use, parent: Any) -> Use:
    if isinstance(parent, Delete):
        return look._replace(what="evict", how="del")
    if not (isinstance(parent, Bind) and any(target is look.node for target in parent.targets)):
        return look._replace(what="lend")
    if is_none(parent.value):
        return look._replace(what="evict", how="None")
    if parent.op in _ADDITIONS and isinstance(parent.value, Collection) and parent.value.items:
        return look._replace(what="write", how=parent.op, value=parent.value.items[0], appends=True, nested=True)
    return look._replace(what="write", how=parent.op or "[]", value=None if parent.op else parent.value)


def _positional(call: Call, index: int) -> Expr | None:
    plain = call.args[: index + 1]
    given = len(plain) == index + 1 and not any(arg.keyword or arg.stars for arg in plain)
    return plain[index].value if given else None


def key_name(key: Expr | None) -> str:
    """What a key is called that is a plain name or attribute, ``session.id`` as ``session_id``; empty for all else."""
    if isinstance(key, Name):
        return key.id.strip("_")
    if not isinstance(key, Chain) or not all(isinstance(link, Attr) for link in key.links):
        return ""
    name = last_name(key).strip("_")
    owner = last_name(prefix(key, len(key.links) - 1)).strip("_")
    return f"{owner}_{name}" if name in VAGUE and owner != "self" else name
