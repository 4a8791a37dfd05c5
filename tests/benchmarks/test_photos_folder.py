"""`miaopei bench photos --folder`: which files of a folder are measured on, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.commands.benches import CannotMeasure
from benchmarks.photos import PhotosRun, measured, show
from benchmarks.photos_sources import SINGLES_MIN, of_folder, place
from benchmarks.photos_world import PhotosSize
from fixtures.edits import jpeg_bytes
from fixtures.harder_edits import ALL
from fixtures.scenes import scene
from fixtures.tiny_sscd import write_network
from tests.forked import miaopei
from vision.decode.image import Decoder


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as started:
        yield started


def fill(folder: Path, count: int, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(jpeg_bytes(scene(seed + number)))
    return folder


@pytest.mark.parametrize(
    ("path", "source", "group"),
    [
        ("a.jpg", "top", ""),
        ("fruit/a.jpg", "fruit", ""),
        ("fruit/deep/er/a.jpg", "fruit", ""),
        ("photos/fruit/a.jpg", "fruit", ""),
        ("photos/a.jpg", "photos", ""),
        ("views/parcel-1/a.jpg", "views", "views/parcel-1"),
        ("views/shop/parcel-1/a.jpg", "shop", "views/shop/parcel-1"),
        ("fruit/views/banana/a.jpg", "fruit", "fruit/views/banana"),
        ("views/a.jpg", "views", None),
    ],
)
def test_a_file_s_source_and_group_follow_from_its_folders(path: str, source: str, group: str | None) -> None:
    assert place(Path(path), "top") == (source, group)


def test_every_file_is_measured_on_or_said_why_not(tmp_path: Path, decoder: Decoder) -> None:
    fill(tmp_path / "fruit", 20)
    fill(tmp_path / "parcels", 10, 100)
    fill(tmp_path / "views" / "box", 3, 200)
    whole = (tmp_path / "fruit" / "0.jpg").read_bytes()
    (tmp_path / "fruit" / "again.jpg").write_bytes(whole)
    (tmp_path / "fruit" / "broken.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "fruit" / "text.jpg").write_text("no picture")
    (tmp_path / "fruit" / "icon.jpg").write_bytes(jpeg_bytes(scene(5)[:40, :40]))
    (tmp_path / "fruit" / "notes.txt").write_text("not named as a photo: passed over")
    (tmp_path / "views" / "loose.jpg").write_bytes(jpeg_bytes(scene(300)))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "photo.jpg").write_bytes(jpeg_bytes(scene(301)))
    before = sorted(tmp_path.rglob("*"))
    sources = of_folder(tmp_path, decoder, 1000, 12)
    assert len(sources.photos) == 30
    assert {photo.source for photo in sources.photos} == {"fruit", "parcels"}
    assert [photo.group for photo in sources.views] == ["views/box"] * 3
    left_out = dict(sources.left_out)
    assert left_out.pop("fruit/broken.jpg").startswith(("truncated", "broken"))
    assert "too small" in left_out.pop("fruit/icon.jpg")
    assert "whatever its name says" in left_out.pop("fruit/text.jpg")
    assert "in no group" in left_out.pop("views/loose.jpg")
    assert left_out == {"fruit/again.jpg": "the same file as fruit/0.jpg"}
    assert sorted(tmp_path.rglob("*")) == before


def test_no_more_is_read_of_a_large_source_than_is_needed(tmp_path: Path, decoder: Decoder) -> None:
    fill(tmp_path / "many", 40)
    first, again = (of_folder(tmp_path, decoder, 30, 12).photos for _ in range(2))
    assert [photo.name for photo in first] == [photo.name for photo in again]
    assert len(first) == 30


def test_a_folder_without_photos_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    with pytest.raises(CannotMeasure, match="there is no folder"):
        of_folder(tmp_path / "away", decoder, 100, 12)
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(CannotMeasure, match="no JPEG, HEIC, PNG, WebP or AVIF"):
        of_folder(tmp_path, decoder, 100, 12)


def test_the_command_says_how_many_photos_are_needed_and_which_are_broken(tmp_path: Path) -> None:
    fill(tmp_path / "fruit", 3)
    fill(tmp_path / "views" / "box", SINGLES_MIN, 50)
    (tmp_path / "fruit" / "bad.jpg").write_bytes(jpeg_bytes(scene(9))[:900])
    done = miaopei("bench", "photos", "--quick", "--folder", str(tmp_path), env=os.environ)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert f"has 3 photos that can be used; at least {SINGLES_MIN} are needed" in told
    assert "fruit/bad.jpg" in told
    assert "Traceback" not in done.stderr


def test_the_command_refuses_a_folder_for_another_benchmark_and_a_torchscript_that_is_none(tmp_path: Path) -> None:
    done = miaopei("bench", "decisions", "--folder", str(tmp_path), env=os.environ)
    assert (done.returncode, "--folder belongs to" in done.stderr) == (2, True)
    done = miaopei("bench", "photos", "--sscd", str(tmp_path / "away.pt"), env=os.environ)
    assert (done.returncode, "away.pt" in "".join(done.stderr.split())) == (2, True)  # a long path is wrapped


def test_a_folder_is_measured_with_every_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"
    fill(folder / "fruit", 18)
    fill(folder / "parcels", 10, 100)
    box = scene(200)
    for number, part in enumerate((box, np.ascontiguousarray(box[:, 60:]), scene(201))):
        group = folder / "views" / "box"
        group.mkdir(parents=True, exist_ok=True)
        (group / f"{number}.jpg").write_bytes(jpeg_bytes(part))
    network = write_network(tmp_path / "tiny.pt")
    figures = measured(PhotosRun(PhotosSize(12, 35, 12, 4, 0, 3, 1), folder, network))
    assert figures["photos"]["copies"] == 35
    assert set(figures["recall_at_p99"]) == {*ALL, "all"}
    assert set(figures["by_source"]) == {"fruit", "parcels"}
    assert sum(part["copies"] for part in figures["by_source"].values()) == 35
    assert sum(part["honest"] for part in figures["by_source"].values()) == figures["photos"]["unseen"] == 12
    assert {"lite0_pdq_sift", "sscd", "sscd_norm", "sscd_pdq_sift", "descriptor", "phash"} <= set(figures["baselines"])
    assert figures["baselines"]["pdq8"]["recall_at_p99"]["copied"] == 1.0
    assert figures["by_source"]["fruit"]["search_top"] > 0.5
    views = figures["other_views"]
    assert views["pairs"] == 3 == views["by_source"]["views"]["pairs"]
    assert views["called_copy"] == 1  # of the crop; what else is there is another picture
    assert views["look_alikes"]["pairs"] == 0
    assert set(figures["cpu_ms_per_photo"]) == {"all", "decode", "fingerprint", "search", "compare"}
    assert any("sscd@" in model for model in figures["models"])
    show({"quick": True, **figures})
    shown = capsys.readouterr().out
    assert "recall at 99% precision, by source" in shown
    assert all(f"│ {name} " in shown for name in ("fruit", "parcels"))
