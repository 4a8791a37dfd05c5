"""Capture gates: whether a photo is good enough to tell one nose from another. Each refusal tells the person holding
the phone what is wrong and what to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.find import NoseFound

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """Gates of a nose photo; ratios are shares of the nose's visible surface. docs/noses.md gives the source of
    each."""

    confidence_min: float = 0.40  # the finder's confidence, 0..1, where a second witness sees a dog or a cat
    unseconded_confidence_min: float = 0.65  # the same where that witness does not
    guided_confidence_min: float = 0.20  # where two taps or a frame on the screen say where the nose is
    pet_likelihood_min: float = 0.10  # of a dog or a cat in the picture, from which the witness seconds the finder
    nostril_confidence_min: float = 0.20  # the weaker nostril's peak, 0..1
    width_px_min: int = 200
    # Of the nose's real detail, as vision.nose.detail tells it: 1.4 times the true width in the median, 2.1 times at
    # the 95th percentile, so that enlarged noses of 64 px and less are refused.
    resolved_width_px_min: int = 140
    picture_luma_min: float = 30.0  # 95th percentile of the whole picture, of 255
    sharpness_min: float = 0.235
    glare_ratio_max: float = 0.08
    coverage_ratio_min: float = 0.60
    bright_luma_min: float = 30.0  # 90th percentile of the nose, of 255
    contrast_luma_min: float = 4.0  # standard deviation of the detail, grey levels
    turn_ratio_max: float = 0.16  # offset of the nostrils' middle from the nose's middle, as a share of its width


@dataclass(frozen=True, slots=True)
class CaptureQuality:
    """The measurements that the gates judge. sharpness: slope of the beads in the most blurred direction, divided by
    their contrast. turn_ratio: 0 is frontal. resolved_width_px: width of the smallest picture of the nose that keeps
    its detail; not limited where it was not measured."""

    width_px: float
    sharpness: float
    glare_ratio: float
    coverage_ratio: float
    bright_luma: float
    contrast_luma: float
    turn_ratio: float
    resolved_width_px: float = math.inf


def measure(frame: Pixels, mask: Floats, nose: NoseFound, resolved_width_px: float = math.inf) -> CaptureQuality:
    """Measure the capture. frame: the aligned nose, uint8 (320, 320, 3). mask: float32 (320, 320), probability of
    rhinarium in that frame."""
    inside = mask > 0.5
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = grey[inside]
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)  # removes the sensor's noise
    beads = smooth - cv2.GaussianBlur(grey, (0, 0), 7.0)
    core = cv2.erode(inside.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    core = core if core.any() else inside
    contrast = float(beads[core].std())
    # Crumbs, grass and cloth differ from the nose in colour; brightness is left to the gates for light and glare.
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB).astype(np.float32)[..., 1:]
    usual = np.median(lab[inside], axis=0)
    skin_coloured = np.linalg.norm(lab - usual, axis=2) < 20
    columns = np.flatnonzero(inside.any(axis=0))
    middle = (columns[0] + columns[-1]) / 2
    return CaptureQuality(
        width_px=nose.width_px,
        sharpness=_least_slope(np.asarray(smooth, np.float32), core) / max(contrast, 1.0),
        glare_ratio=float((luma >= 245).mean()),
        coverage_ratio=float((skin_coloured & inside).sum() / inside.sum()),
        bright_luma=float(np.percentile(luma, 90)),
        contrast_luma=contrast,
        turn_ratio=abs(float(middle) - frame.shape[1] / 2) / max(1.0, float(columns[-1] - columns[0])),
        resolved_width_px=resolved_width_px,
    )


def _least_slope(smooth: Floats, core: npt.NDArray[np.bool_]) -> float:
    """Return the root mean square slope, grey levels a pixel, in the direction where it is least: a smear keeps the
    slopes across it and removes those along it."""
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)[core] / 8, cv2.Sobel(smooth, cv2.CV_32F, 0, 1)[core] / 8
    xx, yy, xy = float((across**2).mean()), float((down**2).mean()), float((across * down).mean())
    return float(np.sqrt(max(0.0, (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy))))


def refusal(quality: CaptureQuality, limits: CaptureLimits) -> str:
    """Return what is wrong with the photo, in words for the claimant; "" if it is good enough."""
    if quality.width_px < limits.width_px_min:
        return too_small(quality.width_px, limits)
    if quality.bright_luma < limits.bright_luma_min:
        return (
            f"too dark: the brightest tenth of the nose is at {quality.bright_luma:.0f} of 255, "
            f"at least {limits.bright_luma_min:.0f} is needed; turn towards a window or switch on a light"
        )
    if quality.glare_ratio > limits.glare_ratio_max:
        return (
            f"too much glare: {quality.glare_ratio:.0%} of the nose is blown out, at most "
            f"{limits.glare_ratio_max:.0%} may be; "
            "dab the nose dry, switch the flash off and step out of direct sun"
        )
    if quality.coverage_ratio < limits.coverage_ratio_min:
        return (
            f"nose partly covered: only {quality.coverage_ratio:.0%} of it can be seen, at least "
            f"{limits.coverage_ratio_min:.0%} is needed; "
            "wipe it and keep hands and toys away"
        )
    if quality.turn_ratio > limits.turn_ratio_max:
        return (
            f"nose seen from the side: off centre by {quality.turn_ratio:.0%} of its width, at most "
            f"{limits.turn_ratio_max:.0%} may be; "
            "photograph it from straight ahead, both nostrils equally visible"
        )
    if quality.contrast_luma < limits.contrast_luma_min or quality.sharpness < limits.sharpness_min:
        return (
            f"too blurred: sharpness {quality.sharpness:.3f}, at least {limits.sharpness_min:.3f} is needed; "
            "tap the nose on the screen to focus and hold still"
        )
    if quality.resolved_width_px < limits.resolved_width_px_min:
        return (
            f"nose without detail: enlarged or out of focus, it has the detail of {quality.resolved_width_px:.0f} "
            f"pixels, at least {limits.resolved_width_px_min} are needed; "
            "move closer, tap the nose on the screen to focus and send the photo as the camera took it"
        )
    return ""


def too_small(width_px: float, limits: CaptureLimits) -> str:
    """Return how a nose is refused for its size, in words for the claimant."""
    return (
        f"nose too small: {width_px:.0f} pixels wide, at least {limits.width_px_min} are needed; "
        "move closer until the nose fills half of the picture"
    )
