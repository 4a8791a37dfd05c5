"""The OCR process: `python -P child.py CONFIG PARENT_ID`, spoken to over its standard input and output by
`vision.documents.reader`.

It holds the engine, reads one page at a time and uses no network: every attempt to connect or to resolve a name
raises. CONFIG is JSON: models_dir, engines ({short name: [detection model, recognition model]}), threads,
detection_edge_px_max. PARENT_ID: the id of the process that started it, with which it ends.

A frame is four bytes of header length (big endian), the header as JSON, then `payload_bytes` bytes. Requests:
{model, height, width} with height * width * 3 bytes of sRGB. Replies: {ready: true} once at the start, then
{lines: [[text, confidence, corners], ...], cpu_seconds} each; to the model CODES, {codes: [[symbology, text, corners],
...], cpu_seconds}. It ends with EXIT_NO_RESOURCES when the system refuses it memory, threads, descriptors or disk.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import time
from types import ModuleType
from typing import Any, BinaryIO

from vision.lifetime import end_with_parent

NETWORK_EVENTS = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"}
)


#: Sent instead of a model's name: decode QR and bar codes.
CODES = "codes"
CODES_MAX = 16
CODE_CHARACTERS_MAX = 1_000
#: The exit status of a process that the system refused something: no fault of the page. As the decoder's.
EXIT_NO_RESOURCES = 72
#: The loaded models take 240 MiB; what a page leaves in gaps differs from page to page.
GROWTH_BYTES_MAX = 128 << 20
_REFUSED = frozenset({errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
#: Messages of the engine, OpenCV and threads in place of MemoryError or an error number.
NO_RESOURCES_WORDS = (
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "Failed to allocate memory",
    "Insufficient memory",
    "can't start new thread",
    "pthread_create failed",
)
# Symbologies that papers carry. Weaker ones (ITF, Codabar) match any pattern of lines.
SYMBOLOGIES = ("QRCode", "DataMatrix", "Code128", "Code39", "EAN13")


class NetworkForbidden(RuntimeError):
    """Something in the OCR process tried to use the network."""


def forbid_network() -> None:
    """Prevent this process from opening a connection from Python, for good; the hook cannot be removed."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in NETWORK_EVENTS:
            raise NetworkForbidden(f"the OCR process does not use the network: {event} {arguments[1:]}")

    sys.addaudithook(refuse)


