"""What the interpretation of lifetimes says of single functions, and what it costs.

The functions of `FILES` are the cases of CodeQL's test of `py/file-not-closed` in other words: twelve leaks, and what
looks like one; `QUIET` has what other linters say must not be reported (pylint's `consider-using-with`, ruff's SIM115,
bodyclose, PMD's CloseResource). Each function's name begins with how it leaks, ``ok`` where it does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from toollint.analyses.lifetimes import leaks_in, take_statistics
from toollint.config import Config
from toollint.workspace import Workspace

FILES = """
import os
import sys
from contextlib import ExitStack


class Holder(object):
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

QUIET = """
import contextlib
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from pathlib import Path
from unittest import TestCase, mock

import psycopg


def ok_assigned_in_both_branches(choice):
    if choice:
        stream = open("one")
    else:
        stream = open("other")
    with stream:
        return stream.read()


def ok_assigned_in_one_branch(choice):
    if choice:
        text = "none"
    else:
        stream = open("one")
        with stream:
            text = stream.read()
    return text


def ok_assigned_in_a_handler(path):
    try:
        stream = open(path)
    except FileNotFoundError:
        stream = open("default")
    with stream:
        return stream.read()


def ok_assigned_in_every_handler(one, other):
    try:
        found = one / other
    except ZeroDivisionError:
        log = open("zero")
        found = None
    except TypeError:
        log = open("types")
        found = None
    else:
        log = open("results")
    with log:
        log.write(found)


def ok_chosen_in_the_head(one, other, choice):
    with open(one) if choice else open(other) as stream:
        return stream.read()


def ok_one_line(path):
    with open(path) as stream: return stream.read()


def ok_returned_from_two_places(choice):
    if choice:
        return open("one")
    return open("other")


def ok_returned_through_a_call(path, wrap):
    return wrap(open(path))


def ok_returned_under_another_name(path):
    stream = open(path)
    result = stream
    return result


def ok_emptied(path):
    open(path, "w").close()
    Path(path).open("w").close()


def ok_stack(path):
    with ExitStack() as stack:
        stream = stack.enter_context(open(path))
        return stream.read()


def ok_stack_by_another_name(path):
    with ExitStack() as stack:
        same = stack
        stream = same.enter_context(open(path))
        stream.read()


def ok_stack_pushed(path):
    with ExitStack() as stack:
        stream = open(path)
        stack.push(stream)
        stream.read()


def ok_stack_callback(path):
    with ExitStack() as stack:
        stream = open(path)
        stack.callback(stream.close)
        stream.read()


def ok_stack_handed_on(paths):
    with ExitStack() as stack:
        streams = [stack.enter_context(open(path)) for path in paths]
        close = stack.pop_all().close
    return streams, close


async def ok_async_stack(path):
    async with AsyncExitStack() as stack:
        stream = stack.enter_context(open(path))
        await stack.enter_async_context(await psycopg.AsyncConnection.connect(path))
        return stream.read()


def ok_closing(path):
    with closing(open(path)) as stream:
        return stream.read()


async def ok_aclosing(dsn):
    async with aclosing(await psycopg.AsyncConnection.connect(dsn)) as conn:
        await conn.execute("select 1")


def ok_closing_of_a_name(path):
    stream = open(path)
    with closing(stream):
        return stream.read()


class Cases(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stream = cls.enterClassContext(open("one"))

    def setUp(self):
        self.other = open("other")
        self.addCleanup(self.other.close)


def ok_flag(path, wanted):
    opened = False
    if wanted:
        stream = open(path)
        opened = True
    if opened:
        stream.close()


def ok_flag_in_finally(path, stream=None):
    opened = False
    try:
        if stream is None:
            stream = open(path)
            opened = True
        stream.read()
    finally:
        if opened:
            stream.close()


def ok_replaced_after_a_question(path, stream):
    if stream is None:
        stream = open(path)
        try:
            return stream.read()
        finally:
            stream.close()
    return stream.read()


def ok_none_in_finally(path):
    stream = None
    try:
        stream = open(path)
        stream.read()
    finally:
        if stream is not None:
            stream.close()


def ok_mocked():
    with mock.patch("builtins.open", mock.mock_open()):
        stream = mock.Mock()
        stream.read()


def ok_every_case_returns(kind, path):
    stream = open(path)
    match kind:
        case "one":
            stream.close()
            return 1
        case _:
            stream.close()
            return 2


def ok_while_else(paths):
    while paths:
        stream = open(paths.pop())
        if paths:
            break
        stream.close()
    else:
        return None
    stream.close()


def ok_closed_in_a_nested_function(path):
    stream = open(path)

    def stop():
        stream.close()

    try:
        stream.read()
    finally:
        stop()


def ok_looked_for(path):
    for name in path.names:
        try:
            stream = open(name)
        except OSError:
            continue
        with stream:
            return stream.read()
    return None


async def ok_items_of_somebody_else(client):
    async for item in client.items():
        print(item)


async def ok_items_with_finally(dsn, client):
    conn = await psycopg.AsyncConnection.connect(dsn)
    try:
        async for item in client.items():
            await conn.commit()
    finally:
        await conn.close()


async def await_of_the_next_item(dsn, client):
    conn = await psycopg.AsyncConnection.connect(dsn)
    async for _ in ():
        pass
    await conn.close()


async def yield_in_an_async_generator(dsn):
    conn = psycopg.connect(dsn)
    yield 1
    conn.close()


def end_flag_of_something_else(path, wanted):
    opened = False
    stream = open(path)
    if opened:
        stream.close()


def loop_flag_that_is_known(path):
    opened = False
    for name in path.names:
        stream = open(name)
        opened = True
    if not opened:
        stream.close()


def return_from_a_case(kind, path):
    stream = open(path)
    match kind:
        case "one":
            return 1
        case _:
            stream.close()
    return 2


def loop_after_else(paths):
    for path in paths:
        stream = open(path)
        if path.last:
            break
    else:
        return
    stream.close()


def end_acquired_in_finally(path, stream):
    try:
        raise ValueError(path)
    finally:
        log = open(path)
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


def leaks(text, **others):
    texts = {Path(f"/app/{name}.py"): other.encode() for name, other in {"program": text, **others}.items()}
    workspace = Workspace(Config(), texts)
    values = workspace.around("/app/program.py")
    found = {}
    for leak in leaks_in(values, values.project.module_at("/app/program.py")):
        found.setdefault(leak.function.name, []).append(leak.how)
    return found, take_statistics(values)


@pytest.mark.parametrize("text", [FILES, QUIET, OTHERS], ids=["files", "quiet", "others"])
def test_functions(text):
    found, cost = leaks(text)
    names = [line.split("def ")[1].split("(")[0] for line in text.split("\n") if line.startswith(("def ", "async def"))]
    kinds = ("return", "loop", "rebind", "drop", "await", "yield", "raise", "end", "method", "call")
    expected = {name: [name.split("_")[0]] for name in names if name.startswith(kinds)}
    assert found == expected
    assert not cost.exhausted


HELPERS = """
from plain import connect


