from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from models.train import copy_views
from models.train.copy_views import Batches

PHOTOS = [np.ascontiguousarray(picture[::4, ::4]) for picture in (data.astronaut(), data.chelsea(), data.coffee())]


@pytest.fixture(scope="module")
def batches() -> Batches:
    kinds = copy_views.CATEGORIES_A_BATCH + 1
    photos = [PHOTOS[index % 3] for index in range(kinds * copy_views.PHOTOS_A_CATEGORY)]
    return Batches(photos, [str(index % kinds) for index in range(len(photos))], count=40, seed=3)


def test_a_batch_is_the_same_whenever_it_is_asked_for(batches: Batches) -> None:
    again, other = batches[7], batches[8]
    assert np.array_equal(batches[7].pixels, again.pixels)
    assert again.photos.tolist() != other.photos.tolist()


def test_a_batch_holds_several_photos_of_each_of_its_classes(batches: Batches) -> None:
    kinds = (batches[0].photos % (copy_views.CATEGORIES_A_BATCH + 1)).tolist()
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert set(counts.values()) == {copy_views.PHOTOS_A_CATEGORY}
    assert len(counts) == copy_views.CATEGORIES_A_BATCH


def test_every_view_shows_its_own_photo_and_a_collage_three_more(batches: Batches) -> None:
    shown: set[int] = set()
    for number in range(8):
        batch = batches[number]
        count = len(batch.photos)
        assert batch.pixels.shape[0] == 2 * count
        assert batch.shows[:count].sum(axis=1).tolist() == [1] * count
        assert batch.shows[np.arange(2 * count), np.tile(np.arange(count), 2)].all()
        assert not (batch.shows & batch.hints).any()
        shown |= set(batch.shows[count:].sum(axis=1).tolist())
        if number >= 2 and shown == {1, 4}:
            break
    assert shown == {1, 4}


def test_batches_beyond_the_last_are_refused(batches: Batches) -> None:
    with pytest.raises(IndexError):
        batches[40]


def test_photos_of_one_scene_are_neither_copies_nor_strangers() -> None:
    count = copy_views.CATEGORIES_A_BATCH * copy_views.PHOTOS_A_CATEGORY
    photos = [PHOTOS[index % 3] for index in range(count)]
    kinds = [str(index % copy_views.CATEGORIES_A_BATCH) for index in range(count)]
    batch = Batches(photos, kinds, 2, 3, scenes=[index // 2 for index in range(count)])[0]
    together = np.tile(batch.photos[:, None] == batch.photos[None], (2, 1))
    assert sorted(batch.photos.tolist()) == sorted(index // 2 for index in range(count))
    assert (together <= (batch.shows | batch.hints)).all()
    assert not (batch.shows & batch.hints).any()
