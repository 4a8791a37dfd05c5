"""Three layouts drawn both ways from the same facts: `python -m trials.typeset.compare OUT SEED...`."""

from __future__ import annotations

import ast
import inspect
import sys
import time
from pathlib import Path

import numpy as np
import zxingcpp
from PIL import Image

from fixtures.papers import blind_goods, medical
from fixtures.papers.draw import Page
from fixtures.papers.facts import invent
from fixtures.papers.paper import stream
from fixtures.papers.render import draw, layouts_of, printed
from trials.typeset.page import HERE, typeset

# kind, layout, template, what else in the module that layout alone uses
TRIAL = (
    ("outpatient_invoice", "electronic", "invoice", medical, ()),
    ("receipt", "till_roll_blind", "receipt", blind_goods, ("_till_lines", "_TILL")),
    ("order_screenshot", "app_order_blind", "order", blind_goods, ("_sum_row", "_STATES")),
)


def size_of(lines: list[str]) -> tuple[int, int]:
    """Lines that are not empty, and characters that are not white space."""
    full = [line for line in lines if line.strip()]
    return len(full), sum(len("".join(line.split())) for line in full)


def drawn_in(module: object, names: tuple[str, ...]) -> tuple[int, int]:
    lines = inspect.getsource(module).splitlines()  # type: ignore[arg-type]
    body, kept = ast.parse("\n".join(lines)).body, []
    for node in body:
        name = node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node).split(":")[0].split(" =")[0]
        if name in names:
            kept += lines[node.lineno - 1 : node.end_lineno]
    return size_of(kept)


def off_ink(page: Page) -> float:
    """Pixels, 95th percentile over fields: how far the ink inside a grown box ends from where the box says."""
    grey, off = np.asarray(page.image.convert("L")).astype(int), []
    for run in page.runs:
        if run.shows:
            left, top, right, bottom = (round(v) for v in run.box)
            window = grey[max(0, top - 3) : bottom + 3, max(0, left) : right]
            rows = np.flatnonzero((np.abs(window - np.median(window)) > 60).any(axis=1))
            off += [abs(rows[0] - 3), abs(rows[-1] + 1 - 3 - (bottom - top))]
    return float(np.percentile(off, 95))


def main(out: Path, seeds: list[int]) -> None:
    for kind, name, template, module, also in TRIAL:
        now = size_of((HERE / f"{template}.typ").read_text().splitlines())
        sys.stdout.write(f"{template} lines, characters: {drawn_in(module, (name, *also))} -> {now}\n")
        layout = {layout.name: layout for layout in layouts_of(kind, "build")}[name]
        for seed in seeds:
            facts = invent(kind, stream(seed, f"{kind}-facts"), {}, None, layout.variant)
            start = time.perf_counter()
            pen = draw(kind, seed, layout, facts)
            middle = time.perf_counter()
            made = typeset(template, facts, seed)
            end = time.perf_counter()
            same = typeset(template, facts, seed).page.image.tobytes() == made.page.image.tobytes()
            fields = {run.shows for run in made.page.runs} - {""}
            read = {code.text for code in zxingcpp.read_barcodes(np.asarray(made.page.image))}
            missing = sorted(set(printed(pen, facts.truth)) - fields)
            sys.stdout.write(
                f"  seed {seed}: {1000 * (middle - start):.0f} -> {1000 * (end - middle):.0f} ms; same twice: {same};"
                f" fields missing: {missing}; codes read: {set(made.code_texts) <= read};"
                f" off the ink: {off_ink(pen.page):.1f} -> {off_ink(made.page):.1f} px;"
                f" strings {len(pen.page.runs)} -> {len(made.page.runs)}\n"
            )
            both = Image.new("RGB", (pen.page.width_px + made.page.width_px + 40, 2600), (90, 90, 200))
            both.paste(pen.page.image, (0, 0))
            both.paste(made.page.image, (pen.page.width_px + 40, 0))
            both.thumbnail((1500, 1500))
            both.save(out / f"{template}-{seed}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
