"""Fine-tunes EfficientNet-Lite0 into the copy descriptor: near for edited copies, far for look-alikes.

    python -m models.train.copy_descriptor [--out DIR] [--threads N] [--start WEIGHTS]

After Pizzi et al., A self-supervised descriptor for image copy detection (SSCD), 2022: InfoNCE across strong edits,
with collages as copies of all their parts, and the KoLeo term that spreads descriptors evenly. Differs from SSCD in
what a small machine requires: it starts from the packaged ImageNet weights and from the learnt whitening
(`models/train/whitening.py`) as its last layer, keeps the batch norms' statistics, fills batches with look-alikes of
one class, and takes further negatives from a queue of recent descriptors (Wang et al., Cross-batch memory, 2020).

Data: the train half of the Caltech photos (`fixtures.caltech`, by file hash) without HELD_OUT of them, and the varied
photos of the role `train` (`fixtures.varied`), in pairs of views edited by `models/train/copy_views.py`. Photos of one
scene are neither copies nor strangers of each other. Intermediate figures are measured on the sources of the role
`fit`, of which the training sees nothing. WEIGHTS continues from an earlier copy descriptor instead of the packaged
network, with fewer steps: version 2.0.0 was made so from version 1.0.0 (700 steps from the packaged network, Caltech
alone, the edits of `fixtures.edits`; see the history of models/weights/copy_descriptor.safetensors).

Resumable: DIR keeps a checkpoint, and the same command continues from it. Progress goes to DIR/log.csv. Ends by writing
weights/copy_descriptor.safetensors, its card and a row of results/copy_descriptor.csv. About 40 minutes on two cores
from WEIGHTS, two hours without; on a GPU, where there is one, minutes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import nn
from torch.utils.data import DataLoader

from fixtures import caltech, harder_edits, varied
from models import onnx_build
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from models.train.copy_network import (
    EVALUATION_PX,
    CopyNetwork,
    NegativeQueue,
    continued,
    describe,
    losses,
    normalised,
    starting_point,
)
from models.train.copy_views import PHOTOS_A_BATCH, Batches, TrainingBatch
from vision.copies.descriptor import CROWD_NEIGHBOURS, DIMENSIONS, normalise, whiten
from vision.copies.fingerprint import fit

SEED: Final = 20261130
STEPS: Final = 1150  # from the packaged network
STEPS_FROM_WEIGHTS: Final = 240
HELD_OUT: Final = 240  # Caltech photos, those first by file hash
FIGURE_PHOTOS: Final = 460  # of the role `fit`, for the figures: half in the library, half strangers
HELD_OUT_EDITS: Final = tuple(name for name in harder_edits.ALL if name != "copied")
WORK_PX: Final = 400  # photos are shrunk to this before they are edited: the network sees at most 192
CATEGORY_PHOTOS: Final = 24  # photos of a large source that make a class
KOLEO_WEIGHT: Final = 8.0
QUEUE: Final = 24  # batches whose first views serve as negatives
LEARNING_RATE: Final = 4e-4
LEARNING_RATE_FROM_WEIGHTS: Final = 3e-4
WARM_UP_STEPS: Final = 40
WEIGHT_DECAY: Final = 1e-4
AVERAGE_DECAY: Final = 0.99
CHECKPOINT_EVERY: Final = 25
MEASURE_EVERY: Final = 125
BACKGROUND: Final = 1024  # photos whose nearness distinguishes a look-alike from a copy
SHRINKAGE: Final = 0.1  # of the outputs' covariance towards a multiple of the identity
RESULTS: Final = Path(__file__).parent.parent / "results" / "copy_descriptor.csv"
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / "copy_descriptor.safetensors"


def measure(
    library: NDArray[np.float32],
    queries: NDArray[np.float32],
    photos: NDArray[np.intp],
    background: NDArray[np.float32],
) -> dict[str, float]:
    """Measure recall at rank 1, and recall at 99% precision with the score normalised by the nearness of look-alikes.

    library, queries, background: descriptors. photos: (queries,), the row of the library that each is a copy of, -1 for
    a stranger.
    """
    cosines = queries @ library.T
    best = cosines.argmax(axis=1)
    crowd = np.partition(queries @ background.T, -CROWD_NEIGHBOURS, axis=1)[:, -CROWD_NEIGHBOURS:].mean(axis=1)
    right = best == photos
    copies = photos >= 0
    order = np.argsort(-(cosines.max(axis=1) - crowd))
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= 0.99)
    at_p99 = float(right[order][: enough[-1] + 1].sum() / copies.sum()) if len(enough) else 0.0
    return {"recall_at_1": round(float(right[copies].mean()), 4), "recall_at_p99": round(at_p99, 4)}


class HeldOut:
    """Edited copies of photos of sources that the training does not see, to be found among those photos and others.

    Half of `held` lies in the library and is asked for in 4 edits each; the other half is not in it and is asked for as
    it is and in one edit. `beside`: photos that lie in the library as well. `background`: those that tell how near
    look-alikes come.
    """

    def __init__(
        self,
        held: Sequence[NDArray[np.uint8]],
        beside: Sequence[NDArray[np.uint8]],
        background: Sequence[NDArray[np.uint8]],
    ) -> None:
        rng = np.random.default_rng(SEED + 1)
        half = len(held) // 2
        self.library = [*held[:half], *beside]
        self.background = list(background)
        self.queries: list[NDArray[np.uint8]] = []
        photos = []
        for index, pixels in enumerate(held):
            known = index < half
            for name in rng.choice(HELD_OUT_EDITS, 4 if known else 1, replace=False):
                others = [
                    held[k] for k in rng.choice([k for k in range(half, len(held)) if k != index], 8, replace=False)
                ]
                self.queries.append(harder_edits.apply(str(name), pixels, rng, others))
                photos.append(index if known else -1)
            if not known:
                self.queries.append(pixels)
                photos.append(-1)
        self.photos = np.array(photos)

    def measure(
        self,
        network: CopyNetwork,
        device: torch.device,
        layer: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> dict[str, float]:
        """Measure the network. layer: mean and projection to use instead of the network's own."""
        mean, projection = layer or (network.mean.detach().cpu().numpy(), network.projection.detach().cpu().numpy())
        rows = [
            whiten(describe(network, part, device), mean, projection)
            for part in (self.library, self.queries, self.background)
        ]
        return measure(rows[0], rows[1], self.photos, rows[2])


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPhotos:
    """The photos to train on. categories: the class of each. scenes: as `copy_views.Batches` takes them."""

    pixels: list[NDArray[np.uint8]]
    categories: list[str]
    scenes: list[int]


