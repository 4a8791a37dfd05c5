from __future__ import annotations

import hashlib
import io
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image

from api.settings import Settings
from fixtures import hostile_files
from fixtures.heic import heic
from fixtures.hostile_files import png_bomb
from tests.api.http.world import Api, jpeg, key, parts, register, rows, running, statement
from tests.waiting import PATIENCE_SECONDS, wait_until

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
FULL = b"\xff\xd8\xff\xe0" + bytes(25_000_000 - 4)

REAL = hostile_files.jpeg()
SMALL_HEIC = heic(Image.new("RGB", (64, 64), (90, 120, 60)))
LARGE_HEIC = SMALL_HEIC.replace(b"ispe" + bytes(4) + b"\0\0\0\x40" * 2, b"ispe" + bytes(4) + b"\0\0\x75\x30" * 2)


def test_photos_as_phones_take_them_are_accepted(api: Api) -> None:
    register(api)
    target = io.BytesIO()
    Image.new("RGB", (64, 64)).save(target, "AVIF")
    frame = b"\xff\xc0\0\x11\x08"
    large = REAL.replace(frame + struct.pack(">HH", 480, 640), frame + struct.pack(">HH", 12_240, 16_320))
    assert large != REAL
    answer = post(api, parts(statement(), SMALL_HEIC, target.getvalue(), large))
    assert answer.status_code == 202
    kinds = {kind for (kind,) in rows(api, "SELECT media_type FROM evidence")}
    assert kinds == {"image/heic", "image/avif", "image/jpeg"}


def post(api: Api, files: list[tuple[str, Any]]) -> httpx.Response:
    return api.as_("claimant", "clm-a").post("/v1/claims", files=files, headers=key())


def test_a_refused_upload_leaves_nothing_behind(api: Api) -> None:
    register(api)
    claim = statement()
    cases: list[tuple[str, list[tuple[str, Any]], int, str]] = [
        ("an SVG named .jpg", parts(claim, jpeg(), SVG), 415, "unsupported_media"),
        ("a GIF", parts(claim, b"GIF89a" + bytes(100)), 415, "unsupported_media"),
        ("a film", parts(claim, b"\0\0\0\x18ftypisom" + bytes(100)), 415, "unsupported_media"),
        ("an arithmetic-coded JPEG", parts(claim, REAL.replace(b"\xff\xc0", b"\xff\xc9")), 415, "unsupported_media"),
        ("900 megapixels", parts(claim, png_bomb(30_000, 30_000)), 413, "picture_too_large"),
        ("900 megapixels in HEIC", parts(claim, LARGE_HEIC), 413, "picture_too_large"),
        ("a PDF as a photo", parts(claim, PDF), 415, "unsupported_media"),
        ("an empty file", parts(claim, jpeg(), b""), 422, "empty_file"),
        ("three bytes", parts(claim, b"\xff\xd8"), 415, "unsupported_media"),
        ("13 files", parts(claim, *(jpeg(n) for n in range(13))), 422, "too_many_files"),
        ("a byte too many", parts(claim, FULL + b"x"), 413, "file_too_large"),
        ("26 MB", parts(claim, FULL + bytes(1_000_000)), 413, "file_too_large"),
        ("no claim", parts(None, jpeg()), 422, "claim_part_missing"),
        ("no file", parts(claim), 422, "no_files"),
        ("two claims", [*parts(claim), *parts(claim, jpeg())], 400, "malformed_multipart"),
        ("an unknown part", [*parts(claim), ("video", ("a.mp4", b"x"))], 422, "unknown_part"),
        ("a large claim", [*parts(claim | {"description": "x" * 70_000}, jpeg())], 413, "json_too_large"),
        ("no JSON", [("claim", (None, b"{", "application/json")), *parts(None, jpeg())], 422, "invalid_request"),
        (
            "1,001 fields",
            [*parts(claim), *[("photo", (f"{n}.jpg", jpeg())) for n in range(1001)]],
            422,
            "too_many_files",
        ),
    ]
    for name, files, status, code in cases:
        answer = post(api, files)
        assert (answer.status_code, answer.json()["code"]) == (status, code), name
    assert rows(api, "SELECT count(*) FROM claims") == [(0,)]
    assert api.blobs() == []


