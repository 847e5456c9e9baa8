"""viv-oci and viv start without asking the processor what it can do: in a virtual machine each CPUID
takes as long as twenty system calls, and the C library's own start has some 85 of them."""
import bisect
import ctypes
import os
import signal

from lib import *

BUILDS = ["plain"]  # the sanitized one is not static

PTRACE_TRACEME, PTRACE_PEEKTEXT, PTRACE_POKETEXT, PTRACE_CONT = 0, 1, 4, 7
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 9, 12, 13
SYS_ARCH_PRCTL, ARCH_SET_CPUID = 158, 0x1012
SYSCALL = 0x050f
CPUID = b"\x0f\xa2"
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
             "fs_base gs_base ds es fs gs").split()

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64"""
    _fields_ = [(name, ctypes.c_ulong) for name in REGISTERS]


def registers(pid):
    found = Registers()
    libc.ptrace(PTRACE_GETREGS, pid, None, ctypes.addressof(found))
    return found


def call_inside(pid, number, *arguments):
    """One system call of the stopped process, which is then as it was."""
    before, during = registers(pid), registers(pid)
    text = libc.ptrace(PTRACE_PEEKTEXT, pid, before.rip, None)
    during.rax = number
    during.rdi, during.rsi = arguments
    libc.ptrace(PTRACE_POKETEXT, pid, before.rip, text & ~0xffff | SYSCALL)
    libc.ptrace(PTRACE_SETREGS, pid, None, ctypes.addressof(during))
    libc.ptrace(PTRACE_SINGLESTEP, pid, None, None)
    os.waitpid(pid, 0)
    result = ctypes.c_long(registers(pid).rax).value
    libc.ptrace(PTRACE_POKETEXT, pid, before.rip, text)
    libc.ptrace(PTRACE_SETREGS, pid, None, ctypes.addressof(before))
    return result


def asks(*argv):
    """The functions of a program that ask CPUID, by forbidding it: each is a fault, which is answered
    with zeros. An execve allows CPUID again, so that the process forbids it to itself after that."""
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.execv(argv[0], argv)
    os.waitpid(pid, 0)
    forbidden = call_inside(pid, SYS_ARCH_PRCTL, ARCH_SET_CPUID, 0)
    asked = []
    while True:
        libc.ptrace(PTRACE_CONT, pid, None, None)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            break
        equal(os.WSTOPSIG(status), signal.SIGSEGV)
        where = registers(pid)
        asked.append(where.rip)
        where.rip += len(CPUID)
        where.rax = where.rbx = where.rcx = where.rdx = 0
        libc.ptrace(PTRACE_SETREGS, pid, None, ctypes.addressof(where))
    equal(os.waitstatus_to_exitcode(status), 0)
    if forbidden < 0:
        skip("this processor cannot forbid CPUID")
    return asked


def functions(path):
    """Addresses and names, in order."""
    lines = (line.split() for line in run("nm", "-n", path).ok().out.splitlines())
    return [(int(line[0], 16), line[2]) for line in lines if len(line) == 3]


@needs(programs=["nm"])
def test_a_start_asks_no_cpuid():
    """But for libcrypto, which chooses its functions before main() too."""
    for name, word in (("viv-oci", "features"), ("viv", "--version")):
        path = program(name)
        table = functions(path)
        asked = {table[bisect.bisect_right(table, (address, "\x7f")) - 1][1]
                 for address in asks(str(path), word)}
        check(asked <= {"OPENSSL_ia32_cpuid"}, f"{name}: {asked}")


def test_the_start_of_libc_asks():
    """Or the test above could not fail."""
    check(asks("/bin/busybox", "true"), "busybox does not ask CPUID")
