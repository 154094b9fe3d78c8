"""Check the tables and write the compiled one: ``python -m toollint.catalog.compile``.

Checked are keys, values, that a name says one thing, and that no release is a method that the row forbids.
"""

from __future__ import annotations

import difflib
import json
import keyword
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from toollint.catalog import TABLE
from toollint.catalog.records import (
    Acquisition,
    Container,
    Effect,
    Memoized,
    Memoizer,
    Resource,
    Returns,
    Tool,
    Type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

Row: TypeAlias = dict[str, Any]

RECORDS: dict[str, Any] = {
    "resource": Resource,
    "acquire": Acquisition,
    "type": Type,
    "tool": Tool,
    "returns": Returns,
    "memoizer": Memoizer,
    "memoized": Memoized,
    "container": Container,
    "effect": Effect,
}
"""The sections; all but ``acquire``, which is written inside its resource, are tables of their own."""

CLASS_TOOLS = ("base", "class", "toolkit", "holder")
"""The kinds of tools that are classes; the others are functions."""


class CatalogError(ValueError):
    """A table is wrong; the message names file, table and key."""


class Table:
    """The compiled table in the making: rows by section and name, names by section and alias, where each row is."""

    def __init__(self) -> None:
        """Start with every section empty."""
        self.rows: dict[str, dict[str, Row]] = {section: {} for section in RECORDS}
        self.aliases: dict[str, dict[str, str]] = {section: {} for section in RECORDS}
        self.places: dict[tuple[str, str], str] = {}

    def add(self, section: str, name: str, row: Row, aliases: list[str], where: str) -> None:
        """Check a row against its record and enter it under its name and aliases.

        Raises:
            CatalogError: an unknown, missing or ill-typed key, or a name that is taken.
        """
        fields = _checked(RECORDS[section], row, where)
        self.places[section, name] = where
        for each in (name, *aliases):
            if not isinstance(each, str):
                raise CatalogError(f"{where}: `aliases` has {each!r}, wanted a string")
            if each in self.rows[section] or each in self.aliases[section]:
                raise CatalogError(f"{where}: `{each}` already has a row in section `{section}`")
            if each != name:
                self.aliases[section][each] = name
            else:
                self.rows[section][each] = fields

    def dump(self) -> str:
        """The table as text, a line for each name, sorted, so that a review reads what changed."""
        lines = [
            f"{section} {name}\t{json.dumps(row, ensure_ascii=False, separators=(',', ':'))}"
            for section, rows in self.rows.items()
            for name, row in rows.items()
        ]
        lines += [
            f"{section} {alias}\t{name}" for section, names in self.aliases.items() for alias, name in names.items()
        ]
        lines += [f"trigger {subject} {root}\t{' '.join(sorted(words))}" for subject, root, words in self._triggers()]
        return "\n".join(sorted(lines)) + "\n"

    def _triggers(self) -> Iterator[tuple[str, str, set[str]]]:
        kinds = {name for name, row in self.rows["type"].items() if row.get("kind", "callable") != "callable"}
        aliases = [alias for alias, name in self.aliases["type"].items() if name in kinds]
        subjects = {
            "acquisition": self._names("acquire"),
            "kind": [*kinds, *aliases, *self._names("tool"), *self._names("returns")],
            "memo": [*self._names("memoizer"), *self._names("memoized")],
        }
        for subject, names in subjects.items():
            roots: dict[str, set[str]] = {}
            for name in names:
                roots.setdefault(name.partition(".")[0], set()).add(name.rpartition(".")[2])
            yield from ((subject, root, words) for root, words in roots.items())

    def _names(self, section: str) -> list[str]:
        return [*self.rows[section], *self.aliases[section]]


def build(folder: Path) -> Table:
    """Read every table of a folder.

    Raises:
        CatalogError: a table is wrong.
    """
    table = Table()
    for path in sorted(folder.glob("*.toml")):
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise CatalogError(f"{path.name}: {error}") from error
        _enter_file(table, document, path.name)
    _check_targets(table)
    return table


def _enter_file(table: Table, document: Row, file: str) -> None:
    defaults = _table(document.pop("default", {}), f"{file}: [default]")
    for section in (*defaults, *document):
        if section not in RECORDS or section == "acquire":
            raise CatalogError(f"{file}: unknown section `{section}`{_suggest(section, RECORDS)}")
    for section, rows in document.items():
        shared = _table(defaults.get(section, {}), f"{file}: [default.{section}]")
        for name, row in _table(rows, f"{file}: [{section}]").items():
            where = f'{file}: [{section}."{name}"]'
            _enter(table, section, name, {**shared, **_table(row, where)}, where)


def _table(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise CatalogError(f"{where}: is {value!r}, wanted a table")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CatalogError(f"{where}: is {value!r}, wanted a list")
    return value


def _check_targets(table: Table) -> None:
    for section, key in (("returns", "type"), ("tool", "returns")):
        for name, row in table.rows[section].items():
            target = row.get(key)
            if target and target not in table.rows["type"]:
                wanted = table.aliases["type"].get(target)
                hint = f" (did you mean `{wanted}`?)" if wanted else _suggest(target, table.rows["type"])
                raise CatalogError(f"{table.places[section, name]}: `{key}` names no type: `{target}`{hint}")


def _enter(table: Table, section: str, name: str, row: Row, where: str) -> None:
    aliases = _list(row.pop("aliases", []), f"{where}: `aliases`")
    if section == "resource":
        _enter_resource(table, name, row, aliases, where)
    elif section == "tool" and row.get("kind") in CLASS_TOOLS:
        own, facts = _split(Tool, row)
        role = {"role": "toolkit"} if own["kind"] == "toolkit" else {}
        table.add("tool", name, own, aliases, where)
        table.add("type", name, {**facts, **role, "kind": "tool"}, aliases, where)
    else:
        table.add(section, name, row, aliases, where)


def _split(record: Any, row: Row) -> tuple[Row, Row]:
    """What a row says of the thing, and what it says of its class; some keys say both."""
    own = {key: value for key, value in row.items() if _field(key) in record._fields or _field(key) not in Type._fields}
    return own, {key: value for key, value in row.items() if _field(key) in Type._fields}


def _enter_resource(table: Table, name: str, row: Row, aliases: list[str], where: str) -> None:
    """Enter a resource, its calls, and its class, which its other constructors are too, under more names."""
    calls = [_table(call, f"{where}: `acquire`") for call in _list(row.pop("acquire", []), f"{where}: `acquire`")]
    made = [_enter_acquisition(table, call, name, aliases, where) for call in calls]
    names = [*aliases, *(each for group in made for each in group if each not in {name, *aliases})]
    own, facts = _split(Resource, row)
    table.add("resource", name, own, names, where)
    if own.get("release") in own.get("never", []):
        raise CatalogError(f"{where}: `release` is `{own['release']}`, which `never` forbids")
    if not any(call["call"] == name and call["kind"] != "constructor" for call in calls):
        table.add("type", name, {**_type_of_resource(own), **facts}, names, where)


def _enter_acquisition(table: Table, call: Row, resource: str, names: list[str], where: str) -> list[str]:
    """Enter a call and give the names of the class that it constructs, if it does.

    The constructor named like the resource answers to the resource's aliases too.
    """
    row = dict(call)
    name, aliases = row.pop("call", None), _list(row.pop("aliases", []), f"{where}: `aliases`")
    if not isinstance(name, str):
        raise CatalogError(f"{where}: an `acquire` has no `call`")
    constructs = row.get("kind") == "constructor"
    if constructs and name == resource:
        aliases = [*aliases, *names]
    table.add("acquire", name, {"resource": resource, **row}, aliases, f"{where}: acquire `{name}`")
    return [name, *aliases] if constructs else []


def _type_of_resource(row: Row) -> Row:
    """The resource's class as a base: its release and the protocols that work are its closers."""
    release, is_async = row.get("release", ""), row.get("async", False)
    method = release if "." not in release else ""
    sync = "__exit__" if row.get("with") == "releases" else ""
    awaited = "__aexit__" if row.get("async-with") == "releases" else ""
    return {
        "kind": "resource" if row["weight"] != "none" else "",
        "closers": [name for name in (method, sync, awaited) if name],
        "async-closers": [name for name in (method if is_async else "", awaited) if name],
    }


def _checked(record: Any, row: Row, where: str) -> Row:
    """The row with fields for keys.

    Raises:
        CatalogError: a key is unknown, missing or of the wrong type.
    """
    hints = {field: hint for field, hint in get_type_hints(record).items() if field != "name"}
    fields: Row = {}
    for key, value in row.items():
        field = _field(key)
        if field not in hints:
            raise CatalogError(f"{where}: unknown key `{key}`{_suggest(key, [_key(each) for each in hints])}")
        hint = str if hints[field] is Resource else hints[field]
        if not _fits(value, hint):
            raise CatalogError(f"{where}: `{key}` is {value!r}, wanted {_spell(hint)}")
        fields[field] = value
    for field in record._fields[1:]:
        if field not in record._field_defaults and field not in fields:
            raise CatalogError(f"{where}: `{_key(field)}` is missing")
    return fields


def _field(key: str) -> str:
    field = key.replace("-", "_")
    return f"{field}_" if keyword.iskeyword(field) else field


def _key(field: str) -> str:
    return field.rstrip("_").replace("_", "-")


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if get_origin(hint) in {types.UnionType, typing.Union}:
        return any(_fits(value, part) for part in get_args(hint))
    return type(value) is hint


def _spell(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " | ".join(repr(value) for value in get_args(hint))
    return "a list of strings" if get_origin(hint) is tuple else getattr(hint, "__name__", str(hint))


def _suggest(word: str, words: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def main() -> None:
    """Write the compiled table beside the tables."""
    try:
        text = build(TABLE.parent).dump()
    except CatalogError as error:
        sys.exit(f"catalogue: {error}")
    TABLE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
