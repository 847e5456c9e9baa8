#include "cpu/x87.h"

#include "cpu/flags.h"
#include "cpu/fp.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/*
 * The x87 is the host's: the guest's registers, control and status words are loaded into it
 * (fp_load_x87) and each instruction is done by the same instruction there, with the guest's
 * precision, rounding and masks. An unmasked exception stays pending in the host's status word,
 * where the next instruction looks before it does anything that would make the host trap.
 *
 * Thunks: one for each encoding of the register forms, 4 bytes apart; one for each memory form, its
 * operand at (%rdx).
 */
__asm__(".text\n"
        ".balign 16\n"
        "x87_register_thunks:\n"
        ".set x87_opcode, 0xd8\n"
        ".rept 8\n"
        ".set x87_modrm, 0xc0\n"
        ".rept 64\n"
        ".byte x87_opcode, x87_modrm\n"
        "ret\n"
        "nop\n"
        ".set x87_modrm, x87_modrm + 1\n"
        ".endr\n"
        ".set x87_opcode, x87_opcode + 1\n"
        ".endr\n"
        "x87_memory_thunks:\n"
        ".set x87_opcode, 0xd8\n"
        ".rept 8\n"
        ".set x87_modrm, 2\n"
        ".rept 8\n"
        ".byte x87_opcode, x87_modrm\n"
        "ret\n"
        "nop\n"
        ".set x87_modrm, x87_modrm + 8\n"
        ".endr\n"
        ".set x87_opcode, x87_opcode + 1\n"
        ".endr\n");

extern const char x87_register_thunks[] __attribute__((visibility("hidden")));
extern const char x87_memory_thunks[] __attribute__((visibility("hidden")));

#define SW_ERROR 0x80u

/* ------------------------------------------------------------------ calling a thunk */

/* Flags go in and out: FCMOV reads them, FCOMI writes them. The stack below is skipped because the
 * compiler may keep values there. */
static inline void call_thunk(struct cpu *cpu, const char *thunk, void *memory)
{
    uint16_t raw = cpu->raw;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" FLAGS_IN "call *%[thunk]" FLAGS_OUT
                     "\n\tleaq 128(%%rsp), %%rsp"
                     : "+&a"(raw)
                     : [thunk] "r"(thunk), "d"(memory)
                     : "cc", "memory");
    cpu->raw = raw;
}

static uint16_t status_word(void)
{
    uint16_t status;
    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status;
}

/* Before any x87 or MMX instruction; `waits` for those that first report a pending exception. */
void x87_begin(struct cpu *cpu, const struct op *op, bool waits)
{
    fp_check_x87(cpu, op);
    if (!cpu->x87_live)
        fp_load_x87(cpu);
    if (waits && unlikely(status_word() & SW_ERROR))
        cpu_fault(cpu, VEC_MF);
}

static unsigned number(const struct op *op)
{
    return op->reg & 7u;
}

static void note_place(struct cpu *cpu, const struct op *op, unsigned modrm)
{
    cpu->x87_ip = rip_of_linear(cpu, op_linear(cpu, op));
    cpu->x87_opcode = (uint16_t)((op->opcode & 7u) << 8 | modrm);
}

static const struct op *register_form(struct cpu *cpu, const struct op *op, bool waits)
{
    unsigned low = number(op) << 3 | ((op->rm / 8u) & 7);
    x87_begin(cpu, op, waits);
    call_thunk(cpu, x87_register_thunks + ((op->opcode & 7u) * 64 + low) * 4, NULL);
    if (waits)
        note_place(cpu, op, 0xc0 | low);
    NEXT;
}

HANDLER(x87_register)
{
    return register_form(cpu, op, true);
}

/* FNCLEX, FNINIT and the like: they do not look at pending exceptions. */
HANDLER(x87_control)
{
    return register_form(cpu, op, false);
}

static const char *memory_thunk(const struct op *op)
{
    return x87_memory_thunks + ((op->opcode & 7u) * 8 + number(op)) * 4;
}

HANDLER(x87_load)
{
    uint8_t operand[16] __attribute__((aligned(16)));
    x87_begin(cpu, op, true);
    uint64_t linear = ea(cpu, op);
    mem_load(cpu, op, linear, operand, op->bytes);
    if (!cpu->x87_live) /* device memory was read in between */
        fp_load_x87(cpu);
    call_thunk(cpu, memory_thunk(op), operand);
    note_place(cpu, op, number(op) << 3);
    cpu->x87_dp = linear;
    return op + 1;
}

