"""Long-lived containers: what is written into them, under which keys, and what ever takes it out again.

A container is a module-level or class-level dict, list or set. Every use of it, in any file of the project, is a
write, an eviction, a look, a loan of an entry, or an escape (it is passed on, returned, aliased): after an escape
nobody knows who evicts, and the rules are silent. Tests are no part of the running program: what they do does not
count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from toollint.analyses.growth import can_grow
from toollint.analyses.kinds import Kept, held, kept, kept_by, object_of
from toollint.analyses.uses import Use, uses_in
from toollint.analyses.values import Instance, Values
from toollint.catalog import Container as Row
from toollint.facts import Assigned, ClassFacts, Code, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Collection,
    Dict,
    Expr,
    Name,
    callee,
    is_none,
    last_call,
    prefix,
    walk,
)

_SHAPES = {"mapping": "dict", "sequence": "list", "set": "set"}
_DEFAULTDICT = "collections.defaultdict"
_ATTRIBUTE = re.compile(
    rb"^(?: {1,4}|\t)(?:[^\W\d]\w*[ \t]*(?::[^\r\n]*?)?|\][ \t]*)=[ \t]*(?:[{\[(\\]|[\w.]+[\[(])|^[ \t]+class[ \t]",
    re.MULTILINE,
)
"""An attribute of a class, by its indentation, that is bound to a display or a call; or a class inside the class."""
_PARTS_OF_CODE = re.compile(
    r"_*(?:cls|class_|klass|type_?|func(?:tion)?|fn|method|callback|callable|module|mod|code|loop)_*"
)
"""Names of what a program has a fixed number of, more or less."""


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
        for code in _lasting_code(module):
            for stmt in code.block:
                if isinstance(stmt, Bind) and stmt.value is not None and len(stmt.targets) == 1 and not stmt.op:
                    target, row = stmt.targets[0], row_of(values, code.scope, stmt.value)
                    if isinstance(target, Name) and row is not None and _is_shared(values, code.scope, stmt, target.id):
                        yield cls(target.id, values, code.scope, code.origin, stmt, row)

    # --- the declaration

    @property
    def level(self) -> str:
        """``module`` or ``class``."""
        return self.scope.kind

    @property
    def shape(self) -> str:
        """``dict``, ``list`` or ``set`` as a message calls it."""
        return _SHAPES[self.row.shape]

    @property
    def place(self) -> Place:
        """The container's name where it is declared."""
        return self.at(self.stmt.targets[0])

    def at(self, node: Any) -> Place:
        """The place of a node of the declaration."""
        return Code(self.scope, self.origin, ()).at(node.start, node.end)

    def text(self, node: Any) -> str:
        """The source text of a node of the declaration."""
        start, end = self.at(node).span
        return self.scope.module.utf8[start:end].decode()

    @property
    def initial(self) -> Expr | None:
        """What it is made by: a display or a call."""
        return self.stmt.value

    @property
    def limited(self) -> bool:
        """Whether it is bounded, or holds weakly: then it keeps nothing for ever."""
        return _is_limited(self.values, self.scope, self.initial)

    @cached_property
    def annotated(self) -> tuple[tuple[Instance, ...], ...]:
        """The alternatives for each type argument of the annotation (key and value, or element)."""
        found = self.values.annotation(self.scope, self.stmt.annotation)
        return found[0].args if len(found) == 1 else ()

    # --- the uses

    @cached_property
    def _mentions(self) -> tuple[Use, ...]:
        """What the program does with anything of this name."""
        return tuple(use for module in self._modules() for use in self._uses_in(module))

    def _modules(self) -> Iterator[ModuleFacts]:
        in_test = self.scope.module.is_test
        for module in self.values.project.mentioning(self.name):
            if in_test or not module.is_test:
                yield module

    def _uses_in(self, module: ModuleFacts) -> Iterator[Use]:
        names = self._bare_names(module)
        for code in code_of(module, frozenset(name.encode() for name in names | {self.name})):
            yield from (use for use in uses_in(code, names, self.name) if not self._is_declaration(use))

    def _bare_names(self, module: ModuleFacts) -> frozenset[str]:
        """The names without an owner in front that can mean it in a file."""
        aliases = re.findall(rb"\b%b[ \t]+as[ \t]+(\w+)" % re.escape(self.name.encode()), module.utf8)
        return frozenset([self.name, *(alias.decode() for alias in aliases)])

    def _is_declaration(self, use: Use) -> bool:
        return use.code.scope is self.scope and use.node is self.stmt.targets[0]

    @cached_property
    def writes(self) -> tuple[Use, ...]:
        """The writes that run when a function does, not while a module is imported."""
        found = [use for use in self._mentions if use.code.function is not None and self._puts_in(use)]
        return tuple(use for use in found if self._is_meant(use) and not (use.nested and self._holds_limited))

    def _puts_in(self, use: Use) -> bool:
        """Whether it is a write; of a defaultdict, a look at an entry makes the entry."""
        return use.what == "write" or (bool(use.keys) and use.how == "[]" and self.row.name == _DEFAULTDICT)

    @property
    def uses(self) -> tuple[Use, ...]:
        """Every use that may be of this container: none is left out for want of knowing."""
        return tuple(use for use in self._mentions if self._is_meant(use) is not False)

    def only_grows(self, write: Use) -> bool:
        """Whether nothing can take out again what ``write`` puts in, and every use is understood."""
        ends = {"evict", "escape", "lend"} if write.nested else {"evict", "escape"}
        return not self.limited and not any(self._ends(use, ends) for use in self._mentions)

    def _ends(self, use: Use, ends: set[str]) -> bool:
        if use.what not in ends:
            return False
        meant = self._is_meant(use)
        return meant or (meant is None and use.what == "evict")

    def _is_meant(self, use: Use) -> bool | None:
        """Whether a use is of this container; None where nobody can tell what has its name there."""
        if isinstance(use.container, Name):
            return self._is(self.values.project.named(use.code.scope, use.container.id))
        if not isinstance(use.container, Chain):
            return False
        target = self.values.project.resolve(use.code.scope, use.container)
        if isinstance(target, Variable):
            return self._is(target)
        owner = self.values.of(use.code.scope, prefix(use.container, len(use.container.links) - 1))
        cls = owner.cls if isinstance(owner, Instance) else owner
        if isinstance(cls, ClassFacts):
            return self._is(self.values.project.class_member(cls, self.name))
        return None if owner is None else False

    def _is(self, target: object) -> bool:
        return isinstance(target, Variable) and target.scope is self.scope and target.name == self.name

    @cached_property
    def _holds_limited(self) -> bool:
        """Whether the containers inside it are bounded or hold weakly: ``defaultdict(WeakSet)``."""
        call = last_call(self.initial)
        factories = [self.values.project.resolve(self.scope, arg.value) for arg in call.args] if call else []
        rows = [self.values.catalog.container(each.name) for each in factories if isinstance(each, Library)]
        if any(row is not None and (row.weak or row.bound == "always") for row in rows):
            return True
        stored = [use for use in self._mentions if use.what == "write" and not use.nested]
        return any(_is_limited(self.values, use.code.scope, use.value) for use in stored if self._is_meant(use))

    # --- what it keeps

    def grows_with(self, write: Use) -> bool:
        """Whether a write can add entries for as long as the process runs."""
        return can_grow(self.values, write)

    def keeps_key(self, write: Use) -> Kept | None:
        """What a write uses as its key that matters, by its value or by the annotation."""
        if write.key is None:
            return None
        return kept_by(self.values, write.code.scope, write.key) or self._annotated_kept(0)

    def keeps_value(self, write: Use) -> Kept | None:
        """What a write stores that matters, itself or in a field: by its value, or by the annotation."""
        value = self._made(write)
        if value is None or _is_empty(value):
            return None
        found = kept_by(self.values, write.code.scope, value) or self._annotated_kept(-1)
        return found or held(self.values, self.values.instance(write.code.scope, value))

    def keeps_object(self, write: Use) -> Kept | None:
        """What a write stores that stands for something going on, by its value, or by the annotation."""
        value = self._made(write)
        if value is None or _is_empty(value):
            return None
        found = object_of(self.values, self.values.instance(write.code.scope, value))
        if found is not None or not self.annotated:
            return found
        return next(filter(None, (object_of(self.values, one) for one in self.annotated[-1])), None)

    def pinned_by_id(self, write: Use) -> str:
        """The name of the object that a write stores under its own ``id``: each new object stays; empty for none."""
        scope = write.code.scope
        numbered = {name for key in write.keys for part in walk(_written_out(scope, key)) for name in _id_of(part)}
        stored = write.value.items if isinstance(write.value, Collection) else (write.value,)
        names = [one.id for one in stored if isinstance(one, Name) and one.id in numbered]
        return next((name for name in names if not _PARTS_OF_CODE.fullmatch(name)), "")

    def _made(self, write: Use) -> Expr | None:
        """What is stored; of a name that was first looked up in this container, what else it is bound to."""
        found = write.code.scope.bindings.get(write.value.id, ()) if isinstance(write.value, Name) else ()
        values = [binding.stmt.value for binding in found if isinstance(binding, Assigned)]
        made = [value for value in values if value is not None and not is_none(value) and not self._looks_up(value)]
        return made[0] if len(made) == 1 and len(values) == len(found) else write.value

    def _looks_up(self, value: Expr) -> bool:
        """Whether an expression asks something of this name: ``CACHE.get(key)``."""
        if not isinstance(value, Chain):
            return False
        names = [link.name for link in value.links if isinstance(link, Attr)]
        return self.name in names or (isinstance(value.base, Name) and value.base.id == self.name)

    def _annotated_kept(self, index: int) -> Kept | None:
        if not self.annotated or (index == 0 and self.row.shape == "mapping" and len(self.annotated) < 2):
            return None
        return next(filter(None, (kept(self.values, one) for one in self.annotated[index])), None)


