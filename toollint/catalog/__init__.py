"""What the world's libraries acquire, release and hold, as data.

The tables are the ``*.toml`` files beside this module (README.md); ``python -m toollint.catalog.compile`` checks them
and writes ``table.txt``, which is all that is read at run time. Names are fully qualified, as import resolution gives
them; builtins are ``builtins.open``. Every public name of a thing finds its row.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from toollint.catalog.records import (
    Acquisition,
    Container,
    Effect,
    Entry,
    Handler,
    Memoized,
    Memoizer,
    Resource,
    Returns,
    Runner,
    Tool,
    Type,
)

__all__ = [
    "Acquisition",
    "Catalog",
    "Container",
    "Effect",
    "Entry",
    "Handler",
    "Memoized",
    "Memoizer",
    "Resource",
    "Returns",
    "Runner",
    "Tool",
    "Type",
    "load",
]

TABLE = Path(__file__).with_name("table.txt")

_Record = TypeVar(
    "_Record", Resource, Type, Tool, Returns, Memoizer, Memoized, Container, Effect, Handler, Entry, Runner
)


class Catalog:
    """Answers questions about fully qualified names; None means that the catalogue does not know the name."""

    __slots__ = ("_fields", "_rows")

    def __init__(self, table: str) -> None:
        """Take a compiled table.

        A line is a section and a name, a tab, and the row as JSON or the name whose row it shares. Rows are read as
        they are asked for: a run needs few of them, and reading all would take many times as long.
        """
        cells = table.replace("\n", "\t").split("\t")
        self._rows = dict(zip(cells[::2], cells[1::2], strict=False))
        self._fields: dict[str, dict[str, Any]] = {}

    def extended(self, table: str) -> Catalog:
        """This catalogue with the rows of a further compiled table, which beat its own of the same names."""
        further = Catalog(table)
        triggers = {
            key: f"{self._rows[key]} {words}"
            for key, words in further._rows.items()
            if key.startswith("trigger ") and key in self._rows
        }
        further._rows = {**self._rows, **further._rows, **triggers}
        return further

    def acquisition(self, name: str) -> Acquisition | None:
        """What a call of ``name`` acquires."""
        found = self.find("acquire", name)
        if found is None:
            return None
        key, fields = found
        resource = self.resource(fields["resource"])
        return resource and Acquisition(key, **{**fields, "resource": resource})

    def resource(self, name: str) -> Resource | None:
        """The resource whose type is ``name``."""
        return self._get(Resource, "resource", name)

    def tool(self, name: str) -> Tool | None:
        """The base class, class, decorator, factory, toolkit or holder ``name`` of a framework's tools."""
        return self._get(Tool, "tool", name)

    def base(self, name: str) -> Type | None:
        """What the class ``name`` brings to a subclass; answers for every class of the catalogue."""
        return self._get(Type, "type", name)

    def kind(self, name: str) -> Type | None:
        """The class ``name`` where its instances are something that the rules look for."""
        found = self.base(name)
        return found if found is not None and found.kind else None

    def component(self, name: str) -> Type | None:
        """The class ``name`` where its instances are parts of agents beside tools."""
        found = self.base(name)
        return found if found is not None and found.role else None

    def returns(self, name: str) -> str | None:
        """The catalogue type that a call of ``name`` gives; a class gives itself, under its canonical name."""
        found = self._get(Returns, "returns", name)
        if found is not None:
            return found.type
        made = self.base(name)
        return made and made.name

    def memoizer(self, name: str) -> Memoizer | None:
        """The decorator ``name`` that keeps arguments and results."""
        return self._get(Memoizer, "memoizer", name)

    def memoized(self, name: str) -> Memoized | None:
        """The third-party function ``name`` that keeps what it is called with."""
        return self._get(Memoized, "memoized", name)

    def container(self, name: str) -> Container | None:
        """The container that a call of ``name`` makes."""
        return self._get(Container, "container", name)

    def effect(self, name: str) -> Effect | None:
        """What a call of ``name`` does with its arguments."""
        return self._get(Effect, "effect", name)

    def handler(self, name: str) -> Handler | None:
        """What each object of the handler, tracer or exporter ``name`` starts or keeps."""
        return self._get(Handler, "handler", name)

    def entry(self, name: str) -> Entry | None:
        """What makes functions run once for each event: the decorator, call or base class ``name``."""
        return self._get(Entry, "entry", name)

    def runner(self, name: str) -> Runner | None:
        """What the call ``name`` runs on an event loop of its own."""
        return self._get(Runner, "runner", name)

    def triggers(self) -> dict[str, dict[bytes, frozenset[bytes]]]:
        """The last parts of names by subject, then by first part.

        Subjects are ``acquisition``, ``kind``, ``memo``, ``handler``, ``listener``, ``passing`` and ``server``.
        A file that uses a name mentions both parts; ``builtins`` counts as mentioned everywhere. Callables are no
        triggers: every file has some, and they matter only where something else does.
        """
        found: dict[str, dict[bytes, frozenset[bytes]]] = {}
        for name, words in self._rows.items():
            if name.startswith("trigger "):
                _, subject, root = name.split(" ")
                found.setdefault(subject, {})[root.encode()] = frozenset(words.encode().split())
        return found

    def names(self, section: str) -> Iterator[str]:
        """Every name that has a row in a section, aliases included."""
        return (name for found, _, name in (key.partition(" ") for key in self._rows) if found == section)

    def aliases(self, section: str, name: str) -> list[str]:
        """The other names that share the row of a canonical name, sorted."""
        keys = [key.partition(" ") for key, row in self._rows.items() if row == name]
        return sorted(alias for found, _, alias in keys if found == section)

    def calls(self, resource: str) -> list[str]:
        """The calls that acquire a resource, by its canonical name, sorted."""
        rows = [key for key, row in self._rows.items() if key.startswith("acquire ") and row.startswith("{")]
        return sorted(key.partition(" ")[2] for key in rows if self._read(key)["resource"] == resource)

    def find(self, section: str, name: str) -> tuple[str, dict[str, Any]] | None:
        """The canonical name and the fields of a name; a method is found under every name of its class."""
        row = self._rows.get(f"{section} {name}")
        if row is None:
            owner, _, method = name.rpartition(".")
            name = f"{self._canonical(owner)}.{method}"
            row = self._rows.get(f"{section} {name}")
        if row is None:
            return None
        if not row.startswith("{"):
            name = row
        return name, self._read(f"{section} {name}")

    def tables(self, section: str, name: str) -> list[str]:
        """The files that say what a row says, the one that was read last at the end; none for an unknown name.

        The tables that ship have plain names (``db.toml``), configurations full paths.
        """
        found = self.find(section, name)
        return [] if found is None else json.loads(self._rows[f"{section} {found[0]}"])["tables"]

    def _get(self, record: type[_Record], section: str, name: str) -> _Record | None:
        found = self.find(section, name)
        return found and record(found[0], **found[1])

    def _read(self, key: str) -> dict[str, Any]:
        if key not in self._fields:
            fields = json.loads(self._rows[key])
            del fields["tables"]
            self._fields[key] = {
                field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()
            }
        return self._fields[key]

    def _canonical(self, name: str) -> str:
        """The name under which a class has its row, or the name itself."""
        row = self._rows.get(f"type {name}", "{")
        return name if row.startswith("{") else row


@functools.lru_cache(maxsize=8)
def load(tables: tuple[str, ...] = ()) -> Catalog:
    """The catalogue that ships with toollint, extended by compiled tables; the last one has the last word."""
    return load(tables[:-1]).extended(tables[-1]) if tables else Catalog(TABLE.read_text(encoding="utf-8"))
