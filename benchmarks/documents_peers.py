"""Other people's readers on the same receipts, by their own defaults, one thread: rapidocr (PP-OCRv6 small in its
wheel), and paddleocr as it comes, with the same small models but its own sizes and batches. Their lines go through our
rules, so that only the reading differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from models.ocr_build import default_target, model_name
from vision.decode.image import Picture
from vision.documents import PaperReading, load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PageText, TextLine
from vision.measurement import Unmeasured

Engine = Callable[[npt.NDArray[np.uint8]], list[TextLine]]
# A reading and the true values by field: which fields are right, by name.
MarksOf = Callable[[PaperReading | Unmeasured, Mapping[str, str]], dict[str, bool]]


def measure(scans: Sequence[tuple[Picture, Mapping[str, str]]], marks_of: MarksOf) -> dict[str, Any]:
    """Returns, by peer, the share of totals and dates that `marks_of` calls right and CPU seconds a page; the reason
    for a peer that cannot be measured.
    """
    figures: dict[str, Any] = {}
    for name, start in (("rapidocr", _rapidocr), ("paddleocr_defaults", _paddleocr)):
        try:
            figures[name] = _measured(start(), scans, marks_of) if scans else None
        except ImportError as error:
            figures[name] = {"unmeasured": f"{error}; install the extra `bench`"}
    return figures


def _measured(
    engine: Engine, scans: Sequence[tuple[Picture, Mapping[str, str]]], marks_of: MarksOf
) -> dict[str, float]:
    today, catalogue = datetime.now(UTC).date(), load_catalogue()
    marks, began_wall, began = [], time.perf_counter(), time.process_time()
    for picture, keys in scans:
        height, width = picture.pixels.shape[:2]
        page = PageText(width, height, tuple(engine(picture.pixels)), "peer")
        marks.append(marks_of(parse(page, today, catalogue), keys))
    seconds, wall = time.process_time() - began, time.perf_counter() - began_wall
    right = {name: round(fmean(mark[name] for mark in marks), 4) for name in marks[0]}
    return {
        **right,
        "cpu_s_per_page": round(seconds / len(scans), 3),
        "pages_per_minute_one_process": round(len(scans) / wall * 60, 1),
    }


def _rapidocr() -> Engine:
    from rapidocr import RapidOCR

    engine: Any = RapidOCR(params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": 1})

    def read(pixels: npt.NDArray[np.uint8]) -> list[TextLine]:
        output = engine(np.ascontiguousarray(pixels[..., ::-1]))
        if output.txts is None:
            return []
        return [
            _line(text, score, box) for text, score, box in zip(output.txts, output.scores, output.boxes, strict=True)
        ]

    return read


def _paddleocr() -> Engine:
    from paddleocr import PaddleOCR

    folder = default_target()
    detection, recognition = model_name("pp-ocrv6-small", "det"), model_name("pp-ocrv6-small", "rec")
    engine = PaddleOCR(
        text_detection_model_name=detection,
        text_detection_model_dir=str(folder / detection),
        text_recognition_model_name=recognition,
        text_recognition_model_dir=str(folder / recognition),
        device="cpu",
        engine="onnxruntime",
        engine_config={"intra_op_num_threads": 1},
        # Its other three models are not at hand: nothing is downloaded.
        use_doc_orientation_classify=False,
        use_doc_unwarping=False,
        use_textline_orientation=False,
    )

    def read(pixels: npt.NDArray[np.uint8]) -> list[TextLine]:
        page = engine.predict(np.ascontiguousarray(pixels[..., ::-1]))[0]
        return [
            _line(text, score, box)
            for text, score, box in zip(page["rec_texts"], page["rec_scores"], page["rec_polys"], strict=True)
        ]

    return read


def _line(text: str, score: float, box: npt.NDArray[np.generic]) -> TextLine:
    a, b, c, d = ((float(x), float(y)) for x, y in np.asarray(box, dtype=np.float64))
    return TextLine(str(text), float(score), (a, b, c, d))
