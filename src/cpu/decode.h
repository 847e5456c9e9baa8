/*
 * From bytes to operations. Each module that brings instructions has a table of `struct opcode`;
 * decode.c indexes them all once and does prefixes, ModRM, SIB, displacement and immediates by the
 * opcode's form. Decoding touches no CPU: it is fuzzed and compared with Zydis by itself.
 */
#pragma once

#include "cpu/state.h"

enum form {
    FORM_NONE,
    FORM_EG,  /* ModRM: rm is a general register or memory, reg a general register */
    FORM_GE,  /* the same with reg the destination: register forms come with rm and reg swapped */
    FORM_GR,  /* reg and rm as encoded, without the swap */
    FORM_E,   /* ModRM, reg is part of the opcode */
    FORM_E1,  /* as E, immediate 1 */
    FORM_EIB, /* and an 8-bit immediate, sign-extended */
    FORM_EIZ, /* and an immediate of the operand size, at most 32 bits, sign-extended */
    FORM_GRIB,
    FORM_GRIZ,
    FORM_SE, /* reg is a segment, control or debug register */
    FORM_CR, /* as SE, rm always a register */
    FORM_O,  /* register in the opcode's low bits, to rm */
    FORM_OI, /* and an immediate of full operand size */
    FORM_OA, /* rm as O, reg the accumulator */
    FORM_AI, /* rm the accumulator, immediate */
    FORM_IB, /* sign-extended */
    FORM_IZ,
    FORM_IW,
    FORM_IWIB, /* ENTER: imm = iw | ib << 16 */
    FORM_JB,   /* relative */
    FORM_JZ,
    FORM_MOFFS, /* imm is the address; rm the accumulator */
    FORM_FAR,   /* imm = selector << 32 | offset */
    FORM_VW,    /* reg and rm are XMM registers, or rm memory */
    FORM_VWI,   /* with an 8-bit immediate, zero-extended */
    FORM_WI,    /* rm XMM, immediate, reg part of the opcode */
    FORM_VE,    /* reg XMM, rm general */
    FORM_VEI,
    FORM_GW, /* reg general, rm XMM */
    FORM_GWI,
    FORM_PQ, /* reg and rm MMX */
    FORM_PQI,
    FORM_QI,
    FORM_PE, /* reg MMX, rm general */
    FORM_PEI,
    FORM_GQ, /* reg general, rm MMX */
    FORM_GQI,
    FORM_VQ, /* reg XMM, rm MMX */
    FORM_PW, /* reg MMX, rm XMM */
    FORM_COUNT
};

enum size_rule {
    SIZE_B,
    SIZE_W,
    SIZE_D,
    SIZE_Q,
    SIZE_V,   /* 16, 32 or 64 by mode and prefixes */
    SIZE_Y,   /* 32, or 64 with REX.W */
    SIZE_D64, /* as V, but 64 is the default in 64-bit code and there is no 32 */
    SIZE_F64, /* 64 in 64-bit code whatever the prefixes */
    SIZE_M,   /* 64 in 64-bit code, else 32: control registers */
    SIZE_DIR, /* 16 or 32 by mode and prefix 66, with REX.W 32: port input and output */
};

enum prefix_rule { PREFIX_ANY, PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

enum opcode_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_COUNT };

#define AT_LOCK 1u /* LOCK is allowed on memory */
#define AT_NO64 2u
#define AT_ONLY64 4u
#define AT_END 8u      /* nothing is decoded after it */
#define AT_WRITES 16u  /* writes its memory operand */
#define AT_RM8 32u     /* rm is a byte register or memory */
#define AT_MEM 64u     /* memory forms only */
#define AT_REG 128u    /* register forms only */
#define AT_STACK 256u  /* what it accesses without naming it is the stack */
#define AT_REP 512u    /* has its own handler with a repeat prefix (`lock` table) */
#define AT_RM16 1024u  /* rm is 16 bits when it is memory */
#define AT_NO66F 2048u /* F2 and F3 are ignored beside 66 */

struct opcode {
    const char *name;
    uint8_t map, code, span; /* codes code … code + span - 1; span 0 means 1 */
    uint8_t prefix, ext;     /* ext: EXT(n) for ModRM.reg n, 0 any; RM(n) with it: ModRM.rm n */
    uint8_t form, size;
    uint8_t bytes; /* of the memory operand; 0: the operand size; FORM_CR: highest register */
    uint16_t attr;
    const void *link; /* copied to the operation: a host thunk */
    cpu_handler *reg[4], *mem[4], *lock[4];
};

#define EXT(n) (uint8_t)((n) + 1)
#define EXT_RM(n, rm) (uint8_t)(0x80 | ((n) << 3) | (rm)) /* a register form with fixed rm */

/* The same handler for all sizes; handlers by size. */
#define ALL(fn)                                                                                    \
    {                                                                                              \
        fn, fn, fn, fn                                                                             \
    }
#define BY_SIZE(fn)                                                                                \
    {                                                                                              \
        fn##_8, fn##_16, fn##_32, fn##_64                                                          \
    }

struct opcode_list {
    const struct opcode *list;
    size_t count;
};

/* The instructions of each module. */
extern const struct opcode_list alu_opcodes, shift_opcodes, muldiv_opcodes, bits_opcodes;
extern const struct opcode_list move_opcodes, stack_opcodes, branch_opcodes, string_opcodes;
extern const struct opcode_list atomic_opcodes, system_opcodes, segment_opcodes, port_opcodes;
extern const struct opcode_list decimal_opcodes, far_opcodes, descriptor_opcodes;
extern const struct opcode_list sse_opcodes, sse_move_opcodes, sse_imm_opcodes, sse_convert_opcodes;
extern const struct opcode_list mmx_opcodes, x87_opcodes, fxsave_opcodes;

/* All of them; tests go through it, so that no form can be forgotten. */
extern const struct opcode_list *const cpu_modules[];
extern const size_t cpu_module_count;

struct decoded {
    const struct opcode *opcode; /* NULL: no such instruction */
    uint8_t map, code, prefix;   /* what was looked up, for the statistics */
    bool vex;
    bool too_long; /* more than 15 bytes: #GP */
};

/*
 * Decodes the instruction at `bytes`, of which `available` (up to 15 matter) can be read. Fills
 * `op` except `off` and `count`. Returns its length, also for one that does not exist (op->fn then
 * raises #UD), or 0 if it needs more bytes than are available.
 */
unsigned cpu_decode(const uint8_t *bytes, unsigned available, enum cpu_mode mode, struct op *op,
        struct decoded *ret);
