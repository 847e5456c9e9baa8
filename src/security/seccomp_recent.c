#include "security/seccomp_recent.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "security/names.h"

static const struct name rows[] = {
        {"set_mempolicy_home_node", 450},
        {"cachestat", 451},
        {"fchmodat2", 452},
        {"map_shadow_stack", 453},
        {"futex_wake", 454},
        {"futex_wait", 455},
        {"futex_requeue", 456},
        {"statmount", 457},
        {"listmount", 458},
        {"lsm_get_self_attr", 459},
        {"lsm_set_self_attr", 460},
        {"lsm_list_modules", 461},
        {"mseal", 462},
        {"setxattrat", 463},
        {"getxattrat", 464},
        {"listxattrat", 465},
        {"removexattrat", 466},
        {"open_tree_attr", 467},
        {"file_getattr", 468},
        {"file_setattr", 469},
};
static const struct names recent = NAMES("system call", rows);

int seccomp_recent_number(const char *name)
{
    const struct name *row = names_find(&recent, name);

    return row ? (int)row->value : -1;
}

static void add(struct buf *code, struct sock_filter instruction)
{
    buf_add(code, &instruction, sizeof(instruction));
}

#define X32_BIT 0x40000000u

void seccomp_recent_add(struct buf *code, uint32_t arch, const struct seccomp_recent_rule *rules,
        uint32_t count, uint32_t last)
{
    bool has_x32 = arch == AUDIT_ARCH_X86_64;
    uint32_t body = 1 + has_x32 + 2 * count + (last ? 2 : 0);

    if (count == 0 && last == 0)
        return;
    /* numbers with the x32 bit are above every `last` and are libseccomp's to judge */
    add(code, (struct sock_filter)BPF_STMT(
                      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    add(code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
    add(code, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, body));
    add(code, (struct sock_filter)BPF_STMT(
                      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    if (has_x32)
        add(code, (struct sock_filter)BPF_JUMP(
                          BPF_JMP | BPF_JGE | BPF_K, X32_BIT, (unsigned char)(body - 2), 0));
    for (uint32_t i = 0; i < count; i++) {
        add(code, (struct sock_filter)BPF_JUMP(
                          BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rules[i].number, 0, 1));
        add(code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rules[i].action));
    }
    if (last) {
        add(code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 0, 1));
        add(code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    }
}
