#include <string.h>

#include "cpu/decode.h"
#include "silicon.h"

/* ------------------------------------------------------------------ randomness */

uint64_t random_next(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

static bool chance(struct random *random, unsigned of)
{
    return below(random, of) == 0;
}

static uint64_t edge_integer(struct random *random)
{
    uint64_t wide = random_next(random);
    switch (below(random, 10)) {
    case 0:
        return 0;
    case 1:
        return ~0ull;
    case 2:
        return below(random, 70);
    case 3:
        return 0 - below(random, 70);
    case 4:
        return 1ull << (wide & 63);
    case 5:
        return (1ull << (wide & 63)) - 1;
    case 6:
        return 0x8000800080008000ull ^ (wide & 0x0001000100010001ull);
    case 7:
        return 0x7f7f7f7f80808080ull ^ (wide & 0x0101010101010101ull);
    case 8:
        return (uint32_t)wide;
    default:
        return wide;
    }
}

static uint64_t edge_double(struct random *random)
{
    static const uint64_t values[] = {0, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
            0x7ff0000000000001, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
            0x3ca0000000000000, 0x4330000000000001, 0x41dfffffffc00000, 0x43e0000000000000,
            0x3fe0000000000000, 0x36a0000000000000, 0x380fffffffffffff};
    uint64_t sign = random_next(random) & (1ull << 63);
    if (chance(random, 3))
        return (random_next(random) & 0x000fffffffffffff) | (0x3d0 + below(random, 96)) << 52 |
               sign;
    return values[below(random, sizeof(values) / 8)] | sign;
}

static uint32_t edge_single(struct random *random)
{
    static const uint32_t values[] = {0, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 1,
            0x007fffff, 0x00800000, 0x7f7fffff, 0x3f000000, 0x4b000001, 0x4effffff, 0x4f000000,
            0x5f000000, 0x33800000, 0x00000100};
    uint32_t sign = (uint32_t)random_next(random) & 0x80000000u;
    if (chance(random, 3))
        return ((uint32_t)random_next(random) & 0x007fffff) |
               (uint32_t)(0x60 + below(random, 64)) << 23 | sign;
    return values[below(random, sizeof(values) / 4)] | sign;
}

static uint64_t edge_word(struct random *random)
{
    switch (below(random, 4)) {
    case 0:
        return edge_double(random);
    case 1:
        return edge_single(random) | (uint64_t)edge_single(random) << 32;
    case 2:
        return random_next(random);
    default:
        return edge_integer(random);
    }
}

static void edge_extended(struct random *random, uint8_t *value)
{
    static const uint16_t exponents[] = {
            0, 0x3fff, 0x7fff, 1, 0x7ffe, 0x4000, 0x403e, 0x3fc0, 0x4030, 0x3ffe, 0x401e, 0x0001};
    uint64_t significand = edge_integer(random);
    uint16_t exponent = exponents[below(random, sizeof(exponents) / 2)];
    if (chance(random, 2))
        exponent = (uint16_t)(0x3fc0 + below(random, 0x80));
    if (!chance(random, 8)) /* normalised, but for a few */
        significand |= exponent ? 1ull << 63 : 0;
    if (chance(random, 2))
        exponent |= 0x8000;
    memcpy(value, &significand, 8);
    memcpy(value + 8, &exponent, 2);
}

/* ------------------------------------------------------------------ forms */

static const struct opcode_list *const modules[] = {&alu_opcodes, &shift_opcodes, &muldiv_opcodes,
        &bits_opcodes, &move_opcodes, &stack_opcodes, &branch_opcodes, &string_opcodes,
        &atomic_opcodes, &system_opcodes, &sse_opcodes, &sse_move_opcodes, &sse_imm_opcodes,
        &sse_convert_opcodes, &mmx_opcodes, &x87_opcodes, &fxsave_opcodes, &decimal_opcodes};

/* Not for user mode, or different on every run. */
static bool left_out(const struct opcode *opcode)
{
    static const char *const names[] = {"ins", "outs", "cli", "sti", "hlt", "cpuid", "rdtsc",
            "rdtscp", "rdpmc", "rdmsr", "wrmsr", "rdrand", "invd", "wbinvd", "clts", "invlpg",
            "lmsw", "smsw", "swapgs", "stac", "clac", "rdfsbase", "rdgsbase", "wrfsbase",
            "wrgsbase", "popf", "pushf", "ud0"};
    if (opcode->form == FORM_CR)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(opcode->name, names[i]) == 0)
            return true;
    return false;
}

