"""Patterns, the walk, reading and writing: against git itself and against real files of every kind."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from toollint import files, globs
from toollint.config import Config

EVERYTHING = Config(exclude=(".git",))


def write(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(root: Path, *paths: str, config: Config = EVERYTHING) -> list[str]:
    return [os.path.relpath(path, root) for path in files.discover([root / path for path in paths or ("",)], config)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.excludesFile=", "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.decode()


# --- patterns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.py", "a/b.py", True),
        ("a.py", "x/a.py", True),
        ("/a.py", "x/a.py", False),
        ("x/*.py", "x/a.py", True),
        ("x/*.py", "x/y/a.py", False),
        ("x/**", "x/y/a.py", True),
        ("x/**", "x", False),
        ("**/a.py", "a.py", True),
        ("x/**/a.py", "x/a.py", True),
        ("x/**/a.py", "x/y/z/a.py", True),
        ("x/**/y/**/z", "x/y/y/z/z", True),
        ("x/**/y/**/z", "x/z/y", False),
        ("/**", "a", True),
        ("a?.py", "ab.py", True),
        ("a[!b-d].py", "ac.py", False),
        ("a[^b-d].py", "ae.py", True),
        ("[]a].py", "].py", True),
        (r"[\]].py", "].py", True),
        ("[a-].py", "-.py", True),
        ("[z-a].py", "m.py", False),
        ("[ab.py", "[ab.py", False),
        (r"a\*.py", "a*.py", True),
        (r"a\*.py", "ab.py", False),
        ("a.py\\", "a.py", False),
        (r"\#a.py", "#a.py", True),
        (r"\!a.py", "!a.py", True),
        ("a.py   ", "a.py", True),
        (r"a.py\  ", "a.py ", True),
        ("a.py\r", "a.py", True),
        ("x/", "x", False),
        ("a.*.c", "a.b.b.c", True),
        ("a**b", "axxb", True),
    ],
)
def test_a_pattern_fits_a_file(pattern, path, matches):
    glob = globs.parse(pattern)
    assert glob.matches(path.split("/"), is_folder=False) is matches


@pytest.mark.parametrize("line", ["", "   ", "# comment", "#"])
def test_lines_that_say_nothing(line):
    assert globs.parse(line) is None


def test_the_last_pattern_decides():
    listed = globs.parse_all(["*.py", "!keep.py"])
    assert globs.verdict(listed, ["a.py"], is_folder=False) is True
    assert globs.verdict(listed, ["keep.py"], is_folder=False) is False
    assert globs.verdict(listed, ["a.txt"], is_folder=False) is None


def test_no_pattern_takes_exponential_time():
    """A matcher that tries every way to place thirty stars would not end; a test run that hangs is the failure."""
    stars = globs.parse("a*" * 30 + "b")
    assert not stars.matches(["a" * 200], is_folder=False)
    assert stars.matches(["a" * 200 + "b"], is_folder=False)
    folders = globs.parse("**/a/" * 30 + "b")
    assert not folders.matches(["a"] * 200, is_folder=False)
    assert folders.matches(["a"] * 200 + ["b"], is_folder=False)


# --- the walk ----------------------------------------------------------------------------------------------------


def test_folders_are_walked_for_python_files_in_sorted_order(tmp_path):
    write(tmp_path, "b.py", "a.py", "sub/c.py", "a.pyi", "a.txt", "sub/deep/d.py", "s/e.py")
    assert found(tmp_path) == ["a.py", "b.py", "s/e.py", "sub/c.py", "sub/deep/d.py"]
    assert [path.name for path in files.project_files(tmp_path, EVERYTHING)][:3] == ["a.py", "a.pyi", "b.py"]


def test_named_files_are_taken_whatever_their_name_and_each_once(tmp_path):
    write(tmp_path, "script", "build/a.py", "b.py", ".gitignore", text="b.py\n")
    assert found(tmp_path, "script", "build/a.py", "b.py", "script", "", config=Config()) == [
        "script",
        "build/a.py",
        "b.py",
    ]


def test_force_exclude_holds_for_named_files(tmp_path):
    write(tmp_path, "build/deep/a.py", "b.py")
    config = Config(force_exclude=True, extend_exclude=("b.*",), root=tmp_path)
    assert found(tmp_path, "build/deep/a.py", "b.py", config=config) == []


@pytest.mark.parametrize(
    ("exclude", "left", "below"),
    [
        (("sub",), ["a.py", "other/sub.py"], ["other/sub.py"]),
        (("/other",), ["a.py", "sub/b.py"], ["other/sub.py"]),
        (("other/*.py",), ["a.py", "sub/b.py"], []),
        (("*.py", "!b.py"), ["sub/b.py"], []),
    ],
)
def test_configured_excludes_are_relative_to_the_root(tmp_path, exclude, left, below):
    write(tmp_path, "a.py", "sub/b.py", "other/sub.py")
    config = Config(extend_exclude=exclude, root=tmp_path)
    assert found(tmp_path, config=config) == left
    assert found(tmp_path, "other", config=config) == below  # a folder that is named is walked though excluded


def test_the_usual_folders_and_virtual_environments_are_left_out(tmp_path):
    write(tmp_path, "node_modules/a.py", ".venv/a.py", "my_env/pyvenv.cfg", "my_env/a.py", "env/a.py")
    assert found(tmp_path, config=Config()) == ["env/a.py"]
    assert found(tmp_path, "my_env", config=Config()) == ["my_env/a.py"]


def test_ignore_files_of_parents_count_down_from_the_repository(tmp_path):
    write(tmp_path, ".gitignore", text="outside.py\n")
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    write(repository, ".gitignore", text="top.py\n/sub/anchored.py\n")
    write(repository, ".git/info/exclude", text="private.py\n")
    write(repository, "sub/.gitignore", text="!top.py\nlocal.py\n")
    names = ("outside.py", "top.py", "anchored.py", "private.py", "local.py", "plain.py")
    write(repository, *(f"sub/inner/{name}" for name in names), *(f"sub/{name}" for name in names))
    assert found(repository / "sub", "inner") == [
        "inner/anchored.py",
        "inner/outside.py",
        "inner/plain.py",
        "inner/top.py",
    ]
    assert found(repository / "sub")[:3] == ["outside.py", "plain.py", "top.py"]


def test_a_folder_is_walked_if_named_though_ignored(tmp_path):
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="a.py\n/ignored/\n")
    write(tmp_path, "ignored/sub/a.py", "ignored/sub/b.py", "seen/a.py", "seen/b.py")
    write(tmp_path, "ignored/sub/.gitignore", text="b.py\n")
    assert found(tmp_path) == ["seen/b.py"]
    assert found(tmp_path, "ignored", "seen") == ["ignored/sub/a.py", "seen/b.py"]
    assert found(tmp_path, "ignored/sub") == ["ignored/sub/a.py"]


def test_a_repository_within_is_on_its_own(tmp_path):
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="a.py\n")
    write(tmp_path, "a.py", "inner/a.py", "inner/.git/HEAD")
    assert found(tmp_path) == ["inner/a.py"]


def test_traps_are_walked_around(tmp_path):
    write(tmp_path, "a.py", "folder.py/inside.py", "B.py", "b.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.py")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket may have 107 bytes
        try:
            server.bind("socket.py")
        finally:
            os.chdir(here)
        assert found(tmp_path) == ["B.py", "a.py", "b.py", "folder.py/inside.py"]


def test_names_need_not_be_utf8_nor_short(tmp_path):
    odd = os.fsdecode(b"\xff\xe9.py")
    long = "x" * 252 + ".py"
    write(tmp_path, odd, long)
    assert found(tmp_path) == [long, odd]
    assert files.read(tmp_path / odd) == b""
    write(tmp_path, ".gitignore", text="")
    (tmp_path / ".gitignore").write_bytes(b"\xff*\n")
    assert found(tmp_path) == [long]


def test_a_missing_path_is_an_error(tmp_path):
    write(tmp_path, "a.py")
    for name in ("nowhere", "a.py/b.py"):
        with pytest.raises(files.MissingPath, match="no such file or folder"):
            found(tmp_path, name)


def test_a_folder_that_cannot_be_listed_is_yielded_itself():
    with public_folder() as folder:
        write(folder, "a.py", "secret/b.py")
        (folder / "secret").chmod(0)
        with unprivileged():
            assert found(folder) == ["a.py", "secret"]
            with pytest.raises(files.ReadError, match="is a folder"):
                files.read(folder / "secret")
        (folder / "secret").chmod(0o700)


SEGMENT = st.lists(
    st.sampled_from(["a", "b", "c", "*", "?", "[ab]", "[!a]", "[]a]", "[a-c]", "\\a", "**", ".py"]),
    min_size=1,
    max_size=4,
).map("".join)
PATTERN = st.builds(
    lambda negated, lead, segments, trail: negated + lead + "/".join(segments) + trail,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(SEGMENT | st.just("**"), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "/**"]),
)
FOLDER = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)
FILE = st.builds(lambda folder, name: "/".join([*folder, name]), FOLDER, st.sampled_from(["a.py", "b.py", "ca.py"]))
IGNORE = st.lists(PATTERN, min_size=1, max_size=4)
IGNORES = st.dictionaries(FOLDER.map(lambda folder: "/".join([*folder, ".gitignore"])), IGNORE, max_size=3)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(FILE, min_size=3, max_size=10), ignores=IGNORES)
@example(names=["a/b.py", "ab/a.py"], ignores={".gitignore": ["a", "!a/b.py", "*", "!ab", "!ab/**"]})
def test_the_walk_finds_what_git_finds(names, ignores):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        git(root, "init", "-q", "--template=")
        write(root, *names)
        for name, patterns in ignores.items():
            write(root, name, text="\n".join(patterns))
        listed = git(root, "ls-files", "-co", "--exclude-standard").splitlines()
        assert sorted(found(root)) == sorted(name for name in listed if name.endswith(".py"))


# --- projects ----------------------------------------------------------------------------------------------------


def test_the_root_of_a_project(tmp_path):
    write(tmp_path, "app/setup.cfg", "app/src/pkg/__init__.py", "app/src/pkg/m.py")
    assert files.project_root(tmp_path / "app/src/pkg/m.py") == tmp_path / "app"
    assert files.project_root(tmp_path / "app") == tmp_path / "app"


@pytest.mark.skipif(
    any((folder / name).exists() for folder in Path(tempfile.gettempdir()).parents for name in files.MARKERS),
    reason="something above the temporary folder is a project",
)
def test_without_a_marker_the_outermost_package_tells(tmp_path):
    write(tmp_path, "lib/pkg/__init__.py", "lib/pkg/sub/__init__.py", "lib/pkg/sub/m.py", "lib/script.py")
    assert files.project_root(tmp_path / "lib/pkg/sub/m.py") == tmp_path / "lib"
    assert files.project_root(tmp_path / "lib/script.py") == tmp_path / "lib"


# --- reading -----------------------------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for path, reason in (
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "nothing", "no such file"),
        (tmp_path / "a\0b", "null"),
    ):
        with pytest.raises(files.ReadError, match=reason):
            files.read(path)


def test_the_largest_file_that_is_read(tmp_path):
    path = tmp_path / "large.py"
    path.touch()
    os.truncate(path, files.LIMIT)
    assert len(files.read(path)) == files.LIMIT
    os.truncate(path, files.LIMIT + 1)
    with pytest.raises(files.ReadError, match="larger than 10 MiB"):
        files.read(path)


# --- writing -----------------------------------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    return path


@contextlib.contextmanager
def public_folder():
    """Make a folder that everybody can reach: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@contextlib.contextmanager
