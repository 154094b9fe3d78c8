"""What is held weakly from here on: entries of weak containers, and objects that a weak reference is made to.

A weak hold keeps nothing. It is of no use where nobody else holds the object (`toollint.analyses.temporaries`), nor
where the container holds it after all, by the value beside it (`toollint.analyses.selfkeyed`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.instances import InstanceContainer
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.values import Values
from toollint.facts import Code, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Arg, Call, Chain, Expr, last_name, prefix, walk

_REFERENCES = frozenset({"weakref.ref", "weakref.ReferenceType", "weakref.proxy"})
"""What takes an object and holds it weakly."""
_ALIAS = re.compile(rb"\b(?:ref|ReferenceType|proxy)[ \t]+as[ \t]+(\w+)")


@dataclass(frozen=True, eq=False)
class Weakly:
    """An object that something holds weakly.

    ``holder`` is that something: the container, or the function that makes the reference. ``held`` is the object,
    ``node`` the expression that stores or refers to it. ``box`` is the container and ``write`` the write into it, both
    None for a reference.
    """

    values: Values
    code: Code
    holder: Expr
    held: Expr
    node: Expr
    box: Container | None = None
    write: Use | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Weakly]:
        """The weak references that a file makes, and the writes into the weak containers that it declares."""
        if b"weakref" in values.project.words(module.path) and not module.is_test:
            yield from _references(values, module)
            for box in (*Container.find(values, module), *InstanceContainer.find(values, module)):
                yield from _entries(values, module, box) if box.row.weak else ()

    @property
    def place(self) -> Place:
        """What stores the object, or refers to it."""
        return self.code.at(self.node.start, self.node.end)

    def text(self, expr: Expr) -> str:
        """An expression as it is written, on one line."""
        start, end = self.code.at(expr.start, expr.end).span
        return " ".join(self.code.scope.module.utf8[start:end].decode().split())


def _entries(values: Values, module: ModuleFacts, box: Container) -> Iterator[Weakly]:
    for write in box.writes:
        held = write.key if box.row.weak == "keys" else write.value
        if held is not None and write.code.scope.module is module:
            yield Weakly(values, write.code, write.container, held, write.node, box=box, write=write)


def _references(values: Values, module: ModuleFacts) -> Iterator[Weakly]:
    names = {name.rpartition(".")[2].encode() for name in _REFERENCES}
    about = frozenset(names & values.project.words(module.path)) | frozenset(_ALIAS.findall(module.utf8))
    for code in code_of(module, about):
        for node in walk(code.block, into=False):
            for index, link in enumerate(node.links) if isinstance(node, Chain) else ():
                called = prefix(node, index)
                if isinstance(link, Call) and link.args and last_name(called).encode() in about:
                    target = values.project.resolve(code.scope, called)
                    if isinstance(target, Library) and target.name in _REFERENCES and _is_plain(link.args[0]):
                        made = prefix(node, index + 1)
                        yield Weakly(values, code, called, link.args[0].value, made)


def _is_plain(arg: Arg) -> bool:
    return not arg.stars and arg.keyword is None
