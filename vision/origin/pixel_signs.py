"""Signs in the pixels, with their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field

from vision.copies.keypoints import Keypoints
from vision.decode.image import Picture
from vision.origin.cloned import CloneLimits, clone
from vision.origin.frame import FrameLimits, frame
from vision.origin.moire import MoireLimits, spectral_peaks
from vision.origin.requantised import RequantisedLimits, unevenness
from vision.origin.sign import OriginSignKind, Sign, not_applicable
from vision.origin.words import Phrase


@dataclass(frozen=True, slots=True)
class PixelSignLimits:
    """Thresholds, fitted on the train half of Caltech 101 and pictures made from it (docs/provenance.md): the
    positives are synthetic, so they show how the measure behaves, not how often fraud is found."""

    frame: FrameLimits = field(default_factory=FrameLimits)
    moire: MoireLimits = field(default_factory=MoireLimits)
    requantised: RequantisedLimits = field(default_factory=RequantisedLimits)
    clone: CloneLimits = field(default_factory=CloneLimits)
    text_lines_min: int = 4
    empty_rows_min: float = 0.15
    # Boards lit by a window, with small goods on them, reach .31 to .54; 40 screens drawn by `fixtures.edits` keep .76
    # and more through JPEG.
    paper_exact_min: float = 0.65
    moire_luma: float = 4.4
    moire_red: float = 3.3
    moire_blue: float = 3.5
    unevenness_min: float = 25.0  # the 287 single compressions of the train half reach 18 at most
    clone_points_min: int = 4


def pixel_signs(
    picture: Picture, keypoints: Keypoints, limits: PixelSignLimits = PixelSignLimits()
) -> tuple[Sign, ...]:
    """Return every sign that the pixels give. keypoints: those of the picture, from its fingerprint."""
    return (
        _screenshot(picture, limits),
        _recapture(picture, limits),
        _double_jpeg(picture, limits),
        _copy_move(keypoints, limits),
    )


def _screenshot(picture: Picture, limits: PixelSignLimits) -> Sign:
    layout = frame(picture.pixels, limits.frame)
    lines: Phrase = ("text_lines", f"{layout.lines}", f"{100 * layout.empty_rows:.0f}")
    drawn = layout.exact >= limits.paper_exact_min
    if drawn and layout.lines >= limits.text_lines_min and layout.empty_rows >= limits.empty_rows_min:
        return Sign(OriginSignKind.SCREENSHOT, "found", "app_screen", (("app_screen",), lines), float(layout.lines))
    return Sign(OriginSignKind.SCREENSHOT, "not_found", "", (lines,), float(layout.lines))


def _recapture(picture: Picture, limits: PixelSignLimits) -> Sign:
    peaks = spectral_peaks(picture.pixels, limits.moire)
    if peaks is None:
        return not_applicable(OriginSignKind.RECAPTURE, "too_small")
    score = moire_score(peaks.luma, peaks.red, peaks.blue, limits)
    if score >= 1.0:
        return Sign(OriginSignKind.RECAPTURE, "found", "moire", (("fine_pattern", f"{score:.2f}"),), score)
    return Sign(OriginSignKind.RECAPTURE, "not_found", "", (("no_fine_pattern", f"{score:.2f}"),), score)


def moire_score(luma: float, red: float, blue: float, limits: PixelSignLimits) -> float:
    """Return the strongest of the three peaks, each divided by its threshold."""
    return max(luma / limits.moire_luma, red / limits.moire_red, blue / limits.moire_blue)


def _double_jpeg(picture: Picture, limits: PixelSignLimits) -> Sign:
    kind = OriginSignKind.DOUBLE_JPEG
    strip = picture.origin.strip
    if strip is None:
        return not_applicable(kind, "no_baseline_jpeg")
    score = unevenness(strip, picture.origin.quantisation, limits.requantised)
    if score is None:
        return not_applicable(kind, "too_little_detail")
    if score >= limits.unevenness_min:
        return Sign(kind, "found", "recompressed", (("compressed_again", f"{score:.0f}"),), score)
    return Sign(kind, "not_found", "", (("compressed_once", f"{score:.1f}"),), score)


def _copy_move(keypoints: Keypoints, limits: PixelSignLimits) -> Sign:
    kind = OriginSignKind.COPY_MOVE
    if len(keypoints) < 2 * limits.clone_points_min:
        return not_applicable(kind, "too_few_points")
    repetition = clone(keypoints, limits.clone)
    if repetition.points >= limits.clone_points_min:
        part: Phrase = ("repeated_part", f"{repetition.points}", f"{100 * repetition.apart:.0f}")
        return Sign(kind, "found", "repeated_part", (part,), float(repetition.points))
    return Sign(kind, "not_found", "", (("no_repeated_part",),), float(repetition.points))
