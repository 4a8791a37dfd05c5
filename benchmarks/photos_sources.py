"""Photos to measure on, by source: Caltech's test half and the varied photos that nothing was fitted on, or a folder.

A folder's first-level sub-folders are its sources (the sub-folders of `photos`, where there is one). A folder named
`views` holds groups, `views/GROUP/*`: several photos of one scene or thing, which are compared with one another only.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from api.commands.benches import CannotMeasure
from fixtures import caltech, edits, varied
from vision.decode.image import HEAD_BYTES, Decoder, sniff
from vision.errors import ImageRefused

CALTECH: Final = "caltech"
VIEWS: Final = "views"
SINGLES: Final = "photos"
EDGE_PX_MAX: Final = 1024  # of the pixels that edits are made of; photos as they are go in as files, at any size
SHORT_EDGE_PX_MIN: Final = caltech.SHORT_EDGE_PX_MIN  # below it a file is a thumbnail or an icon, at EDGE_PX_MAX
SINGLES_MIN: Final = 24  # twelve in the library, twelve outside: fewer leave score normalisation no neighbours
_PROBE_EDGE_PX: Final = 256  # to see that a file decodes; a JPEG's own transform makes it cheap
_PROBED_AT_ONCE: Final = 64
_NAMED_AS_PHOTO: Final = (".jpg", ".jpeg", ".png", ".webp")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class SourcePhoto:
    """A photo with the source that it comes from. group: photos of one scene or of look-alikes, "" for a single one.
    one_scene: the group shows one scene. read: returns the file. pixels: uint8 (h, w, 3), None where only the decoder
    knows them."""

    name: str
    source: str
    sha256: str
    read: Callable[[], bytes]
    group: str = ""
    one_scene: bool = False
    pixels: Pixels | None = None


@dataclass(frozen=True, slots=True)
class PhotoSources:
    """photos: to hide copies of and to accuse wrongly. views: photos of groups, to compare with one another. data: in
    words. left_out: why a file of the folder is not measured, by name."""

    photos: Sequence[SourcePhoto]
    views: Sequence[SourcePhoto]
    data: str
    left_out: Mapping[str, str]


def standard() -> PhotoSources:
    """Returns Caltech's test half and the varied photos of the sources that only benchmarks read. Raises
    FileNotFoundError without the files beside the checkout."""
    photos = [
        SourcePhoto(photo.name, CALTECH, photo.sha256, partial(edits.jpeg_bytes, photo.pixels, 92), pixels=photo.pixels)
        for photo in caltech.photos("test")
    ]
    dropped = varied.duplicates()
    others = [
        SourcePhoto(
            photo.name,
            photo.source,
            photo.sha256,
            partial(_itself, photo.content),
            photo.group,
            photo.one_scene,
        )
        for photo in varied.photos("test")
        if photo.name.removeprefix("./") not in dropped
    ]
    sources = sorted({photo.source for photo in others})
    return PhotoSources(
        photos + others,
        [photo for photo in others if photo.group],
        f"Caltech 101, test half by file hash ({len(photos)} photos; the models were trained on the other half), and"
        f" {len(others)} varied photos of sources that nothing was fitted, trained or chosen on ({', '.join(sources)});"
        " edits, labels and 12 Mpx phone photos are synthetic",
        {},
    )


def of_folder(folder: Path, decoder: Decoder, needed: int, views_a_group: int) -> PhotoSources:
    """Returns a folder's photos. needed: the most photos wanted of one source; further ones are not read to the end.
    views_a_group: the most of one group.

    Raises CannotMeasure for no folder, and for one with fewer than SINGLES_MIN photos outside `views`.
    """
    if not folder.is_dir():
        raise CannotMeasure(f"there is no folder {folder}")
    files, left_out, other_files = _walk(folder)
    if not files:
        raise CannotMeasure(f"no JPEG, HEIC, PNG, WebP or AVIF lies in {folder} ({other_files} other files)")
    by_place: dict[tuple[str, str], list[SourcePhoto]] = defaultdict(list)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = pool.map(_sha256, files)
        first: dict[str, str] = {}
        for path, digest in zip(files, hashes, strict=True):
            name = path.relative_to(folder).as_posix()
            if digest in first:
                left_out[name] = f"the same file as {first[digest]}"
                continue
            first[digest] = name
            source, group = place(path.relative_to(folder), folder.name)
            if group is None:
                left_out[name] = f"lies in {VIEWS}, but in no group"
            else:
                photo = SourcePhoto(name, source, digest, path.read_bytes, group, bool(group))
                by_place[source, group].append(photo)
        usable: list[SourcePhoto] = []
        for photos in _progress("photos of the folder", list(by_place.values())):
            most = views_a_group if photos[0].group else needed
            usable += _decodable(sorted(photos, key=lambda photo: photo.sha256), most, decoder, pool, left_out)
    singles = [photo for photo in usable if not photo.group]
    if len(singles) < SINGLES_MIN:
        raise CannotMeasure(
            f"{folder} has {len(singles)} photos that can be used; at least {SINGLES_MIN} are needed, half of them for"
            f" the library and half as honest strangers. Photos under {VIEWS}/ do not count: they are compared with one"
            f" another only.{_reasons(left_out)}"
        )
    sources = sorted({photo.source for photo in singles})
    return PhotoSources(
        singles,
        [photo for photo in usable if photo.group],
        f"{len(singles)} photos of the folder {folder.name} ({', '.join(sources)}), split by file hash, and"
        f" {len(usable) - len(singles)} of groups of one scene; edits, labels and 12 Mpx phone photos are synthetic",
        left_out,
    )


def place(path: Path, top: str) -> tuple[str, str | None]:
    """Returns the source and the group of a file by its path inside the folder; "" for no group, None for a file in
    `views` that lies in no group. top: the source of files that lie in no sub-folder."""
    folders = path.parts[:-1]
    if VIEWS in folders:
        at = folders.index(VIEWS)
        inside = folders[at + 1 :]
        if not inside:
            return VIEWS, None
        source = inside[0] if len(inside) > 1 else folders[at - 1] if at else VIEWS
        return source, "/".join(folders)
    if len(folders) > 1 and folders[0] == SINGLES:
        return folders[1], ""
    return folders[0] if folders else top, ""


def pixels_of(photo: SourcePhoto, decoder: Decoder) -> Pixels:
    """Returns uint8 (h, w, 3), upright, at most EDGE_PX_MAX."""
    return decoder.decode(photo.read(), EDGE_PX_MAX).pixels if photo.pixels is None else photo.pixels


def _itself(content: bytes) -> bytes:
    return content


def _walk(folder: Path) -> tuple[list[Path], dict[str, str], int]:
    """Returns the files that begin as a picture of a kind that is taken, why others could not be read, and the number
    of other files. Hidden files and folders, and links to folders, are passed over."""
    files: list[Path] = []
    left_out: dict[str, str] = {}
    others = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(root, name)
            try:
                with path.open("rb") as file:
                    kind = sniff(file.read(HEAD_BYTES))
            except OSError as error:
                left_out[path.relative_to(folder).as_posix()] = error.strerror or type(error).__name__
                continue
            if kind.startswith("image/"):
                files.append(path)
            elif path.suffix.lower() in _NAMED_AS_PHOTO:
                left_out[path.relative_to(folder).as_posix()] = "no picture that is taken, whatever its name says"
            else:
                others += 1
    return files, left_out, others


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decodable(
    photos: Sequence[SourcePhoto], most: int, decoder: Decoder, pool: ThreadPoolExecutor, left_out: dict[str, str]
) -> list[SourcePhoto]:
    """Returns the first photos that decode, at most so many, and notes why others do not."""
    usable: list[SourcePhoto] = []
    for start in range(0, len(photos), _PROBED_AT_ONCE):
        probed = photos[start : start + _PROBED_AT_ONCE]
        for photo, problem in zip(probed, pool.map(partial(_problem, decoder=decoder), probed), strict=True):
            if problem:
                left_out[photo.name] = problem
            else:
                usable.append(photo)
        if len(usable) >= most:
            break
    return usable[:most]


def _problem(photo: SourcePhoto, decoder: Decoder) -> str:
    """Returns why a photo cannot be measured on, "" if it can."""
    try:
        picture = decoder.decode(photo.read(), _PROBE_EDGE_PX)
    except ImageRefused as refusal:
        return str(refusal)
    except OSError as error:
        return error.strerror or type(error).__name__
    width, height = picture.source_width_px, picture.source_height_px
    if min(width, height) * min(1.0, EDGE_PX_MAX / max(width, height)) < SHORT_EDGE_PX_MIN:
        return f"{width} x {height} px: too small or too narrow to edit"
    return ""


def _reasons(left_out: Mapping[str, str]) -> str:
    """Returns a sentence that names the first files left out, "" without any."""
    if not left_out:
        return ""
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
    more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    return f" Left out: {shown}{more}."


def _progress(title: str, parts: Sequence[list[SourcePhoto]]) -> Iterator[list[SourcePhoto]]:
    """Yields the parts under a progress bar on standard error."""
    with Progress(console=Console(stderr=True)) as bar:
        yield from bar.track(parts, description=title)
