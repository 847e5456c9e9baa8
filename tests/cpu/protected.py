"""The software CPU's 32-bit mode against Intel's manual: segments, stacks of the task state, INTO, BOUND.

"SDM" is volume 3 of the manual, or volume 2 by the instruction's name."""
from lib import *
from lib.flat import *

CODE = """
.macro gate target, selector=8, kind=0x8e
        .word \\target - begin, \\selector
        .byte 0, \\kind
        .word 1
.endm
.code32
begin:  lgdt gdt_at
        lidt idt_at
        mov eax, 0x40
        ltr ax
        jmp esi
user:   push 0x3b
        push 0x6000
        push 0x3002
        push 0x33
        push edi
        iret
in_user: mov edx, [esp]
        int 0x20
after_int: nop
user_de: xor ecx, ecx
        mov es, ecx
at_user_de: div ecx
stubs:  .fill 32, 1, 0xf4
int20:  hlt
small:  mov eax, 0x18
        mov ds, eax
        mov al, [0xfff]
        mov ax, [0xffe]
at_small: mov ax, [0xfff]
down:   mov eax, 0x20
        mov ds, eax
        mov al, [0x1000]
at_down: mov al, [0xfff]
readonly: mov eax, 0x28
        mov ds, eax
        mov al, [0]
at_readonly: mov [0], al
to_code: mov al, cs:[0]
at_to_code: mov cs:[0], al
null:   xor eax, eax
        mov fs, eax
at_null: mov al, fs:[0]
null_ss: xor eax, eax
at_null_ss: mov ss, eax
stack:  mov eax, 0x18
        mov ss, eax
        mov esp, 0x1000
        push eax
        mov esp, 2
at_stack: push eax
data_as_code: jmp 0x10:0
at_beyond: jmp 0x1000:0
beyond: jmp at_beyond
limit:  jmp 0x48:target - begin + 0x10000
target: hlt
absent: jmp 0x50:0
same:   push 8
        push offset returned
        retf
returned: call 8:called
        hlt
called: mov edx, [esp + 4]
        retf
bound_in: mov eax, 5
        bound eax, range
        mov eax, -5
        bound eax, range
        mov eax, 6
at_bound_in: bound eax, range
range:  .long -5, 5
into:   xor eax, eax
        into
        mov al, 0x7f
        inc al
        into
after_into: nop
syscalls: mov ecx, 0x174
        xor edx, edx
        mov eax, 8
        wrmsr
        inc ecx
        mov eax, 0x7000
        wrmsr
        inc ecx
        mov eax, offset entered
        wrmsr
        sysenter
entered: hlt
lar:    mov eax, 0x40
        lar ebx, eax
        mov eax, 0x18
        lsl ecx, eax
        mov eax, 0x28
        verw ax
        setz dl
        verr ax
        setz dh
        hlt
real:   mov eax, cr0
        lea ebx, [eax - 1]
        mov cr0, ebx
        mov ebx, 1
        mov cr0, eax
        hlt
        .balign 16
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        # 08 code
        .quad 0x00cf93000000ffff        # 10 data
        .quad 0x0040930000000fff        # 18 data, one page
        .quad 0x0040970000000fff        # 20 data, expands down to 0x1000
        .quad 0x00cf91000000ffff        # 28 data, read-only
        .quad 0x00cffb000000ffff        # 30 user's code
        .quad 0x00cff3000000ffff        # 38 user's data
        .word 0x67, tss - begin, 0x8901, 0      # 40
        .quad 0x00409b0000000fff        # 48 code, one page
        .quad 0x00cf1b000000ffff        # 50 code, not present
gdt_at: .word gdt_at - gdt - 1
        .long gdt
        .balign 16
idt:    n = 0
        .rept 32
        gate stubs+n
        n = n + 1
        .endr
        gate int20, kind=0xee
idt_at: .word idt_at - idt - 1
        .long idt
        .balign 16
tss:    .long 0, 0x5000, 0x10
        .fill 22, 4, 0
        .word 0, 0x68
"""


def from_begin(flat, entry, *options, user=False):
    reg = {"esi": flat.label["user" if user else entry], "edi": flat.label[entry]}
    return flat.run("begin", "--dump", "0x4fd0:0x30", *options, mode=32, reg=reg)


def test_segments():
    """Limits, types, null selectors: SDM 5.3 to 5.6; with the codes of SDM 6.15."""
    flat = Flat(CODE)
    for entry, vector, error in [
            ("small", GP, 0), ("down", GP, 0), ("readonly", GP, 0), ("to_code", GP, 0), ("null", GP, 0),
            ("null_ss", GP, 0), ("stack", SS, 0), ("data_as_code", GP, 0x10), ("beyond", GP, 0x1000),
            ("limit", GP, 0), ("absent", NP, 0x50), ("bound_in", BR, None)]:
        stop = from_begin(flat, entry)
        at = flat.label["at_beyond"] if entry == "beyond" else flat.label.get(f"at_{entry}", flat.label[entry])
        equal((stop.reason, stop.fault, hex(stop.rip)), ("fault", (vector, error), hex(at)), entry)
    stop = from_begin(flat, "into")
    equal((stop.fault, stop.rip), ((OF, None), flat.label["after_into"]))
    stop = from_begin(flat, "same")
    equal((stop.reason, stop.rdx, stop.rsp), ("hlt", 8, 0x7c00))
    stop = from_begin(flat, "lar")
    equal((stop.rbx, stop.rcx, stop.rdx), (0x8b00, 0xfff, 0x100), "LAR, LSL, VERW, VERR")
    stop = from_begin(flat, "syscalls")
    equal((stop.reason, stop.rip, stop.rsp, stop.cs, stop.ss),
          ("hlt", flat.label["entered"] + 1, 0x7000, 8, 0x10))


def test_stacks_of_the_task_state():
    """From level 3: SS and ESP of the interrupted code are on level 0's stack (SDM 6.12.1, 7.2.1)."""
    flat = Flat(CODE)
    stop = from_begin(flat, "in_user", "--deliver", user=True)
    equal((stop.reason, stop.rip, stop.cs, stop.ss, stop.rsp),
          ("hlt", flat.label["int20"] + 1, 8, 0x10, 0x5000 - 5 * 4))
    equal(stop.memory(0x4fd0, 4)[-5:], [flat.label["after_int"], 0x33, 0x3002, 0x6000, 0x3b])
    stop = from_begin(flat, "user_de", "--deliver", user=True)
    equal((stop.rip, stop.rsp), (flat.label["stubs"] + DE + 1, 0x5000 - 5 * 4))
    equal(stop.memory(0x4fd0, 4)[-5], flat.label["at_user_de"])
    check(stop.memory(0x4fd0, 4)[-3] & 0x10000, "RF for a fault")
    stop = from_begin(flat, "small", "--deliver")
    equal((stop.rip, stop.rsp), (flat.label["stubs"] + GP + 1, 0x7c00 - 4 * 4), "the same stack, and a code")


def test_to_real_mode_and_back():
    """CS keeps its base and size until it is loaded (SDM 9.9.2)."""
    stop = from_begin(Flat(CODE), "real")
    equal((stop.reason, stop.rbx, stop.cr0), ("hlt", 1, 0x33))
