"""An insurer's own fit, from a folder of photos to card and report; wrong folders and leaks are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures.noses import CAREFUL, render_nose
from models.registry import card
from models.train import nose_thresholds
from models.train.nose_fit import Animal, CannotFit, fit, score_pairs
from vision.nose import NoseReader, NoseTemplate
from vision.nose.likelihood import load_likelihood

PETS, SESSIONS = 5, 3


def photo(pet: int, session: int, number: int) -> Image.Image:
    turned = CAREFUL | {"yaw_deg": 4.0 * number - 3}
    seed = 71_000_000 + pet * 100 + session * 10 + number
    return Image.fromarray(render_nose(710_000 + pet, 71_000 + pet // 3, seed, size_px=480, **turned).pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("noses")
    for pet in range(PETS):
        for session in range(SESSIONS):
            place = root / f"pet{pet}" / f"day{session}"
            place.mkdir(parents=True)
            for number in range(2):
                photo(pet, session, number).save(place / f"{number}.jpg", quality=92)
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = nose_thresholds.main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_folder_of_photos_becomes_card_weights_and_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(capsys, str(folder), "--out", str(tmp_path / "own"), "--provisional")
    assert code == 0, told
    assert told["animals_with_enough_sessions"] == PETS
    assert told["fused"]["auc"]["value"] > 0.99
    assert told["fused"]["auc"]["low"] <= told["fused"]["auc"]["value"] <= told["fused"]["auc"]["high"]
    assert told["same_session"]["comparisons"] == PETS * SESSIONS * 2
    assert told["across_sessions"]["comparisons"] == PETS * SESSIONS * 2 * (SESSIONS - 1)
    own = load_likelihood(tmp_path / "own" / "cards")  # as MIAOPEI_NOSE_CARDS has the worker load it
    assert (own.valid_for, own.provisional, own.animals) == ("own_photos", True, PETS)
    assert own.model == NoseReader().model
    assert own.score(0.9, 50) > own.search_score_min(1_000, 0.01) > own.score(0.3, 3)
    assert "provisional" in card("nose_fusion", tmp_path / "own" / "cards").limits
    report = (tmp_path / "own" / "report.html").read_text()
    assert "<polyline" in report
    assert "Provisional: 5 animals have 3 sessions, 50 are needed" in report


def test_too_few_animals_write_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, str(folder), "--out", str(tmp_path / "own"))
    assert code == 1
    assert "5 of 5 animals have 3 sessions with a usable photo; 50 make a fit valid" in told["error"]
    assert not (tmp_path / "own").exists()


def test_a_gallery_whose_queries_are_its_own_files_is_no_second_session(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pet in range(PETS):
        for place in ("gallery", "query"):
            shutil.copytree(folder / f"pet{pet}" / "day0", tmp_path / "leak" / f"pet{pet}" / place)
    code, told = run(capsys, str(tmp_path / "leak"), "--provisional", "--out", str(tmp_path / "own"))
    assert code == 1
    assert "0 animals have 2 sessions" in told["error"]
    assert "10 groups of duplicates were left out" in told["error"]


def test_duplicates_are_listed_by_where_they_lie(tmp_path: Path) -> None:
    root = tmp_path / "noses"
    for number, place in enumerate(("a/1/x.jpg", "a/1/y.jpg", "a/2/x.jpg", "b/1/x.jpg")):
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bytes([number]))
    (root / "a/1/z.jpg").write_bytes(bytes([0]))
    (root / "b/1/y.jpg").write_bytes(bytes([1]))
    (root / "a/2/y.jpg").write_bytes(bytes([2]))
    (root / "a/3").mkdir()
    (root / "a/3/y.jpg").write_bytes(bytes([2]))
    kept, words = nose_thresholds.without_duplicates(nose_thresholds.photos_in(root))
    assert [str(photo.path.relative_to(root)) for photo in kept] == ["a/1/x.jpg", "b/1/x.jpg"]
    assert words == [
        "one session: a/1/x.jpg, a/1/z.jpg",
        "two pets: a/1/y.jpg, b/1/y.jpg",
        "two sessions: a/2/x.jpg, a/2/y.jpg, a/3/y.jpg",
    ]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([], "holds no photo"),
        (["notes.txt"], "holds no photo"),
        (["x.jpg"], "lies in no pet's folder"),
        (["a/x.jpg", "a/1/x.jpg"], "in no session's"),
        (["a/1/2/x.jpg"], "lies too deep"),
    ],
)
def test_a_folder_laid_out_otherwise_is_refused_in_words(tmp_path: Path, places: list[str], words: str) -> None:
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
    with pytest.raises(CannotFit, match=words):
        nose_thresholds.photos_in(tmp_path)
    with pytest.raises(CannotFit, match="no such folder"):
        nose_thresholds.photos_in(tmp_path / "nowhere")


def test_photos_that_show_no_nose_or_no_picture_are_counted_and_nothing_is_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pet in range(2):
        for session in range(2):
            place = tmp_path / f"p{pet}" / f"s{session}"
            place.mkdir(parents=True)
            grey = np.full((300, 300, 3), 90 + 20 * pet + session, np.uint8)
            Image.fromarray(grey).save(place / "x.jpg")
            (place / "y.jpg").write_bytes(f"no picture {pet} {session}".encode())
    code, told = run(capsys, str(tmp_path), "--provisional")
    assert code == 1
    assert "'no nose found': 4" in told["error"]
    assert "'unknown_format': 4" in told["error"]


def test_one_photo_in_two_sessions_is_no_genuine_pair() -> None:
    reader = NoseReader()
    pixels = np.asarray(photo(0, 0, 0))
    again = np.clip(pixels.astype(np.int16) + 5, 0, 255).astype(np.uint8)
    other = reader.read_pixels(np.asarray(photo(0, 1, 0)))
    first, second = reader.read_pixels(pixels), reader.read_pixels(again)
    assert isinstance(first, NoseTemplate)
    assert isinstance(second, NoseTemplate)
    assert isinstance(other, NoseTemplate)
    pairs, replayed = score_pairs([Animal("doudou", ((first,), (second,), (other,)))])
    assert len(replayed) == 2
    assert all("doudou: sessions" in words for words in replayed)
    assert len(pairs) == 4  # each of the two with the third session, and back


def test_nothing_is_fitted_without_pairs_of_both_kinds() -> None:
    with pytest.raises(CannotFit, match="0 comparisons across sessions"):
        fit([], [], valid_for="own_photos", provisional=True, model="m")
