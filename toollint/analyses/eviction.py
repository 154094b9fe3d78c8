"""Entries that a lasting container loses: what becomes of the value, and whether the key goes too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from toollint.analyses.instances import InstanceContainer
from toollint.analyses.kinds import Kept
from toollint.analyses.origins import Kind, origins
from toollint.analyses.ownership import Owner
from toollint.analyses.release import is_closer
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.values import Instance, Method, Values
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, Parameter, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Attr, Bind, Call, Chain, Delete, Evaluate, Name, callee, last_name, walk

_LOSES = re.compile(rb"\.\s*(?:pop|popitem|popleft|clear)\s*\(|\bdel\b[^\r\n]*\[")
_NULLS = re.compile(rb"\]\s*=\s*None\b")
_DROPPERS = frozenset({"pop", "popitem", "popleft", "clear"})
_HELPS = re.compile(
    r"clos|shut_?down|stop|disconnect|clean_?up|dispos|terminat|tear_?down|releas|kill|exit|finali[sz]|cancel"
)
"""A function that is called for the end of something, whatever it is given."""
_SCALARS = frozenset({"str", "int", "float", "bool", "bytes", "tuple", "frozenset", "UUID", "Any", "Hashable", "type"})


@dataclass(frozen=True, eq=False)
class Eviction:
    """A statement of a function that takes an entry out of ``box``, or puts None in its place."""

    values: Values
    box: Container
    use: Use
    function: FunctionFacts

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Eviction]:
        """The evictions from a file's containers in the file itself."""
        made = bool(values.sieve.words(module.path, "ownership"))  # or nothing here can be a resource
        if module.is_test or not (_NULLS.search(module.utf8) or (made and _LOSES.search(module.utf8))):
            return
        for box in (*Container.find(values, module), *InstanceContainer.find(values, module)):
            if not box.limited and _may_lose(module, box.name, losing=made):
                for use in box.uses:
                    function = use.code.function
                    if use.what == "evict" and function is not None and use.code.scope.module is module:
                        yield cls(values, box, use, function)

    @property
    def place(self) -> Place:
        """The use with its key or call."""
        return self.use.place

    def text(self, node: Any) -> str:
        """A node as it is written, on one line."""
        start, end = self.use.code.at(node.start, node.end).span
        return " ".join(self.use.code.scope.module.utf8[start:end].decode().split())

    @cached_property
    def statement(self) -> Bind | Delete | Evaluate | None:
        """The statement that it is the whole of."""
        for stmt in walk(self.use.code.block, into=False):
            alone = isinstance(stmt, Evaluate) and stmt.value is self.use.node
            among = isinstance(stmt, Bind | Delete) and any(target is self.use.node for target in stmt.targets)
            if alone or (among and len(stmt.targets) == 1):
                return stmt if isinstance(stmt, Bind | Delete | Evaluate) else None
        return None

    # --- a value that is lost

    @property
    def is_dropped(self) -> bool:
        """Whether nobody gets what is taken out: ``d.pop(k)`` and ``d.clear()`` as statements, ``del d[k]``."""
        if self.use.nested or self.statement is None:
            return False
        last = self.use.node.links[-1] if isinstance(self.use.node, Chain) else None
        return self.use.how == "del" or (self.use.how in _DROPPERS and isinstance(last, Call))

    @cached_property
    def dropped(self) -> tuple[Use, Kept] | None:
        """The write that puts in a resource which it made, and has to be released by hand."""
        for write in self.box.writes:
            kept = self.box.keeps_value(write) if not write.nested else None
            if kept is None or kept.kind != "resource" or kept.inside or write.value is None:
                continue
            made = any(one.kind is Kind.MADE for one in origins(self.values, write.code.scope, write.value))
            if made and _has_closer(self.values, kept):
                return write, kept
        return None

    @cached_property
    def is_looked_after(self) -> bool:
        """Whether the function, or one that calls it, releases something, or has the entry from the container."""
        return _ends_something(self.function) or self._is_handed_on or any(map(_ends_something, self._callers()))

    @cached_property
    def _is_handed_on(self) -> bool:
        """Whether the function reads the very entry, or goes over all of them."""
        key = self.text(self.use.key) if self.use.key is not None else None
        for other in self.box.uses:
            if other.code.scope is not self.use.code.scope or other is self.use or other.what != "lend":
                continue
            if not other.keys and other.how != "get":
                return True
            if key is None or (other.keys and self.text(other.keys[0]) == key) or other.how == "get":
                return True
        return False

    def _callers(self) -> Iterator[FunctionFacts]:
        """The functions that call it, or may: what the name stands for there is not known."""
        name = self.function.name
        for module in self.values.project.mentioning(name):
            for code in code_of(module, frozenset({name.encode()})):
                named = (node for node in walk(code.block, into=False) if isinstance(node, Name | Chain))
                if code.function is not None and any(self._may_be_it(code, one) for one in named):
                    yield code.function

    def _may_be_it(self, code: Code, expr: Name | Chain) -> bool:
        called = callee(expr) or expr
        if last_name(called) != self.function.name:
            return False
        value = self.values.of(code.scope, called)
        function = value.function if isinstance(value, Method) else value
        return function is None or function is self.function

    # --- a key that stays

    @property
    def nulls(self) -> bool:
        """Whether None is put in the place of an entry whose key is an object that a caller brings."""
        key, stmt = self.use.key, self.statement
        if self.use.how != "None" or self.use.nested or not isinstance(key, Name) or not isinstance(stmt, Bind):
            return False
        bindings = self.function.scope.bindings.get(key.id, ())
        only = bindings[0] if len(bindings) == 1 else None
        return isinstance(only, Parameter) and self._is_object(only)

    def _is_object(self, parameter: Parameter) -> bool:
        """Whether the annotation of a parameter, or else of the container's keys, names a class of objects."""
        found = self.values.annotation(self.function.outer, parameter.param.annotation)
        if not found and len(self.box.annotated) > 1:
            found = self.box.annotated[0]
        return bool(found) and all(_is_object(self.values, one) for one in found)

    @cached_property
    def tells_by_none(self) -> bool:
        """Whether anything may see a difference between None and no entry, or takes entries out in earnest."""
        return any(self._sees(use) for use in self.box.uses)

    def _sees(self, use: Use) -> bool:
        if use.what == "evict":
            return use.how != "None"
        return use.what != "write" and not (use.what == "lend" and use.how == "get")


