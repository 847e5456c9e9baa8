#include <string.h>

#include "build.h"
#include "coverage.h"
#include "cpu/decode.h"
#include "segments.h"
#include "silicon.h"

/* ------------------------------------------------------------------ forms */

#define FORMS_MAX 2048u
static const struct opcode *all_forms[FORMS_MAX];
static size_t form_count;

size_t generate_form_count(void)
{
    if (form_count)
        return form_count;
    for (size_t m = 0; m < cpu_module_count; m++)
        for (size_t i = 0; i < cpu_modules[m]->count; i++)
            if (!coverage_reason(&cpu_modules[m]->list[i]) && form_count < FORMS_MAX)
                all_forms[form_count++] = &cpu_modules[m]->list[i];
    return form_count;
}

const char *generate_form_name(size_t form)
{
    return all_forms[form]->name;
}

/* ------------------------------------------------------------------ building a case */

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

uint64_t build_target(struct builder *builder)
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

/* Where a segment begins in 64-bit code and elsewhere. */
static uint64_t base_of(const struct builder *builder, unsigned segment)
{
    const struct registers *in = &builder->test->in;
    if (in->segment[segment] >> 2)
        return builder->test->bits == 64 && segment < CPU_FS ? 0
                                                             : segments_base(in->segment[segment]);
    return segment >= CPU_FS ? in->base[segment - CPU_FS] : 0;
}

uint64_t build_offset(const struct builder *builder, unsigned segment, uint64_t linear)
{
    return linear - base_of(builder, builder->override < 0 || segment == CPU_ES || builder->is_stack
                                             ? segment
                                             : (unsigned)builder->override);
}

static void put_override(struct builder *builder)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    bool is_64 = builder->test->bits == 64;
    unsigned segment = (unsigned)below(builder->random, CPU_SEGMENTS);
    builder->override = -1;
    if (!chance(builder->random, 8) || (segment == CPU_CS && builder->code_base))
        return; /* the code page holds more than the instruction, and not the same on both sides */
    put(builder, prefixes[segment]);
    if (!is_64 || segment >= CPU_FS)
        builder->override = (int)segment;
}

/* The operand size can be changed. Not that of a branch in flat 32-bit code, which would go to the
 * first 64 KiB. */
static bool is_sized(const struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    bool flat_32 = builder->test->bits == 32 && builder->code_base == 0;
    if (flat_32 && opcode->size == SIZE_F64)
        return false;
    return opcode->size == SIZE_V || opcode->size == SIZE_D64 || opcode->size == SIZE_DIR ||
           (opcode->size == SIZE_F64 && builder->test->bits != 64);
}