def _id_of(expr: object) -> Iterator[str]:
    """The name in ``id(name)``."""
    called = expr.base if isinstance(expr, Chain) else None
    call = expr.links[0] if isinstance(expr, Chain) else None
    if isinstance(called, Name) and called.id == "id" and isinstance(call, Call) and len(call.args) == 1:
        yield from (arg.value.id for arg in call.args if isinstance(arg.value, Name))


def _written_out(scope: Scope, key: Expr) -> Expr:
    """A key, or what the one local name is bound to that it is."""
    found = scope.bindings.get(key.id, ()) if isinstance(key, Name) else ()
    values = [one.stmt.value for one in found if isinstance(one, Assigned) and one.stmt.value is not None]
    return values[0] if len(values) == len(found) == 1 else key


# --- declarations ------------------------------------------------------------------------------------------------


def _lasting_code(module: ModuleFacts) -> Iterator[Code]:
    """The statements of a module and of its classes: what these bind stays, what functions bind goes."""
    definitions = {definition.origin: definition for definition in module.definitions}
    for index, (start, _) in enumerate(module.spans):
        if start not in definitions:
            yield Code(module.scope, start, (module.statement(index),))
    pending = [each for each in module.definitions if isinstance(each, ClassFacts) and _may_bind(module, each.origin)]
    for facts in pending:
        yield Code(facts.scope, facts.origin, facts.node.body)
        pending += [b for found in facts.scope.bindings.values() for b in found if isinstance(b, ClassFacts)]