def frame_head(header: dict[str, Any], payload_bytes: int = 0) -> bytes:
    """Return what precedes a payload of that many bytes."""
    encoded = json.dumps(header | {"payload_bytes": payload_bytes}, ensure_ascii=False).encode()
    return len(encoded).to_bytes(4, "big") + encoded


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Return the next frame, or None if the other side closed."""
    prefix = stream.read(4)
    if len(prefix) < 4:
        return None
    header: dict[str, Any] = json.loads(stream.read(int.from_bytes(prefix, "big")))
    return header, stream.read(header["payload_bytes"])


#: Modules that the engine imports and never calls here, with the names that it takes from each. `modelscope` downloads
#: models, which must never happen, and imports torch: 190 MB of memory and 1.6 s of CPU a process. The others serve
#: tables, time series, anomalies, face search and a web client: with what they import in turn, 70 MB and 2 s of CPU.
UNUSED: dict[str, tuple[str, ...]] = {
    "aiohttp": (),
    "faiss": (),
    "modelscope": (),
    "skimage": ("morphology",),
    "sklearn": (),
    "sklearn.cluster": ("KMeans",),
    "sklearn.preprocessing": ("StandardScaler",),
}


def without_unused() -> None:
    """Replace modules that the engine imports but never uses by ones whose names are None; calling one fails."""
    for name, members in UNUSED.items():
        empty = ModuleType(name)
        for member in members:
            setattr(empty, member, None)
        sys.modules[name] = empty


def read_yaml_fast() -> None:
    """Let the engine read its models' lists of characters with libyaml, where that is there: the same values, ten times
    as fast as by the parser in Python."""
    import yaml

    yaml.FullLoader = getattr(yaml, "CFullLoader", yaml.FullLoader)  # type: ignore[misc]


def _engines(config: dict[str, Any]) -> dict[str, Any]:
    without_unused()
    read_yaml_fast()
    from paddleocr import PaddleOCR

    engines = {}
    for name, (detection, recognition) in config["engines"].items():
        engines[name] = PaddleOCR(
            text_detection_model_name=detection,
            text_detection_model_dir=os.path.join(config["models_dir"], detection),
            text_recognition_model_name=recognition,
            text_recognition_model_dir=os.path.join(config["models_dir"], recognition),
            device="cpu",
            engine="onnxruntime",
            # Without the arena, and line by line, memory stays at half (540 instead of 1,110 MB after 40 pages) for the
            # same CPU time: the arena keeps the largest buffers of every width that it had to hold.
            engine_config={
                "intra_op_num_threads": config["threads"],
                "enable_cpu_mem_arena": False,
                "enable_mem_pattern": False,
            },
            text_recognition_batch_size=1,
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
            text_det_limit_side_len=config["detection_edge_px_max"],
            text_det_limit_type="max",
        )
    return engines


def decode_codes(pixels: Any) -> list[list[Any]]:
    """Return [symbology, text, four corners] of every code in `pixels` (uint8 (h, w, 3), sRGB), at most CODES_MAX."""
    import numpy as np
    import zxingcpp

    formats = zxingcpp.barcode_formats_from_str(",".join(SYMBOLOGIES))
    # A copy in one channel: zxing takes three for BGR, and grey is all it needs.
    grey = np.ascontiguousarray(
        (pixels.astype(np.uint16) @ np.array([77, 151, 28], dtype=np.uint16) >> 8).astype(np.uint8)
    )
    codes = []
    for code in zxingcpp.read_barcodes(grey, formats=formats, text_mode=zxingcpp.TextMode.Plain)[:CODES_MAX]:
        place = code.position
        corners = [place.top_left, place.top_right, place.bottom_right, place.bottom_left]
        text = code.text[:CODE_CHARACTERS_MAX]
        symbology = str(code.format).replace(" ", "")
        codes.append([symbology, text, [[float(corner.x), float(corner.y)] for corner in corners]])
    return codes


def _reply(replies: BinaryIO, header: dict[str, Any]) -> None:
    replies.write(frame_head(header))
    replies.flush()


class FreedMemory:
    """Hands freed memory back to the system whenever the process has grown by `growth_bytes_max` since the last time.

    Lines and pages differ in size, so the buffers of one rarely fit into the gaps that the last left, and the process
    grows although nothing leaks. Not after every page: it then asks for all of it again, at 7% of a page's CPU. glibc
    only (`malloc_trim`); elsewhere nothing is done.
    """

    def __init__(self, growth_bytes_max: int = GROWTH_BYTES_MAX) -> None:
        self._growth_bytes_max = growth_bytes_max
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if self._trim is not None:
            self._trim.argtypes, self._trim.restype = (ctypes.c_size_t,), ctypes.c_int
        self._bytes_after = resident_bytes()

    def hand_back(self) -> None:
        if self._trim is None or resident_bytes() - self._bytes_after < self._growth_bytes_max:
            return
        self._trim(0)
        self._bytes_after = resident_bytes()


def resident_bytes() -> int:
    """Return the resident size of this process; 0 on systems without /proc."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def refused_by_system(error: BaseException) -> bool:
    """True if the system lacked memory, threads, descriptors or disk."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _REFUSED
    return any(words in str(error) for words in NO_RESOURCES_WORDS)


def main() -> int:
    """Serve requests until the other side closes. Returns the exit status."""
    end_with_parent(int(sys.argv[2]))
    config = json.loads(sys.argv[1])
    # The engine prints to standard output; frames go over a copy of it that nothing else uses.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    forbid_network()
    try:
        _serve(config, sys.stdin.buffer, replies)
    except Exception as error:
        if not refused_by_system(error):
            raise
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return EXIT_NO_RESOURCES
    return 0


def _serve(config: dict[str, Any], requests: BinaryIO, replies: BinaryIO) -> None:
    import numpy as np

    engines = _engines(config)
    for engine in engines.values():
        # The first page through a session allocates its buffers: do that before anybody waits.
        engine.predict(np.full((64, 256, 3), 255, dtype=np.uint8))
    freed = FreedMemory()
    _reply(replies, {"ready": True})
    while (frame := read_frame(requests)) is not None:
        header, payload = frame
        pixels = np.frombuffer(payload, dtype=np.uint8).reshape(header["height"], header["width"], 3)
        started = time.process_time()
        if header["model"] == CODES:
            _reply(replies, {"codes": decode_codes(pixels), "cpu_seconds": time.process_time() - started})
            continue
        result = engines[header["model"]].predict(np.ascontiguousarray(pixels[:, :, ::-1]))[0]
        lines = [
            [text, float(score), [[float(x), float(y)] for x, y in corners]]
            for text, score, corners in zip(result["rec_texts"], result["rec_scores"], result["rec_polys"], strict=True)
        ]
        del frame, payload, pixels, result
        freed.hand_back()
        _reply(replies, {"lines": lines, "cpu_seconds": time.process_time() - started})


if __name__ == "__main__":
    sys.exit(main())
