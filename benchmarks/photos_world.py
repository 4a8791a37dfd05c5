"""Deals photos to a library and to honest strangers, and makes the queries of `miaopei bench photos`.

Everything follows from the files' hashes and fixed seeds. A group is never dealt to both sides: in the library lies one
photo of it, or outside lie all. Every edit gets as many queries as any other, give or take one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.photos_sources import CALTECH, SourcePhoto, pixels_of
from fixtures import edits
from fixtures.harder_edits import ALL
from vision.decode.image import Decoder

SEED: Final = 20260119
LABELLED: Final = "labelled"
EDITS_A_PHOTO: Final = 12  # of a source with many photos; where there are few, a photo is edited in more ways
EDITS_OF_FEW: Final = 12 * EDITS_A_PHOTO  # queries up to which a source's few photos are edited in more ways
OTHERS: Final = 3  # further photos that a collage is filled or a background replaced with
LABEL_SHARE: Final = 30  # a label, which takes three photos, for so many of the photos there are
_PUBLISHED: Final = 1  # of a label: on the photo in the library
_ASKED: Final = 2  # of a label: on the honest photo

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PhotosSize:
    """The most of each kind. library: photos published. copies: queries of edited copies of them. strangers: honest
    photos outside, as they are. strangers_edited: of those, edited in one way, too. labels: pairs of one more library
    photo and one honest query, different but for a printed label. views_a_group: photos of one scene compared with one
    another. phone_photos: of 12 Mpx, for the seconds by stage."""

    library: int
    copies: int
    strangers: int
    strangers_edited: int
    labels: int
    views_a_group: int
    phone_photos: int

    @property
    def of_one_source(self) -> int:
        """The most photos that one source can give."""
        return self.library + self.strangers + 3 * self.labels


FULL: Final = PhotosSize(
    library=1200,
    copies=2100,
    strangers=1500,
    strangers_edited=350,
    labels=80,
    views_a_group=12,
    phone_photos=24,
)
QUICK: Final = PhotosSize(
    library=130,
    copies=175,
    strangers=70,
    strangers_edited=20,
    labels=6,
    views_a_group=3,
    phone_photos=8,
)


@dataclass(frozen=True, slots=True, eq=False)
class EditedQuery:
    photo: int
    source: str
    edit: str  # "" for a photo as it is, LABELLED for one that shares a label with a photo in the library
    content: bytes


@dataclass(frozen=True, slots=True)
class Dealt:
    """Numbers of photos. library: of a group, its first photo only. labels: (label, library, honest) of each label."""

    library: tuple[int, ...]
    strangers: tuple[int, ...]
    labels: tuple[tuple[int, int, int], ...]


def deal(photos: Sequence[SourcePhoto], size: PhotosSize) -> Dealt:
    """Deals single photos and whole groups in turn to the library and to the strangers, source by source and in the
    order of their hashes. Large sources are cut so that small ones come in whole."""
    by_source: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in sorted(range(len(photos)), key=lambda number: photos[number].sha256):
        photo = photos[number]
        by_source[photo.source][photo.group or photo.sha256].append(number)
    units = {source: list(by_source[source].values()) for source in sorted(by_source)}
    single = {source: [unit for unit in dealt if not photos[unit[0]].group] for source, dealt in units.items()}
    largest = max(single, key=lambda source: len(single[source]))
    labels = min(size.labels, sum(map(len, single.values())) // LABEL_SHARE, len(single[largest]) // 3)
    kept = [unit[0] for unit in single[largest][len(single[largest]) - 3 * labels :]]
    units[largest] = [unit for unit in units[largest] if unit[0] not in set(kept)]
    inside, outside = _alternate(units, turn_on=False)
    if 4 * sum(map(len, outside.values())) < sum(map(len, units.values())):  # nearly every source is one photo
        inside, outside = _alternate(units, turn_on=True)
    return Dealt(
        tuple(_cut(inside, size.library)),
        tuple(_cut(outside, size.strangers)),
        tuple((kept[3 * k], kept[3 * k + 1], kept[3 * k + 2]) for k in range(labels)),
    )


def _alternate(
    units: Mapping[str, Sequence[Sequence[int]]], *, turn_on: bool
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Returns the photos inside and outside the library, by source. turn_on: the side on which a source begins is where
    the last one ended, otherwise always inside."""
    inside: dict[str, list[int]] = {}
    outside: dict[str, list[int]] = {}
    turn = 0
    for source, dealt in units.items():
        inside[source] = [unit[0] for unit in dealt[turn::2]]
        outside[source] = [number for unit in dealt[1 - turn :: 2] for number in unit]
        turn = (turn + len(dealt)) % 2 if turn_on else 0
    return inside, outside


