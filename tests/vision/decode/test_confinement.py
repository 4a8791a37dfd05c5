"""The system call filters, run by a small interpreter of their own instructions, for every machine they are written
for; and the filter for threads in a real process."""

from __future__ import annotations

import errno
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from vision.decode.confinement import THREAD_FLAGS, filter_program

ROOT = Path(__file__).resolve().parents[3]
ALLOWED, REFUSED, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# asm/unistd.h: (x86_64, aarch64)
CALLS = {
    "clone": (56, 220), "clone3": (435, 435), "execve": (59, 221), "execveat": (322, 281), "socket": (41, 198),
    "connect": (42, 203), "openat": (257, 56), "openat2": (437, 437), "ptrace": (101, 117), "kill": (62, 129),
    "prctl": (157, 167), "unshare": (272, 97), "process_vm_readv": (310, 270), "memfd_create": (319, 279),
    "io_uring_setup": (425, 425), "pidfd_getfd": (438, 438), "prlimit64": (302, 261), "setns": (308, 268),
    "newfstatat": (262, 79), "statx": (332, 291), "getdents64": (217, 61), "fcntl": (72, 25), "faccessat": (269, 48),
    "set_robust_list": (273, 99), "futex": (202, 98), "mmap": (9, 222), "exit": (60, 93),
}  # fmt: skip


def outcome(machine: str, threads: bool, call: str, *arguments: int, architecture: int | None = None) -> int:
    """Returns what the filter answers. The instructions: linux/filter.h."""
    column = list(ARCHITECTURES).index(machine)
    given = (*arguments, *[0] * (6 - len(arguments)))
    arch = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", CALLS[call][column], arch, 0, *given)
    program = list(struct.iter_unpack("=HBBI", filter_program(machine, threads=threads)))
    at, accumulator = 0, 0
    while True:
        operation, yes, no, value = program[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(f"an instruction that is not used here: {operation}")


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_only_threads_of_the_same_process_can_be_started(machine: str) -> None:
    sigchld, child_tid = 17, 0x01000000
    forks = [
        sigchld,  # fork
        sigchld | child_tid | 0x00200000,  # fork of the C library
        0x4000 | 0x100 | sigchld,  # vfork
        THREAD_FLAGS & ~0x00010000,  # without THREAD: another process in the same memory
        THREAD_FLAGS & ~0x00000100,  # without VM
        THREAD_FLAGS & ~0x00000400,  # without FILES
        THREAD_FLAGS | sigchld,
        *(
            THREAD_FLAGS | flag
            for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
        ),
        THREAD_FLAGS | 0x2000,  # traced
    ]
    assert outcome(machine, True, "clone", THREAD_FLAGS) == ALLOWED
    assert outcome(machine, True, "clone", THREAD_FLAGS | 0x00400000) == ALLOWED, "musl"
    assert {outcome(machine, True, "clone", flags) for flags in forks} == {REFUSED}
    assert outcome(machine, True, "clone3", 4096, 88) == UNKNOWN
    assert outcome(machine, True, "set_robust_list") == ALLOWED


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_child_of_another_kind_starts_no_thread(machine: str) -> None:
    assert outcome(machine, False, "clone", THREAD_FLAGS) == REFUSED
    assert outcome(machine, False, "clone3", 4096, 88) == REFUSED
    assert outcome(machine, False, "set_robust_list") == REFUSED
    assert {outcome(machine, False, call) for call in ("futex", "mmap", "exit")} == {ALLOWED}


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("threads", [False, True])
def test_no_child_asks_for_a_file(machine: str, threads: bool) -> None:
    """Not even for fonts: those lie in memory. `stat` and `open` have numbers on x86-64 alone."""
    for call in ("newfstatat", "statx", "getdents64", "fcntl", "faccessat", "openat", "openat2"):
        assert outcome(machine, threads, call) == REFUSED, call
    program = list(struct.iter_unpack("=HBBI", filter_program("x86_64", threads=threads)))
    named = {value for operation, _, _, value in program if operation == 0x15}
    assert not named & {2, 4, 6, 21}, "open, stat, lstat, access"


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_else_is_forbidden_stays_so_with_threads(machine: str) -> None:
    free = {"clone", "clone3", "set_robust_list", "futex", "mmap", "exit"}
    assert {outcome(machine, True, call) for call in CALLS if call not in free} == {REFUSED}
    assert outcome(machine, True, "clone", THREAD_FLAGS, architecture=0x40000003) == REFUSED, "32-bit calls"


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    assert filter_program("riscv64", threads=True) == b""


STARTS = """
import ctypes, json, os, subprocess, sys, threading
sys.path.insert(0, sys.argv[1])
from vision.decode.child import confine
limits = dict(kind=sys.argv[2], cpu_seconds_max=5, memory_bytes_max=2**28, answer_bytes_max=2**20)
limits["syscall_filter_required"] = True
assert confine(limits, ctypes.CDLL(None, use_errno=True), os.getppid())
outcome = {}
done = []
def attempt(name, work):
    try:
        work()
    except (OSError, RuntimeError) as error:
        outcome[name] = type(error).__name__
    else:
        outcome[name] = "done"
def thread():
    worker = threading.Thread(target=done.append, args=(1,))
    worker.start()
    worker.join()
attempt("thread", thread)
attempt("fork", os.fork)
attempt("vfork", lambda: os.posix_spawn("/bin/true", ["true"], {}))
attempt("thread again", thread)
def inside():
    try:
        open("/etc/passwd")
    except OSError:
        done.append(1)
worker = threading.Thread(target=inside) if sys.argv[2] == "heif" else None
if worker: worker.start(); worker.join()
outcome["count"] = len(done)
os.write(1, json.dumps(outcome).encode())
os._exit(0)
"""


def started(kind: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-I", "-c", STARTS, str(ROOT), kind], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def test_a_child_for_heic_starts_threads_and_no_process() -> None:
    outcome = started("heif")
    assert outcome["thread"] == outcome["thread again"] == "done"
    assert outcome["fork"] == outcome["vfork"] == "PermissionError"
    assert outcome["count"] == 3, "a thread is confined as its process is"


def test_a_child_for_other_pictures_starts_neither() -> None:
    outcome = started("picture")
    assert outcome["thread"] == "RuntimeError"
    assert outcome["fork"] == outcome["vfork"] == "PermissionError"
