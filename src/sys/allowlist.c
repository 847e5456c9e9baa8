#include "sys/allowlist.h"

#include <errno.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sys/filter.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "the architecture's number for seccomp is missing here"
#endif

void allowlist_add(struct allowlist *list, uint16_t what, uint32_t k, uint8_t yes, uint8_t no)
{
    if (list->count < ALLOWLIST_MAX)
        list->lines[list->count++] = (struct sock_filter){what, yes, no, k};
}

void allowlist_return(struct allowlist *list, uint32_t what)
{
    allowlist_add(list, BPF_RET | BPF_K, what, 0, 0);
}

void allowlist_begin(struct allowlist *list)
{
    list->count = 0;
    allowlist_add(list, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
    allowlist_return(list, SECCOMP_RET_KILL_PROCESS);
    allowlist_add(list, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

void allowlist_calls(struct allowlist *list, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        allowlist_return(list, SECCOMP_RET_ALLOW);
    }
}

void allowlist_load_argument(struct allowlist *list, size_t index)
{
    size_t offset = offsetof(struct seccomp_data, args) + index * sizeof(uint64_t);

    allowlist_add(list, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_memory_rule(struct allowlist *list, int call)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    allowlist_load_argument(list, 2);
    allowlist_add(list, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
    allowlist_return(list, SECCOMP_RET_ALLOW);
    allowlist_return(list, SECCOMP_RET_ERRNO | EPERM);
}

void allowlist_memory(struct allowlist *list)
{
    add_memory_rule(list, SYS_mmap);
    add_memory_rule(list, SYS_mprotect);
}

int allowlist_enforce(struct allowlist *list, uint32_t otherwise)
{
    if (list->count == ALLOWLIST_MAX)
        return -E2BIG;
    allowlist_return(list, otherwise);
    return sys_seccomp_filter(0, &(struct sock_fprog){list->count, list->lines});
}
