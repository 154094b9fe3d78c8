"""The catalogue against real packages: every path of the smoke group, and what was measured, measured again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from toollint.catalog.records import Acquisition, Effect, Resource, Tool, Type

ROOT = Path(__file__).resolve().parent.parent
NEWEST = pytest.mark.skipif(sys.version_info < (3, 11), reason="the pinned releases need Python 3.11")


def tool(name):
    """A module of `tools`, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command):
    return subprocess.run([sys.executable, *command], check=False, cwd=ROOT, capture_output=True, text=True)


@NEWEST
@pytest.mark.network
def test_every_path_of_the_smoke_group_is_as_the_catalogue_says():
    done = run("tools/catalogue.py", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 differences" in done.stdout


@NEWEST
@pytest.mark.network
def test_what_was_measured_still_holds():
    done = run("tools/measured.py")
    if done.stdout.startswith("skipped: "):
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 differences" in done.stdout


# --- a wrong row is a difference -----------------------------------------------------------------------------------

AS_KEY = {"hashable": True, "weakref": True, "eq_by_value": False}
POOL = {
    "is": "class",
    "members": {"close": "sync", "__exit__": "sync"},
    "pydantic": False,
    "instance": AS_KEY,
    "heir": AS_KEY,
}
FUNCTION = {"is": "function", "colour": "async", "manager": "", "positional": ["path"], "parameters": ["path", "keep"]}


def pool(**fields):
    return Resource("db.Pool", "db", "high", "judged", **{"release": "close", "with_": "releases", **fields})


def call(**fields):
    return Acquisition("db.connect", pool(), **{"kind": "function", "awaited": "yes", **fields})


@pytest.mark.parametrize(
    ("row", "facts", "difference"),
    [
        (pool(), POOL, ""),
        (pool(release="closeall"), POOL, "`closeall` is no method of it; it has close (sync), __exit__ (sync)"),
        (pool(others=("stop",)), POOL, "`stop` is no method of it"),
        (pool(async_=True), POOL, "write `async = false`"),
        (pool(with_="absent"), POOL, '`with` is "absent" but `__exit__` is there'),
        (pool(async_with="releases"), POOL, '`async-with` is "releases" but `__aexit__` is missing'),
        (pool(weakref=False), POOL, "write `weakref = true`"),
        (pool(hashable=False), POOL, "write `hashable = true`"),
        (pool(eq_by_value=True), POOL, "write `eq-by-value = false`"),
        (call(), FUNCTION, ""),
        (call(awaited="no"), FUNCTION, 'write `awaited = "yes"`'),
        (call(), {**FUNCTION, "colour": "sync"}, "is no coroutine function"),
        (call(), {**FUNCTION, "manager": "async"}, 'write `manager = "async"`'),
        (call(kind="constructor"), FUNCTION, "is no class"),
        (Type("db.Pool", closers=("close", "__exit__")), POOL, ""),
        (Type("db.Pool", closers=("close",)), POOL, "`closers` lacks __exit__"),
        (Type("db.Pool", closers=("close", "__exit__", "stop")), POOL, "closer `stop` is missing"),
        (Type("db.Pool", closers=("close", "__exit__"), async_closers=("close",)), POOL, "closer `close` is sync"),
        (Type("db.Pool", closers=("close", "__exit__"), pydantic=True), POOL, "write `pydantic = false`"),
        (Type("db.Pool"), FUNCTION, "is no class"),
        (Tool("db.tool", "db", "base", "nobody"), FUNCTION, '`kind` is "base" but it is a function'),
        (Tool("db.Tool", "db", "base", "nobody", reserved=("run",)), POOL, "names that the class does not: run"),
        (Effect("db.use", ("path",), owns=("keep",)), FUNCTION, ""),
        (Effect("db.use", ("file",)), FUNCTION, "the positional parameters are ['path']"),
        (Effect("db.use", (), owns=("pool",)), FUNCTION, "no such parameters: pool"),
    ],
)
def test_a_wrong_row_is_a_difference(row, facts, difference):
    found = list(tool("judge").differences(row, facts))
    assert len(found) == bool(difference)
    assert all(difference in each for each in found)
