"""Check tables and compile them: the ones that ship, and the ones in which users tell of their own libraries.

``python -m toollint.catalog.compile`` writes the table that ships. Checked are keys, values, that a name says one
thing, and that no release is a method that the row forbids.
"""

from __future__ import annotations

import difflib
import json
import keyword
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from toollint.catalog import TABLE, Catalog
from toollint.catalog.records import RECORDS, Resource, Tool, Type, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

Row: TypeAlias = dict[str, Any]
Keys: TypeAlias = tuple[str, ...]
"""Where a value stands in its file: section, name, key."""

USER_SECTIONS: dict[str, tuple[str, Row]] = {
    "resources": ("resource", {"category": "own", "weight": "high", "evidence": "judged"}),
    "tools": ("tool", {"kind": "base", "evidence": "judged"}),
    "graphs": ("type", {"kind": "graph", "evidence": "judged"}),
    "types": ("type", {"evidence": "judged"}),
    "calls": ("effect", {"params": [], "evidence": "judged"}),
    "returns": ("returns", {"evidence": "judged"}),
    "memoizers": ("memoizer", {"form": "both", "evidence": "judged"}),
    "memoized": ("memoized", {"evidence": "judged"}),
    "containers": ("container", {"shape": "mapping", "evidence": "judged"}),
    "handlers": ("handler", {"evidence": "judged"}),
}
"""The sections of a configuration: the catalogue's section, and the keys that need not be written of a new name."""

CLASS_TOOLS = ("base", "class", "toolkit", "holder")
"""The kinds of tools that are classes; the others are functions."""


class CatalogError(ValueError):
    """A table is wrong: its ``file``, the ``keys`` of the place in it, and the ``message``, which names the key."""

    def __init__(self, file: str, keys: Keys, message: str) -> None:
        place = f"{file}: [{'.'.join(_quoted(key) for key in keys[:2])}]" if keys else file
        super().__init__(f"{place}: {message}")
        self.keys = keys
        self.message = message