def training_photos() -> TrainingPhotos:
    """Return the photos of Caltech's train half that are not held out, and the varied ones of the role `train`, in
    classes of about CATEGORY_PHOTOS."""
    known = list(caltech.photos("train"))[HELD_OUT:]
    pixels = [fit(photo.pixels, WORK_PX) for photo in known]
    categories = [photo.category for photo in known]
    scenes = list(range(len(known)))
    first_of: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for photo in varied.photos("train"):
        index = len(pixels)
        pixels.append(fit(photo.pixels, WORK_PX))
        categories.append(f"{photo.source} {counts[photo.source] // CATEGORY_PHOTOS}")
        counts[photo.source] += 1
        scenes.append(first_of.setdefault(photo.group, index) if photo.group else index)
    return TrainingPhotos(pixels, categories, scenes)


def rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step of `steps`: a warm-up, then half a cosine."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP_STEPS) / (steps - WARM_UP_STEPS)))


class Training:
    """The state that a checkpoint holds. steps, learning_rate: of the whole training."""

    def __init__(
        self, network: CopyNetwork, out: Path, steps: int = STEPS, learning_rate: float = LEARNING_RATE
    ) -> None:
        self.steps = steps
        self._learning_rate = learning_rate
        self.network = network.eval()  # also during training, so that the batch norms keep their statistics
        self.average = {name: value.detach().clone() for name, value in network.named_parameters()}
        self.optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
        self.queue = NegativeQueue(QUEUE)
        self.step = 0
        self._file = out / "checkpoint.pt"
        if self._file.exists():
            state: dict[str, Any] = torch.load(self._file, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average = state["average"]
            self.optimiser.load_state_dict(state["optimiser"])
            self.queue.restore(state["queue"])
            self.step = state["step"]

    def save(self) -> None:
        part = self._file.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average,
                "optimiser": self.optimiser.state_dict(),
                "queue": self.queue.state(),
                "step": self.step,
            },
            part,
        )
        part.replace(self._file)

    def advance(self, batch: TrainingBatch, device: torch.device) -> tuple[float, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate * rate(self.step, self.steps)
        pixels = normalised(batch.pixels, device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            pooled = self.network.pooled(pixels)
        descriptors = self.network.project(pooled.float())
        contrast, spread = losses(descriptors, batch, self.queue)
        self.optimiser.zero_grad()
        (contrast + KOLEO_WEIGHT * spread).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.queue.add(descriptors[: len(batch.photos)], torch.from_numpy(batch.photos).to(device))
        decay = min(AVERAGE_DECAY, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return float(contrast.detach()), float(spread.detach())

    def averaged(self) -> CopyNetwork:
        """Return the network with the running average of its weights."""
        mean, projection = (getattr(self.network, name).detach().cpu().numpy() for name in ("mean", "projection"))
        other = CopyNetwork(mean, projection).eval()
        other.load_state_dict({**self.network.state_dict(), **self.average})
        return other


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--out", type=Path, default=Path("build/copy_descriptor"))
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--start", type=Path, help="weights of an earlier copy descriptor to continue from")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = training_photos()
    held = [fit(photo.pixels, WORK_PX) for photo in itertools.islice(varied.photos("fit"), FIGURE_PHOTOS)]
    network = (starting_point() if chosen.start is None else continued(chosen.start)).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    training = (
        Training(network, chosen.out)
        if chosen.start is None
        else Training(network, chosen.out, STEPS_FROM_WEIGHTS, LEARNING_RATE_FROM_WEIGHTS)
    )
    order = np.random.default_rng(SEED).permutation(len(photos.pixels)).tolist()
    test = HeldOut(held, [photos.pixels[k] for k in order[:700]], [photos.pixels[k] for k in order[700:1724]])
    batches = Batches(photos.pixels, photos.categories, training.steps, SEED, photos.scenes)
    started = time.monotonic()
    if training.step == 0:
        _log(chosen.out, 0, 0.0, 0.0, 0.0, test.measure(training.averaged().to(device), device))
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    loader: DataLoader[TrainingBatch] = DataLoader(
        batches,
        batch_size=None,
        sampler=range(training.step, training.steps),
        num_workers=1,
        prefetch_factor=6,
        multiprocessing_context="spawn",
    )
    recent: deque[tuple[float, float]] = deque(maxlen=CHECKPOINT_EVERY)
    for batch in loader:
        recent.append(training.advance(batch, device))
        if training.step % CHECKPOINT_EVERY == 0 or training.step == training.steps:
            training.save()
            measured = training.step % MEASURE_EVERY == 0 or training.step == training.steps
            figures = test.measure(training.averaged().to(device), device) if measured else {}
            contrast, spread = np.mean(recent, axis=0)
            _log(chosen.out, training.step, time.monotonic() - started, contrast, spread, figures)
    publish(training, test, photos.pixels, device, "" if chosen.start is None else sha256_of(chosen.start))


def publish(
    training: Training, test: HeldOut, photos: Sequence[NDArray[np.uint8]], device: torch.device, start: str
) -> None:
    """Write the weights (half precision), their card, the graph, its card and a row of results. start: the digest of
    the weights that the training began from, "" for the packaged network.

    The last layer is taken as trained or whitened once more over the training photos, whichever finds more copies of
    held-out photos.
    """
    network = training.averaged()
    for name, value in network.state_dict().items():  # so that the figures are those of the stored weights
        if value.dtype == torch.float32 and name not in ("mean", "projection"):
            value.copy_(value.half().float())
    network = network.to(device)
    pooled = describe(network, photos, device)
    mean, projection = (getattr(network, name).detach().cpu().numpy() for name in ("mean", "projection"))
    layers = {"as_trained": (mean, projection), "whitened": whitened(pooled, mean, projection)}
    figures = {name: test.measure(network, device, layer) for name, layer in layers.items()}
    chosen = max(figures, key=lambda name: figures[name]["recall_at_p99"])
    mean, projection = layers[chosen]
    rng = np.random.default_rng(SEED)
    background = whiten(pooled[rng.choice(len(pooled), BACKGROUND, replace=False)], mean, projection)
    trunk = {
        onnx_build.TRUNK_PREFIX + name: value.cpu().numpy().astype(np.float16)
        for name, value in network.trunk.state_dict().items()
        if not name.startswith("_fc.") and value.dtype == torch.float32
    }
    layer = {"mean": mean, "projection": projection, "background": background.astype(np.float16)}
    save_file({**trunk, **layer}, WEIGHTS)
    WEIGHTS.chmod(0o644)
    metrics = {"held_out_photos": FIGURE_PHOTOS, "held_out_queries": len(test.queries), "chosen": chosen, **figures}
    write_card(_weights_card(len(photos), training.steps, start, metrics))
    graph = onnx_build.draw(onnx_build.COPY_TRUNK)
    write_card(_graph_card(graph))
    onnx_build.build()
    _record(figures[chosen], training.steps, len(photos))
    print(metrics)


def whitened(
    pooled: NDArray[np.float32], mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean (1280,) and projection (1280, 256) with a PCA-whitening of their outputs folded in."""
    rows = normalise(pooled)
    outputs = ((rows - mean) @ projection).astype(np.float64)
    covariance = np.cov(outputs, rowvar=False)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(DIMENSIONS)
    values, vectors = np.linalg.eigh(covariance)
    return rows.mean(axis=0), (projection @ (vectors / np.sqrt(values))).astype(np.float32)


def _weights_card(photos: int, steps: int, start: str, metrics: dict[str, Any]) -> Card:
    return Card(
        name=onnx_build.COPY_DESCRIPTOR,
        version="2.0.0",
        summary="EfficientNet-Lite0 fine-tuned to tell edited copies from look-alikes; its last layer of 256 numbers.",
        licence="Apache-2.0",
        source="trained by models/train/copy_descriptor.py from the card efficientnet_lite0 (Apache-2.0)",
        how_to_get="part of the repository; python -m models.train.copy_descriptor makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"input": f"as the card {onnx_build.COPY_TRUNK}", "output": "256, length 1"},
        trained_on=f"{photos} photos: Caltech 101 (CC BY 4.0), train half by file hash, and the varied photos of the"
        " sources food, household, roads, fields, skull and wallpapers (MIT, CC BY 4.0, CC0, CC BY-SA 3.0; their own"
        " notes say which), in pairs of views edited by models/train/copy_views.py (synthetic edits),"
        f" {steps} batches of {PHOTOS_A_BATCH} photos"
        + (f" from the weights {start[:12]}, which had seen 700 batches of Caltech" if start else "")
        + f"; background of {BACKGROUND} of them. Figures are of the sources groceries, alike and tins, which it has"
        " not seen; many of these show one thing twice, so that the precision falls at the first answers.",
        metrics=metrics,
        limits="Photos of 300 to 640 px, edited by fixtures/edits.py and fixtures/harder_edits.py, whose kinds the"
        " copies in the figures share. Descriptors of another version are not comparable: the library must be"
        " fingerprinted anew.",
        root=CARDS.parent,
    )


def _graph_card(content: bytes) -> Card:
    path = f"onnx/{onnx_build.COPY_TRUNK}.onnx"
    return Card(
        name=onnx_build.COPY_TRUNK,
        version="2.0.0",
        summary="The copy descriptor's network up to GeM pooling as an ONNX graph, batch norms folded.",
        licence="Apache-2.0",
        source=f"built from the card {onnx_build.COPY_DESCRIPTOR} by models/onnx_build.py",
        how_to_get="python -m models.onnx_build",
        files={"weights": ModelFile(path, hashlib.sha256(content).hexdigest(), len(content))},
        preprocessing={
            "size_px": EVALUATION_PX,
            "resize": f"to {EVALUATION_PX} x {EVALUATION_PX}, aspect ratio not kept, area averaging",
            "channels": "RGB",
            "mean": 127.0,
            "scale": 128.0,
            "output": "1,280 generalised means (p = 3) of the last feature map",
        },
        trained_on=f"as the card {onnx_build.COPY_DESCRIPTOR}",
        metrics={},
        limits=f"See the card {onnx_build.COPY_DESCRIPTOR}.",
        root=CARDS.parent,
    )


def _record(figures: dict[str, float], steps: int, photos: int) -> None:
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["at", "steps", "photos", "seed", "sha256", "recall_at_1", "recall_at_p99"])
        writer.writerow([datetime.now(UTC).date(), steps, photos, SEED, sha256_of(WEIGHTS)[:12], *figures.values()])


def _log(out: Path, step: int, seconds: float, contrast: float, spread: float, figures: dict[str, float]) -> None:
    path = out / "log.csv"
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["step", "seconds", "contrast", "koleo", "recall_at_1", "recall_at_p99"])
        row = [step, round(seconds), round(contrast, 4), round(spread, 4), *figures.values()]
        writer.writerow(row)
    print(row, flush=True)


if __name__ == "__main__":
    main()
