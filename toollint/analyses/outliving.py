"""What is used after the `with` that closed it: the object itself, or something that was built on it.

It leaves the block by `return`, by an attribute or a global that stays, or is used behind the block under its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from toollint.analyses.ending import Dead, Needing, ended_by, only_makes
from toollint.analyses.lifetimes.calls import DATA
from toollint.analyses.managers import manager_words, written
from toollint.analyses.release import is_closer
from toollint.analyses.tied import following
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import Code, ModuleFacts, Parameter, code_of
from toollint.lower import blocks
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Clause,
    Collection,
    Expr,
    For,
    Name,
    Node,
    Return,
    Scope,
    Stmt,
    While,
    With,
    Yield,
    callee,
    is_none,
    last_call,
    last_name,
    walk,
)

_WORKS = re.compile(
    r"a?(?:invoke|run|stream|batch|query|chat|execute|call|send|ask|answer|kickoff|step|get_state|update_state"
    r"|transform|search|generate|complete)\w*"
)
"""Methods by which an object that was built on another does its work, and needs the other."""


@dataclass(frozen=True, eq=False)
class Outlived:
    """Something that is used although the `with` around it has closed it.

    ``name`` is what the `with` binds, ``item`` what it enters; ``node`` is the use, in the code ``where``. ``how`` is
    ``returned``, ``stored`` or ``used``. ``subject`` is what is used, as it is written, ``built`` whether it is not the
    object itself but built on it. ``statement`` is None where an exit stack enters it.
    """

    values: Values
    code: Code
    statement: With
    item: Expr
    name: str
    resource: Resource
    where: Code
    node: Expr | Stmt
    how: str
    subject: str
    built: Expr | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Outlived]:
        """What outlives its `with` in a file; of one `with` only the first."""
        if b"with" not in values.project.words(module.path) or module.is_test or module.path.endswith(".pyi"):
            return
        words = manager_words(values, module)
        for code in code_of(module, words) if words else ():
            for node in walk(code.block, into=False):
                if isinstance(node, With):
                    yield from _outlived(cls, values, code, node)

    @property
    def place(self) -> Place:
        """What is returned, stored or used."""
        return self.where.at(self.node.start, self.node.end)

    @property
    def entered(self) -> Place:
        """What the `with` enters."""
        return self.code.at(self.item.start, self.item.end)

    @property
    def called(self) -> str:
        """What built it, as it is written; empty for the object itself."""
        called = callee(self.built) if self.built is not None else None
        return written(self.code, called) if called is not None else ""

    @property
    def following(self) -> Block:
        """The statements after the `with` up to the use, where they stand in one block with it in a function."""
        if self.how != "used" or self.code.function is None:
            return ()
        rest = following(self.code.block, self.statement)
        last = [i for i, one in enumerate(rest) if any(node is self.node for node in walk(one))]
        return rest[: last[0] + 1] if last else ()


# --- where it is used --------------------------------------------------------------------------------------------


def _outlived(cls: type[Outlived], values: Values, code: Code, statement: With) -> Iterator[Outlived]:
    """The first use of what a `with` has closed."""
    for item, names, resource in ended_by(values, code, statement):
        block = Needing(values, code, statement.body, names, resource=resource) if names else None
        again = item.id if isinstance(item, Name) and names == (item.id,) else ""
        uses = _Uses(block, statement, again) if block is not None and block.dead else None
        for where, node, how, dead in uses.found() if uses is not None else ():
            subject = dead.name or written(where, callee(dead.built) or dead.built) if dead.built else dead.name
            yield cls(values, code, statement, item, names[0], resource, where, node, how, subject, dead.built)
            return


_Use: TypeAlias = tuple[Code, "Expr | Stmt", str, Dead]


class _Uses:
    """The uses of names that are closed when a `with` ends: those that leave its block, and those behind it.

    ``again`` is the name of something that was made before, and may be entered again by whoever has it.
    """

    def __init__(self, block: Needing, statement: With, again: str) -> None:
        self.again = again
        self.block = block
        self.code = block.code
        self.statement = statement
        function = self.code.function
        self.may_return = function is not None and not function.is_generator
        self.globals = {
            name
            for node in walk(self.code.block, into=False)
            if isinstance(node, Scope) and node.word == "global"
            for name in node.names
        }

    def found(self) -> Iterator[_Use]:
        for use in self.uses() if not self.again or not self.is_entered_again() else ():
            if not self.again or (use[3].built is not None and not _mentions(use[1], self.again)):
                yield use

    def is_entered_again(self) -> bool:
        """Whether another `with` enters the object."""
        blocks_ = [block for _, block in self.later()]
        others = (node for node in walk(*blocks_) if isinstance(node, With) and node is not self.statement)
        return any(_mentions(item, self.again) for node in others for item, _ in node.items)

    def uses(self) -> Iterator[_Use]:
        for node in walk(self.statement.body, into=False):
            if isinstance(node, Return) and self.may_return:
                yield from self.escape(node, node.value, "returned")
            elif isinstance(node, Bind) and self.is_kept(node):
                yield from self.escape(node, node.value, "stored")
        yield from self.behind()

    def escape(self, node: Expr | Stmt, value: Expr | None, how: str) -> Iterator[_Use]:
        dead = self.block.carried(value)
        if dead is not None:
            yield self.code, node, how, dead

    # --- put somewhere

    def is_kept(self, stmt: Bind) -> bool:
        """Whether a statement puts its value where it stays, and the block has nothing left to do with it."""
        target = stmt.targets[0]
        if len(stmt.targets) != 1 or not self.stays(target) or self.is_reset(target):
            return False
        rest = _rest(self.statement.body, stmt)
        return rest is not None and all(map(self.is_calm, rest))

    def stays(self, target: Expr) -> bool:
        """Whether it is a global, or an attribute of something that was there before the function was called."""
        if isinstance(target, Name):
            return target.id in self.globals
        if not isinstance(target, Chain) or not isinstance(target.base, Name) or self.code.function is None:
            return False
        found = self.code.scope.find(target.base.id)
        if found is None or not isinstance(target.links[-1], Attr):
            return False
        return found[0] is not self.code.scope or all(isinstance(one, Parameter) for one in found[1])

    def is_reset(self, target: Expr) -> bool:
        """Whether the function empties the place again."""
        text = written(self.code, target)
        later = [node for node in walk(self.code.block, into=False) if isinstance(node, Bind) and is_none(node.value)]
        later = [node for node in later if node.start > target.start]
        return any(written(self.code, one) == text for node in later for one in node.targets)

    def is_calm(self, stmt: Stmt) -> bool:
        """Whether a statement only makes things: nobody can work with the object while it runs."""
        if isinstance(stmt, For | While | With):
            return False
        return all(self.makes(node) for node in walk(stmt, into=False) if isinstance(node, Chain | Await | Yield))

    def makes(self, node: Chain | Await | Yield) -> bool:
        if isinstance(node, Yield):
            return False
        if isinstance(node, Await):
            chain = node.value
            known = isinstance(chain, Chain) and self.block.call(chain, awaited=True) is not None
            return known or (isinstance(chain, Chain) and self.is_of_object(chain))
        if not any(isinstance(link, Call) for link in node.links) or self.is_of_object(node):
            return True
        called = callee(node)
        word = last_name(called) if called is not None else ""
        return only_makes(word) or self.block.call(node, awaited=True) is not None

    def is_of_object(self, chain: Chain) -> bool:
        """Whether a chain starts at the object, or at something that was built on it, and is no work of its own."""
        base = chain.base
        return isinstance(base, Name) and base.id in self.block.dead and self.block.dead[base.id].built is None

    # --- behind the block

    def behind(self) -> Iterator[_Use]:
        """The uses of the names after the `with`, in the order of the source."""
        for code, block in self.later():
            for node in walk(block, into=False):
                if isinstance(node, Return) and self.may_return and node.start >= self.statement.end:
                    dead = self.returned(node.value)
                    if dead is not None:
                        yield code, node, "returned", dead
                dead = self.used(code, node) if getattr(node, "start", -1) >= self.least(code) else None
                if dead is not None:
                    yield code, node, "used", dead

    def least(self, code: Code) -> int:
        return self.statement.end if code is self.code else 0

    def later(self) -> Iterator[tuple[Code, Block]]:
        """The function, of which what follows counts; at module level the statements that come after."""
        yield self.code, self.code.block
        if self.code.function is None and self.code.scope.kind == "module":
            module = self.code.scope.module
            words = frozenset(name.encode() for name in self.block.dead)
            for code in code_of(module, words):
                if code.scope is self.code.scope and code.origin > self.code.origin:
                    yield code, code.block

    def returned(self, value: Expr | None) -> Dead | None:
        """The name, or one of the names of a tuple, that is given back."""
        parts = value.items if isinstance(value, Collection) else (value,)
        found = (self.known(part) for part in parts)
        return next(filter(None, found), None)

    def known(self, expr: Expr | None) -> Dead | None:
        """What is known of a name behind the block, where nothing else binds it."""
        if isinstance(expr, Name) and self.block.is_bound_once(expr.id):
            return self.block.dead.get(expr.id)
        return None

    def used(self, code: Code, node: Node) -> Dead | None:
        """What a node works with although it has been closed."""
        if isinstance(node, For | Clause):
            dead = self.known(node.iter)
            return dead if dead is not None and dead.built is None else None
        if not isinstance(node, Chain):
            return None
        dead = self.known(node.base)
        links = node.links
        if dead is not None and isinstance(links[0], Attr):
            called = len(links) > 1 and isinstance(links[1], Call)
            return dead if called and self.works(dead, links[0].name) else None
        return self.given(code, node)

    def works(self, dead: Dead, verb: str) -> bool:
        """Whether a method needs the object to be open."""
        if dead.built is not None:
            return _WORKS.fullmatch(verb) is not None
        return not is_closer(verb) and verb not in DATA and not verb.startswith("_")

    def given(self, code: Code, chain: Chain) -> Dead | None:
        """A name among the arguments of a call that the catalogue says uses or keeps them."""
        called, call = callee(chain), last_call(chain)
        known = [dead for arg in call.args if (dead := self.known(arg.value)) is not None] if call is not None else []
        target = self.block.values.of(code.scope, called) if known else None
        effect = self.block.values.catalog.effect(target.name) if isinstance(target, Library) else None
        if effect is None or call is None:
            return None
        for position, arg in enumerate(call.args):
            name = arg.keyword or (effect.params[position] if position < len(effect.params) else "")
            if name in effect.retains or name in effect.borrows:
                dead = self.known(arg.value)
                if dead is not None:
                    return dead
        return None


def _mentions(node: Node, name: str) -> bool:
    return any(isinstance(part, Name) and part.id == name for part in walk(node))


def _rest(block: Block, stmt: Stmt) -> list[Stmt] | None:
    """What follows a statement up to the end of a block, whatever it is nested in; None where a loop repeats it."""
    for index, one in enumerate(block):
        if one is stmt:
            return [*block[index + 1 :]]
        for inner in blocks(one):
            found = _rest(inner, stmt)
            if found is not None:
                return None if isinstance(one, For | While) else [*found, *block[index + 1 :]]
    return None
