"""How photos are dealt to the library and to honest strangers, and edits to the copies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.photos_sources import SourcePhoto, standard
from benchmarks.photos_world import FULL, QUICK, PhotosSize, PhotoWorld, deal, fair_shares
from fixtures import caltech, varied
from fixtures.harder_edits import ALL
from vision.decode.image import Decoder


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as started:
        yield started


def nothing_to_read() -> bytes:
    raise AssertionError("nothing is read to deal photos")


def photo(source: str, name: str, group: str = "") -> SourcePhoto:
    digest = hashlib.sha256(f"{source}/{group}/{name}".encode()).hexdigest()
    return SourcePhoto(f"{source}/{group}/{name}", source, digest, nothing_to_read, group)


def several(source: str, singles: int, groups: int = 0, of: int = 5) -> list[SourcePhoto]:
    return [photo(source, str(number)) for number in range(singles)] + [
        photo(source, str(number), f"{source}-{group}") for group in range(groups) for number in range(of)
    ]


# About as many as the standard photos are.
PHOTOS = (
    several("caltech", 2334)
    + several("clothes", 629)
    + several("landscapes", 28)
    + several("fruit", 0, 9, 8)
    + several("parcels", 2, 7, 3)
    + several("bag", 0, 1, 4)
)

sources = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 6), st.integers(2, 6)).filter(lambda drawn: drawn[0] + drawn[1] > 0),
    min_size=1,
    max_size=5,
).map(lambda drawn: [item for n, (a, b, c) in enumerate(drawn) for item in several(f"source-{n}", a, b, c)])


@given(sources)
def test_a_group_is_never_split_and_no_photo_is_on_both_sides(photos: list[SourcePhoto]) -> None:
    dealt = deal(photos, FULL)
    assert not set(dealt.library) & set(dealt.strangers)
    inside = Counter(photos[number].group for number in dealt.library if photos[number].group)
    outside = {photos[number].group for number in dealt.strangers if photos[number].group}
    assert not set(inside) & outside
    assert all(count == 1 for count in inside.values())
    labels = [number for trio in dealt.labels for number in trio]
    assert len(set(labels)) == len(labels)
    assert not set(labels) & {*dealt.library, *dealt.strangers}


@given(sources, st.randoms(use_true_random=False))
def test_the_same_photos_are_dealt_the_same_way_in_any_order(
    photos: list[SourcePhoto], shuffling: np.random.Generator
) -> None:
    def names(dealt_of: list[SourcePhoto], pick: Callable[[SourcePhoto], str]) -> list[list[str]]:
        dealt = deal(dealt_of, QUICK)
        parts = (dealt.library, dealt.strangers, [number for trio in dealt.labels for number in trio])
        return [[pick(dealt_of[number]) for number in part] for part in parts]

    again = list(photos)
    shuffling.shuffle(again)
    assert names(photos, lambda dealt: dealt.name) == names(again, lambda dealt: dealt.name)


def test_where_every_source_is_one_photo_half_of_them_stay_outside() -> None:
    photos = [photo(f"source-{number}", "0") for number in range(24)]
    dealt = deal(photos, FULL)
    assert (len(dealt.library), len(dealt.strangers)) == (12, 12)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), min_size=1, max_size=6), st.integers(0, 200))
def test_shares_are_fair(most: dict[str, int], total: int) -> None:
    shares = fair_shares(most, total)
    assert sum(shares.values()) == min(total, sum(most.values()))
    cut = [shares[name] for name in most if shares[name] < most[name]]
    assert all(shares[name] <= most[name] for name in most)
    assert not cut or max(shares.values()) <= min(cut) + 1


def test_each_edit_has_forty_queries_and_no_photo_the_same_edit_twice(decoder: Decoder) -> None:
    world = PhotoWorld(PHOTOS, FULL, decoder)
    library = set(world.dealt.library)
    copies = [(number, edit) for number, edit in world.asked if number in library]
    by_edit = Counter(edit for _, edit in copies)
    assert set(by_edit) == set(ALL)
    assert min(by_edit.values()) >= 40
    assert len(set(copies)) == len(copies)
    by_source = Counter(PHOTOS[number].source for number, _ in copies)
    assert min(by_source.values()) >= len(ALL)  # a source of one photo: edited in every way


def test_nearly_as_many_honest_photos_as_asked_for_and_every_small_source_whole(decoder: Decoder) -> None:
    world = PhotoWorld(PHOTOS, FULL, decoder)
    honest = Counter(PHOTOS[number].source for number, edit in world.asked if not edit)
    assert sum(honest.values()) > 0.9 * FULL.strangers
    assert honest["fruit"] == 4 * 8  # four of nine groups
    assert honest["landscapes"] == 14


def test_a_small_size_is_kept_to(decoder: Decoder) -> None:
    size = PhotosSize(10, 40, 8, 4, 2, 2, 1)
    world = PhotoWorld(PHOTOS, size, decoder)
    edits = Counter(edit for _, edit in world.asked)
    assert len(world.shown) == 12
    assert len(world.asked) == 40 + 8 + 4 + 2
    assert edits["labelled"] == 2


@pytest.mark.skipif(
    not (varied.TAR.is_file() and caltech.TAR.is_file()), reason="needs the measuring photos beside the checkout"
)
def test_the_standard_photos_are_of_sources_that_nothing_was_fitted_on(decoder: Decoder) -> None:
    photos = standard().photos
    held_out = {source for source, role in varied.ROLES.items() if role == "test"}
    assert {item.source for item in photos} == held_out | {"caltech"}
    names = {item.name for item in photos}
    assert "views/banana-1/5.jpg" in names
    assert "views/banana-1/6.jpg" not in names  # the same one mirrored
    assert len(names & {photo.name for photo in varied.photos("test")}) == 850 - len(varied.duplicates())
    first, again = (PhotoWorld(photos, QUICK, decoder) for _ in range(2))
    copied = next(n for n, (number, edit) in enumerate(first.asked) if edit == "collage")
    assert first.query(copied).content == again.query(copied).content
