#include "cpu/decode.h"

#include <pthread.h>
#include <string.h>

#include "base/cleanup.h"
#include "cpu/undefined.h"

/* What identifies the encoding, kept in the operation's immediate. */
static uint64_t undefined_key(const struct decoded *decoded)
{
    return (uint64_t)decoded->vex << 24 | (uint64_t)decoded->map << 16 |
           (uint64_t)decoded->prefix << 8 | decoded->code;
}

const struct opcode_list *const cpu_modules[] = {&alu_opcodes, &shift_opcodes, &muldiv_opcodes,
        &bits_opcodes, &move_opcodes, &stack_opcodes, &branch_opcodes, &string_opcodes,
        &atomic_opcodes, &system_opcodes, &segment_opcodes, &port_opcodes, &decimal_opcodes,
        &far_opcodes, &descriptor_opcodes, &sse_opcodes, &sse_move_opcodes, &sse_imm_opcodes,
        &sse_convert_opcodes, &mmx_opcodes, &x87_opcodes, &fxsave_opcodes};
const size_t cpu_module_count = ARRAY_SIZE(cpu_modules);

/* ------------------------------------------------------------------ forms */

enum operand_kind { KIND_NO, KIND_GENERAL, KIND_XMM, KIND_MMX, KIND_NUMBER, KIND_OPCODE, KIND_ACC };
enum imm_kind { IMM_NO, IMM_1, IMM_B, IMM_UB, IMM_Z, IMM_FULL, IMM_W, IMM_WB, IMM_MOFFS, IMM_FAR };

struct form_info {
    uint8_t modrm, reg, rm, imm;
    bool swap; /* register forms exchange reg and rm */
};

static const struct form_info forms[FORM_COUNT] = {
        [FORM_EG] = {1, KIND_GENERAL, KIND_GENERAL, IMM_NO},
        [FORM_GE] = {1, KIND_GENERAL, KIND_GENERAL, IMM_NO, true},
        [FORM_GR] = {1, KIND_GENERAL, KIND_GENERAL, IMM_NO},
        [FORM_E] = {1, KIND_NUMBER, KIND_GENERAL, IMM_NO},
        [FORM_E1] = {1, KIND_NUMBER, KIND_GENERAL, IMM_1},
        [FORM_EIB] = {1, KIND_NUMBER, KIND_GENERAL, IMM_B},
        [FORM_EIZ] = {1, KIND_NUMBER, KIND_GENERAL, IMM_Z},
        [FORM_GRIB] = {1, KIND_GENERAL, KIND_GENERAL, IMM_B},
        [FORM_GRIZ] = {1, KIND_GENERAL, KIND_GENERAL, IMM_Z},
        [FORM_SE] = {1, KIND_NUMBER, KIND_GENERAL, IMM_NO},
        [FORM_CR] = {1, KIND_NUMBER, KIND_GENERAL, IMM_NO},
        [FORM_O] = {0, KIND_NO, KIND_OPCODE, IMM_NO},
        [FORM_OI] = {0, KIND_NO, KIND_OPCODE, IMM_FULL},
        [FORM_OA] = {0, KIND_ACC, KIND_OPCODE, IMM_NO},
        [FORM_AI] = {0, KIND_NO, KIND_ACC, IMM_Z},
        [FORM_IB] = {0, KIND_NO, KIND_NO, IMM_B},
        [FORM_IZ] = {0, KIND_NO, KIND_NO, IMM_Z},
        [FORM_IW] = {0, KIND_NO, KIND_NO, IMM_W},
        [FORM_IWIB] = {0, KIND_NO, KIND_NO, IMM_WB},
        [FORM_JB] = {0, KIND_NO, KIND_NO, IMM_B},
        [FORM_JZ] = {0, KIND_NO, KIND_NO, IMM_Z},
        [FORM_MOFFS] = {0, KIND_NO, KIND_ACC, IMM_MOFFS},
        [FORM_FAR] = {0, KIND_NO, KIND_NO, IMM_FAR},
        [FORM_VW] = {1, KIND_XMM, KIND_XMM, IMM_NO},
        [FORM_VWI] = {1, KIND_XMM, KIND_XMM, IMM_UB},
        [FORM_WI] = {1, KIND_NUMBER, KIND_XMM, IMM_UB},
        [FORM_VE] = {1, KIND_XMM, KIND_GENERAL, IMM_NO},
        [FORM_VEI] = {1, KIND_XMM, KIND_GENERAL, IMM_UB},
        [FORM_GW] = {1, KIND_GENERAL, KIND_XMM, IMM_NO},
        [FORM_GWI] = {1, KIND_GENERAL, KIND_XMM, IMM_UB},
        [FORM_PQ] = {1, KIND_MMX, KIND_MMX, IMM_NO},
        [FORM_PQI] = {1, KIND_MMX, KIND_MMX, IMM_UB},
        [FORM_QI] = {1, KIND_NUMBER, KIND_MMX, IMM_UB},
        [FORM_PE] = {1, KIND_MMX, KIND_GENERAL, IMM_NO},
        [FORM_PEI] = {1, KIND_MMX, KIND_GENERAL, IMM_UB},
        [FORM_GQ] = {1, KIND_GENERAL, KIND_MMX, IMM_NO},
        [FORM_GQI] = {1, KIND_GENERAL, KIND_MMX, IMM_UB},
        [FORM_VQ] = {1, KIND_XMM, KIND_MMX, IMM_NO},
        [FORM_PW] = {1, KIND_MMX, KIND_XMM, IMM_NO},
};

