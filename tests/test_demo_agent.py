"""The demo agent really leaks, its fix really stops what it mends, and the mended twin leaks nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AS_WRITTEN = ROOT / "fixtures" / "demo_agent"
MENDED = ROOT / "fixtures" / "demo_agent_mended"
LEAKS = ["TL101 open connections", "TL201 leave tools", "TL202 search tools", "TL301 graphs"]
REQUESTS = (5, 20)


def toollint(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toollint", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def left_over():
    """A function from the folder of a service to what remains after 5 and after 20 requests, by leak."""
    maker = [sys.executable, ROOT / "tools" / "environments.py", "demo_agent"]
    python = subprocess.run(maker, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def measure(service: Path) -> dict[str, tuple[int, ...]]:
        load = [python, "-B", ROOT / "tests" / "data" / "demo_load.py", *map(str, REQUESTS)]
        run = subprocess.run(load, check=False, cwd=service, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        rounds = [json.loads(line) for line in run.stdout.splitlines()]
        return {leak: tuple(counts[leak] for counts in rounds) for leak in rounds[0]}

    return measure


@pytest.mark.network
def test_as_written_every_counter_grows(left_over):
    assert left_over(AS_WRITTEN) == dict.fromkeys(LEAKS, REQUESTS)


@pytest.mark.network
def test_the_fix_stops_what_it_mends(left_over, tmp_path):
    service = shutil.copytree(AS_WRITTEN, tmp_path / "demo_agent")
    run = toollint("--isolated", "--fix", "--unsafe-fixes", service)
    assert run.returncode == 1, run.stdout + run.stderr
    assert left_over(service) == {
        "TL101 open connections": (0, 0),  # the service closes what can be closed, and now this tool can
        "TL201 leave tools": REQUESTS,
        "TL202 search tools": REQUESTS,
        "TL301 graphs": (0, 0),
    }


@pytest.mark.network
def test_mended_nothing_grows(left_over):
    assert left_over(MENDED) == dict.fromkeys(LEAKS, (0, 0))


def test_every_leak_is_reported_at_its_place() -> None:
    run = toollint("--isolated", "--output-format", "json", AS_WRITTEN)
    assert run.returncode == 1, run.stdout + run.stderr
    places = [
        (found["code"], Path(found["filename"]).name, found["location"]["row"]) for found in json.loads(run.stdout)
    ]
    assert sorted(places) == [
        ("TL101", "handbook.py", row_of("handbook.py", "class HandbookSearch")),
        ("TL201", "leave.py", row_of("leave.py", "_BALANCES: dict")),
        ("TL202", "handbook.py", row_of("handbook.py", "@lru_cache")),
        ("TL301", "usage.py", row_of("usage.py", "_USAGE: dict")),
    ]


def row_of(module: str, start: str) -> int:
    lines = (AS_WRITTEN / "demo_agent" / module).read_text(encoding="utf-8").splitlines()
    return next(row for row, line in enumerate(lines, 1) if line.startswith(start))


def test_the_mended_twin_is_silent() -> None:
    run = toollint("--isolated", MENDED)
    assert run.returncode == 0, run.stdout + run.stderr
