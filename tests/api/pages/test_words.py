"""The pages' words: the same keys and placeholders in both languages, every key used, every refusal in words."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

from api.pages.words import messages

import api.pages
from api.http.problems import KINDS
from claims.claim import Status
from claims.decision import Outcome
from claims.evidence import MatchOwner, PhotoVerdict

FOLDER = Path(api.pages.__file__).parent
SOURCES = "\n".join(path.read_text() for path in [*FOLDER.glob("templates/*.html"), *FOLDER.glob("*.py")])


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    zh, en = messages("zh"), messages("en")
    assert set(zh) == set(en)
    assert {key for key in en if placeholders(zh[key]) != placeholders(en[key])} == set()
    assert all(text.strip() for text in [*zh.values(), *en.values()])


def test_every_key_that_a_page_names_has_words_and_every_word_is_used() -> None:
    named = set(re.findall(r"""\bt\(\s*'([a-z_]+\.[a-z_0-9]+)'\s*[,)]""", SOURCES))
    named |= set(re.findall(r'"((?:session|case)\.(?!html)[a-z_]+)"', SOURCES))
    assert named - set(messages("en")) == set()
    prefixes = set(re.findall(r"""\bt\('([a-z_]+\.[a-z_]*)' ~""", SOURCES))
    prefixes |= {f"{group}." for group in re.findall(r"""\blabel\('([a-z_]+)'""", SOURCES)} | {"problem."}
    unused = {key for key in messages("en") if key not in named and not key.startswith(tuple(prefixes))}
    assert unused == set()


def test_every_refusal_and_every_value_of_a_fact_has_words() -> None:
    for lang in ("zh", "en"):
        known = messages(lang)  # type: ignore[arg-type]
        assert {code for code in KINDS if f"problem.{code}" not in known} == set()
        for status in Status:
            assert f"hero.{status}" in known
            assert f"hero.{status}_then" in known
        assert all(f"claim.why_{outcome}" in known for outcome in Outcome)
        assert all(f"photo.{verdict}" in known for verdict in PhotoVerdict)
        assert all(f"photo.owner_{owner}" in known for owner in MatchOwner)