def unprivileged():
    """Do without the rights of root, for whom no file is forbidden."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o640, 0o755, 0o600])
def test_a_file_is_replaced_and_keeps_its_mode(target, mode):
    target.chmod(mode)
    inode = target.stat().st_ino
    files.write_atomic(target, b"new", b"old")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.stat().st_ino != inode
    assert names_in(target.parent) == ["a.py"]


def test_extended_attributes_stay(target):
    if sys.platform != "linux":
        pytest.skip("only Linux has them in os")
    try:
        os.setxattr(target, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has none")
    files.write_atomic(target, b"new", b"old")
    assert os.getxattr(target, "user.note") == b"kept"


def test_a_link_stays_a_link(target):
    link = target.with_name("link.py")
    link.symlink_to("a.py")
    files.write_atomic(link, b"new", b"old")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_hard_links_stay_together(target):
    other = target.with_name("other.py")
    os.link(target, other)
    files.write_atomic(target, b"n", b"old")
    assert other.read_bytes() == b"n"
    assert names_in(target.parent) == ["a.py", "other.py"]


def test_another_owner_stays():
    if os.geteuid():
        pytest.skip("only root can make a file of somebody else")
    with public_folder() as folder:
        write(folder, "a.py", text="old")
        os.chown(folder / "a.py", 1234, 1234)
        files.write_atomic(folder / "a.py", b"new", b"old")
        assert (folder / "a.py").stat().st_uid == 1234
        (folder / "a.py").chmod(0o666)
        with unprivileged():
            files.write_atomic(folder / "a.py", b"newer", b"new")
        assert (folder / "a.py").stat().st_uid == 1234
        assert names_in(folder) == ["a.py"]


@pytest.mark.parametrize("linked", [False, True], ids=["replaced", "in place"])
def test_what_somebody_else_wrote_is_never_overwritten(target, linked):
    if linked:
        os.link(target, target.with_name("other.py"))
    with pytest.raises(files.Changed, match="changed on disk"):
        files.write_atomic(target, b"new", b"older")
    assert target.read_bytes() == b"old"
    assert [name for name in names_in(target.parent) if name.startswith(".toollint-")] == []


def test_a_folder_that_cannot_be_written():
    with public_folder() as folder:
        write(folder, "a.py", text="old")
        (folder / "a.py").chmod(0o666)
        folder.chmod(0o555)
        with unprivileged(), pytest.raises(files.WriteError, match="permission denied"):
            files.write_atomic(folder / "a.py", b"new", b"old")
        folder.chmod(0o777)
        assert (folder / "a.py").read_bytes() == b"old"
        assert names_in(folder) == ["a.py"]
