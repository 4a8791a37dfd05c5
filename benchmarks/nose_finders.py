"""Measures the nose finder on real animals: the marked photos of dogs and cats, close-ups cut from them, and
photographs in which there is no dog's or cat's nose.

    miaopei bench noses

The test half shares no breed with what trained or chose the finder. A nose counts as found where the reader takes it
for a dog's or a cat's, of whatever size, and its box overlaps the marked one by half (intersection over union). Widths
are native: pixels of the photo as it was packed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from fixtures import caltech, varied
from fixtures.pet_faces import CALTECH_DOGS, CALTECH_OTHER_ANIMALS, TAR, MarkedPhoto, close_up, marked_photos
from vision.measurement import Unmeasured
from vision.nose import NoseReader
from vision.nose.find import Box, NoseFound

Pixels = npt.NDArray[np.uint8]

OVERLAP_MIN: Final = 0.5
WIDTHS: Final = ((0, 20), (20, 40), (40, 80), (80, 10_000))  # px
# How the reader's reasons begin where it sees no dog's or cat's nose.
NO_NOSE: Final = ("no nose found", "not a dog's or a cat's nose", "too dark")
TOYS: Final = frozenset({"snoopy", "garfield"})  # drawn animals with noses
# Sources of photos-varied that the finder has not seen, and the parts that they play for copies.
UNSEEN: Final = ("clothes", "parcels", "leaves", "buddha", "park", "bag", "landscapes", "alike", "tins")
_ROLES: Final[tuple[varied.Role, ...]] = ("test", "fit")


class FindsNoses(Protocol):
    """A finder, ours or one that it is compared with."""

    def find(self, pixels: Pixels) -> NoseFound | None:
        """Return the likeliest nose in uint8 (h, w, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class FinderRow:
    """One marked photo and the finder's answer. overlap: intersection over union with the marked box. nostrils: mean
    distance from the marked ones as a share of the marked width, nan where not both are marked as sure."""

    file: str
    species: str
    colour: str
    pose: str
    width_px: float
    overlap: float
    confidence: float
    nostrils: float
    nostril_confidence: float
    told_species: str
    told_pose: str

    def located(self, confidence_min: float) -> bool:
        """Return whether it counts as found."""
        return self.overlap >= OVERLAP_MIN and self.confidence >= confidence_min


@dataclass(frozen=True, slots=True)
class AcceptedNoses:
    """The reader's whole way to a nose, gates and second witness included."""

    reader: NoseReader

    def find(self, pixels: Pixels) -> NoseFound | None:
        """Return the nose that the reader takes for a dog's or a cat's."""
        nose = self.reader.find(pixels)
        return None if isinstance(nose, Unmeasured) else nose


def look(finder: FindsNoses, photos: Iterable[MarkedPhoto]) -> list[FinderRow]:
    """Run a finder over marked photos with a nose."""
    rows = []
    for photo in photos:
        if photo.box is None:
            continue
        nose = finder.find(photo.pixels)
        nostrils = float("nan")
        if nose is not None and photo.sure and photo.left is not None and photo.right is not None:
            off = [
                np.hypot(own[0] - marked[0], own[1] - marked[1])
                for own, marked in ((nose.left_nostril, photo.left), (nose.right_nostril, photo.right))
            ]
            nostrils = float(np.mean(off)) / photo.width_px
        rows.append(
            FinderRow(
                file=photo.file,
                species=photo.species,
                colour=photo.colour,
                pose=photo.pose,
                width_px=photo.width_px,
                overlap=0.0 if nose is None else overlap(nose.bounds, photo.box),
                confidence=0.0 if nose is None else nose.confidence,
                nostrils=nostrils,
                nostril_confidence=0.0 if nose is None else nose.nostril_confidence,
                told_species="" if nose is None else nose.species,
                told_pose="" if nose is None else nose.pose,
            )
        )
    return rows


def overlap(box: Box, other: Box) -> float:
    """Return the intersection over the union of two boxes."""
    width = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    height = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    both = width * height
    areas = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return both / max(1e-9, areas - both)


def recalls(rows: Sequence[FinderRow], confidence_min: float) -> dict[str, Any]:
    """Return found and asked, by species and width, by colour and by pose (20 px and wider)."""

    def share(part: Sequence[FinderRow]) -> dict[str, Any]:
        located = sum(row.located(confidence_min) for row in part)
        return {"found": round(located / len(part), 3) if part else None, "n": len(part)}

    wide = [row for row in rows if row.width_px >= 20]
    by_width = {
        species: {
            f"{low}-{high}px" if high < 10_000 else f"{low}px+": share(
                [row for row in rows if row.species == species and low <= row.width_px < high]
            )
            for low, high in WIDTHS
        }
        for species in ("dog", "cat")
    }
    return {
        "by_species_and_width": by_width,
        "by_colour": {
            name: share([row for row in wide if row.colour == name]) for name in sorted({row.colour for row in wide})
        },
        "by_pose": {
            name: share([row for row in wide if row.pose == name]) for name in sorted({row.pose for row in wide})
        },
    }


def by_species(rows: Sequence[FinderRow], confidence_min: float) -> dict[str, Any]:
    """Return the figures asked for of each species: recall on noses of 40 px and more and of 20 to 40; nostrils' error
    as a share of the nose's width, of those marked as sure, on noses that were found."""
    result = {}
    for species in ("dog", "cat"):
        mine = [row for row in rows if row.species == species]
        large = [row for row in mine if row.width_px >= 40]
        small = [row for row in mine if 20 <= row.width_px < 40]
        located = [row for row in mine if row.located(confidence_min)]
        errors = np.array([row.nostrils for row in located if np.isfinite(row.nostrils)])
        result[species] = {
            "recall": _share(row.located(confidence_min) for row in large),
            "recall_20_to_40_px": _share(row.located(confidence_min) for row in small),
            "nostril_error": round(float(np.median(errors)), 4) if len(errors) else None,
            "nostrils_within_6_percent": _share(error <= 0.06 for error in errors),
            "species_right": _share(row.told_species == species for row in located),
            "pose_right": _share(row.told_pose == row.pose for row in located),
            "n": len(large),
            "n_20_to_40_px": len(small),
            "n_nostrils": len(errors),
        }
    return result


def _share(truths: Iterable[Any]) -> float | None:
    values = [bool(truth) for truth in truths]
    return round(sum(values) / len(values), 4) if values else None


def strangers(per_class_max: int) -> dict[str, list[Pixels]]:
    """Return photographs without a dog's or cat's nose that the finder has not seen, by what they show: at most so many
    a class or source. Raises FileNotFoundError where a tar is missing."""
    pictures: dict[str, list[Pixels]] = {"other_animals": [], "drawn_animals": [], "other_photographs": []}
    for photo in caltech.photos("test", per_category_max=per_class_max):
        if photo.category in CALTECH_DOGS:
            continue
        kind = (
            "other_animals"
            if photo.category in CALTECH_OTHER_ANIMALS
            else "drawn_animals"
            if photo.category in TOYS
            else "other_photographs"
        )
        pictures[kind].append(photo.pixels)
    taken: Counter[str] = Counter()
    for role in _ROLES:
        for single in varied.photos(role):
            if single.source in UNSEEN and taken[single.source] < 4 * per_class_max:
                taken[single.source] += 1
                pictures["other_photographs"].append(single.pixels)
    pictures["pets_without_nose"] = [photo.pixels for photo in marked_photos("test") if photo.box is None]
    return pictures


def refusals(reader: NoseReader, pictures: Iterable[Pixels]) -> dict[str, Any]:
    """Return how many pictures a dog's or cat's nose is seen in, how many make a template, and the reasons of the
    others."""
    reasons: Counter[str] = Counter()
    for pixels in pictures:
        read = reader.read_pixels(pixels)
        reasons[read.reason.split(":")[0] if isinstance(read, Unmeasured) else "template"] += 1
    count = sum(reasons.values())
    return {
        "photos": count,
        "noses": count - sum(reasons[name] for name in NO_NOSE),
        "templates": reasons.pop("template", 0),
        "refused": dict(reasons.most_common()),
    }


def run(*, quick: bool = False, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure the finder on the test half. Returns one line why not where the photos are not there."""
    if not TAR.is_file():
        return {"finder": {"unmeasured": f"{TAR.name} is not beside the checkout"}, "false_templates": None}
    say = progress or (lambda _: None)
    reader = NoseReader()
    finder = AcceptedNoses(reader)
    photos = [photo for photo in marked_photos("test") if photo.box is not None]
    photos = photos[::6] if quick else photos
    say("marked photos")
    rows = look(finder, photos)
    say("close-ups")
    closer = look(finder, [close_up(photo) for photo in photos])
    say("photographs without a nose")
    without = {name: refusals(reader, pictures) for name, pictures in strangers(1 if quick else 8).items()}
    total = sum(part["photos"] for part in without.values())
    return {
        "finder": by_species(rows, 0.0),
        "finder_detail": recalls(rows, 0.0),
        "finder_close_ups": by_species(closer, 0.0),
        "photos_without_nose": without,
        "false_noses": round(sum(part["noses"] for part in without.values()) / total, 5),
        "false_templates": round(sum(part["templates"] for part in without.values()) / total, 5),
    }
