"""What the interpretation of lifetimes says of single functions, and what it costs.

The functions about files are the cases of CodeQL's test of `py/file-not-closed` in other words: twelve leaks, and what
looks like one. Each function's name begins with how it leaks, ``ok`` where it does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from toollint.analyses.lifetimes import leaks_in, statistics
from toollint.config import Config
from toollint.workspace import Workspace

FILES = """
import os
import sys
from contextlib import ExitStack


class Holder:
    def __init__(self, stream):
        self.stream = stream


class Taker:
    def __init__(self, stream):
        self.text = stream.read()
        stream.close()


def harmless(*args):
    pass


def harmful():
    if random():
        raise ValueError


def opened(path):
    return open(path)


def opened_through(path):
    stream = opened(path)
    return stream


def shut(stream):
    stream.close()


def shut_through(stream):
    shut(stream)


def method_before_the_close():
    f = open("notes")
    f.write("may fail")
    f.close()


def end_without_anything():
    f = open("notes")


def ok_closed_at_once():
    f = open("notes")
    f.close()


def ok_with():
    with open("notes") as f:
        f.write("may fail")


def ok_finally():
    f = open("notes")
    try:
        f.write("may fail")
    finally:
        f.close()


def ok_truth_in_finally():
    f = None
    try:
        f = open("notes")
        f.write("may fail")
    finally:
        if f:
            f.close()


def ok_none_in_finally():
    f = None
    try:
        f = open("notes")
        f.write("may fail")
    finally:
        if not f is None:
            f.close()


def end_wrong_question():
    f = None
    try:
        f = open("notes")
        f.write("may fail")
    finally:
        if f is None:
            f.close()


def end_wrong_truth():
    f = None
    try:
        f = open("notes")
        f.write("may fail")
    finally:
        if not f:
            f.close()


def ok_returned():
    return open("notes")


def ok_right_handler():
    f = open("notes")
    try:
        f.write("may fail")
        f.close()
    except IOError:
        f.close()


def method_wrong_handler():
    f = open("notes")
    try:
        f.write("may fail")
        f.close()
    except AttributeError:
        f.close()


def ok_harmless_call():
    f = open("notes")
    try:
        f.write("may fail")
        harmless("never fails")
        f.close()
    except IOError:
        f.close()


def end_never_closed(name):
    f = open(name)
    f.write("text")


def method_from_a_factory(name):
    f = opened_through(name)
    f.write("text")
    f.close()


def ok_closed_by_a_helper(name):
    f = opened_through(name)
    shut_through(f)


def method_swallowed(name):
    try:
        f = open(name)
        f.write("text")
        f.close()
    except IOError:
        pass


def call_too_narrow():
    f = open("notes")
    try:
        f.write("may fail")
        harmful("in another way")
        f.close()
    except IOError:
        f.close()


def ok_entered_later(path):
    try:
        f = open(path)
    except IOError as error:
        print(error)
        raise error
    with f:
        f.read()


class Manager:
    def __enter__(self):
        self.stream = open("notes")

    def __exit__(self, *args):
        self.stream.close()


def ok_wrapped_and_returned(path):
    f = open(path)
    return Holder(f)


def ok_same_question(path):
    is_file = len(sys.argv) > 1
    if is_file:
        out = open(path, "w")
    else:
        out = sys.stdout
    try:
        out.write("text")
    finally:
        if is_file:
            out.close()


class Writer:
    def __init__(self, out):
        if out is None:
            self.out = sys.stdout
        else:
            self.out = open(out, "w")
        self.pool = Pool(self.out)


def ok_in_a_tuple(name, path):
    try:
        f = open(path.one)
    except AttributeError:
        try:
            f = open(path.other)
        except AttributeError:
            path = name
            f = None
    return f, path


def ok_closed_unless_closed(path):
    f = open(path, "w")
    try:
        f.write("text")
        harmful()
        if path:
            f.close()
    finally:
        if not f.closed:
            f.close()


def end_closed_if_closed(path):
    f = open(path, "w")
    try:
        f.write("text")
        harmful()
    finally:
        if f.closed:
            f.close()


def end_wrapped_and_dropped(path):
    f = open(path)
    holder = Holder(f)


def ok_after_any_failure(path):
    f = open(path)
    try:
        f.write("text")
    except:
        pass
    f.close()


def ok_handed_over(path):
    from django.http import FileResponse

    return FileResponse(open(path))


def ok_descriptor(path):
    fd = os.open(path, 0)
    os.close(fd)


def method_of_the_file_around_it(path):
    fd = os.open(path, 1)
    f = os.fdopen(fd, "w")
    f.write("text")
    f.close()


def ok_file_around_a_descriptor(path):
    fd = os.open(path, 1)
    f = os.fdopen(fd, "w")
    try:
        f.write("text")
    finally:
        f.close()


def ok_used_after_close(path):
    f = open(path)
    f.close()
    f.write("fails")