/* The host stores straight to the guest's memory: nothing, where an unmasked exception forbids. */
static const struct op *store(struct cpu *cpu, const struct op *op, bool waits)
{
    x87_begin(cpu, op, waits);
    uint64_t linear = ea(cpu, op);
    void *target = mem_modify(cpu, op, linear, op->bytes);
    if (!cpu->x87_live) /* device memory was read in between */
        fp_load_x87(cpu);
    call_thunk(cpu, memory_thunk(op), target);
    mem_done(cpu);
    if (waits) {
        note_place(cpu, op, number(op) << 3);
        cpu->x87_dp = linear;
    }
    return op + 1;
}

HANDLER(x87_store)
{
    return store(cpu, op, true);
}

HANDLER(x87_store_control)
{
    return store(cpu, op, false);
}

HANDLER(fldcw)
{
    uint16_t control;
    x87_begin(cpu, op, true);
    control = load16(cpu, op, ea(cpu, op));
    if (!cpu->x87_live)
        fp_load_x87(cpu);
    __asm__ volatile("fldcw %0" : : "m"(control));
    return op + 1;
}

HANDLER(fnstsw_ax)
{
    x87_begin(cpu, op, false);
    REG16(cpu, 0) = status_word();
    NEXT;
}

HANDLER(fwait)
{
    cpu->op = op;
    if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS))
        cpu_fault(cpu, VEC_NM);
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        return op + 1;
    x87_begin(cpu, op, true);
    return op + 1;
}

/* ------------------------------------------------------------------ environment and whole state */

/* The environment in memory: seven words of 16 or 32 bits. */
enum { ENV_CW, ENV_SW, ENV_TW, ENV_IP, ENV_CS, ENV_DP, ENV_DS, ENV_WORDS };

static unsigned word_bytes(const struct op *op)
{
    return op->size == 1 ? 2 : 4;
}

static void env_pack(const struct cpu *cpu, const struct op *op, uint8_t *image)
{
    uint32_t words[ENV_WORDS] = {cpu->x87.cw | 0xffff0000u, cpu->x87.sw | 0xffff0000u,
            cpu->x87.tw | 0xffff0000u, (uint32_t)cpu->x87_ip,
            op->size == 1 ? 0 : (uint32_t)cpu->x87_opcode << 16, (uint32_t)cpu->x87_dp,
            op->size == 1 ? 0 : 0xffff0000u};
    for (unsigned i = 0; i < ENV_WORDS; i++)
        memcpy(image + i * word_bytes(op), &words[i], word_bytes(op));
}

static void env_unpack(struct cpu *cpu, const struct op *op, const uint8_t *image)
{
    uint32_t words[ENV_WORDS] = {0};
    for (unsigned i = 0; i < ENV_WORDS; i++)
        memcpy(&words[i], image + i * word_bytes(op), word_bytes(op));
    cpu->x87.cw = (words[ENV_CW] & 0x1f7f) | 0xffff0040u;
    cpu->x87.sw = words[ENV_SW] | 0xffff0000u;
    cpu->x87.tw = words[ENV_TW] | 0xffff0000u;
    cpu->x87_ip = words[ENV_IP];
    cpu->x87_opcode = op->size == 1 ? 0 : (words[ENV_CS] >> 16) & 0x7ff;
    cpu->x87_dp = words[ENV_DP];
    fp_summarize(cpu);
}

/* Pieces of at most 32 bytes, since the memory access's buffer is small. */
static void write_long(struct cpu *cpu, const struct op *op, const uint8_t *data, unsigned size)
{
    uint64_t linear = ea_checked(cpu, op, size, true);
    for (unsigned at = 0; at < size; at += 16)
        mem_store(cpu, op, linear + at, data + at, size - at < 16 ? size - at : 16);
}

static void read_long(struct cpu *cpu, const struct op *op, uint8_t *data, unsigned size)
{
    uint64_t linear = ea_checked(cpu, op, size, false);
    for (unsigned at = 0; at < size; at += 16)
        mem_load(cpu, op, linear + at, data + at, size - at < 16 ? size - at : 16);
}