def opened(host):
    return connect(host)


def shut(sock):
    if sock is not None:
        sock.close()


def look_at(sock):
    print(sock)


class Wrapper:
    def __init__(self, sock):
        self.sock = sock
"""
PLAIN = """
import socket


def connect(host):
    return socket.create_connection(host)
"""
USERS = """
from helpers import Wrapper, look_at, opened, shut


def ok_closed_elsewhere(host):
    shut(opened(host))


def end_only_looked_at(host):
    sock = opened(host)
    look_at(sock)


def end_wrapped_elsewhere(host):
    wrapper = Wrapper(opened(host))


def ok_wrapper_is_closed(host):
    wrapper = Wrapper(opened(host))
    wrapper.close()
"""


def test_functions_of_other_files():
    """What they open is owed, what they close is not; what they only look at stays owed."""
    found, _ = leaks(USERS, helpers=HELPERS, plain=PLAIN)
    assert found == {"end_only_looked_at": ["end"], "end_wrapped_elsewhere": ["end"]}


def test_work_is_bounded():
    """A function that forks at each line is joined, one that never ends is given up; neither says anything wrong."""
    forks = "\n".join(f"    if a{n}:\n        x{n} = None\n    else:\n        x{n} = True" for n in range(40))
    asks = "\n".join(f"    if x{n}:\n        work()" for n in range(40))
    head = "import socket\n\n\ndef f(host):\n    sock = socket.create_connection(host)\n"
    found, cost = leaks(f"{head}{forks}\n{asks}\n    sock.close()\n")
    assert cost.joins
    assert found == {"f": ["call"]}
    levels = [(f"a{n}", "    " * n) for n in range(1, 18)]
    nested = "".join(f"{i}try:\n{i}    if {a}:\n{i}        return\n{i}finally:\n" for a, i in levels)
    found, cost = leaks(f"{head}{nested}{'    ' * 18}sock.send(b'')\n")
    assert cost.exhausted == 1
    assert found == {}
