"""From the steps of a repair to edits of bytes, and what is checked before these reach a file.

Nothing here writes a file back from a tree: an edit is a span and its new text, and all other bytes stay as they are.
"""

from __future__ import annotations

from toollint.fixes.choose import edits_by_path, select
from toollint.fixes.outline import CannotFix
from toollint.fixes.steps import realise
from toollint.fixes.verify import same_outside

__all__ = ["CannotFix", "edits_by_path", "realise", "same_outside", "select"]