/* ------------------------------------------------------------------ index of all tables */

/* What an opcode asks of the encoding, in the form that it is compared in: bits of enum situation,
 * of which none may be there, and of the prefixes, of which one must be. */
struct candidate {
    const struct opcode *opcode;
    uint8_t prefixes, refuses, ext;
    bool modrm;
};

enum situation { IN_64 = 1, NOT_IN_64 = 2, WITH_REG = 4, WITH_MEM = 8 };

#define ANY_PREFIX 0xffu
/* For opcodes that ignore F2 and F3 beside 66: what there is without them. */
#define PLAIN_PREFIX(rule) (0x20u << ((rule) == PREFIX_66))

#define CANDIDATES_MAX 2048u

/* Those of one code stand side by side, in the order of the tables. */
static struct candidate candidates[CANDIDATES_MAX];
static struct {
    uint16_t first, count;
} by_code[MAP_COUNT][256];
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static struct candidate candidate_of(const struct opcode *opcode)
{
    struct candidate candidate = {
            .opcode = opcode, .ext = opcode->ext, .modrm = forms[opcode->form].modrm};

    candidate.prefixes = opcode->prefix == PREFIX_ANY ? ANY_PREFIX : 1u << opcode->prefix;
    if (opcode->attr & AT_NO66F)
        candidate.prefixes |= PLAIN_PREFIX(opcode->prefix);
    if (opcode->attr & AT_NO64)
        candidate.refuses |= IN_64;
    if (opcode->attr & AT_ONLY64)
        candidate.refuses |= NOT_IN_64;
    if (candidate.modrm && opcode->form != FORM_CR && (opcode->attr & AT_MEM))
        candidate.refuses |= WITH_REG;
    if (candidate.modrm && opcode->form != FORM_CR && (opcode->attr & AT_REG))
        candidate.refuses |= WITH_MEM;
    return candidate;
}

static void for_all_codes(void (*visit)(const struct opcode *opcode, unsigned code))
{
    for (size_t m = 0; m < cpu_module_count; m++) {
        for (size_t i = 0; i < cpu_modules[m]->count; i++) {
            const struct opcode *opcode = &cpu_modules[m]->list[i];
            unsigned span = opcode->span ? opcode->span : 1;
            for (unsigned code = opcode->code; code < opcode->code + span; code++)
                visit(opcode, code);
        }
    }
}

static void count_code(const struct opcode *opcode, unsigned code)
{
    by_code[opcode->map][code].count++;
}

static void index_code(const struct opcode *opcode, unsigned code)
{
    unsigned at = by_code[opcode->map][code].first + by_code[opcode->map][code].count++;
    if (at < CANDIDATES_MAX)
        candidates[at] = candidate_of(opcode);
}

static void index_all(void)
{
    unsigned first = 0;
    for_all_codes(count_code);
    for (unsigned map = 0; map < MAP_COUNT; map++) {
        for (unsigned code = 0; code < 256; code++) {
            by_code[map][code].first = (uint16_t)first;
            first += by_code[map][code].count;
            by_code[map][code].count = 0;
        }
    }
    for_all_codes(index_code);
}

