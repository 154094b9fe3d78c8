"""Where a resource lives in its function: the statement that opens it, those that need it, those that close it.

Asked by fixes that end it another way. One block holds the opening and all that needs the resource, or there is no
answer: fixes are offered where they are certain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from toollint.analyses.lifetimes import Leak
from toollint.analyses.tied import escapes, mentions, needs, tied
from toollint.catalog import Resource
from toollint.facts import FunctionFacts
from toollint.lower import blocks
from toollint.model import Place
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Class,
    Clause,
    Compare,
    Def,
    Delete,
    Evaluate,
    Expr,
    For,
    Handler,
    If,
    IfExp,
    Import,
    ImportFrom,
    Lambda,
    Match,
    Name,
    Not,
    Raise,
    Return,
    Scope,
    Simple,
    Stmt,
    Try,
    Walrus,
    While,
    With,
    Yield,
    is_name,
    is_none,
    last_name,
    walk,
)


class Close(NamedTuple):
    """A statement that closes the resource: the call alone, or below a test whether there is anything to close.

    ``word`` is the method, or the dotted function that is given the resource; ``block`` the statements that it stands
    among, ``parent`` the statement that these are a part of, None in the function's own block.
    """

    stmt: Stmt
    call: Evaluate
    word: str
    block: Block
    parent: Stmt | None

    @property
    def is_guarded(self) -> bool:
        """Whether it asks first."""
        return self.stmt is not self.call

    @property
    def is_awaited(self) -> bool:
        """Whether it is a coroutine."""
        return isinstance(self.call.value, Await)


Opening: TypeAlias = "tuple[Block, int, tuple[Stmt, ...]]"
"""The block that the statement is in that binds the resource, its index there, and the statements around."""


@dataclass(frozen=True, eq=False)
class Lifespan:
    """``block[index]`` binds the resource to ``name``; it has to be open until ``block[last]`` is done.

    ``around`` are the statements that the block is a part of, ``closes`` all that close the resource.
    """

    function: FunctionFacts
    resource: Resource
    name: str
    block: Block
    index: int
    last: int
    around: tuple[Stmt, ...]
    closes: tuple[Close, ...]

    @property
    def opening(self) -> Stmt:
        """The statement that opens it."""
        return self.block[self.index]

    @property
    def region(self) -> Block:
        """The statements that need it open, a close at their end included."""
        return self.block[self.index + 1 : self.last + 1]

    @cached_property
    def names(self) -> frozenset[str]:
        """The name, and those of values that may need the resource."""
        return tied(self.region, self.name)

    @cached_property
    def sibling(self) -> Close | None:
        """The close at the end of the statements, in the block of the opening."""
        return next((close for close in self.closes if close.stmt is self.region[-1]), None)

    @cached_property
    def is_left_early(self) -> bool:
        """Whether more than a failure leaves the statements before their end, or leaves them to go on later."""
        return any(True for _ in _exits(self.region)) or any(
            isinstance(node, Yield) for node in walk(self.region, into=False)
        )

    def at(self, start: int, end: int) -> Place:
        """A place in the function."""
        return self.function.at(start, end)

    def text(self, start: int, end: int) -> str:
        """What is written there."""
        first, last = self.at(start, end).span
        return self.function.module.utf8[first:last].decode()


def lifespan(leak: Leak) -> Lifespan | None:
    """Where a lost resource has to be open in its function; None where that is not certain."""
    function, name, resource = leak.function, leak.name, leak.acquisition.resource
    start, end = (offset - function.origin for offset in leak.place.span)
    opening = next(_openings(function.node.body, start, end), None)
    if not name or opening is None:
        return None
    block, index, around = _attempted(opening, function.node.body) or opening
    closes = tuple(_closes(function.node.body, None, name, resource))
    last = _last(block, index, name, {id(close.stmt) for close in closes})
    if last is None:
        return None
    first, end = block[index].end, block[last].end
    closes = tuple(close for close in closes if first <= close.stmt.start < end)
    life = Lifespan(function, resource, name, block, index, last, around, closes)
    if leak.given and (life.sibling is None or life.is_left_early):
        return None
    return life if _is_whole(life) and _keeps_inside(life) else None


def _attempted(opening: Opening, body: Block) -> Opening | None:
    """The `try` around the opening in its place, where it does nothing else, and leaves the block where it fails."""
    block, index, around = opening
    stmt = around[-1] if around else None
    if not isinstance(stmt, Try) or block is not stmt.body or index + 1 < len(block) or stmt.orelse or stmt.final:
        return None
    if not stmt.handlers or not all(_is_left(handler.body) for handler in stmt.handlers):
        return None
    outer = blocks(around[-2]) if len(around) > 1 else (body,)
    found = next((one for one in outer if any(other is stmt for other in one)), None)
    return None if found is None else (found, next(i for i, other in enumerate(found) if other is stmt), around[:-1])


def _is_left(block: Block) -> bool:
    """Whether a block never comes to its end."""
    return bool(block) and (
        isinstance(block[-1], Return | Raise) or (isinstance(block[-1], Simple) and block[-1].word != "pass")
    )


def _openings(block: Block, start: int, end: int, around: tuple[Stmt, ...] = ()) -> Iterator[Opening]:
    for index, stmt in enumerate(block):
        if stmt.start <= start < end <= stmt.end:
            if isinstance(stmt, Bind) and not stmt.op:
                value = stmt.value.value if isinstance(stmt.value, Await) else stmt.value
                if value is not None and (value.start, value.end) == (start, end):
                    yield block, index, around
            for inner in blocks(stmt):
                yield from _openings(inner, start, end, (*around, stmt))


def _last(block: Block, index: int, name: str, closing: set[int]) -> int | None:
    """The last statement that needs the resource: a close in the same block, else the last use of what needs it."""
    later = range(index + 1, len(block))
    limit = next((i for i in later if _rebinds(block[i], name)), len(block))
    stops = [i for i in range(index + 1, limit) if id(block[i]) in closing]
    names = tied(block[index + 1 : limit], name)
    uses = stops or [i for i in range(index + 1, limit) if mentions(block[i], names)]
    return uses[-1] if uses else None


def _rebinds(stmt: Stmt, name: str) -> bool:
    """Whether a statement does nothing but give the name to something else."""
    return isinstance(stmt, Bind) and not stmt.op and len(stmt.targets) == 1 and is_name(stmt.targets[0], name)


# --- what closes -------------------------------------------------------------------------------------------------


def _closes(block: Block, parent: Stmt | None, name: str, resource: Resource) -> Iterator[Close]:
    for stmt in block:
        word = closing_word(stmt, name, resource)
        guarded = _guarded(stmt, name)
        if word and isinstance(stmt, Evaluate):
            yield Close(stmt, stmt, word, block, parent)
        elif isinstance(guarded, Evaluate) and (word := closing_word(guarded, name, resource)):
            yield Close(stmt, guarded, word, block, parent)
        else:
            for inner in blocks(stmt):
                yield from _closes(inner, stmt, name, resource)


def closing_word(stmt: Stmt, name: str, resource: Resource) -> str:
    """What a statement calls to close the resource of that name, and does nothing else; empty where it does not."""
    value = stmt.value if isinstance(stmt, Evaluate) else None
    call = value.value if isinstance(value, Await) else value
    if not isinstance(call, Chain) or not isinstance(call.links[-1], Call):
        return ""
    args = call.links[-1].args
    if is_name(call.base, name):
        method = call.links[0]
        plain = len(call.links) == 2 and isinstance(method, Attr) and not args
        return method.name if plain and isinstance(method, Attr) and method.name in verbs(resource) else ""
    function = resource.release.rpartition(".")[2] if "." in resource.release else ""
    given = len(args) == 1 and args[0].keyword is None and is_name(args[0].value, name)
    return resource.release if given and function and last_name(call) == function else ""


def verbs(resource: Resource) -> frozenset[str]:
    """The methods that are known to close a resource, and to do nothing else."""
    closers = {"close", "aclose"} - {*resource.never}
    return frozenset({resource.release, *resource.others, *closers})


def _guarded(stmt: Stmt, name: str) -> Stmt | None:
    """The one statement below a test whether a name holds anything."""
    if not isinstance(stmt, If) or len(stmt.branches) != 1 or stmt.orelse:
        return None
    test, body = stmt.branches[0]
    if isinstance(test, Compare):
        asks = test.ops == ("is not",) and is_name(test.operands[0], name) and is_none(test.operands[1])
    else:
        asks = is_name(test, name)
    return body[0] if asks and len(body) == 1 else None


def asks_whether_it_is_there(life: Lifespan) -> bool:
    """Whether a test asks if the name holds anything: it may hold None, which nothing can close."""
    for node in walk(life.region):
        tests: tuple[Expr, ...] = ()
        if isinstance(node, If):
            tests = tuple(test for test, _ in node.branches)
        elif isinstance(node, While | IfExp):
            tests = (node.test,)
        elif isinstance(node, Bool):
            tests = node.operands
        elif isinstance(node, Not):
            tests = (node.operand,)
        elif isinstance(node, Compare) and any(map(is_none, node.operands)):
            tests = node.operands
        if any(is_name(test, life.name) for test in tests):
            return True
    return False


def droppable(life: Lifespan) -> bool:
    """Whether every close can go where the resource is closed when the statements are left: nothing comes between."""
    ending = {id(stmt) for stmt in _Endings(life.name).of(life.region, at_end=True)}
    return all(id(close.stmt) in ending for close in life.closes)


class _Endings:
    """Finds the statements after which nothing runs but what leaves a block for good, and nothing uses the name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.looping = 0
        self.catching = 0

    def of(self, block: Block, *, at_end: bool) -> Iterator[Stmt]:
        for stmt, following in itertools.zip_longest(block, block[1:]):
            ends = at_end if following is None else self._leaves(following)
            if ends:
                yield stmt
            if isinstance(stmt, Try):
                yield from self._of_try(stmt, ends)
            elif isinstance(stmt, For | While):
                self.looping += 1
                yield from self.of(stmt.body, at_end=False)
                self.looping -= 1
                yield from self.of(stmt.orelse, at_end=ends)
            else:
                for inner in blocks(stmt):
                    yield from self.of(inner, at_end=ends)

    def _of_try(self, stmt: Try, ends: bool) -> Iterator[Stmt]:
        if not any(mentions(one, {self.name}) for one in stmt.final):
            self.catching += bool(stmt.handlers)
            yield from self.of(stmt.body, at_end=ends and not stmt.orelse)
            self.catching -= bool(stmt.handlers)
            for inner in (*(handler.body for handler in stmt.handlers), stmt.orelse):
                yield from self.of(inner, at_end=ends)
        yield from self.of(stmt.final, at_end=ends and not self.catching)

    def _leaves(self, stmt: Stmt) -> bool:
        """Whether a statement leaves the block that is looked at, and does not use the name on its way."""
        if mentions(stmt, {self.name}):
            return False
        if isinstance(stmt, Raise):
            return not self.catching
        return isinstance(stmt, Return) or (isinstance(stmt, Simple) and stmt.word != "pass" and not self.looping)


