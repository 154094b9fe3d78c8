"""Starts what drivers connect to, on loopback and free ports, and stops it again: PostgreSQL, Redis, a web server.

PostgreSQL and Redis are Debian's: installed with apt-get where they are missing and this runs as root.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_PROGRAMS = {"postgresql": "initdb", "redis-server": "redis-server"}
_PATIENCE = 20.0  # seconds for a server to answer


class MissingServerError(RuntimeError):
    """A server is not installed and cannot be; the message says which and why."""


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """Start all three; give their addresses as environment variables: POSTGRESQL, REDIS, HTTP.

    Raises MissingServerError, and CalledProcessError where a server does not start.
    """
    for package in _PROGRAMS:
        _provide(package)
    with contextlib.ExitStack() as stack:
        yield {
            "POSTGRESQL": stack.enter_context(_postgresql()),
            "REDIS": stack.enter_context(_redis()),
            "HTTP": stack.enter_context(_http()),
        }


def _provide(package: str) -> None:
    """See that a package of Debian is there."""
    if _program(_PROGRAMS[package]):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingServerError(f"{package} is not installed; only root can install it, with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # so that it is not started
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    for command in (["apt-get", "update", "--quiet"], install):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    """PostgreSQL refuses to run as root, so root lends its data directory to `postgres`."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            Path(folder).chmod(0o755)
            shutil.chown(data, user)
        create = [_program("initdb"), "--auth=trust", "--no-sync", "--username=postgres", str(data)]
        subprocess.run(create, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        with _server([_program("postgres"), "-D", str(data), "-p", str(port), *options], port, user):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        with _server([_program("redis-server"), *options], port):
            yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def _server(command: list[str], port: int, user: str | None = None) -> Iterator[None]:
    """Run a server until the block ends; the block begins when the port answers."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, user=user) as process:
        try:
            _await(process, port)
            yield
        finally:
            process.terminate()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise subprocess.CalledProcessError(process.poll() or 1, process.args)


@contextlib.contextmanager
def _http() -> Iterator[str]:
    """A web server that lists an empty folder and keeps connections alive."""
    with tempfile.TemporaryDirectory() as folder:
        handler = functools.partial(_Handler, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _program(name: str) -> str:
    """The path of a program, empty where it is not installed; Debian keeps PostgreSQL's out of everyone's PATH."""
    folders = [os.environ.get("PATH", os.defpath), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(folders)) or ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
