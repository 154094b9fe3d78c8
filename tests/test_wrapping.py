"""Fixes of lost resources against the truth: what is mended runs as before on every path, and leaves nothing open.

Programs are drawn, mended, and both run with the same outcomes of whatever they cannot know: tests, lengths of loops,
failures at any call. They must do the same in the same order and end the same way; what was left open may only get
less, a resource that is closed must not be used, and an end that nobody asked for (a commit) must not come.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import textwrap
import types

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import toollint
from toollint.catalog import load
from toollint.catalog.compile import extend
from toollint.config import Config
from toollint.model import Safety

PROGRAMS = int(os.environ.get("TOOLLINT_PROGRAMS", "0"))
SETTINGS = settings(
    max_examples=PROGRAMS or 60,
    derandomize=not PROGRAMS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
MOST_RUNS = 200
MOST_CHOICES = 14


def _row(call, release="close", **more):
    return {"acquire": [{"call": call, "lazy": False}], "release": release, "weight": "high", **more}


OWN = {"with": "releases", "with-evidence": "measured"}
FAKE = {
    "resources": {
        "fake.OwnClient": _row("fake.own", **OWN),
        "fake.CommitsConnection": {**_row("fake.commits", **OWN), "with-commits": True},
        "fake.Bare": _row("fake.bare"),
        "fake.Other": _row("fake.other", "dispose"),
        "fake.Waits": {
            "acquire": [{"call": "fake.waits", "lazy": False, "awaited": "yes"}],
            "release": "close",
            "async": True,
            "weight": "high",
            "async-with": "releases",
            "with-evidence": "measured",
        },
        "fake.Bidden": {
            "acquire": [{"call": "fake.bidden", "lazy": False, "awaited": "yes"}],
            "release": "aclose",
            "async": True,
            "weight": "high",
        },
    }
}
CONFIG = Config(
    select=("TL404", "TL413"),
    preview=True,
    unsafe_fixes=True,
    catalogue=(extend(load(), FAKE, "test"),),
)
MAKERS = {"own": "close", "commits": "close", "bare": "close", "other": "dispose"}


# --- the world that programs run in ----------------------------------------------------------------------------------


class OverError(Exception):
    """A path has more choices than are tried."""


class World:
    """Answers what a program asks by a list of choices, and writes down what it does."""

    def __init__(self, choices):
        self.choices = choices
        self.asked = 0
        self.trace = []
        self.opened = []

    def choose(self):
        self.asked += 1
        if self.asked > MOST_CHOICES:
            raise OverError
        return self.choices[self.asked - 1] if self.asked <= len(self.choices) else False

    def may_fail(self, word):
        self.trace.append(word)
        if self.choose():
            self.trace.append("fails")
            raise ValueError(word)

    def module(self):
        made = types.ModuleType("fake")
        for name, release in MAKERS.items():
            setattr(made, name, lambda name=name, release=release: self.open(name, release))
        for name in ("waits", "bidden"):
            setattr(made, name, lambda name=name: self.open_later(name))
        made.flag, made.items, made.work = self.flag, self.items, lambda: self.may_fail("work")
        return made

    def flag(self):
        return self.choose()

    def items(self):
        return range(self.choose() + self.choose())

    def open(self, name, release):
        self.may_fail("open")
        kind = types.new_class(name, (Resource,), {}, lambda body: body.update({release: Resource.end}))
        if name in {"own", "commits"}:
            kind.__enter__, kind.__exit__ = Resource.enter, Resource.leave
        return kind(self, commits=name == "commits")

    async def open_later(self, name):
        self.may_fail("open")
        release = "close" if name == "waits" else "aclose"
        kind = types.new_class(name, (Resource,), {}, lambda body: body.update({release: Resource.end_later}))
        if name == "waits":
            kind.__aenter__, kind.__aexit__ = Resource.enter_later, Resource.leave_later
        return kind(self, commits=False)


class Resource:
    """A resource that knows whether it is open."""

    def __init__(self, world, *, commits):
        self.world = world
        self.commits = commits
        self.is_open = True
        world.opened.append(self)

    def use(self):
        assert self.is_open, "used after its end"
        self.world.may_fail("use")

    def read(self):
        self.use()
        return 7

    def cursor(self):
        self.use()
        return Cursor(self)

    def end(self):
        self.world.trace.append("end")
        self.is_open = False

    def enter(self):
        return self

    def leave(self, kind, *_):
        if self.commits and kind is None:
            self.world.trace.append("commit")
        self.end()

    async def end_later(self):
        self.end()

    async def enter_later(self):
        return self

    async def leave_later(self, *exc):
        self.leave(*exc)


class Cursor:
    """Something that needs its resource open."""

    def __init__(self, resource):
        self.resource = resource

    def fetchone(self):
        return self.resource.read()


class Run:
    """One run: what it did, how it ended, what it left open."""

    def __init__(self, text, choices):
        self.world = World(choices)
        modules = {**sys.modules}
        sys.modules["fake"] = self.world.module()
        try:
            made = {"kept": []}
            exec(compile(text, "it.py", "exec"), made)
            with contextlib.redirect_stdout(None):
                self.end = self._end(made["task"])
        finally:
            sys.modules.clear()
            sys.modules.update(modules)
        self.trace = self.world.trace
        self.plain = [word for word in self.trace if word != "end"]
        self.left = sum(one.is_open for one in self.world.opened)

    def _end(self, task):
        try:
            value = task()
            if asyncio.iscoroutine(value):
                value = asyncio.run(value)
            if isinstance(value, types.GeneratorType):
                value = [*value]
            return ("value", value.fetchone() if isinstance(value, Cursor) else value)
        except (OverError, AssertionError):
            raise
        except Exception as error:  # noqa: BLE001
            return ("error", type(error).__name__)


def runs(before, after):
    """Both programs on every path: pairs of runs with the same choices."""
    pending, count = [[]], 0
    while pending and count < MOST_RUNS:
        choices = pending.pop()
        count += 1
        try:
            old = Run(before, choices)
        except (OverError, AssertionError):  # what uses a closed resource is not ours to keep
            continue
        try:
            pair = old, Run(after, choices)
        except OverError:
            continue
        yield pair
        asked = min(max(one.world.asked for one in pair), MOST_CHOICES)
        pending += [[*choices, *[False] * (more - len(choices)), True] for more in range(len(choices), asked)]


def compare(before, after, *, safe):
    """That a mended program does what it did, and leaves no more open; whether it leaves less."""
    less = False
    for old, new in runs(before, after):
        assert new.end == old.end
        assert new.plain == old.plain
        assert new.left <= old.left
        less |= new.left < old.left
        if safe and "fails" not in old.trace and old.end[0] == "value":
            assert new.trace == old.trace
    return less


def mended(tmp_path, text):
    """The text after its fixes, and whether these were all safe; None where there was none."""
    path = tmp_path / "it.py"
    path.write_text(text)
    found = toollint.check({str(path): text.encode()}, CONFIG).diagnostics
    safe = all(fix.safety is Safety.SAFE for one in found for fix in one.fixes)
    report = toollint.fix([path], CONFIG)
    return (path.read_text(), safe) if report.fixed else None


# --- programs that are drawn -----------------------------------------------------------------------------------------

HEAD = "from contextlib import suppress\n\nfrom fake import bare, commits, flag, items, other, own, work\n\n\n"
SIMPLE = [
    *["work()", "a.use()", "n = a.read()", "a.{close}()"] * 3,
    *(
        "a.{close}()\nreturn",
        "a.{close}()\nreturn n",
        "return n",
        "return a.read()",
        "c = a.cursor()",
        "n = c.fetchone()",
    ),
    *(
        "return c",
        "raise KeyError",
        "a = None",
        "a = {make}()",
        "# a comment",
        "",
        'n = """\nlines\n"""',
        "kept.append(c)",
    ),
    *("n = [a.read() for i in items()]", "n = sum(a.read() for i in items())", "print(n)", "a.use()  # why"),
]
JUMPS = ["break", "continue", "a.{close}()\nbreak", "a.{close}()\ncontinue"]
HEADS = ["if flag():", "if n:", "if a:", "for i in items():", "with suppress(ValueError):", "if a is not None:"]
TRIED = [
    "try:\n{B}except ValueError:\n{B}",
    "try:\n{B}except ValueError:\n    a.{close}()\n    raise\n",
    "try:\n{B}finally:\n    a.{close}()\n",
    "try:\n{B}except ValueError:\n    work()\nfinally:\n    a.{close}()\n",
    "try:\n{B}except KeyError as error:\n    print(error)\n    a.{close}()\n    raise\n",
    "try:\n{B}finally:\n{B}",
]


@st.composite
def bodies(draw, make, depth=2, looping=False):
    """Some statements, as lines."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        form = draw(st.sampled_from(["simple", "simple", "headed", "tried"] if depth else ["simple"]))
        inner = bodies(make, depth - 1, looping)
        if form == "simple":
            text = draw(st.sampled_from([*SIMPLE, *JUMPS * 2] if looping else SIMPLE))
        elif form == "headed":
            head = draw(st.sampled_from(HEADS))
            body = draw(bodies(make, depth - 1, looping=looping or head.startswith("for")))
            text = f"{head}\n{body}"
        else:
            text = draw(st.sampled_from(TRIED))
            while "{B}" in text:
                text = text.replace("{B}", draw(inner), 1)
        lines.append(text.replace("{close}", MAKERS[make]).replace("{make}", make))
    block = "\n".join(line.rstrip("\n") for line in lines)
    return textwrap.indent(block if _does_something(block) else f"{block}\nwork()", "    ", _is_code) + "\n"


