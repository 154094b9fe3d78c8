"""What a releasing verb means on objects of a class: a coroutine function, a plain method, a property, or nothing.

The project's classes are read; of a library's class the catalogue's row tells. A row of a resource is believed to tell
of every one of `VERBS` that its class has, if somebody has looked at the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from toollint.analyses.closers import VERBS as PREFERRED
from toollint.analyses.release import is_closer, is_empty
from toollint.analyses.values import Instance, Values, is_coroutine, is_property
from toollint.facts import ClassFacts, FunctionFacts, classes_of
from toollint.project import Library, Target
from toollint.syntax import last_name

Meaning: TypeAlias = Literal["coroutine", "plain", "method", "property", "absent", "unknown"]
"""``method``: one whose colour is not known."""

VERBS = frozenset({"close", "aclose", "shutdown", "stop", "disconnect", "dispose", "cleanup", "quit", "terminate"})
"""Verbs of which a class that can be released is known to have one, or not."""
_TOLD_OF_BASES = frozenset({"close", "aclose", "shutdown", "disconnect", "dispose", "cleanup"})
"""Those of which also a row that is no resource's tells."""
_SEEN = ("measured", "introspected", "source")
"""How a row's evidence starts if somebody has looked at the class."""
_HARMLESS = frozenset({"builtins.object", "abc.ABC", "typing.Generic"})
_DYNAMIC = re.compile(rb"\b(?:setattr|__dict__|__getattr__|__getattribute__|vars)\b")
_PLAIN_CLASS = frozenset(
    {"dataclass", "final", "runtime_checkable", "total_ordering", "define", "frozen", "attrs", "s"}
)
"""Decorators of classes that leave the methods as they are; others have turned coroutine functions into plain ones."""
_PLAIN_METHOD = frozenset({"abstractmethod", "override", "final", "overload"})


class Verb(NamedTuple):
    """What a name means on an object, and the method of the project that it is."""

    meaning: Meaning
    function: FunctionFacts | None = None


_UNKNOWN = Verb("unknown")


def verb_of(values: Values, instance: Instance, name: str) -> Verb:
    """What ``name`` means on an object; heirs in the project may stand in for it and have to agree."""
    if isinstance(instance.cls, Library):
        found = Verb(_of_library(values, instance.cls.name, name))
    else:
        found = _of_class(values, instance.cls, name)
    if found == _UNKNOWN or all(_agrees(values, heir, name, found) for heir in heirs(values, instance.cls)):
        return found
    return _UNKNOWN


def _agrees(values: Values, heir: ClassFacts, name: str, found: Verb) -> bool:
    member = values.project.class_member(heir, name)
    if isinstance(member, FunctionFacts):
        return member is found.function or _color(member) == found.meaning
    bound = any(name in (*cls.scope.bindings, *cls.assignments) for cls in values.project.lineage(heir).classes)
    return not bound and (member is None or isinstance(member, Library))


# --- a library's class -------------------------------------------------------------------------------------------


def _of_library(values: Values, cls: str, name: str) -> Meaning:
    row, its_class = values.catalog.resource(cls), values.catalog.base(cls)
    if its_class is not None and name in (*its_class.closers, *its_class.async_closers):
        return "coroutine" if name in its_class.async_closers else "plain"
    if row is None or not row.release.isidentifier():
        return "unknown"
    if name == row.release:
        return "coroutine" if row.async_ else "plain"
    if name in row.others or name in row.never:
        return "method"
    told = its_class is not None and name in VERBS and row.evidence.startswith(_SEEN)
    return "absent" if told else "unknown"


# --- a class of the project --------------------------------------------------------------------------------------


def _of_class(values: Values, cls: ClassFacts, name: str) -> Verb:
    lineage = values.project.lineage(cls)
    if any(name in ancestor.assignments for ancestor in lineage.classes):
        return _UNKNOWN
    member = values.project.class_member(cls, name)
    if isinstance(member, FunctionFacts):
        return Verb(_color(member), member) if _is_first(values, cls, member) else _UNKNOWN
    if isinstance(member, Library):
        found = _of_library(values, member.name.rpartition(".")[0], name)
        if found in {"coroutine", "plain", "method"}:
            return Verb(found)
    return Verb("absent") if _lacks(values, cls, name, member) else _UNKNOWN


def _is_first(values: Values, cls: ClassFacts, member: FunctionFacts) -> bool:
    """Whether no class that is not known could come before the one that defines the method."""
    lineage = values.project.lineage(cls)
    if lineage.known or member.cls is cls:
        return True
    return all(len(ancestor.bases) <= 1 for ancestor in lineage.classes)


