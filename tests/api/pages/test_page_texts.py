"""The pages' texts: the same keys and slots in every language, every key used, every refusal in words."""

from __future__ import annotations

import re
from pathlib import Path

import api.pages
from api.http.problems import KINDS
from api.pages.texts import languages, texts
from claims.claim import Status
from claims.decision import Outcome
from claims.evidence import MatchOwner, PhotoVerdict
from claims.texts import DEFAULT, problems

FOLDER = Path(api.pages.__file__).parent
SOURCES = "\n".join(path.read_text() for path in [*FOLDER.glob("templates/*.html"), *FOLDER.glob("*.py")])


KEYS = set(texts(DEFAULT).by_key)


def test_every_language_has_the_keys_and_slots_of_the_default_one() -> None:
    for language in languages():
        assert problems(texts(language), texts(DEFAULT)) == []


def test_every_key_that_a_page_names_has_words_and_every_word_is_used() -> None:
    named = set(re.findall(r"""\bt\(\s*'([a-z_]+\.[a-z_0-9]+)'\s*[,)]""", SOURCES))
    named |= set(re.findall(r'"((?:session|case)\.(?!html)[a-z_]+)"', SOURCES))
    named |= set(re.findall(r'"(duration\.[a-z]+)"', SOURCES))
    named |= set(re.findall(r"words\['([a-z]+\.[a-z]+)'\]", SOURCES))
    assert named - KEYS == set()
    prefixes = set(re.findall(r"""\bt\('([a-z_]+\.[a-z_]*)' ~""", SOURCES))
    prefixes |= {f"{group}." for group in re.findall(r"""\blabel\('([a-z_]+)'""", SOURCES)} | {"problem."}
    unused = {key for key in KEYS if key not in named and not key.startswith(tuple(prefixes))}
    assert unused == set()


def test_every_refusal_and_every_value_of_a_fact_has_words() -> None:
    for lang in languages():
        known = texts(lang).by_key
        assert {code for code in KINDS if f"problem.{code}" not in known} == set()
        for status in Status:
            assert f"hero.{status}" in known
            assert f"hero.{status}_then" in known
        assert all(f"claim.why_{outcome}" in known for outcome in Outcome)
        assert all(f"photo.{verdict}" in known for verdict in PhotoVerdict)
        assert all(f"photo.owner_{owner}" in known for owner in MatchOwner)
