#include "security/caps.h"

#include <strings.h>
#include <sys/prctl.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "sys/creds.h"
#include "sys/process.h"

/* By number; capabilities(7) and the kernel's include/uapi/linux/capability.h */
static const char *const names[CAPS_COUNT] = {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
};

const char *caps_name(unsigned number)
{
    return number < CAPS_COUNT ? names[number] : NULL;
}

int caps_number(const char *name)
{
    const char *rest = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;

    for (int i = 0; i < CAPS_COUNT; i++)
        if (strcasecmp(rest, names[i] + 4) == 0)
            return i;
    return -1;
}

char *caps_mask_text(struct arena *arena, uint64_t mask)
{
    _cleanup_buf_ struct buf text = {0};

    for (unsigned i = 0; i < CAPS_COUNT; i++)
        if (mask & CAPS_BIT(i))
            buf_printf(&text, "%s1<<%s", text.length ? "|" : "", names[i]);
    return arena_strdup(arena, text.length ? buf_text(&text) : "0");
}

uint64_t caps_from_names(const struct strv *list)
{
    uint64_t mask = 0;
    const char *word;

    strv_foreach (word, list) {
        int number = caps_number(word);
        if (number >= 0)
            mask |= CAPS_BIT(number);
    }
    return mask;
}

unsigned caps_kernel_last(void)
{
    unsigned low = 0;
    unsigned high = 63;

    /* the kernel answers EINVAL from the first that it does not know */
    while (low < high) {
        unsigned middle = (low + high + 1) / 2;
        if (sys_prctl(PR_CAPBSET_READ, middle, 0, 0, 0) >= 0)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

int caps_own(uint64_t *ret_mask, struct error *err)
{
    uint64_t effective, permitted, inheritable;
    uint64_t bounding = 0;

    int r = sys_capget(0, &effective, &permitted, &inheritable);
    if (r < 0)
        return error_sys(err, -r, "read our own capabilities");
    for (unsigned i = 0; i < CAPS_COUNT; i++)
        if (sys_prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            bounding |= CAPS_BIT(i);
    *ret_mask = permitted & bounding;
    return 0;
}

/* Leaves what is allowed, and tells what has gone. */
static void cut(struct arena *arena, uint64_t *set, uint64_t allowed, const char *name,
        const char *why, struct strv *told)
{
    uint64_t lost = *set & ~allowed;

    *set &= allowed;
    for (unsigned i = 0; lost && i < CAPS_COUNT; i++)
        if (lost & CAPS_BIT(i))
            strv_add(arena, told,
                    arena_printf(arena, "%s is left out of the %s set: %s", names[i], name, why));
}

void caps_sets_fit(
        struct arena *arena, struct caps_sets *sets, uint64_t available, struct strv *told)
{
    static const char not_ours[] = "we do not have it ourselves, or the kernel does not know it";
    static const char not_permitted[] = "it is not in the permitted set";

    cut(arena, &sets->bounding, available, "bounding", not_ours, told);
    cut(arena, &sets->permitted, available, "permitted", not_ours, told);
    cut(arena, &sets->inheritable, available, "inheritable", not_ours, told);
    cut(arena, &sets->effective, available, "effective", not_ours, told);
    cut(arena, &sets->ambient, available, "ambient", not_ours, told);
    cut(arena, &sets->effective, sets->permitted, "effective", not_permitted, told);
    cut(arena, &sets->ambient, sets->permitted, "ambient", not_permitted, told);
    cut(arena, &sets->ambient, sets->inheritable, "ambient", "it is not in the inheritable set",
            told);
}
