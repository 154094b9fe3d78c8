"""TL102, TL109 and TL110 beyond their fixtures: how safe each fix is, and why it is held back."""

from __future__ import annotations

import sqlite3

import pytest
from fixture_format import FIXTURES

import toollint
from toollint.config import Config
from toollint.model import Safety

CODES = ("TL102", "TL109", "TL110")


@pytest.fixture(scope="module")
def fixes():
    """The one fix of each class in the single-file fixtures, by code and the class's name."""
    paths = [path for code in CODES for path in FIXTURES.glob(f"{code}_*/*.py") if ".fixed." not in path.name]
    found = {}
    for path in paths:
        for one in toollint.check(
            {"/project/it.py": path.read_bytes()}, Config(select=CODES, preview=True)
        ).diagnostics:
            found.update({(one.code, one.symbol.partition(".")[0]): fix for fix in one.fixes})
    return found


@pytest.mark.parametrize(
    ("code", "name", "safety", "why"),
    [
        ("TL102", "MissesTheLast", Safety.UNSAFE, "does more than before"),
        ("TL102", "CannotAwait", Safety.DISPLAY, "cannot await"),
        ("TL102", "OneOrTheOther", Safety.DISPLAY, "in different ways"),
        ("TL102", "ForgetsIt", Safety.DISPLAY, "forgets it before"),
        ("TL102", "StopsAndForgets", Safety.DISPLAY, "forgets it before"),
        ("TL102", "Waits", Safety.DISPLAY, "bring that about"),
        ("TL102", "Kills", Safety.DISPLAY, "forgets it before"),
        ("TL102", "Inherits", Safety.DISPLAY, "the base's"),
        ("TL102", "HoldsEntered", Safety.DISPLAY, "context manager"),
        ("TL109", "Connects", Safety.UNSAFE, "may close it too"),
        ("TL109", "Taken", Safety.DISPLAY, "means something else"),
        ("TL110", "InConstructor", Safety.SAFE, ""),
        ("TL110", "InAnotherMethod", Safety.UNSAFE, "opened later"),
        ("TL110", "ByDataclass", Safety.UNSAFE, "decorated"),
        ("TL110", "PublicField", Safety.UNSAFE, "passed the resource in"),
        ("TL110", "EmptyCloser", Safety.DISPLAY, "does nothing"),
        ("TL110", "ByName", Safety.UNSAFE, "passed the resource in"),
        ("TL110", "Wrapped", Safety.DISPLAY, "has no closer"),
        ("TL110", "Or", Safety.DISPLAY, "only a flag"),
        ("TL110", "Branches", Safety.DISPLAY, "only a flag"),
        ("TL110", "TakenNames", Safety.DISPLAY, "means something else"),
        ("TL110", "Frozen", Safety.DISPLAY, "frozen"),
        ("TL110", "FrozenWithPlain", Safety.UNSAFE, "decorated"),
        ("TL110", "Server", Safety.DISPLAY, "bring that about"),
    ],
)
def test_safety(fixes, code, name, safety, why):
    fix = fixes[code, name]
    assert fix.safety is safety
    assert why in fix.why
    assert bool(fix.why) == (safety is not Safety.SAFE)
    assert bool(fix.recipe) == (safety is Safety.DISPLAY)
    assert bool(fix.edits) == (safety is not Safety.DISPLAY)


def test_the_closer_of_what_may_be_given_asks_a_flag(fixes):
    lines = fixes["TL110", "Or"].recipe.splitlines()
    assert lines[0].startswith("self._owns_client = ")
    assert lines[lines.index("    if self._owns_client:") + 1] == "        self._client.close()"


HOLDERS = """
import functools
import sqlite3


class Part:
    def __init__(self):
        self._db = sqlite3.connect(":memory:")

    def close(self):
        self._db.execute("select 1")
        self._db.close()


class Declared:
    def __init__(self):
        self._db = None

    def open(self):
        self._db = sqlite3.connect(":memory:")
{closer}

class Undeclared:
    def open(self):
        self._db = sqlite3.connect(":memory:")
{closer}

class Cached:
    def open(self):
        return self.db

    @functools.cached_property
    def db(self):
        return sqlite3.connect(":memory:")
{closer}

class Several:
    def __init__(self):
        self._part = Part()
        self._db = sqlite3.connect(":memory:")

    def open(self):
        self._late = sqlite3.connect(":memory:")
{closer}
"""
CLOSER = """
    def close(self):
        self.closed = True

    def __del__(self):
        self.close()
"""


@pytest.mark.parametrize("closer", ["", CLOSER])
@pytest.mark.parametrize("name", ["Declared", "Undeclared", "Cached", "Several"])
def test_what_is_written_may_run_twice_and_before_anything_is_opened(tmp_path, name, closer):
    """The closer closes whatever is open, once; unopened, reopened and, where `__del__` calls it, half-made objects."""
    path = tmp_path / "it.py"
    path.write_text(HOLDERS.format(closer=closer))
    report = toollint.fix([path], Config(select=CODES, preview=True, unsafe_fixes=True))
    assert sum(report.fixed[str(path)].values()) == 4
    made = {}
    exec(compile(path.read_text(), str(path), "exec"), made)
    if closer:
        made[name].__new__(made[name]).close()
    made[name]().close()
    one = made[name]()
    for _ in range(2):
        one.open()
        opened = [held for held in vars(one).values() if isinstance(held, sqlite3.Connection)]
        assert opened
        one.close()
        one.close()
        for connection in opened:
            with pytest.raises(sqlite3.ProgrammingError):
                connection.execute("select 1")
