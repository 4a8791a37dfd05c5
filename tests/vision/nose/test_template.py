"""Template bytes: written templates are read back, anything else is refused."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.errors import TemplateUnreadable
from vision.nose import NoseTemplate
from vision.nose.keypoints import KEYPOINTS_MAX, LEVEL_MAX, NoseKeypoints, levels
from vision.nose.pattern import PATTERN_PX, Pattern
from vision.nose.sealing import OVERHEAD_BYTES


def some_template(keypoints: int = 40) -> NoseTemplate:
    rng = np.random.default_rng(3)
    inside = np.zeros((PATTERN_PX, PATTERN_PX), bool)
    inside[20:120, 10:130] = True
    return NoseTemplate(
        pattern=Pattern((rng.integers(-120, 120, inside.shape) * inside).astype(np.int8), inside),
        keypoints=NoseKeypoints(
            (rng.integers(0, 320 * 64, (keypoints, 2)) / 64).astype(np.float32),
            rng.integers(0, LEVEL_MAX + 1, (keypoints, 128)).astype(np.uint8),
        ),
        model="nose_print@0123456789ab",
        width_px=312.5,
        sharpness=0.25,
        glare_ratio=0.0,
    )


@pytest.mark.parametrize("keypoints", [0, 1, KEYPOINTS_MAX])
def test_a_template_reads_back_as_it_was_written(keypoints: int) -> None:
    written = some_template(keypoints)
    read = NoseTemplate.from_bytes(written.to_bytes())
    assert read.to_bytes() == written.to_bytes()
    assert read.model == written.model
    np.testing.assert_array_equal(read.pattern.values, written.pattern.values)
    np.testing.assert_array_equal(read.pattern.inside, written.pattern.inside)
    np.testing.assert_array_equal(read.keypoints.points, written.keypoints.points)
    np.testing.assert_array_equal(read.keypoints.descriptors, written.keypoints.descriptors)


def test_a_template_takes_at_most_32_kb_however_much_of_the_frame_the_nose_fills() -> None:
    usual = some_template(KEYPOINTS_MAX)
    sizes = {}
    for share in (0.0, 0.4, 1.0):
        inside = np.zeros((PATTERN_PX, PATTERN_PX), bool)
        inside[: round(share * PATTERN_PX)] = True
        written = replace(usual, pattern=Pattern((usual.pattern.values * inside).astype(np.int8), inside)).to_bytes()
        sizes[share] = len(written) + OVERHEAD_BYTES
        assert len(NoseTemplate.from_bytes(written).keypoints.points) >= (KEYPOINTS_MAX if share < 0.6 else 150)
    assert max(sizes.values()) <= 32_000
    assert sizes[0.4] < 27_000


def format_1(template: NoseTemplate, descriptors: np.ndarray) -> bytes:
    """Returns a template as the first release wrote it: the whole square, descriptors with a byte an entry."""
    body = b"".join(
        (
            struct.pack(
                "<4sHH40sfff", b"MPNO", 1, len(descriptors), template.model.encode(),
                template.width_px, template.sharpness, template.glare_ratio,
            ),
            template.pattern.values.astype("<i1").tobytes(),
            np.packbits(template.pattern.inside).tobytes(),
            np.round(template.keypoints.points * 64).astype("<u2").tobytes(),
            descriptors.astype(np.uint8).tobytes(),
        )
    )  # fmt: skip
    return body + struct.pack("<I", zlib.crc32(body))


def test_a_template_of_the_first_format_is_read_and_written_in_the_new_one() -> None:
    written = some_template(40)
    root = np.random.default_rng(1).dirichlet(np.ones(128), 40) ** 0.5
    old = NoseTemplate.from_bytes(format_1(written, np.clip(np.round(root * 512), 0, 255)))
    np.testing.assert_array_equal(old.pattern.values, written.pattern.values)
    np.testing.assert_array_equal(old.keypoints.points, written.keypoints.points)
    assert np.abs(old.keypoints.descriptors.astype(int) - levels(root).astype(int)).max() <= 1
    again = NoseTemplate.from_bytes(old.to_bytes())
    np.testing.assert_array_equal(again.keypoints.descriptors, old.keypoints.descriptors)
    assert len(old.to_bytes()) < len(format_1(written, root)) / 1.5


def test_a_template_of_another_format_is_refused_by_its_number() -> None:
    data = bytearray(some_template().to_bytes())
    data[4] = 9
    with pytest.raises(TemplateUnreadable, match="format 9"):
        NoseTemplate.from_bytes(bytes(data))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_or_a_cut_is_never_read_as_a_template(data: st.DataObject) -> None:
    whole = some_template(5).to_bytes()
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:at] + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[at + 1 :]
    with pytest.raises(TemplateUnreadable):
        NoseTemplate.from_bytes(damaged)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TemplateUnreadable):
        NoseTemplate.from_bytes(data)
