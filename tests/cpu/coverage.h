/* Which instruction forms the decoder accepts, and which of them cases were made of. */
#pragma once

#include "cpu/decode.h"
#include "silicon.h"

/* Why a form is not compared with silicon, and where it is tested instead; NULL: it is compared. */
const char *coverage_reason(const struct opcode *opcode);

void coverage_note(const struct test_case *test);

/* Prints the table. False when the decoder accepts what was not generated and has no reason. */
bool coverage_print(void);
