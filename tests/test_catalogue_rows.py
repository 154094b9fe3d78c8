"""Every row of the catalogue does its work in the rules: code is generated from it, and the rules judge that code.

TL101 for each call that acquires a resource, TL301 for each type that may be a key. The tables of counts say how many
rows are tried and why the others are not; they change with the catalogue.
"""

from __future__ import annotations

from collections import Counter

import pytest

import toollint
from toollint.catalog import load
from toollint.config import Config
from toollint.model import Safety

CALLS_COUNTED = {
    "tried, with a plain release": 277,
    "tried, with a release to await": 120,
    "of low weight, or holds nothing": 156,
    "gives a context manager": 32,
    "gives a tuple": 18,
    "has no release": 20,
    "only a context manager releases": 12,
    "an exit stack: somebody has thought of it": 2,
}
KEYS_COUNTED = {
    "graph": {"a fix": 32, "no fix": 2, "unhashable": 8},
    "tool": {"a fix": 129, "unhashable": 165, "a resource": 4},
    "agent": {"a fix": 44, "no fix": 5, "unhashable": 11},
    "session": {"a fix": 38, "unhashable": 9, "a resource": 12},
}
"""How many types of each kind TL301 reports as keys with and without a fix, and how many are not tried: objects that
cannot be keys, and resources, which are the business of other rules."""

CATALOG = load()
ROOT = "/catalogue"


def canonical(section):
    """The names of the rows of a section, without aliases."""
    return sorted(name for name in CATALOG.names(section) if CATALOG.find(section, name)[0] == name)


def check(texts, rule):
    """What a rule reports, by the number of the text."""
    files = {f"{ROOT}/case_{number}.py": text for number, text in enumerate(texts)}
    report = toollint.check(files, Config(select=(rule,), rules={"TL101": {"llm_clients": True}}))
    found = {number: [] for number in range(len(texts))}
    for diagnostic in report.diagnostics:
        found[int(diagnostic.path.rpartition("_")[2].removesuffix(".py"))].append(diagnostic)
    return found


# --- TL101: a tool that keeps what the call gives -----------------------------------------------------------------

TOOL = """
from langchain_core.tools import BaseTool
{imports}

class CaseTool(BaseTool):
    name: str = "case"
    description: str = "a case"

    {method}
        {before}
        self._held = {call}

    def _run(self) -> str:
        return str(self._held)
"""
CONSTRUCTOR = "def __init__(self, source: {owner}) -> None:", "super().__init__()"
LATE = "async def open(self, source: {owner}) -> None:", "await self.ready()"
CLOSER = """
    {color}def {verb}(self) -> None:
        {release}
"""


def untried(call):
    """Why TL101 has nothing to say about a call, empty if it has."""
    if call.resource.weight not in {"high", "medium"}:
        return "of low weight, or holds nothing"
    if call.name.startswith("contextlib."):
        return "an exit stack: somebody has thought of it"
    if call.manager:
        return "gives a context manager"
    if call.element is not None:
        return "gives a tuple"
    if not call.resource.release:
        exits = "releases" in (call.resource.with_, call.resource.async_with)
        return "only a context manager releases" if exits else "has no release"
    return ""


def spelling(call):
    """The call as an expression, and the class of the object that it is a method of."""
    arguments = f"{call.when}=True" if call.when else ""
    owner, _, name = call.name.rpartition(".")
    if call.name.startswith("builtins."):
        return f"{name}({arguments})", "object"
    if call.kind == "method":
        return f"source.{name}({arguments})", owner
    return f"{call.name}({arguments})", "object"


def tool(call):
    """A tool class that builds and keeps a resource."""
    expression, owner = spelling(call)
    method, before = CONSTRUCTOR if call.awaited == "no" else LATE
    return TOOL.format(
        imports="\n".join(
            f"import {name.partition('.')[0]}" for name in (call.name, call.resource.release) if "." in name
        ),
        method=method.format(owner=owner),
        before=before,
        call=expression if call.awaited == "no" else f"await {expression}",
    )


