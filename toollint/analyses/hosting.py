"""What runs the program around everything: the application or server that the project makes, for recipes to fit it."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from toollint.analyses.values import Values
from toollint.catalog import Catalog
from toollint.facts import code_of
from toollint.project import Library
from toollint.syntax import Chain, callee, walk


class Host(NamedTuple):
    """The class of an application or server, and what a recipe calls the object that its lifespan is given."""

    maker: str
    name: str


def host_of(values: Values) -> Host | None:
    """The first application or server that the running program makes and that takes a lifespan; None without one."""
    words = _makers(values.catalog)
    made = re.compile(rb"\b(?:%b)\(" % b"|".join(sorted(words)))
    for path in values.project.paths:
        if words.isdisjoint(values.project.words(path)) or not made.search(values.project.text(path)):
            continue
        module = values.project.module_at(path)
        for code in code_of(module, words) if module is not None and not module.is_test else ():
            for node in walk(code.block, into=False):
                called = callee(node) if isinstance(node, Chain) else None
                target = values.project.resolve(code.scope, called) if called is not None else None
                row = values.catalog.base(target.name) if isinstance(target, Library) else None
                if row is not None and row.lifespan:
                    return Host(row.name.rpartition(".")[2], row.lifespan)
    return None


@functools.cache
def _makers(catalog: Catalog) -> frozenset[bytes]:
    """The last names of the classes that take a lifespan."""
    rows = ((name, catalog.base(name)) for name in catalog.names("type"))
    return frozenset(name.rpartition(".")[2].encode() for name, row in rows if row is not None and row.lifespan)
