"""Isolation of the decoding process: its reach, its traces, its end."""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from fixtures.hostile_files import jpeg, jpeg_scan_bomb, jpeg_segment, jpeg_with, pdf, photo, png
from tests.waiting import wait_until
from vision.decode.image import DecodeLimits, Decoder
from vision.decode.process import HEADER_BYTES, read_answer
from vision.errors import DecoderUnavailable, ImageRefused

SLOW = jpeg_scan_bomb(2500, 2500, scans=2000)  # about 8 s of work
ROOT = Path(__file__).resolve().parents[3]


def memory_contains(process_id: int, needle: bytes) -> bool:
    """True if the needle is in memory that the process has mapped for writing."""
    with open(f"/proc/{process_id}/maps") as maps, open(f"/proc/{process_id}/mem", "rb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            if "w" not in rights or line.endswith(("[vvar]\n", "[vsyscall]\n")):
                continue
            start, end = (int(part, 16) for part in where.split("-"))
            memory.seek(start)
            try:
                if needle in memory.read(end - start):
                    return True
            except OSError:  # a guard page
                continue
    return False


def test_nothing_of_a_file_stays_in_the_process_that_the_next_child_is_forked_from() -> None:
    mark = secrets.token_bytes(48)
    colour = (0x5A, 0xC3, 0x17)
    with Decoder(processes=1) as decoder:
        decoder.decode(jpeg_with(jpeg(), jpeg_segment(0xFE, mark)))
        decoder.decode(png(photo().point(lambda _value: 0)))
        plain = png(photo(256, 256).convert("RGB"))
        plain_pixels = decoder.decode(plain).pixels
        (zygote,) = decoder.process_ids
        try:
            assert memory_contains(zygote, b"pypdfium2"), "the search finds what is there"
        except PermissionError:
            pytest.skip("this machine lets no process read another's memory")
        assert not memory_contains(zygote, mark)
        assert not memory_contains(zygote, plain_pixels.tobytes()[:48])
        assert not memory_contains(zygote, bytes(colour) * 16)


def test_every_file_gets_a_process_of_its_own_that_ends_with_it() -> None:
    process_ids: set[int] = set()
    with Decoder(processes=1) as decoder:
        decoder.decode(jpeg())
        zygote = psutil.Process(decoder.process_ids[0])
        for _ in range(3):
            work = threading.Thread(target=decoder.decode, args=(jpeg_scan_bomb(2500, 2500, scans=40),))
            work.start()
            wait_until(lambda: bool(zygote.children()))
            process_ids |= {child.pid for child in zygote.children()}
            work.join()
            assert zygote.children() == []
    assert len(process_ids) == 3


CONFINED = """
import ctypes, json, os, socket, sys
sys.path.insert(0, sys.argv[1])
from vision.decode.child import confine
limits = dict(kind=sys.argv[2], cpu_seconds_max=5, memory_bytes_max=2**28, answer_bytes_max=2**20)
limits["syscall_filter_required"] = True
attempts = dict(
    socket=lambda: socket.socket(), read=lambda: open("/etc/passwd"), write=lambda: open("/tmp/x", "w"), fork=os.fork,
    execute=lambda: os.execv("/bin/true", ["true"]), kill=lambda: os.kill(os.getppid(), 0),
    folder=lambda: os.listdir("/usr/share"), memory=lambda: bytearray(2**29),
    own_memory=lambda: open("/proc/self/mem", "rb"), look=lambda: os.stat("/usr/share/fonts"),
    fonts=lambda: os.listdir("/usr/share/fonts"),
)
assert confine(limits, ctypes.CDLL(None, use_errno=True), os.getppid())
outcome = {}
for name, attempt in attempts.items():
    try:
        attempt()
    except (OSError, MemoryError) as error:
        outcome[name] = type(error).__name__
    else:
        outcome[name] = "done"
os.write(1, json.dumps(outcome).encode())
os._exit(0)
"""


@pytest.mark.parametrize("kind", ["picture", "pdf", "ofd", "xml", "heif"])
def test_a_decoding_process_reaches_no_network_no_file_and_no_other_process(kind: str) -> None:
    command = [sys.executable, "-I", "-c", CONFINED, str(ROOT), kind]
    done = subprocess.run(command, capture_output=True, check=True)
    outcome = json.loads(done.stdout)
    assert "done" not in outcome.values(), outcome
    assert outcome["memory"] == "MemoryError"


def test_the_decoding_process_knows_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_TOKEN_KEY", "a-secret-key")
    with Decoder(processes=1) as decoder:
        decoder.decode(jpeg())
        environment = Path(f"/proc/{decoder.process_ids[0]}/environ").read_bytes()
        descriptors = os.listdir(f"/proc/{decoder.process_ids[0]}/fd")
    assert b"a-secret-key" not in environment
    assert len(descriptors) <= 5, "standard streams and the control socket"


def test_the_calling_process_loads_no_decoder() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import vision.decode.image; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", program, str(ROOT)], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert "vision.decode.image" in loaded
    heavy = {"PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.WebPImagePlugin", "pypdfium2", "cv2", "torch"}
    assert not loaded & (heavy | {"vision.decode.pixels", "vision.decode.pdf_pages"})


def decoded_while(decoder: Decoder, sent: signal.Signals, times: int) -> str:
    """Decodes a slow file while `times` of its child processes get the signal; returns a code, the error's name or
    "decoded".
    """
    endings: list[str] = []

    def work() -> None:
        try:
            decoder.decode(SLOW_ENOUGH)
        except ImageRefused as refused:
            endings.append(refused.code)
        except DecoderUnavailable:
            endings.append("DecoderUnavailable")
        else:
            endings.append("decoded")

    decoder.decode(jpeg())
    zygote = psutil.Process(decoder.process_ids[0])
    thread = threading.Thread(target=work)
    thread.start()
    signalled: set[int] = set()
    while len(signalled) < times:
        wait_until(lambda: bool({child.pid for child in zygote.children()} - signalled))
        (child,) = (child for child in zygote.children() if child.pid not in signalled)
        child.send_signal(sent)
        signalled.add(child.pid)
    thread.join()
    assert decoder.decode(jpeg()).pixels.shape == (480, 640, 3)
    return endings[0]


SLOW_ENOUGH = jpeg_scan_bomb(2500, 2500, scans=200)  # to be met by a signal, and within its limits


def test_a_child_that_crashes_is_a_refusal_of_its_file() -> None:
    with Decoder(processes=1) as decoder:
        assert decoded_while(decoder, signal.SIGSEGV, times=1) == "decode_crashed"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_from_outside_costs_its_file_nothing(sent: signal.Signals) -> None:
    with Decoder(processes=1) as decoder:
        assert decoded_while(decoder, sent, times=1) == "decoded"


def test_a_file_whose_children_are_killed_twice_is_our_trouble_and_not_the_files() -> None:
    with Decoder(processes=1) as decoder:
        assert decoded_while(decoder, signal.SIGKILL, times=2) == "DecoderUnavailable"


def test_a_child_that_stands_still_is_ended_and_its_file_decoded_in_another() -> None:
    with Decoder(DecodeLimits(stall_seconds_max=2), processes=2) as decoder:
        assert decoded_while(decoder, signal.SIGSTOP, times=1) == "decoded"


def test_a_file_whose_children_are_all_stopped_from_outside_is_not_to_blame() -> None:
    with Decoder(DecodeLimits(stall_seconds_max=2), processes=1) as decoder:
        assert decoded_while(decoder, signal.SIGSTOP, times=2) == "DecoderUnavailable"


def planted(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Has every decoding process that starts from now on answer by this function."""
    function = f"def answer(request, data, target):\n    {answer}"
    start = f"import sys; sys.path.insert(0, sys.argv[1]); from vision.decode import child; exec({function!r});"
    start += " child._answer = answer; child.main(int(sys.argv[2]), int(sys.argv[3]))"
    monkeypatch.setattr("vision.decode.process._START", start)


def test_a_file_on_which_every_child_stands_still_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, "import _thread; lock = _thread.allocate_lock(); lock.acquire(); lock.acquire()")
    with Decoder(DecodeLimits(stall_seconds_max=2), processes=1) as decoder:
        with pytest.raises(ImageRefused) as refused:
            decoder.decode(jpeg())
        assert refused.value.code == "decode_timeout"


def test_a_child_that_gets_no_room_for_its_answer_is_our_trouble_and_one_that_fails_on_its_file_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch, "raise OSError(28, 'No space left on device')")
    with Decoder(processes=1) as decoder, pytest.raises(DecoderUnavailable, match="refused what it needs"):
        decoder.decode(jpeg())
    planted(monkeypatch, "raise OSError('a broken picture')")
    with Decoder(processes=1) as decoder:
        with pytest.raises(ImageRefused) as refused:
            decoder.decode(jpeg())
        assert refused.value.code == "decode_crashed"


def test_descriptors_that_ran_out_are_our_trouble_and_none_stays_open() -> None:
    with Decoder(processes=1) as decoder:
        decoder.decode(jpeg())
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_now = len(os.listdir("/proc/self/fd"))
        spare = os.open(os.devnull, os.O_RDONLY)  # the lowest free number: one memory file fits, a second does not
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, before[1]))
        try:
            for _ in range(3):
                with pytest.raises(OSError, match="Too many open files"):
                    decoder.decode(jpeg())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert len(os.listdir("/proc/self/fd")) == open_now
        assert decoder.decode(jpeg()).pixels.shape == (480, 640, 3)


def test_a_zygote_that_stands_still_is_our_trouble() -> None:
    with Decoder(DecodeLimits(stall_seconds_max=2), processes=1) as decoder:
        decoder.decode(jpeg())
        os.kill(decoder.process_ids[0], signal.SIGSTOP)
        with pytest.raises(DecoderUnavailable, match="does not answer"):
            decoder.decode(jpeg())
        assert decoder.decode(jpeg()).pixels.shape == (480, 640, 3)


def test_a_second_try_is_made_with_no_other_file_beside_it() -> None:
    """Two files whose children die at once wait for each other, but not forever."""
    with Decoder(processes=2) as decoder:
        decoder.decode(jpeg())
        decoder.render_pdf(pdf())
        outcomes: list[int] = []
        threads = [
            threading.Thread(target=lambda: outcomes.append(len(decoder.decode(SLOW_ENOUGH).pixels))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        zygotes = [psutil.Process(pid) for pid in decoder.process_ids]
        wait_until(lambda: all(zygote.children() for zygote in zygotes))
        for zygote in zygotes:
            zygote.children()[0].kill()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 2


def test_a_killed_zygote_is_replaced_and_the_file_decoded() -> None:
    with Decoder(processes=1) as decoder:
        decoder.decode(jpeg())
        (first,) = decoder.process_ids
        os.kill(first, signal.SIGKILL)
        assert decoder.decode(jpeg()).pixels.shape == (480, 640, 3)
        assert decoder.process_ids != (first,)


def test_a_zygote_killed_in_the_middle_of_a_file_takes_its_child_along_and_is_replaced() -> None:
    with Decoder(DecodeLimits(cpu_seconds_max=1), processes=1) as decoder:
        decoder.decode(jpeg())
        zygote = psutil.Process(decoder.process_ids[0])
        errors: list[str] = []

        def work() -> None:
            try:
                decoder.decode(SLOW)
            except ImageRefused as refused:
                errors.append(refused.code)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: bool(zygote.children()))
        (child,) = zygote.children()
        zygote.kill()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        thread.join()
        assert errors == ["decode_timeout"], "the file was tried again in a new process, and judged there"


PARENT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from fixtures.hostile_files import jpeg, jpeg_scan_bomb
from vision.decode.image import Decoder
decoder = Decoder(processes=1)
decoder.decode(jpeg())
threading.Thread(target=decoder.decode, args=(jpeg_scan_bomb(2500, 2500, scans=2000),), daemon=True).start()
print(decoder.process_ids[0], flush=True)
threading.Event().wait()
"""


def test_the_decoding_processes_end_when_their_parent_is_killed_in_the_middle_of_a_file() -> None:
    parent = subprocess.Popen([sys.executable, "-I", "-c", PARENT, str(ROOT)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        zygote = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: bool(zygote.children()))
    family = [zygote, *zygote.children()]
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family))


def test_closing_ends_every_process_and_a_closed_decoder_says_so() -> None:
    decoder = Decoder(processes=2)
    with decoder:
        decoder.decode(jpeg())
        decoder.render_pdf(pdf())
        zygotes = decoder.process_ids
    assert len(zygotes) == 2
    assert not any(psutil.pid_exists(zygote) for zygote in zygotes)
    with pytest.raises(DecoderUnavailable, match="closed"):
        decoder.decode(jpeg())


def test_one_stuck_file_does_not_hold_up_the_others() -> None:
    with Decoder(DecodeLimits(cpu_seconds_max=2), processes=2) as decoder:
        decoder.decode(jpeg())

        def work() -> None:
            with pytest.raises(ImageRefused, match="decode_timeout"):
                decoder.decode(SLOW)

        slow = threading.Thread(target=work)
        slow.start()
        for _ in range(5):
            decoder.decode(jpeg(photo(64, 48)))
        assert slow.is_alive()
        slow.join()


GOOD = {
    "width_px": 2,
    "height_px": 1,
    "source_width_px": 2,
    "source_height_px": 1,
    "pixel_sha256": "00" * 32,
    "exif": {},
}


def answer_of(text: bytes, pixels: bytes = bytes(6), length: int | None = None) -> int:
    target = os.memfd_create("answer")
    os.pwrite(target, struct.pack(">Q", len(text) if length is None else length) + text, 0)
    os.pwrite(target, pixels, HEADER_BYTES)
    return target


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[" * 60_000,
        b'{"pictures": []}',
        b'{"refused": "made_up", "detail": ""}',
        *(
            json.dumps({"pictures": [GOOD | change]}).encode()
            for change in (
                {"width_px": 10**12},
                {"width_px": -2, "height_px": -1},
                {"height_px": float("inf")},
                {"source_width_px": 10**30},
                {"pixel_sha256": "00"},
                {"pixel_sha256": None},
                {"exif": "none"},
                {"height_px": 2},
            )
        ),
    ],
)
def test_a_taken_over_decoder_cannot_answer_nonsense(text: bytes) -> None:
    for length in (None, 2**60):
        target = answer_of(text, length=length)
        with pytest.raises(ImageRefused) as refused:
            read_answer(target)
        os.close(target)
        assert refused.value.code == "decode_crashed"


def test_a_plain_answer_is_read() -> None:
    target = answer_of(json.dumps({"pictures": [GOOD]}).encode(), bytes(range(6)))
    (picture,) = read_answer(target)
    os.close(target)
    assert picture.pixels.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert not picture.pixels.flags.writeable
