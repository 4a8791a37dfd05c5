"""The pages' own words, one file a language. What a claim's facts mean in words is in `claims.explain`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from api.http.languages import Lang

MESSAGES: Final = Path(__file__).parent / "messages"
LANGUAGES: Final[tuple[Lang, ...]] = ("zh", "en")


@cache
def messages(lang: Lang) -> Mapping[str, str]:
    """Every message of one language by its key, such as `queue.title`."""
    read = yaml.safe_load((MESSAGES / f"{lang}.yaml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {f"{group}.{name}": text for group, entries in read.items() for name, text in entries.items()}
    )


def say(lang: Lang, key: str, **values: object) -> str:
    """One message with its {placeholders} filled in. Raises KeyError for a key nobody wrote words for (a test sees to
    it).
    """
    return messages(lang)[key].format(**values)


def label(lang: Lang, group: str, name: str) -> str:
    """The message `group.name`; a name from facts that has no words of its own stands for itself."""
    return messages(lang).get(f"{group}.{name}", name.replace("_", " "))
