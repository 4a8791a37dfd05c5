"""Recognises an app's screen: background of one exact colour in bands across the whole width, with lines of text."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameLimits:
    work_edge_px: int = 384
    paper_levels_max: int = 10  # from the paper's colour: what compression leaves of one colour
    exact_levels_max: int = 2  # from the paper's own middle: what drawn paper keeps to, and lit paper does not
    row_paper_min: float = 0.97  # share of a row that is paper: an empty row
    text_paper_min: float = 0.45  # share of a text row that still is paper


@dataclass(frozen=True, slots=True)
class Frame:
    """Layout of a picture as a screen.

    paper: share of the picture in its most frequent colour, called paper. exact: share of the empty rows of
    one colour: a screen's is drawn, a wall's and a table's is lit unevenly. empty_rows, text_rows: shares of the rows.
    lines: runs of text rows between empty rows. margins: share of the rows that begin and end with paper. body: share
    of the rows in the longest run that is not paper (the photo shown). aspect: height divided by width.
    """

    paper: float
    exact: float
    empty_rows: float
    text_rows: float
    lines: int
    margins: float
    body: float
    aspect: float


def frame(pixels: NDArray[np.uint8], limits: FrameLimits = FrameLimits()) -> Frame:
    """Measure the layout. pixels: uint8 (h, w, 3)."""
    height, width = pixels.shape[:2]
    scale = min(1.0, limits.work_edge_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    bins = (small >> 3).astype(np.int32)
    counts = np.bincount((bins[:, :, 0] << 10 | bins[:, :, 1] << 5 | bins[:, :, 2]).ravel(), minlength=1 << 15)
    top = int(counts.argmax())
    paper = np.array([(top >> 10) * 8 + 4, (top >> 5 & 31) * 8 + 4, (top & 31) * 8 + 4], np.int16)
    low, high = (np.clip(paper + sign * limits.paper_levels_max, 0, 255).tolist() for sign in (-1, 1))
    same = cv2.inRange(small, tuple(low), tuple(high)) > 0
    shares = same.mean(axis=1)
    empty = shares >= limits.row_paper_min
    text = ~empty & (shares >= limits.text_paper_min)
    body = ~empty & ~text
    return Frame(
        paper=float(same.mean()),
        exact=_exact(small[empty], limits.exact_levels_max),
        empty_rows=float(empty.mean()),
        text_rows=float(text.mean()),
        lines=_lines(empty, text),
        margins=float((same[:, 0] & same[:, -1]).mean()),
        body=_longest(body) / len(body),
        aspect=size[1] / size[0],
    )


def _exact(rows: NDArray[np.uint8], levels_max: int) -> float:
    """Return the share of the pixels of these rows within `levels_max` of their median colour; 0 without any."""
    if not rows.size:
        return 0.0
    values = rows.reshape(-1, 3).astype(np.int16)
    far = np.abs(values - np.median(values, axis=0)).max(axis=1)
    return float(np.mean(far <= levels_max))


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _lines(empty: NDArray[np.bool_], text: NDArray[np.bool_]) -> int:
    """Count runs of text rows with an empty row before and after them."""
    last = len(text)
    return sum(start > 0 and end < last and bool(empty[start - 1]) and bool(empty[end]) for start, end in _runs(text))


def _longest(flags: NDArray[np.bool_]) -> int:
    return max((end - start for start, end in _runs(flags)), default=0)
