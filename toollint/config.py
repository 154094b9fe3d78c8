"""pyproject.toml, toollint.toml and the command line -> one `Config`, or one clear line about what is wrong."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from toollint import catalog, files, globs
from toollint.catalog.compile import KINDS, USER_SECTIONS, CatalogError, did_you_mean, extend, kind_of
from toollint.model import Default, Rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

LIMIT = 2**20
"""The size in bytes of the largest configuration file that is read."""

EXCLUDE = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".toollint_cache",
    ".tox",
    ".venv",
    "__pycache__",
    "__pypackages__",
    "_build",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)
"""What the walk leaves out unless ``exclude`` says otherwise; folders with a pyvenv.cfg go by themselves."""

_NAMES = ("toollint.toml", ".toollint.toml", "pyproject.toml")
_EXACT = 1000
"""How specific a rule's code or name is, compared with the length of a prefix."""


@dataclass(frozen=True)
class Config:
    """What a run was asked to do. Patterns (`toollint.globs`) are relative to ``root``, the folder of the file.

    ``select`` is None where nothing was selected: then the rules run that are on by default. ``rules`` maps a rule's
    code to the values of its options, by the names of their fields. ``catalogue`` are compiled tables of what users
    tell of their own libraries, for `toollint.catalog.load`.
    """

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    preview: bool = False
    exclude: tuple[str, ...] = EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    src: tuple[str, ...] = ()
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frontend: str = "ast"
    unsafe_fixes: bool = False
    output_format: str = "full"
    catalogue: tuple[str, ...] = ()
    root: Path | None = None

    def enabled(self, rules: Sequence[Rule], path: Path) -> tuple[Rule, ...]:
        """Return the rules that run on a file, in their own order.

        The more specific selector wins (name or code, longer prefix, shorter prefix, ``ALL``), among equals the one
        that ignores; ``per-file-ignores`` win over everything.
        """
        ignored = self._ignored_in(path)
        return tuple(rule for rule in rules if self._selects(rule) and _specificity(rule, ignored) is None)

    def _selects(self, rule: Rule) -> bool:
        if rule.default is Default.PREVIEW and not self.preview:
            return False
        chosen = [_specificity(rule, self.extend_select)]
        if self.select is not None:
            chosen.append(_specificity(rule, self.select))
        elif rule.default is not Default.OFF:
            chosen.append(0)
        if rule.default is Default.OFF:
            chosen = [degree for degree in chosen if degree in (0, _EXACT)]
        wanted = max((degree for degree in chosen if degree is not None), default=None)
        unwanted = _specificity(rule, self.ignore)
        return wanted is not None and (unwanted is None or wanted > unwanted)

    def _ignored_in(self, path: Path) -> list[str]:
        if not self.per_file_ignores:
            return []
        path = path.absolute()
        below = self.root is not None and path.is_relative_to(self.root)
        parts = path.relative_to(self.root).parts if self.root and below else path.parts
        ignored: list[str] = []
        for pattern, selectors in self.per_file_ignores.items():
            glob = globs.parse(pattern.removeprefix("!"))
            if glob and globs.covers([glob], parts) != pattern.startswith("!"):
                ignored += selectors
        return ignored