def _exits(block: Block, *, looping: bool = False) -> Iterator[Stmt]:
    """What leaves the block without a failure."""
    for stmt in block:
        if isinstance(stmt, Return) or (isinstance(stmt, Simple) and stmt.word != "pass" and not looping):
            yield stmt
        for inner in blocks(stmt):
            inside = looping or (isinstance(stmt, For | While) and inner is stmt.body)
            yield from _exits(inner, looping=inside)


# --- what may need it elsewhere ----------------------------------------------------------------------------------


def _is_whole(life: Lifespan) -> bool:
    """Whether the name means the resource in these statements, and nothing that needs it can be used elsewhere."""
    body, name = life.function.node.body, life.name
    if any(_binds(node, name) for stmt in life.region for node in walk(stmt)):
        return False
    if any(isinstance(node, Scope) and name in node.names for node in walk(body)):
        return False
    if any(isinstance(node, Def | Class | Lambda) and mentions(node, {name}) for node in walk(body, into=False)):
        return False
    return not any(_is_elsewhere(life, node) for node in walk(body) if isinstance(node, Name))


def _binds(node: object, name: str) -> bool:
    """Whether a node gives the name another meaning."""
    if isinstance(node, Bind | Delete):
        return any(is_name(part, name) for target in node.targets for part in walk(target) if _is_bare(target))
    if isinstance(node, For | Clause | Walrus):
        return mentions(node.target, {name})
    if isinstance(node, With):
        return any(target is not None and mentions(target, {name}) for _, target in node.items)
    if isinstance(node, Import | ImportFrom):
        return any(name == (bound or full.partition(".")[0]) for full, bound in node.names)
    if isinstance(node, Match):
        return any(name in case.binds for case in node.cases)
    return isinstance(node, Handler | Def | Class) and node.name == name


