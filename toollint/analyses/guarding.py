"""Where a handler goes that closes what a constructor has opened: around which statements of which block."""

from __future__ import annotations

from collections.abc import Iterator

from toollint.analyses.construction import Loss
from toollint.facts import FunctionFacts
from toollint.syntax import Attr, Bind, Block, Call, Index, Name, Node, Stmt, walk


def endangered(function: FunctionFacts, loss: Loss) -> Block:
    """The statements to guard: all that may fail after the opening, in the innermost block that has them.

    Empty where the steps are in several branches beside the opening.
    """
    opening = loss.opened.stmt.start
    first, last = (loss.steps[index].place.span.start - function.origin for index in (0, -1))
    block: Block | None = function.node.body
    while block is not None:
        index = next((i for i, stmt in enumerate(block) if stmt.start <= opening < stmt.end), None)
        if index is None or block[-1].end <= last:
            return ()
        if block[index].end <= first:
            return _from_first_to_last(block[index + 1 :], last, loss.opened.names)
        block = next((inner for inner in _blocks(block[index]) if _has(inner, opening)), None)
    return ()


def _from_first_to_last(block: Block, last: int, names: frozenset[str]) -> Block:
    """The statements that do anything, up to the last one that may fail or has to do with what is open."""
    uses = [i for i, stmt in enumerate(block) if stmt.start <= last or any(_mentions(n, names) for n in walk(stmt))]
    does = [i for i, stmt in enumerate(block) if not _is_plain(stmt)]
    return block[does[0] : uses[-1] + 1]


def _mentions(node: Node, names: frozenset[str]) -> bool:
    return (isinstance(node, Name) and node.id in names) or (isinstance(node, Attr) and f".{node.name}" in names)


def _is_plain(stmt: Stmt) -> bool:
    """Whether it only gives names to values that are there."""
    parts = walk(*stmt.targets, stmt.value) if isinstance(stmt, Bind) else (stmt,)
    return isinstance(stmt, Bind) and not any(isinstance(part, Call | Index) for part in parts)


def _blocks(stmt: Stmt) -> Iterator[Block]:
    """The blocks of a statement, handlers and cases included."""
    for holder in (stmt, *getattr(stmt, "handlers", ()), *getattr(stmt, "cases", ())):
        yield from (getattr(holder, name, ()) for name in ("body", "orelse", "final"))
    yield from (body for _, body in getattr(stmt, "branches", ()))


def _has(block: Block, offset: int) -> bool:
    return bool(block) and block[0].start <= offset < block[-1].end