def _is_code(line):
    return line.strip() not in {"", "lines", '"""'}


def _does_something(block):
    return any(line and not line.startswith((" ", "#")) for line in block.split("\n"))


@st.composite
def programs(draw):
    make = draw(st.sampled_from(sorted(MAKERS)))
    before, after = draw(st.sampled_from(["", "if flag():\n", "for i in items():\n"])), draw(st.booleans())
    opening = f"    a = {make}()\n" + draw(bodies(make)) + (f"    a.{MAKERS[make]}()\n" if draw(st.booleans()) else "")
    inside = textwrap.indent(opening, "    ", _is_code) if before else opening
    tail = "    work()\n    return n\n" if after else ""
    return f"{HEAD}def task():\n    n = c = None\n" + (f"    {before}{inside}" if before else inside) + tail


@SETTINGS
@given(text=programs())
def test_a_mended_program_does_what_it_did(tmp_path_factory, text):
    try:
        compile(text, "it.py", "exec")
    except SyntaxError:
        assume(False)
    found = mended(tmp_path_factory.mktemp("it"), text)
    assume(found is not None)
    after, safe = found
    try:
        compare(text, after, safe=safe)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{text}\n----------\n{after}") from error


# --- programs that are written ---------------------------------------------------------------------------------------

WRITTEN = {
    "a gap before its try": """
        a = other()
        a.use()
        try:
            return a.read()
        finally:
            a.dispose()
    """,
    "a handler of the try that closes": """
        a = bare()
        a.use()
        try:
            a.use()
        except KeyError:
            return 1
        finally:
            a.close()
    """,
    "closed in the handler alone": """
        a = own()
        try:
            n = a.read()
            work()
        except KeyError:
            a.close()
            raise
        a.close()
        return n
    """,
    "closed in a handler that goes on": """
        a = other()
        try:
            n = a.read()
        except KeyError:
            n = 0
            a.dispose()
            return n
        a.dispose()
        work()
        return n
    """,
    "early": """
        a = commits()
        for i in items():
            if flag():
                a.close()
                return i
            a.use()
        a.close()
        work()
    """,
    "never": """
        a = commits()
        if flag():
            return a.cursor().fetchone()
        n = a.read()
        work()
        return n
    """,
    "in each round": """
        n = 0
        for i in items():
            a = own()
            n += a.read()
            if flag():
                continue
            a.close()
        return n
    """,
    "a generator": """
        a = bare()
        for i in items():
            yield a.read()
        a.close()
        work()
    """,
    "without a name": """
        n = own().read()
        work()
        return n
    """,
    "without a name, of another kind": """
        return commits().read()
    """,
    "just opened": """
        own()
        work()
    """,
}
AWAITED = {
    "its own": """
        a = await waits()
        n = a.read()
        work()
        await a.close()
        return n
    """,
    "by aclosing": """
        a = await bidden()
        if flag():
            await a.aclose()
            return 1
        n = a.read()
        await a.aclose()
        return n
    """,
    "in a finally": """
        a: object = await waits()
        a.use()
        await a.close()
        work()
    """,
}
ALL = "from fake import bare, bidden, commits, flag, items, other, own, waits, work\n\n\n"