def _is_bare(target: Expr) -> bool:
    """Whether assigning to a target binds names, rather than attributes or items of what a name holds."""
    return not isinstance(target, Chain)


def _is_elsewhere(life: Lifespan, node: Name) -> bool:
    """Whether a name outside the statements may need the resource when they are done."""
    first, end = life.opening, life.region[-1].end
    if first.start <= node.start < end or node.id not in life.names:
        return False
    if node.id != life.name and (life.sibling is None or life.is_left_early or _is_handling(life, node)):
        return True
    return node.id == life.name and not _is_of_another(life, node)


def _is_handling(life: Lifespan, node: Name) -> bool:
    """Whether a name stands where a failure of the statements leads to."""
    return any(
        isinstance(stmt, Try) and any(node is part for part in walk(stmt.handlers, stmt.final)) for stmt in life.around
    )


def _is_of_another(life: Lifespan, node: Name) -> bool:
    """Whether a name is the target of another assignment, or stands below one in the same block or in a `with`."""
    for one in walk(life.function.node.body):
        if isinstance(one, With) and _binds(one, life.name) and one.start <= node.start < one.end:
            return not one.start <= life.opening.start < one.end
    for block in _all_blocks(life.function.node.body):
        for index, stmt in enumerate(block):
            if stmt is life.opening or not _rebinds(stmt, life.name) or not isinstance(stmt, Bind):
                continue
            if node is stmt.targets[0]:
                return True
            holder = next((one for one in block[index + 1 :] if one.start <= life.opening.start < one.end), None)
            end = block[-1].end if holder is None else holder.start
            if stmt.end <= node.start < end:
                return True
    return False


def _all_blocks(block: Block) -> Iterator[Block]:
    yield block
    for stmt in block:
        for inner in blocks(stmt):
            yield from _all_blocks(inner)


def _keeps_inside(life: Lifespan) -> bool:
    """Whether no value that needs the resource leaves the statements; one that was closed before could not be used."""
    region, names = life.region, life.names
    if life.sibling is None or len(life.closes) > 1:
        return not any(True for _ in escapes(region, names))
    leaving = (node for node in walk(region, into=False) if isinstance(node, Return | Yield))
    return not any(needs(node.value, names) for node in leaving)
