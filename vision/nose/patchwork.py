"""Tells a nose that is made of pieces: where a part of an enrolled photo was laid over another animal's nose, that part
agrees as one picture does, and the rest as two strangers do. Measurements only: what counts is claims' rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vision.nose import keypoints, pattern
from vision.nose.template import NoseTemplate

ALIKE_MIN: Final = 0.85  # correlation of a block: hardly reached by two photos of one nose, by copies as a rule
UNLIKE_MAX: Final = 0.5  # hardly passed by two noses (0.33 in the mean)


@dataclass(frozen=True, slots=True)
class NosePatchwork:
    """The shares of the blocks that agree with one enrolled photo as one picture does with itself, and as two noses
    do."""

    alike_ratio: float
    unlike_ratio: float


NO_PATCHWORK: Final = NosePatchwork(0.0, 0.0)


def patchwork(probe: NoseTemplate, enrolled: Sequence[NoseTemplate]) -> NosePatchwork:
    """Return the shares for the enrolled photo that the probe looks most like a patchwork of, by the lesser share."""
    measured = [NO_PATCHWORK]
    for template in enrolled:
        agreement = keypoints.agree(probe.keypoints, template.keypoints)
        starts = [np.eye(2, 3)]
        if agreement.inliers >= pattern.INLIERS_TRUSTED:
            starts.append(agreement.matrix)
        for start in starts:
            blocks = pattern.correlate_blocks(probe.pattern, template.pattern, start)
            if blocks is not None:
                alike, unlike = float((blocks >= ALIKE_MIN).mean()), float((blocks <= UNLIKE_MAX).mean())
                measured.append(NosePatchwork(alike, unlike))
    return max(measured, key=lambda shares: (min(shares.alike_ratio, shares.unlike_ratio), shares.alike_ratio))
