"""A small pool of pictures and bills for all claims of the machine, so that the same things recur."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np
import skimage.data
from PIL import Image

from fixtures.demo_world import DESK
from fixtures.papers import PrintedItem, render_invoice

EDGE_PX_MAX: Final = 512
INSURED: Final = "张伟"  # on whom the bills are made out


@dataclass(frozen=True, slots=True)
class Item:
    """A file. thing: the picture or the bill that it shows; two files of a thing must not both be paid. edited: True if
    it is a changed copy."""

    name: str
    thing: str
    edited: bool
    data: bytes


def _picture(name: str) -> Image.Image:
    pixels: np.ndarray[Any, Any] = np.asarray(getattr(skimage.data, name)())
    shown = Image.fromarray(pixels).convert("RGB")
    shown.thumbnail((EDGE_PX_MAX, EDGE_PX_MAX))
    return shown


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


@cache
def photos() -> tuple[Item, ...]:
    """Returns six photographs of scikit-image, and two of them again: one cropped by a twentieth, one recompressed."""
    coffee, rocket, retina, stars, gravel, coins = (
        _picture(name) for name in ("coffee", "rocket", "retina", "hubble_deep_field", "gravel", "coins")
    )
    width, height = coffee.size
    cropped = coffee.crop((width // 20, height // 20, width - width // 20, height - height // 20))
    return (
        Item("coffee.jpg", "coffee", False, _jpeg(coffee, 90)),
        Item("rocket.jpg", "rocket", False, _jpeg(rocket, 90)),
        Item("retina.jpg", "retina", False, _jpeg(retina, 90)),
        Item("stars.jpg", "stars", False, _jpeg(stars, 90)),
        Item("gravel.jpg", "gravel", False, _jpeg(gravel, 90)),
        Item("coins.jpg", "coins", False, _jpeg(coins, 90)),
        Item("coffee-cropped.jpg", "coffee", True, _jpeg(cropped, 75)),
        Item("rocket-again.jpg", "rocket", True, _jpeg(rocket, 60)),
    )


@cache
def bills(day: date) -> tuple[Item, ...]:
    """Returns two outpatient bills of a visit each on `day`, and the first photographed again."""
    items = (
        PrintedItem("门诊诊查费", "甲", 5_000),
        PrintedItem("血常规检验", "甲", 12_000),
        PrintedItem("阿莫西林胶囊", "乙", 23_000),
    )
    first, second = (
        render_invoice(
            seed, patient=INSURED, day=day, number=number, items=items, insurance_paid_minor=0, capture=DESK
        ).jpeg
        for seed, number in ((7001, "3301267788"), (7003, "3301265500"))
    )
    again = _jpeg(Image.open(io.BytesIO(first)).convert("RGB"), 80)
    return (
        Item("bill-1.jpg", "bill-1", False, first),
        Item("bill-2.jpg", "bill-2", False, second),
        Item("bill-1-again.jpg", "bill-1", True, again),
    )