/* ------------------------------------------------------------------ reading bytes */

#define LENGTH_MAX 15u

struct reader {
    uint8_t bytes[LENGTH_MAX + 8 + 1]; /* whole words can be taken from each place */
    unsigned at, available;
    bool more; /* ran out of bytes */
    enum cpu_mode mode;
    uint8_t rex, segment; /* segment: SEG_NONE or the override */
    bool size66, addr67, lock;
    uint8_t repeat; /* 0, 0xf2, 0xf3 */
    uint8_t modrm;
};

static uint64_t take(struct reader *reader, unsigned size)
{
    uint64_t value;
    if (reader->at + size > reader->available) {
        reader->more = true;
        return 0;
    }
    memcpy(&value, reader->bytes + reader->at, sizeof(value));
    reader->at += size;
    return size < 8 ? value & ((UINT64_C(1) << (size * 8)) - 1) : value;
}

static uint64_t take_signed(struct reader *reader, unsigned size)
{
    unsigned shift = 64 - size * 8;
    return (uint64_t)((int64_t)(take(reader, size) << shift) >> shift);
}

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

static bool take_prefix(struct reader *reader, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        if (reader->mode != MODE_64) /* 64-bit code ignores these */
            reader->segment = (uint8_t)((byte - 0x26) / 8);
        return true;
    case 0x64:
    case 0x65:
        reader->segment = (uint8_t)(byte - 0x64 + CPU_FS);
        return true;
    case 0x66:
        reader->size66 = true;
        return true;
    case 0x67:
        reader->addr67 = true;
        return true;
    case 0xf0:
        reader->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        reader->repeat = byte;
        return true;
    default:
        return false;
    }
}

/* Prefixes, a REX that counts only right before the opcode, then the opcode's first byte. */
static uint8_t take_prefixes(struct reader *reader)
{
    for (;;) {
        uint8_t byte = (uint8_t)take(reader, 1);
        if (reader->more)
            return 0;
        if (take_prefix(reader, byte)) {
            reader->rex = 0;
        } else if (reader->mode == MODE_64 && (byte & 0xf0) == 0x40) {
            reader->rex = byte;
        } else {
            return byte;
        }
    }
}

/* ------------------------------------------------------------------ operands */

static uint8_t byte_register(const struct reader *reader, unsigned number)
{
    if (!reader->rex && number >= 4 && number < 8)
        return (uint8_t)((number - 4) * 8 + 1);
    return (uint8_t)(number * 8);
}

static uint8_t operand(
        const struct reader *reader, enum operand_kind kind, unsigned number, bool is_byte)
{
    switch (kind) {
    case KIND_GENERAL:
    case KIND_OPCODE:
        return is_byte ? byte_register(reader, number) : (uint8_t)(number * 8);
    case KIND_ACC:
    case KIND_NO:
        return 0;
    case KIND_MMX:
        return number & 7;
    default:
        return (uint8_t)number;
    }
}

static void no_base(struct op *op)
{
    op->base = op->index = REG_ZERO * 8;
}

static void take_disp(struct reader *reader, struct op *op, unsigned size)
{
    if (size)
        op->disp = (int64_t)take_signed(reader, size);
}

