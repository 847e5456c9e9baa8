"""viv-cpu: its options, and what it prints."""
import pathlib

from lib import *
from lib.flat import *

PROGRAM = """
.code64
add64:  add rax, rbx
        movaps xmm2, xmm1
        fld1
        fldpi
        mov [rdi], rax
        stc
        std
        hlt
loop:   inc rax
        jmp loop
divide: xor ecx, ecx
at_divide: div ecx
far_away: mov al, [0x7000000000]
trap:   int3
        hlt
call:   int 0x85
undefined: ud2
.code32
add32:  add eax, ebx
        push eax
        mov ax, cs
        mov bx, ss
        hlt
wide32: .byte 0x48
        hlt
.code16
add16:  add ax, bx
        push ax
        mov bx, cs
        mov ss, bx
        hlt
"""


def bare(*options):
    return run(program("viv-cpu"), *options)


def test_a_run_in_64_bits_is_printed_whole():
    flat = Flat(PROGRAM)
    stop = flat.halts("add64", "--dump", "0x3000:8", "--dump", "12292:2", mem={0x3008: b"\xaa"},
                      reg={"rax": 0xfffffffffffffffe, "rbx": 3, "rdi": 0x3000, "r15": 1 << 63,
                           "xmm1": 0x0123456789abcdef_fedcba9876543210})
    equal(stop.instructions, 8)
    equal((stop.rax, stop.rbx, stop.r15, stop.rsp), (1, 3, 1 << 63, 0x7c00))
    equal(stop.rip, flat.label["loop"], "behind HLT")
    equal(stop.json["flags"], {"cf": 1, "pf": 0, "af": 1, "zf": 0, "sf": 0, "tf": 0, "if": 0, "df": 1,
                               "of": 0})
    equal(stop.rflags, 0x413)
    equal(stop.json["memory"], {"0x3000": "0100000000000000", "0x3004": "0000"})
    equal(stop.json["xmm"], {f"xmm{i}": "0x0123456789abcdeffedcba9876543210" if i in (1, 2) else "0x" + 32 * "0"
                             for i in range(16)})
    x87 = stop.json["x87"]
    equal((x87["fcw"], x87["fsw"], x87["ftw"], x87["top"]), ("0x37f", "0x3000", "0xc0", 6))
    equal((x87["st0"], x87["st1"], x87["st2"]),
          ("0x4000c90fdaa22168c235", "0x3fff8000000000000000", "0x" + 20 * "0"))  # pi, 1
    equal((stop.cs, stop.ss, stop.mxcsr, stop.efer, stop.cr0), (8, 0x10, 0x1f80, 0xd01, 0x80000033))
    equal(stop.unknown, {})
    lacks(stop.json, "vector")


def test_32_and_16_bits():
    flat = Flat(PROGRAM)
    stop = flat.halts("add32", "--dump", "0x7bfc:4", mode=32, reg={"eax": 0xffffffff, "ebx": 2})
    equal((stop.rax, stop.rbx, stop.rsp, stop.memory(0x7bfc, 4)), (8, 0x10, 0x7bfc, [1]))
    equal((stop.cr0, stop.efer), (0x33, 0))
    stop = flat.halts("wide32", mode=32)
    equal((stop.rax, stop.instructions), (0xffffffff, 2), "48 is DEC EAX, no REX prefix")
    flat = Flat(PROGRAM, base=0x28000)
    stop = flat.halts("add16", "--dump", "0x7bfe:2", mode=16, reg={"ax": 0xffff, "bx": 2})
    equal((stop.rax, stop.rsp, stop.memory(0x7bfe, 2)), (1, 0x7bfe, [1]))
    equal((stop.cs, stop.ss, stop.rip, stop.cr0), (0x2000, 0x2000, 0x8000 + stop_offset(flat), 0x32))


def stop_offset(flat):
    """Where the 16-bit program's HLT ends, from the binary's begin."""
    return flat.path.stat().st_size