def _may_lose(module: ModuleFacts, name: str, *, losing: bool) -> bool:
    """Whether the text can put None into what has that name, or with ``losing`` take something out of it."""
    word = re.escape(name.encode())
    ways = [rb"\b%b\s*\[[^\r\n]*\]\s*=\s*None\b"]
    if losing:
        ways += [rb"\b%b\s*\.\s*(?:pop|popitem|popleft|clear)\b", rb"\bdel\b[^\r\n]*\b%b\s*\["]
    return any(re.search(way % word, module.utf8) for way in ways)


def _has_closer(values: Values, kept: Kept) -> bool:
    """Whether objects of the class have to be released by a call, and are not by the interpreter alone."""
    cls = kept.instance.cls
    if isinstance(cls, ClassFacts):
        return bool(Owner.of(values, cls).closers)
    resource = values.catalog.resource(cls.name)
    return resource is not None and bool(resource.release) and resource.leak != "freed by refcount"


def _ends_something(function: FunctionFacts) -> bool:
    """Whether a function releases anything, or hands something to a function that is called so."""
    for node in walk(function.node.body):
        words = [node.id] if isinstance(node, Name) else [node.name] if isinstance(node, Attr) else []
        if any(is_closer(word) or _HELPS.search(word) for word in words):
            return True
    return False


def _is_object(values: Values, instance: Instance) -> bool:
    if isinstance(instance.cls, Library):
        return values.catalog.kind(instance.cls.name) is not None and instance.name not in _SCALARS
    above = values.project.lineage(instance.cls)
    return above.known and not any(name.startswith(("enum.", "builtins.")) for name in above.libraries)
