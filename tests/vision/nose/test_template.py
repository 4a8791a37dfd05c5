"""Template bytes: written templates are read back, anything else is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.errors import TemplateUnreadable
from vision.nose import NoseTemplate
from vision.nose.keypoints import NoseKeypoints
from vision.nose.pattern import PATTERN_PX, Pattern


def some_template(keypoints: int = 40) -> NoseTemplate:
    rng = np.random.default_rng(3)
    inside = np.zeros((PATTERN_PX, PATTERN_PX), bool)
    inside[20:120, 10:130] = True
    return NoseTemplate(
        pattern=Pattern((rng.integers(-120, 120, inside.shape) * inside).astype(np.int8), inside),
        keypoints=NoseKeypoints(
            (rng.integers(0, 320 * 64, (keypoints, 2)) / 64).astype(np.float32),
            rng.integers(0, 256, (keypoints, 128)).astype(np.uint8),
        ),
        model="nose_print@0123456789ab",
        width_px=312.5,
        sharpness=0.25,
        glare_ratio=0.0,
    )


@pytest.mark.parametrize("keypoints", [0, 1, 300])
def test_a_template_reads_back_as_it_was_written(keypoints: int) -> None:
    written = some_template(keypoints)
    read = NoseTemplate.from_bytes(written.to_bytes())
    assert read.to_bytes() == written.to_bytes()
    assert read.model == written.model
    np.testing.assert_array_equal(read.pattern.values, written.pattern.values)
    np.testing.assert_array_equal(read.pattern.inside, written.pattern.inside)
    np.testing.assert_array_equal(read.keypoints.points, written.keypoints.points)
    np.testing.assert_array_equal(read.keypoints.descriptors, written.keypoints.descriptors)


def test_a_template_of_300_keypoints_stays_below_64_kib() -> None:
    assert len(some_template(300).to_bytes()) < 64 * 1024


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
