"""What holds of toollint whatever it looks at: it runs nothing, writes nothing unasked, imports what it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fixture_format import FIXTURES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "toollint"

WATCHED = """\
import ast, json, os, sys

told = []


def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        path, mode, flags = args
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(mode or "") & set("wax+"):
            told.append(["write", os.fsdecode(path)])
    elif event == "import":
        told.append(["import", args[0]])
    elif event == "compile":
        told.append(["compile", os.fsdecode(args[1] or "")])
    elif event == "exec":
        told.append(["exec", args[0].co_filename])
    elif event.partition(".")[0] in {"socket", "subprocess", "ctypes", "webbrowser"} or event in {
        "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.remove", "os.rename", "os.mkdir", "os.symlink",
        "os.link", "os.chmod", "os.chown", "os.utime", "shutil.rmtree", "pty.spawn", "urllib.Request",
    }:
        told.append([event, [os.fspath(arg) for arg in args if isinstance(arg, (str, os.PathLike))]])


from toollint import cli

sys.addaudithook(hook)
status = cli.main(sys.argv[1:])
told, seen = [], told
sys.stderr.write(json.dumps([status, seen, sorted(sys.modules)]))
"""

HOSTILE = """\
import os
import sys

open(os.path.join(os.path.dirname(__file__), "was_run"), "w").close()
sys.exit("was run")
"""


def watched(folder, *arguments):
    """What a run of the command does that the interpreter's audit hooks see, and the modules it has imported."""
    with tempfile.TemporaryDirectory() as elsewhere:  # a script's own folder is where Python imports from first
        script = Path(elsewhere, "watch.py")
        script.write_text(WATCHED)
        command = [sys.executable, "-B", script, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.stderr.startswith("["), done.stderr
    status, seen, modules = json.loads(done.stderr)
    return status, seen, set(modules)


def watched_quietly(folder, *arguments):
    """The same of a run that writes nothing and starts nothing."""
    status, seen, modules = watched(folder, *arguments)
    assert [event for event, _ in seen if event not in {"import", "exec", "compile"}] == []
    return status, modules


@pytest.fixture
def project(tmp_path):
    """The demo agent beside modules that must never run: under names of their own, and of the standard library."""
    shutil.copytree(FIXTURES / "demo_agent", tmp_path, dirs_exist_ok=True)
    for name in (
        "hostile.py",
        "json.py",
        "click.py",
        "conftest.py",
        "setup.py",
        "sitecustomize.py",
        "demo_agent/boom.py",
    ):
        (tmp_path / name).write_text(HOSTILE)
    (tmp_path / "demo_agent/uses.py").write_text(
        "from demo_agent.boom import *\nfrom hostile import x\nfrom .handbook import *\n"
    )
    return tmp_path


@pytest.mark.parametrize("frontend", ["ast", "libcst"])
@pytest.mark.parametrize("fixing", [False, True])
def test_nothing_under_analysis_runs_and_nothing_else_is_written(project, frontend, fixing):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    options = ["--fix", "--unsafe-fixes"] if fixing else []
    status, seen, modules = watched(project, "check", ".", "-q", "--jobs", "1", "--frontend", frontend, *options)
    assert status == 1
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    changed = {path for path in after if after[path] != before.get(path)}
    assert set(after) == set(before)
    assert bool(changed) is fixing
    _nothing_ran(project, seen, modules)
    written = [Path(what) for event, what in seen if event == "write"]
    assert {path.parent for path in written} == {path.parent for path in changed}
    assert all(path.name.startswith(".toollint-") for path in written)
    moved = {Path(what[-1]).resolve() for event, what in seen if event == "os.rename"}
    assert moved == {path.resolve() for path in changed}
    usual = {"import", "compile", "exec", "write", "os.rename", "os.remove", "os.chmod", "os.chown"}
    assert [event for event, _ in seen if event not in usual] == []


def _nothing_ran(project, seen, modules):
    own = {"hostile", "conftest", "setup", "demo_agent", "demo_agent.boom"}
    assert not own & modules
    assert not own & {what for event, what in seen if event == "import"}
    parsed = {what for event, what in seen if event == "compile"} - {what for event, what in seen if event == "exec"}
    executed = {what for event, what in seen if event == "exec"}
    assert "<unknown>" in parsed  # what `ast.parse` calls a text: the hook saw it, and nobody ran it
    assert not [name for name in executed if name.startswith(str(project))]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"]])
def test_help_imports_neither_engine_nor_parsers(tmp_path, arguments):
    status, modules = watched_quietly(tmp_path, *arguments)
    assert status == 0
    unwanted = {"libcst", "toollint.engine", "toollint.rules", "toollint.frontends", "toollint.project", "pygls"}
    assert not unwanted & modules


def test_a_plain_run_imports_no_libcst(project):
    status, modules = watched_quietly(project, "check", ".", "--jobs", "1")
    assert status == 1
    assert "toollint.engine" in modules
    assert not {name for name in modules if name.partition(".")[0] in {"libcst", "pygls", "multiprocessing", "asyncio"}}


def test_layers_know_only_those_below():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b[1-9]\d* kept, 0 broken", done.stdout)


# --- records ---------------------------------------------------------------------------------------------------------


def _trees():
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def _fields(tree):
    """Class and field for every annotated name in the body of a record."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and (node.decorator_list or node.bases):
            for stmt in node.body:
                if isinstance(stmt, ast.AnnAssign) and isinstance(stmt.target, ast.Name):
                    yield node.name, stmt.target.id


PROVENANCE = {"evidence", "with_evidence", "since", "until", "deprecated"}
"""Fields of the catalogue for its readers: where a row comes from, and which versions it was seen in."""
AHEAD = {"Memoizer.form"}
"""What the catalogue's tables already say and no rule asks for yet. To shrink, not to grow."""


@pytest.mark.parametrize(("name", "unread"), [("facts.py", set()), ("catalog/records.py", AHEAD)])
def test_every_field_is_read_by_somebody(name, unread):
    """A fact that no rule needs costs every file that is looked at, and every reader of the code."""
    trees = _trees()
    fields = {(cls, field) for cls, field in _fields(trees[name]) if field not in PROVENANCE}
    assert len(fields) > 10
    read = {
        node.attr
        for path, tree in trees.items()
        if path not in {"catalog/records.py", "catalog/compile.py"}
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    } | {
        node.attr
        for node in ast.walk(trees["catalog/records.py"])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    assert {f"{cls}.{field}" for cls, field in fields if field not in read} <= unread


def test_no_rule_knows_the_name_of_a_library():
    """Names of libraries live in the catalogue; what the language itself brings may be named."""
    libraries = {"langchain", "langgraph", "llama_index", "crewai", "sqlite3", "redis", "httpx", "requests", "chromadb"}
    named = {
        (path, text)
        for path, tree in _trees().items()
        if path.startswith(("rules/", "analyses/"))
        for text in _strings(tree)
        if re.split(r"\W+", text.lower())[0] in libraries
    }
    assert named == set()


def _strings(tree):
    """The strings of a module that are not documentation."""
    nodes = list(ast.walk(tree))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]
