#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "segments.h"
#include "silicon.h"

/* Everything at addresses below 2 GiB, so that the assembly can name them absolutely. */
struct area {
    struct registers in;
    struct registers out;
    uint64_t rsp, fs; /* ours */
    uint64_t second_pad;
    uint64_t first_exit, second_exit; /* what the landing pads jump to */
};

#define AREA ((struct area *)AREA_AT)

/* Programs may read and write the bases of FS and GS (Linux, HWCAP2_FSGSBASE). */
#define HOST_FSGSBASE 2u

static volatile sig_atomic_t trapped;
static uint64_t trap_at; /* of the instruction, as an offset in its segment */
static unsigned trap_length;
static bool trap_behind;
static int trap_vector;
static uint32_t trap_error;
static uint64_t trap_cr2;

extern struct {
    uint32_t offset;
    uint16_t code;
} __attribute__((packed)) native_slot;
extern const char native_first_exit[], native_second_exit[], native_fault_exit[];
void native_enter(void);

_Static_assert(offsetof(struct registers, flags) == 128, "layout used by the assembly");
_Static_assert(offsetof(struct registers, segment) == 136, "layout used by the assembly");
_Static_assert(offsetof(struct registers, base) == 152, "layout used by the assembly");
_Static_assert(offsetof(struct registers, fx) == 192, "layout used by the assembly");
_Static_assert(sizeof(struct registers) == 704, "layout used by the assembly");
_Static_assert(offsetof(struct area, rsp) == 1408, "layout used by the assembly");

__asm__(".text\n"
        ".set in, 0x10010000\n"
        ".set out, 0x10010000 + 704\n"
        ".set own_rsp, 0x10010000 + 1408\n"
        ".set own_fs, 0x10010000 + 1416\n"
        ".set second, 0x10010000 + 1424\n"
        ".globl native_enter\n"
        "native_enter:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, own_rsp\n"
        "rdfsbase %rax; mov %rax, own_fs\n"
        "mov in+136, %es; mov in+142, %ds; mov in+144, %fs; mov in+146, %gs\n"
        "mov in+152, %rdx; cmpw $0, in+144; jne 1f; wrfsbase %rdx; 1:\n"
        "mov in+160, %rdx; cmpw $0, in+146; jne 1f; wrgsbase %rdx; 1:\n"
        "mov in+140, %ss\n"
        "fxrstor64 in+192\n"
        "pushq in+128\n"
        "popfq\n"
        "mov in+0, %rax; mov in+8, %rcx; mov in+16, %rdx; mov in+24, %rbx\n"
        "mov in+40, %rbp; mov in+48, %rsi; mov in+56, %rdi\n"
        "mov in+64, %r8; mov in+72, %r9; mov in+80, %r10; mov in+88, %r11\n"
        "mov in+96, %r12; mov in+104, %r13; mov in+112, %r14; mov in+120, %r15\n"
        "mov in+32, %rsp\n"
        "ljmp *native_slot(%rip)\n"
        ".globl native_second_exit\n"
        "native_second_exit:\n"
        "movq $1, second\n"
        ".globl native_first_exit\n"
        "native_first_exit:\n"
        "mov %rax, out+0; mov %rcx, out+8; mov %rdx, out+16; mov %rbx, out+24\n"
        "mov %rsp, out+32; mov %rbp, out+40; mov %rsi, out+48; mov %rdi, out+56\n"
        "mov %r8, out+64; mov %r9, out+72; mov %r10, out+80; mov %r11, out+88\n"
        "mov %r12, out+96; mov %r13, out+104; mov %r14, out+112; mov %r15, out+120\n"
        "mov %es, out+136; mov %ss, out+140; mov %ds, out+142; mov %fs, out+144; mov %gs, out+146\n"
        "rdfsbase %rax; mov %rax, out+152; rdgsbase %rax; mov %rax, out+160\n"
        "mov own_rsp, %rsp\n"
        "pushfq\n"
        "popq out+128\n"
        "cld\n"
        "fxsave64 out+192\n"
        ".globl native_fault_exit\n"
        "native_fault_exit:\n"
        "mov own_rsp, %rsp\n"
        "pushq $0x202\n"
        "popfq\n"
        "mov $0x2b, %eax; mov %eax, %ss; mov %eax, %ds; mov %eax, %es\n"
        "mov $0, %eax; mov %eax, %fs; mov %eax, %gs\n"
        "mov own_fs, %rax; wrfsbase %rax\n"
        "fninit\n"
        "ldmxcsr native_mxcsr(%rip)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".section .rodata\n"
        "native_mxcsr: .long 0x1f80\n"
        ".data\n"
        ".globl native_slot\n"
        "native_slot: .long 0x10000000\n"
        "native_code: .word 0x33\n"
        ".text\n");

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
        REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* What the instruction was to leave of the segments; then this thread's own FS, without which C
 * code cannot go on. Some of it is changed on the way into a handler: the context has that. */
static void trap_segments(const greg_t *gregs)
{
    uint16_t *segment = AREA->out.segment, in_context[4];
    __asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(AREA->out.base[0]), "=r"(AREA->out.base[1]));
    __asm__ volatile("wrfsbase %0" ::"r"(AREA->fs));
    __asm__ volatile("mov %%es, %0; mov %%ds, %1" : "=m"(segment[0]), "=m"(segment[3]));
    __asm__ volatile("mov %%fs, %0; mov %%gs, %1" : "=m"(segment[4]), "=m"(segment[5]));
    memcpy(in_context, &gregs[REG_CSGSFS], sizeof(in_context));
    segment[2] = in_context[3];
}

