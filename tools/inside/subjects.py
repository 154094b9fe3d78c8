"""How the resources that are measured are made and used, by their acquiring call.

PostgreSQL, Redis and an HTTP server are those of `servers.py`: their addresses are in the environment.
"""

from __future__ import annotations

import asyncio
import importlib
import operator
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

POSTGRESQL = os.environ["POSTGRESQL"]
REDIS = os.environ["REDIS"]
HTTP = os.environ["HTTP"]
FOLDER = Path(tempfile.mkdtemp())
FILE = FOLDER / "file"


class Subject(NamedTuple):
    """``make`` gives an object or an awaitable of one, ``use`` makes it hold what it holds when it works."""

    make: Callable[[], Any]
    use: Callable[[Any], Any] = lambda _: None


def call(name: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """A call of ``module:name``; the module is imported when it is made."""
    module, _, names = name.partition(":")

    def make() -> Any:
        return operator.attrgetter(names)(importlib.import_module(module))(*args, **options)

    return make


def method(name: str, *args: Any) -> Callable[[Any], Any]:
    """A call of a method of the object."""
    return lambda thing: getattr(thing, name)(*args)


def query(connection: Any) -> None:
    """A query through a cursor."""
    cursor = connection.cursor()
    cursor.execute("select 1")
    cursor.fetchall()
    cursor.close()


def submit(pool: Any) -> None:
    """A task for an executor."""
    pool.submit(int).result()


def archive() -> Any:
    """An open zip file."""
    import zipfile  # noqa: PLC0415 - only this process measures it

    path = FOLDER / "empty.zip"
    zipfile.ZipFile(path, "w").close()
    return zipfile.ZipFile(path)


def connection_of_pool(pool: Any) -> None:
    """One connection, taken from a pool of psycopg2 and given back."""
    connection = pool.getconn()
    query(connection)
    connection.rollback()
    pool.putconn(connection)


def lent(pool: Any) -> None:
    """A query on a connection that a pool lends."""
    with pool.connection() as connection:
        connection.execute("select 1")


async def opened_and_lent(pool: Any) -> None:
    """The same of an asynchronous pool, which has to be opened first."""
    await pool.open()
    async with pool.connection() as connection:
        await connection.execute("select 1")


def connect_engine(engine: Any) -> None:
    """A query on a connection of an SQLAlchemy engine."""
    with engine.connect() as connection:
        connection.exec_driver_sql("select 1")


async def connect_async_engine(engine: Any) -> None:
    """The same of an asynchronous engine."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql("select 1")


async def fetch(session: Any) -> None:
    """A request of an aiohttp session."""
    async with session.get(HTTP) as response:
        await response.read()


def ping_over(pool: Any) -> None:
    """A command over a connection of a redis pool."""
    importlib.import_module("redis").Redis(connection_pool=pool).ping()


def child() -> list[str]:
    """A command that ends by itself, and too late to end before it is counted."""
    return [sys.executable, "-c", "import time; time.sleep(4)"]


def written() -> Path:
    """A file that is not empty."""
    FILE.write_text("text")
    return FILE


_SQLALCHEMY = POSTGRESQL.replace("postgresql:", "postgresql+psycopg:")

SUBJECTS: dict[str, Subject] = {
    # the standard library
    "builtins.open": Subject(lambda: written().open()),
    "zipfile.ZipFile": Subject(archive),
    "tempfile.TemporaryFile": Subject(tempfile.TemporaryFile),
    "tempfile.NamedTemporaryFile": Subject(tempfile.NamedTemporaryFile),
    "mmap.mmap": Subject(call("mmap:mmap", os.open(written(), os.O_RDWR), 0)),
    "socket.socket": Subject(socket.socket),
    "selectors.DefaultSelector": Subject(call("selectors:DefaultSelector")),
    "sqlite3.connect": Subject(call("sqlite3:connect", FOLDER / "sqlite"), query),
    "subprocess.Popen": Subject(lambda: subprocess.Popen(child())),
    "asyncio.create_subprocess_exec": Subject(lambda: asyncio.create_subprocess_exec(*child())),
    "asyncio.new_event_loop": Subject(asyncio.new_event_loop),
    "concurrent.futures.ThreadPoolExecutor": Subject(call("concurrent.futures:ThreadPoolExecutor", 1), submit),
    "concurrent.futures.ProcessPoolExecutor": Subject(call("concurrent.futures:ProcessPoolExecutor", 1), submit),
    "http.client.HTTPConnection": Subject(
        call("http.client:HTTPConnection", HTTP.removeprefix("http://")), method("connect")
    ),
    "urllib.request.urlopen": Subject(call("urllib.request:urlopen", HTTP)),
    "logging.FileHandler": Subject(call("logging:FileHandler", FILE)),
    "os.scandir": Subject(call("os:scandir", "/"), next),
    # databases
    "aiosqlite.connect": Subject(
        call("aiosqlite:connect", FOLDER / "aiosqlite"), method("execute_fetchall", "select 1")
    ),
    "asyncpg.connect": Subject(call("asyncpg:connect", POSTGRESQL), method("fetch", "select 1")),
    "asyncpg.create_pool": Subject(
        call("asyncpg:create_pool", POSTGRESQL, min_size=1, max_size=1), method("fetch", "select 1")
    ),
    "duckdb.connect": Subject(call("duckdb:connect", FOLDER / "duckdb"), method("execute", "select 1")),
    "psycopg.connect": Subject(call("psycopg:connect", POSTGRESQL), query),
    "psycopg.AsyncConnection.connect": Subject(
        call("psycopg:AsyncConnection.connect", POSTGRESQL), method("execute", "select 1")
    ),
    "psycopg_pool.ConnectionPool": Subject(
        call("psycopg_pool:ConnectionPool", POSTGRESQL, min_size=1, open=True), lent
    ),
    "psycopg_pool.AsyncConnectionPool": Subject(
        call("psycopg_pool:AsyncConnectionPool", POSTGRESQL, min_size=1), opened_and_lent
    ),
    "psycopg2.connect": Subject(call("psycopg2:connect", POSTGRESQL), query),
    "psycopg2.pool.ThreadedConnectionPool": Subject(
        call("psycopg2.pool:ThreadedConnectionPool", 1, 1, POSTGRESQL), connection_of_pool
    ),
    "redis.Redis": Subject(call("redis:Redis.from_url", REDIS), method("ping")),
    "redis.asyncio.Redis": Subject(call("redis.asyncio:Redis.from_url", REDIS), method("ping")),
    "redis.ConnectionPool": Subject(call("redis:ConnectionPool.from_url", REDIS), ping_over),
    "sqlalchemy.create_engine": Subject(call("sqlalchemy:create_engine", _SQLALCHEMY), connect_engine),
    "sqlalchemy.ext.asyncio.create_async_engine": Subject(
        call("sqlalchemy.ext.asyncio:create_async_engine", _SQLALCHEMY), connect_async_engine
    ),
    # HTTP
    "aiohttp.ClientSession": Subject(call("aiohttp:ClientSession"), fetch),
    "httpx.AsyncClient": Subject(call("httpx:AsyncClient"), method("get", HTTP)),
    "httpx.Client": Subject(call("httpx:Client"), method("get", HTTP)),
    "requests.Session": Subject(call("requests:Session"), method("get", HTTP)),
}
