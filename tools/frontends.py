"""Holds the two front ends equal on real packages: ``python tools/frontends.py [EVERY]`` compares each EVERYth file.

Files that one of them refuses are counted; a file that both take and translate differently is named, and the exit code
is 1.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import wheels

from toollint.frontends import Refused, Tree, fast, reference
from toollint.source import Source, Unreadable, decode
from toollint.syntax import Node


def dumped(value: Any) -> Any:
    """A node as nested tuples with its class's name, so that equal fields of different classes differ."""
    if isinstance(value, Node):
        return (type(value).__name__, *map(dumped, value))
    return tuple(map(dumped, value)) if isinstance(value, tuple) else repr(value)


def verdict(path: str) -> str:
    """``equal``, ``different``, or which of the two refuses the file."""
    try:
        source = decode(path, Path(path).read_bytes())
    except Unreadable:
        return "undecodable"
    one, other = _tree(fast, source), _tree(reference, source)
    if one is None or other is None:
        return f"refused by {'both' if one is other else 'fast' if one is None else 'reference'}"
    if list(one.spans) != list(other.spans):
        return "different"
    pairs = ((dumped(one.translate(index)), dumped(other.translate(index))) for index in range(len(one.spans)))
    return "equal" if all(first == second for first, second in pairs) else "different"


def _tree(frontend: Any, source: Source) -> Tree | None:
    try:
        tree: Tree = frontend.parse(source.text, source.utf8, source.line_starts)
    except Refused:
        return None
    return tree


def main() -> int:
    """Compare, print the counts, name what differs."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    folders = wheels.unpacked("ecosystem").values()
    paths = [str(path) for folder in folders for path in sorted(folder.rglob("*.py"))][::every]
    with ProcessPoolExecutor() as pool:
        verdicts = dict(zip(paths, pool.map(verdict, paths, chunksize=8), strict=True))
    for path, found in verdicts.items():
        if found != "equal":
            print(f"{found}: {Path(path).relative_to(wheels.CACHE)}")
    print(", ".join(f"{count} {found}" for found, count in sorted(Counter(verdicts.values()).items())))
    return int("different" in verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
