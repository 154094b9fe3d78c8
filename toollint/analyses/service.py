"""Web services: the files that make an application, and what stands at module level beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.values import Values
from toollint.catalog import Type
from toollint.facts import Assigned, Code, Imported, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Call, Chain, Expr, If, last_name, prefix, walk

_ROUTES = ("get", "post", "route")
"""Methods of which an application has one, under an entry point's name."""


@dataclass(frozen=True, eq=False)
class Volatile:
    """An object at module level of a web service that keeps in memory what belongs into a database."""

    name: str
    row: Type
    place: Place
    app: Place

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Volatile]:
        """The calls that make one while a file is imported, which an application is made in or imports."""
        about = values.sieve.words(module.path, "kind") & values.project.words(module.path)
        made = [] if module.is_test or not about else [*_made(values, module, about)]
        app = _app_beside(values, module) if made else None
        if app is not None:
            yield from (cls(name, row, place, app) for name, row, place in made)


def _made(values: Values, module: ModuleFacts, about: frozenset[bytes]) -> Iterator[tuple[str, Type, Place]]:
    for code in code_of(module, about):
        if code.scope is module.scope and not isinstance(code.block[0], If):
            for node in walk(code.block, into=False):
                for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
                    called = prefix(node, index)
                    if isinstance(link, Call) and last_name(called).encode() in about:
                        row = _row(values, code, called)
                        if row is not None:
                            yield last_name(called), row, code.at(called.start, link.end)


def _row(values: Values, code: Code, called: Expr) -> Type | None:
    value = values.of(code.scope, called)
    row = values.catalog.kind(value.name) if isinstance(value, Library) else None
    return row if row is not None and row.in_memory else None


def _app_beside(values: Values, module: ModuleFacts) -> Place | None:
    """Where a file, or one that imports from it, makes a web application."""
    name = module.name.rpartition(".")[2]
    importers = (one for one in values.project.mentioning(name) if not one.is_test and _imports(one, module))
    return next((place for one in (module, *importers) for place in _apps(values, one)), None)


def _imports(importer: ModuleFacts, module: ModuleFacts) -> bool:
    return any(
        isinstance(one, Imported) and (one.target == module.name or one.target.startswith(f"{module.name}."))
        for bindings in importer.scope.bindings.values()
        for one in bindings
    )


def _apps(values: Values, module: ModuleFacts) -> Iterator[Place]:
    """The applications and routers that a file binds at module level."""
    for bindings in module.scope.bindings.values():
        for one in bindings:
            made = values.instance(module.scope, one.stmt.value) if isinstance(one, Assigned) else None
            name = made.cls.name if made is not None and isinstance(made.cls, Library) else ""
            entries = (values.catalog.entry(f"{name}.{verb}") for verb in _ROUTES) if name else ()
            if isinstance(one, Assigned) and any(entry is not None and entry.event == "request" for entry in entries):
                index = next((i for i, (start, _) in enumerate(module.spans) if module.statement(i) is one.stmt), None)
                if index is not None:
                    yield Code(module.scope, module.spans[index][0], ()).at(one.stmt.start, one.stmt.end)
