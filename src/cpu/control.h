/* Control registers, and what changing one means for the rest. For this folder only. */
#pragma once

#include "cpu/state.h"

/* CR4 bits that exist here; EFER bits that software may write. */
#define CR4_KNOWN                                                                                  \
    (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |             \
            CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP)
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_NXE)
#define CR0_KNOWN                                                                                  \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
            CR0_PG)

/* Writes with the checks and effects of MOV to the register; raise #GP(0). */
void control_write_cr0(struct cpu *cpu, uint64_t value);
void control_write_cr3(struct cpu *cpu, uint64_t value);
void control_write_cr4(struct cpu *cpu, uint64_t value);
void control_write_efer(struct cpu *cpu, uint64_t value);