@pytest.mark.parametrize("name", [*WRITTEN, *AWAITED])
def test_what_is_written(tmp_path, name):
    body = textwrap.indent(textwrap.dedent({**WRITTEN, **AWAITED}[name]).strip("\n"), "    ")
    text = f"{ALL}{'async ' if name in AWAITED else ''}def task():\n{body}\n"
    after, safe = mended(tmp_path, text)
    assert compare(text, after, safe=safe)


SQLITE = """
import sqlite3


def save(path, name):
    conn = sqlite3.connect(path)
    conn.execute("insert into users values (?)", (name,))
    conn.close()


def saved(path, name):
    conn = sqlite3.connect(path)
    conn.execute("insert into users values (?)", (name,))
    conn.commit()
    conn.close()
"""


def test_an_uncommitted_write_stays_uncommitted(tmp_path, monkeypatch):
    after, safe = mended(tmp_path, SQLITE)
    assert safe
    assert after.count("with closing(sqlite3.connect(path)) as conn:") == 2
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: opened.append(connect(path)) or opened[-1])
    path = tmp_path / "users.db"
    with contextlib.closing(connect(path)) as conn, conn:
        conn.execute("create table users (name text unique)")
    made = {}
    exec(compile(after, "it.py", "exec"), made)
    made["save"](path, "lost")
    made["saved"](path, "kept")
    with pytest.raises(sqlite3.IntegrityError):
        made["saved"](path, "kept")
    with contextlib.closing(connect(path)) as conn:
        assert conn.execute("select name from users").fetchall() == [("kept",)]
    assert len(opened) == 3
    for conn in opened:
        with pytest.raises(sqlite3.ProgrammingError):
            conn.total_changes  # noqa: B018


