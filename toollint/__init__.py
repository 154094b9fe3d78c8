"""toollint: static analysis of lifetimes in Python programs built around agent tools.

The public API: `check` and `fix` take paths, or texts by file name, and give a `Report` of `Diagnostic` values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from toollint.model import Diagnostic, Edit, Fix, Report, Rule, Safety, Severity, rule

if TYPE_CHECKING:
    from toollint.config import Config

__all__ = ["Diagnostic", "Edit", "Fix", "Report", "Rule", "Safety", "Severity", "check", "fix", "rule"]

Sources: TypeAlias = Mapping[str, str | bytes]


def check(what: Sequence[str | Path] | Sources, config: Config | None = None) -> Report:
    """Check files and folders, or texts by file name (which then lie over whatever is on the disk).

    Raises:
        MissingPath: a path does not exist.
    """
    from toollint import engine  # noqa: PLC0415 - whoever wants only the values imports only them

    config = config or _default()
    if isinstance(what, Mapping):
        buffers = _buffers(what)
        return engine.check_buffers([*buffers], buffers, config)
    return engine.run([Path(path) for path in what], config)


def fix(paths: Sequence[str | Path], config: Config | None = None, *, write: bool = True) -> Report:
    """Apply the fixes that the configuration allows (``unsafe_fixes``), each verified before its file is written.

    With ``write`` False nothing is written: ``Report.changes`` holds the texts before and after.

    Raises:
        MissingPath: a path does not exist.
    """
    from toollint import engine  # noqa: PLC0415

    mode = engine.Mode.FIX if write else engine.Mode.DIFF
    return engine.run([Path(path) for path in paths], config or _default(), mode=mode)


def _default() -> Config:
    from toollint.config import Config  # noqa: PLC0415

    return Config()


def _buffers(texts: Sources) -> dict[Path, bytes]:
    return {
        Path(name).absolute(): text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        for name, text in texts.items()
    }