class ConfigError(Exception):
    """The configuration is wrong: ``file`` (or the option of the command), ``line`` from 1 if known, ``message``."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.file = file
        self.line = line
        self.message = message


def load(
    start: Path,
    *,
    rules: Sequence[Rule],
    config_file: Path | None = None,
    isolated: bool = False,
    overrides: Mapping[str, object] | None = None,
) -> Config:
    """Read the configuration for a file or folder.

    That is ``config_file``, else the nearest toollint.toml, .toollint.toml or pyproject.toml with ``[tool.toollint]``
    (in this order within one folder) from ``start`` upwards; none if ``isolated``. What it extends is read first. A
    later value replaces an earlier one, ``extend-*`` add up, tables are merged. ``overrides`` (by the names of the
    fields of `Config`; None means not given) come last.

    Raises:
        ConfigError: whatever is wrong.
    """
    file = None if isolated else config_file or _nearest(start)
    documents = _chain(file) if file else []
    merged: dict[str, Any] = {}
    for document in documents:
        merged = _merge(merged, _Checker(document, rules).checked(document.table))
    given = {name.replace("_", "-"): value for name, value in (overrides or {}).items() if value is not None}
    merged = _merge(merged, _Checker(_CommandLine(), rules).checked(given))
    merged.pop("extend", None)
    return Config(**merged, catalogue=_catalogue(documents), root=file.absolute().parent if file else None)


class Nearest:
    """The configuration for each folder, each file read once; ``overrides`` as for `load`."""

    def __init__(self, rules: Sequence[Rule], overrides: Mapping[str, object] | None = None) -> None:
        """Take what `load` takes."""
        self._rules, self._overrides = rules, overrides
        self._files: dict[Path, Path | None] = {}
        self._configs: dict[Path | None, Config] = {}

    def __call__(self, folder: Path) -> Config:
        """Return the configuration for files in an absolute folder.

        Raises:
            ConfigError: whatever is wrong with it.
        """
        file = self._file(folder)
        if file not in self._configs:
            self._configs[file] = load(
                folder, rules=self._rules, config_file=file, isolated=file is None, overrides=self._overrides
            )
        return self._configs[file]

    def _file(self, folder: Path) -> Path | None:
        if folder not in self._files:
            above = self._file(folder.parent) if folder.parent != folder else None
            self._files[folder] = _file_in(folder) or above
        return self._files[folder]


def _catalogue(documents: Sequence[_Document]) -> tuple[str, ...]:
    """The tables of libraries in the documents, compiled, each over those before it."""
    tables: tuple[str, ...] = ()
    for document in documents:
        sections = {key: rows for key, rows in document.table.items() if key in USER_SECTIONS}
        if sections:
            try:
                tables += (extend(catalog.load(tables), sections, str(document.path.absolute())),)
            except CatalogError as error:
                raise document.error(error.keys, error.message) from None
    return tables


def _merge(base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in child.items():
        if isinstance(value, Mapping):
            merged[key] = _merge(base.get(key, {}), value)
        elif key.startswith("extend_"):
            merged[key] = base.get(key, ()) + value
        else:
            merged[key] = value
    return merged


def _specificity(rule: Rule, selectors: Sequence[str]) -> int | None:
    """Return how closely the best of the selectors describes a rule; None if none of them means it."""
    degrees = []
    for selector in selectors:
        if selector == "ALL":
            degrees.append(0)
        elif selector in (rule.code, rule.name):
            degrees.append(_EXACT)
        elif selector.startswith("TL") and rule.code.startswith(selector):
            degrees.append(len(selector))
    return max(degrees, default=None)


# --- files -------------------------------------------------------------------------------------------------------


class _Document(NamedTuple):
    """A configuration file: ``table`` is what is ours in it, under the keys ``prefix``."""

    path: Path
    text: str
    prefix: tuple[str, ...]
    table: Mapping[str, object]

    def error(self, keys: tuple[str, ...], message: str, value: str = "") -> ConfigError:
        return ConfigError(_shown(self.path), _line_of(self.text, (*self.prefix, *keys), value), message)


class _CommandLine:
    """Where values come from that stand in no file."""

    def error(self, keys: tuple[str, ...], message: str, value: str = "") -> ConfigError:  # noqa: ARG002
        return ConfigError(f"--{keys[0]}", None, message)


def _nearest(start: Path) -> Path | None:
    start = start.absolute()
    return next(filter(None, map(_file_in, (start, *start.parents))), None)


def _file_in(folder: Path) -> Path | None:
    """Return the configuration that a folder itself holds."""
    paths = (folder / name for name in _NAMES)
    return next((path for path in paths if path.is_file() and (path.name != "pyproject.toml" or _is_ours(path))), None)


def _is_ours(pyproject: Path) -> bool:
    """Whether there is a ``[tool.toollint]``; a file without that word is not even parsed."""
    return b"toollint" in _bytes(pyproject) and bool(_read(pyproject).table)


def _chain(file: Path) -> list[_Document]:
    """Read a file and what it extends; the last one is the file itself."""
    documents = [_read(file)]
    seen = [os.path.realpath(file)]
    while "extend" in documents[-1].table:
        child = documents[-1]
        extend = _Checker(child, ()).string(("extend",), child.table["extend"])
        base = child.path.parent / extend
        seen.append(os.path.realpath(base))
        if seen[-1] in seen[:-1]:
            circle = " -> ".join(_shown(Path(path)) for path in seen)
            raise child.error(("extend",), f"`extend` goes in a circle: {circle}")
        if not base.is_file():
            raise child.error(("extend",), f"cannot extend `{extend}`: no such file")
        documents.append(_read(base))
    return documents[::-1]


def _read(path: Path) -> _Document:
    data = _bytes(path)
    if len(data) > LIMIT:
        raise ConfigError(_shown(path), None, f"larger than {LIMIT // 2**20} MiB")
    try:
        text = data.decode()
        table: Any = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(_shown(path), None, "nested too deeply") from None
    except ValueError as error:  # its words may quote the file, which may be anything
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line = int(place[1]) if place else None
        if "end of document" in str(error):
            line = data.rstrip().count(b"\n") + 1
        column = f" (column {place[2]})" if place else ""
        raise ConfigError(_shown(path), line, f"not valid TOML{column}") from None
    prefix = ("tool", "toollint") if path.name == "pyproject.toml" else ()
    for key in prefix:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    document = _Document(path, text, prefix, table)
    if not isinstance(table, dict):
        raise document.error((), f"`tool.toollint` must be a table, not {kind_of(table)}")
    return document


def _bytes(path: Path) -> bytes:
    try:
        return files.read(path)
    except files.ReadError as error:
        raise ConfigError(_shown(path), None, f"cannot be read: {error}") from None


def _shown(path: Path) -> str:
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown


_KEY = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_LINE = re.compile(rf"[ \t]*(?P<header>\[\[?[ \t]*)?(?P<keys>{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)[ \t]*[=\]]")


def _line_of(text: str, keys: tuple[str, ...], value: str) -> int | None:
    """Find the line of a key, or of what comes closest to it; of a string in its value if one is given.

    A search of the text, since no parser of TOML in the standard library tells places.
    """
    lines = text.split("\n")
    header: tuple[str, ...] = ()
    best, closeness = None, 0
    for number, line in enumerate(lines, 1):
        found = _LINE.match(line)
        if not found:
            continue
        here = tuple(key.strip("\"'") for key in re.findall(_KEY, found["keys"]))
        full = here if found["header"] else header + here
        if found["header"]:
            header = here
        common = min(len(full), len(keys))
        if full[:common] == keys[:common] and common > closeness:
            best, closeness = number, common
    if best and value:
        quoted = re.compile(f"[\"']{re.escape(value)}[\"']")
        return next((number for number, line in enumerate(lines[best - 1 :], best) if quoted.search(line)), best)
    return best


# --- values ------------------------------------------------------------------------------------------------------


class _Where(Protocol):
    """Knows where a value stands."""

    def error(self, keys: tuple[str, ...], message: str, value: str = "") -> ConfigError: ...


class _Checker(NamedTuple):
    """Checks values and gives them the types of the fields of `Config`; every method raises ConfigError."""

    where: _Where
    rules: Sequence[Rule]

    def checked(self, table: Mapping[str, object]) -> dict[str, Any]:
        """Check a table of ours; the result has the names of fields, and ``extend``."""
        values = {}
        for key, value in table.items():
            if key in USER_SECTIONS:  # read by the catalogue
                continue
            if key not in _CHECKS:
                raise self.where.error((key,), f"unknown key `{key}`{did_you_mean(key, (*_CHECKS, *USER_SECTIONS))}")
            values[key.replace("-", "_")] = _CHECKS[key](self, (key,), value)
        return values

    def typed(self, keys: tuple[str, ...], value: object, kind: type) -> Any:
        if type(value) is not kind:
            raise self.where.error(keys, f"`{keys[-1]}` must be {KINDS[kind]}, not {kind_of(value)}")
        return value

    def flag(self, keys: tuple[str, ...], value: object) -> bool:
        return bool(self.typed(keys, value, bool))

    def string(self, keys: tuple[str, ...], value: object) -> str:
        return str(self.typed(keys, value, str))

    def strings(self, keys: tuple[str, ...], value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise self.where.error(keys, f"`{keys[-1]}` must be an array of strings, not {kind_of(value)}")
        for item in value:
            if not isinstance(item, str):
                raise self.where.error(keys, f"`{keys[-1]}` must hold strings only, not {kind_of(item)}")
        return tuple(value)

    def frontend(self, keys: tuple[str, ...], value: object) -> str:
        return self._choice(keys, value, ("ast", "libcst"))

    def output_format(self, keys: tuple[str, ...], value: object) -> str:
        return self._choice(keys, value, ("full", "concise", "json"))

    def _choice(self, keys: tuple[str, ...], value: object, choices: Sequence[str]) -> str:
        if self.string(keys, value) not in choices:
            allowed = ", ".join(f"`{choice}`" for choice in choices)
            raise self.where.error(keys, f"`{keys[-1]}` must be one of {allowed}, not `{value}`")
        return str(value)

    def selectors(self, keys: tuple[str, ...], value: object) -> tuple[str, ...]:
        selectors = self.strings(keys, value)
        for selector in selectors:
            if selector != "ALL" and all(_specificity(rule, (selector,)) is None for rule in self.rules):
                raise self._unknown_rule(keys, selector)
        return selectors

    def per_file_ignores(self, keys: tuple[str, ...], value: object) -> dict[str, tuple[str, ...]]:
        table = self.typed(keys, value, dict)
        return {pattern: self.selectors((*keys, pattern), selectors) for pattern, selectors in table.items()}

    def rule_options(self, keys: tuple[str, ...], value: object) -> dict[str, dict[str, Any]]:
        options = {}
        for name, table in self.typed(keys, value, dict).items():
            rule = next((rule for rule in self.rules if name in (rule.code, rule.name)), None)
            if not rule:
                raise self._unknown_rule((*keys, name), name)
            options[rule.code] = self._options((*keys, name), rule, self.typed((*keys, name), table, dict))
        return options

    def _options(self, keys: tuple[str, ...], rule: Rule, table: Mapping[str, object]) -> dict[str, Any]:
        fields: Any = dataclasses.fields(rule.options) if rule.options else ()
        known = {item.name.replace("_", "-"): item for item in fields}
        options = {}
        for key, value in table.items():
            if key not in known:
                message = f"unknown option `{key}` of {rule.code}{did_you_mean(key, known)}"
                raise self.where.error((*keys, key), message)
            kind = type(known[key].default)
            check = self.strings if kind is tuple else lambda path, item, kind=kind: self.typed(path, item, kind)
            options[known[key].name] = check((*keys, key), value)
        return options

    def _unknown_rule(self, keys: tuple[str, ...], selector: str) -> ConfigError:
        known = [word for rule in self.rules for word in (rule.code, rule.name)]
        return self.where.error(keys, f"unknown rule `{selector}`{did_you_mean(selector, known)}", selector)


_CHECKS: Mapping[str, Callable[[_Checker, tuple[str, ...], object], Any]] = {
    "select": _Checker.selectors,
    "extend-select": _Checker.selectors,
    "ignore": _Checker.selectors,
    "per-file-ignores": _Checker.per_file_ignores,
    "preview": _Checker.flag,
    "exclude": _Checker.strings,
    "extend-exclude": _Checker.strings,
    "force-exclude": _Checker.flag,
    "src": _Checker.strings,
    "rules": _Checker.rule_options,
    "frontend": _Checker.frontend,
    "unsafe-fixes": _Checker.flag,
    "output-format": _Checker.output_format,
    "extend": _Checker.string,
}
