"""Probes are run: as they come, on a program that a rule reports, and on the same program mended."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import toollint
from toollint import cli, rules
from toollint.config import Config
from toollint.output import probes

CODES = ["TL201", "TL202", "TL206", "TL301", "TL302", "TL303"]
STUBS = {
    "langgraph/graph/state.py": "class CompiledStateGraph: ...\n",
    "langgraph/graph/__init__.py": "",
    "langgraph/__init__.py": "",
}
"""Just enough of a library for a program to run without it; it lies outside of the project."""

SESSION = """\
import sqlite3


class Session:
    def __init__(self, user):
        self.connection = sqlite3.connect(":memory:")

    def close(self):
        self.connection.close()
"""
CONTAINER = (
    f"""\
{SESSION}

SESSIONS: dict[str, Session] = {{}}


def serve(user):
    if user not in SESSIONS:
        SESSIONS[user] = Session(user)
    return SESSIONS[user].connection.total_changes
""",
    ("    return SESSIONS[user]", "    return SESSIONS.pop(user)"),
)
MEMO = (
    f"""\
from functools import lru_cache

{SESSION}

@lru_cache(maxsize=256)
def session_for(user: str) -> Session:
    return Session(user)


def serve(user):
    return session_for(user).connection.total_changes
""",
    ("    return session_for(user)", "    session_for.cache_clear()\n    return session_for.__wrapped__(user)"),
)
ATTRIBUTE = (
    f"""\
{SESSION}

class Server:
    def __init__(self):
        self.sessions: dict[str, Session] = {{}}
        self.last: dict[str, str] = {{}}

    def handle(self, user):
        self.last[user] = user
        self.sessions[user] = Session(user)

    def leave(self, user):
        self.last.pop(user)


server = Server()


def serve(user):
    server.handle(user)
    server.leave(user)
""",
    ("        self.last.pop(user)", "        self.last.pop(user)\n        self.sessions.pop(user).close()"),
)
KEYS = (
    """\
from langgraph.graph.state import CompiledStateGraph

USAGE: dict[CompiledStateGraph, int] = {}


def count(graph: CompiledStateGraph):
    USAGE[graph] = USAGE.get(graph, 0) + 1


def serve(user):
    count(CompiledStateGraph())
""",
    ("= {}", "= __import__('weakref').WeakKeyDictionary()"),
)
FINALIZER = (
    f"""\
import weakref
{SESSION.replace('memory:")', 'memory:")' + chr(10) + "        weakref.finalize(self, self.close)")}

def serve(user):
    Session(user).close()
""",
    ("finalize(self, self.close)", "finalize(self, self.connection.close)"),
)
ATEXIT = (
    FINALIZER[0].replace("import weakref", "import atexit").replace("weakref.finalize(self, ", "atexit.register("),
    ("        self.connection.close()", "        atexit.unregister(self.close)\n        self.connection.close()"),
)


def adapt(code, *lines):
    """The probe of a rule with a reader's lines in the place of the numbered ones."""
    text = []
    given = dict(enumerate(lines, 1))
    inside = False
    for line in probes.script(code).splitlines():
        number = re.search(r"  # (\d)\. instead: ", line)
        inside = bool(number and line.endswith("Watched") and not line.startswith("class Watched: ...")) or (
            inside and line.startswith(" ")
        )
        if number:
            text.append(given.pop(int(number[1])))
        elif not inside:
            text.append(line)
    assert not given
    return "\n".join(text) + "\n"


WATCH = "from app import Session as Watched, serve"
ACTION = 'def action(number): serve(f"user {number}")'
ADAPTED = {
    "TL201": (CONTAINER, (WATCH, "from app import SESSIONS as KEPT", ACTION)),
    "TL202": (MEMO, (WATCH, "from app import session_for as MEMO", ACTION)),
    "TL206": (ATTRIBUTE, (WATCH, "from app import server; KEPT = server.sessions", ACTION)),
    "TL301": (
        KEYS,
        (
            "from app import CompiledStateGraph as Watched, serve",
            "from app import USAGE as KEPT",
            ACTION,
        ),
    ),
    "TL302": (FINALIZER, (WATCH, ACTION)),
    "TL303": (ATEXIT, (WATCH, ACTION)),
}
KEPT_BY = {
    "TL201": "module app -> dict SESSIONS -> Session user 20",
    "TL202": "module app -> _lru_cache_wrapper session_for -> Session",
    "TL206": "module app -> Server server -> dict -> Session user 20",
    "TL301": "module app -> dict USAGE -> CompiledStateGraph",
    "TL302": "module weakref -> type finalize -> dict -> dict _registry -> _Info -> method Session.close -> Session",
    "TL303": "the registry of atexit (or a thread) -> method -> Session",
}
COUNTED = {
    "TL201": "len(KEPT) was 1 and is 21",
    "TL202": "currsize=21)",
    "TL206": "len(KEPT) was 1 and is 21",
    "TL301": "len(KEPT) was 1 and is 21",
    "TL302": "len(weakref.finalize._registry) was 1 and is 21",
    "TL303": "atexit._ncallbacks() was",
}


