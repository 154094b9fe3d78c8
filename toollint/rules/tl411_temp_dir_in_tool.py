"""A tool, endpoint or handler makes a temporary directory on every call, and nobody deletes it.

## Why
`tempfile.mkdtemp()` makes a directory and leaves it to its caller: neither the end of the function nor the end of the
process deletes it. A tool that runs code, converts a file or clones a repository in one leaves a directory for each
call, with all that was written there, until the disk is full (agent-os#1010, #1248, #1363, autogen#7217).

## Bad
```python
import os
import subprocess
import tempfile

from langchain_core.tools import tool


@tool
def run_python(code: str) -> str:
    \"\"\"Run a program.\"\"\"
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "main.py")
    with open(path, "w") as file:
        file.write(code)
    done = subprocess.run(["python", path], capture_output=True, text=True)
    return done.stdout
```

## Good
```python
import os
import subprocess
import tempfile

from langchain_core.tools import tool


@tool
def run_python(code: str) -> str:
    \"\"\"Run a program.\"\"\"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "main.py")
        with open(path, "w") as file:
            file.write(code)
        done = subprocess.run(["python", path], capture_output=True, text=True)
    return done.stdout
```

## Fix
Makes the directory by `tempfile.TemporaryDirectory` and puts what uses it into its `with`. Safe where it is known of
every call what it does with the path; unsafe where only the name of a call says so (`image.save(path)`), or where a
generator leaves the block in between. Only shown where the directory, or a path in it, is used outside the block in
which it is made.

## Not reported
A directory that anything in the function deletes, however seldom; a path that is returned, yielded, stored, captured by
a nested function, or told to whoever gets the answer; one that is handed to a call that may keep it or delete it, which
is any call that is not known; functions that nothing is known to call again and again; scripts; tests.
"""

from collections.abc import Iterator

from toollint.analyses.tempdirs import TempDir
from toollint.model import AddImport, Finding, Note, Repair, Replace, Role, Safety, Severity, Step, Surround, rule
from toollint.syntax import Chain, callee, last_name

_CLASS = "TemporaryDirectory"


@rule("TL411", "temp-dir-in-tool", subject=TempDir, severity=Severity.WARNING, fix=Safety.SAFE)
def check(found: TempDir) -> Iterator[Finding]:
    """Report a temporary directory that each call leaves behind."""
    event, name = found.invoked.event, found.name
    what = f"temporary directory `{name}`" if name else "temporary directory"
    yield Finding(
        found.place,
        f"every {event} of `{found.invoked.entry.name}` leaves its {what} behind",
        label="nobody deletes it",
        related=[Note(found.invoked.place, f"runs once for each {event}", Role.REGISTERED)],
        notes=[
            f"each {event} leaves a directory behind, with all that is in it: not even the end of the process helps"
        ],
        help=f"write `with tempfile.{_CLASS}() as {name or 'folder'}:` around what needs it",
        fixes=[_repair(found)],
    )


def _repair(found: TempDir) -> Repair:
    title = "delete it at the end of a `with`"
    steps = tuple(_steps(found))
    if not steps:
        recipe = f"with tempfile.{_CLASS}() as {found.name or 'folder'}:\n    ...  # what needs it\n"
        return Repair(title, Safety.DISPLAY, why="not all that uses it stands in one block", recipe=recipe)
    if found.is_sure:
        return Repair(title, Safety.SAFE, steps)
    return Repair(title, Safety.UNSAFE, steps, why="something may use the directory later")


def _steps(found: TempDir) -> Iterator[Step]:
    """``with TemporaryDirectory(...) as name:`` for the statement that makes it, around those that use it."""
    stmt, users, at = found.statement, found.users, found.code.at
    called = callee(found.call)
    if stmt is None or called is None or not users or (stmt.value != found.call and not found.inner):
        return
    if not isinstance(called, Chain):
        yield AddImport(found.place.path, "tempfile", _CLASS)
    if stmt.value == found.call:
        yield Replace(at(stmt.start, found.call.start), "with ")
        yield Replace(at(called.end - len(last_name(called)), called.end), _CLASS)
        yield Replace(at(found.call.end, found.call.end), f" as {found.name}:")
        yield Surround(at(users[0].start, users[-1].end), (), ())
    else:
        text = found.code.scope.module.utf8[slice(*found.place.span)].decode()
        start = called.end - called.start
        head = f"with {text[: start - len(last_name(called))]}{_CLASS}{text[start:]} as {found.inner}:"
        yield Replace(found.place, found.inner)
        yield Surround(at(stmt.start, users[-1].end), (head,), ())
