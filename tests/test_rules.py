"""What every rule owes its readers: a page, an example that it reports, a message that reads well."""

from __future__ import annotations

import re

import pytest
from fixture_format import FIXTURES, cases, files_of

import toollint
from toollint import rules
from toollint.config import Config

RULES = rules.load()
NAME = re.compile(r"`[^`]*`")


def _block(doc, section):
    found = re.search(rf"^## {section}\n```python\n(.*?)^```", doc, re.MULTILINE | re.DOTALL)
    return found[1] if found else None


def _check(text, *, preview=True):
    files = {
        "/app/example.py": text,
        "/app/app/__init__.py": "",
        "/app/app/tools.py": TOOLS,
        "/app/app/graphs.py": GRAPHS,
    }
    report = toollint.check(files, Config(select=("ALL",), preview=preview))
    return [found for found in report.diagnostics if found.path == "/app/example.py"]


TOOLS = "from langchain_core.tools import BaseTool\n\n\nclass SqlTool(BaseTool):\n    name: str = 'sql'\n"
GRAPHS = "from langgraph.graph.state import CompiledStateGraph\n\n\ndef build(user: str) -> CompiledStateGraph: ...\n"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_page(rule):
    sections = re.findall(r"^## (.+)$", rule.doc, re.MULTILINE)
    assert [name for name in sections if name in {"Why", "Bad", "Good", "Not reported"}] == [
        "Why",
        "Bad",
        "Good",
        "Not reported",
    ]
    assert ("Fix" in sections) == (rule.fix is not None)
    assert ("Options" in sections) == (rule.options is not None)
    assert rule.stem == f"{rule.code.lower()}_{rule.name.replace('-', '_')}"
    assert rule.doc.splitlines()[0].endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_examples(rule):
    bad, good = _block(rule.doc, "Bad"), _block(rule.doc, "Good")
    assert {found.code for found in _check(bad)} == {rule.code}
    assert _check(good) == []


def _all_findings():
    for case in cases():
        texts = {f"/project/{path.relative_to(case.parent)}": path.read_bytes() for path in files_of(case)}
        yield from toollint.check(texts, Config(select=("ALL",), preview=True)).diagnostics


def test_messages():
    seen = set()
    for found in _all_findings():
        seen.add(found.code)
        plain = NAME.sub("`" + "n" * 12 + "`", found.message)
        assert len(plain) <= 90, found.message
        assert not plain.endswith("."), found.message
        assert plain == plain.lower() or any(word.isupper() for word in plain.split()), found.message
        assert "`" in found.message, found.message
        for related in found.related:
            assert len(NAME.sub("n", related.message).split()) <= 6, related.message
        assert found.help
        assert found.notes
    assert seen >= {rule.code for rule in RULES}


def test_fixture_folders_name_rules():
    names = {f"{rule.code}_{rule.name.replace('-', '_')}" for rule in RULES}
    assert {folder.name for folder in FIXTURES.glob("TL*")} == names


def test_the_closer_of_a_recipe_does_not_call_itself():
    """A class whose base is out of sight gets a closer that goes on to the one it overrides."""
    text = """\
import asyncio

from elsewhere import Client


class Wrapper(Client):
    def __del__(self) -> None:
        asyncio.get_running_loop().create_task(self.aclose())
"""
    (found,) = toollint.check({"/app/example.py": text}, Config(select=("TL502",))).diagnostics
    assert "async def aclose(self) -> None:\n    await super().aclose()\n" in found.fixes[0].recipe