def fair_shares(most: Mapping[str, int], total: int) -> dict[str, int]:
    """Returns how much of `total` each name gets, at most `most`: those that want little get it, the others share the
    rest alike."""
    shares: dict[str, int] = {}
    left = total
    names = sorted(most, key=lambda name: (most[name], name))
    for place, name in enumerate(names):
        shares[name] = min(most[name], left // (len(names) - place))
        left -= shares[name]
    return shares


def _cut(by_source: Mapping[str, Sequence[int]], total: int) -> Iterator[int]:
    shares = fair_shares({source: len(numbers) for source, numbers in by_source.items()}, total)
    for source in sorted(by_source):
        yield from by_source[source][: shares[source]]


class PhotoWorld:
    """The photos of one run: those published and the queries. `asked`: photo and edit of each query."""

    def __init__(self, photos: Sequence[SourcePhoto], size: PhotosSize, decoder: Decoder) -> None:
        self.photos = photos
        self._decoder = decoder
        self.dealt = deal(photos, size)
        self._labels = {photo: k for k, trio in enumerate(self.dealt.labels) for photo in trio[1:]}
        self.shown = [*self.dealt.library, *(published for _, published, _ in self.dealt.labels)]
        names = [str(name) for name in np.random.default_rng(SEED).permutation(list(ALL))]
        turns = _turns(names)
        self.asked = list(_copies(self._by_source(self.dealt.library), size.copies, turns))
        self.copied = len({photo for photo, _ in self.asked})
        self.asked += [(photo, "") for photo in self.dealt.strangers]
        edited = _cut(self._by_source(self.dealt.strangers), size.strangers_edited)
        self.asked += [(photo, next(turns)) for photo in edited]
        self.asked += [(honest, LABELLED) for _, _, honest in self.dealt.labels]

    def timed(self, count: int) -> list[Pixels]:
        """Returns pixels of honest photos to make phone photos of; Caltech's where there are any, as always."""
        strangers = self.dealt.strangers
        usual = [photo for photo in strangers if self.photos[photo].source == CALTECH] or strangers
        return [self.pixels(photo) for photo in usual[:count]]

    def pixels(self, photo: int) -> Pixels:
        return pixels_of(self.photos[photo], self._decoder)

    def published(self, photo: int) -> bytes:
        """Returns the file of a photo in the library."""
        if photo not in self._labels:
            return self.photos[photo].read()
        return edits.jpeg_bytes(self._with_label(photo, _PUBLISHED), 92)

    def query(self, number: int) -> EditedQuery:
        photo, edit = self.asked[number]
        source = self.photos[photo].source
        if edit == LABELLED:
            return EditedQuery(photo, source, edit, edits.jpeg_bytes(self._with_label(photo, _ASKED), 92))
        if not edit:
            return EditedQuery(photo, source, edit, self.photos[photo].read())
        rng = np.random.default_rng((SEED, number))
        strangers = [other for other in self.dealt.strangers if other != photo]
        others = OtherPictures(self, rng.choice(strangers, OTHERS, replace=False).tolist())
        pixels = ALL[edit](self.pixels(photo), rng, others)
        content = edits.jpeg_bytes(pixels, int(rng.integers(*edits.FINAL_JPEG_QUALITY)))
        return EditedQuery(photo, source, edit, content)

    def _by_source(self, numbers: Sequence[int]) -> dict[str, list[int]]:
        parts: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            parts[self.photos[number].source].append(number)
        return parts

    def _with_label(self, photo: int, use: int) -> Pixels:
        label = self._labels[photo]
        printed = edits.label_from(self.pixels(self.dealt.labels[label][0]), np.random.default_rng((SEED, label, 0)))
        return edits.with_label(self.pixels(photo), printed, np.random.default_rng((SEED, label, use)))


class OtherPictures(Sequence[Pixels]):
    """Pixels of other photos, decoded when an edit asks for them: most edits need none."""

    def __init__(self, world: PhotoWorld, numbers: Sequence[int]) -> None:
        self._world = world
        self._numbers = numbers
        self._drawn: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: int) -> Pixels:  # type: ignore[override]  # no edit asks for a slice
        number = self._numbers[at]
        if number not in self._drawn:
            self._drawn[number] = self._world.pixels(number)
        return self._drawn[number]


def _turns(names: Sequence[str]) -> Iterator[str]:
    """Yields the names in turn, for ever: any number of neighbours holds each name as often as any other, or once
    more."""
    while True:
        yield from names


def _copies(library: Mapping[str, Sequence[int]], total: int, turns: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yields library photos with the edits of their copies, no edit twice for one photo."""
    most = {
        source: max(EDITS_A_PHOTO * len(photos), min(len(ALL) * len(photos), EDITS_OF_FEW))
        for source, photos in library.items()
    }
    shares = fair_shares(most, total)
    for source in sorted(library):
        photos = library[source]
        left = shares[source]
        copied = min(len(photos), math.ceil(left / EDITS_A_PHOTO))
        for place in range(copied):
            count = math.ceil(left / (copied - place))
            yield from ((photos[place], next(turns)) for _ in range(count))
            left -= count
