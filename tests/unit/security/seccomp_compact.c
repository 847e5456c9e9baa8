#include "security/seccomp_compact.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "security/seccomp.h"
#include "security/seccomp_default.h"
#include "unit/test.h"

#define X32 0x40000000u
#define BUILT_MAX 16384

static struct arena memory; /* of all tests; given back at the end of the process */

static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t most)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % most;
}

/* ---- the oracle: what the kernel does, bpf(4) ------------------------------------------------ */

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;

    memcpy(&word, (const char *)data + offset, sizeof(word));
    return word;
}

static bool compare(const struct sock_filter *op, uint32_t a)
{
    switch (BPF_OP(op->code)) {
    case BPF_JEQ:
        return a == op->k;
    case BPF_JGT:
        return a > op->k;
    case BPF_JGE:
        return a >= op->k;
    default:
        return a & op->k;
    }
}

static uint32_t run(const struct sock_filter *code, uint32_t count, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (uint32_t pc = 0; pc < count; pc++) {
        const struct sock_filter *op = &code[pc];
        switch (op->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = load(data, op->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= op->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += op->k;
            break;
        case BPF_RET | BPF_K:
            return op->k;
        default:
            pc += compare(op, a) ? op->jt : op->jf;
        }
    }
    return UINT32_MAX;
}

/* ---- filters --------------------------------------------------------------------------------- */

static uint32_t built(scmp_filter_ctx context, struct sock_filter *code)
{
    _cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
    ssize_t length = -1;

    if (seccomp_export_bpf(context, fd) == 0 && lseek(fd, 0, SEEK_SET) == 0)
        length = read(fd, code, BUILT_MAX * sizeof(*code));
    seccomp_release(context);
    return length < 0 ? 0 : (uint32_t)((size_t)length / sizeof(*code));
}

static void add_random_rule(scmp_filter_ctx context, int number)
{
    static const enum scmp_compare kinds[] = {SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ,
            SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_MASKED_EQ};
    struct scmp_arg_cmp args[2];
    uint32_t action = random_below(3) ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(1 + random_below(3));
    unsigned count = random_below(8) ? 0 : 1 + random_below(2);

    for (unsigned i = 0; i < count; i++)
        args[i] = (struct scmp_arg_cmp){
                i, kinds[random_below(ARRAY_SIZE(kinds))], random_below(4), random_below(4)};
    (void)seccomp_rule_add_array(context, action, number, count, args);
}

/* Runs of numbers, as profiles have them, and some with conditions. */
static uint32_t random_filter(struct sock_filter *code)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(38));

    if (random_below(2))
        seccomp_arch_add(context, SCMP_ARCH_X86);
    if (random_below(2))
        seccomp_arch_add(context, SCMP_ARCH_X32);
    if (random_below(4) == 0)
        seccomp_arch_add(context, SCMP_ARCH_AARCH64);
    for (uint32_t runs = 1 + random_below(12); runs > 0; runs--) {
        uint32_t first = random_below(430), last = first + random_below(40);
        for (uint32_t number = first; number < last; number++)
            add_random_rule(context, (int)number);
    }
    if (random_below(2))
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return built(context, code);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static uint32_t differences(const struct sock_filter *code, uint32_t count,
        const struct sock_filter *small, uint32_t small_count, uint32_t arch, uint32_t number)
{
    struct seccomp_data data = {.nr = (int)number, .arch = arch};
    uint32_t found = 0;

    for (int turn = 0; turn < 6; turn++) {
        for (unsigned i = 0; i < ARRAY_SIZE(data.args); i++)
            data.args[i] = random_below(5) | (random_below(4) ? 0 : (uint64_t)1 << 33);
        found += run(code, count, &data) != run(small, small_count, &data);
    }
    return found;
}

static uint32_t all_differences(const struct sock_filter *code, uint32_t count,
        const struct sock_filter *small, uint32_t small_count)
{
    static const uint32_t more[] = {X32 - 1, X32, X32 + 1, X32 + 39, X32 + 512, X32 + 520,
            X32 + 600, 0x7fffffff, 0x80000000, UINT32_MAX};
    uint32_t found = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(archs); i++) {
        for (uint32_t number = 0; number < 600; number++)
            found += differences(code, count, small, small_count, archs[i], number);
        for (uint32_t number = X32; number < X32 + 560; number += 3)
            found += differences(code, count, small, small_count, archs[i], number);
        for (unsigned j = 0; j < ARRAY_SIZE(more); j++)
            found += differences(code, count, small, small_count, archs[i], more[j]);
    }
    return found;
}

TEST(small_filters_decide_as_large_ones)
{
    static struct sock_filter code[BUILT_MAX];
    uint32_t made = 0;

    for (int turn = 0; turn < 150; turn++) {
        uint32_t count = random_filter(code), small_count = 0;
        struct sock_filter *small = NULL;
        CHECK(count > 0);
        if (!seccomp_compact(&memory, code, count, AUDIT_ARCH_X86_64, &small, &small_count))
            continue;
        made++;
        CHECK(small_count < count);
        CHECK_INT(all_differences(code, count, small, small_count), 0);
    }
    CHECK(made > 100);
}

TEST(the_default_profile_becomes_small)
{
    struct seccomp_profile profile;
    struct seccomp_filter filter;
    struct error err = ERROR_NONE;

    seccomp_default_profile(&memory, 0, &profile);
    CHECK_INT(seccomp_compile(&memory, &profile, &filter, &err), 0);
    printf("  %u instructions\n", filter.count);
    CHECK(filter.count < 320);
}

/* Numbers that are computed with are no ranges. */
TEST(filters_that_cannot_be_followed_stay)
{
    static const struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 7),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
    };
    static const struct sock_filter bits[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 3, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
    };
    struct sock_filter *small;
    uint32_t count;

    CHECK(!seccomp_compact(&memory, code, ARRAY_SIZE(code), 0, &small, &count));
    CHECK(!seccomp_compact(&memory, bits, ARRAY_SIZE(bits), 0, &small, &count));
    CHECK(!seccomp_compact(&memory, code, 1, 0, &small, &count)); /* it has no end */
}

TEST_MAIN()
