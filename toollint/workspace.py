"""Files as the rules see them: read once, decoded, parsed by one front end or the other, joined into projects.

The only place that knows both the disk and the project. Unsaved buffers lie over the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from toollint import catalog, files, lower
from toollint.analyses.lifetimes import Statistics, take_statistics
from toollint.analyses.values import Values
from toollint.config import Config
from toollint.diagnostics import symbol_at
from toollint.facts import ModuleFacts
from toollint.frontends import Refused, Tree
from toollint.model import Rule
from toollint.project import Project
from toollint.source import Source, Unreadable, decode


class Workspace(Mapping[str, Source]):
    """The files that one run looks at; every file is read and parsed at most once."""

    def __init__(self, config: Config, buffers: Mapping[Path, bytes] | None = None) -> None:
        """Take the configuration, and texts that replace or add to what is on the disk, by absolute path."""
        self.config = config
        self.buffers = {str(path): data for path, data in (buffers or {}).items()}
        self._sources: dict[str, Source | Exception] = {}
        self._trees: dict[str, Tree | Refused] = {}
        self._projects: dict[Path, Values] = {}
        self._roots: dict[Path, Path] = {}
        self._files: dict[Path, list[str]] = {}
        self._subjects: dict[tuple[type, str], Sequence[object]] = {}

    def with_texts(self, texts: Mapping[str, bytes]) -> Workspace:
        """The same files with other texts for some; what was read and parsed of the others is kept."""
        buffers = {Path(path): data for path, data in {**self.buffers, **texts}.items()}
        after = Workspace(self.config, buffers)
        after._sources = {path: source for path, source in self._sources.items() if path not in texts}
        after._trees = {path: tree for path, tree in self._trees.items() if path not in texts}
        after._roots, after._files = self._roots, self._files
        return after

    def __getitem__(self, path: str) -> Source:
        """The decoded text of a file.

        Raises:
            ReadError: it cannot be read.
            Unreadable: it is no Python text.
        """
        if path not in self._sources:
            self._sources[path] = self._read(path)
        found = self._sources[path]
        if isinstance(found, Exception):
            raise found
        return found

    def readable(self, path: str) -> Source | None:
        """The decoded text of a file, None where it cannot be had."""
        try:
            return self[path]
        except (files.ReadError, Unreadable):
            return None

    def tree(self, path: str) -> Tree:
        """A file as its front end parsed it.

        Raises:
            ReadError, Unreadable: as reading it.
            Refused: no front end takes it; with the position that the running interpreter gives.
        """
        source = self[path]
        if path not in self._trees:
            self._trees[path] = _parse(source, self.config.frontend)
        found = self._trees[path]
        if isinstance(found, Refused):
            raise found
        return found

    def around(self, path: str) -> Values:
        """The project around a file."""
        folder = Path(path).parent
        if folder not in self._roots:
            self._roots[folder] = self._root(Path(path))
        root = self._roots[folder]
        if root not in self._projects:
            self._projects[root] = Values(self._project(root))
        return self._projects[root]

    def subjects(self, rule: Rule, path: str) -> Sequence[object]:
        """What a file has for a rule to look at; found once for all rules with the same subject."""
        key = (rule.subject, path)
        if key not in self._subjects:
            values = self.around(path)
            module = values.project.module_at(path)
            self._subjects[key] = [] if module is None else [*rule.subject.find(values, module)]
        return self._subjects[key]

    def take_statistics(self) -> Statistics:
        """What the interpretation of functions has cost since this was asked last."""
        return sum(map(take_statistics, self._projects.values()), Statistics())

    def symbol(self, path: str, offset: int) -> str:
        """The qualified name of what encloses a place."""
        module = self.around(path).project.module_at(path)
        return "" if module is None else symbol_at(module, offset)

    def __iter__(self) -> Iterator[str]:
        """The files that were looked at."""
        return iter(self._sources)

    def __len__(self) -> int:
        """How many files were looked at."""
        return len(self._sources)

    def _read(self, path: str) -> Source | Exception:
        try:
            data = self.buffers[path] if path in self.buffers else files.read(Path(path))
            return decode(path, data)
        except (files.ReadError, Unreadable) as error:
            return error

    def _root(self, path: Path) -> Path:
        """The folder in which the project around a file starts; packages need not be saved yet."""
        root = files.project_root(path)
        if any((root / marker).exists() for marker in files.MARKERS):
            return root
        while str(root / "__init__.py") in self.buffers and root != root.parent:
            root = root.parent
        return root

    def _project(self, root: Path) -> Project:
        if root not in self._files:
            self._files[root] = [str(path) for path in files.project_files(root, self.config)]
        below = [path for path in self.buffers if Path(path).is_relative_to(root)]
        paths = sorted({*self._files[root], *below})
        roots = [str(root), *(str(root / folder) for folder in ("src", *self.config.src))]
        return Project(paths, roots, self._facts, self.readable, catalog.load(self.config.catalogue))

    def _facts(self, path: str, name: str, is_package: bool) -> ModuleFacts | None:
        try:
            tree = self.tree(path)
        except (files.ReadError, Unreadable, Refused):
            return None
        return lower.lower(path, name, is_package=is_package, utf8=self[path].utf8, tree=tree)


def _parse(source: Source, frontend: str) -> Tree | Refused:
    """Parse with the fast front end, and where it refuses with the reference one; its verdict on errors stands."""
    arguments = (source.text, source.utf8, source.line_starts)
    refused = None
    if frontend == "ast":
        from toollint.frontends import fast  # noqa: PLC0415 - each front end's parser is dear to import

        try:
            return fast.parse(*arguments)
        except Refused as error:
            refused = error
    from toollint.frontends import reference  # noqa: PLC0415

    try:
        return reference.parse(*arguments)
    except Refused as error:
        return refused or _position_of_cpython(source) or error


def _position_of_cpython(source: Source) -> Refused | None:
    """What the running interpreter says of a file that libcst refuses: libcst's own positions are wrong."""
    from toollint.frontends import fast  # noqa: PLC0415

    try:
        fast.parse(source.text, source.utf8, source.line_starts)
    except Refused as error:
        return error
    return None
