#include "cpu/flags.h"
#include "cpu/handler.h"

/*
 * XADD, CMPXCHG and its wide forms. Memory forms always use the host's LOCK: plain and locked ones
 * differ in nothing else.
 */
#define ATOMICS(T, bits, sfx)                                                                      \
    static inline uint16_t add_flags_##bits(T a, T b)                                              \
    {                                                                                              \
        uint16_t raw;                                                                              \
        __asm__("add" sfx " %[b], %[a]" FLAGS_OUT : [a] "+r"(a), "=&a"(raw) : [b] "r"(b) : "cc");  \
        return raw;                                                                                \
    }                                                                                              \
    static inline uint16_t cmp_flags_##bits(T a, T b)                                              \
    {                                                                                              \
        uint16_t raw;                                                                              \
        __asm__("cmp" sfx " %[b], %[a]" FLAGS_OUT : "=&a"(raw) : [a] "r"(a), [b] "r"(b) : "cc");   \
        return raw;                                                                                \
    }                                                                                              \
    HANDLER(xadd_r_##bits)                                                                         \
    {                                                                                              \
        T a = REG(T, op->rm), b = REG(T, op->reg);                                                 \
        cpu->raw = add_flags_##bits(a, b);                                                         \
        SET_REG(T, op->reg, a);                                                                    \
        SET_REG(T, op->rm, (T)(a + b));                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(xadd_m_##bits)                                                                         \
    {                                                                                              \
        T *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                   \
        T b = REG(T, op->reg), a = __atomic_fetch_add(target, b, __ATOMIC_SEQ_CST);                \
        mem_done(cpu);                                                                             \
        cpu->raw = add_flags_##bits(a, b);                                                         \
        SET_REG(T, op->reg, a);                                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(cmpxchg_r_##bits)                                                                      \
    {                                                                                              \
        T old = REG(T, op->rm), expected = REG(T, 0);                                              \
        cpu->raw = cmp_flags_##bits(expected, old);                                                \
        if (old == expected)                                                                       \
            SET_REG(T, op->rm, REG(T, op->reg));                                                   \
        else                                                                                       \
            SET_REG(T, 0, old);                                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(cmpxchg_m_##bits)                                                                      \
    {                                                                                              \
        T *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                   \
        T expected = REG(T, 0), old = expected;                                                    \
        bool done = __atomic_compare_exchange_n(                                                   \
                target, &old, REG(T, op->reg), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
        mem_done(cpu);                                                                             \
        cpu->raw = cmp_flags_##bits(expected, old);                                                \
        if (!done)                                                                                 \
            SET_REG(T, 0, old);                                                                    \
        NEXT;                                                                                      \
    }
ATOMICS(uint8_t, 8, "b")
ATOMICS(uint16_t, 16, "w")
ATOMICS(uint32_t, 32, "l")
ATOMICS(uint64_t, 64, "q")

HANDLER(cmpxchg8b)
{
    uint64_t *target = mem_modify(cpu, op, ea(cpu, op), 8);
    uint64_t old = (uint64_t)REG32(cpu, CPU_RDX * 8) << 32 | REG32(cpu, CPU_RAX * 8);
    uint64_t value = (uint64_t)REG32(cpu, CPU_RCX * 8) << 32 | REG32(cpu, CPU_RBX * 8);
    bool done = __atomic_compare_exchange_n(
            target, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    mem_done(cpu);
    flags_set_bit(cpu, RAW_ZF, done);
    if (!done) {
        cpu->regs[CPU_RAX] = (uint32_t)old;
        cpu->regs[CPU_RDX] = old >> 32;
    }
    return op + 1;
}

HANDLER(cmpxchg16b)
{
    cpu->op = op;
    uint64_t linear = ea(cpu, op);
    if (linear & 15)
        cpu_fault_code(cpu, VEC_GP, 0);
    any64 *target = mem_modify(cpu, op, linear, 16);
    uint64_t low = cpu->regs[CPU_RAX], high = cpu->regs[CPU_RDX];
    bool done;
    __asm__ volatile(
            "lock; cmpxchg16b %[m]"
            : "+a"(low), "+d"(high), [m] "+m"(*(unsigned __int128 *)(void *)target), "=@ccz"(done)
            : "b"(cpu->regs[CPU_RBX]), "c"(cpu->regs[CPU_RCX])
            : "memory");
    mem_done(cpu);
    flags_set_bit(cpu, RAW_ZF, done);
    if (!done) {
        cpu->regs[CPU_RAX] = low;
        cpu->regs[CPU_RDX] = high;
    }
    return op + 1;
}

#define ENTRY(text, fn, code_, size_)                                                              \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .form = FORM_EG, .size = size_,                \
        .attr = AT_LOCK | AT_WRITES, .reg = BY_SIZE(fn##_r), .mem = BY_SIZE(fn##_m)                \
    }

/* clang-format off */
static const struct opcode table[] = {
    ENTRY("cmpxchg", cmpxchg, 0xb0, SIZE_B),
    ENTRY("cmpxchg", cmpxchg, 0xb1, SIZE_V),
    ENTRY("xadd", xadd, 0xc0, SIZE_B),
    ENTRY("xadd", xadd, 0xc1, SIZE_V),
    {.name = "cmpxchg8b", .map = MAP_0F, .code = 0xc7, .ext = EXT(1), .form = FORM_E, .size = SIZE_Y, .bytes = 8, .attr = AT_LOCK | AT_WRITES | AT_MEM, .mem = {NULL, NULL, cmpxchg8b, cmpxchg16b}},
};
/* clang-format on */

const struct opcode_list atomic_opcodes = {table, sizeof(table) / sizeof(table[0])};
