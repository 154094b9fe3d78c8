"""TL101 beyond its fixtures: how safe each fix is and why, and the option."""

from __future__ import annotations

import pytest
from fixture_format import FIXTURES

import toollint
from toollint.config import Config
from toollint.model import Safety

FOLDER = FIXTURES / "TL101_tool_owns_unreleased_resource"
TOOL = """
import {module}
from langchain_core.tools import BaseTool

class Ask(BaseTool):
    def __init__(self):
        super().__init__()
        self._llm = {module}.{client}()
"""


@pytest.fixture(scope="module")
def fixes():
    """The one fix of each class in the single-file fixtures, by the class's name."""
    paths = [*FOLDER.glob("*.py"), *FOLDER.glob("across_files/**/*.py")]
    texts = {
        f"/project/{path.relative_to(FOLDER)}".replace("across_files/", ""): path.read_bytes()
        for path in paths
        if ".fixed." not in path.name
    }
    report = toollint.check(texts, Config(select=("TL101",)))
    return {found.message.split("`")[1]: fix for found in report.diagnostics for fix in found.fixes}


@pytest.mark.parametrize(
    ("name", "safety", "why"),
    [
        ("InConstructor", Safety.SAFE, ""),
        ("InTryThatRaises", Safety.SAFE, ""),
        ("Several", Safety.SAFE, ""),
        ("SyncAndAsync", Safety.SAFE, ""),
        ("PrivateFactory", Safety.SAFE, ""),
        ("AfterInit", Safety.SAFE, ""),
        ("InValidator", Safety.SAFE, ""),
        ("OverridesEmpty", Safety.UNSAFE, "whoever calls it"),
        ("Lazy", Safety.UNSAFE, "opened later"),
        ("LazyAndUndeclared", Safety.UNSAFE, "opened later"),
        ("CachedProperty", Safety.UNSAFE, "opened later"),
        ("Reconnecting", Safety.UNSAFE, "opened later"),
        ("PublicFactory", Safety.UNSAFE, "passed the resource in"),
        ("AdkTools", Safety.UNSAFE, "is a hook of"),
        ("Fetcher", Safety.UNSAFE, "is a hook of Haystack"),
        ("Database", Safety.UNSAFE, "all its subclasses"),
        ("FieldNamedClose", Safety.DISPLAY, "means something else"),
        ("EmptyClose", Safety.DISPLAY, "does nothing"),
        ("OwnHooks", Safety.DISPLAY, "hooks of its own"),
    ],
)
def test_safety(fixes, name, safety, why):
    fix = fixes[name]
    assert fix.safety is safety
    assert why in fix.why
    assert bool(fix.why) == (safety is not Safety.SAFE)
    assert bool(fix.recipe) == (safety is Safety.DISPLAY)


@pytest.mark.parametrize(("module", "client"), [("openai", "OpenAI"), ("anthropic", "Anthropic")])
@pytest.mark.parametrize("counted", [True, False])
def test_llm_clients_count_by_option(module, client, counted):
    rules = {"TL101": {"llm_clients": counted}}
    report = toollint.check(
        {"/project/ask.py": TOOL.format(module=module, client=client).encode()}, Config(select=("TL101",), rules=rules)
    )
    assert [found.code for found in report.diagnostics] == ["TL101"] * counted


LENT = """
import sqlalchemy
from langchain_core.tools import BaseTool

class Ask(BaseTool):
    def __init__(self, url):
        super().__init__()
        self._conn = self._connect(url)

    def _connect(self, url):
        engine = sqlalchemy.create_engine(url)
        return engine.connect()
"""


def test_what_another_object_gave_is_not_released_safely():
    """Closing a connection gives it back to a pool, which nobody can reach any more."""
    report = toollint.check({"/project/ask.py": LENT.encode()}, Config(select=("TL101",)))
    (fix,) = (fix for found in report.diagnostics for fix in found.fixes)
    assert fix.safety is Safety.UNSAFE
    assert "gave it" in fix.why