def _color(function: FunctionFacts) -> Meaning:
    """What all definitions of the method in its class are."""
    owner = function.cls
    same = [one for one in owner.functions if one.name == function.name] if owner is not None else [function]
    if owner is not None and not _is_plain(owner):
        return "unknown"
    if any(map(is_property, same)):
        return "property"
    if all(map(is_coroutine, same)):
        return "coroutine"
    plain = all(not one.node.is_async and _PLAIN_METHOD.issuperset(map(last_name, one.decorators)) for one in same)
    return "plain" if plain else "unknown"


def _lacks(values: Values, cls: ClassFacts, name: str, member: Target | None) -> bool:
    """Whether objects of the class have nothing of that name for certain."""
    lineage = values.project.lineage(cls)
    if name not in VERBS or not lineage.known or not (member is None or isinstance(member, Library)):
        return False
    if any(name in ancestor.scope.bindings or _is_dynamic(ancestor) for ancestor in lineage.classes):
        return False
    return all(library in _HARMLESS or _base_lacks(values, library, name) for library in lineage.libraries)


def _is_dynamic(cls: ClassFacts) -> bool:
    """Whether objects may have more than the class body and its methods give them."""
    start, end = cls.at(cls.node.start, cls.node.end).span
    return not _is_plain(cls) or _DYNAMIC.search(cls.module.utf8, start, end) is not None


def _is_plain(cls: ClassFacts) -> bool:
    return _PLAIN_CLASS.issuperset(map(last_name, cls.node.decorators))


def _base_lacks(values: Values, library: str, name: str) -> bool:
    if values.catalog.resource(library) is not None:
        return _of_library(values, library, name) == "absent"
    row = values.catalog.base(library)
    if row is None or library.rpartition(".")[2] == "Protocol" or name not in _TOLD_OF_BASES:
        return False
    return name not in row.closers and row.evidence.startswith(_SEEN)


# --- what would release it ---------------------------------------------------------------------------------------


class Closer(NamedTuple):
    """A method that releases an object, and whether it has to be awaited."""

    name: str
    is_async: bool


def closer_of(values: Values, instance: Instance, *, awaited: bool) -> Closer | None:
    """What releases an object: of several methods preferably one that has to be awaited, or not, as it is wished."""
    found = sorted(closers(values, instance), key=lambda one: (one.is_async != awaited, _rank(one.name)))
    return found[0] if found else None


def _rank(name: str) -> int:
    return PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)


def closers(values: Values, instance: Instance) -> Iterator[Closer]:
    """The methods that release an object and can be called without arguments."""
    if isinstance(instance.cls, Library):
        row = values.catalog.resource(instance.cls.name)
        if row is not None and row.release.isidentifier():
            yield Closer(row.release, row.async_)
        return
    lineage = values.project.lineage(instance.cls)
    for name in dict.fromkeys(name for cls in lineage.classes for name in cls.methods):
        found = values.project.class_member(instance.cls, name)
        if is_closer(name) and not name.startswith("_") and isinstance(found, FunctionFacts) and _is_callable(found):
            yield Closer(name, _color(found) == "coroutine")
    for library in lineage.libraries:
        yield from closers(values, Instance(Library(library)))


def _is_callable(method: FunctionFacts) -> bool:
    """Whether the method does something, in a colour that is known, and asks for no arguments."""
    params = [param for param in method.node.params[1:] if param.kind in {"positional", "plain", "keyword"}]
    known = _color(method) in {"coroutine", "plain"}
    return known and not is_empty(method) and all(param.default is not None for param in params)


def heirs(values: Values, cls: ClassFacts | Library) -> Iterator[ClassFacts]:
    """Every class of the project that derives from a class, however far."""
    pending: list[ClassFacts | Library] = [cls]
    seen: set[ClassFacts] = set()
    while pending:
        parent = pending.pop()
        name = parent.name.rpartition(".")[2]
        derives = re.compile(rb"\bclass\s+\w+\s*(?:\[[^\]]*\]\s*)?\([^:]*\b%b\b" % re.escape(name.encode()))
        for module in values.project.mentioning(name, "class"):
            for heir in classes_of(module, frozenset({name.encode()})) if derives.search(module.utf8) else ():
                bases = (values.project.resolve_base(heir, arg.value) for arg in heir.bases)
                if heir not in seen and any(base == parent for base in bases):
                    seen.add(heir)
                    pending.append(heir)
                    yield heir
