#include "bare/registers.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

const char *const register_names[CPU_REGS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi",
        "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
const char *const segment_names[CPU_SEGMENTS] = {"es", "cs", "ss", "ds", "fs", "gs"};

static const char *const short_names[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
static const char *const word_names[8] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};

struct plain_register {
    const char *name;
    size_t offset, bytes;
};

#define PLAIN(name_, field)                                                                        \
    {                                                                                              \
        name_, offsetof(struct cpu_state, field), sizeof(((struct cpu_state *)NULL)->field)        \
    }

static const struct plain_register plain[] = {
        PLAIN("rip", rip),
        PLAIN("eip", rip),
        PLAIN("rflags", rflags),
        PLAIN("eflags", rflags),
        PLAIN("flags", rflags),
        PLAIN("cr0", cr0),
        PLAIN("cr2", cr2),
        PLAIN("cr3", cr3),
        PLAIN("cr4", cr4),
        PLAIN("efer", efer),
        PLAIN("mxcsr", mxcsr),
        PLAIN("fcw", fcw),
        PLAIN("fsw", fsw),
        PLAIN("dr7", dr7),
};

static int find(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(names[i], name))
            return (int)i;
    return -1;
}

static bool set_general(struct cpu_state *state, const char *name, uint64_t value)
{
    int index = find(register_names, CPU_REGS, name);
    if (index < 0 && (index = find(short_names, ARRAY_SIZE(short_names), name)) >= 0)
        value = (uint32_t)value;
    else if (index < 0 && (index = find(word_names, ARRAY_SIZE(word_names), name)) >= 0)
        value = (uint16_t)value;
    if (index < 0)
        return false;
    state->gpr[index] = value;
    return true;
}

static bool set_segment(struct cpu_state *state, const char *name, uint64_t value)
{
    for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
        const char *rest = str_after(name, segment_names[i]);
        if (rest && !*rest) {
            state->segment[i].selector = (uint16_t)value;
            if (!(state->cr0 & 1)) /* real mode: the base follows */
                state->segment[i].base = (value & 0xffff) << 4;
            return true;
        }
        if (rest && str_equal(rest, "_base")) {
            state->segment[i].base = value;
            return true;
        }
    }
    return false;
}

int register_set(struct cpu_state *state, const char *name, const uint64_t value[2])
{
    uint64_t index;
    const char *xmm = str_after(name, "xmm");
    if (xmm && str_to_u64(xmm, 10, &index) == 0 && index < 16) {
        memcpy(state->xmm[index], value, 16);
        return 0;
    }
    if (set_general(state, name, value[0]) || set_segment(state, name, value[0]))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        if (str_equal(plain[i].name, name)) {
            memcpy((char *)state + plain[i].offset, value, plain[i].bytes);
            return 0;
        }
    }
    return -ENOENT;
}
