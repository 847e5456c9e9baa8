/* The device program is run by a small interpreter here and compared with the rules' meaning. */
#include "cgroup/devices.h"

#include <stdlib.h>

#include "test.h"

/* The eBPF instructions that the program is made of. */
static int run_program(const struct bpf_insn *program, size_t count, uint32_t type, uint32_t access,
        uint32_t major, uint32_t minor)
{
    struct bpf_cgroup_dev_ctx context = {access << 16 | type, major, minor};
    uint64_t r[16] = {0};

    for (size_t at = 0; at < count; at++) {
        const struct bpf_insn *i = &program[at];
        uint32_t to = (uint32_t)r[i->dst_reg], immediate = (uint32_t)i->imm;
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            memcpy(&to, (const char *)&context + i->off, 4);
            r[i->dst_reg] = to;
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
            r[i->dst_reg] = (uint32_t)r[i->src_reg];
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            r[i->dst_reg] = to & immediate;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            r[i->dst_reg] = to >> immediate;
            break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
            at += to != immediate ? (size_t)i->off : 0;
            break;
        case BPF_JMP32 | BPF_JEQ | BPF_K:
            at += to == immediate ? (size_t)i->off : 0;
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            r[i->dst_reg] = immediate;
            break;
        case BPF_JMP | BPF_EXIT:
            return (int)r[0];
        default:
            return -1;
        }
    }
    return -2; /* ran over the end */
}

static bool names_access(const char *access, unsigned bit)
{
    char letter = bit == BPF_DEVCG_ACC_READ ? 'r' : bit == BPF_DEVCG_ACC_WRITE ? 'w' : 'm';

    return !access || !*access || strchr(access, letter);
}

/* What the rules say of one access, straight from their definition. */
static bool allowed_bit(
        const struct cgroup_limits *limits, char type, int64_t major, int64_t minor, unsigned bit)
{
    for (size_t i = limits->devices.count; i-- > 0;) {
        const struct cgroup_device_rule *rule = &limits->devices.items[i];
        if ((rule->type == 'a' || rule->type == type) &&
                (!rule->major.set || rule->major.value == -1 || rule->major.value == major) &&
                (!rule->minor.set || rule->minor.value == -1 || rule->minor.value == minor) &&
                names_access(rule->access, bit))
            return rule->allow;
    }
    return true;
}

static bool allowed(const struct cgroup_limits *limits, char type, int64_t major, int64_t minor,
        unsigned access)
{
    for (unsigned bit = 1; bit < 8; bit <<= 1)
        if ((access & bit) && !allowed_bit(limits, type, major, minor, bit))
            return false;
    return true;
}

TEST(program_decides_as_the_rules_say)
{
    static const char *const accesses[] = {NULL, "", "r", "w", "m", "rw", "rm", "wm", "rwm"};

    srandom(7);
    for (int round = 0; round < 3000; round++) {
        _cleanup_arena_ struct arena arena = {0};
        struct cgroup_device_rule rules[8];
        struct cgroup_limits limits = {.devices = {rules, (size_t)(random() % 9)}};
        size_t count;
        for (size_t i = 0; i < limits.devices.count; i++)
            rules[i] = (struct cgroup_device_rule){random() % 2, "abc" [random() % 3],
                    { random() % 2, random() % 4 - 1 }, {random() % 2, random() % 4 - 1},
                    accesses[random() % 9]};
        struct bpf_insn *program = cgroup_devices_program(&limits, &arena, &count);
        for (unsigned i = 0; i < 2 * 3 * 3 * 7; i++) {
            unsigned type = i % 2, major = i / 2 % 3, minor = i / 6 % 3, access = i / 18 % 7 + 1;
            int found = run_program(program, count, type ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK,
                    access, major, minor);
            CHECK_INT(found, allowed(&limits, type ? 'c' : 'b', major, minor, access));
        }
    }
}

#define RULE(allow_, type_, major_, minor_, access_)                                               \
    {                                                                                              \
        allow_, type_, {(major_) >= 0, major_}, {(minor_) >= 0, minor_}, access_                   \
    }

static const char *lines_of(struct arena *arena, struct cgroup_device_rule *rules, size_t count)
{
    struct cgroup_limits limits = {.devices = {rules, count}};
    static struct error err;
    struct strv lines;

    if (cgroup_devices_lines(&limits, arena, &lines, &err) < 0)
        return err.text;
    return lines.count ? strv_join(arena, &lines, ";") : "";
}

TEST(lines_for_v1)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_device_rule rules[] = {RULE(false, 'a', -1, -1, "rwm"),
            RULE(true, 'c', 1, 3, "rwm"), RULE(true, 'a', -1, -1, "m"),
            RULE(true, 'b', 8, -1, "r")};

    CHECK_STR(lines_of(&arena, rules, 4),
            "devices.deny a;devices.allow c 1:3 rwm;devices.allow b *:* m;devices.allow c *:* m;"
            "devices.allow b 8:* r");
    CHECK_STR(lines_of(&arena, rules, 0), "");
    rules[2] = (struct cgroup_device_rule)RULE(false, 'a', -1, -1, "rwm");
    CHECK_STR(lines_of(&arena, rules, 4), "devices.deny a;devices.allow b 8:* r");
}

TEST(lines_for_v1_cannot_except_a_part)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_device_rule rules[] = {RULE(false, 'a', -1, -1, NULL),
            RULE(true, 'c', 1, -1, "rwm"), RULE(false, 'c', 1, 3, "w")};

    CHECK(strstr(lines_of(&arena, rules, 3), "devices/2: the device lists of cgroup v1 cannot"));
    rules[2] = (struct cgroup_device_rule)RULE(false, 'c', 1, -1, "w");
    CHECK_STR(lines_of(&arena, rules, 3),
            "devices.deny a;devices.allow c 1:* rwm;devices.deny c 1:* w");
}

TEST(rules_are_checked)
{
    struct cgroup_device_rule bad[] = {RULE(true, 'x', 1, 1, "r"), RULE(true, 'c', 1, 1, "rx"),
            {true, 'c', {true, -2}, {0}, "r"}, {true, 'c', {true, 1LL << 33}, {0}, "r"}};
    struct error err = ERROR_NONE;

    for (size_t i = 0; i < 4; i++) {
        struct cgroup_limits limits = {.devices = {&bad[i], 1}};
        CHECK_INT(cgroup_devices_check(&limits, &err), -EINVAL);
        CHECK(strstr(err.text, "devices/0: "));
    }
}

TEST_MAIN()
