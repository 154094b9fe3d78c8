"""Context managers that are taken for what they yield, or entered by the `with` of the other colour.

Known as managers are the calls that the catalogue has, and the decorated generators of the project. What a generator's
manager offers itself is little, so any other use of it fails for certain: an attribute of the object inside, a loop,
`await`, unpacking. A name or an attribute counts that is bound once; whatever else becomes of a manager (returned,
handed to an exit stack or to anything not understood) is nobody's mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from toollint.analyses.tied import rest_of
from toollint.analyses.values import Instance, Method, Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
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
    Index,
    Name,
    With,
    attribute_of,
    callee,
    last_name,
    prefix,
    walk,
)

_DECORATED = re.compile(
    rb"@(?:\w+\.)*(?:async)?contextmanager[ \t]*(?:#[^\r\n]*)?(?:\r?\n|\r)"
    rb"(?:[ \t]*(?:@[^\r\n]*|#[^\r\n]*)?(?:\r?\n|\r))*[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)"
)
_MAKERS = {"contextlib.contextmanager": "sync", "contextlib.asynccontextmanager": "async"}
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "override", "final", "abstractmethod"})
_HARMLESS = frozenset({"dataclass", "final", "total_ordering", "runtime_checkable", "define", "frozen", "attrs"})
"""Decorators of classes that add nothing by which an object could be entered."""
_OWN = re.compile(r"__\w+__|gen|args|kwds|func|_recreate_cm")
"""What the manager of a generator offers itself."""


_Attribute: TypeAlias = tuple[int, str]
"""An attribute of the objects of a class."""


class Manager(NamedTuple):
    """A call that gives a context manager: its ``colour`` (``sync`` or ``async``), and the role of what it yields."""

    call: Chain
    code: Code
    colour: str
    role: str = ""
    function: FunctionFacts | None = None


class Use(NamedTuple):
    """A use of a manager that only what it yields allows; ``words`` say what is asked of it."""

    node: Expr
    code: Code
    words: str


@dataclass(frozen=True, eq=False)
class Mistaken:
    """A manager and the first use that fails; ``binding`` is the statement that names it."""

    values: Values
    manager: Manager
    use: Use
    binding: Bind | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Mistaken]:
        """The managers of a file that are taken for what they yield, in source order."""
        words = manager_words(values, module)
        if not words:
            return
        codes = [*code_of(module, words)]
        made = [one for code in codes for one in _made(values, code, words)]
        whole = {id(one.call) for one in made}
        bound = [
            (code, node)
            for code in codes
            for node in walk(code.block, into=False)
            if isinstance(node, Bind) and id(node.value) in whole and len(node.targets) == 1
        ]
        names = {node.targets[0].id.encode() for _, node in bound if isinstance(node.targets[0], Name)}
        held = dict(kept for code, node in bound for kept in _attribute(code, node))
        seen: set[int] = set()
        for code in (code_of(module, words | names) if names else codes) if made else ():
            for manager, use, binding in _Uses(values, code, made, names, held).found():
                if id(manager.call) not in seen:
                    seen.add(id(manager.call))
                    yield cls(values, manager, use, binding)

    @property
    def place(self) -> Place:
        """The call that gives the manager."""
        return self.manager.code.at(self.manager.call.start, self.manager.call.end)

    @property
    def called(self) -> str:
        """What is called, as it is written, on one line."""
        return written(self.manager.code, callee(self.manager.call) or self.manager.call)

    @property
    def rest(self) -> Block:
        """The statements that follow the binding in its block, where all uses of the name stand in them; else none."""
        plain = self.binding is not None and len(self.binding.targets) == 1
        return rest_of(self.manager.code, self.binding) if plain else ()


@dataclass(frozen=True, eq=False)
class WrongColour:
    """A `with` over something that only `async with` can enter, or the other way round.

    ``what`` is the item, ``wanted`` the colour that it has.
    """

    code: Code
    statement: With
    item: Expr
    wanted: str

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[WrongColour]:
        """The items of a file that their `with` cannot enter."""
        if b"with" not in values.project.words(module.path) or module.is_test:
            return
        words = manager_words(values, module) | values.sieve.words(module.path, "acquisition")
        for code in code_of(module, words) if words else ():
            for node in walk(code.block, into=False):
                for item, _ in node.items if isinstance(node, With) else ():
                    wanted = _colour(values, code, item)
                    if isinstance(node, With) and wanted and wanted != ("async" if node.is_async else "sync"):
                        yield cls(code, node, item, wanted)

    @property
    def place(self) -> Place:
        """The item."""
        return self.code.at(self.item.start, self.item.end)

    @property
    def called(self) -> str:
        """What is entered, as it is written, on one line."""
        called = callee(self.item)
        return f"{written(self.code, called)}()" if called is not None else written(self.code, self.item)


def written(code: Code, node: Expr) -> str:
    """What is written where a node stands, on one line."""
    start, end = code.at(node.start, node.end).span
    return " ".join(code.scope.module.utf8[start:end].decode().split())


# --- what is a manager -------------------------------------------------------------------------------------------


def manager_words(values: Values, module: ModuleFacts) -> frozenset[bytes]:
    """The identifiers by which a file can call something that gives a manager."""
    if module.is_test:
        return frozenset()
    mentioned = values.project.words(module.path)
    return (_decorated(values) | values.sieve.words(module.path, "acquisition")) & mentioned


def _decorated(values: Values) -> frozenset[bytes]:
    """The names of all decorated generators of the project."""
    found = values.noted.get("managers")
    if not isinstance(found, frozenset):
        names: set[bytes] = set()
        for path in values.project.paths:
            if not values.project.words(path).isdisjoint({b"contextmanager", b"asynccontextmanager"}):
                names.update(_DECORATED.findall(values.project.text(path)))
        found = values.noted["managers"] = frozenset(names)
    return found


def _made(values: Values, code: Code, words: frozenset[bytes]) -> Iterator[Manager]:
    """The calls in some code that give a manager: those that a chain ends with, and those that it goes on after."""
    for node in walk(code.block, into=False):
        if not isinstance(node, Chain):
            continue
        for index, link in enumerate(node.links):
            if isinstance(link, Call) and last_name(prefix(node, index)).encode() in words:
                call = node if index + 1 == len(node.links) else prefix(node, index + 1)
                manager = _manager(values, code, call) if isinstance(call, Chain) else None
                if manager is not None:
                    yield manager


def _manager(values: Values, code: Code, call: Chain) -> Manager | None:
    """The manager that a call gives, where that is certain."""
    target = values.of(code.scope, callee(call))
    function = target.function if isinstance(target, Method) else target
    if isinstance(function, FunctionFacts):
        colour = colour_of(values, function)
        return Manager(call, code, colour, function=function) if colour else None
    row = values.catalog.acquisition(target.name) if isinstance(target, Library) else None
    if row is None or not row.generator:
        return None
    kind = values.catalog.base(row.resource.name)
    return Manager(call, code, row.manager, role=kind.role if kind is not None else "")


def generated_by(values: Values, code: Code, call: Expr) -> bool:
    """Whether a call gives the manager of a decorated generator: what it yields is never the manager itself."""
    return isinstance(call, Chain) and _manager(values, code, call) is not None


def colour_of(values: Values, function: FunctionFacts) -> str:
    """The colour of the manager that a decorated generator gives; empty where it gives none for certain."""
    others = [one for one in function.decorators if last_name(one) not in _PLAIN_DECORATORS]
    targets = [values.project.resolve(function.outer, one) for one in others]
    return _MAKERS.get(targets[0].name, "") if len(targets) == 1 and isinstance(targets[0], Library) else ""


def _colour(values: Values, code: Code, item: Expr) -> str:
    """The one colour in which an item of a `with` can be entered; empty where it has both or is not known."""
    if isinstance(item, Chain) and callee(item) is not None:
        manager = _manager(values, code, item)
        if manager is not None:
            return manager.colour
    instance = values.instance(code.scope, item)
    if instance is None:
        return ""
    if isinstance(instance.cls, Library):
        row = values.catalog.resource(instance.cls.name)
        if row is None or not row.with_evidence:
            return ""
        enters = (row.with_ in {"releases", "keeps"}, row.async_with in {"releases", "keeps"})
    else:
        enters = _protocols(values, instance)
    return "sync" if enters == (True, False) else "async" if enters == (False, True) else ""


def _protocols(values: Values, instance: Instance) -> tuple[bool, bool]:
    """Whether an object of the project can be entered by `with`, by `async with`; both where it is not certain."""
    if not isinstance(instance.cls, ClassFacts):
        return True, True
    lineage = values.project.lineage(instance.cls)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    changed = any(
        last_name(callee(one) or one) not in _HARMLESS for cls in lineage.classes for one in cls.node.decorators
    )
    if not lineage.known or changed or any(base is None for base in bases):
        return True, True
    names = {name for cls in lineage.classes for name in cls.scope.bindings}
    names |= {name for base in bases if base is not None for name in base.closers}
    return not names.isdisjoint({"__enter__", "__exit__"}), not names.isdisjoint({"__aenter__", "__aexit__"})


# --- what is done with it ----------------------------------------------------------------------------------------


class _Uses:
    """The uses of managers in some code that fail."""

    def __init__(
        self, values: Values, code: Code, made: list[Manager], names: set[bytes], held: dict[_Attribute, Bind]
    ) -> None:
        self.values = values
        self.held = held
        self.code = code
        self.by_place = {one.code.at(one.call.start, one.call.end): one for one in made}
        self.whole = {id(one.call): one for one in made}
        self.names = names

    def found(self) -> Iterator[tuple[Manager, Use, Bind | None]]:
        for node in walk(self.code.block, into=False):
            if isinstance(node, Chain):
                yield from self.chain(node)
            elif isinstance(node, Await):
                yield from self.use(node.value, node.value, "awaited")
            elif isinstance(node, For | Clause):
                yield from self.use(node.iter, node.iter, "looped over")
            elif isinstance(node, Bind) and node.value is not None and isinstance(node.targets[0], Collection):
                yield from self.use(node.value, node.value, "unpacked")

    def chain(self, chain: Chain) -> Iterator[tuple[Manager, Use, Bind | None]]:
        """Attributes and items of a manager, and managers among the arguments of a call."""
        for index, link in enumerate(chain.links):
            before = prefix(chain, index)
            if isinstance(link, Attr) and not _OWN.fullmatch(link.name):
                yield from self.use(before, chain, f"asked for `{link.name}`")
            elif isinstance(link, Index):
                yield from self.use(before, chain, "subscripted")
            elif isinstance(link, Call):
                yield from self.given(before, link)

    def given(self, called: Expr, call: Call) -> Iterator[tuple[Manager, Use, Bind | None]]:
        """A manager as an argument that is known to keep what the manager yields, a checkpointer or a store."""
        roles = [(arg.value, self.manager_of(arg.value)) for arg in call.args if not arg.stars]
        if not any(manager is not None and manager[0].role for _, manager in roles):
            return
        target = self.values.of(self.code.scope, called)
        effect = self.values.catalog.effect(target.name) if isinstance(target, Library) else None
        if effect is None:
            return
        for position, arg in enumerate(call.args):
            name = arg.keyword or (effect.params[position] if position < len(effect.params) else "")
            manager = self.manager_of(arg.value) if name in effect.retains and not arg.stars else None
            if manager is not None and manager[0].role == name:
                yield manager[0], Use(arg.value, self.code, f"given to `{last_name(called)}`"), manager[1]

    def use(self, expr: Expr, node: Expr, words: str) -> Iterator[tuple[Manager, Use, Bind | None]]:
        found = self.manager_of(expr)
        if found is not None:
            yield found[0], Use(node, self.code, words), found[1]

    def manager_of(self, expr: Expr) -> tuple[Manager, Bind | None] | None:
        """The manager that an expression is, with the statement that binds the name where it is one."""
        if isinstance(expr, Name):
            return self.named(expr) if expr.id.encode() in self.names else None
        if not isinstance(expr, Chain):
            return None
        function = self.code.function
        attribute = attribute_of(expr, function.receiver) if function is not None and function.cls is not None else None
        if function is not None and function.cls is not None and attribute is not None:
            stmt = self.held.get((id(function.cls), attribute))
            return None if stmt is None else (self.whole[id(stmt.value)], stmt)
        manager = self.by_place.get(self.code.at(expr.start, expr.end))
        return None if manager is None else (manager, None)

    def named(self, name: Name) -> tuple[Manager, Bind | None] | None:
        """The manager that a name holds which is bound once."""
        found = self.code.scope.find(name.id)
        if found is None or len(found[1]) != 1 or not isinstance(found[1][0], Assigned):
            return None
        stmt = found[1][0].stmt
        manager = self.whole.get(id(stmt.value))
        return None if manager is None else (manager, stmt)


def _attribute(code: Code, stmt: Bind) -> Iterator[tuple[_Attribute, Bind]]:
    """The attribute of ``self`` that a statement stores a manager in, where the file stores nothing else in it."""
    function = code.function
    if function is None or function.cls is None:
        return
    name = attribute_of(stmt.targets[0], function.receiver)
    if name is not None:
        stores = re.findall(rb"\.\s*%b\s*(?::[^=\r\n]*)?=(?!=)" % name.encode(), code.scope.module.utf8)
        if len(stores) == 1 and name not in function.cls.scope.bindings:
            yield (id(function.cls), name), stmt
