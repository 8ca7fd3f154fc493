"""What the signer asks the kernel to keep it from, before it has a key and after.

A process that holds keys shall not be looked into by others of its user, leave its memory in a
core file or on the swap disk, and, once it has started, not talk to any network or run a program.
"""

import ctypes
import errno
import platform
import resource
import struct
import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
MCL_CURRENT: Final = 1
SECCOMP_MODE_FILTER: Final = 2
AF_UNIX: Final = 1

ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000 | errno.EPERM
KILL: Final = 0x80000000
LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16

# Of each machine: how the kernel names it, the call `socket`, and the calls that are refused:
# execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup.
MACHINES: Final = {
    "x86_64": (0xC000003E, 41, (59, 322, 101, 310, 311, 425)),
    "aarch64": (0xC00000B7, 198, (221, 281, 117, 270, 271, 425)),
}
X32_CALLS: Final = 0x40000000
"""On x86_64, calls from here on are a second set of the same ones."""


def forbid_looking() -> list[str]:
    """Keep memory from other processes and core files; return what was achieved."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return ["no core files"]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")
    return ["no core files", "not dumpable"]


def lock_memory() -> list[str]:
    """Keep what is in memory now from the swap disk; return what was achieved.

    It needs a limit of locked memory that not every system gives. What is allocated later is not
    locked: with a limit, the process would end when it reached it.
    """
    if sys.platform != "linux" or ctypes.CDLL(None).mlockall(MCL_CURRENT) != 0:
        return []
    return ["memory locked"]


def forbid_network() -> list[str]:
    """Let the kernel refuse every socket but UNIX ones, and every other program, from now on.

    Threads that are started later inherit it; it cannot be taken back. Returns what was achieved:
    nothing where the kernel or the machine does not have it.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    program = _program(*machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    filter_ = struct.pack("HxxxxxxP", length, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0) != 0:
        return []
    return ["no network", "no other programs"]


def _program(arch: int, socket_call: int, refused: tuple[int, ...]) -> bytes:
    """Return the filter for the kernel's packet machine; a jump counts instructions to skip."""
    checks = [
        _code(EQUAL, call, jump_true=len(refused) - at + 3) for at, call in enumerate(refused)
    ]
    return b"".join(
        [
            _code(LOAD, ARCH_AT),
            _code(EQUAL, arch, jump_true=1),
            _code(RETURN, KILL),
            _code(LOAD, NUMBER_AT),
            _code(AT_LEAST, X32_CALLS, jump_true=len(refused) + 4),
            *checks,
            _code(EQUAL, socket_call, jump_false=2),
            _code(LOAD, FIRST_ARGUMENT_AT),
            _code(EQUAL, AF_UNIX, jump_false=1),
            _code(RETURN, ALLOW),
            _code(RETURN, REFUSE),
        ]
    )


def _code(operation: int, value: int, *, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, jump_true, jump_false, value)