def test_the_limit_is_exact_and_faults_are_told():
    flat = Flat(PROGRAM)
    for count in (0, 1, 2, 63, 64, 65, 1001):
        stop = flat.run("loop", "--max", count)
        equal((stop.reason, stop.instructions, stop.rax), ("limit", count, (count + 1) // 2))
        equal(stop.fault, (None, None))
    equal(flat.faults("divide", DE, None).instructions, 1)
    equal(flat.faults("far_away", PF, 0).cr2, 0x7000000000)
    equal(flat.faults("undefined", UD, None).unknown, {}, "UD2 is there")
    equal(flat.faults("trap", BP, None).rip, flat.label["trap"] + 1)
    equal(flat.faults("call", 0x85, None).instructions, 1)
    contains(flat.run("divide").json, "error_code")


def test_text_for_people():
    done = bare("--mem", "0x1000=4801d8f4", "--entry", "4096", "--reg", "rax=2", "--reg", "rbx=0x3",
                "--dump", "0x1000:18").ok()
    matches(done.out, r"^stop +hlt$")
    matches(done.out, r"^instructions +2$")
    matches(done.out, r"rax  0{15}5 ")
    matches(done.out, r"^00001000  48 01 d8 f4( 00){12}\n00001010  00 00$")
    done = bare("--mem", "0=0f0b", "--entry", "0").ok()
    matches(done.out, r"^stop +fault, vector 6$")
    done = bare("--mem", "0=a00000000080000000", "--entry", "0").ok()
    matches(done.out, r"^stop +fault, vector 14, error code 0x0$")


def test_every_register_can_be_set():
    values = {name: 0x1000 + 8 * i for i, name in enumerate(
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"] + [f"r{i}" for i in range(8, 16)])}
    values |= {"cr2": 0x123456789000, "fs_base": 0x111000, "gs_base": 0x222000, "mxcsr": 0x1fa0,
               "rflags": 0x8d7}
    more = [part for name, value in values.items() for part in ("--reg", f"{name}={value}")]
    done = bare("--json", "--max", "0", "--entry", "0x5000", *more, "--reg", "fcw=0x27f", "--reg",
                "xmm15=7").ok()
    stop = Stop(done.out)
    equal({name: stop.registers[name] for name in values}, values)
    equal((stop.rip, stop.json["x87"]["fcw"]), (0x5000, "0x27f"))
    equal(int(stop.json["xmm"]["xmm15"], 16), 7)
    stop = Stop(bare("--json", "--max", "0", "--mode", "16", "--entry", "0", "--reg", "ds=0x1234", "--reg",
                     "ax=0x12345").ok().out)
    equal((stop.ds, stop.rax), (0x1234, 0x2345))


def test_wrong_use_is_told():
    pathlib.Path("code").write_bytes(b"\xf4")
    for options, text in [
            ([], "--entry ADDRESS is missing"),
            (["--entry", "12x"], "a number"),
            (["--entry", "0x100000000"], "starts below"),
            (["--mode", "16", "--entry", "0x100000"], "starts below"),
            (["--entry", "0", "--mode", "48"], "16, 32 or 64"),
            (["--entry", "0", "--load", "code"], "FILE@ADDRESS"),
            (["--entry", "0", "--load", "code@x"], "FILE@ADDRESS"),
            (["--entry", "0", "--load", "none@0"], "No such file"),
            (["--entry", "0", "--load", "code@0x100000000"], "memory ends at 4 GiB"),
            (["--entry", "0", "--reg", "rax"], "NAME=VALUE"),
            (["--entry", "0", "--reg", "rax=1g"], "NAME=VALUE"),
            (["--entry", "0", "--reg", "xmm16=1"], "no such register"),
            (["--entry", "0", "--reg", "xmm1=0x" + "1" * 33], "NAME=VALUE"),
            (["--entry", "0", "--mem", "0=123"], "two digits a byte"),
            (["--entry", "0", "--mem", "0=zz"], "two digits a byte"),
            (["--entry", "0", "--mem", "0xffffffff=0000"], "memory ends at 4 GiB"),
            (["--entry", "0", "--dump", "0"], "ADDRESS:LENGTH"),
            (["--entry", "0", "--dump", "0xffffffff:2"], "memory ends at 4 GiB"),
            (["--entry", "0", "--max", "many"], "a number"),
            (["--entry", "0", "--maximum", "1"], "unknown option"),
            (["--entry", "0", "--max"], "without its value"),
            (["--entry", "0", "more"], "unexpected argument more")]:
        done = bare(*options)
        fails(done, 1, "viv-cpu: ")
        contains(done.err, text)
        equal(done.out, "")
    contains(bare("--help").ok().out, "--deliver")


UNKNOWN = """
.macro try code:vararg
        lea r15, 1f[rip]
        \\code
1:
.endm
.code64
begin:  mov ecx, 3
        lidt idt[rip]
again:  try vaddps xmm0, xmm1, xmm2
        try vaddps zmm0, zmm1, zmm2
        try vpermq ymm1, ymm2, 1
        try adcx eax, ebx
        try aesenc xmm0, xmm1
        try sha1msg1 xmm0, xmm1
        try xgetbv
        try tpause eax
        try ud2
        dec ecx
        jnz again
        hlt
handler: mov [rsp], r15
        iretq
        .balign 16
gates:  .fill 12, 8, 0
        .word handler - begin, 8, 0x8e00, 1, 0, 0, 0, 0
idt:    .word 7 * 16 - 1
        .quad gates
"""


def test_a_shutdown_tells_the_first_exception():
    """An INT3 or a page fault whose gate is missing: #GP, #DF, shutdown (SDM vol. 3, 6.15, interrupt 8)."""
    flat = Flat(PROGRAM)
    stop = flat.run("far_away", "--deliver")
    equal((stop.reason, stop.fault, stop.rip), ("fault", (PF, 0), flat.label["far_away"]))
    stop = flat.run("trap", "--deliver")
    equal((stop.reason, stop.fault, stop.rip), ("fault", (GP, 3 * 8 + 2), flat.label["trap"]))


def test_a_handler_that_faults_itself_uses_up_the_limit():
    flat = Flat(".code64\nbegin: lidt idt[rip]\nhandler: ud2\n.balign 16\ngates: .fill 12, 8, 0\n"
                ".word handler - begin, 8, 0x8e00, 1, 0, 0, 0, 0\nidt: .word 7 * 16 - 1\n.quad gates\n")
    stop = flat.run("begin", "--deliver", reg={"rsp": 0x80000000})
    equal((stop.reason, stop.instructions), ("limit", 1))


def test_opcodes_that_are_missing_are_counted_by_name():
    """They raise #UD and are counted by table and opcode, as in the statistics of a machine."""
    stop = Flat(UNKNOWN).halts("begin", "--deliver")
    equal(stop.unknown, {"vex.0f58": 6, "vex.660f3a00": 3, "660f38f6": 3, "660f38dc": 3, "0f38c9": 3, "0f01": 3,
                         "660fae": 3})
