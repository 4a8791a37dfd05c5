"""Other photos of one scene, and of look-alikes, compared the product's way: no such pair is a copy.

Of each pair one photo is taken as published and the other as asked about; the search, which might not have brought the
two together, is left out, so that nothing hides a wrong verdict.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.photos_figures import WRONG_SHOWN_MAX, called_same_scene
from benchmarks.photos_sources import SourcePhoto
from claims import copies
from claims.evidence import PhotoVerdict
from flows import evidence
from vision.copies.fingerprint import Fingerprint
from vision.examine import compare
from vision.library.search import candidate_from, nearness

KINDS: Final = ("called_copy", "maybe", "same_scene", "unmeasured")


@dataclass(frozen=True, slots=True)
class ViewPair:
    """Two photos of one group and the product's verdict on them, None where there was nothing to compare by.
    weighs: a person compares the two."""

    published: SourcePhoto
    asked: SourcePhoto
    verdict: PhotoVerdict | None
    weighs: bool
    probability: float

    @property
    def kind(self) -> str:
        """One of KINDS, "" for a pair that leads to nothing."""
        if self.verdict is None:
            return "unmeasured"
        if self.verdict in copies.COPIES:
            return "called_copy"
        if called_same_scene(self.verdict):
            return "same_scene"
        return "maybe" if self.weighs else ""


def chosen(photos: Sequence[SourcePhoto], a_group: int) -> list[SourcePhoto]:
    """Returns the first photos of each group, by hash, of groups that have two."""
    groups: dict[str, list[SourcePhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.sha256):
        groups[photo.group].append(photo)
    return [photo for name in sorted(groups) if len(groups[name]) > 1 for photo in groups[name][:a_group]]


def pairs(photos: Sequence[tuple[SourcePhoto, Fingerprint]]) -> list[ViewPair]:
    """Compares every two photos of a group, once."""
    groups: dict[str, list[tuple[SourcePhoto, Fingerprint]]] = defaultdict(list)
    for photo, fingerprint in photos:
        groups[photo.group].append((photo, fingerprint))
    return [
        _compared(*published, *asked)
        for members in groups.values()
        for published, asked in itertools.combinations(members, 2)
    ]


def figures(compared: Sequence[ViewPair]) -> dict[str, Any]:
    """Returns the figures of the pairs of one scene, by source too, and those of the look-alikes apart."""
    one_scene = [pair for pair in compared if pair.asked.one_scene]
    alike = [pair for pair in compared if not pair.asked.one_scene]
    return {**_counts(one_scene), "look_alikes": _counts(alike), "pairs_called_copy": _called(compared)}


def _compared(published: SourcePhoto, known: Fingerprint, asked: SourcePhoto, query: Fingerprint) -> ViewPair:
    if known.featureless or query.featureless:
        return ViewPair(published, asked, None, False, 0.0)
    candidate = candidate_from("published", known, query, nearness(query, known.descriptor))
    relations = compare(query, [candidate], "")
    called = evidence.call(relations)
    weighs = any(each.weighs for each in called)
    return ViewPair(published, asked, evidence.strongest(called), weighs, relations[0].probability)


def _counts(compared: Sequence[ViewPair]) -> dict[str, Any]:
    by_source: dict[str, list[ViewPair]] = defaultdict(list)
    for pair in sorted(compared, key=lambda pair: pair.asked.source):
        by_source[pair.asked.source].append(pair)
    parts: Mapping[str, dict[str, int]] = {source: _kinds(part) for source, part in by_source.items()}
    groups = len({pair.asked.group for pair in compared})
    return {**_kinds(compared), "groups": groups, "by_source": parts}


def _kinds(compared: Sequence[ViewPair]) -> dict[str, int]:
    kinds = Counter(pair.kind for pair in compared)
    return {"pairs": len(compared), **{kind: kinds[kind] for kind in KINDS}}


def _called(compared: Sequence[ViewPair]) -> list[dict[str, Any]]:
    """Returns the surest pairs called copies, for looking at them."""
    wrong = [pair for pair in compared if pair.kind == "called_copy"]
    wrong.sort(key=lambda pair: -pair.probability)
    return [
        {"published": pair.published.name, "asked": pair.asked.name, "probability": round(pair.probability, 4)}
        for pair in wrong[:WRONG_SHOWN_MAX]
    ]
