"""A page set by Typst from a template and a paper's facts, with codes and seals where the template left room."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

import typst
from PIL import Image

from fixtures.papers.blind_medical import shown
from fixtures.papers.codes import code128, qr
from fixtures.papers.draw import Page, Run, font
from fixtures.papers.facts import Facts
from fixtures.papers.paper import yuan
from fixtures.papers.pen import Pen

HERE = Path(__file__).parent
FONTS = sorted({str(Path(font(9, bold, f).path).parent) for f in ("sans", "mono") for bold in (False, True)})


@dataclass
class Typeset:
    page: Page
    code_texts: list[str]


def inputs(facts: Facts, seed: int) -> str:
    """What a template reads: the facts, each value as this page prints it, and counts of the items."""
    pen = Pen(Random(f"typeset:{seed}"), facts.truth, (9, 9), 9)
    values = {name: pen.printed(name) for name in facts.truth}
    values |= {f"date/{form}": shown(pen, "date", form) for form in ("iso", "dot")}
    items, pieces = [], 0
    for item in facts.items:
        count = pen.random.choice([n for n in (1, 1, 1, 2, 3) if item.amount_minor % n == 0])
        pieces += count
        each, amount = yuan(item.amount_minor // count), yuan(item.amount_minor)
        items.append({"text": item.text, "class": item.item_class, "amount": amount, "count": str(count), "each": each})
    paper = {"seed": seed, "truth": facts.truth, "shown": values, "items": items, "extra": facts.extra}
    return json.dumps(paper | {"pieces": str(pieces)}, ensure_ascii=False)


def typeset(template: str, facts: Facts, seed: int) -> Typeset:
    compiler = typst.Compiler(
        str(HERE / f"{template}.typ"), root=str(HERE), font_paths=FONTS, sys_inputs={"paper": inputs(facts, seed)}
    )
    image = Image.open(io.BytesIO(compiler.compile(format="png", ppi=72))).convert("RGB")
    page = Page(*image.size)
    page.image.paste(image)
    for run in json.loads(compiler.query("<run>", field="value")):
        x, y = _at(run)
        box = (x + run["dx"], y + run["dy"], x + run["dx"] + run["width"], y + run["dy"] + run["height"])
        page.strings.append(run["text"])
        page.runs.append(Run(run["text"], box, round(run["size"]), run["shows"], run["value"]))
    texts = []
    for mark in json.loads(compiler.query("<mark>", field="value")):
        (x, y), text, random = _at(mark), mark["text"], Random(f"seal:{seed}")
        if mark["kind"] == "seal":
            turn = random.uniform(-16, 16)
            page.stamp(x + random.uniform(-40, 40), y, text, angle_degrees=turn, opacity=random.randint(90, 165))
            continue
        texts.append(text)
        code = (qr if mark["kind"] == "qr" else code128)(text)
        module = max(1, int(mark["width"] // code.shape[1]))
        page.modules(x, y, code, module, None if mark["kind"] == "qr" else int(mark["height"]))
    return Typeset(page, texts)


def _at(reported: dict[str, dict[str, str]]) -> tuple[float, float]:
    return float(reported["at"]["x"].removesuffix("pt")), float(reported["at"]["y"].removesuffix("pt"))