#define FORMS_MAX 2048u
static const struct opcode *all_forms[FORMS_MAX];
static size_t form_count;

size_t generate_form_count(void)
{
    if (form_count)
        return form_count;
    for (size_t m = 0; m < sizeof(modules) / sizeof(modules[0]); m++)
        for (size_t i = 0; i < modules[m]->count; i++)
            if (!left_out(&modules[m]->list[i]) && form_count < FORMS_MAX)
                all_forms[form_count++] = &modules[m]->list[i];
    return form_count;
}

/* ------------------------------------------------------------------ building a case */

struct builder {
    struct random *random;
    struct test_case *test;
    const struct opcode *opcode;
    unsigned rex;
    bool has_rex, addr32, mem;
};

static void put(struct builder *builder, unsigned byte)
{
    builder->test->code[builder->test->length++] = (uint8_t)byte;
}

static void put_bytes(struct builder *builder, uint64_t value, unsigned count)
{
    memcpy(builder->test->code + builder->test->length, &value, count);
    builder->test->length += count;
}

static bool has_modrm(const struct opcode *opcode)
{
    return opcode->form != FORM_NONE && (opcode->form < FORM_O || opcode->form > FORM_FAR);
}

static bool is_bit_test(const struct opcode *opcode)
{
    return opcode->name[0] == 'b' && opcode->name[1] == 't' && opcode->form == FORM_EG;
}

static uint64_t target_address(struct builder *builder)
{
    struct random *random = builder->random;
    unsigned align = chance(random, 3) ? 1 : 16;
    switch (below(random, 20)) {
    case 0:
        return END_AT + END_BYTES - below(random, 20);
    case 1:
        return CONST_AT + below(random, 64) * align;
    case 2:
        return chance(random, 4) ? 0x8000000000000000ull | MIDDLE_AT : HOLE_AT + 64;
    case 3:
        return DATA_AT + 0x1000 - below(random, 18);
    default:
        return MIDDLE_AT + 64 + below(random, 320 / align) * align;
    }
}

static void put_prefixes(struct builder *builder)
{
    static const uint8_t mandatory[] = {0, 0, 0x66, 0xf3, 0xf2};
    const struct opcode *opcode = builder->opcode;
    struct random *random = builder->random;
    bool sized = opcode->size == SIZE_V || opcode->size == SIZE_D64;
    bool is_32 = builder->test->is_32;
    if (is_32 && (opcode->attr & AT_END)) /* a branch to the first 64 KiB */
        sized = false;
    if (!is_32 && chance(random, 24))
        builder->addr32 = true;
    if (builder->addr32)
        put(builder, 0x67);
    if (opcode->prefix == PREFIX_ANY && sized && chance(random, 4))
        put(builder, 0x66);
    if ((opcode->attr & AT_REP) && chance(random, 2))
        put(builder, chance(random, 2) ? 0xf3 : 0xf2);
    if (mandatory[opcode->prefix])
        put(builder, mandatory[opcode->prefix]);
    if (opcode->prefix == PREFIX_F2 && strcmp(opcode->name, "crc32") == 0 && chance(random, 4))
        put(builder, 0x66);
    if ((opcode->attr & AT_LOCK) && chance(random, 4))
        put(builder, 0xf0);
    builder->has_rex = !is_32 && chance(random, 2);
    builder->rex = builder->has_rex ? (unsigned)below(random, 16) : 0;
    if (builder->has_rex)
        put(builder, 0x40 | builder->rex);
}

static void put_opcode(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    unsigned span = opcode->span ? opcode->span : 1;
    if (opcode->map != MAP_1)
        put(builder, 0x0f);
    if (opcode->map == MAP_0F38 || opcode->map == MAP_0F3A)
        put(builder, opcode->map == MAP_0F38 ? 0x38 : 0x3a);
    put(builder, opcode->code + (unsigned)below(builder->random, span));
}

static unsigned wide(const struct builder *builder, unsigned reg, unsigned rex_bit)
{
    return reg | (builder->rex & rex_bit ? 8u : 0);
}