__attribute__((no_stack_protector)) static void on_trap(
        int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *gregs = user->uc_mcontext.gregs;
    (void)info;
    trap_segments(gregs);
    trap_behind = (uint64_t)gregs[REG_RIP] == trap_at + trap_length;
    if ((uint64_t)gregs[REG_RIP] != trap_at && !trap_behind) { /* not the instruction: a bug here */
        dprintf(2, "trap %d, error %x at %x:%llx: not the case's\n", (int)gregs[REG_TRAPNO],
                (unsigned)gregs[REG_ERR], (unsigned)gregs[REG_CSGSFS] & 0xffff, gregs[REG_RIP]);
        signal(signal_number, SIG_DFL);
        return;
    }
    for (unsigned i = 0; i < 16; i++)
        AREA->out.gpr[i] = (uint64_t)gregs[greg_of[i]];
    AREA->out.flags = (uint64_t)gregs[REG_EFL];
    memcpy(AREA->out.fx, user->uc_mcontext.fpregs, 416);
    trap_vector = (int)gregs[REG_TRAPNO];
    trap_error = (uint32_t)gregs[REG_ERR];
    trap_cr2 = (uint64_t)gregs[REG_CR2];
    trapped = 1;
    gregs[REG_RIP] = (greg_t)(uintptr_t)native_fault_exit;
    gregs[REG_CSGSFS] = (greg_t)((uint64_t)FLAT_DATA << 48 | CODE_64);
    gregs[REG_RSP] = (greg_t)AREA->rsp;
    gregs[REG_EFL] = 0x202;
}

static void map_at(uint64_t at, size_t bytes, int protection)
{
    void *got = mmap((void *)at, bytes, protection,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
    if (got != (void *)at) {
        perror("map the pages of a case");
        exit(2);
    }
}

/* jmp *[absolute address] */
static void put_pad(uint8_t *at, const void *pointer)
{
    uint32_t address = (uint32_t)(uintptr_t)pointer;
    at[0] = 0xff;
    at[1] = 0x24;
    at[2] = 0x25;
    memcpy(at + 3, &address, 4);
}

/* Where pads of 32-bit code go to leave it: behind all cases. */
#define GATE(number) ((uint8_t *)CODE_AT + 256 + (number)*8)

/* jmp CODE_64:address */
static void put_far_pad(uint8_t *at, const uint8_t *gate)
{
    uint32_t address = (uint32_t)(uintptr_t)gate;
    uint16_t selector = CODE_64;
    at[0] = 0xea;
    memcpy(at + 1, &address, 4);
    memcpy(at + 5, &selector, 2);
}

/* jmp LOCAL_CODE_32:gate, whose offset has 16 bits in 16-bit code */
static void put_far_pad_16(uint8_t *at, const uint8_t *gate)
{
    uint16_t words[2] = {(uint16_t)((uintptr_t)gate - CODE_AT), LOCAL_CODE_32};
    at[0] = 0xea;
    memcpy(at + 1, words, sizeof(words));
}

static void put_pad_of(unsigned bits, unsigned number, uint8_t *at)
{
    if (bits == 64)
        put_pad(at, number ? &AREA->second_exit : &AREA->first_exit);
    else if (bits == 32)
        put_far_pad(at, GATE(number));
    else
        put_far_pad_16(at, GATE(2 + number));
}

void native_setup(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (!(getauxval(AT_HWCAP2) & HOST_FSGSBASE)) {
        fprintf(stderr, "this host does not let programs write the bases of FS and GS\n");
        exit(2);
    }
    map_at(CODE_AT, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(AREA_AT, 4096, PROT_READ | PROT_WRITE);
    map_at(DATA_AT, 8192, PROT_READ | PROT_WRITE);
    map_at(CONST_AT, 4096, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < 4096; i++)
        ((uint8_t *)CONST_AT)[i] = const_byte(i);
    mprotect((void *)CONST_AT, 4096, PROT_READ);
    put_pad(GATE(0), &AREA->first_exit);
    put_pad(GATE(1), &AREA->second_exit);
    put_far_pad(GATE(2), GATE(0));
    put_far_pad(GATE(3), GATE(1));
    segments_install();
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    AREA->first_exit = (uint64_t)(uintptr_t)native_first_exit;
    AREA->second_exit = (uint64_t)(uintptr_t)native_second_exit;
}

void native_run(const struct test_case *test, struct result *ret)
{
    uint8_t *code = (uint8_t *)CODE_AT;
    memcpy(code, test->code, test->length);
    put_pad_of(test->bits, 0, code + test->length);
    put_pad_of(test->landing, 1, code + test->length + PAD_BYTES);
    native_slot.code = test->in.segment[1];
    native_slot.offset = (uint32_t)(CODE_AT - segments_base(test->in.segment[1]));
    trap_at = native_slot.offset;
    trap_length = test->length;
    trap_behind = false;
    memset((void *)DATA_AT, 0, HOLE_AT - DATA_AT); /* no case sees what another has left */
    memcpy((void *)MIDDLE_AT, test->window, MIDDLE_BYTES);
    memcpy((void *)END_AT, test->window + MIDDLE_BYTES, END_BYTES);
    AREA->in = test->in;
    AREA->second_pad = 0;
    trapped = 0;
    native_enter();
    ret->trap = trapped ? trap_vector : NO_TRAP;
    ret->error = trapped ? trap_error : 0;
    ret->cr2 = trapped && trap_vector == 14 ? trap_cr2 : 0;
    ret->behind = trapped && trap_behind;
    ret->second_pad = AREA->second_pad;
    ret->out = AREA->out;
    memcpy(ret->window, (void *)MIDDLE_AT, MIDDLE_BYTES);
    memcpy(ret->window + MIDDLE_BYTES, (void *)END_AT, END_BYTES);
}