def test_the_largest_file_and_the_most_files_are_taken(api: Api) -> None:
    register(api)
    files = [*parts(statement(), FULL, *(jpeg(n) for n in range(10))), ("paper", ("bill.pdf", PDF))]
    answer = post(api, files)
    assert answer.status_code == 202
    claim = api.as_("claimant", "clm-a").get(answer.json()["href"]).json()
    assert len(claim["evidence"]) == 12
    assert claim["evidence"][0]["kind"] in ("photo", "paper")
    stored = {file["sha256"]: file for file in claim["evidence"]}
    assert stored[hashlib.sha256(FULL).hexdigest()]["size_bytes"] == 25_000_000
    assert stored[hashlib.sha256(PDF).hexdigest()]["media_type"] == "application/pdf"
    assert sorted(path.name for path in api.blobs()) == sorted(stored)


def test_file_names_from_outside_do_no_harm(api: Api) -> None:
    register(api)
    named = ["../../etc/passwd", "image.jpg", "image.jpg", "x" * 4096 + ".jpg", '"><script>.jpg', "照片.jpg"]
    files = [*parts(statement()), *[("photo", (name, jpeg(n))) for n, name in enumerate(named)]]
    client = api.as_("claimant", "clm-a")
    href = post(api, files).json()["href"]
    evidence = client.get(href).json()["evidence"]
    shown = {file["name"] for file in evidence}
    assert {"passwd.jpg", "image.jpg", "image-2.jpg", "照片.jpg"} <= shown
    assert not any(mark in name for name in shown for mark in '/\\"<>')
    for file in evidence:
        answer = client.get(file["href"])
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    pending = client.get(f"{evidence[0]['href']}/preview")
    assert (pending.status_code, pending.json()["code"]) == (404, "preview_pending")


def test_the_type_is_what_the_bytes_say_whatever_the_client_says(api: Api) -> None:
    register(api)
    files = [*parts(statement()), ("photo", ("cat.png", jpeg(), "image/svg+xml"))]
    href = post(api, files).json()["href"]
    (file,) = api.as_("claimant", "clm-a").get(href).json()["evidence"]
    assert file["media_type"] == "image/jpeg"


def test_one_file_sent_twice_at_once_is_stored_once(api: Api) -> None:
    register(api)
    assert post(api, parts(statement(), jpeg(3), jpeg(3))).status_code == 202
    assert len(api.blobs()) == 1


