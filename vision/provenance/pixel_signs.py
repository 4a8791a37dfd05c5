"""Signs that the pixels show, with the thresholds behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

from vision.geometry import Keypoints
from vision.image import Picture
from vision.provenance.cloned import CloneLimits, clone
from vision.provenance.frame import FrameLimits, frame
from vision.provenance.moire import MoireLimits, spectral_peaks
from vision.provenance.requantised import RequantisedLimits, unevenness
from vision.provenance.sign import Sign, SignKind, not_applicable


@dataclass(frozen=True, slots=True)
class PixelSignLimits:
    """Thresholds, fitted on the train half of Caltech 101 and pictures made from it (docs/provenance.md): synthetic
    positives, so that they say how the measure behaves, not how often fraud is found."""

    frame: FrameLimits = field(default_factory=FrameLimits)
    moire: MoireLimits = field(default_factory=MoireLimits)
    requantised: RequantisedLimits = field(default_factory=RequantisedLimits)
    clone: CloneLimits = field(default_factory=CloneLimits)
    text_lines_min: int = 4
    empty_rows_min: float = 0.15
    moire_luma: float = 4.4
    moire_red: float = 3.3
    moire_blue: float = 3.5
    unevenness_min: float = 25.0  # above every one of 287 single compressions of the train half (18 at most)
    clone_points_min: int = 4


def pixel_signs(
    picture: Picture, keypoints: Keypoints, limits: PixelSignLimits = PixelSignLimits()
) -> tuple[Sign, ...]:
    """keypoints: of the picture, as its fingerprint has them."""
    return (
        _screenshot(picture, limits),
        _recapture(picture, limits),
        _double_jpeg(picture, limits),
        _copy_move(keypoints, limits),
    )


def _screenshot(picture: Picture, limits: PixelSignLimits) -> Sign:
    found = frame(picture.pixels, limits.frame)
    words = f"{found.lines} lines of text, {100 * found.empty_rows:.0f}% of the rows empty"
    if found.lines >= limits.text_lines_min and found.empty_rows >= limits.empty_rows_min:
        return Sign(SignKind.SCREENSHOT, "found", "app_screen", f"an app's screen: {words}", float(found.lines))
    return Sign(SignKind.SCREENSHOT, "not_found", "", words, float(found.lines))


def _recapture(picture: Picture, limits: PixelSignLimits) -> Sign:
    peaks = spectral_peaks(picture.pixels, limits.moire)
    if peaks is None:
        return not_applicable(SignKind.RECAPTURE, "the picture is too small to have a spectrum")
    score = moire_score(peaks.luma, peaks.red, peaks.blue, limits)
    if score >= 1.0:
        words = f"a fine pattern all over, as of a screen or a print photographed ({score:.2f} of 1)"
        return Sign(SignKind.RECAPTURE, "found", "moire", words, score)
    return Sign(SignKind.RECAPTURE, "not_found", "", f"no fine pattern all over ({score:.2f} of 1)", score)


def moire_score(luma: float, red: float, blue: float, limits: PixelSignLimits) -> float:
    """The strongest of the three peaks, each as a share of its threshold."""
    return max(luma / limits.moire_luma, red / limits.moire_red, blue / limits.moire_blue)


def _double_jpeg(picture: Picture, limits: PixelSignLimits) -> Sign:
    kind = SignKind.DOUBLE_JPEG
    strip = picture.origin.strip
    if strip is None:
        return not_applicable(kind, "no baseline JPEG, or its metadata was not looked at")
    score = unevenness(strip, picture.origin.quantisation, limits.requantised)
    if score is None:
        return not_applicable(kind, "too little detail at the top of the picture to count")
    if score >= limits.unevenness_min:
        words = f"compressed more than once, as messengers and editors do ({score:.0f})"
        return Sign(kind, "found", "recompressed", words, score)
    return Sign(kind, "not_found", "", f"no trace of an earlier compression ({score:.1f})", score)


def _copy_move(keypoints: Keypoints, limits: PixelSignLimits) -> Sign:
    kind = SignKind.COPY_MOVE
    if len(keypoints) < 2 * limits.clone_points_min:
        return not_applicable(kind, "too few distinct points to compare")
    found = clone(keypoints, limits.clone)
    if found.points >= limits.clone_points_min:
        words = f"a part appears twice: {found.points} points, {100 * found.apart:.0f}% of the edge apart"
        return Sign(kind, "found", "repeated_part", words, float(found.points))
    return Sign(kind, "not_found", "", "no part appears twice", float(found.points))
