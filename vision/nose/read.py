"""Turns a photo into a nose template, or into the reason why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from models import onnx_build, registry
from vision.decode.image import Picture
from vision.measurement import Unmeasured
from vision.nose import keypoints, pattern
from vision.nose.align import Floats, Pixels, frame_matrix, into_frame
from vision.nose.animal import AnimalWitness
from vision.nose.capture import CaptureLimits, CaptureQuality, measure, refusal, too_small
from vision.nose.detail import resolved_width_px
from vision.nose.find import Box, NoseFinder, NoseFound, Point
from vision.nose.network import FinderNetwork
from vision.nose.template import NoseTemplate

NAME = onnx_build.NOSE_FINDER
NOSTRIL_LUMA = 0.45  # share of the nose's median: darker than this is a hole, not skin
MASK_SHARE_MIN = 0.10  # share of the frame: two dark dots without a nose around them are no nose
TAPPED_WIDTH = 0.45  # distance of the nostrils as a share of the nose's width; median of the marked photos
TAP_REACH = 0.10  # share of the nose's width: a nostril that close to the tap is the one that was meant
_HIDDEN = (
    "nose partly covered: its two nostrils cannot both be seen; wipe it, keep hands and toys away "
    "and photograph it from straight ahead"
)
_FROM_THE_SIDE = (
    "nose seen from the side: only one nostril can be seen; "
    "photograph it from straight ahead, both nostrils equally visible"
)
_OTHER_ANIMAL = (
    "not a dog's or a cat's nose: it looks like another animal's; photograph the nose of the insured pet so that it "
    "fills half of the picture"
)
_NO_NOSE = (
    "no nose found: photograph the uncovered nose from straight ahead so that it fills half of the picture "
    "and both nostrils are in it"
)


@dataclass(frozen=True, slots=True)
class NoseGuide:
    """Says where the nose is, for photos in which the finder misses it: two taps on the nostrils, left and right in
    the picture, or the frame that an app showed (x0, y0, x1, y1). All in pixels of the picture."""

    nostrils: tuple[Point, Point] | None = None
    frame: Box | None = None

    def box(self) -> Box:
        """Return about where the nose lies. Raises ValueError without nostrils or frame."""
        if self.nostrils is not None:
            (x0, y0), (x1, y1) = self.nostrils
            half = max(8.0, float(np.hypot(x1 - x0, y1 - y0))) / TAPPED_WIDTH / 2
            return (x0 + x1) / 2 - half, (y0 + y1) / 2 - half, (x0 + x1) / 2 + half, (y0 + y1) / 2 + half
        if self.frame is None:
            raise ValueError("a guide needs two nostrils or a frame")
        return self.frame


class NoseReader:
    """Reads nose photos. Thread-safe, keeps no picture. Raises ModelMissing or ModelCorrupt for a missing or broken
    model file."""

    def __init__(self, limits: CaptureLimits | None = None, *, threads: int = 1, cards: Path = registry.CARDS) -> None:
        self._limits = limits or CaptureLimits()
        self._finder = NoseFinder(FinderNetwork(threads=threads))
        self._witness = AnimalWitness(self._limits.pet_likelihood_min, threads)
        self.model = registry.card(NAME, cards).label

    def __enter__(self) -> NoseReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def template(self, picture: Picture, guide: NoseGuide | None = None) -> NoseTemplate | Unmeasured:
        """Return the template of the nose in the picture (decode it with a long edge of about 1,024 px), or what is
        wrong with the photo. guide: where the nose is, used where the finder is not sure."""
        return self.read_pixels(picture.pixels, guide)

    def read_pixels(self, pixels: Pixels, guide: NoseGuide | None = None) -> NoseTemplate | Unmeasured:
        """Do the same as `template` with uint8 (h, w, 3) sRGB."""
        examined = self.examine(pixels, guide)
        if isinstance(examined, Unmeasured):
            return examined
        template, quality = examined
        reason = refusal(quality, self._limits)
        return Unmeasured(reason) if reason else template

    def examine(
        self, pixels: Pixels, guide: NoseGuide | None = None
    ) -> tuple[NoseTemplate, CaptureQuality] | Unmeasured:
        """Return template and quality before the gates judge; Unmeasured only if there is no nose to examine."""
        aligned = self.align(pixels, guide)
        if isinstance(aligned, Unmeasured):
            return aligned
        frame, mask, nose = aligned
        quality = measure(frame, mask, nose, resolved_width_px(pixels, nose.bounds))
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        inside = skin(grey, mask)
        template = NoseTemplate(
            pattern=pattern.extract(grey, inside),
            keypoints=keypoints.extract(grey, inside),
            model=self.model,
            width_px=quality.width_px,
            sharpness=quality.sharpness,
            glare_ratio=quality.glare_ratio,
            species=nose.species,
            species_confidence=nose.species_confidence,
        )
        return template, quality

    def align(self, pixels: Pixels, guide: NoseGuide | None = None) -> tuple[Pixels, Floats, NoseFound] | Unmeasured:
        """Return the nose in its frame, uint8 (320, 320, 3); the mask there, float32 (320, 320); and its place in the
        picture."""
        brightest = float(np.percentile(pixels[::4, ::4].max(axis=2), 95))
        if brightest < self._limits.picture_luma_min:
            return Unmeasured(
                f"too dark: the brightest twentieth of the picture is at {brightest:.0f} of 255, "
                f"at least {self._limits.picture_luma_min:.0f} is needed; turn towards a window or switch on a light"
            )
        nose = self.find(pixels, guide)
        if isinstance(nose, Unmeasured):
            return nose
        if nose.nostril_confidence < self._limits.nostril_confidence_min:
            return Unmeasured(self._without_nostrils(nose))
        matrix = frame_matrix(nose)
        frame = into_frame(pixels, matrix)
        mask = nose.mask_in(matrix, frame.shape[0])
        if float((mask > 0.5).mean()) < MASK_SHARE_MIN:
            return Unmeasured(self._without_nostrils(nose))
        return frame, mask, nose

    def find(self, pixels: Pixels, guide: NoseGuide | None = None) -> NoseFound | Unmeasured:
        """Return the nose of a dog or cat, of any size, or why none is taken for one."""
        limits = self._limits
        nose = self._finder.find(pixels)
        least = limits.confidence_min
        guided = guide is not None and (nose is None or nose.confidence < least)
        if guide is not None and guided:
            nose, least = _tapped(self._finder.find_in(pixels, guide.box()), guide), limits.guided_confidence_min
        if nose is None or nose.confidence < least:
            return Unmeasured(_NO_NOSE)
        seconded = self._witness.look(pixels, nose.width_px)
        if nose.species == "other" or seconded == "other":
            return Unmeasured(_OTHER_ANIMAL)
        if seconded == "unknown" and nose.confidence < limits.unseconded_confidence_min:
            return Unmeasured(_NO_NOSE)
        return nose

    def _without_nostrils(self, nose: NoseFound) -> str:
        """Return why a nose without two clear nostrils is refused: first that it is small, if it is."""
        if nose.width_px < self._limits.width_px_min:
            return too_small(nose.width_px, self._limits)
        return _FROM_THE_SIDE if nose.pose == "profile" else _HIDDEN


def _tapped(nose: NoseFound | None, guide: NoseGuide) -> NoseFound | None:
    """Return the nose with the nostrils that were tapped; where a nostril lies close to a tap, its own place."""
    if nose is None or guide.nostrils is None:
        return nose
    left, right = (
        own if np.hypot(own[0] - tap[0], own[1] - tap[1]) < TAP_REACH * nose.width_px else tap
        for own, tap in zip((nose.left_nostril, nose.right_nostril), sorted(guide.nostrils), strict=True)
    )
    return replace(nose, left_nostril=left, right_nostril=right, nostril_confidence=1.0)


def skin(grey: Pixels, mask: Floats) -> npt.NDArray[np.bool_]:
    """Return the part of the frame that shows beads, bool (320, 320): inside the rhinarium, off its rim, outside the
    nostrils (litter-mates share those)."""
    inside = cv2.erode((mask > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8))
    smooth = cv2.GaussianBlur(grey, (0, 0), 6)
    typical = float(np.median(smooth[inside > 0])) if inside.any() else 0.0
    holes = cv2.dilate((smooth < NOSTRIL_LUMA * typical).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray((inside > 0) & (holes == 0))
