"""What a kernel sees of the software CPU in long mode, against the manuals: exceptions with their codes
and order, how they are delivered, system calls, single step, breakpoints, the rights of pages.

"SDM" is volume 3 of Intel's manual, or volume 2 by the instruction's name; "APM" is AMD's."""
import dataclasses

from lib import *
from lib.flat import *

KERNEL = """
.macro gate target, selector=8, kind=0x8e, ist=0
        .word \\target - begin, \\selector
        .byte \\ist, \\kind
        .word 1, 0, 0, 0, 0
.endm
.code64
begin:  lgdt gdt_at[rip]
        lidt idt_at[rip]
        mov eax, 0x30
        ltr ax
        cmp byte ptr gdt[rip + 0x35], 0x8b      # the descriptor says busy now
        jne wrong
        test r9, r9
        jnz user
        push r10
        popfq
        jmp r8
user:   push 0x23
        push 0x40f00
        push r10
        push 0x2b
        push r8
        iretq
wrong:  ud2
stubs:  .fill 32, 1, 0xf4
int40:  hlt
        .balign 16
gdt:    .quad 0
        .quad 0x00af9b000000ffff        # 08 code
        .quad 0x00cf93000000ffff        # 10 data
        .quad 0x00cffb000000ffff        # 18 user's code, 32 bits
        .quad 0x00cff3000000ffff        # 20 user's data
        .quad 0x00affb000000ffff        # 28 user's code
        .word 0x67, tss - begin, 0x8901, 0, 0, 0, 0, 0  # 30 task state
        .quad 0x00cf13000000ffff        # 40 data, not present
        .quad 0x00cf99000000ffff        # 48 code, not readable
        .quad 0x00cf91000000ffff        # 50 data, read-only
        .quad 0x00af1b000000ffff        # 58 code, not present
        .word 0x2a, tss - begin, 0x8901, 0, 0, 0, 0, 0  # 60 task state without interrupt stacks
        .quad 0x00ef9b000000ffff        # 70 code with both L and D
call_gate: .quad 0, 0                   # 78 what a test puts there
gdt_at: .word gdt_at - gdt - 1
        .quad gdt
        .balign 16
idt:    n = 0
        .rept 32
        .if n == 8
        gate stubs+n, ist=2
        .elseif n == 3
        gate stubs+n, kind=0xee
        .else
        gate stubs+n
        .endif
        n = n + 1
        .endr
        gate int40, kind=0xee, ist=1    # 20
        gate int40, kind=0xef           # 21 trap
        gate int40, kind=0x6e           # 22 not present
        gate int40, selector=0, kind=0xee       # 23
        gate int40, selector=0x10, kind=0xee    # 24
        gate int40, kind=0xec           # 25 a call gate
        gate int40, kind=0x0e           # 26 not present, and level 0
        gate int40, selector=0x58, kind=0xee    # 27
        gate int40, kind=0x8e           # 28 level 0
idt_at: .word idt_at - idt - 1
        .quad idt
        .balign 16
tss:    .long 0
        .quad 0x50000, 0, 0, 0, 0x52008, 0x52800, 0, 0, 0, 0, 0, 0
        .word 0, 0x68
"""

TABLES = 0x200000
PRESENT, WRITE, USER, ACCESSED, DIRTY, NX = 1, 2, 4, 0x20, 0x40, 1 << 63
PAGES = {0x40: PRESENT | WRITE | USER, 0x41: PRESENT | USER, 0x42: 0, 0x43: PRESENT | WRITE, 0x44: PRESENT,
         0x45: PRESENT | WRITE | USER | NX, 0x46: PRESENT | WRITE | USER | 1 << 51, 0x47: PRESENT | NX}
USER_CODE = 0x30000
NE, PAGING, WP, AM, CR0_TS, EM = 0x33, 1 << 31, 1 << 16, 1 << 18, 8, 4
CR0 = NE | PAGING | WP
PAE, OSFXSR, OSXMM, TSD, CR4_DE, UMIP, FSGSBASE, SMEP, SMAP = (0x20, 0x200, 0x400, 4, 8, 1 << 11, 1 << 16, 1 << 20,
                                                           1 << 21)
CR4 = PAE | OSFXSR | OSXMM
TF, IF, AC_FLAG, RF = 0x100, 0x200, 1 << 18, 1 << 16


