"""``python -m toollint``: the command, without the current folder on the import path.

`-m` puts the current folder first, where a file such as ``json.py`` of the project under analysis would be imported.
"""

import os
import sys

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - importing pathlib is what could go wrong

if not getattr(sys.flags, "safe_path", False) and os.path.abspath(sys.path[0]) != _HOME:  # noqa: PTH100
    del sys.path[0]

from toollint.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
