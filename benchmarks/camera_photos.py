"""Photos as cameras wrote them, from any folder: which camera made each, and how often each sign is found on them.

Only files count that are what a camera wrote: EXIF names the camera, no program but firmware is named, and the picture
has the size that EXIF states for it, so that it was neither cropped nor scaled since. Everything that a sign finds on
them is a false alarm, unless somebody photographed a screen on purpose.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from vision.decode.marks import tag_text
from vision.errors import VisionError
from vision.origin.programs import editor, generator
from vision.origin.sign import OriginSignKind, Sign

SUFFIXES: Final = frozenset({".jpg", ".jpeg"})
EDGE_PX_MIN: Final = 320  # below it, no camera since EXIF

# Programs that copy, turn or organise photos, besides the editors (`vision.origin.programs`): they write files anew.
_PROGRAMS: Final = re.compile(
    r"photo ?(?:s \d|shop|scape|gallery|viewer|editor|\w*\.net)|shotwell|picasa|digikam|gallery|gthumb|transfer|browser"
    r"|album|opanda|libformat|silverfast|pixelm|windows|capture|viewnx|irfan|xnview|exiftool|preview|aperture|iphoto",
    re.IGNORECASE,
)
# First match wins: (kind, pattern of "make model").
_KINDS: Final = (
    ("scanner", r"scan|perfection"),
    ("drone", r"\bdji\b|parrot|autel|yuneec|sensefly|skydio|hasselblad l[12]d|\bfc\d{3,4}s?\b"),
    ("trap", r"reconyx|bushnell|browning|spypoint|moultrie|cuddeback"),
    ("action", r"gopro|hdr-as|insta360|theta|sm-c200|\byi\b|osmo"),
    ("phone",
     r"apple|huawei|honor|xiaomi|redmi|\bmi \w|oppo|vivo|oneplus|realme|google|\blge?\b|motorola|moto |htc|nokia"
     r"|\bhmd\b|\bzte\b|meizu|lenovo|\btcl\b|\btct\b|asus|blackberry|sony ?ericsson|samsung (?:sm|gt|sgh|sph)-"
     r"|sony (?:xq-|so-|[cdefgh]\d{4})|nexus|pixel|iphone"),
    ("dslr",
     r"canon eos|eos \w+|nikon d\d|nikon z|nikon 1|pentax (?:k|\*ist|645)|dslr|\bslt-|\bilc[ae]-|\bnex-"
     r"|olympus.* e-[mp\d]|dmc-g|\bdc-[gs]\d|fujifilm (?:x-|gfx)|finepix ?s\dpro|sigma sd|leica (?:m|sl)"),
    ("compact",
     r"canon|nikon|sony|olympus|om digital|panasonic|fuji|kodak|casio|pentax|minolta|samsung|ricoh|leica|hewlett|\bhp\b"
     r"|rollei|sanyo|toshiba|oregon|sigma"),
)  # fmt: skip
KINDS: Final = (*(kind for kind, _ in _KINDS), "other")


@dataclass(frozen=True, slots=True)
class CameraFile:
    """One photo as a camera wrote it. kind: one of KINDS. maker: in lower case, as in the file."""

    path: Path
    data: bytes
    maker: str
    model: str
    kind: str


def camera_kind(make: str, model: str) -> str:
    """Return the kind of camera by its EXIF names; "other" for one that is in no list."""
    name = f"{make} {model}".lower()
    return next((kind for kind, pattern in _KINDS if re.search(pattern, name)), "other")


def camera_file(path: Path, data: bytes) -> CameraFile | None:
    """Return the photo, None if it is not what a camera wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of broken EXIF, which is what some of these files are for
        try:
            picture = Image.open(io.BytesIO(data), formats=["JPEG"])
            exif = picture.getexif()
            inner = exif.get_ifd(0x8769)
        except (OSError, SyntaxError, ValueError, KeyError, TypeError):
            return None
    make, model = (" ".join(tag_text(exif.get(tag)).split())[:60] for tag in (0x010F, 0x0110))
    software = tag_text(exif.get(0x0131))
    stated = sorted(int(edge) for edge in (inner.get(0xA002), inner.get(0xA003)) if isinstance(edge, int) and edge)
    if not (make or model) or min(picture.size) < EDGE_PX_MIN:
        return None
    if editor(software) or generator(software) or _PROGRAMS.search(software):
        return None
    if len(stated) == 2 and stated != sorted(picture.size):
        return None
    return CameraFile(path, data, make.lower(), model, camera_kind(make, model))


def camera_files(folder: Path) -> Iterator[CameraFile]:
    """Yield every photo below the folder that a camera wrote, each once, in the order of their paths."""
    known: set[bytes] = set()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        data = path.read_bytes()
        digest = hashlib.sha256(data).digest()
        photo = camera_file(path, data) if digest not in known else None
        known.add(digest)
        if photo is not None:
            yield photo


Look = Callable[[bytes], Sequence[Sign]]


def measure(folder: Path, look: Look, files_max: int | None = None) -> dict[str, Any]:
    """Return how often each sign is found, by kind of camera.

    {sign: {kind: [found, measured]}} under `false_alarms`; `photos` and `makers` by kind; `refused`: photos that the
    decoder refuses. look: all signs of one file.
    """
    fired: dict[str, dict[str, list[int]]] = {sign.value: {} for sign in OriginSignKind}
    photos: dict[str, int] = defaultdict(int)
    models: dict[str, set[tuple[str, str]]] = defaultdict(set)
    refused = 0
    for number, photo in enumerate(camera_files(folder)):
        if files_max is not None and number >= files_max:
            break
        try:
            signs = look(photo.data)
        except VisionError:
            refused += 1
            continue
        photos[photo.kind] += 1
        models[photo.kind].add((photo.maker, photo.model))
        for sign in signs:
            if sign.state != "unmeasured":
                row = fired[sign.kind.value].setdefault(photo.kind, [0, 0])
                row[0] += sign.state == "found"
                row[1] += 1
    return {
        "false_alarms": fired,
        "photos": dict(photos),
        "models": {kind: len(names) for kind, names in models.items()},
        "refused": refused,
    }
