"""Times a cold run over the langgraph and langchain-community wheels, beside ruff with the rules nearest to ours.

Usage: ``python bench/cold.py``; prints the best of three runs, in seconds, and how many times ruff's they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("langgraph", "langchain-community")
ROUNDS = 3
TOOLLINT = [sys.executable, "-m", "toollint", "--isolated", "--no-cache", "--exit-zero", "--output-format=concise"]
RUFF_OPTIONS = ["--select=SIM115,B019,RUF006,B023", "--no-cache", "--isolated", "--no-respect-gitignore", "--exit-zero"]
RUFF = [str(Path(sys.executable).with_name("ruff")), "check", *RUFF_OPTIONS, "--output-format=concise"]


class Cost(NamedTuple):
    """Seconds of one run, child processes included."""

    cpu: float
    wall: float


def main() -> None:
    """Print one line for each package and tool."""
    command = [sys.executable, str(ROOT / "tools" / "wheels.py"), "ecosystem"]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    folders = dict(line.split("\t") for line in listing.splitlines())
    for package in PACKAGES:
        folder = folders[package]
        files = sum(1 for _ in Path(folder).rglob("*.py"))
        ours, ruff = best(TOOLLINT, folder), best(RUFF, folder)
        print(f"{package} ({files} files)")
        print(f"  toollint  cpu {ours.cpu:6.2f} s  wall {ours.wall:6.2f} s")
        print(f"  ruff      cpu {ruff.cpu:6.2f} s  wall {ruff.wall:6.2f} s")
        print(f"  ratio     cpu {ours.cpu / ruff.cpu:6.1f}    wall {ours.wall / ruff.wall:6.1f}")


def best(command: list[str], folder: str) -> Cost:
    """The least of several runs, part by part: what disturbs a run only ever adds to it."""
    runs = [measure(command, folder) for _ in range(ROUNDS)]
    return Cost(min(run.cpu for run in runs), min(run.wall for run in runs))


def measure(command: list[str], folder: str) -> Cost:
    """One run; raises CalledProcessError where the tool fails."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([*command, "."], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    after, wall = os.times(), time.perf_counter() - start
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(cpu, wall)


if __name__ == "__main__":
    main()