def release(call):
    """The statement that releases what the tool keeps, by the catalogue."""
    verb, wait = call.resource.release, "await " if call.resource.async_ else ""
    return f"{wait}{verb}(self._held)" if "." in verb else f"{wait}self._held.{verb}()"


def mended(call):
    """The same class with a closer."""
    color, verb = ("async ", "aclose") if call.resource.async_ else ("", "close")
    return tool(call) + CLOSER.format(color=color, verb=verb, release=release(call))


CALLS = [CATALOG.acquisition(name) for name in canonical("acquire")]
TRIED = [call for call in CALLS if not untried(call)]


@pytest.fixture(scope="module")
def reported():
    """What TL101 reports of each tool, by its number."""
    return check([tool(call) for call in TRIED], "TL101")


def test_calls_counted():
    colors = {True: "tried, with a release to await", False: "tried, with a plain release"}
    assert Counter(untried(call) or colors[call.resource.async_] for call in CALLS) == CALLS_COUNTED


def test_a_tool_that_keeps_a_resource_is_reported(reported):
    assert [call.name for number, call in enumerate(TRIED) if len(reported[number]) != 1] == []


def test_the_fix_releases_it_as_the_catalogue_says(reported):
    """A release that waits for an end, or fails before it, is shown, not applied: something has to bring it about."""
    wrong = []
    for number, call in enumerate(TRIED):
        if call.resource.release in {"wait", "join"} or call.resource.stopped_by:
            wrong += [(call.name, "applied") for one in reported[number] for fix in one.fixes if fix.edits]
            continue
        text = "".join(edit.content for one in reported[number] for fix in one.fixes for edit in fix.edits)
        head, _, tail = release(call).partition("self._held")  # `held` where the fix takes it out of `self` first
        if not any(f"{head}{value}{tail}" in text for value in ("self._held", "held")):
            wrong.append((call.name, text))
    assert wrong == []


def test_the_mended_tool_is_silent():
    found = check([mended(call) for call in TRIED], "TL101")
    assert [TRIED[number].name for number, diagnostics in found.items() if diagnostics] == []


# --- TL301: a dict keyed on the type --------------------------------------------------------------------------------

TABLE = """
import {root}

SEEN_{slug}: dict[{name}, int] = {{}}


def count_{slug}(key: {name}) -> int:
    SEEN_{slug}[key] = SEEN_{slug}.get(key, 0) + 1
    return SEEN_{slug}[key]
"""
KINDS = ("graph", "tool", "agent", "session")


def table(kind):
    """A module that counts calls by an object of the type, under names that no other module mentions."""
    return TABLE.format(root=kind.name.partition(".")[0], name=kind.name, slug=kind.name.replace(".", "_"))


def outcome(kind):
    """What TL301 has to say about a dict keyed on a type."""
    if CATALOG.resource(kind.name) is not None:
        return "a resource"
    if not kind.hashable:
        return "unhashable"
    return "a fix" if kind.weak_key_safe else "no fix"


KEYS = [kind for kind in map(CATALOG.base, canonical("type")) if kind.kind in KINDS]
HASHABLE = [kind for kind in KEYS if outcome(kind) in {"a fix", "no fix"}]


def test_keys_counted():
    assert {kind: Counter(outcome(key) for key in KEYS if key.kind == kind) for kind in KINDS} == KEYS_COUNTED


def test_a_dict_keyed_on_the_type_is_reported_and_fixed_where_weak_keys_are_safe():
    found = check([table(kind) for kind in HASHABLE], "TL301")
    wrong = []
    for number, kind in enumerate(HASHABLE):
        safeties = [[fix.safety for fix in one.fixes] for one in found[number] if one.code == "TL301"]
        if safeties != [[Safety.UNSAFE if kind.weak_key_safe else Safety.DISPLAY]]:
            wrong.append((kind.name, kind.kind, safeties))
    assert wrong == []
