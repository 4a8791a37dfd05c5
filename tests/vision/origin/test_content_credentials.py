"""Content credentials: trusted, untrusted, expired and invalid are told apart; hostile manifests count as none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.content_credentials import identity, signed, tampered
from fixtures.hostile_files import jpeg, photo, png, webp
from vision.decode.exif import no_exif
from vision.decode.image import Decoder
from vision.decode.process import DecodeLimits
from vision.errors import ImageRefused
from vision.measurement import Unmeasured
from vision.origin.file_signs import file_signs
from vision.origin.sign import OriginSignKind
from vision.origin.signs import read_credentials

CAMERA = identity()

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def sign_of(decoder: Decoder, data: bytes, kind: OriginSignKind, anchors: bytes = b""):  # type: ignore[no-untyped-def]
    picture = decoder.decode(data, marks=True)
    credentials = read_credentials(decoder, data, picture, anchors)
    (sign,) = (sign for sign in file_signs(picture.exif, picture.origin, credentials, now=NOW) if sign.kind is kind)
    return sign


FORMATS = [(jpeg, "image/jpeg"), (png, "image/png"), (webp, "image/webp")]


@pytest.mark.parametrize(("encode", "media_type"), FORMATS)
def test_a_signer_on_the_list_is_trusted_in_every_format(decoder: Decoder, encode: object, media_type: str) -> None:
    file = signed(encode(photo(320, 240)), media_type, CAMERA)  # type: ignore[operator]
    sign = sign_of(decoder, file, OriginSignKind.C2PA, CAMERA.root)
    assert (sign.state, sign.value) == ("found", "trusted")
    assert "Camera Maker" in sign.detail


def test_a_signer_whom_nobody_knows_is_untrusted_and_the_photo_is_not_called_changed(decoder: Decoder) -> None:
    sign = sign_of(decoder, signed(jpeg(), "image/jpeg", CAMERA), OriginSignKind.C2PA)
    assert (sign.state, sign.value) == ("found", "untrusted")
    assert "unchanged" in sign.detail
    assert "Camera Maker" not in sign.detail, "an unknown signer may be a person"


def test_one_bit_changed_after_signing_is_invalid_whoever_signed(decoder: Decoder) -> None:
    file = tampered(signed(jpeg(photo(320, 240)), "image/jpeg", CAMERA))
    for anchors in (b"", CAMERA.root):
        sign = sign_of(decoder, file, OriginSignKind.C2PA, anchors)
        assert (sign.state, sign.value) == ("found", "invalid")
        assert "dataHash.mismatch" in sign.detail


def test_a_certificate_that_has_run_out_is_expired_not_invalid(decoder: Decoder) -> None:
    file, seconds = b"", 4
    while not file:  # signed while the certificate was good: on a slow machine with a longer one
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        short = identity(valid=until - datetime.now(UTC))
        made = signed(jpeg(), "image/jpeg", short)
        file, seconds = (made if datetime.now(UTC) < until else b""), 4 * seconds
    # Certificates count whole seconds, and the last one is still in time.
    while datetime.now(UTC) <= until + timedelta(seconds=1.1):
        time.sleep(0.1)
    sign = sign_of(decoder, file, OriginSignKind.C2PA, short.root)
    assert (sign.state, sign.value) == ("found", "expired")


def test_a_photo_without_credentials_has_none(decoder: Decoder) -> None:
    assert sign_of(decoder, jpeg(), OriginSignKind.C2PA).state == "not_found"


def test_a_generator_that_signs_its_picture_is_named(decoder: Decoder) -> None:
    made = signed(jpeg(), "image/jpeg", CAMERA, "trainedAlgorithmicMedia")
    retouched = signed(jpeg(), "image/jpeg", CAMERA, "compositeWithTrainedAlgorithmicMedia")
    taken = signed(jpeg(), "image/jpeg", CAMERA)
    assert sign_of(decoder, made, OriginSignKind.GENERATOR).value == "generated"
    assert sign_of(decoder, retouched, OriginSignKind.GENERATOR).value == "retouched"
    assert sign_of(decoder, taken, OriginSignKind.GENERATOR).state == "not_found"


def test_credentials_on_a_server_are_not_fetched(decoder: Decoder) -> None:
    packet = b'<x:xmpmeta dcterms:provenance="https://example.org/manifest.c2pa"/>'
    plain = jpeg()
    segment = b"http://ns.adobe.com/xap/1.0/\0" + packet
    file = plain[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]
    sign = sign_of(decoder, file, OriginSignKind.C2PA)
    assert (sign.state, sign.value) == ("unmeasured", "not_applicable")
    assert "server" in sign.detail


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_manifest_cut_short_is_no_valid_one(decoder: Decoder, kept: float) -> None:
    file = signed(jpeg(), "image/jpeg", CAMERA)
    start = file.index(b"\xff\xeb")
    length = int.from_bytes(file[start + 2 : start + 4], "big")
    cut = int(length * kept)
    shortened = (
        file[: start + 2] + cut.to_bytes(2, "big") + file[start + 4 : start + 2 + cut] + file[start + 2 + length :]
    )
    sign = sign_of(decoder, shortened, OriginSignKind.C2PA)
    assert sign.value not in ("trusted", "untrusted", "expired")


@pytest.mark.parametrize("seed", range(6))
def test_a_manifest_of_random_bytes_is_no_valid_one(decoder: Decoder, seed: int) -> None:
    import numpy as np

    file = bytearray(signed(jpeg(), "image/jpeg", CAMERA))
    start = file.index(b"\xff\xeb")
    noise = np.random.default_rng(seed)
    for place in noise.integers(start + 40, start + 2500, 30):
        file[int(place)] = int(noise.integers(0, 256))
    sign = sign_of(decoder, bytes(file), OriginSignKind.C2PA, CAMERA.root)
    assert sign.value not in ("trusted", "untrusted")


def test_a_manifest_of_nested_boxes_without_end_costs_its_limit_and_not_more() -> None:
    box = b""
    for _ in range(6000):
        box = (len(box) + 8).to_bytes(4, "big") + b"jumb" + box
    box = box[:64_000]
    segment = b"JP\x00\x01\x00\x00\x00\x01" + (len(box) + 8).to_bytes(4, "big") + b"jumbc2pa" + box
    plain = jpeg()
    file = plain[:2] + b"\xff\xeb" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]
    with Decoder(DecodeLimits(credentials_cpu_seconds_max=2), processes=1) as decoder:
        sign = sign_of(decoder, file, OriginSignKind.C2PA)
        assert sign.state == "unmeasured"
        assert decoder.decode(plain).pixels.size


def test_a_check_that_dies_is_told_as_such_and_not_as_a_clean_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    file = signed(jpeg(photo(1600, 1200)), "image/jpeg", CAMERA)
    with Decoder(processes=1) as decoder:
        picture = decoder.decode(file, marks=True)
        monkeypatch.setattr("vision.decode.image.HEADER_BYTES", 1)  # its answer may not be longer: the child dies of it
        with pytest.raises(ImageRefused, match="decode_crashed"):
            decoder.credentials(file)
        credentials = read_credentials(decoder, file, picture, b"")
    assert isinstance(credentials, Unmeasured)
    (sign,) = (s for s in file_signs(no_exif(), picture.origin, credentials, now=NOW) if s.kind is OriginSignKind.C2PA)
    assert (sign.state, sign.value) == ("unmeasured", "crashed")