class Table:
    """A compiled table in the making: rows by section and name, names by section and alias.

    A row whose name ``base`` knows already takes over the keys that it does not write itself.
    """

    def __init__(self, base: Catalog) -> None:
        """Start with every section empty, over the rows of ``base``; ``file`` is where rows come from just now."""
        self.base = base
        self.file = ""
        self.rows: dict[str, dict[str, Row]] = {section: {} for section in RECORDS}
        self.aliases: dict[str, dict[str, str]] = {section: {} for section in RECORDS}
        self.places: dict[tuple[str, str], tuple[str, Keys]] = {}

    def add(self, section: str, name: str, row: Row, aliases: list[Any], keys: Keys) -> Row:
        """Check a row against its record, enter it under its name and aliases, and give its fields.

        Raises:
            CatalogError: an unknown, missing or ill-typed key, or a name that is taken.
        """
        name, known = self.known(section, name)
        self._claim(section, name, name, keys)
        self.rows[section][name] = {}
        for alias in aliases:
            self._claim(section, alias, name, keys)
            self.aliases[section][alias] = name
        fields = {**known, **self._checked(section, row, keys)}
        for field in RECORDS[section]._fields[1:]:
            if field not in RECORDS[section]._field_defaults and field not in fields:
                raise self.error((*keys, key_of(field)), f"`{key_of(field)}` is missing")
        self.rows[section][name] = {**fields, "tables": [*self.base.tables(section, name), self.file]}
        self.places[section, name] = self.file, keys
        return fields

    def known(self, section: str, name: str) -> tuple[str, Row]:
        """The name under which ``base`` has a row, and its fields; none for a new name."""
        return self.base.find(section, name) or (name, {})

    def error(self, keys: Keys, message: str) -> CatalogError:
        """What is wrong at a place of the present file."""
        return CatalogError(self.file, keys, message)

    def table(self, value: object, keys: Keys) -> Row:
        """The value as a table, or CatalogError."""
        if not isinstance(value, dict):
            raise self.error(keys, f"`{keys[-1]}` must be a table, not {kind_of(value)}")
        return value

    def array(self, value: object, keys: Keys) -> list[Any]:
        """The value as an array, or CatalogError."""
        if not isinstance(value, list):
            raise self.error(keys, f"`{keys[-1]}` must be an array, not {kind_of(value)}")
        return value

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

    def _checked(self, section: str, row: Row, keys: Keys) -> Row:
        """The row with fields for keys."""
        hints = {field: hint for field, hint in get_type_hints(RECORDS[section]).items() if field != "name"}
        fields: Row = {}
        for key, value in row.items():
            field, place = _field(key), (*keys, key)
            if field not in hints:
                written = [*map(key_of, hints), *(["acquire", "aliases"] if section == "resource" else ["aliases"])]
                raise self.error(place, f"unknown key `{key}`{did_you_mean(key, written)}")
            hint = str if hints[field] is Resource else hints[field]
            if not _fits(value, hint):
                raise self.error(place, f"`{key}` must be {_spell(hint)}, not {_shown(value)}")
            fields[field] = value
        return fields

    def _claim(self, section: str, name: object, row: str, keys: Keys) -> None:
        """See that a name may stand for the row called ``row``."""
        if not isinstance(name, str):
            raise self.error((*keys, "aliases"), f"`aliases` must hold strings only, not {kind_of(name)}")
        if "." not in name or not _is_dotted(name):
            raise self.error(
                keys[:2], f'`{name}` is no full name: write it in quotes with its module, as in "mydb.Pool"'
            )
        other = self.base.find(section, name)
        if name in self._names(section) or (other is not None and other[0] != row):
            raise self.error(keys[:2], f"`{name}` already has a row in section `{section}`")

    def _triggers(self) -> Iterator[tuple[str, str, set[str]]]:
        kinds = {name for name, row in self.rows["type"].items() if row.get("kind", "callable") != "callable"}
        aliases = [alias for alias, name in self.aliases["type"].items() if name in kinds]
        subjects = {
            "acquisition": self._names("acquire"),
            "kind": [*kinds, *aliases, *self._names("tool"), *self._names("returns")],
            "memo": [*self._names("memoizer"), *self._names("memoized")],
            "handler": self._rows_that("handler", "starts"),
            "listener": self._rows_that("effect", "grows"),
            "passing": self._rows_that("acquire", "when"),
            "server": self._acquire({"needs_entering", "coroutines", "gives_tools"}),
        }
        for subject, names in subjects.items():
            roots: dict[str, set[str]] = {}
            for name in names:
                roots.setdefault(name.partition(".")[0], set()).add(self._word(subject, name))
            yield from ((subject, root, words) for root, words in roots.items())

    def _word(self, subject: str, name: str) -> str:
        """What a text that uses the name mentions: its last part, or the argument without which it means nothing."""
        row = self.rows["acquire"].get(self.aliases["acquire"].get(name, name), {}) if subject == "acquisition" else {}
        return str(row.get("when") or name.rpartition(".")[2])

    def _rows_that(self, section: str, field: str) -> list[str]:
        """The names, aliases too, of the rows where a field is true."""
        names = [name for name, row in self.rows[section].items() if row.get(field)]
        return [*names, *(alias for alias, name in self.aliases[section].items() if name in names)]

    def _acquire(self, fields: set[str]) -> list[str]:
        """The names of the calls, aliases too, that acquire a resource whose row has one of the fields."""
        resources = {name for name, row in self.rows["resource"].items() if not fields.isdisjoint(row)}
        names = {name for name, row in self.rows["acquire"].items() if row["resource"] in resources}
        return [*names, *(alias for alias, name in self.aliases["acquire"].items() if name in names)]

    def _names(self, section: str) -> list[str]:
        return [*self.rows[section], *self.aliases[section]]


def build(folder: Path) -> Table:
    """Read every table of a folder.

    Raises:
        CatalogError: a table is wrong.
    """
    table = Table(Catalog(""))
    for path in sorted(folder.glob("*.toml")):
        table.file = path.name
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise table.error((), str(error)) from error
        _enter_file(table, document)
    _check_targets(table)
    return table


