#include <cpuid.h>
#include <string.h>

#include "cpu/mmu.h"
#include "cpu/state.h"

/*
 * CPUID: exactly what is implemented, which is the x86-64-v2 level and what kernels want beside it.
 * Family 15 of AMD: its kernels need no work-arounds for speculation that does not happen here.
 */
enum { EAX, EBX, ECX, EDX };

#define BIT(n) (1u << (n))

/* Leaf 1. */
#define SIGNATURE 0x00060fb1u
static const uint32_t basic_edx = BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(3) /* PSE */ |
                                  BIT(4) /* TSC */ | BIT(5) /* MSR */ | BIT(6) /* PAE */ |
                                  BIT(7) /* MCE */ | BIT(8) /* CX8 */ | BIT(9) /* APIC */ |
                                  BIT(11) /* SEP */ | BIT(12) /* MTRR */ | BIT(13) /* PGE */ |
                                  BIT(14) /* MCA */ | BIT(15) /* CMOV */ | BIT(16) /* PAT */ |
                                  BIT(17) /* PSE36 */ | BIT(19) /* CLFSH */ | BIT(23) /* MMX */ |
                                  BIT(24) /* FXSR */ | BIT(25) /* SSE */ | BIT(26) /* SSE2 */;
static const uint32_t basic_ecx = BIT(0) /* SSE3 */ | BIT(9) /* SSSE3 */ | BIT(13) /* CX16 */ |
                                  BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ |
                                  BIT(22) /* MOVBE */ | BIT(23) /* POPCNT */ |
                                  BIT(31) /* hypervisor */;
#define ECX_RDRAND BIT(30)
#define EDX_HTT BIT(28)

/* Leaf 7. */
static const uint32_t extended_ebx = BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ |
                                     BIT(7) /* SMEP */ | BIT(9) /* ERMS */ | BIT(20) /* SMAP */;
static const uint32_t extended_ecx = BIT(2) /* UMIP */;
static const uint32_t extended_edx = BIT(4) /* FSRM */;

/* Leaf 0x80000001. */
static const uint32_t amd_edx = BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(26) /* 1G pages */ |
                                BIT(27) /* RDTSCP */ | BIT(29) /* LM */;
#define AMD_EDX_COPIED 0x0183f3ffu /* bits that AMD repeats from leaf 1 */
static const uint32_t amd_ecx = BIT(0) /* LAHF */ | BIT(8) /* PREFETCHW */;

static const char brand[48] = "Vivarium software CPU";

static bool host_has_rdrand(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & ECX_RDRAND);
}

static void leaf_features(const struct cpu *cpu, uint32_t regs[4])
{
    unsigned count = cpu->config.count ? cpu->config.count : 1;
    regs[EAX] = SIGNATURE;
    regs[EBX] = (cpu->config.id << 24) | (count & 255) << 16 | 8 << 8;
    regs[ECX] = basic_ecx | (host_has_rdrand() ? ECX_RDRAND : 0);
    regs[EDX] = basic_edx | (count > 1 ? EDX_HTT : 0);
}

static void leaf_basic(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    switch (leaf) {
    case 0:
        regs[EAX] = 0xd;
        memcpy(&regs[EBX], "Auth", 4);
        memcpy(&regs[EDX], "enti", 4);
        memcpy(&regs[ECX], "cAMD", 4);
        break;
    case 1:
        leaf_features(cpu, regs);
        break;
    case 6:
        /* ARAT: the APIC's timer never stops. Without it Linux has no clock but a tick of its own.
         */
        regs[EAX] = BIT(2);
        break;
    case 7:
        if (subleaf)
            break;
        regs[EBX] = extended_ebx;
        regs[ECX] = extended_ecx;
        regs[EDX] = extended_edx;
        break;
    default:
        break;
    }
}

static void leaf_extended(const struct cpu *cpu, uint32_t leaf, uint32_t regs[4])
{
    unsigned count = cpu->config.count ? cpu->config.count : 1;
    switch (leaf & 0xff) {
    case 0:
        regs[EAX] = 0x80000008;
        memcpy(&regs[EBX], "Auth", 4);
        memcpy(&regs[EDX], "enti", 4);
        memcpy(&regs[ECX], "cAMD", 4);
        break;
    case 1:
        regs[EAX] = SIGNATURE;
        regs[ECX] = amd_ecx | (count > 1 ? BIT(1) : 0);
        regs[EDX] = amd_edx | (basic_edx & AMD_EDX_COPIED);
        break;
    case 2:
    case 3:
    case 4:
        memcpy(regs, brand + ((leaf & 0xff) - 2) * 16, 16);
        break;
    case 5: /* level 1 caches: 64 KiB, 2-way, 64-byte lines, as the family had */
        regs[EAX] = 0x01ff01ff;
        regs[EBX] = 0x01ff01ff;
        regs[ECX] = regs[EDX] = 64u << 24 | 2u << 16 | 1u << 8 | 64;
        break;
    case 6: /* level 2: 512 KiB, 16-way */
        regs[ECX] = 512u << 16 | 8u << 12 | 1u << 8 | 64;
        break;
    case 7:
        regs[EDX] = BIT(8); /* the TSC runs at one rate */
        break;
    default:
        regs[EAX] = 48u << 8 | PHYSICAL_BITS;
        regs[ECX] = count - 1;
        break;
    }
}

void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    memset(regs, 0, 16);
    if (leaf - 0x80000000u <= 8)
        leaf_extended(cpu, leaf, regs);
    else
        leaf_basic(cpu, leaf, subleaf, regs);
    if (cpu->config.ops->cpuid)
        cpu->config.ops->cpuid(cpu->config.owner, leaf, subleaf, regs);
}
