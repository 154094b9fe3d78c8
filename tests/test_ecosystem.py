"""A bounded part of `make ecosystem`: some packages against the reviewed snapshot, some files in both front ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.network


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], check=False, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("package", ["langgraph", "mcp", "smolagents", "openai-agents"])
def test_findings_are_those_of_the_snapshot(package: str) -> None:
    done = run("tools/ecosystem.py", package)
    assert done.returncode == 0, done.stdout + done.stderr


def test_front_ends_are_equal_on_real_packages() -> None:
    done = run("tools/frontends.py", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " equal" in done.stdout
