"""Measures what the known common pictures rightly and wrongly excuse: `python -m benchmarks.commons [--labels N]`.

Photos are the test half of Caltech 101 (`fixtures.caltech`). A label, cut out of one photo, is pasted into five others
(`fixtures.edits.with_label`, on 4% to 25% of the area): a person's ruling on two of them teaches the bank; all five
are honest photos that share nothing but the label. The label is synthetic, so are its light and its turn. True copies
are edits (`fixtures.edits`) of the labelled photos that the bank was learnt from, which is the hardest case: the bank
knows the label that is in both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from claims.evidence import PhotoVerdict
from fixtures import caltech, edits
from flows import evidence
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.copies.geometry import Geometry
from vision.examine import ExamineLimits, compare, signals
from vision.library.known_pictures import Common, CommonLimits, Known, KnownPictures, assemble, explain, learn
from vision.library.search import candidate_from, nearness

SEED: Final = 20261122
LIMITS: Final = CommonLimits()
EDITS: Final = (
    "copied", "jpeg_20", "recoloured", "mirrored", "rotated_15", "cropped_50", "cropped_25", "text_and_emoji",
    "bordered", "screenshot", "rephotographed", "collage", "combination",
)  # fmt: skip
Pixels = NDArray[np.uint8]


class Eye:
    """Makes fingerprints of pixels, through a JPEG as for every upload."""

    def __init__(self) -> None:
        self._fingerprinter = Fingerprinter(threads=1)

    def see(self, pixels: Pixels) -> Fingerprint:
        data = edits.jpeg_bytes(pixels)
        picture = caltech.as_picture(edits.through_jpeg(pixels, 88))
        return self._fingerprinter.fingerprint(picture, hashlib.sha256(data).hexdigest())


def relation(query: Fingerprint, match: Fingerprint) -> tuple[PhotoVerdict, Geometry]:
    """Returns the product's verdict on two photos and the transform on which their points agree."""
    candidate = candidate_from("match", match, query, nearness(query, match.descriptor))
    verdict = evidence.strongest(evidence.call(compare(query, [candidate], "")))
    return verdict, signals(query, candidate, ExamineLimits()).geometry


def excused(query: Fingerprint, match: Fingerprint, geometry: Geometry, bank: KnownPictures) -> bool:
    return bool(explain(query, match.keypoints, match.thumbnail, geometry, bank, LIMITS))


def known(name: str, photo: Fingerprint) -> Known:
    return Known(name, photo.sha256, photo.pixel_sha256, "", photo.keypoints)


def measure(labels: int) -> dict[str, object]:
    """Returns the figures for `labels` labels, each in five photos."""
    rng, eye = np.random.default_rng(SEED), Eye()
    source = itertools.islice(caltech.photos("test", per_category_max=8), labels * 6)
    photos = [photo.pixels for photo in source]
    rng.shuffle(photos)
    commons: list[Common] = []
    sets: list[list[Pixels]] = []
    unlearnt = 0
    for number in range(len(photos) // 6):
        label = edits.label_from(photos[6 * number], rng)
        shown = [edits.with_label(pixels, label, rng) for pixels in photos[6 * number + 1 : 6 * number + 6]]
        sets.append(shown)
        base, other = (known(f"{number}-{place}", eye.see(shown[place])) for place in (0, 1))
        learnt = learn(f"label-{number}", base, [other], LIMITS)
        if isinstance(learnt, Common):
            commons.append(learnt)
        else:
            unlearnt += 1
        _progress("labels", number + 1, len(photos) // 6)
    bank = assemble(commons)
    honest, copies = Counter[str](), Counter[str]()
    by_edit: dict[str, Counter[str]] = {name: Counter() for name in EDITS}
    learnt_of = {int(common.common_id.removeprefix("label-")) for common in commons}
    for number, shown in enumerate(sets):
        if number not in learnt_of:
            continue
        prints = [eye.see(pixels) for pixels in shown]
        for a, b in itertools.combinations(range(len(prints)), 2):
            verdict, geometry = relation(prints[a], prints[b])
            honest["pairs"] += 1
            if geometry.inliers < LIMITS.inliers_min:
                continue
            honest["sharing_points"] += 1
            gone = excused(prints[a], prints[b], geometry, bank)
            honest["sharing_points_excused"] += gone
            if verdict is PhotoVerdict.EDITED_COPY:
                honest["called_copies"] += 1
                honest["called_copies_excused"] += gone
        for name in EDITS:
            others = [photos[int(index)] for index in rng.integers(0, len(photos), 4)]
            copy = eye.see(edits.apply(name, shown[0], rng, others))
            verdict, geometry = relation(copy, prints[0])
            if verdict is not PhotoVerdict.EDITED_COPY:
                continue
            gone = excused(copy, prints[0], geometry, bank)
            copies.update(found=1, wrongly_excused=int(gone))
            by_edit[name].update(found=1, wrongly_excused=int(gone))
        _progress("pairs", number + 1, len(sets))
    return {
        "labels": len(sets),
        "labels_with_too_few_points_to_learn": unlearnt,
        "same_label_pairs": dict(honest),
        "true_copies": dict(copies),
        "true_copies_by_edit": {name: dict(counted) for name, counted in by_edit.items()},
        "limits": {name: getattr(LIMITS, name) for name in CommonLimits.__slots__},
    }


def _progress(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty() or done == of:
        sys.stderr.write(f"\r{what}: {done} of {of}" + ("\n" if done == of else ""))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--labels", type=int, default=40)
    sys.stdout.write(json.dumps(measure(asked.parse_args().labels)) + "\n")


if __name__ == "__main__":
    main()
