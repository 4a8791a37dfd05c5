"""Measures detection and false alarms of each sign of a photo's origin: `miaopei bench provenance`.

Thresholds were fitted on the train half of Caltech 101, figures are of its test half. Ordinary photos are the files of
that half as they are (small, from the web of 2003, recompressed nobody knows how often), the same pictures at a
phone's working size with fresh noise and one compression, and a few 12-megapixel files (`fixtures.phone_photos`).
Positives are made by code (`fixtures.edits`, `fixtures.provenance_cases`, `fixtures.content_credentials`): synthetic,
so that a detection rate says what the measure reacts to, not how much fraud it finds. Beside each stands a naive
baseline at the threshold that gives it one false alarm in a hundred on these very photos, which flatters it.

`--folder DIR` adds false alarms by kind of camera on photos of one's own, as cameras wrote them
(`benchmarks.camera_photos`).
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

from api.commands.benches import CannotMeasure
from benchmarks import camera_photos
from benchmarks.report import machine
from fixtures import caltech, content_credentials, edits, provenance_cases
from fixtures.phone_photos import phone_photo
from vision.copies import geometry
from vision.copies.fingerprint import fit
from vision.copies.keypoints import GeometryLimits, Keypoints
from vision.decode.image import HEAD_BYTES, Decoder, Picture, sniff
from vision.decode.marks import read_marks
from vision.decode.strip import top_strip
from vision.origin.cloned import clone
from vision.origin.file_signs import file_signs
from vision.origin.frame import frame
from vision.origin.moire import spectral_peaks
from vision.origin.pixel_signs import PixelSignLimits, pixel_signs
from vision.origin.requantised import unevenness
from vision.origin.sign import OriginSignKind, Sign

SEED: Final = 20261122
BASELINE_FALSE_ALARMS: Final = 0.01
QUICK_CAMERA_PHOTOS: Final = 20
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ProvenanceSize:
    """files: of the test half as they are. resized: at a phone's working size. phones: of 12 Mpx. positives: a case."""

    files: int
    resized: int
    phones: int
    positives: int


FULL: Final = ProvenanceSize(files=300, resized=100, phones=6, positives=40)
QUICK: Final = ProvenanceSize(files=30, resized=10, phones=2, positives=8)


def run(*, quick: bool = False, folder: Path | None = None) -> dict[str, Any]:
    """Returns the figures. folder: photos as cameras wrote them; each row of `false_alarms` then holds {kind of camera:
    [found, measured]} as well. Raises FileNotFoundError, naming the path, without the measuring photos beside the
    checkout, CannotMeasure for a folder that is not there.
    """
    if folder is not None and not folder.is_dir():
        raise CannotMeasure(f"there is no folder {folder}")
    size = QUICK if quick else FULL
    rng = np.random.default_rng(SEED)
    photos = [photo.pixels for photo in islice(caltech.photos("test"), size.files)]
    alarms: dict[str, list[list[Sign]]] = defaultdict(list)
    naive: dict[str, list[float]] = defaultdict(list)
    started = time.monotonic()
    with Decoder(processes=1) as decoder:
        for data in _files(size.files):
            signs, picture = _signs(decoder, data)
            alarms["files"].append(signs)
            _note_baselines(naive, picture)
        for pixels in photos[: size.resized]:
            data = edits.jpeg_bytes(provenance_cases.ordinary(pixels, rng), int(rng.integers(70, 93)))
            signs, picture = _signs(decoder, data)
            alarms["resized"].append(signs)
            _note_baselines(naive, picture)
        for number, pixels in enumerate(photos[: size.phones]):
            signs, _ = _signs(decoder, phone_photo(edits.jpeg_bytes(pixels), number))
            alarms["phones"].append(signs)
        detection = {
            name: _detection(decoder, kind, case, photos[: size.positives], rng, naive) for name, kind, case in _cases()
        }
        by_rule = _by_rule(decoder, photos[0])
        cameras = _cameras(decoder, folder, quick=quick)
    return {
        "quick": quick,
        "machine": machine(),
        "ordinary": {name: len(rows) for name, rows in alarms.items()},
        "false_alarms": {
            kind.value: _rate([[s for s in signs if s.kind is kind] for rows in alarms.values() for signs in rows])
            | {name: _found([s for signs in rows for s in signs if s.kind is kind]) for name, rows in alarms.items()}
            | cameras.get("false_alarms", {}).get(kind.value, {})
            for kind in OriginSignKind
        },
        "cameras": {name: value for name, value in cameras.items() if name != "false_alarms"},
        "detection": detection,
        "by_rule": by_rule,
        "cpu_ms": _cpu_ms(photos, size.phones),
        "seconds": round(time.monotonic() - started),
    }


