"""The disk: which files there are, reading one, replacing one without ever leaving half of it behind."""

from __future__ import annotations

import codecs
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from toollint import globs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from toollint.config import Config

LIMIT = 10 * 2**20
"""The size in bytes of the largest file that is read."""

MARKERS = ("pyproject.toml", "setup.cfg", "setup.py", ".git")


class MissingPath(Exception):  # noqa: N818
    """A path that was asked for does not exist."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: no such file or folder")
        self.path = path


class ReadError(Exception):
    """A file cannot be read; the message says why, without the file's name."""


class WriteError(Exception):
    """A file cannot be written; the message says why, without the file's name."""


class Changed(WriteError):  # noqa: N818
    """Somebody else wrote to the file since it was read."""


# --- finding -----------------------------------------------------------------------------------------------------


class _Layer(NamedTuple):
    """Patterns and the number of leading parts of a path that they do not look at."""

    depth: int
    globs: tuple[globs.Glob, ...]


class _Folder(NamedTuple):
    """A folder to walk: as the user spelt it, its real parts, and the ignore files above it, outermost first."""

    path: Path
    parts: tuple[str, ...]
    ignores: tuple[_Layer, ...]


def discover(paths: Sequence[Path], config: Config) -> Iterator[Path]:
    """Yield the files to report on, each once.

    What is named is taken, even if excluded (unless ``force_exclude``): a file whatever its name, a folder by walking
    it in sorted order for ``.py`` files. The walk leaves out symbolic links, what is no regular file, what
    ``.gitignore`` or the configuration excludes, and virtual environments. A folder that cannot be listed is yielded
    itself, so that reading it tells why.

    Raises:
        MissingPath: a path does not exist.
    """
    identity = os.path.realpath if len(paths) > 1 else os.fspath
    seen = set()
    for path in paths:
        is_folder = _is_folder(path)
        if config.force_exclude and _is_excluded(path, config):
            continue
        for file in _walk(path, config, (".py",)) if is_folder else (path,):
            if identity(file) not in seen:
                seen.add(identity(file))
                yield file


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingPath(path) from None
    except OSError:
        return False  # reading it will say why


def project_files(root: Path, config: Config) -> list[Path]:
    """Return the ``.py`` and ``.pyi`` files of a project, as `discover` walks it."""
    return list(_walk(root, config, (".py", ".pyi")))


