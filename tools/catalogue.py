"""Holds the catalogue against real packages, each group of them installed in an environment of its own.

Usage: ``python tools/catalogue.py [GROUP...]``; a group is a requirement file of `ecosystem/catalogue`, no group means
all of them. Its comment ``# modules: ...`` names the modules whose rows it answers for (``stdlib`` is the standard
library; the longest name wins); ``# old names of: ...`` marks older releases, which show that a name existed.
What cannot be checked is in `ecosystem/catalogue/exceptions.toml`, with reasons, and is counted. Exits with 1 where a
row differs, and says how.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import environments
import judge

from toollint.catalog import load
from toollint.catalog.records import RECORDS, Resource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ROOT / "ecosystem" / "catalogue"
PROBE = Path(__file__).parent / "inside" / "probe.py"


class Row(NamedTuple):
    """A row of the catalogue: where it is written, what it says, and all its names, its own first."""

    where: str
    record: Any
    names: tuple[str, ...]


class Group(NamedTuple):
    """A requirement file, the modules whose rows it answers for, and those of which it has old names."""

    name: str
    modules: frozenset[str]
    older: frozenset[str]


class Exceptions(NamedTuple):
    """What cannot be checked, each with its reason.

    ``absent``: modules, and names in them, that no installation has or no import reaches. ``older``: names that only an
    older release has. ``unseen``: rows whose class looks different from what it does (made at run
    time, wrapped, delegating).
    """

    absent: dict[str, str]
    older: dict[str, str]
    unseen: dict[str, str]


def rows() -> Iterator[Row]:
    """Every row of the catalogue, the calls that acquire a resource as rows of their own."""
    catalog = load()
    for section, record in RECORDS.items():
        for each in catalog.names(section):
            name, fields = catalog.find(section, each) or ("", {})
            if name == each:
                where = f'{catalog.tables(section, name)[-1]}: [{section}."{name}"]'
                yield Row(where, record(name, **fields), (name, *catalog.aliases(section, name)))


def groups() -> dict[str, Group]:
    """The groups by name."""
    found = [_group(path) for path in sorted(GROUPS.glob("*.txt"))]
    return {group.name: group for group in found}


def _group(path: Path) -> Group:
    text = path.read_text(encoding="utf-8")
    words = {
        key: frozenset(names.split())
        for key, names in re.findall(r"^# (modules|old names of): (.*)$", text, re.MULTILINE)
    }
    modules = words.get("modules", frozenset())
    library = sys.stdlib_module_names if "stdlib" in modules else frozenset()
    return Group(path.stem, modules | library, words.get("old names of", frozenset()))


def exceptions() -> Exceptions:
    """What `exceptions.toml` says."""
    return Exceptions(**tomllib.loads((GROUPS / "exceptions.toml").read_text(encoding="utf-8")))


def probe(group: str, names: Iterable[str]) -> dict[str, judge.Facts]:
    """Ask a group's environment, which is made if need be, for the facts of names.

    Raises CalledProcessError where the installation or the probe fails.
    """
    python = environments.python(group, "catalogue")
    quiet = subprocess.DEVNULL  # packages say all kinds of things when they are imported
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "facts.json")
        asked = json.dumps(sorted(names)).encode()
        command = [str(python), "-I", str(PROBE), str(answer)]
        subprocess.run(command, check=True, cwd=folder, input=asked, stdout=quiet, stderr=quiet)
        found: dict[str, judge.Facts] = json.loads(answer.read_text(encoding="utf-8"))
        return found


def rank(name: str, modules: Iterable[str]) -> int:
    """How many parts the longest module has that a name belongs to, 0 for none."""
    return max((module.count(".") + 1 for module in modules if f"{name}.".startswith(f"{module}.")), default=0)


class Check:
    """One run: the facts of the wanted groups, what differs, and counts of what was and what was not checked."""

    def __init__(self, wanted: Iterable[str], everything: dict[str, Group], known: Exceptions) -> None:
        """Take the groups of this run, all groups, and what cannot be checked."""
        self.wanted = [everything[name] for name in wanted]
        self.everything = everything
        self.known = known
        self.differences: list[str] = []
        self.unchecked: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.resources: set[str] = set()
        self.facts: dict[str, dict[str, judge.Facts]] = {}

    def run(self) -> None:
        """Probe every name that a wanted group has, and judge every row by what was found."""
        table = list(rows())
        self.resources = {row.record.name for row in table if isinstance(row.record, Resource)}
        names = {name for row in table for name in row.names}
        for group in self.wanted:
            asked = {name for name in names if self.group_of(name) == group.name or rank(name, group.older)}
            self.facts[group.name] = probe(group.name, asked)
        for row in table:
            self._judge(row)

    def group_of(self, name: str) -> str:
        """The group that answers for a name, empty where none does."""
        best = max(self.everything.values(), key=lambda group: rank(name, group.modules))
        return best.name if rank(name, best.modules) else ""

    def _judge(self, row: Row) -> None:
        """Compare a row with each thing that its names stand for: some are subclasses of the first.

        What an older release has under a name counts only where no newer one has any.
        """
        found: dict[str, tuple[str, judge.Facts]] = {}
        for name in row.names:
            facts = self._found(row, name)
            if facts is not None:
                found.setdefault(facts["id"], (name, facts))
        newest = [each for each in found.values() if not each[1]["old"]] or [*found.values()]
        wrong = [
            f"{row.where}: {difference}" if name == row.record.name else f"{row.where}: as `{name}`: {difference}"
            for name, facts in newest
            for difference in judge.differences(row.record, facts, derived=row.record.name in self.resources)
        ]
        self.counts["rows"] += bool(found)
        if row.record.name not in self.known.unseen:
            self.differences += wrong
        elif wrong:
            self.unchecked.append((row.record.name, self.known.unseen[row.record.name]))

    def _found(self, row: Row, name: str) -> judge.Facts | None:
        """The facts of a name, None where this run cannot have any; an import that fails is a difference."""
        group = self.group_of(name)
        reason = self._excuse(row, name)
        if reason:
            self.unchecked.append((name, reason))
            return None
        newest = self.facts.get(group, {}).get(name, {})
        older = [self.facts[each.name][name] for each in self.wanted if rank(name, each.older)]
        facts = next((each for each in (newest, *older) if each and "error" not in each), None)
        if facts is not None:
            self.counts["names"] += 1
            return facts | {"id": f"{group} {facts['id']}", "old": facts is not newest}
        if not newest or self._may_be_old(row, name):
            self.counts["of other groups"] += 1
        else:
            self.differences.append(f"{row.where}: `{name}` does not import: {newest['error']}")
        return None

    def _excuse(self, row: Row, name: str) -> str:
        """Why a name cannot be checked on this machine, empty if it can."""
        since = re.fullmatch(r"python 3\.(\d+)", getattr(row.record, "since", ""))
        if since and sys.version_info < (3, int(since[1])):
            return f"since {row.record.since}"
        absent = next((self.known.absent[prefix] for prefix in self.known.absent if rank(name, [prefix])), "")
        return absent or ("" if self.group_of(name) else "no group installs it")

    def _may_be_old(self, row: Row, name: str) -> bool:
        """Whether a name that is no longer there is known to be old, and a group that this run left out has it."""
        if name not in self.known.older and not getattr(row.record, "until", ""):
            return False
        return any(rank(name, group.older) and group not in self.wanted for group in self.everything.values())


def main() -> None:
    """Check the groups named on the command line, or all."""
    everything = groups()
    wanted = sys.argv[1:] or list(everything)
    unknown = [name for name in wanted if name not in everything]
    if unknown:
        sys.exit(f"no such group: {', '.join(unknown)}; there are {', '.join(everything)}")
    check = Check(wanted, everything, exceptions())
    check.run()
    for line in check.differences:
        print(line)
    for name, reason in sorted(check.unchecked):
        print(f"not checked: {name}: {reason}")
    print(
        f"{len(wanted)} groups: {check.counts['rows']} rows, {check.counts['names']} names;"
        f" {len(check.unchecked)} not checked, {check.counts['of other groups']} of other groups;"
        f" {len(check.differences)} differences"
    )
    sys.exit(bool(check.differences))


if __name__ == "__main__":
    main()