def _cameras(decoder: Decoder, folder: Path | None, *, quick: bool) -> dict[str, Any]:
    if folder is None:
        return {}
    most = QUICK_CAMERA_PHOTOS if quick else None
    return camera_photos.measure(folder, lambda data: _signs(decoder, data)[0], most)


def _files(count: int) -> Iterator[bytes]:
    """Yields the first files of the test half, in the order of their hash, byte for byte."""
    dropped = caltech.duplicates()
    named: list[tuple[str, str]] = []
    with tarfile.open(caltech.TAR) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".jpg") else None
            if file is not None:
                digest = hashlib.sha256(file.read()).hexdigest()
                if digest not in dropped and int(digest[:2], 16) % 2:
                    named.append((digest, member.name))
        for _, name in sorted(named)[:count]:
            file = archive.extractfile(name)
            assert file is not None
            yield file.read()


def _signs(decoder: Decoder, data: bytes) -> tuple[list[Sign], Picture]:
    picture = decoder.decode(data, marks=True)
    credentials = decoder.credentials(data) if picture.origin.marks.get("c2pa") == "embedded" else None
    in_file = file_signs(picture.exif, picture.origin, credentials, now=datetime.now(UTC))
    return [*in_file, *pixel_signs(picture, _keypoints(picture.pixels))], picture


