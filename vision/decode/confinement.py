"""Restricts what a decoding child may ask of the kernel, by a seccomp allowlist.

A child that decodes HEIC may also start threads of its own process, and nothing else: the flags of `clone` are compared
with those of a thread. `clone3` takes its flags in memory, where a filter cannot read them, so it answers ENOSYS, and
the C library falls back to `clone`.

No child may open a file: what it reads lies in memory before it is forked, the fonts of papers included
(`vision.decode.fonts`).

Runs inside the decoding child only, before it parses a file. It needs no privilege. System call numbers and structures
are those of the Linux headers (asm/unistd.h, linux/seccomp.h).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_SECCOMP_ALLOW: Final = 0x7FFF0000
_SECCOMP_REFUSE: Final = 0x00050000 | errno.EPERM
_SECCOMP_UNKNOWN: Final = 0x00050000 | errno.ENOSYS

# Memory, the clock, descriptors that are already open, and exiting. Columns: x86_64, aarch64.
_ALWAYS: Final = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "close": (3, 57),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "futex": (202, 98),
    "rseq": (334, 293),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# To start and end threads. Columns as above.
_FOR_THREADS: Final = {"set_robust_list": (273, 99)}
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
# The flags with which pthread_create calls clone (linux/sched.h): VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS,
# PARENT_SETTID, CHILD_CLEARTID, and no signal at the end. musl adds DETACHED, which the kernel ignores.
THREAD_FLAGS: Final = 0x003D0F00
_CLONE_DETACHED: Final = 0x00400000

_AUDIT_ARCH: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# BPF instruction classes (linux/bpf_common.h).
_LOAD_WORD: Final = 0x20
_AND: Final = 0x54
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_NUMBER_OFFSET: Final = 0  # in struct seccomp_data
_ARCH_OFFSET: Final = 4
_FIRST_ARGUMENT_OFFSET: Final = 16  # low words, little-endian; of clone's flags the kernel reads no more


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_program(machine: str, *, threads: bool = False) -> bytes:
    """Return the seccomp filter for `machine` (as platform.machine() names it); b"" if its system calls are not
    known."""
    if machine not in _AUDIT_ARCH:
        return b""
    column, arch = _AUDIT_ARCH[machine]
    code = [
        _instruction(_LOAD_WORD, value=_ARCH_OFFSET),
        _instruction(_JUMP_IF_EQUAL, 1, 0, arch),
        _instruction(_RETURN, value=_SECCOMP_REFUSE),
        _instruction(_LOAD_WORD, value=_NUMBER_OFFSET),
    ]
    allowed = _ALWAYS | (_FOR_THREADS if threads else {})
    for numbers in allowed.values():
        code += [_instruction(_JUMP_IF_EQUAL, 0, 1, numbers[column]), _instruction(_RETURN, value=_SECCOMP_ALLOW)]
    if threads:
        code += [
            _instruction(_JUMP_IF_EQUAL, 0, 1, _CLONE3[column]),
            _instruction(_RETURN, value=_SECCOMP_UNKNOWN),
            _instruction(_JUMP_IF_EQUAL, 0, 4, _CLONE[column]),
            _instruction(_LOAD_WORD, value=_FIRST_ARGUMENT_OFFSET),
            _instruction(_AND, value=~_CLONE_DETACHED & 0xFFFFFFFF),
            _instruction(_JUMP_IF_EQUAL, 0, 1, THREAD_FLAGS),
            _instruction(_RETURN, value=_SECCOMP_ALLOW),
        ]
    code.append(_instruction(_RETURN, value=_SECCOMP_REFUSE))
    return b"".join(code)


def _instruction(operation: int, jump_true: int = 0, jump_false: int = 0, value: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, jump_true, jump_false, value)


def no_new_privileges(libc: ctypes.CDLL) -> None:
    """Prevent every later exec from gaining rights, which the filter requires first. Raises OSError."""
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def filter_system_calls(libc: ctypes.CDLL, *, threads: bool = False) -> bool:
    """Allow the listed calls only; every other one answers EPERM. Returns False if this kernel or machine has no
    filter.

    threads: also starting threads.
    """
    program = filter_program(platform.machine(), threads=threads)
    if not program:
        return False
    pointer = _Program(len(program) // 8, program)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(pointer), 0, 0) == 0)


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
