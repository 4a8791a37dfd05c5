"""Subjects of a photo with their probabilities, by a network trained on ImageNet.

The classifier is the packaged EfficientNet-Lite0 as published (card lite0_classes; Tan and Le, 2019). Its 1,000 classes
are gathered into a few subjects by `vision/subjects.yaml`; a class that belongs to no subject is left out, so that the
subjects' probabilities need not sum to 1. This is a measurement only: what a claim should show, and how sure one must
be that a photo shows something else, is judged elsewhere.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

from models import onnx_build
from models.registry import card
from vision.measurement import Unmeasured

SUBJECTS: Final = Path(__file__).parent / "subjects.yaml"
TOP_CLASSES: Final = 3
# A guess, not a measurement: a seventh of the network's input edge. A smaller picture is only a blur to the network.
SHORT_EDGE_PX_MIN: Final = 32
LONG_TO_SHORT_MAX: Final = 8  # squeezed into a square, a longer strip shows nothing that the network has ever seen
_BATCH_MAX: Final = 8
_RANGE: Final = " .. "


@dataclass(frozen=True, slots=True)
class SubjectReading:
    """The subjects of one photo.

    subjects: (name, probability 0..1) of every subject, likeliest first. classes: the network's likeliest classes, in
    ImageNet's words, in the same form. model: label of the classifier.
    """

    subjects: tuple[tuple[str, float], ...]
    classes: tuple[tuple[str, float], ...]
    model: str


class SubjectModel:
    """Classifies photos by subject. Thread-safe. threads: onnxruntime threads for one call.

    Raises ModelMissing or ModelCorrupt for the classifier, ValueError for a table that does not fit it.
    """

    def __init__(self, threads: int = 1, table: Path = SUBJECTS) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # as in vision.copies.descriptor: the arena would keep the largest batch
        self._session = onnxruntime.InferenceSession(
            str(onnx_build.ensure(onnx_build.LITE0_CLASSES)), options, providers=["CPUExecutionProvider"]
        )
        known = card(onnx_build.LITE0_CLASSES)
        self.label = known.label
        self._size_px = int(known.preprocessing["size_px"])
        self._mean = np.float32(known.preprocessing["mean"])
        self._scale = np.float32(known.preprocessing["scale"])
        self.classes: tuple[str, ...] = tuple(json.loads(self._session.get_modelmeta().custom_metadata_map["classes"]))
        members = read_table(table, self.classes)
        self.subjects = tuple(members)
        self._gather = np.zeros((len(self.classes), len(members)), dtype=np.float32)
        for column, indices in enumerate(members.values()):
            self._gather[list(indices), column] = 1.0

    def look(self, pictures: Sequence[NDArray[np.uint8]]) -> list[SubjectReading | Unmeasured]:
        """Return one reading per picture, in order. pictures: uint8 (h, w, 3) sRGB each, any sizes."""
        readings: list[SubjectReading | Unmeasured] = [_too_small(picture) or Unmeasured("") for picture in pictures]
        usable = [index for index, picture in enumerate(pictures) if _too_small(picture) is None]
        rows = self.probabilities([pictures[index] for index in usable])
        for index, row, sums in zip(usable, rows, self.gathered(rows), strict=True):
            readings[index] = SubjectReading(
                subjects=_ranked(self.subjects, sums, len(self.subjects)),
                classes=_ranked(self.classes, row, TOP_CLASSES),
                model=self.label,
            )
        return readings

    def probabilities(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the class probabilities, float32 (n, 1000), in the order of `classes`."""
        out = np.empty((len(pictures), len(self.classes)), dtype=np.float32)
        for start in range(0, len(pictures), _BATCH_MAX):
            batch = np.stack([self._input(picture) for picture in pictures[start : start + _BATCH_MAX]])
            out[start : start + len(batch)] = self._session.run(["probabilities"], {"pixels": batch})[0]
        return out

    def gathered(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum class probabilities by subject. rows: (n, 1000), as `probabilities` returns them. Returns (n, subjects),
        in the order of `subjects`."""
        return np.asarray(rows @ self._gather, dtype=np.float32)

    def _input(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(picture, (self._size_px, self._size_px), interpolation=cv2.INTER_AREA)
        scaled = (small.astype(np.float32) - self._mean) / self._scale
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def read_table(path: Path, classes: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """Return each subject with the indices of its classes. Raises ValueError for an unknown or repeated class."""
    place = {name: index for index, name in enumerate(classes)}
    content: dict[str, list[str]] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    single = {entry for entries in content.values() for entry in entries if _RANGE not in entry}
    owner: dict[str, str] = {}
    places: dict[str, tuple[int, ...]] = {}
    for subject, entries in content.items():
        names: list[str] = []
        for entry in entries:
            first, _, last = entry.partition(_RANGE)
            if first not in place or (last and last not in place):
                raise ValueError(f"{path.name}: {subject}: the network has no class {entry!r}")
            if last:
                names += [name for name in classes[place[first] : place[last] + 1] if name not in single]
            else:
                names.append(entry)
        for name in names:
            if name in owner:
                raise ValueError(f"{path.name}: {name!r} stands under {owner[name]} and under {subject}")
            owner[name] = subject
        places[subject] = tuple(place[name] for name in names)
    return places


def _too_small(picture: NDArray[np.uint8]) -> Unmeasured | None:
    height, width = picture.shape[:2]
    if min(height, width) < SHORT_EDGE_PX_MIN:
        return Unmeasured(f"too small to tell what it shows: {width} x {height} px")
    if max(height, width) > LONG_TO_SHORT_MAX * min(height, width):
        return Unmeasured(f"too long a strip to tell what it shows: {width} x {height} px")
    return None


def _ranked(names: Sequence[str], values: NDArray[np.float32], count: int) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-values, kind="stable")[:count]
    return tuple((names[index], round(min(1.0, float(values[index])), 4)) for index in order)


_lock = threading.Lock()


@cache
def _shared(threads: int) -> SubjectModel:
    return SubjectModel(threads)


def shared_subject_model(threads: int = 1) -> SubjectModel:
    """Return the process's one model for this thread count (18 MB of weights each)."""
    with _lock:
        return _shared(threads)