/* The other way: the registers stay where they are, and are seen from a new top of stack. */
static void rotate_back(struct cpu *cpu)
{
    uint8_t seen[8][10];
    unsigned top = (cpu->x87.sw >> 11) & 7;
    for (unsigned i = 0; i < 8; i++)
        memcpy(seen[i], cpu->x87.st[(top + i) & 7], 10);
    memcpy(cpu->x87.st, seen, sizeof(seen));
}

void x87_rotate(struct cpu *cpu)
{
    uint8_t physical[8][10];
    unsigned top = (cpu->x87.sw >> 11) & 7;
    for (unsigned i = 0; i < 8; i++)
        memcpy(physical[(top + i) & 7], cpu->x87.st[i], 10);
    memcpy(cpu->x87.st, physical, sizeof(physical));
    cpu->x87.sw &= ~0x3800u;
}

HANDLER(fnstenv)
{
    uint8_t image[28];
    x87_begin(cpu, op, false);
    fp_store_x87(cpu);
    env_pack(cpu, op, image);
    write_long(cpu, op, image, ENV_WORDS * word_bytes(op));
    cpu->x87.cw |= 0x3f;
    fp_summarize(cpu);
    return op + 1;
}

HANDLER(fldenv)
{
    uint8_t image[28];
    x87_begin(cpu, op, true);
    read_long(cpu, op, image, ENV_WORDS * word_bytes(op));
    fp_store_x87(cpu);
    x87_rotate(cpu);
    env_unpack(cpu, op, image);
    rotate_back(cpu);
    return op + 1;
}

HANDLER(fnsave)
{
    uint8_t image[108];
    unsigned env = ENV_WORDS * word_bytes(op);
    x87_begin(cpu, op, false);
    fp_store_x87(cpu);
    env_pack(cpu, op, image);
    memcpy(image + env, cpu->x87.st, 80);
    write_long(cpu, op, image, env + 80);
    x87_rotate(cpu);
    cpu->x87.cw = 0xffff037fu;
    cpu->x87.sw = 0xffff0000u;
    cpu->x87.tw = 0xffffffffu;
    cpu->x87_ip = cpu->x87_dp = cpu->x87_opcode = 0;
    return op + 1;
}

HANDLER(frstor)
{
    uint8_t image[108];
    unsigned env = ENV_WORDS * word_bytes(op);
    x87_begin(cpu, op, true);
    read_long(cpu, op, image, env + 80);
    fp_store_x87(cpu);
    env_unpack(cpu, op, image);
    memcpy(cpu->x87.st, image + env, 80);
    return op + 1;
}

/* ------------------------------------------------------------------ table */

#define ROW(code_, n)                                                                              \
    {                                                                                              \
        .name = "x87", .code = code_, .ext = EXT(n), .form = FORM_E, .size = SIZE_D,               \
        .attr = AT_REG, .reg = ALL(x87_register)                                                   \
    }
#define ROWS(code_)                                                                                \
    ROW(code_, 0), ROW(code_, 1), ROW(code_, 2), ROW(code_, 3), ROW(code_, 4), ROW(code_, 5),      \
            ROW(code_, 6), ROW(code_, 7)
#define SINGLE_OF(code_, n, rm_, fn)                                                               \
    {                                                                                              \
        .name = "x87", .code = code_, .ext = EXT_RM(n, rm_), .form = FORM_E, .size = SIZE_D,       \
        .attr = AT_REG, .reg = ALL(fn)                                                             \
    }
#define SINGLE(code_, n, rm_) SINGLE_OF(code_, n, rm_, x87_register)
#define MEMORY(text, code_, n, bytes_, attr_, fn)                                                  \
    {                                                                                              \
        .name = text, .code = code_, .ext = EXT(n), .form = FORM_E, .size = SIZE_DIR,              \
        .bytes = bytes_, .attr = AT_MEM | (attr_), .mem = ALL(fn)                                  \
    }
#define LOAD(text, code_, n, bytes_) MEMORY(text, code_, n, bytes_, 0, x87_load)
#define STORE(text, code_, n, bytes_) MEMORY(text, code_, n, bytes_, AT_WRITES, x87_store)
#define ARITHMETIC(code_, bytes_)                                                                  \
    LOAD("fadd", code_, 0, bytes_), LOAD("fmul", code_, 1, bytes_),                                \
            LOAD("fcom", code_, 2, bytes_), LOAD("fcomp", code_, 3, bytes_),                       \
            LOAD("fsub", code_, 4, bytes_), LOAD("fsubr", code_, 5, bytes_),                       \
            LOAD("fdiv", code_, 6, bytes_), LOAD("fdivr", code_, 7, bytes_)

