"""Applies fixes to a copy of the pinned packages and proves them: verified, parsed, done at once, and still imported.

Usage: ``python tools/fixed.py [--unsafe] [--diff] [--import] [PACKAGE...]``; prints one line for each package, with the
fixes by code, and what is wrong. The packages stay as they are. ``--unsafe`` applies unsafe fixes too; ``--diff`` shows
what was changed; ``--import`` installs what was changed, in environments of their own under `.ecosystem`, and imports
each changed module before and after. Exit code 1: a fix was rejected, a changed file does not parse, a second run
changes something again, or a module that could be imported no longer can.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import environments
import wheels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SELECT = "TL1,TL302,TL303,TL502,TL505"
REJECTED = "TL002"
BROKEN = {"TL000", REJECTED, "TL998"}
PATIENCE = 120
"""Seconds that a module may take to be imported."""
IMPORT = "import importlib, sys; importlib.import_module(sys.argv[1])"
SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
BESIDE = {
    "agno": [
        "chromadb",
        "dill",
        "ipykernel",
        "jupyter_client",
        "mcp",
        "neo4j",
        "pymilvus",
        "pymongo",
        "redis",
        "redisvl",
    ]
}
"""What modules import that their distribution does not depend on."""


class Mended(NamedTuple):
    """What became of a package: changed files, fixes by code, what they ask of other code, and what is wrong."""

    changed: list[Path]
    fixed: Counter[str]
    needed: int
    complaints: list[str]


class Imports(NamedTuple):
    """How many changed modules could be imported before and after, why some could not before, and which no longer."""

    before: int
    after: int
    never: list[str]
    broken: list[str]


def main() -> None:
    """Fix each package in a copy, check it, sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unsafe", action="store_true", help="apply unsafe fixes too")
    parser.add_argument("--select", default=SELECT, metavar="CODES", help=f"the rules (default: {SELECT})")
    parser.add_argument("--diff", action="store_true", help="show what was changed")
    parser.add_argument("--import", action="store_true", dest="imports", help="install and import what was changed")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="fix these only")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    complaints = []
    print(f"{'package':<20}  files  fixes")
    for package, folder in wheels.unpacked("ecosystem").items():
        if arguments.packages and package not in arguments.packages:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary, package)
            shutil.copytree(folder, copy)
            mended = mend(folder, copy, arguments)
            print(f"{package:<20}  {len(mended.changed):>5}  {by_code(mended.fixed)}", flush=True)
            if arguments.diff:
                sys.stdout.writelines(diff(folder, copy, mended.changed))
            found = list(mended.complaints)
            if arguments.imports and mended.changed:
                imports = compare_imports(package, folder, copy, mended.changed)
                counts.update(before=imports.before, after=imports.after)
                print(f"  imported before {imports.before} of {len(mended.changed)}, after {imports.after}")
                print("".join(f"  never imported: {line}\n" for line in imports.never), end="", flush=True)
                found += imports.broken
        total += mended.fixed
        counts.update(files=len(mended.changed), needed=mended.needed)
        complaints += [f"{package}: {line}" for line in found]
    print(f"{total.total()} fixes in {counts['files']} files: {by_code(total)}")
    print(f"{counts['needed']} findings that the fixes brought about elsewhere")
    if arguments.imports:
        print(f"imported before {counts['before']} of {counts['files']} changed modules, after {counts['after']}")
    sys.exit("\n".join(complaints) or 0)


def by_code(fixed: Counter[str]) -> str:
    """Counts in one line."""
    return ", ".join(f"{code} {count}" for code, count in sorted(fixed.items())) or "none"


# --- fixing ------------------------------------------------------------------------------------------------------


def mend(folder: Path, copy: Path, arguments: argparse.Namespace) -> Mended:
    """Fix a copy of a folder twice; the second run has nothing to do."""
    fixed, needed, complaints = run_toollint(copy, arguments)
    changed = differing(folder, copy)
    complaints += [f"{path} does not parse: {error}" for path in changed if (error := syntax_error(copy / path))]
    texts = {path: (copy / path).read_bytes() for path in changed}
    again, _, _ = run_toollint(copy, arguments)
    if (
        again
        or differing(folder, copy) != changed
        or any((copy / path).read_bytes() != texts[path] for path in changed)
    ):
        complaints.append(f"a second run changes something again: {by_code(again)}")
    if bool(fixed) != bool(changed):
        complaints.append(f"{by_code(fixed)} fixed, but {len(changed)} files changed")
    return Mended(changed, fixed, needed, complaints)