def page_tables():
    """The first 2 MiB, the same at both ends: the kernel's but for USER_CODE's page and PAGES."""
    entries = [page << 12 | PAGES.get(page, PRESENT | WRITE | (USER if page == USER_CODE >> 12 else 0))
               for page in range(512)]
    mem = {TABLES + level * 0x1000: (TABLES + (level + 1) * 0x1000 | PRESENT | WRITE | USER).to_bytes(8, "little")
           for level in range(3)}
    mem[TABLES + 0x3000] = b"".join(entry.to_bytes(8, "little") for entry in entries)
    return mem


@dataclasses.dataclass
class Frame:
    """What an exception or INT left on the stack of its handler, which halted."""
    vector: int
    error: int
    rip: int
    cs: int
    rflags: int
    rsp: int
    ss: int
    stop: Stop


class Kernel:
    """KERNEL with code for level 0 behind it, and code for level 3 in a page of the user's."""

    def __init__(self, code, user_code="nop"):
        self.flat = Flat(KERNEL + code + f"\n.org {USER_CODE - 0x10000:#x}\n" + user_code)
        self.label = self.flat.label

    def run(self, entry, *options, user=False, flags=2, cr0=CR0, cr4=CR4, reg=None, mem=None):
        reg = {"cr0": cr0, "cr4": cr4, "cr3": TABLES, "rsp": 0x4f800, "r8": self.label[entry],
               "r9": int(user), "r10": flags, **(reg or {})}
        return self.flat.run("begin", "--deliver", "--dump", "0x4f000:0x1000", "--dump", "0x51000:0x1000",
                             "--dump", "0x52000:0x1000",
                             "--dump", f"{TABLES:#x}:0x4000", "--dump", "0x40000:0x1000", *options,
                             reg=reg, mem={**page_tables(), **(mem or {})})

    def halts(self, entry, *options, **more):
        """It reaches a HLT of its own."""
        stop = self.run(entry, *options, **more)
        outside = not 0 < stop.rip - self.label["stubs"] <= 33
        check(stop.reason == "hlt" and outside, lambda: f"{entry}: expected its own HLT; found {stop}")
        return stop

    def caught(self, entry, *options, **more):
        """The frame of the exception or of INT 0x20 … (then the vector is 32) that ends it."""
        stop = self.run(entry, *options, **more)
        vector = stop.rip - 1 - self.label["stubs"]
        check(stop.reason == "hlt" and 0 <= vector <= 32, lambda: f"{entry}: expected an exception; found {stop}")
        page = stop.rsp & ~0xfff
        stack = stop.memory(page)[stop.rsp % 0x1000 // 8:]
        has_error = vector in (DF, TS, NP, SS, GP, PF, AC)
        return Frame(vector, stack[0] if has_error else None, *stack[has_error:5 + has_error], stop)

    def faults(self, entry, vector, error, **more):
        """It raises that exception, at the label at_ENTRY if there is one."""
        frame = self.caught(entry, **more)
        equal((frame.vector, frame.error, hex(frame.rip)),
              (vector, error, hex(self.label.get(f"at_{entry}", self.label[entry]))), entry)
        return frame


EXCEPTIONS = """
de:     div ecx
ud:     ud2
bp:     int3
fpu:    fld1
sse:    addps xmm0, xmm1
fpu_pending: fldcw three[rip]
        fldz
        fld1
        fdivrp
        nop
at_fpu_pending: fwait
three:  .word 0x0340
simd:   ldmxcsr one[rip]
at_simd: divps xmm0, xmm1
one:    .long 0x1000
        hlt
unaligned: mov eax, [0x40001]
        hlt
high:   movabs rax, [0x800000000000]
high_stack: movabs rbp, 0x800000000000
at_high_stack: mov eax, [rbp + 8]
high_push: movabs rsp, 0x800000000010
at_high_push: push rax
high_jump: movabs rax, 0x800000000000
at_high_jump: jmp rax
halt:   hlt
port:   in al, 0x80
cli:    cli
rdmsr:  rdmsr
to_cr:  mov cr3, rax
to_dr:  mov dr7, rax
absent: mov eax, 0x40
at_absent: mov ds, ax
absent_ss: mov eax, 0x40
at_absent_ss: mov ss, ax
unreadable: mov eax, 0x48
at_unreadable: mov es, ax
readonly_ss: mov eax, 0x50
at_readonly_ss: mov ss, ax
inner:  mov eax, 0x13
at_inner: mov ds, ax
outside: mov eax, 0x1000
at_outside: mov fs, ax
not_task: mov eax, 0x10
at_not_task: ltr ax
busy:   mov eax, 0x30
at_busy: ltr ax
int20:  int 0x20
after20: int 0x21
after21: int 0x22
int23:  int 0x23
int24:  int 0x24
int25:  int 0x25
int26:  int 0x26
int27:  int 0x27
int28:  int 0x28
intff:  int 0xff
both:   push 0x70
        push 0
at_both: retfq
reserved_cr4: mov eax, 0x80000620
at_reserved_cr4: mov cr4, rax
no_pae: mov eax, 0x600
at_no_pae: mov cr4, rax
no_pe:  mov eax, 0x80000032
at_no_pe: mov cr0, rax
efer:   mov ecx, 0xc0000080
        xor edx, edx
        xor eax, eax
at_efer: wrmsr
lock_mov: .byte 0xf0
        mov [rdi], eax
lock_reg: .byte 0xf0
        add eax, ecx
lock_cmp: .byte 0xf0
        cmp [rdi], eax
lock_bt: .byte 0xf0
        bt [rdi], eax
lock_div: .byte 0xf0
        div dword ptr [rdi]
odd16:  mov edi, 0x40008
at_odd16: cmpxchg16b [rdi]
odd_sse: mov edi, 0x40008
at_odd_sse: movaps xmm0, [rdi]
long:   .fill 15, 1, 0x66
        nop
"""


def test_exceptions_with_their_codes():
    """SDM 6.15, each interrupt's own page; the code of a selector and of a vector: SDM 6.13."""
    kernel = Kernel(EXCEPTIONS)
    for entry, vector, error, more in [
            ("de", DE, None, {}), ("ud", UD, None, {}),
            # SDM table 13-1 and 2-2: TS, EM, OSFXSR
            ("fpu", NM, None, {"cr0": CR0 | CR0_TS}), ("fpu", NM, None, {"cr0": CR0 | EM}),
            ("sse", NM, None, {"cr0": CR0 | CR0_TS}), ("sse", UD, None, {"cr0": CR0 | EM}),
            ("sse", UD, None, {"cr4": PAE}), ("sse", UD, None, {"cr4": PAE, "cr0": CR0 | CR0_TS}),
            ("fpu_pending", MF, None, {}), ("simd", XM, None, {}), ("simd", UD, None, {"cr4": PAE | OSFXSR}),
            # SDM vol. 1, 3.3.7.1: canonical addresses; #SS for the stack's
            ("high", GP, 0, {}), ("high_stack", SS, 0, {}), ("odd16", GP, 0, {}), ("odd_sse", GP, 0, {}),
            ("long", GP, 0, {}),
            # MOV to segment, LTR
            ("absent", NP, 0x40, {}), ("absent_ss", SS, 0x40, {}),
            ("unreadable", GP, 0x48, {}), ("readonly_ss", GP, 0x50, {}), ("inner", GP, 0x10, {}),
            ("outside", GP, 0x1000, {}), ("not_task", GP, 0x10, {}), ("busy", GP, 0x30, {}),
            # INT n
            ("after21", NP, 0x22 * 8 + 2, {}), ("int23", GP, 0, {}), ("int24", GP, 0x10, {}),
            ("int25", GP, 0x25 * 8 + 2, {}), ("int26", NP, 0x26 * 8 + 2, {}), ("int27", NP, 0x58, {}),
            ("intff", GP, 0xff * 8 + 2, {}), ("both", GP, 0x70, {}),
            # MOV to control registers, WRMSR
            ("reserved_cr4", GP, 0, {}), ("no_pae", GP, 0, {}), ("no_pe", GP, 0, {}), ("efer", GP, 0, {}),
            # LOCK
            ("lock_mov", UD, None, {}), ("lock_reg", UD, None, {}), ("lock_cmp", UD, None, {}),
            ("lock_bt", UD, None, {}), ("lock_div", UD, None, {})]:
        kernel.faults(entry, vector, error, **more)


def test_exceptions_from_level_3():
    """Delivered through the task state's stack: SDM 6.14.2 and 6.14.4; the frame is 16-byte aligned."""
    kernel = Kernel("", EXCEPTIONS)
    for entry, vector, error, more in [
            ("de", DE, None, {}), ("ud", UD, None, {}), ("high", GP, 0, {}), ("high_push", SS, 0, {}),
            ("high_jump", GP, 0, {}), ("unaligned", AC, 0, {"cr0": CR0 | AM, "flags": AC_FLAG | 2}),
            ("halt", GP, 0, {}), ("port", GP, 0, {}), ("cli", GP, 0, {}), ("rdmsr", GP, 0, {}),
            ("to_cr", GP, 0, {}), ("to_dr", GP, 0, {}), ("inner", GP, 0x10, {}),
            # the gate's level is looked at before whether it is present
            ("int26", GP, 0x26 * 8 + 2, {}), ("int28", GP, 0x28 * 8 + 2, {}), ("after21", NP, 0x22 * 8 + 2, {}),
            ("fpu", NM, None, {"cr0": CR0 | CR0_TS})]:
        frame = kernel.faults(entry, vector, error, user=True, **more)
        flags = more.get("flags", 2) | RF
        equal((frame.cs, frame.ss, frame.rflags & ~0xcd5, frame.stop.cs, frame.stop.ss),
              (0x2b, 0x23, flags, 8, 0), entry)
        equal(frame.stop.rsp, 0x50000 - (0x30 if error is not None else 0x28), entry)
    frame = kernel.caught("bp", user=True)
    equal((frame.vector, frame.rip, frame.rsp, frame.rflags), (BP, kernel.label["bp"] + 1, 0x40f00, 2))
    equal(kernel.halts("unaligned", cr0=CR0 | AM, flags=AC_FLAG | 2).reason, "hlt", "not at level 0")


DELIVERY = """
interrupt: int 0x20
after_interrupt: hlt
trap:   int 0x21
after_trap: hlt
first:  movabs rsp, 0x42008
at_first: ud2
short:  mov eax, 0x60
        ltr ax
at_short: int 0x20
short_ext: mov eax, 0x60
        ltr ax
        mov byte ptr idt[rip + 6 * 16 + 4], 1
at_short_ext: ud2
to_unmapped: mov word ptr idt[rip + 6 * 16], 0x2000
        mov word ptr idt[rip + 6 * 16 + 6], 4
        invlpg idt[rip]                 # the tables are looked for again
        ud2
to_nt:  push 0x4002
        popfq
at_to_nt: iretq
"""


def test_delivery():
    """Interrupt and trap gates, the stack table, double faults: SDM 6.12.1, 6.14, 6.15 (interrupt 8)."""
    kernel = Kernel(DELIVERY)
    frame = kernel.caught("interrupt", flags=IF | 2)
    equal((frame.vector, frame.rip, frame.cs, frame.rflags, frame.rsp, frame.ss),
          (32, kernel.label["after_interrupt"], 8, IF | 2, 0x4f800, 0x10))
    equal((frame.stop.rflags, frame.stop.rsp), (2, 0x52000 - 0x28), "IF cleared, IST1 cut to 16 bytes")
    frame = kernel.caught("trap", flags=IF | 2)
    equal((frame.vector, frame.rip, frame.stop.rflags, frame.stop.rsp),
          (32, kernel.label["after_trap"], IF | 2, 0x4f7d8))
    frame = kernel.faults("first", DF, 0)  # #UD, then a page fault while each of both is pushed
    equal((frame.rsp, frame.stop.rsp, frame.stop.cr2), (0x42008, 0x52800 - 0x30, 0x42000 - 8))
    equal(kernel.faults("short", TS, 0x60).rsp, 0x4f800)
    kernel.faults("short_ext", TS, 0x61)
    kernel.faults("to_nt", GP, 0)
    frame = kernel.caught("to_unmapped")  # the handler itself is what cannot be read
    equal((frame.vector, hex(frame.rip), hex(frame.stop.cr2)), (PF, "0x42000", "0x42000"))


CALL_GATES = """
at_level_0: call fword ptr [at_far]
at_back: hlt
jump_level_0: jmp fword ptr [at_far]
at_far: .long 0
        .word 0x78
procedure: mov rax, [rsp + 16]
        mov rcx, [rsp + 24]
        mov edx, cs
        mov ebx, ss
        mov rbp, rsp
        test esi, esi
        jnz 1f
        retfq
1:      hlt
"""
CALL_GATES_USER = """
by_gate: push 1
        push 2
        mov rdi, rsp
at_by_gate: call fword ptr far_user[rip]
at_by_gate_back: int 0x20
by_jump: mov eax, 0
at_by_jump: jmp fword ptr far_user[rip]
far_user: .long 0
        .word 0x7b
"""


def test_call_gates():
    """64-bit call gates: APM vol. 2, 4.11.2 and 8.9.2 (stack switches); SDM 5.8.3.1 and 5.8.5.1."""
    kernel = Kernel(CALL_GATES, CALL_GATES_USER)

    def gate(kind=0xec, selector=8, upper=0):
        offset = kernel.label["procedure"]
        low = offset & 0xffff | selector << 16 | kind << 40 | offset >> 16 << 48
        return {"mem": {kernel.label["call_gate"]: (low | upper << 64).to_bytes(16, "little")}}
    stop = kernel.halts("by_gate", user=True, **gate(), reg={"rsi": 1})
    equal((stop.rdx, stop.rbx, stop.rsp, stop.rax, stop.rcx), (8, 0, 0x50000 - 32, 0x40f00 - 16, 0x23))
    equal(stop.memory(0x4f000)[-4:], [kernel.label["at_by_gate_back"], 0x2b, 0x40f00 - 16, 0x23])
    frame = kernel.caught("by_gate", user=True, **gate(), reg={"rsi": 0})
    equal((frame.vector, frame.rip, frame.cs, frame.rsp, frame.ss),
          (32, kernel.label["at_by_gate_back"] + 2, 0x2b, 0x40f00 - 16, 0x23), "RETF goes back")
    stop = kernel.halts("at_level_0", **gate(), reg={"rsi": 1})
    equal((stop.rdx, stop.rbx, stop.rsp), (8, 0x10, 0x4f800 - 16))
    equal(kernel.halts("jump_level_0", **gate(), reg={"rsi": 1}).rsp, 0x4f800)
    for entry, more, vector, error in [
            ("by_gate", {"kind": 0x8c}, GP, 0x78), ("by_gate", {"kind": 0x6c}, NP, 0x78),
            ("by_gate", {"selector": 0}, GP, 0), ("by_gate", {"selector": 0x18}, GP, 0x18),
            ("by_gate", {"selector": 0x58}, NP, 0x58), ("by_gate", {"selector": 0x70}, GP, 0x70),
            ("by_gate", {"upper": 0x0c00 << 32 | 1 << 40}, GP, 0x78), ("by_gate", {"upper": 0x8000}, GP, 0),
            ("by_gate", {"kind": 0xe4}, GP, 0x78), ("by_gate", {"kind": 0xe5}, GP, 0x78),
            ("by_gate", {"kind": 0xe9}, GP, 0x78), ("by_jump", {}, GP, 8)]:
        kernel.faults(entry, vector, error, user=True, **gate(**more))


PAGING_CODE = """
read:   mov eax, [rdi]
        hlt
write:  mov [rdi], eax
        hlt
change: lock xadd [rdi], eax
        hlt
fetch:  jmp rdi
stac_read: stac
        mov eax, [rdi]
        clac
        hlt
put_fetch: mov byte ptr [rdi], 0xf4
        jmp rdi
implicit: sidt [rdi]
        hlt
"""


def test_rights_of_pages():
    """#PF's code and who may do what: SDM 4.6.1 and 4.7; CR2 has the address."""
    kernel = Kernel(PAGING_CODE, PAGING_CODE.replace(":", "_user:").replace("hlt", "int 0x20"))
    read, write, fetch, user = 1, 3, 17, 4
    for entry, page, code, more in [
            ("read", 0x42, 0, {}), ("write", 0x42, 2, {}), ("change", 0x42, 2, {}), ("fetch", 0x42, 16, {}),
            ("read", 0x46, read | 8, {}), ("write", 0x46, write | 8, {}),
            ("fetch", 0x45, fetch, {}), ("fetch", 0x47, fetch, {}),
            ("write", 0x44, write, {}), ("write", 0x41, write, {}), ("change", 0x41, write, {}),
            ("write", 0x44, None, {"cr0": NE | PAGING}), ("read", 0x44, None, {}),
            ("read", 0x40, None, {}), ("write", 0x40, None, {}), ("put_fetch", 0x40, None, {}),
            ("put_fetch", 0x40, fetch, {"cr4": CR4 | SMEP}), ("write", 0x40, None, {"cr4": CR4 | SMEP}),
            ("read", 0x40, read, {"cr4": CR4 | SMAP}), ("write", 0x40, write, {"cr4": CR4 | SMAP}),
            ("write", 0x41, write, {"cr4": CR4 | SMAP, "cr0": NE | PAGING}),
            ("read", 0x40, None, {"cr4": CR4 | SMAP, "flags": AC_FLAG | 2}),
            ("stac_read", 0x40, None, {"cr4": CR4 | SMAP}), ("read", 0x43, None, {"cr4": CR4 | SMAP})]:
        reg = {"reg": {"rdi": page << 12 | 0x10}}
        if code is None:
            kernel.halts(entry, **more, **reg)
        else:
            frame = kernel.caught(entry, **more, **reg)
            equal((frame.vector, frame.error, frame.stop.cr2), (PF, code, page << 12 | 0x10), f"{entry} {page:x}")
    for entry, page, code in [("read", 0x40, None), ("write", 0x40, None), ("read", 0x41, None),
                              ("write", 0x41, write | user), ("read", 0x42, user), ("fetch", 0x42, user | 16),
                              ("read", 0x43, read | user), ("write", 0x43, write | user),
                              ("fetch", 0x43, fetch | user), ("fetch", 0x45, fetch | user),
                              ("read", 0x46, read | user | 8)]:
        frame = kernel.caught(entry + "_user", user=True, reg={"rdi": page << 12 | 0x10}, cr4=CR4 | SMAP | SMEP)
        expected = (32, None, 0) if code is None else (PF, code, page << 12 | 0x10)
        equal((frame.vector, frame.error, frame.stop.cr2), expected, f"{entry} {page:x} by the user")


def test_accessed_and_dirty_bits():
    """SDM 4.8: accessed in each entry used, dirty in the last at a write; neither when it faults."""
    kernel = Kernel(PAGING_CODE)

    def entry(name, page, **more):
        stop = kernel.run(name, reg={"rdi": page << 12}, **more)
        words = stop.memory(TABLES)
        check(all(words[level * 512] & ACCESSED for level in range(3)), "the upper entries were used")
        check(not any(words[level * 512] & DIRTY for level in range(3)), "they have no dirty bit")
        return words[3 * 512 + page] & (ACCESSED | DIRTY)
    equal(entry("read", 0x43), ACCESSED)
    equal(entry("write", 0x43), ACCESSED | DIRTY)
    equal(entry("change", 0x43), ACCESSED | DIRTY)
    equal(entry("write", 0x44), 0)
    equal(entry("write", 0x44, cr0=NE | PAGING), ACCESSED | DIRTY)
    equal(entry("read", 0x40, cr4=CR4 | SMAP), 0)
    equal(entry("read", 0x48), 0 | ACCESSED)


SYSTEM_CALLS = """
msrs:   mov ecx, 0xc0000081     # STAR, LSTAR, SFMASK, SYSENTER_CS, _ESP, _EIP
        mov edx, 0x00180008
        xor eax, eax
        wrmsr
        inc ecx
        xor edx, edx
        lea eax, called[rip]
        wrmsr
        add ecx, 2
        mov eax, 0x700
        wrmsr
        mov ecx, 0x174
        mov eax, 8
        wrmsr
        inc ecx
        mov eax, 0x4f000
        wrmsr
        inc ecx
        lea eax, entered[rip]
        wrmsr
        lea rcx, calls[rip]
        mov r11d, 0x202
        sysretq
called: mov [0x4f700], rcx
        mov [0x4f708], r11
        mov [0x4f710], rsp
        pushfq
        pop [0x4f718]
        mov eax, cs
        mov [0x4f720], eax
        mov eax, ss
        mov [0x4f724], eax
        mov rdx, rcx
        lea rcx, [rsp - 16]
        sysexitq
entered: hlt
to_noncanonical: movabs rcx, 0x800000000000
at_to_noncanonical: sysretq
no_sce: mov ecx, 0xc0000080
        xor edx, edx
        mov eax, 0xd00
        wrmsr
at_no_sce: syscall
no_cs:  sysenter
"""
SYSTEM_CALLS_USER = """
calls:  mov [0x40000], cs
        mov [0x40008], ss
        mov esp, 0x40e00
        pushfq
        pop [0x40010]
        std
        syscall
back:   mov [0x40018], rsp
        mov [0x40020], cs
        mov [0x40028], ss
        sysenter
user_sysret: sysretq
user_sysexit: sysexitq
"""


def test_system_calls():
    """SDM vol. 2, SYSCALL, SYSRET, SYSENTER, SYSEXIT."""
    kernel = Kernel(SYSTEM_CALLS, SYSTEM_CALLS_USER)
    stop = kernel.halts("msrs")
    user, back = stop.memory(0x40000), kernel.label["back"]
    equal((user[0] & 0xffff, user[1] & 0xffff, user[2]), (0x2b, 0x23, 0x202), "SYSRET")
    inner = stop.memory(0x4f000)[0x700 // 8:]
    equal(inner[:5], [back, 0x602, 0x40e00, 2, 0x10 << 32 | 8], "SYSCALL")
    equal((user[3], user[4] & 0xffff, user[5] & 0xffff), (0x40e00 - 16, 0x2b, 0x33), "SYSEXIT")
    equal((stop.rip, stop.rsp, stop.cs, stop.ss, stop.rflags & IF),
          (kernel.label["entered"] + 1, 0x4f000, 8, 0x10, 0), "SYSENTER")
    equal(kernel.faults("to_noncanonical", GP, 0).cs, 8, "at level 0 still")
    kernel.faults("no_sce", UD, None)
    kernel.faults("no_cs", GP, 0)
    kernel.faults("user_sysret", GP, 0, user=True)
    kernel.faults("user_sysexit", GP, 0, user=True)


DEBUG = """
nops:   nop
pop_tf: push 0x102
        popfq
        nop
at_pop_tf: nop
shadow: mov eax, ss
        push 0x102
        popfq
        mov ss, eax             # no trap here
        mov ebx, 5              # but behind this one
at_shadow: hlt
repeat: push 0x102
        popfq
        rep stosb
at_repeat: hlt
call:   lea eax, sys_entry[rip]
        xor edx, edx
        mov ecx, 0xc0000082
        wrmsr
        mov eax, esi
        mov ecx, 0xc0000084
        wrmsr
        push 0x102
        popfq
        syscall
sys_entry: nop
in_call: hlt
dr6:    mov rax, dr6
        hlt
watch:  mov dr0, rdi
        lea rax, watched[rip]
        mov dr1, rax
        mov dr7, rsi
        mov eax, [0x40004]
        mov [0x40002], eax
        mov eax, [0x40008]
        nop
watched: nop
        hlt
resumed: push 0x10
        push 0x4f800
        push 0x10002
        push 8
        lea rax, watched[rip]
        mov dr1, rax
        push rax
        mov dr7, rsi
        iretq
held:   mov dr0, rdi
        lea rax, after_held[rip]
        mov dr1, rax
        mov dr7, rsi
        mov ss, [0x40004]       # null: allowed here
after_held: nop
at_held: hlt
long_rep: lea rax, at_long_rep[rip]
        mov dr1, rax
        mov dr7, rsi
        mov esi, 0x40000
        push 0x10
        push 0x4f800
        push 0x10002
        push 8
        push rax
        iretq
at_long_rep: rep lodsb
        hlt
detect: mov eax, 0x2000
        mov dr7, rax
at_detect: mov rax, dr0
dr4:    mov rax, dr4
        hlt
dr9:    .byte 0x44
        mov rax, dr1
int1:   .byte 0xf1
"""


STEPPED_BY_USER = """
user_step: nop
user_after: nop
by_int_user: push 0x102
        popfq
        int 0x20
in_int_user: nop
"""


def test_single_step():
    """SDM 17.3.1.4: after the instruction that TF was set before; 6.8.3: not between a load of SS and the
    next one. INT n clears it (vol. 2, INT n); SYSCALL goes by what IA32_FMASK leaves."""
    kernel = Kernel(DEBUG, STEPPED_BY_USER)

    def stepped(entry, at, flags=TF | 2, **more):
        frame = kernel.caught(entry, flags=flags, **more)
        equal((frame.vector, hex(frame.rip)), (DB, hex(kernel.label[at])), entry)
        return frame
    # POPFQ sets TF, JMP R8 is the instruction after it
    equal(stepped("nops", "nops").rflags & (TF | RF), TF)
    stepped("user_step", "user_after", user=True)
    stepped("pop_tf", "at_pop_tf", flags=2)
    equal(stepped("shadow", "at_shadow", flags=2).stop.rbx, 5)
    # each turn of a repetition
    frame = kernel.caught("repeat", flags=2, reg={"rcx": 3, "rdi": 0x40000})
    equal((frame.vector, frame.stop.rcx, frame.stop.rdi), (DB, 2, 0x40001))
    equal(frame.rflags & RF, RF, "another turn is to come: no breakpoint there again (SDM 17.3.1.1)")
    frame = kernel.caught("by_int_user", flags=2, user=True)
    equal((frame.vector, frame.rip, frame.rflags & TF), (32, kernel.label["in_int_user"], TF))
    equal(kernel.halts("call", flags=2, reg={"rsi": 0x100}).rip, kernel.label["in_call"] + 1)
    stepped("call", "sys_entry", flags=2)


def test_breakpoints():
    """SDM 17.2 and 17.3.1: kinds, lengths, DR6, RF; DR4 and DR5 with CR4.DE; general detect."""
    kernel = Kernel(DEBUG)

    def hit(dr7, at, entry="watch"):
        frame = kernel.caught(entry, reg={"rsi": dr7, "rdi": 0x40004})
        equal((frame.vector, hex(frame.rip)), (DB, hex(kernel.label["watched"] + at)), f"{dr7:x}")
        return frame
    watched = kernel.label["watched"]
    halted = kernel.halts("watch", reg={"rsi": 0x400, "rdi": 0x40004})
    equal(halted.rip, watched + 2)
    instruction = 7  # bytes of each MOV, one of the NOP
    hit(0x30001, -instruction * 2 - 1)              # read or write, 1 byte
    hit(0x10001 | 3 << 18, -instruction - 1)        # write, 4 bytes: 0x40002 … 0x40005
    equal(hit(4, 0).rflags & RF, 0)                 # execution, DR1: a fault
    equal(hit(8, 0).rip, watched)                   # … enabled globally
    equal(kernel.halts("watch", reg={"rsi": 0x10001, "rdi": 0x40008}).rip, watched + 2, "only read")
    equal(kernel.halts("resumed", reg={"rsi": 4}).rip, watched + 2, "RF")
    frame = kernel.caught("held", reg={"rsi": 0x30005, "rdi": 0x40004})
    equal((frame.vector, hex(frame.rip)), (DB, hex(kernel.label["at_held"])),
          "a load of SS holds breakpoints back, its own and the next one's (SDM 6.8.3)")
    stop = kernel.halts("long_rep", reg={"rsi": 4, "rcx": 5000})
    equal((stop.rcx, stop.rsi), (0, 0x40000 + 5000), "RF lasts over all turns of a repetition")
    equal(kernel.faults("detect", DB, None).rflags & TF, 0)
    equal(kernel.halts("dr4").rax, kernel.halts("dr6").rax)
    kernel.faults("dr4", UD, None, cr4=CR4 | CR4_DE)
    kernel.faults("dr9", UD, None)
    equal(kernel.caught("int1").vector, DB)


GUARDED = """
sgdt:   sgdt [0x40000]
        int 0x20
sidt:   sidt [0x40000]
        int 0x20
sldt:   sldt eax
        int 0x20
str:    str eax
        int 0x20
smsw:   smsw eax
        int 0x20
rdtsc:  rdtsc
        int 0x20
rdfsbase: rdfsbase rax
        int 0x20
stac:   stac
swapgs: swapgs
invlpg: invlpg [rdi]
lgdt:   lgdt [rdi]
clts:   clts
"""


def test_what_level_3_may_run():
    """UMIP (SDM 2.5, CR4 bit 11), TSD, FSGSBASE, and what is privileged (SDM 5.9)."""
    kernel = Kernel("", GUARDED)
    for entry, cr4, vector in [
            ("sgdt", UMIP, GP), ("sidt", UMIP, GP), ("sldt", UMIP, GP), ("str", UMIP, GP), ("smsw", UMIP, GP),
            ("sgdt", 0, 32), ("sidt", 0, 32), ("sldt", 0, 32), ("str", 0, 32), ("smsw", 0, 32),
            ("rdtsc", TSD, GP), ("rdtsc", 0, 32), ("rdfsbase", 0, UD), ("rdfsbase", FSGSBASE, 32),
            ("stac", SMAP, UD), ("swapgs", 0, GP), ("invlpg", 0, GP), ("lgdt", 0, GP), ("clts", 0, GP)]:
        frame = kernel.caught(entry, user=True, cr4=CR4 | cr4)
        equal((frame.vector, frame.error), (vector, 0 if vector == GP else None), f"{entry} with CR4 {cr4:x}")
    for entry, value in [("sldt", 0), ("str", 0x30), ("smsw", CR0)]:
        equal(kernel.caught(entry, user=True).stop.rax, value, entry)
    for entry, table in [("sgdt", "gdt"), ("sidt", "idt")]:
        image = b"".join(word.to_bytes(2, "little") for word in
                         kernel.caught(entry, user=True).stop.memory(0x40000, 2)[:5])
        begin, end = kernel.label[table], kernel.label[f"{table}_at"]
        equal((int.from_bytes(image[:2], "little"), int.from_bytes(image[2:], "little")),
              (end - begin - 1, begin), entry)