def extend(base: Catalog, sections: Mapping[str, object], file: str) -> str:
    """Compile what a configuration says of the user's own libraries, section by section of `USER_SECTIONS`.

    Raises:
        CatalogError: a table is wrong.
    """
    table = Table(base)
    table.file = file
    for user_section, rows in sections.items():
        for name, row in table.table(rows, (user_section,)).items():
            _enter_users(table, user_section, name, row)
    _check_targets(table)
    return table.dump()


def _enter_users(table: Table, user_section: str, name: str, value: object) -> None:
    """Enter a row of a configuration; a resource may be named by a call that acquires it."""
    keys = (user_section, name)
    row = {**table.table(value, keys)}
    section, defaults = USER_SECTIONS[user_section]
    acquisition = table.base.acquisition(name) if section == "resource" else None
    if acquisition is not None and table.base.resource(name) is None:
        name = acquisition.resource.name
    if user_section == "graphs":
        row = {"kind": "graph", **row}
    if table.base.find(section, name) is None:
        row = {**defaults, **_by_name(section, name), **row}
    _enter(table, section, name, row, keys)


def _by_name(section: str, name: str) -> Row:
    """What the name of a user's new thing tells of it."""
    if section == "resource":
        return {"acquire": [{"call": name}]}
    if section == "tool":
        framework = name.partition(".")[0]
        return {
            "framework": framework,
            "caller": f"{framework} is not known to call `close`: whoever builds the tool has to",
        }
    return {}


def _enter_file(table: Table, document: Row) -> None:
    defaults = table.table(document.pop("default", {}), ("default",))
    for section in (*defaults, *document):
        if section not in RECORDS or section == "acquire":
            raise table.error((), f"unknown section `{section}`{did_you_mean(section, RECORDS)}")
    for section, rows in document.items():
        shared = table.table(defaults.get(section, {}), ("default", section))
        for name, row in table.table(rows, (section,)).items():
            keys = (section, name)
            _enter(table, section, name, {**shared, **table.table(row, keys)}, keys)


def _check_targets(table: Table) -> None:
    for section, key in (("returns", "type"), ("tool", "returns")):
        for name, row in table.rows[section].items():
            target = row.get(key)
            if target and target not in table.rows["type"] and table.base.base(target) is None:
                known = [*table.rows["type"], *table.base.names("type")]
                wanted = table.aliases["type"].get(target)
                hint = f": did you mean `{wanted}`?" if wanted else did_you_mean(target, known)
                file, keys = table.places[section, name]
                raise CatalogError(file, (*keys, key), f"`{key}` names no type: `{target}`{hint}")


def _enter(table: Table, section: str, name: str, row: Row, keys: Keys) -> None:
    aliases = table.array(row.pop("aliases", []), (*keys, "aliases"))
    kind = row.get("kind", table.known(section, name)[1].get("kind"))
    if section == "resource":
        _enter_resource(table, name, row, aliases, keys)
    elif section == "tool" and kind in CLASS_TOOLS:
        own, facts = _split(Tool, row)
        role = {"role": "toolkit"} if kind == "toolkit" else {}
        table.add("tool", name, own, aliases, keys)
        table.add("type", name, {**facts, **role, "kind": "tool"}, aliases, keys)
    else:
        table.add(section, name, row, aliases, keys)


def _split(record: Any, row: Row) -> tuple[Row, Row]:
    """What a row says of the thing, and what it says of its class; some keys say both."""
    own = {key: value for key, value in row.items() if _field(key) in record._fields or _field(key) not in Type._fields}
    return own, {key: value for key, value in row.items() if _field(key) in Type._fields}


def _enter_resource(table: Table, name: str, row: Row, aliases: list[Any], keys: Keys) -> None:
    """Enter a resource, its calls, and its class, which its other constructors are too, under more names."""
    name, known = table.known("resource", name)
    calls = [table.table(call, (*keys, "acquire")) for call in table.array(row.pop("acquire", []), (*keys, "acquire"))]
    made = [_enter_acquisition(table, call, name, aliases, keys) for call in calls]
    names = [*aliases, *(each for group in made for each in group if each not in {name, *aliases})]
    own, facts = _split(Resource, row)
    resource = table.add("resource", name, own, names, keys)
    _check_release(table, resource, known, keys)
    stays_nameless = bool(known) and table.base.find("type", name) is None
    if stays_nameless or any(
        call["call"] == name and call.get("kind", "constructor") != "constructor" for call in calls
    ):
        return
    _, its_class = table.known("type", name)
    table.add("type", name, {**_class_of(resource, its_class), **facts}, names, keys)


