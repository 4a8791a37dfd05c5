"""Keeps compiled patterns that are put together at run time, from labels of kinds and forms of values.

There are more of them than `re` keeps (512): a page would compile most of them again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PATTERNS_MAX: Final = 16_384  # some 3,000 of the built-in kinds


@lru_cache(maxsize=_PATTERNS_MAX)
def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Returns the pattern, compiled once in a process. Raises re.error for one that is none."""
    return re.compile(pattern, flags)
