"""Makes virtual environments for code that must not share the linter's own, and keeps them for the next run.

Usage: ``python tools/environments.py NAME``; installs `ecosystem/environments/NAME.txt` and prints the interpreter.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".ecosystem" / "environments"


def python(name: str, folder: str = "environments") -> Path:
    """Give the interpreter of an environment, which is built unless it is there with these very requirements.

    The requirements are `ecosystem/FOLDER/NAME.txt`.

    Raises FileNotFoundError for an unknown name and CalledProcessError where the installation fails.
    """
    requirements = ROOT / "ecosystem" / folder / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    home = CACHE / f"{name}-{digest[:12]}"
    interpreter = home / "bin" / "python"
    complete = home / "complete"  # An environment cannot be renamed into place: its scripts hold its path.
    if not complete.exists():
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", f"--requirement={requirements}"]
        subprocess.run(install, check=True, stdout=sys.stderr)
        complete.touch()
    return interpreter


if __name__ == "__main__":
    print(python(sys.argv[1]))
