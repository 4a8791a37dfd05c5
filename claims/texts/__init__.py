"""Texts for people, as data: catalogues, one file a language, `<code>.yaml`, in this folder. Each file there makes a
language available (docs/texts.md).

A catalogue has groups of texts by name; `reasons.cover_ended` is the key of one. Every language has the keys and the
{slots} of the default language, and of a number with its unit one text for each plural form of its own. A catalogue
that does not is refused when it is read. Packaged data, read once a process, as `claims.product` reads its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Final

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from claims.errors import InvalidTexts

# A language's code, as in Accept-Language: "en", "pt-BR".
Language = str

FOLDER: Final = Path(__file__).parent
DEFAULT: Final[Language] = "en"  # where no other is known; sentences in old records are in it, too
COUNTS: Final = "counts"  # the group of numbers with their unit, which have plural forms


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language by key."""

    language: Language
    by_key: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        """Return the text of a key. Raises KeyError for a key that no catalogue has (a test checks that there is
        none)."""
        return self.by_key[key]

    def get(self, group: str, name: str) -> str | None:
        return self.by_key.get(f"{group}.{name}")

    def label(self, group: str, name: str) -> str:
        """Return the text of that name; a name without one, an insurer's own for instance, is returned as it is."""
        return self.by_key.get(f"{group}.{name}", name.replace("_", " "))

    def names(self, group: str) -> tuple[str, ...]:
        """Return the names that the group has texts for, in the order of the file."""
        prefix = f"{group}."
        return tuple(key.removeprefix(prefix) for key in self.by_key if key.startswith(prefix))

    def count(self, name: str, number: int) -> str:
        """Return a number with its unit, in the plural form that the language has for it."""
        form = _locale(self.language).plural_form(number)
        return self.by_key[f"{COUNTS}.{name}.{form}"].format(n=number)

    def day(self, day: date) -> str:
        """Return a calendar day as the language writes it."""
        return format_date(day, self.by_key["formats.day"], _locale(self.language))


def languages() -> tuple[Language, ...]:
    """Return every language that there is a catalogue for, the default one last."""
    return tuple(catalogues())


def texts(language: Language) -> Texts:
    """Return the catalogue of that language. Raises KeyError where there is none."""
    return catalogues()[language]


def required_in_terms() -> frozenset[Language]:
    """Return the languages in which every product file must have its words; others may stay with the default
    language's."""
    return frozenset(code for code, catalogue in catalogues().items() if catalogue["language.terms"] != "optional")


@cache
def catalogues(folder: Path = FOLDER) -> Mapping[Language, Texts]:
    """Return the folder's catalogues by language, the default one last. Raises InvalidTexts that names what is
    missing."""
    files = sorted(folder.glob("*.yaml"), key=lambda file: (file.stem == DEFAULT, file.stem))
    if not files or files[-1].stem != DEFAULT:
        raise InvalidTexts(f"no {DEFAULT}.yaml in {folder}: every other language is compared with it")
    read = {file.stem: _read(file) for file in files}
    wrong = [problem for catalogue in read.values() for problem in problems(catalogue, read[DEFAULT])]
    if wrong:
        raise InvalidTexts(f"texts in {folder}: {'; '.join(wrong[:20])}")
    return MappingProxyType(read)


def problems(catalogue: Texts, model: Texts) -> list[str]:
    """Return complaints about what the catalogue lacks beside the model (that of the default language), has too much or
    fills otherwise; [] where it is complete."""
    where = f"{catalogue.language}.yaml"
    mine, models = set(catalogue.by_key), set(model.by_key)
    units = {key.rpartition(".")[0] for key in models if key.startswith(f"{COUNTS}.")}
    expected = {key for key in models if not key.startswith(f"{COUNTS}.")}
    expected |= {f"{unit}.{form}" for unit in units for form in _plural_forms(catalogue.language)}
    complaints = [f"{where}: {key} is missing" for key in sorted(expected - mine)]
    complaints += [f"{where}: {key} is asked for by nothing" for key in sorted(mine - expected)]
    for key in sorted(mine & expected):
        other = f"{key.rpartition('.')[0]}.other" if key.startswith(f"{COUNTS}.") else key
        try:
            if slots(catalogue[key]) != slots(model[other]):
                complaints.append(f"{where}: {key} has other {{slots}} than in {model.language}.yaml: {catalogue[key]}")
        except ValueError as error:
            complaints.append(f"{where}: {key}: {error}: {catalogue[key]}")
        if not catalogue[key].strip():
            complaints.append(f"{where}: {key} is empty")
        if not _brackets_pair(catalogue[key]):
            complaints.append(f"{where}: {key}: a [bracket] is not closed: {catalogue[key]}")
    return complaints


def slots(text: str) -> frozenset[str]:
    """Return the names of the {slots} of a text. Raises ValueError where a brace does not pair, or holds more than a
    name."""
    names = set()
    for _, name, spec, conversion in Formatter().parse(text):
        if name is None:
            continue
        if spec or conversion or not re.fullmatch(r"\w+", name):
            raise ValueError("a slot is a {name} and nothing else")
        names.add(name)
    return frozenset(names)


def _read(file: Path) -> Texts:
    _locale(file.stem)
    try:
        read = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)  # ten times as fast as safe_load
    except yaml.YAMLError as error:
        raise InvalidTexts(f"{file}: {error}") from error
    if not isinstance(read, dict):
        raise InvalidTexts(f"{file}: a catalogue is groups of texts by name")
    return Texts(file.stem, MappingProxyType(dict(_flat(file, "", read))))


def _flat(file: Path, above: str, entries: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    for name, entry in entries.items():
        key = f"{above}{name}"
        if isinstance(entry, dict):
            yield from _flat(file, f"{key}.", entry)
        elif isinstance(entry, str) and above:
            yield key, entry
        else:
            raise InvalidTexts(f"{file}: {key} is no text; put it in quotes")


def _brackets_pair(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if depth < 0:
            return False
    return depth == 0


def _plural_forms(language: Language) -> frozenset[str]:
    return frozenset({*_locale(language).plural_form.tags, "other"})


@cache
def _locale(language: Language) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError) as error:
        raise InvalidTexts(f"{language}.yaml: {language!r} is no language that CLDR knows") from error
