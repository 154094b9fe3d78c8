"""How far the fixes of the ownership rules may be trusted; the fixtures apply safe and unsafe ones alike."""

from __future__ import annotations

import pytest

import toollint
from toollint.config import Config
from toollint.model import Safety

HTTP = "import httpx\n\n\nasync def ask(client: httpx.AsyncClient) -> None:\n    {}\n"
PLAIN = "import httpx\n\n\ndef ask(client: httpx.AsyncClient) -> None:\n    {}\n"
OWNER = """
import sqlite3
import weakref
import atexit
import httpx

class Notes:
    def __init__(self, path):
        self._conn = sqlite3.connect(path)
        self._http = httpx.Client()
        {register}

    def close(self):
        self._conn.close()
{more}
"""


def _owner(register, more=""):
    return OWNER.format(register=register, more=more)


BOTH = "    def both(self):\n        print(self)\n"
CASES = [
    ("TL505", HTTP.format("client.aclose()"), Safety.SAFE, ""),
    ("TL505", PLAIN.format("client.aclose()"), Safety.DISPLAY, ""),
    ("TL108", "from openai import OpenAI\n\nclient = OpenAI()\nclient.aclose()\n", Safety.SAFE, ""),
    ("TL108", "from openai import OpenAI\n\ndef end(client: OpenAI):\n    client.aclose()\n", Safety.UNSAFE, ""),
    ("TL302", _owner("weakref.finalize(self, self.close)"), Safety.SAFE, ""),
    ("TL302", _owner("weakref.finalize(self, lambda: self.close())"), Safety.UNSAFE, ""),
    ("TL302", _owner("weakref.finalize(self, self.both)", BOTH), Safety.DISPLAY, ""),
    ("TL303", _owner("atexit.register(self.close)"), Safety.UNSAFE, "when the object is collected"),
    ("TL102", _owner("pass"), Safety.UNSAFE, "does more than before"),
]


@pytest.mark.parametrize(("code", "text", "safety", "why"), CASES)
def test_safety(code, text, safety, why):
    found = toollint.check({"/project/notes.py": text.encode()}, Config(select=(code,), preview=True)).diagnostics
    assert [one.code for one in found] == [code]
    (fix,) = found[0].fixes
    assert fix.safety is safety
    assert why in fix.why
    assert bool(fix.edits) == (safety is not Safety.DISPLAY)
