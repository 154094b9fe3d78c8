"""The recipe for an owner that lives as long as the program fits the framework at hand."""

from __future__ import annotations

import pytest

import toollint
from toollint.config import Config

CACHE = """
import psycopg

_CONNECTIONS: dict[str, psycopg.Connection] = {}

def rows(user):
    if user not in _CONNECTIONS:
        _CONNECTIONS[user] = psycopg.connect(user)
    return _CONNECTIONS[user].execute("select 1").fetchall()
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("from fastapi import FastAPI\n\napp = FastAPI()\n", "app = FastAPI(lifespan=lifespan)"),
        ("from fastmcp import FastMCP\n\ndef make():\n    return FastMCP('x')\n", 'server = FastMCP("name", lifespan='),
        ("from flask import Flask\n\napp = Flask('x')\n", "async def main():"),
        ("class FastAPI: ...\n\napp = FastAPI()\n", "async def main():"),
        ("", "async def main():"),
    ],
)
def test_the_recipe_fits_the_program(program, expected):
    files = {"/project/setup.cfg": b"", "/project/cache.py": CACHE.encode(), "/project/serve.py": program.encode()}
    report = toollint.check(files, Config(select=("TL201",)))
    (found,) = report.diagnostics
    assert expected in found.fixes[-1].recipe
    assert found.fixes[-1].recipe.count("push_async_callback") == 0