/* clang-format off */
static const struct opcode table[] = {
    ARITHMETIC(0xd8, 4), ARITHMETIC(0xda, 4), ARITHMETIC(0xdc, 8), ARITHMETIC(0xde, 2),
    ROWS(0xd8),
    ROW(0xd9, 0), ROW(0xd9, 1), SINGLE(0xd9, 2, 0), ROW(0xd9, 3),
    SINGLE(0xd9, 4, 0), SINGLE(0xd9, 4, 1), SINGLE(0xd9, 4, 4), SINGLE(0xd9, 4, 5),
    SINGLE(0xd9, 5, 0), SINGLE(0xd9, 5, 1), SINGLE(0xd9, 5, 2), SINGLE(0xd9, 5, 3), SINGLE(0xd9, 5, 4), SINGLE(0xd9, 5, 5), SINGLE(0xd9, 5, 6),
    ROW(0xd9, 6), ROW(0xd9, 7),
    ROW(0xda, 0), ROW(0xda, 1), ROW(0xda, 2), ROW(0xda, 3), SINGLE(0xda, 5, 1),
    ROW(0xdb, 0), ROW(0xdb, 1), ROW(0xdb, 2), ROW(0xdb, 3), ROW(0xdb, 5), ROW(0xdb, 6),
    SINGLE_OF(0xdb, 4, 0, x87_control), SINGLE_OF(0xdb, 4, 1, x87_control), SINGLE_OF(0xdb, 4, 2, x87_control), SINGLE_OF(0xdb, 4, 3, x87_control), SINGLE_OF(0xdb, 4, 4, x87_control),
    ROWS(0xdc),
    ROW(0xdd, 0), ROW(0xdd, 1), ROW(0xdd, 2), ROW(0xdd, 3), ROW(0xdd, 4), ROW(0xdd, 5),
    ROW(0xde, 0), ROW(0xde, 1), ROW(0xde, 2), SINGLE(0xde, 3, 1), ROW(0xde, 4), ROW(0xde, 5), ROW(0xde, 6), ROW(0xde, 7),
    ROW(0xdf, 0), ROW(0xdf, 1), ROW(0xdf, 2), ROW(0xdf, 3), SINGLE_OF(0xdf, 4, 0, fnstsw_ax), ROW(0xdf, 5), ROW(0xdf, 6),
    LOAD("fld", 0xd9, 0, 4), STORE("fst", 0xd9, 2, 4), STORE("fstp", 0xd9, 3, 4),
    MEMORY("fldenv", 0xd9, 4, 28, 0, fldenv), MEMORY("fldcw", 0xd9, 5, 2, 0, fldcw),
    MEMORY("fnstenv", 0xd9, 6, 28, AT_WRITES, fnstenv), MEMORY("fnstcw", 0xd9, 7, 2, AT_WRITES, x87_store_control),
    LOAD("fild", 0xdb, 0, 4), STORE("fisttp", 0xdb, 1, 4), STORE("fist", 0xdb, 2, 4), STORE("fistp", 0xdb, 3, 4),
    LOAD("fld", 0xdb, 5, 10), STORE("fstp", 0xdb, 7, 10),
    LOAD("fld", 0xdd, 0, 8), STORE("fisttp", 0xdd, 1, 8), STORE("fst", 0xdd, 2, 8), STORE("fstp", 0xdd, 3, 8),
    MEMORY("frstor", 0xdd, 4, 108, 0, frstor), MEMORY("fnsave", 0xdd, 6, 108, AT_WRITES, fnsave),
    MEMORY("fnstsw", 0xdd, 7, 2, AT_WRITES, x87_store_control),
    LOAD("fild", 0xdf, 0, 2), STORE("fisttp", 0xdf, 1, 2), STORE("fist", 0xdf, 2, 2), STORE("fistp", 0xdf, 3, 2),
    LOAD("fbld", 0xdf, 4, 10), LOAD("fild", 0xdf, 5, 8), STORE("fbstp", 0xdf, 6, 10), STORE("fistp", 0xdf, 7, 8),
    {.name = "fwait", .code = 0x9b, .reg = ALL(fwait)},
};
/* clang-format on */

const struct opcode_list x87_opcodes = {table, sizeof(table) / sizeof(table[0])};