STACK = """
from contextlib import AsyncExitStack


class Client:
    async def connect(self, first, second):
        stack = AsyncExitStack()
        await stack.enter_async_context(first)
        await stack.enter_async_context(second)
        self.stack = stack


async def opened(first, second):
    stack = AsyncExitStack()
    await stack.enter_async_context(first)
    await stack.enter_async_context(second)
    return first, stack
"""


class Manager:
    """Counts how often it is open; entering may fail."""

    def __init__(self, *, fails=False):
        self.fails = fails
        self.open = 0

    async def __aenter__(self):
        if self.fails:
            raise OSError
        self.open += 1

    async def __aexit__(self, *exc):
        self.open -= 1


@pytest.mark.parametrize("way", ["stored", "returned"])
def test_a_stack_is_emptied_when_all_is_open(tmp_path, way):
    path = tmp_path / "it.py"
    path.write_text(STACK)
    report = toollint.fix([path], Config(select=("TL408",), preview=True, unsafe_fixes=True))
    assert sum(report.fixed[str(path)].values()) == 2
    made = {}
    exec(compile(path.read_text(), "it.py", "exec"), made)

    async def run(first, second):
        if way == "returned":
            return (await made["opened"](first, second))[1]
        client = made["Client"]()
        await client.connect(first, second)
        return client.stack

    async def check():
        first, broken, second = Manager(), Manager(fails=True), Manager()
        with pytest.raises(OSError):  # noqa: PT011
            await run(first, broken)
        assert first.open == 0
        stack = await run(first, second)
        assert (first.open, second.open) == (1, 1)
        await stack.aclose()
        assert (first.open, second.open) == (0, 0)

    asyncio.run(check())