/* 16-bit addressing: two registers by table. */
static void take_address_16(struct reader *reader, struct op *op)
{
    static const uint8_t bases[8] = {
            CPU_RBX, CPU_RBX, CPU_RBP, CPU_RBP, CPU_RSI, CPU_RDI, CPU_RBP, CPU_RBX};
    static const uint8_t indexes[8] = {
            CPU_RSI, CPU_RDI, CPU_RSI, CPU_RDI, REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
    unsigned mod = reader->modrm >> 6, rm = reader->modrm & 7;
    if (mod == 0 && rm == 6) {
        no_base(op);
        take_disp(reader, op, 2);
        return;
    }
    op->base = (uint8_t)(bases[rm] * 8);
    op->index = (uint8_t)(indexes[rm] * 8);
    if (bases[rm] == CPU_RBP)
        op->seg = CPU_SS;
    take_disp(reader, op, mod);
}

static void take_sib(struct reader *reader, struct op *op, unsigned mod)
{
    uint8_t sib = (uint8_t)take(reader, 1);
    unsigned index = ((sib >> 3) & 7u) | (reader->rex & REX_X ? 8u : 0);
    unsigned base = (sib & 7u) | (reader->rex & REX_B ? 8u : 0);
    op->scale = sib >> 6;
    if (index != CPU_RSP)
        op->index = (uint8_t)(index * 8);
    if ((base & 7) == CPU_RBP && mod == 0) {
        take_disp(reader, op, 4);
        return;
    }
    op->base = (uint8_t)(base * 8);
    if (base == CPU_RSP || base == CPU_RBP)
        op->seg = CPU_SS;
}

static void take_address(struct reader *reader, struct op *op)
{
    static const uint8_t disp_size[4] = {0, 1, 4, 0};
    unsigned mod = reader->modrm >> 6, rm = reader->modrm & 7u;
    no_base(op);
    if (op->flags & OP_A16) {
        take_address_16(reader, op);
        return;
    }
    if (rm == CPU_RSP) {
        take_sib(reader, op, mod);
    } else if (rm == CPU_RBP && mod == 0) {
        take_disp(reader, op, 4);
        if (reader->mode == MODE_64)
            op->base = REG_PAGE * 8; /* the length is added once it is known */
        return;
    } else {
        unsigned base = rm | (reader->rex & REX_B ? 8u : 0);
        op->base = (uint8_t)(base * 8);
        if (base == CPU_RBP)
            op->seg = CPU_SS;
    }
    take_disp(reader, op, disp_size[mod]);
}

static uint8_t address_flags(const struct reader *reader)
{
    static const uint8_t flags[3][2] = {{OP_A16, OP_A32}, {OP_A32, OP_A16}, {0, OP_A32}};
    return flags[reader->mode][reader->addr67];
}

static uint8_t operand_size(const struct reader *reader, enum size_rule rule)
{
    bool word = reader->mode == MODE_16 ? !reader->size66 : reader->size66;
    switch (rule) {
    case SIZE_B:
    case SIZE_W:
    case SIZE_D:
    case SIZE_Q:
        return (uint8_t)rule;
    case SIZE_V:
        return reader->rex & REX_W ? 3 : word ? 1 : 2;
    case SIZE_Y:
        return reader->rex & REX_W ? 3 : 2;
    case SIZE_D64:
        if (reader->mode != MODE_64)
            return word ? 1 : 2;
        return word && !(reader->rex & REX_W) ? 1 : 3;
    case SIZE_F64:
        return reader->mode == MODE_64 ? 3 : word ? 1 : 2;
    case SIZE_DIR:
        return word && !(reader->rex & REX_W) ? 1 : 2;
    default:
        return reader->mode == MODE_64 ? 3 : 2;
    }
}

static void take_far(struct reader *reader, struct op *op)
{
    uint64_t offset = take(reader, op->size == 1 ? 2 : 4);
    op->imm = offset | take(reader, 2) << 32;
}

static void take_immediate(struct reader *reader, enum imm_kind kind, struct op *op)
{
    static const uint8_t z_size[4] = {1, 2, 4, 4};
    switch (kind) {
    case IMM_NO:
        break;
    case IMM_1:
        op->imm = 1;
        break;
    case IMM_B:
        op->imm = take_signed(reader, 1);
        break;
    case IMM_UB:
        op->imm = take(reader, 1);
        break;
    case IMM_Z:
        op->imm = take_signed(reader, z_size[op->size]);
        break;
    case IMM_FULL:
        op->imm = take(reader, 1u << op->size);
        break;
    case IMM_W:
        op->imm = take(reader, 2);
        break;
    case IMM_WB:
        op->imm = take(reader, 2);
        op->imm |= take(reader, 1) << 16;
        break;
    case IMM_MOFFS:
        op->imm = take(reader, op->flags & OP_A16 ? 2 : op->flags & OP_A32 ? 4 : 8);
        break;
    case IMM_FAR:
        take_far(reader, op);
        break;
    }
}

/* ------------------------------------------------------------------ choosing the opcode */

static enum prefix_rule mandatory_prefix(const struct reader *reader, bool ignore_repeat)
{
    if (reader->repeat == 0xf3 && !ignore_repeat)
        return PREFIX_F3;
    if (reader->repeat == 0xf2 && !ignore_repeat)
        return PREFIX_F2;
    return reader->size66 ? PREFIX_66 : PREFIX_NONE;
}

static bool extension_matches(const struct reader *reader, uint8_t ext)
{
    unsigned reg = (reader->modrm >> 3) & 7u;
    if (!ext)
        return true;
    if (ext & 0x80)
        return reader->modrm >= 0xc0 && (reader->modrm & 0x3f) == (ext & 0x3f);
    return reg + 1 == ext;
}

/* The ModRM byte is looked at ahead of being taken. */
static const struct opcode *choose(struct reader *reader, unsigned map, uint8_t code)
{
    const struct candidate *at = &candidates[by_code[map][code].first];
    const struct candidate *end = at + by_code[map][code].count;
    unsigned prefixes =
            1u << mandatory_prefix(reader, false) | PLAIN_PREFIX(mandatory_prefix(reader, true));
    unsigned situation = reader->mode == MODE_64 ? IN_64 : NOT_IN_64;
    if (at == end)
        return NULL;
    if (at->modrm) {
        if (reader->at >= reader->available) {
            reader->more = true;
            return NULL;
        }
        reader->modrm = reader->bytes[reader->at];
        situation |= reader->modrm >= 0xc0 ? WITH_REG : WITH_MEM;
    }
    for (; at < end; at++)
        if ((at->prefixes & prefixes) && !(at->refuses & situation) &&
                (!at->modrm || extension_matches(reader, at->ext)))
            return at->opcode;
    return NULL;
}

static uint8_t take_map(struct reader *reader, uint8_t code, uint8_t *ret_map)
{
    *ret_map = MAP_1;
    if (code != 0x0f)
        return code;
    *ret_map = MAP_0F;
    code = (uint8_t)take(reader, 1);
    if (code != 0x38 && code != 0x3a)
        return code;
    *ret_map = code == 0x38 ? MAP_0F38 : MAP_0F3A;
    return (uint8_t)take(reader, 1);
}

static bool is_vex(const struct reader *reader, uint8_t code)
{
    if (code != 0xc4 && code != 0xc5 && code != 0x62)
        return false;
    if (reader->mode == MODE_64)
        return true;
    return reader->at < reader->available && reader->bytes[reader->at] >= 0xc0;
}

/* ------------------------------------------------------------------ putting it together */

static void fill_registers(struct reader *reader, const struct opcode *opcode, struct op *op)
{
    const struct form_info *form = &forms[opcode->form];
    bool is_byte = op->size == 0;
    unsigned reg = ((reader->modrm >> 3) & 7u) | (reader->rex & REX_R ? 8u : 0);
    unsigned rm = (reader->modrm & 7u) | (reader->rex & REX_B ? 8u : 0);
    if (form->rm == KIND_OPCODE)
        rm = (op->opcode & 7u) | (reader->rex & REX_B ? 8u : 0);
    op->reg = operand(reader, form->reg, reg, is_byte);
    op->rm = operand(reader, form->rm, rm, is_byte || (opcode->attr & AT_RM8));
    if (form->swap) {
        uint8_t other = op->reg;
        op->reg = op->rm;
        op->rm = other;
    }
}

static void fill_memory(struct reader *reader, const struct opcode *opcode, struct op *op)
{
    op->seg = CPU_DS;
    take_address(reader, op);
    if (reader->segment != SEG_NONE)
        op->seg = reader->segment;
    op->reg = operand(reader, forms[opcode->form].reg,
            ((reader->modrm >> 3) & 7u) | (reader->rex & REX_R ? 8u : 0), op->size == 0);
    if (op->flags & (OP_A16 | OP_A32) || reader->mode != MODE_64)
        op->flags |= OP_SLOW_EA;
    if (opcode->attr & AT_WRITES)
        op->flags |= OP_WRITES;
    op->bytes = opcode->bytes ? opcode->bytes : (uint8_t)(1u << op->size);
    if (opcode->attr & AT_RM8)
        op->bytes = 1;
    else if (opcode->attr & AT_RM16)
        op->bytes = 2;
}

static void set_handler(
        const struct reader *reader, const struct opcode *opcode, bool is_mem, struct op *op)
{
    bool special = reader->lock || (reader->repeat && (opcode->attr & AT_REP));
    if (special && opcode->lock[op->size])
        op->fn = opcode->lock[op->size];
    else
        op->fn = is_mem ? opcode->mem[op->size] : opcode->reg[op->size];
    if (reader->lock && (!is_mem || !(opcode->attr & AT_LOCK)))
        op->fn = NULL;
    if (opcode->form == FORM_CR && op->reg > opcode->bytes)
        op->fn = NULL;
}

static void fill(struct reader *reader, const struct opcode *opcode, struct op *op)
{
    const struct form_info *form = &forms[opcode->form];
    bool is_mem = false;
    op->size = operand_size(reader, (enum size_rule)opcode->size);
    op->link = opcode->link;
    if (form->modrm) {
        take(reader, 1);
        is_mem = reader->modrm < 0xc0 && opcode->form != FORM_CR;
    }
    if (is_mem)
        fill_memory(reader, opcode, op);
    else
        fill_registers(reader, opcode, op);
    if (!is_mem)
        op->seg = reader->segment == SEG_NONE ? (uint8_t)CPU_DS : reader->segment;
    if (!is_mem && (opcode->attr & AT_STACK))
        op->seg = CPU_SS;
    take_immediate(reader, (enum imm_kind)form->imm, op);
    set_handler(reader, opcode, is_mem, op);
}

static unsigned finish(struct reader *reader, struct op *op, struct decoded *ret)
{
    if (reader->at > LENGTH_MAX || (reader->more && reader->available >= LENGTH_MAX)) {
        ret->too_long = true;
        ret->opcode = NULL;
        reader->at = LENGTH_MAX;
    } else if (reader->more) {
        return 0;
    }
    if (!op->fn || ret->too_long) {
        ret->opcode = NULL;
        op->fn = ret->too_long ? op_too_long : op_undefined;
        op->imm = undefined_key(ret);
    }
    op->len = (uint8_t)reader->at;
    return reader->at;
}

/* The table, prefix and opcode of an AVX instruction, for its name; its length is not decoded. */
static uint8_t name_vex(const struct reader *reader, uint8_t code, struct decoded *ret)
{
    static const uint8_t prefixes[] = {PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2};
    const uint8_t *bytes = reader->bytes + reader->at;
    unsigned payload = code == 0xc5 ? 1 : code == 0xc4 ? 2 : 3;
    unsigned map = code == 0xc5 ? (unsigned)MAP_0F : bytes[0] & (code == 0xc4 ? 31u : 7u);
    if (reader->at + payload >= reader->available || map == MAP_1 || map >= MAP_COUNT)
        return code;
    ret->map = (uint8_t)map;
    ret->prefix = prefixes[bytes[code == 0xc5 ? 0 : 1] & 3];
    return bytes[payload];
}

unsigned cpu_decode(const uint8_t *bytes, unsigned available, enum cpu_mode mode, struct op *op,
        struct decoded *ret)
{
    struct reader reader = {.mode = mode, .segment = SEG_NONE};
    reader.available = available < LENGTH_MAX ? available : LENGTH_MAX;
    if (available > LENGTH_MAX)
        memcpy(reader.bytes, bytes, LENGTH_MAX + 1);
    else
        memcpy(reader.bytes, bytes, reader.available);
    pthread_once(&index_once, index_all);
    *op = (struct op){.base = REG_ZERO * 8, .index = REG_ZERO * 8, .seg = CPU_DS};
    *ret = (struct decoded){0};
    uint8_t code = take_prefixes(&reader);
    if (!reader.more && is_vex(&reader, code))
        ret->vex = true;
    if (!reader.more)
        code = take_map(&reader, code, &ret->map);
    ret->prefix = (uint8_t)mandatory_prefix(&reader, false);
    ret->code = op->opcode = ret->vex ? name_vex(&reader, code, ret) : code;
    op->flags = address_flags(&reader);
    if (mode == MODE_64)
        op->flags |= OP_MODE64;
    if (reader.repeat)
        op->flags |= reader.repeat == 0xf3 ? OP_REP : OP_REPNE;
    if (reader.lock)
        op->flags |= OP_LOCK;
    if (!reader.more && !ret->vex)
        ret->opcode = choose(&reader, ret->map, code);
    if (ret->opcode && !reader.more)
        fill(&reader, ret->opcode, op);
    return finish(&reader, op, ret);
}
