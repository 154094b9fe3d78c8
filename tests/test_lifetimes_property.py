"""The interpretation of lifetimes against the truth: small programs are run on every path, and leaks are counted.

A program is drawn, analysed, and then run once for each combination of what it cannot know: outcomes of tests, lengths
of loops, and a few failures, at any call that may fail. It is held to both sides:

* *nothing unfounded*: a definite leak needs a run that shows it without a failure, and shows it there; an exceptional
  one a run that fails just where it is said, and loses it;
* *nothing missed*: whatever a run loses is reported, where the run had at most one failure; as definite, where it had
  none. What is silent on purpose is not asked for: a path that skipped a branch which lets go (who wrote the test knows
  why), more rounds than are gone through, a resource's own failure of a kind that no handler around it names.

``TOOLLINT_PROGRAMS=20000 pytest tests/test_lifetimes_property.py`` draws more of them, and others each time.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from lifetime_programs import EXTRA, HEAD, HELPERS, programs
from lifetime_runs import FEW, MANY, runs_of

from toollint.analyses.lifetimes import leaks_in, take_statistics
from toollint.analyses.lifetimes.presumed import CATEGORY as PRESUMED
from toollint.catalog import load
from toollint.catalog.compile import extend
from toollint.config import Config
from toollint.workspace import Workspace

PROGRAMS = int(os.environ.get("TOOLLINT_PROGRAMS", "0"))
SETTINGS = settings(
    max_examples=PROGRAMS or 250,
    derandomize=not PROGRAMS,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

RES = [{"call": "fake.res", "lazy": False}, {"call": "fake.ares", "lazy": False, "awaited": "yes"}]
READ = {"drained-by": ["read"], "looped-by": ["__iter__"]}
STREAM = [{"call": "fake.stream", "lazy": False, "awaited": "yes"}]
FAKE = {
    "resources": {
        "fake.Res": {"acquire": RES, "release": "close", "with": "releases", **READ},
        "fake.Stream": {"acquire": STREAM, "release": "aclose", "async": True, "async-with": "releases", **READ},
    }
}
CONFIG = Config(catalogue=(extend(load(), FAKE, "test"),))


# --- comparing -------------------------------------------------------------------------------------------------------


def reported(program):
    texts = {Path("/app/program.py"): program.text.encode(), Path("/app/helpers.py"): HELPERS.encode()}
    values = Workspace(CONFIG, texts).around("/app/program.py")
    module = values.project.module_at("/app/program.py")
    found = [one for one in leaks_in(values, module) if one.function.name == "main"]
    found = [one for one in found if one.acquisition.resource.category != PRESUMED]  # those are guesses, and say so
    return found, take_statistics(values), lambda place: module.utf8[: place.span.start].count(b"\n") + 1


def unfounded(leaks, row, runs):
    """What is said of a program and no run shows; empty where all of it is shown."""
    for leak in leaks:
        at, lost = row(leak.place), row(leak.lost)
        if leak.is_definite and not any(_shows(run, leak.how, at, lost) for run in runs):
            return f"no run loses {at} at {lost} plainly, as it is said ({leak.how})"
        struck = [run for run in runs if lost in (run.raised if leak.how == "raise" else run.failed)]
        if not leak.is_definite and not any(at in run.lost for run in struck):
            return f"no run that fails at {lost} ({leak.how}) loses {at}"
    return ""


def _shows(run, how, at, lost):
    """Whether a run without a failure loses what is acquired at one row in another one."""
    rows = [gone for line, gone in run.plainly if line == at]
    return bool(rows) and (how == "end" or lost in (run.ways if how == "return" else rows))


def missed(leaks, row, runs):
    """What a run shows and nobody says; empty where all of it is said."""
    known = {row(leak.place) for leak in leaks}
    definite = {row(leak.place) for leak in leaks if leak.is_definite}
    for run in runs:
        if not run.is_whole or run.is_excused or len(run.failed) > 1:
            continue
        for line in sorted(run.lost - known):
            return f"a run that fails at {run.failed} loses what is acquired at {line}, and nobody says so"
        for line in sorted({line for line, _ in run.plainly} - definite):
            if not run.raised:
                return f"a run loses what is acquired at {line} without a failure, and nobody says so"
    return ""


def judge(program, kind):
    leaks, cost, row = reported(program)
    assert not cost.exhausted
    runs = runs_of(program, kind, FEW)
    assume(runs is not None)
    wrong = unfounded(leaks, row, runs)
    if wrong:  # perhaps it takes more failures or rounds to get there
        more = runs_of(program, kind, MANY)
        assume(more is not None)
        wrong = unfounded(leaks, row, more)
    assert not wrong, wrong
    if not cost.joins:
        wrong = missed(leaks, row, runs)
        assert not wrong, wrong


@pytest.mark.parametrize("kind", [*EXTRA])
def test_programs(kind):
    @SETTINGS
    @given(programs(kind))
    def check(drawn):
        try:
            judge(drawn, kind)
        except AssertionError as error:
            shown = "\n".join(
                f"{n:3} {line}" for n, line in enumerate(drawn.text.split("\n"), 1) if n > HEAD.count("\n")
            )
            raise AssertionError(f"{error}\n{textwrap.indent(shown, '  ')}") from None

    check()
