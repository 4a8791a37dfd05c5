"""Compares one nose photo with the enrolment of one pet, and checks whether photos make an enrolment. Measurements
only: accept, review and reject are claims' rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision.errors import TemplatesIncompatible
from vision.measurement import Unmeasured
from vision.nose import keypoints, pattern
from vision.nose.likelihood import NoseLikelihood
from vision.nose.template import NoseTemplate

ENROLMENT_MIN = 3


@dataclass(frozen=True, slots=True)
class NoseComparison:
    """A comparison with one enrolment. similarity: -1..1, mean normalised correlation of the bead pattern with the best
    enrolled template. inliers: the most keypoints that agree with any one template on one transform. templates: how
    many could be compared. model: label of the card that made the templates. likelihood_ratio_log10: of one nose
    against two, None if no fusion was given. fitted_on: on what that was fitted and for what it is valid, in words."""

    similarity: float
    inliers: int
    templates: int
    model: str
    likelihood_ratio_log10: float | None = None
    fitted_on: str = ""


@dataclass(frozen=True, slots=True)
class EnrolmentLimits:
    """Limits of an enrolment.

    photos_min: photos that must agree. similarity_min: similarity that each photo must reach with its best partner
    (measured: docs/noses.md).
    """

    photos_min: int = ENROLMENT_MIN
    similarity_min: float = 0.48


@dataclass(frozen=True, slots=True, eq=False)
class PairAlignment:
    """Two photos of noses laid over one another. blocks: for each start of the registration that came to an end, the
    correlation of every small block, float32 (n,), -1..1. inliers: keypoints that agree on one transform."""

    blocks: tuple[npt.NDArray[np.float32], ...]
    inliers: int

    @property
    def similarity(self) -> float | None:
        """Returns the mean correlation of the better start; None if too little is visible in both."""
        return max((float(of_start.mean()) for of_start in self.blocks), default=None)


def align_pair(first: NoseTemplate, second: NoseTemplate) -> PairAlignment:
    """Lay one photo over another. Raises TemplatesIncompatible if the models differ."""
    if first.model != second.model:
        raise TemplatesIncompatible(
            f"nose templates of {first.model} and {second.model} cannot be compared; enrol the pet again"
        )
    agreement = keypoints.agree(first.keypoints, second.keypoints)
    # The nostrils align most pairs; if yaw or a lifted lip moved them, keypoints do. Neither start is always better.
    starts = [np.eye(2, 3)]
    if agreement.inliers >= pattern.INLIERS_TRUSTED:
        starts.append(agreement.matrix)
    blocks = [pattern.correlate(first.pattern, second.pattern, start) for start in starts]
    return PairAlignment(tuple(of_start for of_start in blocks if of_start is not None), agreement.inliers)


def align_all(probe: NoseTemplate, enrolled: Sequence[NoseTemplate]) -> list[PairAlignment]:
    """Lay the probe over each enrolled photo. Raises as `align_pair`."""
    return [align_pair(probe, template) for template in enrolled]


def compare(
    probe: NoseTemplate, enrolled: Sequence[NoseTemplate], likelihood: NoseLikelihood | None = None
) -> NoseComparison | Unmeasured:
    """Verify 1:1. likelihood: fuses the scores, if it was fitted with templates of the probe's model. Raises
    TemplatesIncompatible if the models differ.

    Unmeasured without an enrolment, and if too little of the nose is visible in the probe and every template alike.
    """
    return compare_aligned(probe.model, align_all(probe, enrolled), likelihood)


def compare_aligned(
    model: str, alignments: Sequence[PairAlignment], likelihood: NoseLikelihood | None = None
) -> NoseComparison | Unmeasured:
    """Return what `compare` does, of a probe that was laid over the enrolled photos already (`align_all`). model: of
    its template."""
    if not alignments:
        return Unmeasured("no enrolment: this pet's nose was never recorded")
    measured = [(pair.similarity, pair.inliers) for pair in alignments if pair.similarity is not None]
    if not measured:
        return Unmeasured(
            "too little of the nose is visible both in this photo and in the enrolled ones; take a "
            "new one from straight ahead"
        )
    similarity, inliers = max(similarity for similarity, _ in measured), max(inliers for _, inliers in measured)
    fits = likelihood is not None and likelihood.model == model
    return NoseComparison(
        similarity=similarity,
        inliers=inliers,
        templates=len(measured),
        model=model,
        likelihood_ratio_log10=likelihood.log10(similarity, inliers) if likelihood is not None and fits else None,
        fitted_on=likelihood.fitted_on if likelihood is not None and fits else "",
    )


def compare_pair(first: NoseTemplate, second: NoseTemplate) -> tuple[float, int] | None:
    """Return similarity (-1..1) and inliers of two photos; None if too little is visible in both."""
    pair = align_pair(first, second)
    similarity = pair.similarity
    return None if similarity is None else (similarity, pair.inliers)


def check_enrolment(
    templates: Sequence[NoseTemplate], photo_sha256s: Sequence[str], limits: EnrolmentLimits | None = None
) -> list[str]:
    """Return what speaks against enrolling these photos as one pet, in words; empty if nothing does. `photo_sha256s`:
    one per template, same order. That one photo was saved twice is told by file and picture, not by the nose: shots
    within seconds are as alike."""
    limits = limits or EnrolmentLimits()
    if len(templates) != len(photo_sha256s):
        raise ValueError(f"{len(templates)} templates but {len(photo_sha256s)} photo digests")
    problems = []
    if len(templates) < limits.photos_min:
        problems.append(f"{len(templates)} usable nose photos, at least {limits.photos_min} are needed")
    closest = [-1.0] * len(templates)
    for i in range(len(templates)):
        for j in range(i + 1, len(templates)):
            if photo_sha256s[i] == photo_sha256s[j]:
                problems.append(f"photos {i + 1} and {j + 1} are the same file; take a new one each time")
                continue
            pair = compare_pair(templates[i], templates[j])
            if pair is None:
                continue
            closest[i], closest[j] = max(closest[i], pair[0]), max(closest[j], pair[0])
    if len(templates) > 1:
        problems += [
            f"photo {index + 1} does not show the same nose as the others (similarity {best:.2f}, at "
            f"least {limits.similarity_min:.2f} is needed)"
            for index, best in enumerate(closest)
            if best < limits.similarity_min
        ]
    return problems