static void put_prefixes(struct builder *builder)
{
    static const uint8_t mandatory[] = {0, 0, 0x66, 0xf3, 0xf2};
    const struct opcode *opcode = builder->opcode;
    struct random *random = builder->random;
    bool is_64 = builder->test->bits == 64, other = chance(random, is_64 ? 24 : 8);
    put_override(builder);
    builder->address_bits = is_64                                 ? (other ? 32 : 64)
                            : (builder->test->bits == 32) ^ other ? 32
                                                                  : 16;
    if (other)
        put(builder, 0x67);
    if (opcode->prefix == PREFIX_ANY && is_sized(builder) && chance(random, 4))
        put(builder, 0x66);
    if ((opcode->attr & AT_REP) && chance(random, 2))
        put(builder, chance(random, 2) ? 0xf3 : 0xf2);
    if (mandatory[opcode->prefix])
        put(builder, mandatory[opcode->prefix]);
    if (opcode->prefix > PREFIX_66 && opcode->size == SIZE_V && chance(random, 4))
        put(builder, 0x66);
    if ((opcode->attr & AT_LOCK) && chance(random, 2))
        put(builder, 0xf0);
    builder->has_rex = is_64 && chance(random, 2);
    builder->rex = builder->has_rex ? (unsigned)below(random, 16) : 0;
    if (builder->has_rex)
        put(builder, 0x40 | builder->rex);
    builder->prefix_bytes = builder->test->length;
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

/* What a register holds of an address of fewer bits: the rest of it must not matter. */
static uint64_t widened(const struct builder *builder, uint64_t value)
{
    uint64_t mask = builder->address_bits == 16 ? 0xffff : 0xffffffff;
    if (builder->address_bits == 64 || chance(builder->random, 2))
        return value;
    return (edge_integer(builder->random) & ~mask) | (value & mask);
}

static int64_t displacement(struct random *random, unsigned mod)
{
    int64_t disp = mod == 1   ? (int8_t)random_next(random)
                   : mod == 2 ? (int32_t)random_next(random)
                              : 0;
    return mod == 2 && chance(random, 2) ? disp / (1 << 20) : disp;
}

/* The same with 16-bit addressing. */
static void put_memory_16(struct builder *builder, unsigned reg)
{
    static const uint8_t bases[8] = {
            CPU_RBX, CPU_RBX, CPU_RBP, CPU_RBP, CPU_RSI, CPU_RDI, CPU_RBP, CPU_RBX};
    struct random *random = builder->random;
    uint64_t *gpr = builder->test->in.gpr, target = build_target(builder);
    unsigned mod = (unsigned)below(random, 3), rm = (unsigned)below(random, 8);
    put(builder, mod << 6 | reg << 3 | rm);
    if (mod == 0 && rm == 6) {
        put_bytes(builder, build_offset(builder, CPU_DS, target), 2);
        return;
    }
    int64_t disp = displacement(random, mod);
    uint64_t offset = build_offset(builder, bases[rm] == CPU_RBP ? CPU_SS : CPU_DS, target);
    if (rm < 4)
        offset -= gpr[rm & 1 ? CPU_RDI : CPU_RSI];
    offset -= (uint64_t)disp;
    gpr[bases[rm]] = (gpr[bases[rm]] & ~0xffffull) | (offset & 0xffff);
    put_bytes(builder, (uint64_t)disp, mod);
}

/* A memory operand whose address comes out at the target: the base register is what is missing. */
static void put_memory(struct builder *builder, unsigned reg)
{
    struct random *random = builder->random;
    uint64_t target = build_target(builder);
    uint64_t *gpr = builder->test->in.gpr;
    unsigned mod = (unsigned)below(random, 3), rm = (unsigned)below(random, 8);
    int64_t disp = displacement(random, mod);
    if (mod == 0 && (rm & 7) == 5 && builder->test->bits != 64) { /* in 64-bit code: by RIP */
        put(builder, reg << 3 | rm);
        put_bytes(builder, build_offset(builder, CPU_DS, target), 4);
        return;
    }
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
    unsigned segment = base == CPU_RSP || base == CPU_RBP ? CPU_SS : CPU_DS;
    gpr[base] = widened(builder, build_offset(builder, segment, target) - offset);
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
    if (builder->address_bits == 16)
        put_memory_16(builder, reg);
    else
        put_memory(builder, reg);
}

void build_fill(struct test_case *test, uint64_t value)
{
    for (unsigned i = 0; i < WINDOW_BYTES; i += 8)
        memcpy(test->window + i, &value, 8);
}

void build_by_rsi(struct builder *builder, uint64_t linear)
{
    builder->test->length = builder->prefix_bytes;
    put(builder, builder->opcode->code);
    put(builder, (builder->opcode->ext - 1u) << 3 | (builder->address_bits == 16 ? 4u : CPU_RSI));
    builder->test->in.gpr[CPU_RSI + (builder->rex & 1 ? 8 : 0)] =
            build_offset(builder, CPU_DS, linear);
}

enum cpu_mode build_mode(const struct test_case *test)
{
    return test->bits == 64 ? MODE_64 : test->bits == 32 ? MODE_32 : MODE_16;
}

static bool is_branch(const struct opcode *opcode)
{
    return opcode->form == FORM_JB || opcode->form == FORM_JZ;
}

static uint64_t implicit(struct builder *builder, unsigned segment)
{
    return widened(builder, build_offset(builder, segment, build_target(builder)));
}

/* Registers that the instruction uses without naming them. */
static void set_implicit(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    uint64_t *gpr = builder->test->in.gpr;
    gpr[CPU_RSP] = build_target(builder) - base_of(builder, CPU_SS);
    if (opcode->attr & AT_REP) {
        gpr[CPU_RSI] = implicit(builder, CPU_DS);
        gpr[CPU_RDI] = implicit(builder, CPU_ES);
        gpr[CPU_RCX] = widened(builder, below(builder->random, 20));
    } else if (strncmp(opcode->name, "maskmov", 7) == 0) {
        gpr[CPU_RDI] = implicit(builder, CPU_DS);
    } else if (strcmp(opcode->name, "xlat") == 0) {
        gpr[CPU_RBX] = implicit(builder, CPU_DS);
    } else if (strcmp(opcode->name, "leave") == 0 || strcmp(opcode->name, "enter") == 0) {
        gpr[CPU_RBP] = build_target(builder) - base_of(builder, CPU_SS);
    }
    if (chance(builder->random, 3) && strncmp(opcode->name, "loop", 4) == 0)
        gpr[CPU_RCX] = 1;
}

/* Where an indirect branch goes must be a landing pad; its length is known only afterwards. */
static void aim_branches(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    struct test_case *test = builder->test;
    uint64_t here = CODE_AT - builder->code_base;
    uint64_t pad = here + test->length + (chance(builder->random, 2) ? PAD_BYTES : 0);
    bool is_ret = strcmp(opcode->name, "ret") == 0;
    bool indirect = opcode->code == 0xff && opcode->map == MAP_1 &&
                    (opcode->ext == EXT(2) || opcode->ext == EXT(4));
    if (!is_ret && !indirect)
        return;
    build_fill(test, pad);
    if (is_ret) /* other memory holds no pad, but what may be an address as well */
        test->in.gpr[CPU_RSP] =
                MIDDLE_AT + below(builder->random, MIDDLE_BYTES / 8) * 8 - base_of(builder, CPU_SS);
    if (!indirect)
        return;
    const uint8_t *modrm = test->code + test->length - 1;
    if (!builder->mem) {
        test->in.gpr[wide(builder, *modrm & 7u, 1)] = pad;
        return;
    }
    build_by_rsi(builder, MIDDLE_AT + 64);
    build_fill(test, here + test->length + PAD_BYTES);
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
        value = build_offset(builder, CPU_DS, build_target(builder));
    else if (strcmp(opcode->name, "int") == 0 && (uint8_t)value == 0x80) /* Linux's own */
        value = 0x81;
    memcpy(test->code + start, &value, 8);
    unsigned length = cpu_decode(test->code, 15, build_mode(test), &op, &decoded);
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
    for (unsigned i = 0; i < 8 && test->bits != 64; i++)
        test->in.gpr[i] = (uint32_t)test->in.gpr[i];
}

static unsigned choose_bits(struct random *random, const struct opcode *opcode)
{
    if (!(opcode->attr & AT_NO64) && !chance(random, 3))
        return 64;
    if (opcode->attr & AT_ONLY64)
        return 64;
    return chance(random, 3) ? 16 : 32;
}

/* Flat segments as a rule; in 16-bit code, and at times in 32-bit code, others. FS and GS begin
 * somewhere in the data. */
static void choose_segments(struct builder *builder)
{
    static const uint16_t flat[] = {FLAT_DATA, 0, FLAT_DATA, FLAT_DATA, 0, 0};
    struct test_case *test = builder->test;
    struct random *random = builder->random;
    bool local = test->bits == 16 || (test->bits == 32 && chance(random, 2));
    memcpy(test->in.segment, flat, sizeof(flat));
    test->in.base[0] = DATA_AT + below(random, 256);
    test->in.base[1] = DATA_AT + below(random, 256);
    if (test->bits != 64)
        for (unsigned i = CPU_FS; i <= CPU_GS; i++)
            test->in.segment[i] = chance(random, 4) ? segments_data(random) : LOCAL_DATA_32;
    if (!local)
        return;
    builder->code_base = CODE_AT;
    test->in.segment[CPU_ES] = test->in.segment[CPU_DS] = LOCAL_DATA_32;
    test->in.segment[CPU_SS] = test->bits == 16 ? LOCAL_DATA_16 : LOCAL_DATA_32;
    if (chance(random, 3))
        test->in.segment[CPU_ES] = segments_data(random);
    if (chance(random, 3))
        test->in.segment[CPU_DS] = segments_data(random);
    if (chance(random, 3))
        test->in.segment[CPU_SS] = segments_stack(random);
}

static void choose_code(struct builder *builder)
{
    struct test_case *test = builder->test;
    test->in.segment[CPU_CS] = test->bits == 64          ? CODE_64
                               : test->bits == 16        ? LOCAL_CODE_16
                               : builder->code_base != 0 ? LOCAL_CODE_32
                                                         : CODE_32;
    test->landing = test->bits;
}

void generate_case(struct random *random, size_t form, struct test_case *ret)
{
    struct builder builder = {.random = random, .test = ret};
    generate_form_count();
    builder.opcode = all_forms[form];
    builder.is_stack = builder.opcode->attr & AT_STACK && !has_modrm(builder.opcode);
    memset(ret, 0, offsetof(struct test_case, in));
    ret->name = builder.opcode->name;
    ret->bits = choose_bits(random, builder.opcode);
    fill_registers(random, ret);
    choose_segments(&builder);
    choose_code(&builder);
    cut_registers(ret);
    put_prefixes(&builder);
    set_implicit(&builder);
    put_opcode(&builder);
    if (has_modrm(builder.opcode))
        put_modrm(&builder);
    put_immediate(&builder);
    aim_branches(&builder);
    build_special(&builder);
    cut_registers(ret);
}