def run_toollint(folder: Path, arguments: argparse.Namespace) -> tuple[Counter[str], int, list[str]]:
    """One run with fixes: those made by code, the findings that came with them, and what could not be done."""
    options = ["--isolated", "--no-cache", "--preview", f"--select={arguments.select}", "--fix", "--show-fixes"]
    options += ["--unsafe-fixes"] * arguments.unsafe + ["--exit-zero", "--output-format=json"]
    command = [sys.executable, "-m", "toollint", *options, "."]
    run = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    findings: list[dict[str, Any]] = json.loads(run.stdout or "[]")
    broken = [found for found in findings if found["code"] in BROKEN]
    complaints = [f"{it['filename']}:{it['location']['row']}: {it['code']} {it['message']}" for it in broken]
    if run.returncode and not complaints:
        complaints = [f"toollint ended with {run.returncode}: {run.stderr}"]
    made = re.findall(r"^  (\d+) x (TL\d+)$", run.stderr, re.MULTILINE)
    fixed: Counter[str] = Counter()
    for count, code in made:
        fixed[code] += int(count)
    return fixed, run.stderr.count("now also needed: "), complaints


def differing(folder: Path, copy: Path) -> list[Path]:
    """The files that are not the same in both folders, in order."""
    paths = sorted(path.relative_to(copy) for path in copy.rglob("*.py"))
    return [path for path in paths if (folder / path).read_bytes() != (copy / path).read_bytes()]


def syntax_error(path: Path) -> str:
    """Why a file does not parse, empty if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            return str(error)
    return ""


def diff(folder: Path, copy: Path, changed: list[Path]) -> Iterator[str]:
    """What was changed, as a patch."""
    for path in changed:
        old, new = ((root / path).read_text(encoding="utf-8").splitlines(keepends=True) for root in (folder, copy))
        yield from difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")


# --- importing ---------------------------------------------------------------------------------------------------


def compare_imports(package: str, folder: Path, copy: Path, changed: list[Path]) -> Imports:
    """Import each changed module as it was installed and as it is now."""
    try:
        python = installed(package)
    except subprocess.CalledProcessError:
        return Imports(0, 0, ["it cannot be installed"], [])
    site = Path(subprocess.run([python, "-c", SITE], check=True, capture_output=True, text=True).stdout.strip())
    before = import_all(python, site, folder, changed)
    after = import_all(python, site, copy, changed)
    lay(folder, site, changed)
    works = [path for path in changed if not before[path]]
    never = [f"{path}: {before[path]}" for path in changed if before[path]]
    broken = [f"{path} no longer imports: {after[path]}" for path in works if after[path]]
    return Imports(len(works), sum(not error for error in after.values()), never, broken)


def installed(package: str) -> Path:
    """The interpreter of an environment that has the very versions of the pins, and whatever they depend on."""
    pins = tomllib.loads(wheels.PINS.read_text(encoding="utf-8"))["ecosystem"][package]
    lines = ["{}=={}\n".format(*file.split("-", 2)) for file in pins]
    lines += [f"{name}\n" for name in BESIDE.get(package, [])]
    with tempfile.TemporaryDirectory() as folder:
        name = f"fixed-{package}"
        Path(folder, f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        return environments.python(name, folder)  # a whole path: it needs no file in the project


def import_all(python: Path, site: Path, folder: Path, changed: list[Path]) -> dict[Path, str]:
    """Lay the files of a folder over the installed ones and import each on its own: why it fails, empty if not."""
    lay(folder, site, changed)
    return {path: import_error(python, path) for path in changed}


def lay(folder: Path, site: Path, changed: list[Path]) -> None:
    """Copy files over the installed ones."""
    for path in changed:
        shutil.copyfile(folder / path, site / path)


def import_error(python: Path, path: Path) -> str:
    """Import one module in a process of its own: the last line of what it says when it fails."""
    parts = path.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    with tempfile.TemporaryDirectory() as home:
        command = [str(python), "-I", "-B", "-c", IMPORT, name]
        try:
            run = subprocess.run(command, check=False, cwd=home, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return f"not imported within {PATIENCE} seconds"
    if not run.returncode:
        return ""
    return (run.stderr.strip() or f"ended with {run.returncode}").splitlines()[-1]


if __name__ == "__main__":
    main()
