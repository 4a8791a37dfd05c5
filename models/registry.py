"""Finds a model's weights by its name. Every model has a card, `models/cards/NAME.yaml`; weights load only if their
SHA-256 matches the card.

A card's file is in one of two places, depending on its `path`:

- `weights/lite0_whitening.safetensors`: below the `models` package (trained here and committed, or built at set-up);
- `package:MODULE/inner/path.pth`: inside an installed package, found without importing it.

An operator with better weights puts a card of the same name into another folder and passes that folder as `cards`;
relative paths then start at that folder's parent.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.errors import InvalidCard, ModelCorrupt, ModelMissing, UnknownModel

CARDS = Path(__file__).parent / "cards"
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. `path`: as in the module docstring. `sha256`: in hex. `size_bytes`: of the whole file."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Card:
    """Description of a model, with its files and measured figures.

    files: by role; a model with one file calls it `weights`. how_to_get: the command or package that puts missing files
    in place. preprocessing: the required form of the input. metrics: measured figures with the data they come from.
    limits: what those figures do not show.
    """

    name: str
    version: str
    summary: str
    licence: str
    source: str
    how_to_get: str
    files: Mapping[str, ModelFile]
    preprocessing: Mapping[str, Any]
    trained_on: str
    metrics: Mapping[str, Any]
    limits: str
    root: Path

    @property
    def label(self) -> str:
        """`name@` and the first 12 digits of its first file's SHA-256, as decisions and results quote it."""
        return f"{self.name}@{next(iter(self.files.values())).sha256[:12]}"


_TEXTS = ("name", "version", "summary", "licence", "source", "how_to_get", "trained_on", "limits")
_MAPPINGS = ("files", "preprocessing", "metrics")


def names(cards: Path = CARDS) -> tuple[str, ...]:
    """Return every model with a card, ordered by name."""
    return tuple(sorted(path.stem for path in cards.glob("*.yaml")))


def card(name: str, cards: Path = CARDS) -> Card:
    """Return the card of that name. Raises UnknownModel, InvalidCard."""
    path = cards / f"{name}.yaml"
    if not path.is_file():
        raise UnknownModel(f"no model card {name!r}; there are: {', '.join(names(cards)) or 'none'}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise InvalidCard(f"{path.name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise InvalidCard(f"{path.name} is not a mapping")
    unknown = set(content) - set(_TEXTS) - set(_MAPPINGS)
    if unknown:
        raise InvalidCard(f"{path.name}: unknown keys {', '.join(sorted(map(str, unknown)))}")
    for key in _TEXTS:
        if not isinstance(content.get(key), str) or not content[key].strip():
            raise InvalidCard(f"{path.name}: {key} must be a text that is not empty")
    for key in _MAPPINGS:
        if not isinstance(content.get(key), dict):
            raise InvalidCard(f"{path.name}: {key} must be a mapping")
    if content["name"] != name:
        raise InvalidCard(f"{path.name} calls itself {content['name']!r}")
    return Card(
        **{key: content[key].strip() for key in _TEXTS},
        files={role: _model_file(path.name, role, entry) for role, entry in content["files"].items()},
        preprocessing=content["preprocessing"],
        metrics=content["metrics"],
        root=cards.parent,
    )


def weights_path(name: str, role: str = "weights", cards: Path = CARDS) -> Path:
    """Return the verified file of a model; reads the whole file once.

    Raises UnknownModel, InvalidCard, ModelMissing, ModelCorrupt.
    """
    card_ = card(name, cards)
    if role not in card_.files:
        raise InvalidCard(f"model {name} has no file {role!r}; it has: {', '.join(card_.files)}")
    entry = card_.files[role]
    path = _locate(card_, entry)
    if path is None or not path.is_file():
        raise ModelMissing(f"model {name}: {entry.path} is not there. To get it: {card_.how_to_get}")
    size_bytes = path.stat().st_size
    digest = sha256_of(path) if size_bytes == entry.size_bytes else "not computed"
    if digest != entry.sha256:
        raise ModelCorrupt(
            f"model {name}: {path} has {size_bytes} bytes and SHA-256 {digest}; its card says {entry.size_bytes} bytes"
            f" and {entry.sha256}. To replace it: {card_.how_to_get}"
        )
    return path


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def write_card(card_: Card, cards: Path = CARDS) -> Path:
    """Write the card as YAML, as training recipes do, and return its path."""
    content: dict[str, Any] = {key: getattr(card_, key) for key in _TEXTS}
    content["files"] = {
        role: {"path": entry.path, "sha256": entry.sha256, "size_bytes": entry.size_bytes}
        for role, entry in card_.files.items()
    }
    content["preprocessing"] = dict(card_.preprocessing)
    content["metrics"] = dict(card_.metrics)
    path = cards / f"{card_.name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    return path


def _model_file(card_name: str, role: object, entry: object) -> ModelFile:
    if not isinstance(role, str) or not isinstance(entry, dict) or set(entry) != {"path", "sha256", "size_bytes"}:
        raise InvalidCard(f"{card_name}: files.{role} must have exactly path, sha256 and size_bytes")
    path, sha256, size_bytes = entry["path"], entry["sha256"], entry["size_bytes"]
    if not isinstance(path, str) or not path or ".." in Path(path).parts or Path(path).is_absolute():
        raise InvalidCard(f"{card_name}: files.{role}.path must stay below its root, got {path!r}")
    if not isinstance(sha256, str) or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise InvalidCard(f"{card_name}: files.{role}.sha256 must be 64 lower-case hex digits")
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes <= 0:
        raise InvalidCard(f"{card_name}: files.{role}.size_bytes must be a positive whole number")
    return ModelFile(path, sha256, size_bytes)


def _locate(card_: Card, entry: ModelFile) -> Path | None:
    """Return the file's expected path, or None if its package is not installed."""
    if not entry.path.startswith("package:"):
        return card_.root / entry.path
    module, _, inner = entry.path.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / inner
