"""Names of programs that edit or generate pictures, as they write them into files.

These are lists, not measurements: a program that is not listed is not recognised. No name may match that of a camera's
own software (tests/vision/origin/test_file_signs.py has those of the common makers).
"""

from __future__ import annotations

import re
from typing import Final

_EDITORS: Final = """
photoshop, lightroom, camera raw, gimp, snapseed, picsart, pixelmator, affinity photo, canva, photoscape, paint.net,
vsco, polarr, photopea, acdsee, luminar, facetune, faceapp, meitu, 美图, beautycam, 美颜, 轻颜, 醒图, 黄油相机, b612,
pixlr, fotor, befunky, inshot, remini, touchretouch, darktable, rawtherapee, capture one, dxo photolab, corel,
paintshop, adobe express, krita, imagemagick, graphicsmagick, microsoft windows photo, paint 3d
"""
_GENERATORS: Final = """
midjourney, dall-e, dall·e, dalle, stable diffusion, stable-diffusion, sdxl, comfyui, invokeai, automatic1111, fooocus,
novelai, firefly, leonardo.ai, ideogram, openai, chatgpt, google ai, gemini, imagen, flux.1, black forest labs, 即梦,
可灵, 文心一格, 通义万相, jimeng, seedream
"""


def _any_of(names: str) -> re.Pattern[str]:
    words = "|".join(re.escape(name.strip()) for name in names.split(","))
    return re.compile(rf"(?<![a-z])(?:{words})", re.IGNORECASE)


_EDITOR: Final = _any_of(_EDITORS)
_GENERATOR: Final = _any_of(_GENERATORS)


def editor(name: str) -> bool:
    return bool(_EDITOR.search(name))


def generator(name: str) -> bool:
    return bool(_GENERATOR.search(name))
