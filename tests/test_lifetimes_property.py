"""The interpretation of lifetimes against the truth: small programs are run on every path, and leaks are counted.

A program is drawn, analysed, and then run once for each combination of what it cannot know: outcomes of tests, lengths
of loops, and a few failures, at any call that may fail. A definite leak needs a path that shows it without a
failure, an exceptional one a path that fails just there; what every path loses must be reported.

``TOOLLINT_PROGRAMS=20000 pytest tests/test_lifetimes_property.py`` draws more of them, and others each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import textwrap
import weakref
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from toollint.analyses.lifetimes import leaks_in, statistics
from toollint.catalog import load
from toollint.catalog.compile import extend
from toollint.config import Config
from toollint.workspace import Workspace

PROGRAMS = int(os.environ.get("TOOLLINT_PROGRAMS", "0"))
SETTINGS = settings(
    max_examples=PROGRAMS or 300,
    derandomize=not PROGRAMS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
MOST_RUNS = 4000
MOST_FAILURES = 3
MOST_CHOICES = 24
MOST_ROUNDS = 6

CALLS = [{"call": "fake.res", "lazy": False}, {"call": "fake.ares", "lazy": False, "awaited": "yes"}]
FAKE = {"resources": {"fake.Res": {"acquire": CALLS, "release": "close", "with": "releases"}}}
CONFIG = Config(catalogue=(extend(load(), FAKE, "test"),))
HEAD = """\
from contextlib import suppress
from fake import ares, res
from elsewhere import flag, holder, items, kept, take, work, pause


def close_it(x):
    if x is not None:
        x.close()


def keep_it(x):
    kept.append(x)


def look_at(x):
    print(x)


def pass_on(x):
    return x


def make():
    return res()


