"""Fits an insurer's own nose thresholds and fusion to its own photos.

    python -m models.train.nose_thresholds FOLDER --out var/nose_own

FOLDER/<pet>/<session>/<photo>: a folder a pet, in it a folder a capture session (another day, another light), in that
its photos. Writes OUT/weights/nose_fusion.json, OUT/cards/nose_fusion.yaml and OUT/report.html. 50 animals with 3
sessions each make a fit valid; with fewer nothing is written, or with --provisional what is marked so. A photo that
lies in several places is listed and left out: where gallery and query hold the same files, any method scores 100%.

The delivered fusion is fitted to renders (pets of `benchmarks.noses.SPLITS["calibration"]`), about 15 minutes of CPU:

    python -m models.train.nose_thresholds --rendered 20 --out models
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
from rich.console import Console
from rich.progress import Progress

from benchmarks.noses import PUPS, capture_world
from models.onnx_build import NOSE_FINDER
from models.registry import Card, ModelFile, card, sha256_of, write_card
from models.train.nose_fit import Animal, CannotFit, Fit, enough, fit, score_pairs
from models.train.nose_report import write_report
from vision.decode.image import Decoder
from vision.errors import ImageRefused
from vision.measurement import Unmeasured
from vision.nose import NoseReader, NoseTemplate
from vision.nose.likelihood import NAME, OWN_PHOTOS, RENDERS

ANIMALS_MIN, SESSIONS_MIN = 50, 3  # Choi et al. (Animals 2021, 11, 3372): 60 dogs in 3 sessions
ANIMALS_AT_ALL, SESSIONS_AT_ALL = 5, 2  # below this, not even provisionally
LONG_EDGE_PX = 1024  # as workers read nose photos (flows.config)
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class PetPhoto:
    """A file of the folder, with its place in it."""

    pet: str
    session: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Animals that were read, and what was left out and why."""

    animals: tuple[Animal, ...]
    photos: int
    duplicates: tuple[str, ...]
    refused: dict[str, int]


def photos_in(folder: Path) -> list[PetPhoto]:
    """List the photos, ordered by place. Raises CannotFit where the folder is laid out in another way."""
    if not folder.is_dir():
        raise CannotFit(f"{folder}: no such folder; FOLDER/<pet>/<session>/<photo> is needed")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise CannotFit(f"{folder} holds no photo ({', '.join(sorted(SUFFIXES))}) among its {len(files)} files")
    wrong = [path for path in pictures if len(path.relative_to(folder).parts) != 3]
    if wrong:
        depth = len(wrong[0].relative_to(folder).parts)
        hint = {
            1: "it lies in no pet's folder",
            2: "it lies in a pet's folder, but in no session's",
        }.get(depth, "it lies too deep")
        raise CannotFit(
            f"{wrong[0]}: {hint}; FOLDER/<pet>/<session>/<photo> is needed ({len(wrong)} of {len(pictures)} photos lie "
            "elsewhere)"
        )
    rows = []
    for path in pictures:
        pet, session, _ = path.relative_to(folder).parts
        rows.append(PetPhoto(pet, session, path, hashlib.sha256(path.read_bytes()).hexdigest()))
    return rows


def without_duplicates(photos: Sequence[PetPhoto]) -> tuple[list[PetPhoto], list[str]]:
    """Return the photos that lie in one place only, the first of those that lie twice in one session, and in words what
    was left out. A file under two pets belongs to neither; one in two sessions shows no second session."""
    places = defaultdict(list)
    for photo in photos:
        places[photo.sha256].append(photo)
    kept, words = [], []
    for photo in photos:
        same = places[photo.sha256]
        if len(same) == 1:
            kept.append(photo)
            continue
        pets, sessions = {other.pet for other in same}, {(other.pet, other.session) for other in same}
        if len(sessions) == 1 and same[0] is photo:
            kept.append(photo)
        if same[0] is photo:
            where = "two pets" if len(pets) > 1 else "two sessions" if len(sessions) > 1 else "one session"
            words.append(f"{where}: {', '.join(_place(other) for other in same)}")
    return kept, words


def _place(photo: PetPhoto) -> str:
    return f"{photo.pet}/{photo.session}/{photo.path.name}"


def take(folder: Path, console: Console) -> Taken:
    """Read the folder's photos as a worker reads them. Raises CannotFit."""
    listed = photos_in(folder)
    photos, duplicates = without_duplicates(listed)
    refused: Counter[str] = Counter()
    templates: dict[str, dict[str, list[NoseTemplate]]] = {}
    pixels_of: dict[str, PetPhoto] = {}
    with Decoder(processes=1) as decoder, NoseReader() as reader, Progress(console=console) as bar:
        task = bar.add_task("reading noses", total=len(photos))
        for photo in photos:
            bar.advance(task)
            try:
                picture = decoder.decode(photo.path.read_bytes(), LONG_EDGE_PX)
            except ImageRefused as refusal:
                refused[refusal.code] += 1
                continue
            shown = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
            if shown in pixels_of:  # the same picture in another file: other metadata, a lossless copy
                duplicates.append(f"same picture: {_place(pixels_of[shown])}, {_place(photo)}")
                continue
            pixels_of[shown] = photo
            template = reader.template(picture)
            if isinstance(template, Unmeasured):
                refused[template.reason.split(":")[0]] += 1
                continue
            templates.setdefault(photo.pet, {}).setdefault(photo.session, []).append(template)
    animals = tuple(
        Animal(pet, tuple(tuple(session) for session in sessions.values())) for pet, sessions in templates.items()
    )
    return Taken(animals, len(listed), tuple(duplicates), dict(refused.most_common()))