def _check_release(table: Table, resource: Row, known: Row, keys: Keys) -> None:
    for field, verbs in (("release", (resource.get("release", ""),)), ("others", resource.get("others", ()))):
        for verb in verbs:
            if verb in resource.get("never", ()):
                hint = f": did you mean `{known['release']}`?" if known.get("release") else ""
                raise table.error((*keys, field), f"`{field}` has `{verb}`, which `never` forbids{hint}")
            if verb and not _is_dotted(verb):
                raise table.error((*keys, field), f"`{field}` must name a method or a function, not `{verb}`")


def _enter_acquisition(table: Table, call: Row, resource: str, names: list[Any], keys: Keys) -> list[str]:
    """Enter a call and give the names of the class that it constructs, if it does.

    The constructor named like the resource answers to the resource's aliases too.
    """
    row, place = dict(call), (*keys, "acquire")
    name, aliases = row.pop("call", None), table.array(row.pop("aliases", []), (*place, "aliases"))
    if not isinstance(name, str):
        raise table.error(place, "an `acquire` has no `call`")
    row.setdefault("kind", "constructor" if name == resource else "function")
    constructs = row["kind"] == "constructor"
    if constructs and name == resource:
        aliases = [*aliases, *names]
    table.add("acquire", name, {"resource": resource, **row}, aliases, place)
    return [name, *aliases] if constructs else []


def _class_of(resource: Row, known: Row) -> Row:
    """The resource's class as a base: its release and the protocols that work are closers beside the known ones."""
    release, is_async = resource.get("release", ""), resource.get("async_", False)
    method = release if "." not in release else ""
    sync = "__exit__" if resource.get("with_") == "releases" else ""
    awaited = "__aexit__" if resource.get("async_with") == "releases" else ""
    kind = {"kind": "resource" if resource["weight"] != "none" else ""}
    closers = (name for name in (method, sync, awaited) if name)
    async_closers = (name for name in (method if is_async else "", awaited) if name)
    return {
        **(kind if known.get("kind", "") in {"", "resource"} else {}),
        "closers": [*dict.fromkeys((*known.get("closers", ()), *closers))],
        "async-closers": [*dict.fromkeys((*known.get("async_closers", ()), *async_closers))],
    }


def _field(key: str) -> str:
    field = key.replace("-", "_")
    return f"{field}_" if keyword.iskeyword(field) else field


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key else key


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
        return f"one of {', '.join(f'`{value}`' for value in get_args(hint) if value)}"
    if get_origin(hint) is tuple:
        return "an array of strings"
    return " or ".join(KINDS[part] for part in get_args(hint) or (hint,) if part is not types.NoneType)


KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    tuple: "an array",
    dict: "a table",
}
"""What a message calls the types that TOML has."""


def kind_of(value: object) -> str:
    """What a message calls a value: ``a string``."""
    return "a boolean" if isinstance(value, bool) else KINDS.get(type(value), "a date or time")


def _shown(value: object) -> str:
    """What a wrong value is called: itself if it is a word, else its kind; an array by its first item that is wrong."""
    if isinstance(value, list):
        strangers = [item for item in value if not isinstance(item, str)]
        return f"an array that holds {kind_of(strangers[0])}" if strangers else "an array"
    return f"`{value}`" if isinstance(value, str) else kind_of(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suffix that asks for the known word that is most like this one, in any case; empty if none is."""
    spelt = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(word.lower(), spelt, 1)
    return f": did you mean `{spelt[close[0]]}`?" if close else ""


def main() -> None:
    """Write the compiled table beside the tables."""
    try:
        text = build(TABLE.parent).dump()
    except CatalogError as error:
        sys.exit(f"catalogue: {error}")
    TABLE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