"""

# --- programs --------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b"])
SIMPLE = [
    *["{x} = res()"] * 3,
    *["{x}.close()"] * 3,
    *("{x}.use()", "work()", "{x} = {y}", "{x} = None", "{x} = make()", "{x} = {y} and pass_on({y})", "look_at({x})"),
    *("close_it({x})", "keep_it({x})", "take({x})", "kept.append({x})", "holder.x = {x}", "del {x}"),
    *("return", "return {x}", "return res()", "raise ValueError", "res().use()", "{x} = res() if p else None"),
    *("{x} = {y} or res()", "{x}, {y} = {y}, {x}", "{x}, {y} = res(), res()", "{x} = [res(), {y}][0]"),
]
HEADS = [
    *("if flag.is_set():", "if p:", "if not q:", "if p and q:", "if {x}:", "if {x} is None:", "if {x} is not None:"),
    *("while flag.is_set():", "while True:", "while {x} is None:", "for i in items.values():", "for c in ({x}, {y}):"),
    *("with res() as {x}:", "with {x}:", "with suppress(Exception):", "with suppress(ValueError):", "def inner():"),
]
HANDLERS = ["except Exception:", "except ValueError:", "except:", "except (ValueError, KeyError):"]


def _fill(template, x, y):
    return template.format(x=x, y=y)


def _lines(templates):
    return st.builds(_fill, st.sampled_from(templates), NAMES, NAMES)


def _indented(lines):
    return [f"    {line}" for line in lines]


def _headed(head, body, other):
    if head == "def inner():":
        return [head, "    return a"]
    lines = [head, *_indented(body)]
    if other and head.startswith(("if", "for i", "while f")):
        lines += ["else:", *_indented(other)]
    if head.startswith("for c"):
        lines = [head, *_indented(["c.close()"])]
    return lines


def _tried(body, handlers, other, final):
    lines = ["try:", *_indented(body)]
    for head, inner in handlers:
        lines += [head, *_indented(inner)]
    if handlers and other:
        lines += ["else:", *_indented(other)]
    if final or not handlers:
        leaving = re.compile(r"return.*|raise ValueError")  # in `finally` that would drop what is being returned
        lines += ["finally:", *_indented([leaving.sub("work()", line) for line in final] or ["a.close()"])]
        lines = [line.replace("def inner():", "if flag.is_set():") for line in lines]
    return lines


def _handler_order(handlers):
    """One handler for each failure, a bare ``except`` at the end: no others are ever reached."""
    narrow = [one for one in handlers if "ValueError" in one[0]]
    return (
        narrow[:1]
        + [one for one in handlers if one[0] == "except Exception:"][:1]
        + [one for one in handlers if one[0] == "except:"][:1]
    )


def _block(extra, depth):
    simple = _lines([*SIMPLE, *extra]).map(lambda line: [line])
    if not depth:
        return st.lists(simple, min_size=1, max_size=2).map(_joined)
    inner = _block(extra, depth - 1)
    some = st.one_of(st.just([]), inner)
    handlers = st.lists(st.tuples(st.sampled_from(HANDLERS), inner), max_size=2).map(_handler_order)
    headed = st.builds(_headed, _lines(HEADS), inner, some)
    tried = st.builds(_tried, inner, handlers, some, some)
    return st.lists(st.one_of(simple, simple, headed, tried), min_size=1, max_size=3).map(_joined)


def _joined(blocks):
    return [line for block in blocks for line in block]


class Program(NamedTuple):
    """A program as it is analysed, the same as it is run, and whether somebody else has hold of `a`."""

    text: str
    runnable: str
    is_captured: bool


def program(kind):
    extra = {
        "plain": [],
        "async": ["await pause()", "{x} = await ares()"] * 3,
        "generator": ["yield 1"] * 3 + ["yield {x}"],
    }[kind]
    head = {"async": "async def main(p, q):", "generator": "def main(p, q):", "plain": "def main(p, q):"}[kind]
    first = {"generator": ["yield 0"], "async": ["await pause()"], "plain": []}[kind]
    return _block(extra, 2).map(lambda body: _program(head, [*first, "a = b = None", *body]))


def _program(head, body):
    text = HEAD + "\n".join([head, *_indented(_breaking(body))]) + "\n"
    rows = text.split("\n")
    captured = any(line.strip() == "def inner():" for line in rows)
    start = HEAD.count("\n")
    run = [_runnable(row, number, captured) for number, row in enumerate(rows, 1) if number > start]
    return Program(text, "\n" * start + "\n".join(run), captured)


def _breaking(body):
    """In a loop, ``break`` and ``continue`` take the place of a plain ``return`` and ``raise``."""
    lines, loops = [], []
    for line in body:
        depth = len(line) - len(line.lstrip())
        while loops and loops[-1] >= depth:
            loops.pop()
        if line.strip().startswith(("while", "for i")):
            loops.append(depth)
        jump = {"return": "break", "raise ValueError": "continue"}.get(line.strip()) if loops else None
        lines.append(line.replace(line.strip(), jump) if jump else line)
    return lines


_CALLS = re.compile(r"\b(res|ares|make|work|pause|close_it|keep_it|look_at|pass_on|take)\((\w*)\)")


def _runnable(line, row, captured):
    """A line that asks the runtime whatever the program cannot know."""
    line = re.sub(r"(\w+|res\(\))\.(use|close)\(\)", rf"rt.\2(\1, {row})", line)
    line = _CALLS.sub(lambda m: f"rt.{m[1]}({m[2] + ', ' if m[2] else ''}{row})", line)
    line = re.sub(r"\b(flag|items)\.\w+\(\)", r"rt.\1()", line).replace("while True", "while rt.tick()")
    line = re.sub(r"^(\s*)while (\w+ is None)", r"\1while rt.tick() and \2", line)
    line = re.sub(r"\bwith (a|b):", r"with rt.entered(\1):", line)
    line = line.replace("raise ValueError", f"rt.raised({row})")
    line = re.sub(r"^(\s*)del (\w)$", r"\1rt.give(\2); \2 = None", line)
    if captured and re.match(r"\s*(?:a|b, a|a, b)(?: = |, )", line):
        line += "; rt.give(a)"
    return re.sub(r"holder\.x = (\w+)", r"rt.give(\1)", line.replace("kept.append", "rt.give"))


# --- running them ----------------------------------------------------------------------------------------------------


class BoomError(Exception):
    pass


class Stopped(BaseException):
    """The end of a path that is no path (a method of None), or has no end."""


class Fate:
    """What becomes of one resource; it does not keep the resource alive."""

    def __init__(self, line, failures):
        self.line, self.failures = line, failures
        self.settled = False
        self.is_alive = lambda: True


class Res:
    def __init__(self, fate):
        self.fate = fate
        fate.is_alive = weakref.ref(self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.fate.settled = True


class Runtime:
    """One run: answers come from ``answers`` as far as they reach, then the first possible one."""

    def __init__(self, answers, kinds, failures):
        self.most = failures
        self.answers, self.arities, self.kinds = answers, [], kinds
        self.opened, self.failed, self.is_whole = [], [], True
        self.rounds, self.was_raised = 0, []
        self.in_use, self.seen, self.is_too_long = set(), None, False

    def choose(self, count):
        place = len(self.arities)
        if place >= MOST_CHOICES:
            self.is_too_long = True
            return 0
        self.arities.append(count)
        return self.answers[place] if place < len(self.answers) else 0

    def stop(self):
        """Go no further: nothing that is in use now is lost. A bare ``except`` may go on all the same."""
        if self.is_whole:
            self.is_whole = False
            self.in_use = {fate for fate in self.opened if fate.is_alive()}
            self.seen = _seen(self)
        raise Stopped

    def may_fail(self, row, kinds=()):
        """Fail, or not. Whoever has a resource lets go of it first: a traceback would keep it alive."""
        kinds = kinds or self.kinds
        if len(self.failed) < self.most:
            chosen = self.choose(len(kinds) + 1)
            if chosen:
                self.failed.append(row)
                raise kinds[chosen - 1]

    def res(self, row):
        self.may_fail(row)
        self.opened.append(Fate(row, len(self.failed)))
        return Res(self.opened[-1])

    make = res

    async def ares(self, row):
        self.may_fail(row, (asyncio.CancelledError, *self.kinds))
        self.opened.append(Fate(row, len(self.failed)))
        return Res(self.opened[-1])

    def close(self, x, _row):
        if x is None:
            self.stop()
        x.fate.settled = True

    def use(self, x, row):
        if x is None:
            self.stop()
        del x
        self.may_fail(row)

    def entered(self, x):
        return x if x is not None else self.stop()

    def work(self, row):
        self.may_fail(row)

    async def pause(self, row):
        self.may_fail(row, (asyncio.CancelledError, *self.kinds))

    def raised(self, row):
        self.was_raised.append(row)
        raise ValueError

    def close_it(self, x, row):
        if x is not None:
            x.fate.settled = True
        del x
        self.may_fail(row)

    def look_at(self, x, row):
        del x
        self.may_fail(row)

    def pass_on(self, x, row):
        held = [x]
        del x
        try:
            self.may_fail(row)
        except Exception:
            held.clear()
            raise
        return held.pop()

    def keep_it(self, x, row):
        self.give(x)
        del x
        self.may_fail(row)

    take = keep_it

    def give(self, x):
        if isinstance(x, Res):
            x.fate.settled = True
        for one in x if isinstance(x, tuple | list) else ():
            self.give(one)

    def flag(self):
        return bool(self.choose(2))

    def items(self):
        return range(self.choose(3))

    def tick(self):
        self.rounds += 1
        if self.rounds <= MOST_ROUNDS:
            return True
        return self.stop()


class Run(NamedTuple):
    """What one run has shown."""

    opened: frozenset
    lost: frozenset  # rows of acquisitions that nobody can close any more
    lost_plainly: frozenset  # of these, where nothing failed since they were acquired
    failed: tuple
    raised: tuple
    is_whole: bool


def runs_of(program, kind, failures=MOST_FAILURES, most=MOST_RUNS):
    """Every run of a program with so many failures; None where there are too many."""
    code = compile(program.runnable, "program", "exec")
    kinds = (BoomError, ValueError) if re.search(r"(?:except|suppress).*ValueError", program.text) else (BoomError,)
    found, answers = [], []
    for _ in range(most):
        runtime = Runtime(answers, kinds, failures)
        _execute(code, runtime, kind)
        if runtime.is_too_long:
            return None
        found.append(runtime.seen or _seen(runtime))
        taken = [answers[i] if i < len(answers) else 0 for i in range(len(runtime.arities))]
        while taken and taken[-1] + 1 >= runtime.arities[len(taken) - 1]:
            taken.pop()
        if not taken:
            return found
        answers = [*taken[:-1], taken[-1] + 1]
    return None


def _execute(code, runtime, kind):
    space = {"rt": runtime, "suppress": contextlib.suppress}
    exec(code, space)
    flags = bool(runtime.choose(2)), bool(runtime.choose(2))
    with contextlib.suppress(
        BoomError, ValueError, TypeError, AttributeError, RuntimeError, Stopped, asyncio.CancelledError
    ):
        main = space["main"](*flags)
        if kind == "plain":
            runtime.give(main)
        elif kind == "async":
            _drive(main, runtime)
        else:
            _consume(main, runtime)


def _drive(coroutine, runtime):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        runtime.give(stop.value)


def _consume(generator, runtime):
    while True:
        try:
            runtime.give(next(generator))
        except StopIteration as stop:
            runtime.give(stop.value)
            return
        if len(runtime.failed) < runtime.most and runtime.choose(2):
            runtime.failed.append(generator.gi_frame.f_lineno)
            _close(generator, runtime)
            return


def _close(generator, runtime):
    """Close a generator as a consumer that goes away does; one that yields all the same is of no interest any more."""
    try:
        generator.close()
    except RuntimeError:
        with contextlib.suppress(Stopped):
            runtime.stop()
        while generator.gi_frame is not None:
            with contextlib.suppress(BaseException):
                generator.close()


def _seen(runtime):
    lost = [one for one in runtime.opened if not one.settled and one not in runtime.in_use]
    return Run(
        frozenset(one.line for one in runtime.opened),
        frozenset(one.line for one in lost),
        frozenset(one.line for one in lost if one.failures == len(runtime.failed)),
        tuple(runtime.failed),
        tuple(runtime.was_raised),
        runtime.is_whole,
    )


# --- comparing -------------------------------------------------------------------------------------------------------


def reported(program):
    workspace = Workspace(CONFIG, {Path("/app/program.py"): program.text.encode()})
    values = workspace.around("/app/program.py")
    module = values.project.module_at("/app/program.py")
    found = [one for one in leaks_in(values, module) if one.function.name == "main"]
    return found, statistics(values), lambda place: module.utf8[: place.span.start].count(b"\n") + 1


def unfounded(leaks, row, runs):
    """What is said of a program and no run shows; empty where all of it is shown."""
    for leak in leaks:
        at, lost = row(leak.place), row(leak.lost)
        struck = [run for run in runs if lost in (run.raised if leak.how == "raise" else run.failed)]
        if leak.is_definite and not any(at in run.lost_plainly for run in runs):
            return f"no run loses {at} plainly, as it is said ({leak.how})"
        if not leak.is_definite and not any(at in run.lost for run in struck):
            return f"no run that fails at {lost} ({leak.how}) loses {at}"
    return ""


def judge(program, kind):
    leaks, cost, row = reported(program)
    assert not cost.exhausted
    runs = runs_of(program, kind)
    assume(runs is not None)
    wrong = unfounded(leaks, row, runs)
    if wrong:  # perhaps it takes more failures to get there
        more = runs_of(program, kind, 2 * MOST_FAILURES, 20 * MOST_RUNS)
        assume(more is not None)
        wrong = unfounded(leaks, row, more)
    assert not wrong, wrong
    if program.is_captured or cost.joins:
        return
    plain = [run for run in runs if run.is_whole and not run.failed]
    definite = {row(leak.place) for leak in leaks if leak.is_definite}
    known = {row(leak.place) for leak in leaks}
    for line in {line for run in plain for line in run.opened}:
        opening = [run for run in plain if line in run.opened]
        if all(line in run.lost for run in opening):
            wanted = known if any(run.raised for run in opening) else definite
            assert line in wanted, f"every run loses what is acquired at {line}, and nobody says so"


@pytest.mark.parametrize("kind", ["plain", "async", "generator"])
def test_programs(kind):
    @SETTINGS
    @given(program(kind))
    def check(drawn):
        try:
            judge(drawn, kind)
        except AssertionError as error:
            shown = "\n".join(
                f"{n:3} {line}" for n, line in enumerate(drawn.text.split("\n"), 1) if n > HEAD.count("\n")
            )
            raise AssertionError(f"{error}\n{textwrap.indent(shown, '  ')}") from None

    check()
