"""The leak that the project was founded on is found in the releases that had it, and is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUERIES = 20

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def wheels() -> dict[str, Path]:
    """The unpacked releases: before the repair, after it, and the library whose memo held the tools."""
    lines = output(sys.executable, ROOT / "tools" / "wheels.py", "seed").splitlines()
    return {name: Path(folder) for name, folder in (line.split("\t") for line in lines)}


def output(*command: str | Path, **environment: str) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ).stdout


def memo_findings(folder: Path) -> list[dict]:
    command = [sys.executable, "-m", "toollint", "--isolated", "--exit-zero", "--select", "TL202"]
    return json.loads(output(*command, "--output-format", "json", folder))


def test_reports_the_memo_of_langchain_core(wheels: dict[str, Path]) -> None:
    folder = wheels["langchain-core-0.3.45"]
    utils = folder / "langchain_core" / "runnables" / "utils.py"
    rows = {found["location"]["row"] for found in memo_findings(folder) if Path(found["filename"]) == utils}
    assert rows & {408, 409}


@pytest.mark.parametrize(("release", "calls"), [("langgraph-0.3.15", 2), ("langgraph-0.3.16", 0)])
def test_reports_the_calls_in_langgraph_until_its_repair(wheels: dict[str, Path], release: str, calls: int) -> None:
    folder = wheels[release]
    utils = folder / "langgraph" / "pregel" / "utils.py"
    found = [finding for finding in memo_findings(folder) if Path(finding["filename"]) == utils]
    assert len(found) == calls
    for finding in found:
        line = utils.read_text(encoding="utf-8").splitlines()[finding["location"]["row"] - 1]
        assert "get_function_nonlocals(" in line


@pytest.mark.parametrize(("release", "left"), [("langgraph-0.3.15", QUERIES), ("langgraph-0.3.16", 0)])
def test_the_leak_is_real(wheels: dict[str, Path], release: str, left: int) -> None:
    python = output(sys.executable, ROOT / "tools" / "environments.py", "founding_leak").strip()
    program = ROOT / "tests" / "data" / "founding_leak.py"
    assert int(output(python, program, str(QUERIES), PYTHONPATH=str(wheels[release]))) == left
