"""Turns a photo into a nose template, or into the reason why it cannot be used."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from models import registry
from vision.decode.image import Picture
from vision.measurement import Unmeasured
from vision.nose import keypoints, pattern
from vision.nose.align import Floats, Pixels, frame_matrix, into_frame
from vision.nose.capture import CaptureLimits, CaptureQuality, measure, refusal
from vision.nose.find import NoseFinder, NoseFound
from vision.nose.template import NoseTemplate
from vision.nose.trunk import Trunk

NAME = "nose_print"
NOSTRIL_LUMA = 0.45  # share of the nose's median: darker than this is a hole, not skin
MASK_SHARE_MIN = 0.15  # share of the frame: two dark dots without a nose around them are no nose
NOSE_AREA_MIN = 0.03  # share of the square: such a large patch of rhinarium without clear nostrils is a hidden nose
_HIDDEN = (
    "nose partly covered: its two nostrils cannot both be seen; wipe it, keep hands and toys away "
    "and photograph it from straight ahead"
)
_NO_NOSE = (
    "no nose found: photograph the uncovered nose from straight ahead so that it fills half of the picture "
    "and both nostrils are in it"
)


class NoseReader:
    """Reads nose photos. Thread-safe, keeps no picture. Raises ModelMissing or ModelCorrupt for a missing or broken
    model file."""

    def __init__(self, limits: CaptureLimits | None = None, *, threads: int = 1, cards: Path = registry.CARDS) -> None:
        self._limits = limits or CaptureLimits()
        weights = load_file(str(registry.weights_path(NAME, cards=cards)))
        self._finder = NoseFinder(Trunk(threads=threads), weights)
        self.model = registry.card(NAME, cards).label

    def __enter__(self) -> NoseReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def template(self, picture: Picture) -> NoseTemplate | Unmeasured:
        """Return the template of the nose in the picture (decode it with a long edge of about 1,024 px), or what is
        wrong with the photo."""
        return self.read_pixels(picture.pixels)

    def read_pixels(self, pixels: Pixels) -> NoseTemplate | Unmeasured:
        """Do the same as `template` with uint8 (h, w, 3) sRGB."""
        examined = self.examine(pixels)
        if isinstance(examined, Unmeasured):
            return examined
        template, quality = examined
        reason = refusal(quality, self._limits)
        return Unmeasured(reason) if reason else template

    def examine(self, pixels: Pixels) -> tuple[NoseTemplate, CaptureQuality] | Unmeasured:
        """Return template and quality before the gates judge; Unmeasured only if there is no nose to examine."""
        aligned = self.align(pixels)
        if isinstance(aligned, Unmeasured):
            return aligned
        frame, mask, nose = aligned
        quality = measure(frame, mask, nose)
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        inside = skin(grey, mask)
        template = NoseTemplate(
            pattern=pattern.extract(grey, inside),
            keypoints=keypoints.extract(grey, inside),
            model=self.model,
            width_px=quality.width_px,
            sharpness=quality.sharpness,
            glare_ratio=quality.glare_ratio,
        )
        return template, quality

    def align(self, pixels: Pixels) -> tuple[Pixels, Floats, NoseFound] | Unmeasured:
        """Return the nose in its frame, uint8 (320, 320, 3); the mask there, float32 (320, 320); and its place in the
        picture."""
        brightest = float(np.percentile(pixels[::4, ::4].max(axis=2), 95))
        if brightest < self._limits.picture_luma_min:
            return Unmeasured(
                f"too dark: the brightest twentieth of the picture is at {brightest:.0f} of 255, "
                f"at least {self._limits.picture_luma_min:.0f} is needed; turn towards a window or switch on a light"
            )
        nose = self._finder.find(pixels)
        if nose is None:
            return Unmeasured(_NO_NOSE)
        if nose.confidence < self._limits.confidence_min:
            return Unmeasured(_HIDDEN if nose.area_ratio >= NOSE_AREA_MIN else _NO_NOSE)
        matrix = frame_matrix(nose)
        frame = into_frame(pixels, matrix)
        mask = nose.mask_in(matrix, frame.shape[0])
        if float((mask > 0.5).mean()) < MASK_SHARE_MIN:
            return Unmeasured(_NO_NOSE)
        return frame, mask, nose


def skin(grey: Pixels, mask: Floats) -> npt.NDArray[np.bool_]:
    """Return the part of the frame that shows beads, bool (320, 320): inside the rhinarium, off its rim, outside the
    nostrils (litter-mates share those)."""
    inside = cv2.erode((mask > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8))
    smooth = cv2.GaussianBlur(grey, (0, 0), 6)
    typical = float(np.median(smooth[inside > 0])) if inside.any() else 0.0
    holes = cv2.dilate((smooth < NOSTRIL_LUMA * typical).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray((inside > 0) & (holes == 0))
