"""The pre-commit hooks, tried as their users will: `pre-commit try-repo` on a repository with a leak."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAK = '''\
"""A tool that opens a database and never closes it."""

import sqlite3

from langchain_core.tools import BaseTool


class SqlTool(BaseTool):
    name: str = "sql"
    description: str = "Runs a query."

    def __init__(self, path: str) -> None:
        super().__init__()
        self._connection = sqlite3.connect(path)

    def _run(self, query: str) -> str:
        return str(self._connection.execute(query).fetchall())
'''

pytestmark = pytest.mark.network


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Without the variables with which a calling git hook would point git at another repository."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com"}
    committer = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
    environment = {**inherited, **identity, **committer}
    return subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, env=environment)


def commit(folder: Path) -> None:
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        done = run("git", *arguments, cwd=folder)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """The checkout as it is now, committed: pre-commit installs hooks from commits only."""
    folder = tmp_path / "hooks"
    shutil.copytree(ROOT / "toollint", folder / "toollint", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    commit(folder)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "sql_tool.py").write_text(LEAK, encoding="utf-8")
    commit(folder)
    return folder


def try_hooks(hooks: Path, repository: Path) -> tuple[int, str, str]:
    """The exit code and what each of the two hooks says; every try installs anew, so both share one."""
    pre_commit = Path(sys.executable).with_name("pre-commit")
    outcome = run(pre_commit, "try-repo", hooks, "--all-files", "--color=never", "--verbose", cwd=repository)
    header = "toollint --fix."
    assert header in outcome.stdout, outcome.stdout + outcome.stderr
    found, fixed = outcome.stdout.split(header)
    return outcome.returncode, found, fixed


def test_one_hook_reports_and_the_other_mends(hooks: Path, repository: Path) -> None:
    code, found, fixed = try_hooks(hooks, repository)
    assert code == 1
    assert "TL101" in found
    assert "sql_tool.py:8" in found
    assert "files were modified by this hook" not in found
    assert "files were modified by this hook" in fixed
    text = (repository / "sql_tool.py").read_text(encoding="utf-8")
    assert text.startswith(LEAK)
    assert "def close(self)" in text

    code, found, fixed = try_hooks(hooks, repository)
    assert code == 0, found + fixed
