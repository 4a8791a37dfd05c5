"""SSCD with a tiny, untrained TorchScript of the same shape: tests the interface, not the quality of matches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn

from claims.evidence import PhotoVerdict
from claims.rules import RULES
from fixtures import edits
from fixtures.caltech import as_picture
from fixtures.demo_world import sample_photo
from fixtures.hostile_files import photo
from fixtures.photo_library import MemoryLibrary
from fixtures.tiny_sscd import write_files, write_network
from flows.config import DescriptorConfig
from flows.errors import CutOffTooLow
from flows.evidence import call, strongest
from flows.vision_pool import describes
from models.errors import ModelCorrupt, ModelMissing
from models.registry import sha256_of
from models.train.sscd import make_whitening
from vision.copies.describing import Describing, describing
from vision.copies.fingerprint import Fingerprinter
from vision.copies.sscd import SscdFiles, SscdModel, SscdNetwork, prepare
from vision.examine import compare
from vision.library.limits import SearchLimits

Pixels = NDArray[np.uint8]


def pictures(count: int) -> list[Pixels]:
    return [np.asarray(photo(200 + 3 * n, 160, seed=n)) for n in range(count)]


@dataclass(frozen=True)
class Made:
    files: SscdFiles

    def load(self) -> Describing:
        return describing(self.files)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(write_files(tmp_path_factory.mktemp("sscd"), make_whitening))


def test_descriptors_are_256_numbers_of_length_one_whatever_the_sizes(made: Made) -> None:
    model = made.load().descriptor
    shown = [*pictures(6), np.zeros((1, 1, 3), np.uint8), np.asarray(photo(1024, 10))]
    rows = model.describe(shown)
    assert rows.shape == (8, 256)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    for index in (0, 5, 7):
        np.testing.assert_allclose(rows[index], model.describe([shown[index]])[0], atol=1e-5)
    assert model.crowd(rows).shape == (8,)
    assert model.describe([]).shape == (0, 256)


def test_the_short_edge_becomes_288_and_a_panorama_is_squeezed() -> None:
    assert prepare(np.zeros((600, 800, 3), np.uint8)).shape == (3, 288, 384)
    assert prepare(np.zeros((200, 100, 3), np.uint8)).shape == (3, 576, 288)
    assert prepare(np.zeros((10, 1024, 3), np.uint8)).shape == (3, 288, 864)
    white = prepare(np.full((300, 300, 3), 255, np.uint8))
    np.testing.assert_allclose(
        white[:, 5, 5], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


def test_fingerprints_carry_its_label_and_are_judged_by_its_thresholds(made: Made) -> None:
    loaded = made.load()
    fingerprinter = Fingerprinter(describes=loaded)
    assert fingerprinter.model.startswith("sscd@")
    assert fingerprinter.model != Fingerprinter().model
    assert fingerprinter.fusion.label.startswith("sscd_fusion@")
    pixels = np.asarray(photo(640, 480, seed=5))
    original = fingerprinter.fingerprint(as_picture(pixels), "a")
    copy = fingerprinter.fingerprint(as_picture(edits.through_jpeg(pixels, 60)), "b")
    assert original.descriptor_model == fingerprinter.model
    candidates = MemoryLibrary([("1", original)], SearchLimits()).search(copy)
    called = call(compare(copy, candidates, "", fusion=fingerprinter.fusion))
    assert strongest(called) is PhotoVerdict.EDITED_COPY


def test_files_that_are_missing_are_named_with_the_command_that_makes_them(made: Made, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for files, words in (
        (SscdFiles(gone, made.files.whitening, made.files.thresholds), "TorchScript is not there"),
        (SscdFiles(made.files.torchscript, gone, made.files.thresholds), "whitening is not there"),
        (SscdFiles(made.files.torchscript, made.files.whitening, gone), "thresholds are not there"),
    ):
        with pytest.raises(ModelMissing, match=words):
            describing(files)


def test_a_file_that_is_no_torchscript_of_sscd_is_refused(made: Made, tmp_path: Path) -> None:
    whole = made.files.torchscript.read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("not a network", encoding="utf-8")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "photo.pt").write_bytes(sample_photo("coffee.png"))
    torch.save({"weights": torch.zeros(3)}, tmp_path / "checkpoint.pt")
    write_network(tmp_path / "wide.pt", outputs=1024)
    torch.jit.script(nn.Linear(4, 512)).save(str(tmp_path / "linear.pt"))
    for name in ("cut", "text", "empty", "photo", "checkpoint", "wide", "linear"):
        with pytest.raises(ModelCorrupt, match="is no TorchScript of SSCD"):
            SscdNetwork(tmp_path / f"{name}.pt")


def test_whitening_and_thresholds_of_another_network_are_refused(made: Made, tmp_path: Path) -> None:
    write_network(tmp_path / "other.pt", seed=8)
    with pytest.raises(ModelCorrupt, match="belongs to another network"):
        SscdModel(tmp_path / "other.pt", made.files.whitening)
    tensors = load_file(made.files.whitening)
    save_file(
        tensors | {"mean": tensors["mean"] + np.float32(0.1)},
        tmp_path / "whitening.safetensors",
        metadata={"torchscript_sha256": sha256_of(made.files.torchscript)},
    )
    with pytest.raises(ModelCorrupt, match="belongs to another network"):
        describing(SscdFiles(made.files.torchscript, tmp_path / "whitening.safetensors", made.files.thresholds))


def test_broken_whitening_and_thresholds_are_refused(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    owner = {"torchscript_sha256": sha256_of(made.files.torchscript)}
    path.write_bytes(made.files.whitening.read_bytes()[:400])
    with pytest.raises(ModelCorrupt, match="is no whitening"):
        SscdModel(made.files.torchscript, path)
    tensors = load_file(made.files.whitening)
    for changed in (
        {"projection": tensors["projection"][:, :128].copy()},
        {"background": tensors["background"][:3].copy()},
        {"surplus": tensors["mean"]},
    ):
        save_file(tensors | changed, path, metadata=owner)
        with pytest.raises(ModelCorrupt, match="other tensors"):
            SscdModel(made.files.torchscript, path)
    thresholds = tmp_path / "t.json"
    for text in ("{", "[]", "{}", '{"features": ["log_inliers"]}'):
        thresholds.write_text(text, encoding="utf-8")
        with pytest.raises(ModelCorrupt, match="has no thresholds"):
            describing(SscdFiles(made.files.torchscript, made.files.whitening, thresholds))


def with_cut_off(made: Made, path: Path, **stated: float) -> DescriptorConfig:
    """Returns the tiny network's files with another measured cut-off."""
    content = json.loads(made.files.thresholds.read_text(encoding="utf-8"))
    del content["cut_off"]
    path.write_text(json.dumps(content | stated), encoding="utf-8")
    return DescriptorConfig(made.files.torchscript, made.files.whitening, path)


def test_a_descriptor_that_needs_a_higher_cut_off_than_the_rules_have_is_refused(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for stated in ({"cut_off": RULES.photo_copied_min}, {"copy_probability_min": RULES.photo_copied_min}):
        assert describes(with_cut_off(made, path, **stated)).fusion().label.startswith("sscd_fusion@")
    for name in ("cut_off", "copy_probability_min"):
        above = round((1 + RULES.photo_copied_min) / 2, 4)
        with pytest.raises(CutOffTooLow, match=rf"of {above:g}, and the rules"):
            describes(with_cut_off(made, path, **{name: above}))
    with pytest.raises(ModelCorrupt, match="states no measured cut-off"):
        describes(with_cut_off(made, path))
