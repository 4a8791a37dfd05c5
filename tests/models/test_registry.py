"""Model cards and the weights that they describe."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import registry
from models.errors import InvalidCard, ModelCorrupt, ModelMissing, UnknownModel

CARD = """
name: toy
version: "1"
summary: a toy
licence: Apache-2.0
source: here
how_to_get: write it again
files:
  weights: {path: weights/toy.bin, sha256: %s, size_bytes: 3}
preprocessing: {}
metrics: {}
trained_on: nothing
limits: everything
"""
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    (tmp_path / "cards").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "cards" / "toy.yaml").write_text(CARD % ABC)
    (tmp_path / "weights" / "toy.bin").write_bytes(b"abc")
    return tmp_path / "cards"


@pytest.mark.parametrize("name", registry.names())
def test_every_committed_card_reads_and_what_is_committed_with_it_is_what_it_vouches_for(name: str) -> None:
    card = registry.card(name)
    for role, file in card.files.items():
        if file.path.startswith(("weights/", "package:")):  # the others are built at set-up
            assert registry.weights_path(name, role).is_file()


def test_weights_with_the_right_digest_are_handed_out(cards: Path) -> None:
    assert registry.weights_path("toy", cards=cards).read_bytes() == b"abc"
    assert registry.card("toy", cards).label == f"toy@{ABC[:12]}"


def test_weights_that_were_changed_are_refused_even_at_the_same_size(cards: Path) -> None:
    (cards.parent / "weights" / "toy.bin").write_bytes(b"abd")
    with pytest.raises(ModelCorrupt, match="write it again"):
        registry.weights_path("toy", cards=cards)


def test_missing_weights_say_how_to_get_them(cards: Path) -> None:
    (cards.parent / "weights" / "toy.bin").unlink()
    with pytest.raises(ModelMissing, match="write it again"):
        registry.weights_path("toy", cards=cards)


def test_a_package_that_is_not_installed_is_missing_weights(cards: Path) -> None:
    path = cards / "toy.yaml"
    path.write_text(path.read_text().replace("weights/toy.bin", "package:no_such_package_here/x.bin"))
    with pytest.raises(ModelMissing):
        registry.weights_path("toy", cards=cards)


def test_an_unknown_model_is_named_beside_the_known_ones(cards: Path) -> None:
    with pytest.raises(UnknownModel, match="toy"):
        registry.card("tpy", cards)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("summary: a toy", "summary: ''"),
        ("name: toy", "name: boy"),
        ("weights/toy.bin", "../toy.bin"),
        ("weights/toy.bin", "/etc/passwd"),
        ("size_bytes: 3", "size_bytes: true"),
        (ABC, "abc"),
        ("metrics: {}", "metrics: []"),
        ("metrics: {}", "metrics: {}\nnotes: more"),
        ("name: toy", "name: [toy"),
    ],
)
def test_a_card_that_breaks_the_schema_is_refused(cards: Path, old: str, new: str) -> None:
    path = cards / "toy.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InvalidCard):
        registry.card("toy", cards)


def test_a_written_card_reads_back_the_same(cards: Path) -> None:
    card = registry.card("toy", cards)
    registry.write_card(card, cards)
    assert registry.card("toy", cards) == card
