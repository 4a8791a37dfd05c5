"""Tells a nose that is made of pieces: where a part of an enrolled photo was laid over another animal's nose, that part
agrees as one picture does, and the rest as two strangers do. Measurements only: what counts is claims' rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vision.nose.compare import PairAlignment

ALIKE_MIN: Final = 0.85  # correlation of a block: hardly reached by two photos of one nose, by copies as a rule
UNLIKE_MAX: Final = 0.5  # hardly passed by two noses (0.33 in the mean)


@dataclass(frozen=True, slots=True)
class NosePatchwork:
    """The shares of the blocks that agree with one enrolled photo as one picture does with itself, and as two noses
    do."""

    alike_ratio: float
    unlike_ratio: float


NO_PATCHWORK: Final = NosePatchwork(0.0, 0.0)


def patchwork(alignments: Sequence[PairAlignment]) -> NosePatchwork:
    """Return the shares for the enrolled photo that the probe looks most like a patchwork of, by the lesser share.
    alignments: of the probe with each enrolled photo (`vision.nose.compare.align_all`)."""
    measured = [NO_PATCHWORK]
    for pair in alignments:
        for blocks in pair.blocks:
            alike, unlike = float((blocks >= ALIKE_MIN).mean()), float((blocks <= UNLIKE_MAX).mean())
            measured.append(NosePatchwork(alike, unlike))
    return max(measured, key=lambda shares: (min(shares.alike_ratio, shares.unlike_ratio), shares.alike_ratio))
