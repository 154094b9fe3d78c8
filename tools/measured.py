"""Holds what the catalogue says of run time against measurements: what leaks, what is lazy, what ``with`` closes.

Usage: ``python tools/measured.py [CALL...]``: calls of `inside/subjects.py`, none means all of them. They run in
the environment of the smoke group, against the servers of `servers.py`. Only signs count: whether anything remains,
never how much. Exits with 1 where a row differs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import environments
import servers

from toollint.catalog import Acquisition, load

INSIDE = Path(__file__).parent / "inside"
STAGES = ("made", "used", "dropped", "collected", "closed")
PROTOCOLS = {"with": "with_", "async_with": "async_with"}


def differences(row: Acquisition, found: dict[str, Any]) -> Iterator[str]:
    """Say which claims of an acquiring call and its resource a measurement denies."""
    resource = row.resource
    remains = {
        when: any(count > 0 for count in found[when]) for when in ("made", "used", "dropped", "collected", "closed")
    }
    if not remains["used"]:
        yield "holds nothing that can be counted when it is used"
    if remains["closed"]:
        yield f"`{resource.release}` leaves {found['closed']} descriptors, threads, children of {found['used']}"
    if row.lazy is not None and row.lazy == remains["made"]:
        yield f"`lazy` is {row.lazy} but three new ones hold {found['made']}"
    leak = _leak(remains)
    if resource.leak not in {leak, "unknown"}:
        left = f"{found['dropped']} after del, {found['collected']} after gc"
        yield f'`leak` is "{resource.leak}" but measured "{leak}": {left}'
    if resource.second_close not in {found["second"], "unknown"}:
        yield f'`second-close` is "{resource.second_close}" but measured "{found["second"]}"'
    for protocol, field in PROTOCOLS.items():
        claim, measured = getattr(resource, field), found.get(protocol, "absent")
        if claim != measured:
            yield f'`{protocol.replace("_", "-")}` is "{claim}" but measured "{measured}"'


def _leak(remains: dict[str, bool]) -> str:
    if remains["collected"]:
        return "open after gc"
    return "freed by full gc pass" if remains["dropped"] else "freed by refcount"


def measure(python: Path, row: Acquisition, addresses: dict[str, str]) -> dict[str, Any]:
    """Measure one acquiring call in a process of its own; an ``error`` where that fails or takes a minute."""
    command = [str(python), str(INSIDE / "measure.py"), row.name, row.resource.release]
    environment = {**os.environ, **addresses, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.CalledProcessError as error:
        return {"error": error.stderr.strip().rpartition("\n")[2]}
    except subprocess.TimeoutExpired:
        return {"error": "no answer within a minute"}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def calls(python: Path) -> list[str]:
    """The acquiring calls that there are subjects for."""
    listing = "import json, subjects; print(json.dumps(list(subjects.SUBJECTS)))"
    addresses = dict.fromkeys(("POSTGRESQL", "REDIS", "HTTP"), "")
    run = subprocess.run(
        [str(python), "-c", listing],
        check=True,
        cwd=INSIDE,
        env={**os.environ, **addresses},
        capture_output=True,
        text=True,
    )
    names: list[str] = json.loads(run.stdout)
    return names


def check(row: Acquisition, found: dict[str, Any]) -> list[str]:
    """What a call's measurement says against its row, each with the call's name."""
    wrong = [found["error"]] if "error" in found else list(differences(row, found))
    return [f"{row.name}: {each}" for each in wrong]


def main() -> None:
    """Measure the calls named on the command line, or all, four at a time: they mostly wait."""
    python = environments.python("smoke", "catalogue")
    names = sys.argv[1:] or calls(python)
    rows = [load().acquisition(name) for name in names]
    with servers.running() as addresses, ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda row: check(row, measure(python, row, addresses)), rows)
        wrong = [line for lines in found for line in lines]
    print("\n".join([*wrong, f"{len(names)} calls measured, {len(wrong)} differences"]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    try:
        main()
    except servers.MissingServerError as error:
        print(f"skipped: {error}")
