#include "cpu/decode.h"
const struct opcode_list sse_opcodes, sse_move_opcodes, sse_imm_opcodes, sse_convert_opcodes;
const struct opcode_list mmx_opcodes, x87_opcodes, fxsave_opcodes;