def _keypoints(pixels: Pixels) -> Keypoints:
    work = fit(pixels, GeometryLimits().work_edge_px)
    return geometry.extract(np.asarray(cv2.cvtColor(work, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


Case = Callable[[Pixels, np.random.Generator], bytes]


def _cases() -> list[tuple[str, OriginSignKind, Case]]:
    def jpeg(pixels: Pixels, rng: np.random.Generator) -> bytes:
        return edits.jpeg_bytes(pixels, int(rng.integers(70, 93)))

    def again(pixels: Pixels, rng: np.random.Generator, first: tuple[int, int], second: tuple[int, int]) -> bytes:
        once = edits.through_jpeg(provenance_cases.ordinary(pixels, rng, 800), int(rng.integers(*first)))
        return edits.jpeg_bytes(once, int(rng.integers(*second)))

    def cropped(pixels: Pixels, rng: np.random.Generator) -> bytes:
        return provenance_cases.with_thumbnail(edits.EDITS["cropped_50"](pixels, rng, ()), of=pixels)

    return [
        ("screenshot", OriginSignKind.SCREENSHOT, lambda p, r: jpeg(edits.EDITS["screenshot"](p, r, ()), r)),
        ("screenshot, other maker", OriginSignKind.SCREENSHOT,
         lambda p, r: jpeg(provenance_cases.chat_screenshot(p, r), r)),
        ("recapture", OriginSignKind.RECAPTURE, lambda p, r: jpeg(edits.EDITS["rephotographed"](p, r, ()), r)),
        ("recapture, other maker", OriginSignKind.RECAPTURE,
         lambda p, r: jpeg(provenance_cases.rephotographed_by_stripes(p, r), r)),
        ("double_jpeg, better the second time", OriginSignKind.DOUBLE_JPEG,
         lambda p, r: again(p, r, (60, 80), (85, 96))),
        ("double_jpeg, worse the second time", OriginSignKind.DOUBLE_JPEG,
         lambda p, r: again(p, r, (85, 96), (60, 80))),
        ("copy_move", OriginSignKind.COPY_MOVE,
         lambda p, r: jpeg(provenance_cases.cloned(provenance_cases.ordinary(p, r, 600), r), r)),
        ("exif_thumbnail, cropped since", OriginSignKind.EXIF_THUMBNAIL, cropped),
        ("exif_thumbnail, mirrored since", OriginSignKind.EXIF_THUMBNAIL,
         lambda p, _r: provenance_cases.with_thumbnail(np.ascontiguousarray(p[:, ::-1]), of=p)),
        ("exif_thumbnail, recoloured since (no other picture)", OriginSignKind.EXIF_THUMBNAIL,
         lambda p, r: provenance_cases.with_thumbnail(edits.EDITS["recoloured"](p, r, ()), of=p)),
        ("exif_thumbnail, as it was (no other picture)", OriginSignKind.EXIF_THUMBNAIL,
         lambda p, _r: provenance_cases.with_thumbnail(p, of=p)),
    ]  # fmt: skip


# The naive measure beside each sign: the higher, the more suspect.
_BASELINES: Final[dict[OriginSignKind, tuple[str, Callable[[Picture], float]]]] = {
    OriginSignKind.SCREENSHOT: ("tall as a phone's screen", lambda p: p.pixels.shape[0] / p.pixels.shape[1]),
    OriginSignKind.RECAPTURE: ("fine detail: variance of the Laplacian", lambda p: _sharpness(p.pixels)),
    OriginSignKind.DOUBLE_JPEG: ("little error at another compression (ELA)", lambda p: -_ela(p.pixels)[0]),
    OriginSignKind.COPY_MOVE: ("uneven error at another compression (ELA)", lambda p: _ela(p.pixels)[1]),
}


def _sharpness(pixels: Pixels) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def _ela(pixels: Pixels) -> tuple[float, float]:
    """Returns error level analysis: mean error when compressed at quality 90, and the worst block's share of it."""
    error = np.abs(pixels.astype(np.int16) - edits.through_jpeg(pixels, 90)).mean(axis=2).astype(np.float32)
    blocks = cv2.resize(error, (16, 16), interpolation=cv2.INTER_AREA)
    return float(error.mean()), float(blocks.max() / max(1e-3, float(blocks.mean())))


def _note_baselines(naive: dict[str, list[float]], picture: Picture) -> None:
    for kind, (_, measure) in _BASELINES.items():
        naive[kind].append(measure(picture))


def _detection(
    decoder: Decoder,
    kind: OriginSignKind,
    case: Case,
    photos: Sequence[Pixels],
    rng: np.random.Generator,
    naive: dict[str, list[float]],
) -> dict[str, Any]:
    signs: list[list[Sign]] = []
    measured: list[float] = []
    for pixels in photos:
        case_signs, picture = _signs(decoder, case(pixels, rng))
        signs.append([sign for sign in case_signs if sign.kind is kind])
        if kind in _BASELINES:
            measured.append(_BASELINES[kind][1](picture))
    result: dict[str, Any] = _rate(signs)
    if kind in _BASELINES:
        cut = float(np.quantile(naive[kind], 1 - BASELINE_FALSE_ALARMS))
        result["baseline"] = {
            "what": _BASELINES[kind][0],
            "found": round(float(np.mean(np.array(measured) > cut)), 4),
        }
    return result


def _found(signs: Sequence[Sign]) -> int:
    return sum(sign.state == "found" for sign in signs)


def _rate(rows: Sequence[Sequence[Sign]]) -> dict[str, Any]:
    """Returns the rate among photos on which the sign could be measured, with Clopper and Pearson's 95% bound."""
    looked = [sign for row in rows for sign in row if sign.state != "unmeasured"]
    count, total = _found(looked), len(looked)
    upper = float(beta.ppf(0.95, count + 1, total - count)) if total > count else 1.0
    return {
        "found": count,
        "looked": total,
        "unmeasured": len(rows) - total,
        "rate": round(count / total, 4) if total else None,
        "rate_upper_95": round(upper, 4) if total else None,
    }


def _by_rule(decoder: Decoder, pixels: Pixels) -> dict[str, bool]:
    """Checks one file of each kind for signs that follow from the file's words alone: right or wrong, not a rate."""
    plain = edits.jpeg_bytes(pixels)
    camera = content_credentials.identity()
    short = content_credentials.identity(valid=timedelta(seconds=2))
    expiring = content_credentials.signed(plain, "image/jpeg", short)
    time.sleep(2.5)
    good = content_credentials.signed(plain, "image/jpeg", camera)
    prompt = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7"
    return {
        "c2pa trusted": decoder.credentials(good, camera.root).state == "trusted",
        "c2pa untrusted": decoder.credentials(good).state == "untrusted",
        "c2pa expired": decoder.credentials(expiring, short.root).state == "expired",
        "c2pa invalid": decoder.credentials(content_credentials.tampered(good), camera.root).state == "invalid",
        "c2pa absent": decoder.credentials(plain).state == "absent",
        "generator, C2PA": _generated(
            decoder, content_credentials.signed(plain, "image/jpeg", camera, "trainedAlgorithmicMedia")
        ),
        "generator, prompt in a PNG": _generated(decoder, _png(pixels, {"parameters": prompt})),
        "generator, ComfyUI": _generated(decoder, _png(pixels, {"prompt": '{"3": {"class_type": "KSampler"}}'})),
        "no generator, PNG with words": not _generated(decoder, _png(pixels, {"Comment": "my cat, 20 steps away"})),
    }


def _generated(decoder: Decoder, data: bytes) -> bool:
    return any(sign.kind is OriginSignKind.GENERATOR and sign.state == "found" for sign in _signs(decoder, data)[0])


def _png(pixels: Pixels, texts: dict[str, str]) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _cpu_ms(photos: Sequence[Pixels], count: int) -> dict[str, float]:
    """Returns the median CPU milliseconds of each step on a 12-megapixel file, run in this process."""
    spent: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.thread_time()
        result = step()
        spent[name].append((time.thread_time() - began) * 1000)
        return result

    with Decoder(processes=1) as decoder:
        for number, pixels in enumerate(photos[:count]):
            data = phone_photo(edits.jpeg_bytes(pixels), number)
            picture = decoder.decode(data)
            small = Image.fromarray(picture.pixels)
            keypoints = _keypoints(picture.pixels)
            timed("metadata", partial(read_marks, data, sniff(data[:HEAD_BYTES]), small.getexif(), small))
            strip = timed("double_jpeg: decoding the strip", partial(top_strip, data))
            levels = np.frombuffer(strip.levels, np.uint8).reshape(strip.height_px, strip.width_px)
            timed("double_jpeg", partial(unevenness, levels, strip.quantisation))
            timed("screenshot", partial(frame, picture.pixels))
            timed("recapture", partial(spectral_peaks, picture.pixels, PixelSignLimits().moire))
            timed("copy_move", partial(clone, keypoints))
    each = {name: round(float(np.median(values)), 1) for name, values in spent.items()}
    return each | {"all": round(sum(each.values()), 1)}


def show(result: dict[str, Any]) -> None:
    """Prints tables of false alarms and of detection."""
    console = Console()
    table = Table("sign", "false alarms", "looked", "rate", "95% bound", title="ordinary photos")
    for name, row in result["false_alarms"].items():
        table.add_row(name, *(str(row[key]) for key in ("found", "looked", "rate", "rate_upper_95")))
    console.print(table)
    if result["cameras"]:
        kinds = [kind for kind in camera_photos.KINDS if kind in result["cameras"]["photos"]]
        table = Table("sign", *kinds, title="false alarms of measured, by kind of camera")
        for name, row in result["false_alarms"].items():
            table.add_row(name, *(" of ".join(map(str, row[kind])) if kind in row else "" for kind in kinds))
        console.print(table)
        console.print(result["cameras"])
    table = Table("case", "found", "looked", "rate", "baseline", title="made to be found")
    for name, row in result["detection"].items():
        table.add_row(name, *(str(row[key]) for key in ("found", "looked", "rate")), str(row.get("baseline", "")))
    console.print(table)
    console.print({key: result[key] for key in ("ordinary", "by_rule", "cpu_ms", "machine", "seconds")})
