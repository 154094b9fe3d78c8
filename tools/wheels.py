"""Downloads the wheels of `ecosystem/pins.toml` by their hash and unpacks their Python files; runs none of them.

Usage: ``python tools/wheels.py GROUP``; prints one line for each table of the group: its name, a tab, its folder.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import environments

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".ecosystem" / "wheels"
PINS = ROOT / "ecosystem" / "pins.toml"


def unpacked(group: str) -> dict[str, Path]:
    """Give the folder of each table of a group, downloading and unpacking what is not there yet.

    Raises KeyError for an unknown group and CalledProcessError where the package index fails or a hash differs.
    """
    tables: dict[str, dict[str, str]] = tomllib.loads(PINS.read_text(encoding="utf-8"))[group]
    folders = {name: _folder(group, name, pins) for name, pins in tables.items()}
    for name, pins in tables.items():
        if folders[name].exists():
            continue
        with tempfile.TemporaryDirectory() as downloads:
            _download(pins, Path(downloads))
            _unpack([Path(downloads, file) for file in pins], folders[name])
    return folders


def _folder(group: str, name: str, pins: dict[str, str]) -> Path:
    """Pins are part of the path, so that new pins never meet old files."""
    digest = hashlib.sha256("".join(sorted(pins.values())).encode()).hexdigest()
    return CACHE / group / f"{name}-{digest[:12]}"


def _download(pins: dict[str, str], downloads: Path) -> None:
    requirements = downloads / "requirements.txt"
    lines = []
    for file, sha256 in pins.items():
        name, version, _ = file.split("-", 2)
        lines.append(f"{name}=={version} --hash=sha256:{sha256}\n")
    requirements.write_text("".join(lines), encoding="utf-8")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--require-hashes"]
    pip = [str(environments.python("pip")), "-m", "pip", "download"]
    subprocess.run([*pip, *options, f"--requirement={requirements}", f"--dest={downloads}"], check=True)


def _unpack(wheels: list[Path], folder: Path) -> None:
    """A `pyproject.toml` makes the folder a project of its own; the folder appears whole or not at all."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(partial, [name for name in archive.namelist() if name.endswith((".py", ".pyi"))])
    (partial / "pyproject.toml").touch()
    partial.rename(folder)


if __name__ == "__main__":
    for name, folder in unpacked(sys.argv[1]).items():
        print(name, folder, sep="\t")