def test_a_raw_upload_is_held_to_the_same_limits(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    href = client.post("/v1/claims", json=statement(), headers=key()).json()["href"]
    for name, kind, content, status, code in (
        ("a.jpg", "photo", SVG, 415, "unsupported_media"),
        ("a.jpg", "photo", b"", 422, "empty_file"),
        ("a.jpg", "photo", FULL + b"x", 413, "file_too_large"),
        ("a.pdf", "nose", PDF, 415, "unsupported_media"),
        ("a.jpg", "video", jpeg(), 422, "invalid_request"),
        ("%3Cb%3E.jpg", "photo", jpeg(), 422, "evidence_name_invalid"),
        ("a%00.jpg", "photo", jpeg(), 422, "evidence_name_invalid"),
    ):
        answer = client.put(f"{href}/evidence/{name}", params={"kind": kind}, content=content)
        assert (answer.status_code, answer.json()["code"]) == (status, code), name
    assert api.blobs() == []
    for number in range(12):
        assert client.put(f"{href}/evidence/{number}.jpg", params={"kind": "photo"}, content=jpeg(number)).is_success
    thirteenth = client.put(f"{href}/evidence/12.jpg", params={"kind": "photo"}, content=jpeg(12))
    assert (thirteenth.status_code, thirteenth.json()["code"]) == (422, "too_many_files")


def test_broken_multipart_is_refused(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    whole = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n' + jpeg() + b"\r\n--b--\r\n"
    typed = "multipart/form-data; boundary=b"
    for content_type, content, code in (
        (typed, whole[:-20], "malformed_multipart"),  # ends early
        (typed, b"no boundary at all", "malformed_multipart"),
        (typed, whole.replace(b"form-data;", b"attachment;"), "malformed_multipart"),
        (typed, whole.replace(b' name="photo";', b""), "malformed_multipart"),
        (typed, whole.replace(b"form-data;", b"form-data; x=" + b"y" * 9000 + b";"), "malformed_multipart"),
        (typed, b"", "malformed_multipart"),
        ("multipart/form-data", whole, "malformed_multipart"),
        ("multipart/form-data; boundary=" + "b" * 300, whole, "malformed_multipart"),
        ("text/plain", whole, "unsupported_content_type"),
    ):
        headers = key() | {"Content-Type": content_type}
        answer = client.post("/v1/claims", content=content, headers=headers)
        assert answer.json()["code"] == code, (content_type, content[:60])
    assert api.blobs() == []


def test_a_json_body_may_be_64_kib_and_no_more_whoever_sends_it(api: Api) -> None:
    large = json.dumps(statement(description="x" * 70_000)).encode()
    headers = key() | {"Content-Type": "application/json"}
    for client in (api.anonymous(), api.as_("platform", "shop")):
        answer = client.put("/v1/policies/pol-1", content=large, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "json_too_large")
    answer = api.as_("claimant", "clm-a").post("/v1/claims", content=large, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "json_too_large")

    def pieces() -> Iterator[bytes]:  # no Content-Length to go by
        for start in range(0, len(large), 8192):
            yield large[start : start + 8192]

    answer = api.as_("claimant", "clm-a").post("/v1/claims", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "json_too_large")


@pytest.fixture
def impatient(settings: Settings) -> Iterator[Api]:
    """Runs a server that waits for slow clients for a moment only."""
    limits = replace(
        settings.http, body_idle_seconds_max=2.0, body_grace_seconds=1.0, head_seconds_max=2.0, drain_seconds_max=2.0
    )
    with running(settings.model_copy(update={"http": limits})) as api:
        yield api


def speak(api: Api, sent: bytes) -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    connection.sendall(sent)
    return connection


def received(connection: socket.socket) -> bytes:
    with connection:
        data = b""
        while piece := connection.recv(65536):
            data += piece
        return data


def head(api: Api, length: int) -> bytes:
    token = api.token("claimant", "clm-a")
    return (
        f"POST /v1/claims HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: slow\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_a_client_that_falls_silent_is_told_so(impatient: Api) -> None:
    answer = received(speak(impatient, head(impatient, 100_000) + b"--b\r\n"))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"slow_upload"' in answer
    assert impatient.blobs() == []


def test_a_client_that_drips_is_cut_off(impatient: Api) -> None:
    connection = speak(impatient, head(impatient, 100_000))

    def cut_off() -> bool:
        try:
            connection.sendall(b"-")  # a byte at a time, far from all that was announced
        except OSError:
            return True
        return False

    wait_until(cut_off, pause_seconds=0.1)


def test_a_client_that_never_ends_its_head_is_cut_off(impatient: Api) -> None:
    connection = speak(impatient, b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    assert received(connection) == b""


def test_a_client_that_goes_away_leaves_nothing(api: Api, impatient: Api) -> None:
    register(api)
    start = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n' + jpeg() * 20
    speak(impatient, head(impatient, 10_000_000) + start).close()
    wait_until(lambda: impatient.blobs() == [])
    assert impatient.anonymous().get("/healthz").is_success


def test_a_body_longer_than_it_says_is_not_read_as_part_of_it(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    body = json.dumps(statement()).encode()
    request = (
        f"POST /v1/claims HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['Authorization']}\r\n"
        "Idempotency-Key: lie\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    answer = received(speak(api, request + body + b"GET /v1/secret HTTP/1.1\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_photo_in_a_format_of_its_own_is_refused_with_what_to_do_instead(api: Api) -> None:
    register(api)
    for head, words in (
        (b"\0\0\0\x18ftypisom", "a film; send a photo"),
        (b"GIF89a", "a GIF; send it as JPEG or PNG"),
        (b"II*\0\x08\0\0\0", "a TIFF picture or raw photo (DNG); send it as JPEG or PNG"),
        (b"hello", "none of these by its first bytes"),
    ):
        answer = post(api, parts(statement(), head + bytes(100)))
        assert answer.status_code == 415
        assert words in answer.json()["detail"]
