"""CPUID says what is implemented and no more; and code that changes itself, repetitions that fault."""
from lib import *
from lib.flat import *

LEAF_1_C, LEAF_1_D, LEAF_7_B, LEAF_7_C, EXT_C, EXT_D = range(6)
CODE = """
.code64
cpuid:  mov eax, 1
        cpuid
        mov [0x3000 + 4 * 0], ecx
        mov [0x3000 + 4 * 1], edx
        mov eax, 7
        xor ecx, ecx
        cpuid
        mov [0x3000 + 4 * 2], ebx
        mov [0x3000 + 4 * 3], ecx
        mov eax, 0x80000001
        cpuid
        mov [0x3000 + 4 * 4], ecx
        mov [0x3000 + 4 * 5], edx
        hlt
changed: mov ebx, 2
again:  mov byte ptr patched[rip + 1], 7
patched: mov eax, 1
        add esi, eax
        mov byte ptr patched[rip + 1], 1
        dec ebx
        jnz again
        hlt
repeat: mov ecx, 0x20
        lea rsi, cpuid[rip]
        mov edi, 0xfffffff0
at_repeat: rep movsb
tscp:   mov ecx, 0xc0000103
        mov eax, 77
        xor edx, edx
        wrmsr
        rdtsc
        shl rdx, 32
        lea rsi, [rdx + rax]
        rdtscp
        shl rdx, 32
        add rax, rdx
        sub rax, rsi
        hlt
random: rdrand rax
        setc bl
        rdrand rcx
        setc dl
        hlt
"""

# An instruction for each feature's bit (SDM vol. 2, CPUID, tables 3-10 and 3-11; APM vol. 3, appendix D).
FEATURES = {
    (LEAF_1_C, 0): "haddps xmm0, xmm1", (LEAF_1_C, 1): "pclmulqdq xmm0, xmm1, 0",
    (LEAF_1_C, 3): "monitor", (LEAF_1_C, 9): "pshufb xmm0, xmm1", (LEAF_1_C, 12): "vfmadd132ps xmm0, xmm1, xmm2",
    (LEAF_1_C, 13): "cmpxchg16b [rdi]", (LEAF_1_C, 19): "pmulld xmm0, xmm1", (LEAF_1_C, 20): "pcmpgtq xmm0, xmm1",
    (LEAF_1_C, 22): "movbe eax, [rdi]", (LEAF_1_C, 23): "popcnt eax, ecx", (LEAF_1_C, 25): "aesenc xmm0, xmm1",
    (LEAF_1_C, 26): "xsave [rdi]", (LEAF_1_C, 27): "xgetbv", (LEAF_1_C, 28): "vaddps xmm0, xmm1, xmm2",
    (LEAF_1_C, 29): "vcvtph2ps xmm0, xmm1", (LEAF_1_C, 30): "rdrand eax",
    (LEAF_1_D, 0): "fld1", (LEAF_1_D, 4): "rdtsc", (LEAF_1_D, 8): "cmpxchg8b [rdi]",
    (LEAF_1_D, 15): "cmovz eax, ecx", (LEAF_1_D, 19): "clflush [rdi]", (LEAF_1_D, 23): "paddb mm0, mm1",
    (LEAF_1_D, 24): "fxsave [rdi]", (LEAF_1_D, 25): "addps xmm0, xmm1", (LEAF_1_D, 26): "addpd xmm0, xmm1",
    (LEAF_7_B, 0): "rdfsbase rax", (LEAF_7_B, 3): "andn eax, ecx, edx", (LEAF_7_B, 5): "vpaddb ymm0, ymm1, ymm2",
    (LEAF_7_B, 8): "pext eax, ecx, edx", (LEAF_7_B, 10): "invpcid rax, [rdi]", (LEAF_7_B, 11): "xbegin $+6",
    (LEAF_7_B, 16): "vaddps zmm0, zmm1, zmm2", (LEAF_7_B, 18): "rdseed eax", (LEAF_7_B, 19): "adcx eax, ecx",
    (LEAF_7_B, 20): "clac", (LEAF_7_B, 23): "clflushopt [rdi]", (LEAF_7_B, 24): "clwb [rdi]",
    (LEAF_7_B, 29): "sha1msg1 xmm0, xmm1",
    (LEAF_7_C, 4): "rdpkru", (LEAF_7_C, 5): "umwait eax", (LEAF_7_C, 8): "gf2p8mulb xmm0, xmm1",
    (LEAF_7_C, 22): "rdpid rax", (LEAF_7_C, 27): "movdiri [rdi], eax", (LEAF_7_C, 28): "movdir64b rdi, [rdi]",
    (EXT_C, 0): "lahf", (EXT_C, 2): "vmload", (EXT_C, 6): "insertq xmm0, xmm1", (EXT_C, 8): "prefetchw [rdi]",
    (EXT_C, 11): "vfrczps xmm0, xmm1", (EXT_C, 12): "skinit", (EXT_C, 16): "vfmaddps xmm0, xmm1, xmm2, xmm3",
    (EXT_C, 21): "blcs eax, ecx", (EXT_C, 29): "monitorx", (EXT_D, 11): "syscall", (EXT_D, 27): "rdtscp",
    (EXT_D, 31): "pfadd mm0, mm1",
}


def test_cpuid_says_what_there_is():
    """A feature's instruction works if CPUID has its bit, and raises #UD if not."""
    cases = "".join(f"f{i}: {code}\nhlt\n" for i, code in enumerate(FEATURES.values()))
    flat = Flat(CODE + cases)
    words = flat.halts("cpuid", "--dump", "0x3000:24").memory(0x3000, 4)
    missing = []
    for i, ((word, bit), code) in enumerate(FEATURES.items()):
        stop = flat.run(f"f{i}", "--max", "1", reg={"rdi": 0x4000, "rax": 0x4000, "cr4": 0x10620})
        equal(stop.fault == (UD, None), not words[word] >> bit & 1, f"{code}: {stop}; undefined")
        missing += [code] if stop.fault == (UD, None) else []
    check(5 < len(missing) < len(FEATURES) - 5, str(missing))
    equal(flat.run("f0", reg={"cr4": 0x10020}).fault, (UD, None), "OSFXSR")
    level_2 = {LEAF_1_C: [0, 9, 13, 19, 20, 23], LEAF_1_D: [0, 8, 15, 23, 24, 25, 26], EXT_C: [0], EXT_D: [11, 29]}
    for word, bits in level_2.items():  # what the psABI's x86-64-v2 names
        equal([bit for bit in bits if not words[word] >> bit & 1], [], f"word {word}")


def test_code_that_changes_itself():
    stop = Flat(CODE).halts("changed")
    equal((stop.rsi, stop.rax, stop.instructions), (14, 7, 14))


def test_a_repetition_that_faults_can_be_resumed():
    """Registers say what is left (SDM vol. 2, REP). The page behind 4 GiB is not mapped."""
    flat = Flat(CODE)
    stop = flat.faults("repeat", PF, 2)
    equal((stop.rcx, stop.rdi, stop.rsi, stop.cr2),
          (0x10, 1 << 32, flat.label["cpuid"] + 0x10, 1 << 32))


def test_time_and_chance():
    flat = Flat(CODE)
    stop = flat.halts("tscp")
    equal(stop.rcx, 77, "TSC_AUX")
    check(stop.rax < 1 << 63, "the counter went back")
    stop = flat.halts("random")
    equal((stop.rbx, stop.rdx), (1, 1))
    check(stop.rax != stop.rcx, "twice the same 64 bits")
