"""Runs of small programs on every path, against resources that count how often they are opened and closed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import types
import weakref
from typing import NamedTuple

from toollint.analyses.lifetimes.interpreter import ROUNDS

MOST_CHOICES = 20
MOST_ROUNDS = 6
ALONE = types.SimpleNamespace(held=object())
ONE_REFERENCE = sys.getrefcount(ALONE.held)
"""What is counted where one object alone refers to another: whether the question itself counts depends on Python."""


class Bounds(NamedTuple):
    """How many failures a run has, how often a loop goes round that asks, and how many runs are made at most."""

    failures: int
    rounds: int
    runs: int


FEW, MANY = Bounds(1, 2, 1500), Bounds(6, ROUNDS, 60_000)

# --- running them ----------------------------------------------------------------------------------------------------


class BoomError(Exception):
    pass


class Stopped(BaseException):
    """The end of a path that is no path (a method of None), or has no end."""


class Fate:
    """What becomes of one resource; it does not keep the resource alive.

    ``ended`` tells how many failures there had been when nobody had it any more, and in which line that was: that of
    the loop, where the loop was the last to have it.
    """

    def __init__(self, runtime, thing):
        self.line, self.runtime, self.failures = runtime.row, runtime, len(runtime.failed)
        self.settled = False
        self.ended = self.loop = None
        self.is_alive = weakref.ref(thing, self.end)

    def end(self, _=None):
        frame = sys._getframe()
        while frame is not None and frame.f_code.co_filename != "program":
            frame = frame.f_back
        self.ended = len(self.runtime.failed), self.loop or (frame and frame.f_lineno)


class Res:
    """A resource, or with ``inner`` what is wrapped around one, or with None for it around nothing."""

    def __init__(self, *inner):
        self.inner, self.fate = inner, None

    def fates(self):
        inner = [fate for one in self.inner if one is not None for fate in one.fates()]
        return inner if self.fate is None else [*inner, self.fate]

    def settle(self):
        for fate in self.fates():
            fate.settled = True

    def __enter__(self):
        self.settle()
        return self

    def __exit__(self, *exc):
        pass

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, *exc):
        pass


class Closing(Res):
    def __enter__(self):
        super().__enter__()
        return self.inner[0]


class Later:
    """What is there once it is awaited: ``make()``, if the task is not cancelled before."""

    def __init__(self, runtime, make):
        self.runtime, self.row, self.make = runtime, runtime.row, make

    def __await__(self):
        self.runtime.at(self.row).may_fail("await")
        return self.make()
        yield


class Rounds:
    """What a loop goes through; a resource may fail in each round, waiting for the next one may be cancelled."""

    def __init__(self, runtime, iterated, excuses):
        self.runtime, self.row, self.excuses = runtime, runtime.row, excuses
        self.held = iterated
        self.left = runtime.choose(runtime.bounds.rounds + 1)

    def __del__(self):
        if isinstance(self.held, Res) and self.held.fate is not None and sys.getrefcount(self.held) == ONE_REFERENCE:
            self.held.fate.loop = self.row

    def __iter__(self):
        return self

    __aiter__ = __iter__

    def step(self, over):
        if isinstance(self.held, Res):
            self.runtime.at(self.row).may_fail("own")
        if not self.left:
            self.runtime.is_excused |= self.excuses
            self.runtime.give(self.held)  # what is read to its end gives up what it holds
            raise over
        self.left -= 1
        return self.left

    def __next__(self):
        return self.step(StopIteration)

    async def __anext__(self):
        self.runtime.at(self.row).may_fail("await")
        return self.step(StopAsyncIteration)


class Runtime:
    """One run: answers come from ``answers`` as far as they reach, then the first possible one."""

    def __init__(self, answers, kind, bounds, narrow):
        self.bounds, self.kind, self.narrow = bounds, kind, narrow
        self.answers, self.arities = answers, []
        self.opened, self.failed, self.was_raised, self.ways = [], [], [], []
        self.rounds, self.is_whole, self.is_excused, self.is_too_long = {}, True, False, False
        self.in_use, self.seen, self.row = set(), None, 0

    def at(self, row):
        """The same, for what happens in a row."""
        self.row = row
        return self

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

    def may_fail(self, word="call"):
        """Fail, or not. Whoever has a resource lets go of it first: a traceback would keep it alive."""
        kinds = [BoomError, *self.narrow]
        own = [kind for kind in kinds if kind is not KeyError]  # that is a mistake of who calls, no resource's failure
        kinds = {"await": [asyncio.CancelledError], "yield": [GeneratorExit], "own": own}.get(word, kinds)
        if len(self.failed) < self.bounds.failures:
            chosen = self.choose(len(kinds) + 1)
            if chosen:
                self.failed.append(self.row)
                self.is_excused |= word == "own" and bool(self.narrow) and kinds[chosen - 1] is BoomError
                raise kinds[chosen - 1]

    # --- what the program cannot know

    def is_set(self):
        return self.rounds.get(self.row, 0) <= self.bounds.rounds and bool(self.choose(2))

    def values(self):
        return ()

    def tick(self):
        self.rounds[self.row] = self.rounds.get(self.row, 0) + 1
        self.is_excused |= self.rounds[self.row] > ROUNDS
        return self.rounds[self.row] <= MOST_ROUNDS or self.stop()

    def tested(self, outcome, excuses):
        self.is_excused |= excuses and not outcome
        return outcome

    def case(self, count):
        """One of the cases or, where none comes to its end, perhaps none of them."""
        chosen = self.choose(count + 1)
        self.is_excused |= chosen == count
        return 1 + chosen

    def looped(self, iterated, excuses):
        return Rounds(self, iterated, excuses) if iterated is not None else self.stop()

    # --- resources

    def opening(self, thing):
        thing.fate = Fate(self, thing)
        self.opened.append(thing.fate)
        return thing

    def res(self):
        self.may_fail("own")
        return self.opening(Res())

    make = res

    def ares(self):
        self.may_fail("own")
        return Later(self, lambda: self.opening(Res()))

    stream = ares

    def held(self, x):
        return Res(x)

    def closing(self, x):
        self.give(x)
        return Closing(x)

    aclosing = closing

    def stack(self):
        stack = Res()
        stack.fate = Fate(self, stack)
        return stack

    def part(self, x):
        return x if x is not None else self.stop()

    entered = part

    def method(self, name, x, *given):
        if x is None:
            self.stop()
        if name in {"close", "aclose"}:
            x.settle()
            return _ready() if name == "aclose" else None
        for one in given:
            self.give(one)
        fate = x.fate
        entered = given[0] if given else None
        read = x.fates() if name == "read" else []
        del x, given
        self.read(read)
        if fate is not None and fate not in self.opened:  # a stack is nothing to be released before its first use
            fate.failures = len(self.failed)
            self.opened.append(fate)
        return Later(self, lambda: entered) if name in {"ask", "enter_async_context"} else entered

    # --- functions

    def work(self):
        self.may_fail()

    def pause(self):
        self.may_fail()
        return Later(self, lambda: None)

    def ticks(self):
        self.may_fail()
        return ()

    def cancels(self):
        self.may_fail("await")

    def raised(self):
        self.was_raised.append(self.row)
        return ValueError()

    def close_it(self, x):
        if x is not None:
            x.settle()
        del x
        self.may_fail()

    shut = close_it

    def read(self, fates):
        """Read to the end, or fail: what nobody has by then is lost by that failure."""
        try:
            self.may_fail("own")
        except BaseException:
            for fate in fates:
                fate.ended = fate.ended and (len(self.failed), fate.ended[1])
            raise
        for fate in fates:
            fate.settled = True

    def list(self, x):
        if x is not None:
            fates = x.fates()
            del x
            self.read(fates)

    def look_at(self, x):
        del x
        self.may_fail()

    def pass_on(self, x):
        return x

    def take(self, x):
        self.give(x)
        del x
        self.may_fail()

    keep_it = take

    def append(self, x):
        self.give(x)

    # --- what becomes somebody else's

    def give(self, x):
        if isinstance(x, Res):
            x.settle()
        for one in x if isinstance(x, tuple | list) else ():
            self.give(one)

    def gave(self, x):
        self.give(x)
        return x

    def returned(self, x):
        self.ways.append(self.row)
        return self.gave(x)

    def yielded(self, x):
        return x if self.kind == "manager" else self.gave(x)


async def _ready():
    pass


class Run(NamedTuple):
    """What one run has shown.

    ``lost``: rows of acquisitions that nobody can close any more. ``plainly``: of these, where nothing failed between
    the acquisition and its loss, each with the row of the statement that dropped it.
    """

    lost: frozenset
    plainly: frozenset
    failed: tuple
    raised: tuple
    ways: tuple
    is_whole: bool
    is_excused: bool


def runs_of(program, kind, bounds):
    """Every run of a program within bounds; None where there are too many."""
    kinds = (ValueError, KeyError)
    narrow = [kind for kind in kinds if re.search(rf"(?:except|suppress).*{kind.__name__}", program.text)]
    found, answers = [], []
    for _ in range(bounds.runs):
        runtime = Runtime(answers, kind, bounds, narrow)
        _execute(program.code, runtime)
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


_ENDS = (BoomError, ValueError, KeyError, Stopped, asyncio.CancelledError, GeneratorExit, StopIteration)


def _execute(code, runtime):
    space = {"rt": runtime, "suppress": contextlib.suppress, "holder": types.SimpleNamespace()}
    exec(code, space)
    with contextlib.suppress(*_ENDS):
        main = space["main"](bool(runtime.choose(2)), bool(runtime.choose(2)))
        if runtime.kind == "async":
            main.send(None)
        elif runtime.kind != "plain":
            _consume(main, runtime)


def _consume(main, runtime):
    """Go through a generator; it may be closed at a `yield`, or the body of a `with` may fail there."""
    thrown = None
    while _resume(main, thrown):
        frame = main.ag_frame if runtime.kind == "agen" else main.gi_frame
        try:
            thrown = None
            runtime.at(frame.f_lineno).may_fail("call" if runtime.kind == "manager" else "yield")
        except (BoomError, ValueError, KeyError, GeneratorExit) as error:
            thrown = type(error)
        del frame


def _resume(main, thrown):
    """Whether it yields something more."""
    try:
        if hasattr(main, "athrow"):
            (main.athrow(thrown()) if thrown else main.__anext__()).send(None)
        elif thrown:
            main.throw(thrown())
        else:
            next(main)
    except StopAsyncIteration:
        return False
    except StopIteration:
        return hasattr(main, "athrow")
    return True


def _seen(runtime):
    lost = [one for one in runtime.opened if not one.settled and one not in runtime.in_use]
    now = len(runtime.failed), None
    return Run(
        frozenset(one.line for one in lost),
        frozenset((one.line, (one.ended or now)[1]) for one in lost if (one.ended or now)[0] == one.failures),
        tuple(runtime.failed),
        tuple(runtime.was_raised),
        tuple(runtime.ways),
        runtime.is_whole,
        runtime.is_excused,
    )