@pytest.fixture
def run(tmp_path):
    """A function that writes a program and a probe beside it, and gives what the probe prints."""
    stubs = tmp_path / "installed"
    for name, text in STUBS.items():
        path = stubs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(probe, program=""):
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(program)
        (folder / "probe.py").write_text(probe)
        environment = {**os.environ, "PYTHONPATH": str(stubs), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-W", "error", "probe.py"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("code", CODES)
def test_a_probe_runs_as_it_comes(code, run):
    count, size, path = run(probes.script(code))
    assert count == "20 calls left 20 live Watched"
    assert " was " in size
    assert path.startswith("kept by ")


@pytest.mark.parametrize("code", CODES)
def test_a_probe_counts_what_a_program_leaves(code, run):
    (program, _), lines = ADAPTED[code]
    count, size, path = run(adapt(code, *lines), program)
    watched = KEPT_BY[code].rpartition("-> ")[2].split()[0]
    assert count == f"20 calls left 20 live {watched}"
    assert COUNTED[code] in size
    assert path == f"kept by {KEPT_BY[code]}"


@pytest.mark.parametrize("code", CODES)
def test_a_probe_counts_nothing_in_the_mended_program(code, run):
    (program, (old, new)), lines = ADAPTED[code]
    assert old in program
    count, _, path = run(adapt(code, *lines), program.replace(old, new))
    assert count.startswith("20 calls left 0 live ")
    assert path == "kept by nobody, if action() makes any at all"


@pytest.mark.parametrize("code", sorted({rule.code for rule in rules.load()} & set(CODES)))
def test_the_rule_reports_the_program_until_it_is_mended(code):
    (program, (old, new)), _ = ADAPTED[code]
    config = Config(select=(code,), preview=True)
    (found,) = toollint.check({"/p/pyproject.toml": "", "/p/app.py": program}, config).diagnostics
    assert found.code == code
    assert not toollint.check({"/p/pyproject.toml": "", "/p/app.py": program.replace(old, new)}, config).diagnostics


def test_a_long_way_and_what_no_module_holds(run):
    """The way is found through attributes, closures and cycles, and there may be none: a thread's own frame."""
    program = f"""\
{SESSION}
import threading

KEEPERS = []


class Keeper:
    def __init__(self, session):
        self.session, session.keeper = session, self


def serve(user):
    keeper = Keeper(Session(user))
    KEEPERS.append(lambda: keeper)


def wait(session):
    threading.Event().wait()


def spin(user):
    threading.Thread(target=wait, args=[Session(user)], daemon=True).start()
"""
    container = "KEPT = []"
    *_, path = run(adapt("TL201", WATCH, container, ACTION), program)
    assert path.startswith("kept by module app -> list KEEPERS -> function serve.<locals>.<lambda> -> tuple -> cell")
    assert path.endswith("-> Keeper -> Session")
    count, _, path = run(adapt("TL201", WATCH.replace("serve", "spin as serve"), container, ACTION), program)
    assert count == "20 calls left 20 live Session"
    assert "Session" in path


def test_probes_are_short():
    for code in CODES:
        lines = probes.script(code).splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 120
        assert lines[0].startswith(f'"""{code}: ')


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_prints_the_script_and_nothing_else(capsys):
    assert cli.main(["rule", "TL301", "--probe"]) == 0
    assert cli.main(["rule", "strong-reference-keyed-by-graph", "--probe", "--color", "always"]) == 0
    assert capsys.readouterr() == (probes.script("TL301") * 2, "")


def test_a_rule_without_a_probe_names_those_that_have_one(capsys):
    assert cli.main(["rule", "TL101", "--probe"]) == 2
    shown = capsys.readouterr()
    known = ", ".join(rule.code for rule in rules.load() if rule.code in CODES)
    assert shown.out == ""
    assert shown.err == f"toollint: TL101 (tool-owns-unreleased-resource) has no probe: there is one for {known}\n"


@pytest.mark.parametrize("arguments", [["--all"], ["TL301", "--output-format", "json"]])
def test_a_probe_is_of_one_rule_and_no_json(arguments, capsys):
    assert cli.main(["rule", "--probe", *arguments]) == 2
    assert "--probe prints the script of one rule, and no JSON" in capsys.readouterr().err


def test_the_page_says_how_to_come_by_it(capsys):
    assert cli.main(["rule", "TL301"]) == 0
    assert "    toollint rule TL301 --probe > probe.py\n" in capsys.readouterr().out
    assert cli.main(["rule", "TL101"]) == 0
    assert "--probe" not in capsys.readouterr().out
