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
prepare: lgdt gdt_at
        lidt idt_at
        mov eax, 0x40
        ltr ax
        jmp ebp
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
set_gate: mov gate_at, bx               # the descriptor of selector 58, from ebx and edx
        shr ebx, 16
        mov gate_at + 6, bx
        mov gate_at + 2, cx
        mov gate_at + 4, dx
        ret
to_gate: call set_gate
        jmp user
at_level_0: call set_gate
at_gate: call 0x58:0
at_back: hlt
jump_level_0: call set_gate
at_jump: jmp 0x58:0
by_gate: push 0x1111            # edi, at level 3
        push 0x2222
at_by_gate: call 0x5b:0x1234
at_by_gate_back: mov eax, [esp]
        int 0x20
by_jump: jmp 0x5b:0
procedure: mov eax, [esp + 8]
        mov ecx, [esp + 12]
        mov edx, [esp + 4]
        mov ebx, cs
        mov ebp, esp
        test esi, esi
        jz 1f
        hlt
1:      mov si, ds
        retf 8
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
gate_at: .quad 0                        # 58 what a test puts there
        .quad 0x0040920000000000        # 60 data, one byte
        .quad 0x00cf9b010000ffff        # 68 code, from 0x10000 on
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


def gate(flat, kind=0xec, parameters=2, selector=8, target="procedure"):
    """Registers for a test's own descriptor, of a call gate as a rule (SDM 5.8.3)."""
    return {"ebx": flat.label[target], "ecx": selector, "edx": kind << 8 | parameters}


def test_call_gates():
    """To an inner level and back: SDM 5.8.5 and 5.8.6; the parameters are on both stacks."""
    flat = Flat(CODE)

    def run(entry, *options, esi=0, to=None, **more):
        reg = {**gate(flat, **more), "esi": esi, "edi": flat.label[to or "by_gate"]}
        return flat.run("prepare", *options, "--dump", "0x4fd0:0x30", mode=32, reg={**reg, "ebp": flat.label[entry]})
    stop = run("to_gate", "--deliver", esi=1)
    equal((stop.reason, stop.cs, stop.ss, stop.rsp, stop.rbx), ("hlt", 8, 0x10, 0x5000 - 6 * 4, 8))
    equal(stop.memory(0x4fd0, 4)[-6:], [flat.label["at_by_gate_back"], 0x33, 0x2222, 0x1111, 0x6000 - 8, 0x3b])
    stop = run("to_gate", "--deliver")
    equal((stop.rip, stop.rax, stop.rcx, stop.rdx), (flat.label["int20"] + 1, stop.rax, 0x1111, 0x33))
    equal(stop.memory(0x4fd0, 4)[-2:], [0x6000, 0x3b], "RETF has dropped the parameters from both")
    equal(stop.ds, 0, "the inner level's segment is taken away (SDM 5.8.6)")
    stop = run("at_level_0", esi=1)
    equal((stop.reason, stop.cs, stop.rsp), ("hlt", 8, 0x7c00 - 2 * 4), "no parameters at the same level")
    stop = run("jump_level_0", esi=1)
    equal((stop.reason, stop.rsp), ("hlt", 0x7c00), "JMP pushes nothing")
    stop = run("at_level_0", esi=1, kind=0xe4, selector=0x68)  # 16 bits: of the offset, and pushed
    offset = flat.label["procedure"] - 0x10000
    equal((stop.reason, stop.cs, stop.rsp), ("hlt", 0x68, 0x7c00 - 2 * 2))
    between(stop.rip, offset, offset + 0x20)


def test_call_gates_that_are_refused():
    """SDM vol. 2, CALL, "call gate": the gate's level, its target, the inner stack."""
    flat = Flat(CODE)
    for entry, more, vector, error in [
            ("by_gate", {"kind": 0x8c}, GP, 0x58), ("by_gate", {"kind": 0x6c}, NP, 0x58),
            ("by_gate", {"selector": 0}, GP, 0), ("by_gate", {"selector": 0x1000}, GP, 0x1000),
            ("by_gate", {"selector": 0x10}, GP, 0x10), ("by_gate", {"selector": 0x50}, NP, 0x50),
            ("by_gate", {"kind": 0xe5}, GP, 0x58), ("by_gate", {"kind": 0xe9}, GP, 0x58),
            ("by_jump", {}, GP, 8)]:
        stop = flat.run("prepare", mode=32, reg={**gate(flat, **more), "edi": flat.label[entry], "esi": 0,
                                                 "ebp": flat.label["to_gate"]})
        at = flat.label["at_by_gate" if entry == "by_gate" else entry]
        equal((stop.fault, hex(stop.rip), stop.cs), ((vector, error), hex(at), 0x33), f"{entry} {more}")
    for words, vector, error in [((0x5000, 0), TS, 0), ((0x5000, 0x38), TS, 0x38), ((0x5000, 0x28), TS, 0x28),
                                 ((0x5000, 0x13), TS, 0x10), ((0x10, 0x60), SS, 0x60)]:
        mem = {flat.label["tss"] + 4: b"".join(word.to_bytes(4, "little") for word in words)}
        stop = flat.run("prepare", mode=32, mem=mem, reg={**gate(flat), "edi": flat.label["by_gate"], "esi": 0,
                                                          "ebp": flat.label["to_gate"]})
        equal((stop.fault, stop.cs, stop.rsp), ((vector, error), 0x33, 0x6000 - 8), f"inner stack {words}")


def test_to_real_mode_and_back():
    """CS keeps its base and size until it is loaded (SDM 9.9.2)."""
    stop = from_begin(Flat(CODE), "real")
    equal((stop.reason, stop.rbx, stop.cr0), ("hlt", 1, 0x33))
