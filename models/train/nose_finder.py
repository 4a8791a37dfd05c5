"""Trains the nose finder on real dogs and cats, chooses its limits and measures it on the test half.

    python -m models.train.nose_finder --data ../shared/data --work var/nose_finder

Writes models/weights/nose_finder.safetensors, models/cards/nose_finder.yaml and models/results/nose_finder.json.

1. Training: photos of the training split of pet-faces (CC BY-SA 4.0 and freer, photos never committed), one group in
   five left out; rendered noses; photographs without a dog's or cat's nose (Caltech 101 by file hash, photos-varied
   by source). Each view is drawn anew (`models.train.nose_views`).
2. After `MINE_AFTER` steps the network looks at the photographs without a nose; what it takes for noses joins them as
   nothing, or as another animal's nose where the class says so.
3. The groups left out give the figures that the gates of `vision.nose.CaptureLimits` were chosen by; with `--test`
   the test half is measured, and card and results are written.

Fixed seed; a view depends on the seed and its step only. Every `SAVE_EVERY` steps a checkpoint is written to --work;
a run that is started again goes on from it. About 25 minutes on one core. Needs fixtures, so a checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from benchmarks.nose_baselines import FrozenTrunk, MeanNose, RenderedNoseFinder
from benchmarks.nose_finders import FindsNoses, by_species, look
from benchmarks.nose_finders import run as benchmark_finder
from fixtures.pet_faces import Pixels, Point, chooses, close_up, marked_photos
from models import onnx_build, registry
from models.registry import Card, ModelFile, sha256_of, write_card
from models.train import nose_views as views
from models.train.nose_network import BOX, CENTRES, NoseNetwork
from models.train.nose_views import VIEW_PX, NoseTarget
from vision.nose import CaptureLimits
from vision.nose.find import NoseFinder, NoseFound
from vision.nose.network import FinderNetwork

SEED: Final = 45
STEPS, MINE_AFTER, BATCH = 700, 400, 24
RATE_NECK, RATE_TRUNK, DECAY = 2e-3, 5e-4, 1e-2
SAVE_EVERY, AVERAGE = 50, 0.99
RENDERS: Final = 120
MINED_PHOTOS: Final = 600  # without an animal's nose, looked at after MINE_AFTER steps
ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "weights" / "nose_finder.safetensors"
RESULTS = ROOT / "results" / "nose_finder.json"
KEPT = ("finder", "finder_close_ups", "photos_without_nose", "false_noses", "false_templates", "baselines")
MEAN, STD = 0.498, 0.502
FINE_FROM_PX: Final = 24  # nostrils of narrower noses are not asked for

Floats = npt.NDArray[np.float32]


class NoseViews:
    """Draws the batch of a step."""

    def __init__(self, data: Path) -> None:
        marked = marked_photos("train", data / "pet-faces.tar")
        mine = [photo for photo in marked if not chooses(photo)]
        self.noses = {
            species: [photo for photo in mine if photo.box is not None and photo.species == species]
            for species in ("dog", "cat")
        }
        self.bare = [photo for photo in mine if photo.box is None]
        self.renders = views.rendered(RENDERS, SEED)
        caltech = data / "photos-caltech101.tar"
        self.without = views.caltech(caltech, (0,), animals=False) + views.varied(
            data / "photos-varied.tar", train=True
        )
        self.animals = views.caltech(caltech, (0,), animals=True)
        self.mined: dict[int, list[tuple[Pixels, Point, Point]]] = {-1: [], 2: []}

    def batch(self, step: int) -> list[tuple[Pixels, NoseTarget]]:
        """Return the views of a step."""
        rng = np.random.default_rng((SEED, step))

        def pick(items: list[Any]) -> Any:
            return items[int(rng.integers(len(items)))]

        drawn = []
        for index in range(11):
            photo = pick(self.noses["dog" if rng.random() < 0.55 else "cat"])
            drawn.append(views.view_of(photo, rng, refined=index % 2 == 0))
        drawn += [views.view_of(pick(self.renders), rng, refined=bool(rng.random() < 0.5))]
        drawn += [views.beside(pick(self.noses["dog"] + self.noses["cat"]), rng) for _ in range(3)]
        drawn += [views.background(pick(self.bare).pixels, rng)]
        left = BATCH - len(drawn)
        for index in range(left):
            if self.mined[2] and index < 3:
                pixels, centre, size = pick(self.mined[2])
                drawn.append(views.at(pixels, centre, size, 2, rng))
            elif self.mined[-1] and index < 5:
                pixels, centre, size = pick(self.mined[-1])
                drawn.append(views.at(pixels, centre, size, -1, rng))
            else:
                drawn.append(views.background(pick(self.without)[1], rng))
        return drawn


def targets(drawn: list[tuple[Pixels, NoseTarget]]) -> dict[str, torch.Tensor]:
    """Return what the network should give, on its grids, with weights: 0 where it is not asked."""
    count, cells, fine_cells = len(drawn), VIEW_PX // 8, VIEW_PX // 4
    heat = np.zeros((count, CENTRES, cells, cells), np.float32)
    box = np.zeros((count, BOX, cells, cells), np.float32)
    near = np.zeros((count, cells, cells), np.float32)
    pose = np.full((count, cells, cells), -1, np.int64)
    fine = np.zeros((count, 3, fine_cells, fine_cells), np.float32)
    weight = np.zeros_like(fine)
    ys, xs = np.mgrid[:cells, :cells]
    fys, fxs = np.mgrid[:fine_cells, :fine_cells]
    for index, (_, target) in enumerate(drawn):
        if target.species < 0:
            weight[index] = 0.05
            continue
        x, y = target.centre[0] / 8 - 0.5, target.centre[1] / 8 - 0.5
        width, height = target.size
        spread = max(0.6, 0.13 * width / 8)
        bump = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * spread**2)).astype(np.float32)
        column, row = int(np.clip(round(x), 0, cells - 1)), int(np.clip(round(y), 0, cells - 1))
        bump[row, column] = 1
        heat[index, target.species] = bump
        near[index] = bump * (bump > 0.45)
        box[index, 0], box[index, 1] = x - xs, y - ys
        box[index, 2], box[index, 3] = np.log(width / 16), np.log(height / 16)
        if target.pose >= 0:
            pose[index][bump > 0.45] = target.pose
        if target.mask is None or width < FINE_FROM_PX:
            continue
        small = cv2.resize(target.mask, (fine_cells, fine_cells), interpolation=cv2.INTER_AREA)
        fine[index, 0], weight[index, 0] = small > 0.5, np.abs(small - 0.5) > 0.3
        outside = (np.abs(fxs * 4 + 2 - target.centre[0]) > width * 0.6) | (
            np.abs(fys * 4 + 2 - target.centre[1]) > height * 0.65
        )
        other = [target.left, target.right]
        for side, point in enumerate(other):
            if point is None:
                weight[index, 1 + side] = outside
                continue
            reach = max(0.9, 0.045 * width / 4)
            squared = (fxs - point[0] / 4 + 0.5) ** 2 + (fys - point[1] / 4 + 0.5) ** 2
            fine[index, 1 + side] = np.exp(-squared / (2 * reach**2))
            weight[index, 1 + side] = 1
    return {
        name: torch.from_numpy(value)
        for name, value in {
            "heat": heat,
            "box": box,
            "near": near,
            "pose": pose,
            "fine": fine,
            "weight": weight,
        }.items()
    }


def loss_of(coarse: torch.Tensor, fine: torch.Tensor, wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the parts of the loss. Centres: the focal loss of CenterNet (Zhou et al., Objects as Points, 2019)."""
    logits, heat = coarse[:, :CENTRES], wanted["heat"]
    chance = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    peak = (heat == 1).float()
    count = peak.sum().clamp(min=1)
    centres = -(
        peak * (1 - chance) ** 2 * chance.log() + (1 - peak) * (1 - heat) ** 4 * chance**2 * (1 - chance).log()
    ).sum()
    near = wanted["near"][:, None]
    box = (near * (coarse[:, CENTRES : CENTRES + BOX] - wanted["box"]).abs()).sum() / near.sum().clamp(min=1)
    pose = nn.functional.cross_entropy(coarse[:, CENTRES + BOX :], wanted["pose"], ignore_index=-1)
    scale = torch.tensor([0.3, 1.0, 1.0])[:, None, None]
    each = nn.functional.binary_cross_entropy_with_logits(fine, wanted["fine"], reduction="none")
    each = each * wanted["weight"] * scale * (1 + 10 * wanted["fine"] * (scale == 1))
    return {"centres": centres / count, "box": 0.5 * box, "pose": 0.2 * pose, "fine": each.sum() / count / 40}


