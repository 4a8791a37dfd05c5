"""Baselines that answer the queries of the same run: single hashes and descriptors exhaustively, and fused peers.

A fused peer does what the literature does with what is publicly there: candidates by a descriptor and by PDQ, SIFT
inliers after the ratio test and RANSAC, a logistic regression over the three. It is fitted on half of this run's own
queries and scores the other half, both ways, which favours it over ours. Meta's SSCD takes part where its TorchScript
is given; score normalisation as its authors publish it (Pizzi et al., 2022): minus the mean similarity of the
neighbours 2 to 7, with the library as the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.photos_figures import NOWHERE, QueryOutcome
from benchmarks.retrieval import Answer
from vision.copies.descriptor import DescriptorModel
from vision.copies.fingerprint import Fingerprint
from vision.copies.keypoints import Keypoints
from vision.library.search import NO_PDQ

LITE0_FUSED: Final = "lite0_pdq_sift"
SSCD_FUSED: Final = "sscd_pdq_sift"
BY_DESCRIPTOR: Final = 5  # candidates of a fused peer
BY_PDQ: Final = 2
NEIGHBOURS: Final = slice(1, 7)  # the second to the seventh, from the nearest
RATIO_MAX: Final = 0.8  # Lowe, 2004
REPROJECTION_PX: Final = 5.0
SEED: Final = 20261130

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ShownPicture:
    """A picture of the library as the baselines know it. frozen: descriptor of the network as packaged. sscd: of the
    given TorchScript, empty without one."""

    photo: int
    fingerprint: Fingerprint
    frozen: NDArray[np.float32]
    sscd: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PeerPair:
    """A candidate of a fused peer. features: similarity after score normalisation, PDQ nearness 0..1, log inliers."""

    photo: int
    features: tuple[float, float, float]


class Baselines:
    """Exhaustive nearest neighbours by one hash or one descriptor alone, and the candidates of the fused peers."""

    def __init__(self, known: Sequence[ShownPicture], frozen: DescriptorModel) -> None:
        self.photos = np.array([picture.photo for picture in known])
        self._known = [picture.fingerprint for picture in known]
        self._hashes = {
            name: np.array([getattr(fingerprint, name) for fingerprint in self._known], dtype=np.uint64)
            for name in ("phash", "dhash", "whash")
        }
        self._pdq = np.stack([np.frombuffer(fingerprint.pdq, dtype=np.uint64) for fingerprint in self._known])
        self._pdq_usable = np.array([fingerprint.pdq_usable for fingerprint in self._known])
        self._descriptors = np.stack([fingerprint.descriptor for fingerprint in self._known])
        self._frozen = np.stack([picture.frozen for picture in known])
        self._sscd = np.stack([picture.sscd for picture in known])
        self._model = frozen

    def scores(self, query: Fingerprint, frozen: NDArray[np.float32], sscd: NDArray[np.float32]) -> dict[str, Scores]:
        """Returns the scores of every picture of the library, by method; higher is nearer. sscd: empty without it."""
        crowd = float(self._model.crowd(frozen[None])[0])
        parts = np.stack([query.descriptor, *(view.descriptor for view in query.views)])
        crowds = np.array([query.crowd, *(view.crowd for view in query.views)])
        by_part = (self._descriptors @ parts.T).astype(np.float64) - crowds
        upright = self._pdq_bits(query, query.pdq_turned[:1])
        rows = {
            **{
                name: -np.bitwise_count(hashes ^ np.uint64(getattr(query, name))).astype(np.float64)
                for name, hashes in self._hashes.items()
            },
            "pdq": -upright,
            "pdq8": -self._pdq_bits(query, query.pdq_turned),
            "frozen_lite0": (self._frozen @ frozen - crowd).astype(np.float64),
            "descriptor": by_part[:, 0],
            "descriptor_with_parts": by_part.max(axis=1),
        }
        if len(sscd):
            rows["sscd"] = (self._sscd @ sscd).astype(np.float64)
            rows["sscd_norm"] = normalised(rows["sscd"])
        return rows

    def fused(self, query: Fingerprint, scores: Mapping[str, Scores]) -> dict[str, tuple[PeerPair, ...]]:
        """Returns the candidates of each fused peer that takes part."""
        peers = {LITE0_FUSED: normalised(scores["frozen_lite0"])}
        if "sscd_norm" in scores:
            peers[SSCD_FUSED] = scores["sscd_norm"]
        inliers: dict[int, int] = {}
        pairs: dict[str, tuple[PeerPair, ...]] = {}
        for name, similarity in peers.items():
            near = [*_best(similarity, BY_DESCRIPTOR), *_best(scores["pdq8"], BY_PDQ)]
            chosen = list(dict.fromkeys(near))
            for index in chosen:
                if index not in inliers:
                    inliers[index] = sift_inliers(query.keypoints, self._known[index].keypoints)
            pairs[name] = tuple(
                PeerPair(
                    int(self.photos[index]),
                    (
                        float(similarity[index]),
                        1.0 + float(scores["pdq8"][index]) / NO_PDQ,
                        float(np.log1p(inliers[index])),
                    ),
                )
                for index in chosen
            )
        return pairs

    def _pdq_bits(self, query: Fingerprint, turned: Sequence[bytes]) -> Scores:
        """Returns the distance of the nearest of the query's hashes to each picture's, NO_PDQ where either is
        unusable."""
        if not query.pdq_usable:
            return np.full(len(self._pdq), float(NO_PDQ))
        hashes = np.stack([np.frombuffer(pdq, dtype=np.uint64) for pdq in turned])
        bits = np.bitwise_count(self._pdq[:, None, :] ^ hashes).sum(axis=2, dtype=np.int64).min(axis=1)
        return np.where(self._pdq_usable, bits, NO_PDQ).astype(np.float64)


def normalised(similarity: Scores) -> Scores:
    """Returns similarities minus the mean of those of the neighbours 2 to 7."""
    nearest = -np.sort(-similarity)[NEIGHBOURS]
    return similarity - (float(nearest.mean()) if len(nearest) else 0.0)


def sift_inliers(query: Keypoints, known: Keypoints) -> int:
    """Returns how many keypoints agree on one similarity transform, straight or mirrored: Lowe's ratio test, then
    RANSAC, without any of our own checks."""
    return max(_inliers(query, known), _inliers(query.mirrored(), known))


def with_peers(
    outcomes: Sequence[QueryOutcome], pairs: Sequence[Mapping[str, tuple[PeerPair, ...]]]
) -> list[QueryOutcome]:
    """Returns the outcomes with the answers of the fused peers. pairs: of each outcome, by peer."""
    fold = np.random.default_rng(SEED).integers(0, 2, 1 + max(outcome.photo for outcome in outcomes))
    answers = [dict(outcome.answers) for outcome in outcomes]
    for name in pairs[0]:
        rows = [(place, pair) for place, by_peer in enumerate(pairs) for pair in by_peer[name]]
        features = np.array([pair.features for _, pair in rows])
        right = np.array([outcomes[place].is_right(pair.photo) for place, pair in rows])
        folds = np.array([fold[outcomes[place].photo] for place, _ in rows])
        scored = np.zeros(len(rows))
        for held in (0, 1):
            scored[folds == held] = _judged(features[folds != held], right[folds != held], features[folds == held])
        best: dict[int, tuple[float, int]] = {}
        for (place, pair), score in zip(rows, scored.tolist(), strict=True):
            best[place] = max(best.get(place, (NOWHERE, -1)), (score, pair.photo))
        for place, outcome in enumerate(outcomes):
            score, photo = best.get(place, (NOWHERE, -1))
            answers[place][name] = Answer(outcome.edit, outcome.in_library, score, outcome.is_right(photo))
    return [replace(outcome, answers=row) for outcome, row in zip(outcomes, answers, strict=True)]


def _judged(features: Scores, right: NDArray[np.bool_], asked: Scores) -> Scores:
    """Returns the log odds that the candidates asked about are right, by a regression over the others."""
    if not len(asked):
        return np.empty(0)
    if right.all() or not right.any():
        return np.asarray(asked.sum(axis=1), dtype=np.float64)  # nothing to learn from: in equal parts
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, right)
    return np.asarray(model.decision_function(asked), dtype=np.float64)


def _best(scores: Scores, count: int) -> list[int]:
    return [int(index) for index in np.argsort(-scores, kind="stable")[:count]]


def _inliers(query: Keypoints, known: Keypoints) -> int:
    if len(query) < 3 or len(known) < 3:
        return 0
    at, of = (keypoints.descriptors.astype(np.float32) for keypoints in (query, known))
    squared = (at**2).sum(axis=1)[:, None] + (of**2).sum(axis=1) - 2.0 * at @ of.T
    rows, nearest = np.arange(len(at)), squared.argmin(axis=1)
    first = squared[rows, nearest]
    squared[rows, nearest] = np.inf
    keep = first < RATIO_MAX**2 * squared.min(axis=1)
    if int(keep.sum()) < 3:
        return 0
    fitted, mask = cv2.estimateAffinePartial2D(
        np.ascontiguousarray(known.points[nearest[keep], :2]),
        np.ascontiguousarray(query.points[keep, :2]),
        method=cv2.RANSAC,
        ransacReprojThreshold=REPROJECTION_PX,
    )
    return 0 if fitted is None else int(mask.sum())
