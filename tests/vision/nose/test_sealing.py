"""Stored noses: read with their key and for their own pet only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.errors import TemplateKeyMissing, TemplateUnreadable
from vision.nose.sealing import OVERHEAD_BYTES, TemplateSeal

OLD, NEW = b"o" * 32, b"n" * 32


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=3000), st.text(max_size=20))
def test_what_is_sealed_opens_for_its_pet_and_hides_its_content(data: bytes, pet: str) -> None:
    seal = TemplateSeal([NEW])
    sealed = seal.seal(data, pet)
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert seal.open(sealed, pet) == data
    assert len(data) < 8 or data not in sealed
    assert seal.seal(data, pet) != sealed  # equal templates do not look alike


def test_a_row_moved_to_another_pet_or_changed_does_not_open() -> None:
    seal = TemplateSeal([NEW])
    sealed = seal.seal(b"MPNO and so on", "doudou")
    with pytest.raises(TemplateUnreadable, match="another pet's"):
        seal.open(sealed, "maomao")
    for at in (9, 20, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(TemplateUnreadable):
            seal.open(bytes(changed), "doudou")
    with pytest.raises(TemplateUnreadable):
        seal.open(sealed[:20], "doudou")


def test_after_a_change_of_key_the_old_one_still_opens_and_the_new_one_seals() -> None:
    sealed = TemplateSeal([OLD]).seal(b"beads", "doudou")
    both = TemplateSeal([NEW, OLD])
    assert both.open(sealed, "doudou") == b"beads"
    with pytest.raises(TemplateKeyMissing):
        TemplateSeal([NEW]).open(sealed, "doudou")
    assert TemplateSeal([NEW]).open(both.seal(b"beads", "doudou"), "doudou") == b"beads"


def test_without_a_key_nothing_is_sealed_and_templates_of_before_are_still_read() -> None:
    with pytest.raises(TemplateKeyMissing, match="MIAOPEI_NOSE_KEY"):
        TemplateSeal([]).seal(b"beads", "doudou")
    assert TemplateSeal([]).open(b"MPNO of before", "doudou") == b"MPNO of before"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TemplateSeal([b"short"])
