from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.train.copy_descriptor import Training, rate, whitened
from models.train.copy_network import CopyNetwork, NegativeQueue, losses, starting_point
from models.train.copy_views import SIZES_PX, TrainingBatch
from vision.copies.descriptor import normalise, whiten


def batch(count: int, photos: list[int] | None = None) -> TrainingBatch:
    rng = np.random.default_rng(0)
    shows = np.tile(np.eye(count, dtype=bool), (2, 1))
    pixels = rng.integers(0, 256, (2 * count, SIZES_PX[0], SIZES_PX[0], 3), dtype=np.uint8)
    return TrainingBatch(pixels, np.array(photos or range(count)), shows, np.zeros_like(shows))


def rows(*vectors: list[float]) -> torch.Tensor:
    return functional.normalize(torch.tensor(vectors, dtype=torch.float32), dim=1)


def test_copies_side_by_side_lose_less_than_copies_apart() -> None:
    near = rows([1, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 1, 0.1])
    far = rows([1, 0, 0], [0, 1, 0], [0, 1, 0.1], [1, 0.1, 0])
    assert losses(near, batch(2), NegativeQueue(2))[0] < losses(far, batch(2), NegativeQueue(2))[0]


def test_the_spread_term_falls_when_strangers_move_apart() -> None:
    close = rows([1, 0, 0], [1, 0.2, 0], [1, 0, 0.01], [1, 0.2, 0.01])
    apart = rows([1, 0, 0], [0, 1, 0], [1, 0, 0.01], [0, 1, 0.01])
    assert losses(apart, batch(2), NegativeQueue(2))[1] < losses(close, batch(2), NegativeQueue(2))[1]


def test_a_photo_in_the_queue_is_no_stranger_to_itself() -> None:
    vectors = rows([1, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 1, 0.1])
    queue = NegativeQueue(2)
    queue.add(rows([1, 0, 0]), torch.tensor([0]))  # the very photo 0
    alone = losses(vectors, batch(2), NegativeQueue(2))[0]
    assert losses(vectors, batch(2), queue)[0] == pytest.approx(float(alone), abs=1e-6)
    queue.add(rows([1, 0, 0]), torch.tensor([9]))  # another photo that looks the same
    assert losses(vectors, batch(2), queue)[0] > alone + 0.2


def test_a_hint_of_a_photo_is_neither_copy_nor_stranger() -> None:
    vectors = rows([1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0.1])
    plain = batch(2)
    hints = plain.hints.copy()
    hints[2, 1] = True  # the second view of photo 0 lies on photo 1
    hinted = TrainingBatch(plain.pixels, plain.photos, plain.shows, hints)
    assert losses(vectors, hinted, NegativeQueue(2))[0] < losses(vectors, plain, NegativeQueue(2))[0]


def test_whitening_folded_into_the_last_layer_leaves_outputs_uncorrelated() -> None:
    rng = np.random.default_rng(1)
    pooled = np.abs(rng.normal(size=(3000, 1280)) + rng.normal(size=1280)).astype(np.float32)
    mean = normalise(pooled).mean(axis=0)
    projection = rng.normal(size=(1280, 256)).astype(np.float32)
    new_mean, folded = whitened(pooled, mean, projection)
    covariance = np.cov((normalise(pooled) - new_mean) @ folded, rowvar=False)
    spread = np.diag(covariance)
    assert np.abs(covariance - np.diag(spread)).max() < 0.02 * spread.mean()
    assert np.linalg.norm(whiten(pooled[:5], new_mean, folded), axis=1) == pytest.approx(1, abs=1e-5)


def test_the_learning_rate_warms_up_and_runs_out() -> None:
    assert rate(0, 700) < rate(20, 700) < rate(39, 700) == 1
    assert rate(10_000_000, 700) <= 1
    assert rate(699, 700) < 0.001


def test_training_goes_on_where_a_checkpoint_ended(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first_batch = batch(4)
    training = Training(starting_point(), tmp_path)
    training.advance(first_batch, torch.device("cpu"))
    training.save()
    on = training.advance(first_batch, torch.device("cpu"))
    again = Training(starting_point(), tmp_path)
    assert again.step == 1
    assert again.advance(first_batch, torch.device("cpu")) == pytest.approx(on, rel=0.05)
    for name, value in training.average.items():
        torch.testing.assert_close(again.average[name], value, rtol=0.05, atol=1e-3)


def test_the_averaged_network_is_a_network_of_its_own(tmp_path: Path) -> None:
    training = Training(starting_point(), tmp_path)
    averaged = training.averaged()
    assert isinstance(averaged, CopyNetwork)
    with torch.no_grad():
        averaged.projection.zero_()
    assert float(training.network.projection.detach().abs().sum()) > 0