def pixels_of(drawn: list[Pixels]) -> torch.Tensor:
    batch = (np.stack(drawn).astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(batch.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)


def train(data: Path, work: Path) -> NoseNetwork:
    """Train, or go on from the last checkpoint; write the weights."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    source = NoseViews(data)
    network: NoseNetwork = NoseNetwork().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.hasty = True
    averaged: NoseNetwork = NoseNetwork().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged.load_state_dict(network.state_dict())
    parameters = network.trained()
    neck = {id(parameter) for name, parameter in network.named_parameters() if not name.startswith("trunk.")}
    optimiser = torch.optim.AdamW(
        [
            {"params": [item for item in parameters if id(item) in neck], "lr": RATE_NECK},
            {"params": [item for item in parameters if id(item) not in neck], "lr": RATE_TRUNK},
        ],
        weight_decay=DECAY,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE_NECK, RATE_TRUNK], total_steps=STEPS, pct_start=0.1)
    for parameter in set(network.parameters()) - set(parameters):
        parameter.requires_grad = False
    first, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        source.mined, first = state["mined"], state["step"]
    names = {id(value): name for name, value in network.named_parameters()}
    moving = dict(averaged.named_parameters())
    begun, sums = time.process_time(), dict[str, float]()
    for step in range(first, STEPS):
        if step == MINE_AFTER and not source.mined[-1]:
            mine(source, averaged)
        drawn = source.batch(step)
        wanted = targets(drawn)
        coarse, fine = network(pixels_of([view for view, _ in drawn]))
        parts = loss_of(coarse, fine, wanted)
        total = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            kept = min(AVERAGE, (1 + step) / (10 + step))
            for parameter in parameters:
                moving[names[id(parameter)]].lerp_(parameter, 1 - kept)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == STEPS:
            rows = {name: round(value / SAVE_EVERY, 4) for name, value in sums.items()}
            print(json.dumps({"step": step + 1, **rows, "cpu_s": round(time.process_time() - begun)}), flush=True)
            sums = {}
            state = {
                "network": network.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "mined": source.mined,
                "step": step + 1,
            }
            torch.save(state, work / "checkpoint.new")
            (work / "checkpoint.new").replace(checkpoint)
            save_file(averaged.tensors(), work / "nose_finder.safetensors")
    return averaged


@torch.inference_mode()
def mine(source: NoseViews, network: NoseNetwork) -> None:
    """Keep the places where the network takes a photograph without a dog's or cat's nose for one."""
    for kind, photos, least in ((-1, source.without, 0.08), (2, source.animals, 0.05)):
        stride = max(1, len(photos) // MINED_PHOTOS)
        for index, (_, pixels) in enumerate(photos[::stride]):
            for edge in (288, 144) if kind == 2 else (256 if index % 2 else 128,):
                scale = edge / max(pixels.shape[:2])
                size = [max(16, round(side * scale / 16) * 16) for side in pixels.shape[1::-1]]
                small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
                coarse = network(pixels_of([small]))[0][0].numpy()
                heat = 1 / (1 + np.exp(-coarse[:CENTRES].max(0)))
                row, column = divmod(int(heat.argmax()), heat.shape[1])
                if heat[row, column] < least:
                    continue
                place = (column + 0.5 + coarse[3, row, column]) * 8, (row + 0.5 + coarse[4, row, column]) * 8
                across = np.exp(np.clip(coarse[5:7, row, column], -2, 3)) * 16
                ratio = np.array([pixels.shape[1] / size[0], pixels.shape[0] / size[1]])
                centre, extent = np.asarray(place) * ratio, across * ratio
                source.mined[kind].append(
                    (pixels, (float(centre[0]), float(centre[1])), (float(extent[0]), float(extent[1])))
                )
    print(json.dumps({"mined": {str(kind): len(places) for kind, places in source.mined.items()}}), flush=True)


def adopt(work: Path) -> None:
    """Put the weights of a run in place, with both cards and the graph that onnxruntime runs."""
    weights = work / "nose_finder.safetensors"
    WEIGHTS.write_bytes(weights.read_bytes())
    write_card(_weights_card({}))
    graph = onnx_build.draw(onnx_build.NOSE_NETWORK)
    write_card(_graph_card(graph))
    onnx_build.build()


def choose(data: Path) -> dict[str, Any]:
    """Return figures by confidence of the groups that were left out of training, and of photographs without a dog's or
    cat's nose that neither trained nor test (Caltech 101, first byte of the SHA-256 modulo 4 is 2)."""
    finder = NoseFinder(FinderNetwork())
    mine = [photo for photo in marked_photos("train", data / "pet-faces.tar") if chooses(photo) and photo.box]
    rows, closer = look(finder, mine), look(finder, [close_up(photo) for photo in mine])
    caltech = data / "photos-caltech101.tar"
    others = [finder.find(pixels) for _, pixels in views.caltech(caltech, (2,), animals=True)]
    nothing = [finder.find(pixels) for _, pixels in views.caltech(caltech, (2,), animals=False)[::2]]
    table = {}
    for least in (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6):
        table[str(least)] = {
            "photos": by_species(rows, least),
            "close_ups": by_species(closer, least),
            "other_animals": _taken(others, least),
            "no_animal": _taken(nothing, least),
        }
    return table


def _taken(noses: Sequence[NoseFound | None], least: float) -> float:
    """Return the share of photographs without a dog's or cat's nose in which such a nose is seen."""
    seen = [nose is not None and nose.species != "other" and nose.confidence >= least for nose in noses]
    return round(float(np.mean(seen)), 4)


def measure_test() -> dict[str, Any]:
    """Measure the test half, the finder trained on renders and the mean nose beside ours; write card and results."""
    train_half = [photo for photo in marked_photos("train") if photo.box is not None]
    photos = [photo for photo in marked_photos("test") if photo.box is not None]
    limits = CaptureLimits()
    rendered = load_file(str(registry.weights_path("nose_print")))
    baselines: dict[str, FindsNoses] = {
        "mean_nose": MeanNose.of([(photo.box, photo.pixels.shape[1::-1]) for photo in train_half if photo.box]),
        "trained_on_renders": RenderedNoseFinder(FrozenTrunk(), rendered),
    }
    figures = benchmark_finder()
    figures["baselines"] = {
        name: {
            "photos": by_species(look(finder, photos), 0.35),
            "close_ups": by_species(look(finder, [close_up(photo) for photo in photos]), 0.35),
        }
        for name, finder in baselines.items()
    }
    figures["confidence_min"] = limits.confidence_min
    RESULTS.write_text(json.dumps({"model": registry.card("nose_finder").label, **figures}, indent=1) + "\n")
    write_card(_weights_card({"test": {key: figures[key] for key in KEPT}}))
    return figures


def _weights_card(metrics: dict[str, Any]) -> Card:
    return Card(
        name=onnx_build.NOSE_FINDER,
        version="1.0.0",
        summary="Finds the noses of dogs and cats: box, nostrils, species, pose; tells other animals' noses.",
        licence="Apache-2.0",
        source="trained by models/train/nose_finder.py from the card efficientnet_lite0 (Apache-2.0)",
        how_to_get="part of the repository; python -m models.train.nose_finder makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"input": f"as the card {onnx_build.NOSE_NETWORK}", "stored_as": "float16"},
        trained_on=(
            "pet-faces, training split without one group in five: 163 photos of 111 dogs and 52 cats, most from the "
            "Oxford-IIIT Pet set (CC BY-SA 4.0; Parkhi, Vedaldi, Zisserman, Jawahar, 2012; the others CC0, public "
            "domain, CC BY 2.0 to 3.0, CC BY-SA 2.0 to 3.0, by photo in pet-faces.csv), boxes and nostrils marked by "
            "eye; 120 rendered noses (fixtures.noses); Caltech 101 (CC BY 4.0), files whose SHA-256 begins with a byte "
            "divisible by 4, dalmatians left out; photos-varied, sources food, household, groceries, fruit (MIT, CC BY "
            "4.0). The photos are no part of the project. The committed weights had 250 of their 700 steps before "
            "views were cut close to the nose, with half the weight on the pose; the recipe gives slightly other ones."
        ),
        metrics=metrics,
        limits=(
            "Photos of 500 px in which most noses are 20 to 80 px wide: nearly none is a close-up of the kind that the "
            "comparison needs, so close-ups were measured on enlarged parts of these. Other animals: those of Caltech "
            "101; no cattle. People's faces: hardly any. Breeds in the halves are apart, the collection is one."
        ),
        root=ROOT,
    )


def _graph_card(graph: bytes) -> Card:
    return Card(
        name=onnx_build.NOSE_NETWORK,
        version="1.0.0",
        summary="The nose finder as an ONNX graph, batch norms folded.",
        licence="Apache-2.0",
        source="built from the cards efficientnet_lite0 and nose_finder by models/onnx_build.py",
        how_to_get="python -m models.onnx_build",
        files={"weights": ModelFile("onnx/nose_network.onnx", hashlib.sha256(graph).hexdigest(), len(graph))},
        preprocessing={
            "size_px": "any, sides multiples of 16: the whole photo at several sizes, then squares of 160",
            "channels": "RGB",
            "mean": MEAN,
            "scale": STD,
        },
        trained_on="as the card nose_finder",
        metrics={},
        limits="See the card nose_finder.",
        root=ROOT,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("var/nose_finder"))
    parser.add_argument("--keep-weights", action="store_true", help="train nothing, measure what is in place")
    parser.add_argument("--test", action="store_true", help="measure the test half too, and write card and results")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    if not options.keep_weights:
        train(options.data, options.work)
        adopt(options.work)
    if options.test:
        print(json.dumps(measure_test()), flush=True)
    else:
        for least, figures in choose(options.data).items():
            print(json.dumps({"confidence_min": float(least), **figures}), flush=True)


if __name__ == "__main__":
    main()