def project_root(path: Path) -> Path:
    """Return the folder that a file's project starts in.

    That is the nearest one with a pyproject.toml, setup.cfg, setup.py or .git; else the parent of the outermost
    package around the file; else its folder.
    """
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, *folder.parents):
        if any((candidate / marker).exists() for marker in MARKERS):
            return candidate
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def _walk(start: Path, config: Config, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a folder in sorted order, those of a folder before those of its sub-folders."""
    parts = _parts(start)
    excludes = _excludes(config, parts)
    folders = [_Folder(start, parts, _ignores_above(start))]
    while folders:
        folder = folders.pop()
        entries = _entries(folder.path)
        if entries is None:
            yield folder.path
            continue
        names = {entry.name for entry in entries}
        if "pyvenv.cfg" in names and folder.path != start:
            continue
        ignores = _ignores_with(folder.ignores, folder.path, folder.parts, names)
        below = []
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not (entry.name.endswith(suffixes) and entry.is_file(follow_symlinks=False)):
                continue
            parts = (*folder.parts, _bytewise(entry.name))
            if _answer([excludes], parts, is_folder=is_folder) or _answer(ignores, parts, is_folder=is_folder):
                continue
            if is_folder:
                below.append(_Folder(folder.path / entry.name, parts, ignores))
            else:
                yield folder.path / entry.name
        folders += reversed(below)


def _entries(folder: Path) -> list[os.DirEntry[str]] | None:
    """List a folder, sorted; nothing where it has vanished, None where it cannot be listed."""
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _excludes(config: Config, start: tuple[str, ...]) -> _Layer:
    """Return the configuration's patterns, tied to its root if the walk starts below, else to the walk's start."""
    root = _parts(config.root) if config.root else start
    depth = len(root) if start[: len(root)] == root else len(start)
    return _Layer(depth, globs.parse_all(map(_bytewise, (*config.exclude, *config.extend_exclude))))


def _is_excluded(path: Path, config: Config) -> bool:
    parts = _parts(path)
    excludes = _excludes(config, parts[:-1])
    return globs.covers(excludes.globs, parts[excludes.depth :])


def _ignores_above(start: Path) -> tuple[_Layer, ...]:
    """Return the ignore files of the repository around a folder, except its own; none outside a repository.

    None either where they ignore the folder itself: who names it all the same wants to see what is in it.
    """
    real = Path(os.path.realpath(start))
    around = [real, *real.parents]
    top = next((index for index, folder in enumerate(around) if os.path.lexists(folder / ".git")), 0)
    layers: tuple[_Layer, ...] = ()
    for folder in reversed(around[: top + 1]):
        parts = _parts(folder)
        if _answer(layers, parts, is_folder=True):
            return ()
        if folder != real:
            names = {name for name in (".git", ".gitignore") if os.path.lexists(folder / name)}
            layers = _ignores_with(layers, folder, parts, names)
    return layers


def _ignores_with(
    outer: tuple[_Layer, ...], folder: Path, parts: tuple[str, ...], names: AbstractSet[str]
) -> tuple[_Layer, ...]:
    """Add a folder's own ignore files; a repository within a repository knows nothing of those outside."""
    if ".git" in names:
        outer = _layer(folder / ".git" / "info" / "exclude", parts)
    return outer + _layer(folder / ".gitignore", parts) if ".gitignore" in names else outer


def _layer(file: Path, parts: tuple[str, ...]) -> tuple[_Layer, ...]:
    """Read an ignore file whose patterns are relative to a folder; one that cannot be read ignores nothing."""
    try:
        text = read(file).removeprefix(codecs.BOM_UTF8).decode("latin-1")
    except ReadError:
        return ()
    return (_Layer(len(parts), globs.parse_all(text.split("\n"))),)


def _answer(layers: Sequence[_Layer], parts: Sequence[str], *, is_folder: bool) -> bool:
    """Whether a path is ignored: the innermost layer that has anything to say decides."""
    for layer in reversed(layers):
        answer = globs.verdict(layer.globs, parts[layer.depth :], is_folder=is_folder)
        if answer is not None:
            return answer
    return False


def _parts(path: Path) -> tuple[str, ...]:
    return tuple(_bytewise(part) for part in Path(os.path.realpath(path)).parts)


def _bytewise(name: str) -> str:
    """Spell a name with one character for each byte: that is what git's patterns see, in any encoding."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


# --- reading and writing -----------------------------------------------------------------------------------------


def read(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        ReadError: it is missing, forbidden, no regular file (a pipe would block for ever) or larger than `LIMIT`.
    """
    try:
        _require_regular(path.stat())
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            _require_regular(os.fstat(descriptor))  # it may have been replaced in between
            data = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise ReadError(_reason(error)) from None
    if len(data) > LIMIT:
        raise ReadError(f"larger than {LIMIT // 2**20} MiB")
    return data


def write_atomic(path: Path, data: bytes, expected: bytes) -> None:
    """Replace the contents of a file: after a crash at any moment it holds either the old bytes or the new ones.

    Symbolic links, mode, owner and extended attributes stay. A file with several hard links, or whose owner or
    attributes we are not allowed to give to a new file, is written in place instead.

    Raises:
        Changed: the file no longer holds ``expected``.
        WriteError: the folder or the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.stat().st_nlink > 1 or not _replace(target, data, expected):
            _write_in_place(target, data, expected)
    except OSError as error:
        raise WriteError(_reason(error)) from None


def _replace(target: Path, data: bytes, expected: bytes) -> bool:
    """Write a new file and put it in the place of the old one; false if it cannot look like the old one."""
    descriptor, name = tempfile.mkstemp(prefix=".toollint-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            alike = _copy_metadata(target, descriptor)
            os.fsync(descriptor)
        if alike:
            _require_unchanged(target, expected)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if alike:
        _sync_folder(target.parent)
    return alike


def _copy_metadata(target: Path, descriptor: int) -> bool:
    """Give an open file the owner, attributes and mode of another; false if that is not allowed."""
    if sys.platform == "win32":
        return True
    info = target.stat()
    try:
        os.fchown(descriptor, info.st_uid, info.st_gid)
        if sys.platform == "linux":
            for attribute in os.listxattr(target):
                os.setxattr(descriptor, attribute, os.getxattr(target, attribute))
    except OSError:
        return False
    os.fchmod(descriptor, stat.S_IMODE(info.st_mode))  # last: a change of owner clears bits
    return True


def _write_in_place(target: Path, data: bytes, expected: bytes) -> None:
    with target.open("r+b") as file:
        _require_unchanged(target, expected)
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file survive a power cut; not every system lets one open a folder."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _require_regular(info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise ValueError("is a folder" if stat.S_ISDIR(info.st_mode) else "not a regular file")


def _require_unchanged(target: Path, expected: bytes) -> None:
    try:
        unchanged = read(target) == expected
    except ReadError:
        unchanged = False
    if not unchanged:
        raise Changed("changed on disk since it was read")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
