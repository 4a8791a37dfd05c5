"""Trains the nose finder and measures the thresholds of the nose comparison, on rendered pets.

    python -m models.train.nose --photos ../shared/data/photos-caltech101.tar --work var/nose

Writes models/weights/nose_print.safetensors, models/cards/nose_print.yaml and models/results/nose_print.json. Two
parts:

1. The finder's head (mask of the rhinarium, two nostrils) is trained on renders, half of them pasted into
   photographs, and on photographs without a nose
   (Caltech 101, CC BY 4.0, classes of animals with a muzzle left out; by file hash: first byte of SHA-256 modulo 4
   is 0 to train, 1 to select).
2. The comparison itself needs no training. `benchmarks.noses` measures it on calibration pets, which give the
   thresholds; the figures of the card come from test pets. The seeds of the three sets are disjoint
   (benchmarks.noses.SPLITS).

Runs about 20 minutes on one core. Needs fixtures, so a checkout and not an installed wheel.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch import nn

from benchmarks.nose_baselines import CELLS, SIZE_PX, FrozenTrunk, RenderedNoseFinder, letterbox, stack
from benchmarks.noses import capture_world, compare_world, spread
from benchmarks.noses import measure as measure_noses
from fixtures.noses import NoseView, render_nose
from models.registry import Card, ModelFile, sha256_of, write_card
from vision.measurement import Unmeasured
from vision.nose import NoseReader

SEED = 5
PETS, CAPTURES = 420, 6
RENDER_PX = 384
EPOCHS, BATCH, LEARNING_RATE = 6, 32, 3e-3
CHANNELS = (152, 32, 32, 24, 3)
HEAT_CELLS = 1.0  # standard deviation of the nostrils' targets
# Classes whose photographs may show a muzzle, so that they are neither noses nor certainly not.
MUZZLES = frozenset(
    {"dalmatian", "cougar_face", "cougar_body", "Leopards", "panda", "wild_cat", "gerenuk", "llama", "okapi"}
    | {"hedgehog", "beaver", "platypus", "kangaroo", "elephant", "rhino", "bass", "emu", "koala"}
)
ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
CONFIDENCE_MIN = 0.35
CALIBRATION, TEST = (8, 6), (16, 6)  # litters, pups a litter
MARGIN = 0.02  # similarity
RESULTS = ROOT / "results" / "nose_print.json"
WEIGHTS = ROOT / "weights" / "nose_print.safetensors"

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Head(nn.Module):
    """The layers that `benchmarks.nose_baselines.RenderedNoseFinder` runs in numpy, under the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(CHANNELS[0], CHANNELS[1], 1)
        self.middle = nn.Conv2d(CHANNELS[1], CHANNELS[2], 3, padding=1)
        self.last = nn.Conv2d(CHANNELS[2], CHANNELS[3], 3, padding=1)
        self.out = nn.Conv2d(CHANNELS[3], CHANNELS[4], 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits: (n, 152, 32, 32) -> (n, 3, 32, 32)."""
        value = torch.relu(self.mix(features))
        value = torch.relu(self.middle(value))
        return torch.Tensor(self.out(torch.relu(self.last(value))))


def photographs(archive: Path, part: int, *, muzzles: bool = False) -> list[Pixels]:
    """Return letterboxed photographs of one hash part (0..3); with `muzzles`, only of the classes that training leaves
    out."""
    squares = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isfile() or not member.name.endswith(".jpg"):
                continue
            if (Path(member.name).parent.name in MUZZLES) != muzzles:
                continue
            file = tar.extractfile(member)
            if file is None:
                continue
            content = file.read()
            if hashlib.sha256(content).digest()[0] % 4 == part:
                squares.append(letterbox(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))[0])
    return squares


def finder_set(photos: list[Pixels], pets: range, rng: np.random.Generator) -> tuple[Pixels, Floats, Floats]:
    """Return squares uint8 (n, 256, 256, 3), masks float32 (n, 32, 32), nostrils float32 (n, 2, 2) in square pixels, -1
    without a nose."""
    squares, masks, nostrils = [], [], []
    for pet in pets:
        for capture in range(CAPTURES):
            view = render_nose(
                pet,
                pet // 3,
                1_000_000 + pet * 10 + capture,
                size_px=RENDER_PX,
                nose_share=rng.uniform(0.3, 0.85),
                shift_x=rng.uniform(-0.12, 0.12),
                shift_y=rng.uniform(-0.12, 0.12),
                roll_deg=float(np.clip(rng.normal(0, 12), -35, 35)),
            )
            background = photos[int(rng.integers(len(photos)))] if rng.random() < 0.5 else None
            square, mask, points = _place(view, background, rng)
            squares.append(square)
            masks.append(mask)
            nostrils.append(points)
    for photo in photos:
        squares.append(photo)
        masks.append(np.zeros((CELLS, CELLS), np.float32))
        nostrils.append(np.full((2, 2), -1, np.float32))
    return np.asarray(squares), np.asarray(masks, np.float32), np.asarray(nostrils, np.float32)


def _place(view: NoseView, background: Pixels | None, rng: np.random.Generator) -> tuple[Pixels, Floats, Floats]:
    """Return a render as a square: alone, or with a ring of its fur pasted into a photograph; its colours are
    shifted."""
    mask = view.mask.astype(np.float32)
    if background is None:
        scale, dx, dy = SIZE_PX / RENDER_PX, 0.0, 0.0
        alpha, behind = np.ones_like(mask), np.zeros((SIZE_PX, SIZE_PX, 3), np.float32)
    else:
        scale = rng.uniform(0.35, 1) * SIZE_PX / RENDER_PX
        rows, columns = np.nonzero(view.mask)
        x, y = columns.mean(), rows.mean()
        ys, xs = np.mgrid[:RENDER_PX, :RENDER_PX]
        radius = np.hypot(
            (xs - x) / (view.width_px * rng.uniform(0.6, 1.6)), (ys - y) / (view.width_px * rng.uniform(0.6, 1.3))
        )
        alpha = np.maximum(np.clip((1 - radius) / 0.12, 0, 1), mask).astype(np.float32)
        behind = background.astype(np.float32)
        dx, dy = rng.uniform(0.3, 0.7) * SIZE_PX - x * scale, rng.uniform(0.3, 0.7) * SIZE_PX - y * scale
    matrix = np.array([[scale, 0, dx], [0, scale, dy]], np.float32)
    size = (SIZE_PX, SIZE_PX)
    front = cv2.warpAffine(view.pixels.astype(np.float32), matrix, size)
    ring = cv2.warpAffine(alpha, matrix, size)[..., None]
    image = behind * (1 - ring) + front * ring
    image = image * rng.uniform(0.6, 1.35, 3) * 0.5 + image * rng.uniform(0.6, 1.35) * 0.5
    if rng.random() < 0.3:
        image = image.mean(2, keepdims=True) * 0.7 + image * 0.3
    small = cv2.resize(cv2.warpAffine(mask, matrix, size), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    points = np.array([view.left_nostril, view.right_nostril]) * scale + [dx, dy]
    return np.clip(image, 0, 255).astype(np.uint8), np.asarray(small, np.float32), points.astype(np.float32)


def train_finder(squares: Pixels, masks: Floats, nostrils: Floats, trunk: FrozenTrunk) -> Head:
    """Train with binary cross-entropy on the mask and on Gaussian heat maps; every second square is mirrored (left and
    right nostril are then swapped)."""
    torch.manual_seed(SEED)
    mirror = np.random.default_rng(SEED).random(len(squares)) < 0.5
    squares = np.where(mirror[:, None, None, None], squares[:, :, ::-1], squares)
    targets = _targets(masks, nostrils)
    targets = np.where(mirror[:, None, None, None], targets[:, [0, 2, 1], :, ::-1], targets)
    features = torch.from_numpy(_features(squares, trunk))
    wanted = torch.from_numpy(targets.astype(np.float16))
    head = Head()
    optimiser = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    steps = EPOCHS * (len(features) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    weight = torch.tensor([1.0, 8.0, 8.0])[:, None, None]  # nostrils fill only few cells
    for epoch in range(EPOCHS):
        order = torch.randperm(len(features))
        total = 0.0
        for step in range(len(features) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            logits = head(features[batch].float())
            loss = (
                nn.functional.binary_cross_entropy_with_logits(logits, wanted[batch].float(), reduction="none") * weight
            ).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / (len(features) // BATCH):.4f}", flush=True)
    return head


def _features(squares: Pixels, trunk: FrozenTrunk) -> npt.NDArray[np.float16]:
    features = np.empty((len(squares), CHANNELS[0], CELLS, CELLS), np.float16)
    for start in range(0, len(squares), 16):
        features[start : start + 16] = stack(*trunk.features(squares[start : start + 16]))
    return features


def _targets(masks: Floats, nostrils: Floats) -> Floats:
    """Return (n, 3, 32, 32): mask, left heat, right heat."""
    ys, xs = np.mgrid[:CELLS, :CELLS]
    cells = nostrils / (SIZE_PX / CELLS) - 0.5
    squared = (xs - cells[..., 0, None, None]) ** 2 + (ys - cells[..., 1, None, None]) ** 2
    heat = np.exp(-squared / (2 * HEAT_CELLS**2)) * (nostrils[..., 0, None, None] >= 0)
    return np.asarray(np.concatenate([masks[:, None], heat], 1), np.float32)


def finder_figures(finder: RenderedNoseFinder, squares: Pixels, nostrils: Floats) -> dict[str, Any]:
    """Return the nostrils' errors, as shares of the nose's width, and how often a nose is reported in a picture without
    one."""
    errors, missed, ghosts, without = [], 0, 0, 0
    for square, points in zip(squares, nostrils, strict=True):
        nose = finder.find(square)
        if points[0, 0] < 0:
            without += 1
            ghosts += nose is not None and nose.confidence >= CONFIDENCE_MIN
            continue
        if nose is None or nose.confidence < CONFIDENCE_MIN:
            missed += 1
            continue
        got = np.asarray([nose.left_nostril, nose.right_nostril])
        errors.append(float(np.hypot(*(got - points).T).mean() / nose.width_px))
    return {
        "noses": len(errors) + missed,
        "missed_rate": round(missed / max(1, len(errors) + missed), 4),
        "nostril_error_p50_of_width": round(float(np.percentile(errors, 50)), 4),
        "nostril_error_p95_of_width": round(float(np.percentile(errors, 95)), 4),
        "photos_without_nose": without,
        "photos_without_nose_found_rate": round(ghosts / max(1, without), 4),
    }


def write_preliminary_card() -> None:
    """Write a card without figures: the reader loads weights by card only, so a card must exist before anything is
    measured."""
    write_card(_card({}, "not measured yet"))


def measure(photos: Path, trunk: FrozenTrunk) -> None:
    """Derive thresholds from the calibration pets and error rates from the test pets, then write card and
    results row."""
    if not (ROOT / "cards" / "nose_print.yaml").exists():
        write_preliminary_card()
    finder = RenderedNoseFinder(trunk, load_file(str(WEIGHTS)))
    rng = np.random.default_rng(SEED + 1)
    selection = finder_set(photographs(photos, 1), range(PETS, PETS + 60), rng)
    figures = finder_figures(finder, selection[0], selection[2])
    print(json.dumps(figures), flush=True)
    calibration = capture_world("calibration", *CALIBRATION)
    table, _ = compare_world(calibration)
    thresholds = choose(table)
    print(json.dumps({"thresholds": thresholds, "calibration": spread(table)}), flush=True)
    order = ("nose_accept_similarity_min", "nose_accept_inliers_min", "nose_review_similarity_min")
    accept, inliers, review = (thresholds[name] for name in order)
    tested = measure_noses(*TEST, "test", thresholds=(accept, int(inliers), review))
    print(json.dumps(tested), flush=True)
    nothing = not_noses(photos)
    print(json.dumps(nothing), flush=True)
    metrics = {
        "data": "synthetic (fixtures.noses); nothing here was measured on real noses",
        "thresholds": thresholds,
        "finder": figures,
        "photos_that_are_no_nose_print": nothing,
        "test": {
            key: tested[key]
            for key in ("pets_enrolled", "captures", "refused_rate", "refused", "comparisons", "methods", "verdicts")
        },
    }
    write_card(_card(metrics, VERSION))
    row = {
        "model": "nose_print",
        "version": VERSION,
        "sha256": sha256_of(WEIGHTS),
        **metrics,
        "all_test_figures": tested,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")


def choose(table: dict[str, dict[str, npt.NDArray[np.float64]]]) -> dict[str, Any]:
    """Choose the thresholds.

    Accept: above every calibration impostor by `MARGIN`, and at least as many inliers as 1 impostor in 20 reaches.
    Review: the similarity that 1 owner in 500 falls below, but never so low that half of the impostors would be
    reviewed.
    """
    impostors = np.r_[table["litter"]["similarity"], table["stranger"]["similarity"]]
    points = np.r_[table["litter"]["inliers"], table["stranger"]["inliers"]]
    genuine = table["genuine"]["similarity"]
    review = max(float(np.percentile(genuine, 0.2)) - MARGIN, float(np.percentile(impostors, 50)))
    accept = float(impostors.max()) + MARGIN
    return {
        "nose_accept_similarity_min": round(accept, 2),
        "nose_accept_inliers_min": int(np.percentile(points, 95)),
        "nose_review_similarity_min": round(min(review, accept), 2),
    }


def not_noses(archive: Path) -> dict[str, Any]:
    """Count how many photographs without a nose print pass as far as a template. Classes with muzzles, never used in
    training, are counted apart."""
    reader = NoseReader()
    result: dict[str, Any] = {}
    for name, muzzles, part in (("animals_with_muzzles", True, 2), ("other_photographs", False, 2)):
        squares = photographs(archive, part, muzzles=muzzles)
        reasons = Counter(
            read.reason.split(":")[0] if isinstance(read := reader.read_pixels(square), Unmeasured) else "template"
            for square in squares
        )
        result[name] = {"photos": len(squares), "templates": reasons.pop("template", 0), "refused": dict(reasons)}
    return result


def _card(metrics: dict[str, Any], version: str) -> Card:
    return Card(
        name="nose_print",
        version=version,
        summary="Finds a pet's nose and its nostrils; with vision.nose, verifies pets by their bead pattern.",
        licence="Apache-2.0",
        source="Trained here by models/train/nose.py on the frozen trunk nose_trunk.",
        how_to_get="part of the checkout; to make it again: python -m models.train.nose (see its docstring)",
        files={"weights": ModelFile("weights/nose_print.safetensors", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"size_px": SIZE_PX, "resize": "letterbox to 256 x 256, grey border", "channels": "RGB"},
        trained_on=(
            "Rendered noses (fixtures.noses; pets 0 to 419, litters 0 to 139) and Caltech 101 photographs without "
            "muzzles (CC BY 4.0), those whose file's SHA-256 begins with a byte divisible by 4."
        ),
        metrics=metrics,
        limits=(
            "Synthetic throughout: error rates hold for rendered noses only, real noses are "
            "unmeasured, and so are prints "
            "and screens held before the camera. Measure on an insurer's own enrolments before paying by it."
        ),
        root=ROOT,
    )


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        from models.train import nose_thresholds

        sys.exit(nose_thresholds.main())  # `python -m models.train.nose FOLDER`: an insurer's own thresholds
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("var/nose"))
    parser.add_argument("--finder-only", action="store_true", help="stop after the weights")
    parser.add_argument("--measure-only", action="store_true", help="keep the weights, measure and write the card")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    trunk = FrozenTrunk()
    if not options.measure_only:
        cache = options.work / "finder.npz"
        if cache.exists():
            with np.load(cache) as stored:
                squares, masks, nostrils = stored["squares"], stored["masks"], stored["nostrils"]
        else:
            rng = np.random.default_rng(SEED)
            squares, masks, nostrils = finder_set(photographs(options.photos, 0), range(PETS), rng)
            np.savez(cache, squares=squares, masks=masks, nostrils=nostrils)
        head = train_finder(squares, masks, nostrils, trunk)
        WEIGHTS.parent.mkdir(exist_ok=True)
        save_file({name: value.detach().numpy() for name, value in head.state_dict().items()}, WEIGHTS)
        write_preliminary_card()
    if options.finder_only:
        return
    measure(options.photos, trunk)


if __name__ == "__main__":
    main()