/* A memory operand whose address comes out at the target: the base register is what is missing. */
static void put_memory(struct builder *builder, unsigned reg)
{
    struct random *random = builder->random;
    uint64_t target = target_address(builder);
    uint64_t *gpr = builder->test->in.gpr;
    unsigned mod = (unsigned)below(random, 3), rm = (unsigned)below(random, 8);
    int64_t disp = mod == 1   ? (int8_t)random_next(random)
                   : mod == 2 ? (int32_t)random_next(random)
                              : 0;
    if (mod == 2 && chance(random, 2))
        disp /= 1 << 20;
    if (mod == 0 && (rm & 7) == 5)
        rm = 3;
    put(builder, mod << 6 | reg << 3 | rm);
    unsigned base = wide(builder, rm, 1);
    uint64_t offset = (uint64_t)disp;
    if (rm == 4) {
        unsigned scale = (unsigned)below(random, 4), index = (unsigned)below(random, 8);
        unsigned low = (unsigned)below(random, 8);
        if (mod == 0 && low == 5)
            low = 6;
        put(builder, scale << 6 | index << 3 | low);
        base = wide(builder, low, 1);
        unsigned full = wide(builder, index, 2);
        if (full != 4 && full == base) { /* base * (1 + scale) cannot be solved: target lost */
            gpr[base] = target / (1 + (1u << scale));
            put_bytes(builder, (uint64_t)disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
            return;
        }
        if (full != 4)
            offset += gpr[full] << scale;
    }
    gpr[base] = target - offset;
    put_bytes(builder, (uint64_t)disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static void put_modrm(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    struct random *random = builder->random;
    unsigned reg = (unsigned)below(random, 8), rm = (unsigned)below(random, 8);
    bool mem = opcode->attr & AT_MEM || (!(opcode->attr & AT_REG) && chance(random, 2));
    if (opcode->ext & 0x80) {
        reg = (opcode->ext >> 3) & 7;
        rm = opcode->ext & 7;
        mem = false;
    } else if (opcode->ext) {
        reg = opcode->ext - 1u;
    }
    builder->mem = mem;
    if (!mem) {
        put(builder, 0xc0 | reg << 3 | rm);
        return;
    }
    if (is_bit_test(opcode))
        builder->test->in.gpr[wide(builder, reg, 4)] = below(random, 512) - 256;
    put_memory(builder, reg);
}

static bool is_branch(const struct opcode *opcode)
{
    return opcode->form == FORM_JB || opcode->form == FORM_JZ;
}

/* Registers that the instruction uses without naming them. */
static void set_implicit(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    uint64_t *gpr = builder->test->in.gpr;
    gpr[CPU_RSP] = target_address(builder);
    if (opcode->attr & AT_REP) {
        gpr[CPU_RSI] = target_address(builder);
        gpr[CPU_RDI] = target_address(builder);
        gpr[CPU_RCX] = below(builder->random, 20);
    } else if (strncmp(opcode->name, "maskmov", 7) == 0) {
        gpr[CPU_RDI] = target_address(builder);
    } else if (strcmp(opcode->name, "xlat") == 0) {
        gpr[CPU_RBX] = target_address(builder);
    } else if (strcmp(opcode->name, "leave") == 0 || strcmp(opcode->name, "enter") == 0) {
        gpr[CPU_RBP] = target_address(builder);
    }
    if (chance(builder->random, 3) && strncmp(opcode->name, "loop", 4) == 0)
        gpr[CPU_RCX] = 1;
}

/* Where an indirect branch goes must be a landing pad; its length is known only afterwards. */
static void aim_branches(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    struct test_case *test = builder->test;
    uint64_t pad = CODE_AT + test->length + (chance(builder->random, 2) ? PAD_BYTES : 0);
    bool is_ret = strcmp(opcode->name, "ret") == 0;
    bool indirect = opcode->code == 0xff && opcode->map == MAP_1 &&
                    (opcode->ext == EXT(2) || opcode->ext == EXT(4));
    if (!is_ret && !indirect)
        return;
    for (unsigned i = 0; i < WINDOW_BYTES; i += 8)
        memcpy(test->window + i, &pad, 8);
    if (is_ret)
        test->in.gpr[CPU_RSP] &= ~7ull;
    if (is_ret && test->is_32) /* other memory holds no pad, but what is an address there as well */
        test->in.gpr[CPU_RSP] = MIDDLE_AT + below(builder->random, MIDDLE_BYTES / 8) * 8;
    if (!indirect)
        return;
    const uint8_t *modrm = test->code + test->length - 1;
    if (!builder->mem) {
        test->in.gpr[wide(builder, *modrm & 7u, 1)] = pad;
        return;
    }
    /* a memory form: keep to aligned places inside the window by using RSI alone */
    test->length = 0;
    put(builder, 0xff);
    put(builder, (opcode->ext - 1u) << 3 | CPU_RSI);
    pad = CODE_AT + test->length + PAD_BYTES;
    for (unsigned i = 0; i < WINDOW_BYTES; i += 8)
        memcpy(test->window + i, &pad, 8);
    test->in.gpr[CPU_RSI] = MIDDLE_AT + 64;
}

static void put_immediate(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    struct test_case *test = builder->test;
    struct decoded decoded;
    struct op op;
    unsigned start = test->length;
    uint64_t value = edge_integer(builder->random);
    if (is_branch(opcode))
        value = chance(builder->random, 2) ? PAD_BYTES : 0;
    else if (opcode->form == FORM_IWIB)
        value = below(builder->random, 64) | below(builder->random, 4) << 16;
    else if (opcode->form == FORM_IW)
        value &= 0xff;
    else if (opcode->form == FORM_MOFFS)
        value = target_address(builder);
    memcpy(test->code + start, &value, 8);
    unsigned length = cpu_decode(test->code, 15, test->is_32 ? MODE_32 : MODE_64, &op, &decoded);
    test->length = length > start ? length : start;
}

/* ------------------------------------------------------------------ register contents */

static void fill_fx(struct random *random, uint8_t *fx)
{
    uint16_t cw = (uint16_t)(0x7f | below(random, 16) << 8), sw;
    uint32_t mxcsr = 0x1f80 | (uint32_t)below(random, 4) << 13;
    uint64_t word;
    if (chance(random, 6))
        cw = (uint16_t)((cw & ~0x3fu) | below(random, 64));
    sw = (uint16_t)(below(random, 8) << 11 | (below(random, 256) & 0x47) << 8);
    if (chance(random, 8))
        sw |= (uint16_t)below(random, 64);
    if (sw & ~cw & 0x3f)
        sw |= 0x8080;
    if (chance(random, 6))
        mxcsr = (mxcsr & ~0x1f80u) | (uint32_t)below(random, 64) << 7;
    if (chance(random, 4))
        mxcsr |= (uint32_t)below(random, 64) | (chance(random, 2) ? 0x40u : 0) |
                 (chance(random, 2) ? 0x8000u : 0);
    memset(fx, 0, 512);
    memcpy(fx, &cw, 2);
    memcpy(fx + 2, &sw, 2);
    fx[4] = chance(random, 3) ? (uint8_t)random_next(random) : 0xff;
    memcpy(fx + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        edge_extended(random, fx + 32 + i * 16);
    for (unsigned i = 0; i < 32; i++) {
        word = edge_word(random);
        memcpy(fx + 160 + i * 8, &word, 8);
    }
}

static void fill_registers(struct random *random, struct test_case *test)
{
    for (unsigned i = 0; i < 16; i++)
        test->in.gpr[i] = edge_integer(random);
    test->in.flags = 0x202 | (random_next(random) & 0x8d5) | (chance(random, 6) ? 0x400 : 0);
    fill_fx(random, test->in.fx);
    for (unsigned i = 0; i < WINDOW_BYTES; i += 8) {
        uint64_t word = edge_word(random);
        memcpy(test->window + i, &word, 8);
    }
}

/* Registers have 32 bits there; what the upper halves come to is not defined. */
static void cut_registers(struct test_case *test)
{
    for (unsigned i = 0; i < 8; i++)
        test->in.gpr[i] = (uint32_t)test->in.gpr[i];
}

static bool in_32_bit_code(struct random *random, const struct opcode *opcode)
{
    if (opcode->attr & AT_NO64)
        return true;
    return !(opcode->attr & AT_ONLY64) && chance(random, 4);
}

void generate_case(struct random *random, size_t form, struct test_case *ret)
{
    struct builder builder = {.random = random, .test = ret};
    generate_form_count();
    builder.opcode = all_forms[form];
    memset(ret, 0, offsetof(struct test_case, in));
    ret->name = builder.opcode->name;
    ret->is_32 = in_32_bit_code(random, builder.opcode);
    fill_registers(random, ret);
    if (ret->is_32)
        cut_registers(ret);
    set_implicit(&builder);
    put_prefixes(&builder);
    put_opcode(&builder);
    if (has_modrm(builder.opcode))
        put_modrm(&builder);
    put_immediate(&builder);
    aim_branches(&builder);
    if (ret->is_32)
        cut_registers(ret);
}
