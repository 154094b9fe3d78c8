"""What the catalogue knows of a name: in words for a terminal, or as JSON."""

from __future__ import annotations

import difflib
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from toollint.catalog.records import RECORDS, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from toollint.catalog import Catalog
    from toollint.output.terminal import Look

SHIPPED = "toollint/catalog/"
"""The folder of the tables that ship."""

_WIDTH = 100
_LABEL = 15
_SHOWN = 8
"""How many items of a long list are shown."""
_NEAR = 5

Fact: TypeAlias = tuple[str, str]
"""A label and what it says; one without a text is not shown."""

Part: TypeAlias = tuple[str, list[Fact]]
"""A headline and its facts."""


class Entry(NamedTuple):
    """A row: its section, its own name, every key of the section with its value, other names, files that say so."""

    section: str
    name: str
    row: dict[str, Any]
    aliases: Sequence[str]
    tables: Sequence[str]


Rows: TypeAlias = "Mapping[str, Entry]"
"""The rows of a name by section."""


def entries(catalog: Catalog, name: str) -> list[Entry]:
    """Every row of a name, and that of the resource which a call of it acquires; none for an unknown name."""
    acquisition = catalog.acquisition(name)
    names = dict.fromkeys(("acquire", *RECORDS), name)
    if acquisition is not None:
        names["resource"] = acquisition.resource.name
    return [_entry(catalog, section, *found) for section in names if (found := catalog.find(section, names[section]))]


def _entry(catalog: Catalog, section: str, name: str, fields: dict[str, Any]) -> Entry:
    record = RECORDS[section](name, **fields)
    row = {key_of(field): value for field, value in record._asdict().items() if field != "name"}
    if section == "resource":
        row |= {"acquired-by": catalog.calls(name), "is-class": catalog.base(name) is not None}
    tables = [table if Path(table).is_absolute() else f"{SHIPPED}{table}" for table in catalog.tables(section, name)]
    return Entry(section, name, row, catalog.aliases(section, name), tables)


def near(catalog: Catalog, name: str) -> list[str]:
    """Known names that may have been meant: longer ones with the same end or beginning, else similar ones."""
    known = sorted({each for section in RECORDS for each in catalog.names(section)})
    within = [each for each in known if each.endswith(f".{name}") or each.startswith(f"{name}.")]
    within.sort(key=lambda each: (not each.startswith("builtins."), len(each)))
    return within[:_NEAR] or difflib.get_close_matches(name, known, _NEAR, 0.75)


def data(name: str, found: Sequence[Entry]) -> dict[str, Any]:
    """The rows of a name as a JSON object; docs/catalogue.md and the keys of the tables explain it."""
    return {
        "name": name,
        "entries": [
            {
                "section": entry.section,
                "name": entry.name,
                "aliases": entry.aliases,
                **entry.row,
                "tables": entry.tables,
            }
            for entry in found
        ],
    }


def page(name: str, found: Sequence[Entry], look: Look) -> str:
    """The rows of a name as text: what it is and does, section by section, then who says so."""
    rows = {entry.section: entry for entry in found}
    parts = [part(name, rows) for sections, part in _PARTS if not sections.isdisjoint(rows)]
    lines = [look.paint("bold", name)]
    for headline, facts in [part for part in parts if part]:
        lines += [headline, *_facts(facts, look)]
    return "\n".join([*lines, *_facts(_origins(name, found, look), look), ""])


