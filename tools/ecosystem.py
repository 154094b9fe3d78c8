"""Scans the pinned packages and compares the findings with the reviewed ones in `ecosystem/snapshot.txt`.

Usage: ``python tools/ecosystem.py [--update] [PACKAGE...]``. Every package (or those named) is scanned three times, the
last time with its files named in another order, and has to give the same findings each time and no TL000 or TL998.
``--update`` writes the snapshot, keeping the verdicts on findings that are still there. Exit code 1: something differs,
has no verdict yet, or too few findings are right.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import wheels

SNAPSHOT = wheels.ROOT / "ecosystem" / "snapshot.txt"
HEADER = f"""\
# What toollint finds in the pinned packages: package, place, code, message, fingerprint, verdict,
# divided by tabs.
# A verdict is `right`, `wrong` or `doubtful`, a colon and the reason, written by whoever read the code; `?` is unread.
# Written by `{Path(__file__).name} --update`, which keeps the verdicts.
"""
UNREAD = "?"
BROKEN = {"TL000", "TL998"}
ENOUGH_RIGHT = 0.9


class Finding(NamedTuple):
    """One line of the snapshot."""

    package: str
    path: str
    row: int
    code: str
    message: str
    fingerprint: str
    verdict: str = UNREAD

    @property
    def identity(self) -> tuple[str, str, str]:
        """What a verdict is remembered by: lines above the place may come and go."""
        return self.package, self.path, self.fingerprint

    def __str__(self) -> str:
        package, path, row, *rest = self
        return "\t".join([package, f"{path}:{row}", *rest])


def main() -> None:
    """Scan, compare, say what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write the snapshot")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="scan these only")
    arguments = parser.parse_args()
    update = arguments.update
    if update and arguments.packages:
        parser.error("the snapshot is written as a whole")
    folders = {name: folder for name, folder in wheels.unpacked("ecosystem").items() if _is_asked(name, arguments)}
    reviewed = [finding for finding in load() if _is_asked(finding.package, arguments)]
    verdicts = {finding.identity: finding.verdict for finding in reviewed}
    found = []
    for package, folder in folders.items():
        findings = scan(package, folder)
        print(f"{package}: {len(findings)} findings", flush=True)
        found += [finding._replace(verdict=verdicts.get(finding.identity, UNREAD)) for finding in findings]
    if update:
        SNAPSHOT.write_text(HEADER + "".join(f"{finding}\n" for finding in found), encoding="utf-8")
    complaints = judge(found if update else reviewed)
    if not update:
        complaints[:0] = difflib.unified_diff(
            [*map(str, reviewed)], [*map(str, found)], "reviewed", "found", n=0, lineterm=""
        )
    sys.exit("\n".join(complaints) or 0)


def _is_asked(package: str, arguments: argparse.Namespace) -> bool:
    return not arguments.packages or package in arguments.packages


def load() -> list[Finding]:
    """Read the snapshot; there is none before the first ``--update``."""
    if not SNAPSHOT.exists():
        return []
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    return [parse(line) for line in lines if not line.startswith("#")]


def parse(line: str) -> Finding:
    """Read one line back; raises ValueError for anything else."""
    package, place, code, message, fingerprint, verdict = line.split("\t")
    path, row = place.rsplit(":", 1)
    return Finding(package, path, int(row), code, message, fingerprint, verdict)


def scan(package: str, folder: Path) -> list[Finding]:
    """Scan one package three times; ends the program where the answers differ."""
    files = [str(path.relative_to(folder)) for path in folder.rglob("*.py")]
    random.Random(package).shuffle(files)
    first, again, shuffled = (run_toollint(folder, paths) for paths in (["."], [".", "--jobs=1"], files))
    if first != again:
        sys.exit(f"{package}: two runs give different findings")
    if first != shuffled:
        sys.exit(f"{package}: the order of the files changes the findings")
    return [
        Finding(
            package,
            Path(found["filename"]).relative_to(folder).as_posix(),
            found["location"]["row"],
            found["code"],
            found["message"],
            found["fingerprint"][:12],
        )
        for found in first
    ]


def run_toollint(folder: Path, arguments: list[str]) -> list[dict[str, Any]]:
    """One cold run with the default rules, as the JSON that users get; ends the program where toollint broke."""
    options = ["--isolated", "--no-cache", "--exit-zero", "--output-format=json"]
    command = [sys.executable, "-m", "toollint", *options, *arguments]
    run = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    findings: list[dict[str, Any]] = json.loads(run.stdout or "[]")
    broken = [f"{it['filename']}: {it['code']} {it['message']}" for it in findings if it["code"] in BROKEN]
    if run.returncode or broken:
        sys.exit("\n".join([f"toollint ended with {run.returncode} in {folder}", *broken, run.stderr]))
    return findings


def judge(findings: list[Finding]) -> list[str]:
    """Tally the verdicts, and complain about unread findings and about too many that are not right."""
    by_verdict = {
        verdict: [finding for finding in findings if finding.verdict.split(":")[0] == verdict]
        for verdict in ("right", "doubtful", "wrong", UNREAD)
    }
    print(", ".join(f"{len(group)} {verdict}" for verdict, group in by_verdict.items()))
    complaints = [f"no verdict yet: {finding}" for finding in by_verdict[UNREAD]]
    if not complaints and len(by_verdict["right"]) < ENOUGH_RIGHT * len(findings):
        complaints.append(f"fewer than {ENOUGH_RIGHT:.0%} of the findings are right")
    return complaints


if __name__ == "__main__":
    main()
