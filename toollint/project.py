"""The project around a file: every name followed to what it stands for, across files.

Forward questions (what is this name, what are the bases) follow imports. Reverse questions (who mentions it) search
the bytes of every file of the project for bare words. Installed packages are never read: what leaves the project is a
`Library` name, for the catalogue to know or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import NamedTuple, TypeAlias

from toollint.catalog import Catalog
from toollint.facts import (
    Assigned,
    Binding,
    ClassFacts,
    FunctionFacts,
    Imported,
    ModuleFacts,
    Scope,
)
from toollint.lower import exported
from toollint.source import Source
from toollint.syntax import Attr, Chain, Expr, Name, is_none, subscripted


class Library(NamedTuple):
    """A name that the project does not define: a library's or a builtin's, fully qualified."""

    name: str


class Variable(NamedTuple):
    """A name of a scope that is no definition: its bindings tell what is known of its value."""

    scope: Scope
    name: str
    bindings: tuple[Binding, ...]


Target: TypeAlias = Library | ModuleFacts | ClassFacts | FunctionFacts | Variable


class Lineage(NamedTuple):
    """A class and its ancestors: the project's (itself first) and the libraries'.

    ``known`` is False where a base cannot be followed, or the catalogue does not know it.
    """

    classes: tuple[ClassFacts, ...]
    libraries: tuple[str, ...]
    known: bool


class Project:
    """All files that belong together, loaded as questions reach them."""

    def __init__(
        self,
        paths: Sequence[str],
        roots: Sequence[str],
        load: Callable[[str, str, bool], ModuleFacts | None],
        source: Callable[[str], Source | None],
        catalog: Catalog,
    ) -> None:
        """Take the files and source roots (absolute), and the ways to look into a file.

        ``load(path, name, is_package)`` gives its facts, ``source(path)`` its text; None where that cannot be had.
        """
        self.paths = paths
        self.catalog = catalog
        self._roots = sorted((root.rstrip("/") for root in roots), key=len, reverse=True)
        self._load = load
        self._source = source
        self._modules: dict[str, ModuleFacts | None] = {}
        self._active: set[tuple[int, str]] = set()
        self._lineages: dict[int, Lineage] = {}
        self._kept: list[ClassFacts] = []

    # --- files

    def module_at(self, path: str) -> ModuleFacts | None:
        """The facts of a file, None where it cannot be parsed."""
        if path not in self._modules:
            self._modules[path] = self._load(path, self._name(path), _is_package(path))
        return self._modules[path]

    def module(self, name: str) -> ModuleFacts | None:
        """The file that is imported as ``name``."""
        path = self.path_of(name)
        return None if path is None else self.module_at(path)

    def mentioning(self, *words: str) -> Iterator[ModuleFacts]:
        """Every file of the project whose text contains all of the identifiers."""
        wanted = [word.encode() for word in words]
        for path in self.paths:
            if self.words(path).issuperset(wanted):
                module = self.module_at(path)
                if module is not None:
                    yield module

    def words(self, path: str) -> frozenset[bytes]:
        """The identifiers in a file; none where it cannot be read."""
        source = self._source(path)
        return frozenset() if source is None else source.words

    def text(self, path: str) -> bytes:
        """The text of a file in UTF-8; empty where it cannot be read."""
        source = self._source(path)
        return b"" if source is None else source.utf8

    def path_of(self, name: str) -> str | None:
        """The file that is imported as ``name``."""
        return self._by_name.get(name)

    def package_of(self, path: str) -> str:
        """The package that relative imports of a file start from."""
        name = self._name(path)
        return name if _is_package(path) else name.rpartition(".")[0]

    def _name(self, path: str) -> str:
        rank = self._rank_of_root(path)
        return PurePath(path).stem if rank == len(self._roots) else _dotted(path[len(self._roots[rank]) + 1 :])

    def _rank_of_root(self, path: str) -> int:
        return next((rank for rank, root in enumerate(self._roots) if path.startswith(root + "/")), len(self._roots))

    @cached_property
    def _by_name(self) -> Mapping[str, str]:
        """Module names to files; a regular package counts from the folder above it too, where that is unambiguous.

        Of several files with one name it is that of the innermost root; a package goes before a module.
        """
        names: dict[str, str] = {}
        nested: dict[str, set[str]] = {}
        known = set(self.paths)
        packages = {path.rpartition("/")[0] for path in known if _is_package(path)}
        for path in sorted(self.paths, key=lambda path: (self._rank_of_root(path), not _is_package(path))):
            if path.endswith(".pyi") and path[:-1] in known:
                continue
            names.setdefault(self._name(path), path)
            folder = path.rpartition("/")[0]
            if folder in packages:
                while folder in packages:
                    folder = folder.rpartition("/")[0]
                nested.setdefault(_dotted(path[len(folder) + 1 :]), set()).add(path)
        for name, found in nested.items():
            if len(found) == 1:
                names.setdefault(name, *found)
        return names

    # --- names

    def resolve(self, scope: Scope, expr: Expr | None) -> Target | None:
        """What a name or dotted name stands for where it is used; None where that is not certain."""
        if isinstance(expr, Name):
            return self.named(scope, expr.id)
        if isinstance(expr, Chain) and all(isinstance(link, Attr) for link in expr.links):
            target = self.resolve(scope, expr.base)
            for link in expr.links:
                target = self.attribute(target, link.name) if isinstance(link, Attr) else None
            return target
        return None

    def named(self, scope: Scope, name: str) -> Target | None:
        """What a bare name stands for in a scope."""
        found = scope.find(name)
        if found is not None:
            return self._bound(*found, name)
        starred = self._starred(scope.module, name)
        return _agreed(starred) if starred else Library(f"builtins.{name}")

    def lookup(self, dotted: str) -> Target | None:
        """What an absolute dotted path stands for: a member of a module, or a module.

        What a package binds under the name of its submodule goes before the submodule, as ``from`` has it.
        """
        parts = dotted.split(".")
        for count in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:count])
            if name in self._by_name:
                target: Target | None = self.module(name)
                for part in parts[count:]:
                    target = self.attribute(target, part)
                return target
        return self.module(dotted) if dotted in self._by_name else Library(dotted)

    def attribute(self, target: Target | None, name: str) -> Target | None:
        """What ``target.name`` stands for."""
        if isinstance(target, Library):
            dotted = f"{target.name}.{name}"  # ours if the rest names a folder without __init__.py
            return self.module(dotted) if dotted in self._by_name else Library(dotted)
        if isinstance(target, ModuleFacts):
            return self._member(target, name)
        if isinstance(target, ClassFacts):
            return self.class_member(target, name)
        return None

    def class_member(self, cls: ClassFacts, name: str) -> Target | None:
        """What the class or its nearest ancestor binds ``name`` to in its body; a library's where only one can."""
        lineage = self.lineage(cls)
        for ancestor in lineage.classes:
            found = ancestor.scope.bindings.get(name)
            if found is not None:
                return self._bound(ancestor.scope, found, name)
        if lineage.known and len(lineage.libraries) == 1:
            return Library(f"{lineage.libraries[0]}.{name}")
        return None

    def _member(self, module: ModuleFacts, name: str) -> Target | None:
        found = module.scope.bindings.get(name)
        if found is not None and (id(module.scope), name) not in self._active:
            return self._bound(module.scope, found, name)
        starred = self._starred(module, name)
        target = _agreed(starred)
        dotted = f"{module.name}.{name}"
        if target is not None or dotted in self._by_name:
            return target or self.module(dotted)
        if starred or "__getattr__" in module.scope.bindings:
            return None
        return Library(dotted) if module.is_package else None

    def _starred(self, module: ModuleFacts, name: str) -> list[Target | None]:
        """What each star import of a module that gives ``name``, or could give it (None), gives for it."""
        key = (id(module.scope), f"* {name}")
        if key in self._active:
            return []
        self._active.add(key)
        try:
            targets: list[Target | None] = []
            for star in module.scope.bindings.get("*", ()):
                base = self.module(star.target) if isinstance(star, Imported) else None
                targets += [None] if base is None else self._exports(base, name)
            return targets
        finally:
            self._active.discard(key)

    def _exports(self, module: ModuleFacts, name: str) -> list[Target | None]:
        """What a star import of the module gives for a name; nothing where it leaves the name out."""
        listed = exported(module)
        if name.startswith("_") if listed is None else name not in listed:
            return []
        if listed is not None or name in module.scope.bindings:
            return [self._member(module, name)]
        return self._starred(module, name)

    def _bound(self, scope: Scope, bindings: tuple[Binding, ...], name: str) -> Target | None:
        """The one thing that all bindings of a name agree on; a cycle of aliases is nothing."""
        key = (id(scope), name)
        if key in self._active:
            return None
        self._active.add(key)
        try:
            telling = [binding for binding in bindings if not _is_placeholder(binding)] or list(bindings)
            if all(isinstance(binding, FunctionFacts) for binding in telling):
                return self._definition(telling[-1])
            target = _agreed([self._definition(binding) or self._alias(scope, binding) for binding in telling])
            if target is not None:
                return target
            if any(isinstance(binding, ClassFacts | FunctionFacts | Imported) for binding in telling):
                return None
            return Variable(scope, name, bindings)
        finally:
            self._active.discard(key)

    def _definition(self, binding: Binding) -> Target | None:
        if isinstance(binding, Imported):
            return self.lookup(binding.target)
        return binding if isinstance(binding, ClassFacts | FunctionFacts) else None

    def _alias(self, scope: Scope, binding: Binding) -> Target | None:
        """What ``name = other.name`` stands for, where the other is a definition or a library's."""
        if not isinstance(binding, Assigned) or not isinstance(binding.stmt.value, Name | Chain):
            return None
        if isinstance(binding.stmt.value, Name) and binding.stmt.value.id in binding_names(binding):
            return None
        target = self.resolve(scope, binding.stmt.value)
        return None if isinstance(target, Variable) else target

    # --- classes

    def lineage(self, cls: ClassFacts) -> Lineage:
        """The class, its ancestors and whether all of them are known."""
        found = self._lineages.get(id(cls))
        if found is None:
            self._lineages[id(cls)] = Lineage((cls,), (), known=False)  # a class among its own ancestors
            self._kept.append(cls)  # its id stays its own
            found = self._lineages[id(cls)] = self._make_lineage(cls)
        return found

    def _make_lineage(self, cls: ClassFacts) -> Lineage:
        ancestors: list[ClassFacts] = []
        libraries: list[str] = []
        known = all(arg.keyword in {None, "metaclass", "frozen", "total"} and not arg.stars for arg in cls.node.args)
        for keyword in cls.node.args:
            if keyword.keyword == "metaclass":
                known = known and self.resolve_base(cls, keyword.value) in _METACLASSES
        for arg in cls.bases:
            base = self.resolve_base(cls, arg.value)
            if isinstance(base, ClassFacts):
                above = self.lineage(base)
                ancestors = [c for c in ancestors if c not in above.classes] + [*above.classes]
                libraries += above.libraries
                known = known and above.known
            elif isinstance(base, Library):
                libraries.append(base.name)
                known = known and self.catalog.base(base.name) is not None
            else:
                known = False
        return Lineage((cls, *(c for c in ancestors if c is not cls)), tuple(dict.fromkeys(libraries)), known)

    def resolve_base(self, cls: ClassFacts, expr: Expr) -> Target | None:
        """What a base class stands for; type arguments are dropped."""
        return self.resolve(cls.outer, subscripted(expr)[0])


_METACLASSES = (Library("abc.ABCMeta"), Library("enum.EnumMeta"), Library("builtins.type"))


def binding_names(binding: Assigned) -> set[str]:
    """The bare names that the statement of a binding assigns to."""
    return {target.id for target in binding.stmt.targets if isinstance(target, Name)}


def _is_placeholder(binding: Binding) -> bool:
    """Whether it is ``name = None`` (or a bare annotation) beside a real definition, as guarded imports write it."""
    if not isinstance(binding, Assigned):
        return False
    return binding.stmt.value is None or is_none(binding.stmt.value)


def _agreed(targets: Sequence[Target | None]) -> Target | None:
    """The one target that all are; None where they differ, one is not certain, or there is none."""
    first = targets[0] if targets else None
    same = all(target is first or (isinstance(target, Library) and target == first) for target in targets)
    return first if same else None


def _is_package(path: str) -> bool:
    return PurePath(path).stem == "__init__"


def _dotted(relative: str) -> str:
    parts = PurePath(relative).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
