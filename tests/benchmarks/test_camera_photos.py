"""Photos as cameras wrote them: which files count, of which kind of camera, and what the bench tells of them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from api.cli import app
from benchmarks import camera_photos
from fixtures.hostile_files import photo
from vision.errors import ImageRefused
from vision.origin.sign import OriginSignKind, Sign


def camera_jpeg(make: str = "NIKON CORPORATION", model: str = "NIKON D70", **more: object) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = make, model
    if "software" in more:
        exif[0x0131] = str(more["software"])
    inner = exif.get_ifd(0x8769)
    inner[0xA002], inner[0xA003] = more.get("stated", (640, 480))  # type: ignore[misc]
    buffer = io.BytesIO()
    photo(640, 480).save(buffer, "JPEG", exif=exif, quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "model", "kind"),
    [
        ("Apple", "iPhone 7", "phone"),
        ("samsung", "SM-G900F", "phone"),
        ("HUAWEI", "P60", "phone"),
        ("Sony", "D5803", "phone"),
        ("HMD Global", "Nokia X71", "phone"),
        ("Canon", "Canon EOS R6", "dslr"),
        ("NIKON CORPORATION", "NIKON D3200", "dslr"),
        ("SONY", "ILCE-7SM2", "dslr"),
        ("FUJIFILM", "X-T3", "dslr"),
        ("Canon", "Canon PowerShot S40", "compact"),
        ("NIKON", "E3200", "compact"),
        ("EASTMAN KODAK COMPANY", "KODAK CX7530 ZOOM DIGITAL CAMERA", "compact"),
        ("DJI", "FC300S", "drone"),
        ("Hasselblad", "L1D-20c", "drone"),
        ("GoPro", "HERO4 Silver", "action"),
        ("SONY", "HDR-AS300", "action"),
        ("RECONYX", "HC500 HYPERFIRE", "trap"),
        ("HP", "HP ScanJet 4070", "scanner"),
        ("", "CanoScan 8800F", "scanner"),
        ("Acme", "Anything", "other"),
        ("", "", "other"),
    ],
)
def test_the_kind_of_camera_follows_from_its_names(make: str, model: str, kind: str) -> None:
    assert camera_photos.camera_kind(make, model) == kind
    assert kind in camera_photos.KINDS


def test_a_file_counts_if_it_is_what_the_camera_wrote() -> None:
    for software in ("Ver.1.01", "HDR+ 1.0.199571065z", "17.5.1", "MediaTek Camera Application"):
        kept = camera_photos.camera_file(Path("a.jpg"), camera_jpeg(software=software))
        assert kept is not None
        assert (kept.maker, kept.model, kept.kind) == ("nikon corporation", "NIKON D70", "dslr")
    for software in (
        "Adobe Photoshop 7.0",
        "GIMP 2.8",
        "Picasa 3.0",
        "Photos 1.5",
        "Nikon Transfer 1.1",
        "digiKam-0.9",
    ):
        assert camera_photos.camera_file(Path("a.jpg"), camera_jpeg(software=software)) is None
    assert camera_photos.camera_file(Path("a.jpg"), camera_jpeg(stated=(3008, 2000))) is None  # cropped or scaled since
    assert camera_photos.camera_file(Path("a.jpg"), camera_jpeg(stated=(480, 640))) is not None  # only turned
    assert camera_photos.camera_file(Path("a.jpg"), camera_jpeg(make="", model="")) is None
    assert camera_photos.camera_file(Path("a.jpg"), b"no picture") is None


def test_false_alarms_are_told_by_sign_and_kind_of_camera_each_photo_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    phone = camera_jpeg("Apple", "iPhone 7")
    (tmp_path / "a.jpg").write_bytes(phone)
    (tmp_path / "deep" / "same.JPG").write_bytes(phone)
    (tmp_path / "b.jpeg").write_bytes(camera_jpeg("Apple", "iPhone 6"))
    (tmp_path / "c.jpg").write_bytes(camera_jpeg())
    (tmp_path / "d.jpg").write_bytes(camera_jpeg("DJI", "FC300S"))
    (tmp_path / "notes.txt").write_text("no photo")

    def look(data: bytes) -> list[Sign]:
        if b"FC300S" in data:
            raise ImageRefused("broken", "of a drone")
        state = "found" if b"iPhone 7" in data else "not_found"
        return [Sign(OriginSignKind.RECAPTURE, state, "x", ()), Sign(OriginSignKind.C2PA, "unmeasured", "x", ())]  # type: ignore[arg-type]

    result = camera_photos.measure(tmp_path, look)
    assert result["false_alarms"]["recapture"] == {"phone": [1, 2], "dslr": [0, 1]}
    assert result["false_alarms"]["c2pa"] == {}
    assert result["photos"] == {"phone": 2, "dslr": 1}
    assert result["models"] == {"phone": 2, "dslr": 1}
    assert result["refused"] == 1


def test_a_folder_is_for_benches_that_measure_on_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "noses", "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert CliRunner().invoke(app, ["bench", "provenance", "--folder", str(tmp_path / "none")]).exit_code == 2