def ok_given_inside_with(path):
    with open(path) as f:
        taker = Taker(f)
    taker.work()


def ok_exit_stack(paths):
    with ExitStack() as stack:
        return [stack.enter_context(open(path)).read() for path in paths]
"""

OTHERS = """
import asyncio
import atexit
import contextlib
import socket
import weakref

import asyncpg
import psycopg


def return_early(dsn, wanted):
    conn = psycopg.connect(dsn)
    if not wanted:
        return None
    row = conn.execute("select 1")
    conn.close()
    return row


def loop_reopens(hosts):
    for host in hosts:
        sock = socket.create_connection(host)
    sock.close()


def rebind_drops_the_first(hosts):
    sock = socket.create_connection(hosts[0])
    sock = socket.create_connection(hosts[1])
    sock.close()


def drop_without_a_name(dsn):
    psycopg.connect(dsn).execute("vacuum")


async def await_may_be_cancelled(dsn):
    conn = await asyncpg.connect(dsn)
    await asyncio.sleep(1)
    await conn.close()


async def ok_async_finally(dsn):
    conn = await asyncio.wait_for(asyncpg.connect(dsn), 5)
    try:
        await conn.execute("select 1")
    finally:
        await conn.close()


async def await_let_through_by_exception(dsn):
    conn = await asyncpg.connect(dsn)
    try:
        await asyncio.sleep(1)
    except Exception:
        await conn.close()
        raise
    await conn.close()


def yield_may_be_the_last(dsn):
    conn = psycopg.connect(dsn)
    for row in range(3):
        yield row
    conn.close()


def raise_before_the_close(host):
    sock = socket.create_connection(host)
    if host is None:
        raise ValueError(host)
    sock.close()


def ok_own_client(conn=None):
    own = conn is None
    if own:
        conn = psycopg.connect("")
    try:
        conn.execute("select 1")
    finally:
        if own:
            conn.close()


def ok_condition_nobody_understands(host):
    sock = socket.create_connection(host)
    if config.owns(sock.family):
        sock.close()


def ok_atexit(host):
    sock = socket.create_connection(host)
    atexit.register(sock.close)


def ok_finalizer(owner, host):
    sock = socket.create_connection(host)
    weakref.finalize(owner, sock.close)


def ok_captured(host):
    sock = socket.create_connection(host)

    def stop():
        sock.close()

    return stop


def ok_suppressed(host):
    sock = socket.create_connection(host)
    with contextlib.suppress(Exception):
        sock.sendall(b"bye")
    sock.close()


def ok_in_a_loop_over_both(one, other):
    first = socket.create_connection(one)
    try:
        second = socket.create_connection(other)
    except BaseException:
        first.close()
        raise
    for sock in (first, second):
        sock.close()


def ok_either(wanted, dsn):
    conn = psycopg.connect(dsn) if wanted else None
    if conn is not None:
        conn.close()


def ok_match(kind, host):
    sock = socket.create_connection(host)
    match kind:
        case "bye":
            sock.close()
        case _:
            sock.close()


def ok_while_true(host):
    while True:
        sock = socket.create_connection(host)
        try:
            return sock.recv(1)
        finally:
            sock.close()
"""


def leaks(text):
    workspace = Workspace(Config(), {Path("/app/program.py"): text.encode()})
    values = workspace.around("/app/program.py")
    found = {}
    for leak in leaks_in(values, values.project.module_at("/app/program.py")):
        found.setdefault(leak.function.name, []).append(leak.how)
    return found, statistics(values)


@pytest.mark.parametrize("text", [FILES, OTHERS], ids=["files", "others"])
def test_functions(text):
    found, cost = leaks(text)
    names = [line.split("def ")[1].split("(")[0] for line in text.split("\n") if line.startswith(("def ", "async def"))]
    kinds = ("return", "loop", "rebind", "drop", "await", "yield", "raise", "end", "method", "call")
    expected = {name: [name.split("_")[0]] for name in names if name.startswith(kinds)}
    assert found == expected
    assert not cost.exhausted


def test_work_is_bounded():
    """A function that forks at each line is joined, one that never ends is given up; neither says anything wrong."""
    forks = "\n".join(f"    if a{n}:\n        x{n} = None\n    else:\n        x{n} = True" for n in range(40))
    asks = "\n".join(f"    if x{n}:\n        work()" for n in range(40))
    head = "import socket\n\n\ndef f(host):\n    sock = socket.create_connection(host)\n"
    found, cost = leaks(f"{head}{forks}\n{asks}\n    sock.close()\n")
    assert cost.joins
    assert found == {"f": ["call"]}
    nested = "".join(f"{'    ' * n}try:\n{'    ' * n}    work()\n{'    ' * n}finally:\n" for n in range(1, 18))
    found, cost = leaks(f"{head}{nested}{'    ' * 18}sock.send(b'')\n")
    assert cost.exhausted == 1
    assert found == {}
