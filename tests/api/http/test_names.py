from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http import names, sniff
from api.http.problems import Problem
from claims.claim import EvidenceKind

PHOTO, JPEG = EvidenceKind.PHOTO, "image/jpeg"


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("rot.jpg", "rot.jpg"),
        ("照片 1.jpg", "照片 1.jpg"),
        ("../../etc/passwd", "passwd.jpg"),
        ("C:\\Users\\li\\IMG_0001.JPG", "IMG_0001.JPG"),
        ("a\x00b.jpg", "b.jpg"),
        ("", "photo-1.jpg"),
        ("...", "photo-1.jpg"),
        ('x"><script>.jpg', "x_script.jpg"),
        ("no extension", "no extension.jpg"),
        ("x" * 4096 + ".jpg", "x" * 90 + ".jpg"),
    ],
)
def test_an_uploads_name_is_made_usable(declared: str, expected: str) -> None:
    assert names.clean(declared, PHOTO, JPEG, (), 100) == expected


def test_photos_of_one_name_are_told_apart() -> None:
    taken: list[str] = []
    for _ in range(3):
        taken.append(names.clean("image.jpg", PHOTO, JPEG, taken, 100))
    assert taken == ["image.jpg", "image-2.jpg", "image-3.jpg"]


@given(st.text(max_size=300), st.sampled_from(sorted(sniff.EXTENSIONS)))
def test_whatever_the_client_says_the_name_stands_up_to_our_own_check(declared: str, media_type: str) -> None:
    name = names.clean(declared, PHOTO, media_type, {"photo-1.jpg"}, 100)
    assert names.check(name, 100) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\x00", "a\n", "x" * 101, "<b>"])
def test_an_unusable_name_in_a_url_is_refused(name: str) -> None:
    with pytest.raises(Problem) as refused:
        names.check(name, 100)
    assert refused.value.code == "evidence_name_invalid"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", ""),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04" + bytes(26) + b"OFD.xml<?xml", "application/ofd"),
        (b"PK\x03\x04" + bytes(26) + b"Doc_0/Document.xml", "application/ofd"),
        (b"PK\x03\x04" + bytes(26) + b"word/document.xml", ""),
        (b"PK\x03\x04" + bytes(26) + b"DocProps/app.xml", ""),
        (b"PK\x03\x04", ""),
        (b"<?xml version='1.0' encoding='UTF-8'?>\n<EInvoice><Header>", "application/xml"),
        (b"\xef\xbb\xbf<fp:eInvoice xmlns:fp='x'>", "application/xml"),
        (b"<?xml version='1.0'?><Invoice>", ""),
        (b"<?xml version='1.0'?><!DOCTYPE EInvoice [<!ENTITY a 'b'>]><EInvoice>", ""),
        (b"<html><EInvoice>", ""),
        (b"<svg xmlns='http", ""),
        (b"GIF89a", ""),
        (b"MZ", ""),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41heic", ""),
        (b"\xff\xd8\xff\xf7", ""),
        (b"", ""),
    ],
)
def test_a_file_is_what_its_first_bytes_say(head: bytes, media_type: str) -> None:
    assert sniff.media_type(head) == media_type


def test_documents_are_papers_alone_and_what_is_like_them_is_told_what_to_send() -> None:
    for media_type in ("application/pdf", "application/ofd", "application/xml"):
        assert media_type in sniff.ACCEPTED[EvidenceKind.PAPER]
        assert media_type not in sniff.ACCEPTED[PHOTO] | sniff.ACCEPTED[EvidenceKind.NOSE]
    assert "unpack it" in sniff.in_words(b"PK\x03\x04" + bytes(26) + b"invoices/1.pdf")
    assert "PDF or OFD" in sniff.in_words(b"<?xml version='1.0'?><Invoice>")
    assert "PDF or OFD" not in sniff.in_words(b"GIF89a")