def _may_bind(module: ModuleFacts, origin: int) -> bool:
    """Whether the text of a class can have a container among its attributes: most have none, and stay untranslated."""
    end = next(end for start, end in module.spans if start == origin)
    return _ATTRIBUTE.search(module.utf8, origin, end) is not None


def row_of(values: Values, scope: Scope, value: Expr) -> Row | None:
    """What kind of container an initial value is."""
    if isinstance(value, Dict):
        return values.catalog.container("builtins.dict")
    if isinstance(value, Collection) and value.kind in {"list", "set"}:
        return values.catalog.container(f"builtins.{value.kind}")
    called = callee(value)
    target = values.project.resolve(scope, called) if called is not None else None
    return values.catalog.container(target.name) if isinstance(target, Library) else None


def _is_limited(values: Values, scope: Scope, value: Expr | None) -> bool:
    row = None if value is None else row_of(values, scope, value)
    call = last_call(value)
    given = {arg.keyword for arg in call.args} if call else set()
    return row is not None and (bool(row.weak) or row.bound == "always" or row.bound in given)


def _is_shared(values: Values, scope: Scope, stmt: Bind, name: str) -> bool:
    """Whether all instances share it: not a field of a model or dataclass, which gives each instance its own."""
    if name.startswith("__") and name.endswith("__"):
        return False
    if not isinstance(scope.owner, ClassFacts):
        return True
    lineage = values.project.lineage(scope.owner)
    bases = [values.catalog.base(base) for base in lineage.libraries]
    makes_fields = not lineage.known or any(base is not None and base.pydantic for base in bases)
    if makes_fields or scope.owner.node.decorators:
        annotation = stmt.annotation
        return annotation is not None and any(isinstance(n, Name) and n.id == "ClassVar" for n in walk(annotation))
    assigned = values.field_assignments(scope.owner, name)
    return all(stmt.op or function.is_classmethod for function, stmt in assigned)


def _is_empty(value: Expr) -> bool:
    """Whether it is a new container without entries: it keeps nothing yet."""
    if isinstance(value, Collection | Dict):
        return not value.items
    function, call = callee(value), last_call(value)
    return isinstance(function, Name) and function.id in {"list", "dict", "set"} and call is not None and not call.args