def _facts(facts: Sequence[Fact], look: Look) -> Iterator[str]:
    for label, text in facts:
        lines = textwrap.wrap(text, _WIDTH - _LABEL - 2, break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(lines):
            shown = "" if number else label
            yield f"  {look.paint('dim', shown)}{' ' * (_LABEL - len(shown))}{line}"


def _origins(name: str, found: Sequence[Entry], look: Look) -> list[Fact]:
    """Notes, other names, evidence and files of all rows, each said once."""
    own = [entry for entry in found if name in {entry.name, *entry.aliases}]
    said = {name, *(call for entry in own for call in entry.row.get("acquired-by", ()))}
    others = _unique(each for entry in own for each in (entry.name, *entry.aliases) if each not in said)
    evidence = _unique(entry.row.get("evidence", "") for entry in found)
    return [
        *[("note", text) for text in _unique(entry.row.get("note", "") for entry in found)],
        ("also named", _list(others)),
        ("evidence", "; ".join(text for text in evidence if not any(_adds(other, text) for other in evidence))),
        ("from", _sources(_unique(table for entry in found for table in entry.tables), look)),
    ]


def _adds(other: str, text: str) -> bool:
    return other != text and other.startswith(text)


def _sources(tables: Sequence[str], look: Look) -> str:
    own = [look.path(table) for table in tables if Path(table).is_absolute()]
    shipped = [table for table in tables if not Path(table).is_absolute()]
    return " over ".join(", ".join(part) for part in (own, shipped) if part)


def _unique(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _list(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _methods(names: Sequence[str]) -> str:
    return _list([f"{name}()" for name in names])


# --- one part for each subject ----------------------------------------------------------------------------------------


def _resource(name: str, rows: Rows) -> Part:
    resource, call = rows["resource"], rows.get("acquire")
    what = f"a resource ({resource.row['category']})"
    if call is None:
        headline = f"{what.capitalize()}."
    elif call.name == resource.name and resource.row["is-class"]:
        headline = f"{what.capitalize()}: whoever constructs it has to release it."
    else:
        headline = _GIVES[call.row["manager"]].format(f"{resource.name}, {what}" if resource.row["is-class"] else what)
    own = name in {resource.name, *resource.aliases}
    calls = [each for each in resource.row["acquired-by"] if own and each != name]
    return headline, [("acquired by", _list(calls)), *_of_call(call), *_of_resource(resource.row, call)]


_GIVES = {
    "": "Gives {}.",
    "sync": "Gives a context manager, which gives {}.",
    "async": "Gives an async context manager, which gives {}.",
}


def _of_call(call: Entry | None) -> list[Fact]:
    if call is None:
        return []
    row = call.row
    return [
        ("only with", row["when"]),
        ("in its result", _element(row["element"])),
        (
            "awaited",
            {"no": "", "either": "or not: the call gives an awaitable object", "yes": "always"}[row["awaited"]],
        ),
        ("opened", {None: "", True: "by its first use", False: "by the call itself"}[row["lazy"]]),
    ]


def _element(element: int | str | None) -> str:
    if element is None:
        return ""
    return "as each item" if element == "*" else f"as item {element!r}"


_LEAKS = {
    "open after gc": "stays open, even after a full gc pass",
    "freed by full gc pass": "closed only by a full gc pass",
    "freed by refcount": "closed with the last reference",
    "unknown": "",
}
_WEIGHTS = {
    "high": "high: a tool that never releases it is reported (TL101)",
    "medium": "medium: a tool that never releases it is reported (TL101)",
    "low": "low: too slight to be reported in a tool",
    "none": "none: it holds nothing and is never reported",
}
_LLM_WEIGHT = "a tool that never releases it is reported with TL101's option `llm-clients`"
_BLOCKS = {
    "releases": "releases it",
    "keeps": "leaves it open",
    "raises": "raises",
    "absent": "",
}


def _of_resource(row: dict[str, Any], call: Entry | None) -> list[Fact]:
    managed = call is not None and call.row["manager"] != ""
    return [
        ("release", "by leaving the block" if managed else _release(row)),
        ("or else", _methods(row["others"])),
        ("before that", f"{row['stopped-by']}(): while it runs the release raises" if row["stopped-by"] else ""),
        ("read out", f"it holds nothing after {', '.join(_ends(row))}" if [*_ends(row)] else ""),
        ("never", f"{_methods(row['never'])}: no release, whatever it sounds like" if row["never"] else ""),
        ("with", _BLOCKS[row["with"]]),
        ("async with", _BLOCKS[row["async-with"]]),
        ("entering", "" if row["yields"] == "self" else f"gives something else: {row['yields']}"),
        ("if dropped", _LEAKS[row["leak"]]),
        ("event loop", "belongs to the one that used it first" if row["loop-bound"] else ""),
        ("weight", _LLM_WEIGHT if row["category"] == "llm" else _WEIGHTS[row["weight"]]),
        ("in caches", _in_caches(row)),
        ("deprecated", row["deprecated"]),
    ]


def _ends(row: dict[str, Any]) -> Iterator[str]:
    """What reads it to its end."""
    yield from row["drained-by"]
    yield from ("a loop over it" if one == "__iter__" else f"a loop over {one}()" for one in row["looped-by"])


def _release(row: dict[str, Any]) -> str:
    verb = row["release"]
    if not verb:
        blocks = "releases" in {row["with"], row["async-with"]}
        return "by leaving its block" if blocks else "none that is known"
    call = f"{verb}(x)" if "." in verb else f"{verb}()"
    again = {"ok": ", may be called again", "raises": ", raises when called again", "unknown": ""}[row["second-close"]]
    return f"{'await ' if row['async'] else ''}{call}{again}"


def _in_caches(row: dict[str, Any]) -> str:
    """Which weak container takes an object of a class."""
    if not row["weakref"]:
        return "cannot be held weakly"
    if not row["hashable"]:
        return "a WeakValueDictionary takes it; it is no key: not hashable"
    if row["eq-by-value"]:
        return "a WeakValueDictionary takes it; no weak key: compared by value"
    return "a WeakKeyDictionary and a WeakValueDictionary take it"


_KINDS = {
    "": "a class that a subclass may build on",
    "tool": "a tool",
    "agent": "an agent",
    "graph": "a graph",
    "session": "a session",
    "runnable": "a runnable",
    "resource": "the class of a resource",
    "model": "a model",
    "component": "a part of an agent",
    "callable": "a callable, which may hold what it closes over",
    "answer": "what a model answered",
}


def _class(_name: str, rows: Rows) -> Part | None:
    """A class, and a tool that is none; nothing to say where other parts say it all."""
    tool, cls = rows.get("tool"), rows.get("type")
    if tool is not None:
        return _tool(tool, cls)
    if cls is None or (len(rows) > 1 and cls.row["kind"] in {"", "resource"}):
        return None
    role = f" ({cls.row['role']})" if cls.row["role"] not in {"", cls.row["kind"]} else ""
    kind = f"{_KINDS[cls.row['kind']]}{role}."
    return (f"Also {kind}", []) if "resource" in rows else (kind.capitalize(), _of_class(cls.row))


def _of_class(row: dict[str, Any]) -> list[Fact]:
    return [
        ("closers", _methods(row["closers"]) or "none: a subclass that acquires has to bring its own"),
        ("to await", _methods(row["async-closers"])),
        ("empty", f"{_methods(row['empty-closers'])}: nothing is released there" if row["empty-closers"] else ""),
        ("pydantic", "fields must be declared" if row["pydantic"] else ""),
        ("if dropped", _FREED[row["frees"]]),
        ("in caches", _in_caches(row) if row["kind"] else ""),
        ("since", row["since"]),
        ("until", row["until"]),
    ]


_FREED = {
    "refcount": "goes with the last reference",
    "gc": "goes with a gc pass",
    "never": "never goes",
    "unknown": "",
}
_TOOLS = {
    "base": "A base class of the tools",
    "class": "A class of tools",
    "decorator": "A decorator that makes tools",
    "factory": "A function that makes tools",
    "toolkit": "A base class of the toolkits",
    "holder": "A holder of tools",
}


def _tool(tool: Entry, cls: Entry | None) -> Part:
    row = tool.row
    called = "called" if row["called"] else "never called"
    return f"{_TOOLS[row['kind']]} of {row['framework']}.", [
        ("who closes", row["caller"]),
        ("hooks", f"{_methods(row['hooks'])}: {called} by the framework" if row["hooks"] else ""),
        ("new closers", {"any": "", "sync": "must be plain methods", "async": "must be async"}[row["closer"]]),
        ("gives", row["returns"]),
        ("reserved", f"{_list(row['reserved'])}: a fix defines none of them" if row["reserved"] else ""),
        *(_of_class(cls.row) if cls else []),
    ]


def _returns(_name: str, rows: Rows) -> Part:
    row = rows["returns"].row
    return f"Gives {row['type']}{', awaited' if row['awaited'] else ''}.", []


def _memoizer(_name: str, rows: Rows) -> Part:
    row = rows["memoizer"].row
    keeps = {
        "all": "the arguments and results of the function under it",
        "results": "the results of the function under it, not its arguments",
        "nothing": "nothing alive: copies, or entries that expire",
    }[row["keeps"]]
    name = rows["memoizer"].name.rpartition(".")[2]
    forms = {"bare": f"@{name}", "called": f"@{name}(...)", "both": f"@{name} or @{name}(...)"}
    store = f"as the container that `{row['store']}` brings" if row["store"] else ""
    return "A memoizer: calls of what it decorates are remembered.", [
        ("written", forms[row["form"]]),
        ("keeps", keeps),
        ("bound", store or _entries(row["bound"])),
        ("on a method", "the cache goes with its object" if row["per-instance"] else "keeps self"),
        ("ruff", "knows it too (B019)" if row["ruff"] else ""),
    ]


def _memoized(_name: str, rows: Rows) -> Part:
    row = rows["memoized"].row
    return "A function that remembers what it was called with.", [
        ("keeps", row["keeps"]),
        ("bound", _entries(row["bound"])),
    ]


def _entries(bound: int | None) -> str:
    return "none: it grows with every new call" if bound is None else f"{bound} entries, unless told otherwise"


def _container(_name: str, rows: Rows) -> Part:
    row = rows["container"].row
    bounds = {"always": "always", "never": "none: it keeps what it is given"}
    bound = bounds.get(row["bound"], f"only where `{row['bound']}` is set")
    return f"A container ({row['shape']}).", [
        ("bound", "" if row["weak"] else bound),
        ("weakly held", f"its {row['weak']}: an entry goes when they do" if row["weak"] else ""),
        ("expiry", "entries go after a time" if row["expires"] else ""),
    ]


def _effect(_name: str, rows: Rows) -> Part:
    row = rows["effect"].row
    return "What becomes of its arguments:", [
        ("taken over", f"{_list(row['owns'])}: the call sees to the release" if row["owns"] else ""),
        ("kept", f"{_list(row['retains'])}: as long as the result lives" if row["retains"] else ""),
        ("borrowed", f"{_list(row['borrows'])}: only while the call runs" if row["borrows"] else ""),
        ("registered", f"{_list(row['registers'])}: for the whole process" if row["registers"] else ""),
        ("each call", _growth(row) if row["grows"] else ""),
        ("by position", _list(row["params"])),
    ]


def _growth(row: dict[str, Any]) -> str:
    what = f"adds {'what it decorates' if row['decorates'] else 'another listener'}"
    twice = ", the same one again too" if row["twice"] else ""
    return f"{what}{twice}; taken out by {_list(row['undo']) or 'nothing'}"


def _handler(_name: str, rows: Rows) -> Part:
    row = rows["handler"].row
    return "A handler, tracer or exporter: make one, not one for each call.", [
        ("starts", row["starts"]),
        ("keeps", row["keeps"]),
        ("shared", f"between objects with the same {_list(row['by'])}" if row["by"] else ""),
        ("nothing", f"where `{row['unless']}` is given" if row["unless"] else ""),
    ]


def _entry_point(_name: str, rows: Rows) -> Part:
    row = rows["entry"].row
    return f"An entry point: a {row['role']} runs once for each {row['event']}.", [
        ("functions", _list(row["runs"])),
        ("methods", _list(row["methods"])),
    ]


def _loop_runner(_name: str, rows: Rows) -> Part:
    taken = {"coroutine": "the coroutine", "function": "the coroutine function"}[rows["runner"].row["takes"]]
    return f"Makes an event loop, runs {taken} that it is given on it, and closes the loop.", []


_PARTS: Sequence[tuple[set[str], Callable[[str, Rows], Part | None]]] = (
    ({"resource"}, _resource),
    ({"tool", "type"}, _class),
    ({"returns"}, _returns),
    ({"memoizer"}, _memoizer),
    ({"memoized"}, _memoized),
    ({"container"}, _container),
    ({"effect"}, _effect),
    ({"handler"}, _handler),
    ({"entry"}, _entry_point),
    ({"runner"}, _loop_runner),
)
"""Which sections a part is about, and what it makes of the rows of a name; the order is that of the page."""