def rendered(litters: int, console: Console) -> Taken:
    """Render and read the calibration pets: an enrolment and a later session, as a claim compares them."""
    with Progress(console=console) as bar:
        task = bar.add_task("rendering and reading noses", total=litters * PUPS)
        world = capture_world("calibration", litters, PUPS, progress=lambda done, _: bar.update(task, completed=done))
    animals = tuple(
        Animal(
            f"pet {index}",
            (tuple(photo.template for photo in pet.enrolled), tuple(photo.template for photo in pet.probes)),
            str(pet.litter),
        )
        for index, pet in enumerate(world.pets)
    )
    return Taken(animals, world.captures, (), dict(world.refusals))


def fitted(taken: Taken, *, valid_for: str, provisional_allowed: bool, console: Console) -> tuple[Fit, dict[str, Any]]:
    """Fit, and return the fit with the account of what it rests on. Raises CannotFit with too few animals or
    sessions."""
    with_two, with_all = enough(taken.animals, SESSIONS_AT_ALL), enough(taken.animals, SESSIONS_MIN)
    account: dict[str, Any] = {
        "photos": taken.photos,
        "photos_used": sum(len(session) for animal in taken.animals for session in animal.sessions),
        "animals": len(taken.animals),
        "animals_with_enough_sessions": with_all,
        "animals_min": ANIMALS_MIN,
        "sessions_min": SESSIONS_MIN,
        "refused": taken.refused,
        "duplicates": list(taken.duplicates),
    }
    state = (
        f"{with_all} of {len(taken.animals)} animals have {SESSIONS_MIN} sessions with a usable photo; {ANIMALS_MIN} "
        "make a fit valid"
    )
    left_out = f"; {len(taken.duplicates)} groups of duplicates were left out" if taken.duplicates else ""
    left_out += f"; photos refused: {taken.refused}" if taken.refused else ""
    if with_two < ANIMALS_AT_ALL:
        raise CannotFit(
            f"{with_two} animals have {SESSIONS_AT_ALL} sessions; below {ANIMALS_AT_ALL} nothing can be fitted"
            f"{left_out}"
        )
    provisional = valid_for == OWN_PHOTOS and with_all < ANIMALS_MIN
    if provisional and not provisional_allowed:
        raise CannotFit(f"{state}: nothing was written (--provisional writes what there is, marked so){left_out}")
    with Progress(console=console) as bar:
        task = bar.add_task("comparing noses", total=len(taken.animals))
        pairs, replayed = score_pairs(taken.animals, lambda done, _: bar.update(task, completed=done))
    account["replayed"] = replayed
    result = fit(taken.animals, pairs, valid_for=valid_for, provisional=provisional, model=card(NOSE_FINDER).label)
    return result, account


def write(result: Fit, account: dict[str, Any], out: Path) -> dict[str, str]:
    """Write weights, card and report below `out`; return their paths by role."""
    weights = out / "weights" / f"{NAME}.json"
    (out / "cards").mkdir(parents=True, exist_ok=True)
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_text(result.likelihood.to_json(), encoding="utf-8")
    likelihood = result.likelihood
    own = likelihood.valid_for == OWN_PHOTOS
    written = write_card(
        Card(
            name=NAME,
            version=VERSION,
            summary="Fuses similarity and inliers of nose comparisons to a likelihood ratio; with the impostors' tail.",
            licence="Apache-2.0" if not own else "the insurer's own",
            source="Fitted by models/train/nose_thresholds.py with templates that nose_finder made.",
            how_to_get="part of the checkout" if not own else "run models/train/nose_thresholds.py on the photos again",
            files={"weights": ModelFile(f"weights/{NAME}.json", sha256_of(weights), weights.stat().st_size)},
            preprocessing={"templates": likelihood.model},
            trained_on=likelihood.fitted_on,
            metrics={**result.figures, "suggested_thresholds": result.thresholds},
            limits=(
                "Rendered noses only: on real noses it is a number without a meaning until an insurer's own fit "
                "replaces it."
                if not own
                else "Holds for the animals, phones and light of these photos"
                + ("; provisional: too few animals or sessions." if likelihood.provisional else ".")
            ),
            root=out,
        ),
        out / "cards",
    )
    report = write_report(result, account, out / "report.html") if own else None
    return {"weights": str(weights), "card": str(written), **({"report": str(report)} if report else {})}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="FOLDER/<pet>/<session>/<photo>")
    parser.add_argument("--rendered", type=int, metavar="LITTERS", help="fit the delivered fusion to renders instead")
    parser.add_argument("--out", type=Path, default=Path("var/nose_own"))
    parser.add_argument("--provisional", action="store_true", help="write with too few animals or sessions, marked so")
    parser.add_argument("--json", action="store_true", help="print one object on standard output")
    options = parser.parse_args(arguments)
    if (options.folder is None) == (options.rendered is None):
        parser.error("name a FOLDER, or --rendered LITTERS")
    cv2.setNumThreads(1)
    console = Console(stderr=True)
    try:
        taken = rendered(options.rendered, console) if options.folder is None else take(options.folder, console)
        result, account = fitted(
            taken,
            valid_for=RENDERS if options.folder is None else OWN_PHOTOS,
            provisional_allowed=options.provisional,
            console=console,
        )
    except CannotFit as error:
        print(
            json.dumps({"error": str(error)}) if options.json else f"error: {error}",
            file=sys.stdout if options.json else sys.stderr,
        )
        return 1
    files = write(result, account, options.out)
    told = {"fitted_on": result.likelihood.fitted_on, **account, **result.figures,
            "suggested_thresholds": result.thresholds, "files": files}  # fmt: skip
    if options.json:
        print(json.dumps(told))
    else:
        console.print(told["fitted_on"], highlight=False)
        console.print_json(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
