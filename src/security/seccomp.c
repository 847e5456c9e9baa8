#include "security/seccomp.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "security/names.h"
#include "security/seccomp_cache.h"
#include "security/seccomp_compact.h"
#include "security/seccomp_recent.h"
#include "sys/filter.h"

static const struct name action_rows[] = {
        {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
        {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
        {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG},
        {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
};
static const struct names actions = NAMES("seccomp action", action_rows);

static const struct name operator_rows[] = {
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};
static const struct names operators = NAMES("seccomp operator", operator_rows);

static const struct name arch_rows[] = {
        {"SCMP_ARCH_X86", SCMP_ARCH_X86},
        {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
        {"SCMP_ARCH_X32", SCMP_ARCH_X32},
        {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
        {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
        {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
        {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
        {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
        {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
        {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
        {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
        {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
        {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
        {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
        {"SCMP_ARCH_S390", SCMP_ARCH_S390},
        {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
        {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
        {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
        {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};
static const struct names archs = NAMES("seccomp architecture", arch_rows);

static const struct name flag_rows[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
        {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};
static const struct names flags = NAMES("seccomp flag", flag_rows);

#define LIST_OF(rows_)                                                                             \
    static const char *list[ARRAY_SIZE(rows_) + 1];                                                \
    for (size_t i = 0; i < ARRAY_SIZE(rows_); i++)                                                 \
        list[i] = (rows_)[i].name;                                                                 \
    return list

const char *const *seccomp_action_names(void)
{
    LIST_OF(action_rows);
}

const char *const *seccomp_operator_names(void)
{
    LIST_OF(operator_rows);
}

const char *const *seccomp_arch_names(void)
{
    LIST_OF(arch_rows);
}

const char *const *seccomp_flag_names(void)
{
    LIST_OF(flag_rows);
}

static const struct field arg_fields[] = {
        FIELD(struct seccomp_arg, index, FIELD_U32),
        FIELD(struct seccomp_arg, value, FIELD_U64),
        FIELD_AS(struct seccomp_arg, value_two, "valueTwo", FIELD_U64),
        FIELD(struct seccomp_arg, op, FIELD_STR),
};
static const struct record arg_record = RECORD(struct seccomp_arg, arg_fields);
static const struct field rule_fields[] = {
        FIELD(struct seccomp_rule, names, FIELD_STRV),
        FIELD(struct seccomp_rule, action, FIELD_STR),
        FIELD_AS(struct seccomp_rule, errno_ret, "errnoRet", FIELD_OPT_U64),
        FIELD_OF(struct seccomp_rule, args, "args", FIELD_LIST, &arg_record),
};
static const struct record rule_record = RECORD(struct seccomp_rule, rule_fields);
static const struct field profile_fields[] = {
        FIELD_AS(struct seccomp_profile, default_action, "defaultAction", FIELD_STR),
        FIELD_AS(struct seccomp_profile, default_errno_ret, "defaultErrnoRet", FIELD_OPT_U64),
        FIELD(struct seccomp_profile, architectures, FIELD_STRV),
        FIELD(struct seccomp_profile, flags, FIELD_STRV),
        FIELD_OF(struct seccomp_profile, rules, "syscalls", FIELD_LIST, &rule_record),
};
const struct record seccomp_profile_record = RECORD(struct seccomp_profile, profile_fields);

static bool kernel_has_flag(uint32_t flag)
{
    /* these two are refused unless a listener is asked for as well */
    if (flag == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
        flag |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return sys_seccomp_filter(flag, NULL) == -EFAULT;
}

bool seccomp_flag_supported(const char *name)
{
    const struct name *row = names_find(&flags, name);

    return row && kernel_has_flag((uint32_t)row->value);
}

/* One compilation. */
struct compiler {
    struct arena *arena;
    const struct seccomp_profile *profile;
    scmp_filter_ctx context;
    uint32_t default_action;
    bool notifies;
    struct strv notes;
    struct seccomp_recent_rule *recent; /* rules that libseccomp cannot take */
    uint32_t recent_count;
    size_t recent_capacity;
};

#define ERRNO_MAX 4095

/* An action with its errno value, as libseccomp and the kernel spell it. */
static int read_action(
        const char *name, const struct opt_u64 *errno_ret, uint32_t *ret, struct error *err)
{
    uint64_t action;
    int r = names_value(&actions, name, &action, err);

    if (r < 0)
        return r;
    uint64_t value = errno_ret->set ? errno_ret->value : EPERM;
    bool traces = action == SCMP_ACT_TRACE(0);
    if (traces || action == SCMP_ACT_ERRNO(0)) {
        if (value > (traces ? UINT16_MAX : ERRNO_MAX))
            return error_set(err, EINVAL, "%s: the errno value %llu is too large", name,
                    (unsigned long long)value);
        action |= value;
    } else if (errno_ret->set) {
        return error_set(err, EINVAL,
                "%s takes no errnoRet: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do", name);
    }
    *ret = (uint32_t)action;
    return sys_seccomp_action_available(*ret & SECCOMP_RET_ACTION_FULL) < 0
                   ? error_set(err, EOPNOTSUPP, "this kernel does not have %s", name)
                   : 0;
}

/* Architectures of the specification that libseccomp has from 2.6 on. */
static bool is_later_arch(const char *name)
{
    static const char *const names[] = {
            "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_equal(name, names[i]))
            return true;
    return false;
}

/* No call of the later ones can come here, nor of one with the other order of bytes (-EDOM): the
 * filter needs nothing for them. */
static int add_archs(struct compiler *compiler, struct error *err)
{
    const char *name;

    strv_foreach (name, &compiler->profile->architectures) {
        uint64_t arch;
        if (is_later_arch(name))
            continue;
        int r = names_value(&archs, name, &arch, err);
        if (r < 0)
            return r;
        r = seccomp_arch_add(compiler->context, (uint32_t)arch);
        if (r < 0 && r != -EEXIST && r != -EDOM)
            return error_sys(err, -r, "add %s to the seccomp filter", name);
    }
    return 0;
}

static int read_arg(const struct seccomp_arg *arg, struct scmp_arg_cmp *ret, struct error *err)
{
    uint64_t operator_;
    int r = names_value(&operators, arg->op, &operator_, err);

    if (r < 0)
        return r;
    if (arg->index > 5)
        return error_set(err, EINVAL, "the argument index %u is not from 0 to 5", arg->index);
    *ret = (struct scmp_arg_cmp){
            arg->index, (enum scmp_compare)operator_, arg->value, arg->value_two};
    return 0;
}

static int add_call(struct compiler *compiler, const char *name, int number, uint32_t action,
        const struct scmp_arg_cmp *args, unsigned count, struct error *err)
{
    int r = seccomp_rule_add_array(compiler->context, action, number, count, args);

    /* EEXIST: the same rule twice, or one that an earlier rule covers */
    if (r == 0 || r == -EEXIST)
        return 0;
    return error_sys(err, -r, "add the rule for %s to the seccomp filter", name);
}

/* Conditions on one argument twice cannot be and-ed by libseccomp: each is a rule of its own then,
 * which or-s them, as other runtimes do. */
static bool repeats_index(const struct scmp_arg_cmp *args, unsigned count)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < count; i++) {
        if (seen & 1u << args[i].arg)
            return true;
        seen |= 1u << args[i].arg;
    }
    return false;
}

static void note(struct compiler *compiler, const char *name, const char *why)
{
    char *line = arena_printf(compiler->arena, "the system call \"%s\" is skipped: %s", name, why);

    strv_add(compiler->arena, &compiler->notes, line);
}

/* A call that libseccomp has no number for. */
static void add_unknown(struct compiler *compiler, const char *name, uint32_t action, bool has_args)
{
    int number = seccomp_recent_number(name);

    if (number < 0) {
        note(compiler, name, "no such call is known");
        return;
    }
    if (has_args) {
        note(compiler, name, "it is newer than libseccomp, and its arguments cannot be compared");
        return;
    }
    for (uint32_t i = 0; i < compiler->recent_count; i++)
        if (compiler->recent[i].number == number)
            return;
    compiler->recent = arena_grow(compiler->arena, compiler->recent, compiler->recent_count,
            &compiler->recent_capacity, sizeof(*compiler->recent));
    compiler->recent[compiler->recent_count++] = (struct seccomp_recent_rule){number, action};
}

#define ARGS_MAX 32

static int add_name(struct compiler *compiler, const char *name, uint32_t action,
        const struct scmp_arg_cmp *args, unsigned count, struct error *err)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR) {
        add_unknown(compiler, name, action, count > 0);
        return 0;
    }
    if (!repeats_index(args, count))
        return add_call(compiler, name, number, action, args, count, err);
    for (unsigned i = 0; i < count; i++) {
        int r = add_call(compiler, name, number, action, &args[i], 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_rule(struct compiler *compiler, const struct seccomp_rule *rule, struct error *err)
{
    struct scmp_arg_cmp args[ARGS_MAX];
    unsigned count = (unsigned)rule->args.count;
    uint32_t action;
    const char *name;

    int r = read_action(rule->action, &rule->errno_ret, &action, err);
    if (r < 0)
        return r;
    compiler->notifies |= action == SCMP_ACT_NOTIFY;
    if (rule->args.count > ARGS_MAX)
        return error_set(err, E2BIG, "a seccomp rule has more than %d conditions", ARGS_MAX);
    for (unsigned i = 0; i < count; i++) {
        r = read_arg(&rule->args.items[i], &args[i], err);
        if (r < 0)
            return r;
    }
    if (action == compiler->default_action)
        return 0; /* says nothing new, and libseccomp refuses it */
    strv_foreach (name, &rule->names) {
        r = add_name(compiler, name, action, args, count, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The highest number that the profile names for an architecture; 0 if it names none. */
static uint32_t highest_number(const struct compiler *compiler, uint32_t arch)
{
    int highest = 0;

    for (size_t i = 0; i < compiler->profile->rules.count; i++) {
        const char *name;
        strv_foreach (name, &compiler->profile->rules.items[i].names) {
            int number = seccomp_syscall_resolve_name_arch(arch, name);
            if (number == __NR_SCMP_ERROR)
                number = seccomp_recent_number(name);
            if (number > highest)
                highest = number;
        }
    }
    return (uint32_t)highest;
}

/* Whether the default refuses calls, so that unknown ones should rather be absent. */
static bool default_refuses(const struct compiler *compiler)
{
    switch (compiler->default_action & SECCOMP_RET_ACTION_FULL) {
    case SCMP_ACT_ALLOW:
    case SCMP_ACT_LOG:
    case SCMP_ACT_TRACE(0):
    case SCMP_ACT_NOTIFY:
        return false;
    default:
        return true;
    }
}

/* Our own instructions for each architecture of the filter; see seccomp_recent.h. */
static void add_recent(const struct compiler *compiler, struct buf *code)
{
    bool refuses = default_refuses(compiler);

    for (size_t i = 0; i < archs.count; i++) {
        uint32_t arch = (uint32_t)archs.rows[i].value;
        /* x32 has x86-64's number as an architecture and marks its calls by a bit */
        if (arch == SCMP_ARCH_X32 || seccomp_arch_exist(compiler->context, arch) != 0)
            continue;
        uint32_t last = refuses ? highest_number(compiler, arch) : 0;
        seccomp_recent_add(code, arch, compiler->recent, compiler->recent_count, last);
    }
}

#define PROGRAM_MAX 4096 /* BPF_MAXINSNS */

/* The finished program: our instructions, then libseccomp's, made small. */
static int export_program(
        const struct compiler *compiler, struct seccomp_filter *ret, struct error *err)
{
    _cleanup_buf_ struct buf code = {.max = (size_t)2 * PROGRAM_MAX * sizeof(struct sock_filter)};
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);

    add_recent(compiler, &code);
    if (fd < 0)
        return error_sys(err, errno, "make a memory file for the seccomp filter");
    int r = seccomp_export_bpf(compiler->context, fd);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r == 0)
        r = io_read_fd(fd, &code);
    if (r < 0 && r != -EFBIG)
        return error_sys(err, -r, "compile the seccomp filter");
    size_t count = code.length / sizeof(struct sock_filter);
    if (r == -EFBIG || count > PROGRAM_MAX)
        return error_set(err, E2BIG,
                "the seccomp filter has more than the %d instructions that the kernel takes: give "
                "it fewer rules or architectures",
                PROGRAM_MAX);
    struct sock_filter *small;
    ret->count = (uint32_t)count;
    if (seccomp_compact(compiler->arena, (const struct sock_filter *)code.data, ret->count,
                seccomp_arch_native(), &small, &ret->count))
        ret->code = small;
    else
        ret->code = arena_memdup(compiler->arena, code.data, code.length);
    return 0;
}

static int read_flags(struct compiler *compiler, uint32_t *ret, struct error *err)
{
    uint64_t mask = 0;
    const char *name;

    strv_foreach (name, &compiler->profile->flags) {
        uint64_t flag;
        int r = names_value(&flags, name, &flag, err);
        if (r < 0)
            return r;
        if (!kernel_has_flag((uint32_t)flag))
            return error_set(err, EOPNOTSUPP, "this kernel does not have %s", name);
        mask |= flag;
    }
    if (compiler->notifies) {
        mask |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        /* the workload has one thread, so there is nothing to synchronise; but the thread that
         * hands the notify descriptor on must stay outside of the filter, see filter.h */
        mask &= ~(uint64_t)SECCOMP_FILTER_FLAG_TSYNC;
    } else if (mask & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        mask &= ~(uint64_t)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        strv_add(compiler->arena, &compiler->notes,
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is left out: no rule notifies an agent");
    }
    *ret = (uint32_t)mask;
    return 0;
}

static int compile_rules(struct compiler *compiler, struct seccomp_filter *ret, struct error *err)
{
    int r = add_archs(compiler, err);

    for (size_t i = 0; r == 0 && i < compiler->profile->rules.count; i++)
        r = add_rule(compiler, &compiler->profile->rules.items[i], err);
    if (r == 0)
        r = read_flags(compiler, &ret->flags, err);
    /* a binary tree instead of a list: half the cost of a call in the workload. Not all that is
     * asked for can be had together (2.5.4 refuses it with some architectures) */
    if (r == 0)
        seccomp_attr_set(compiler->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return r < 0 ? r : export_program(compiler, ret, err);
}

int seccomp_compile(struct arena *arena, const struct seccomp_profile *profile,
        struct seccomp_filter *ret, struct error *err)
{
    struct compiler compiler = {.arena = arena, .profile = profile};
    struct seccomp_filter filter = {0};

    int r = read_action(
            profile->default_action, &profile->default_errno_ret, &compiler.default_action, err);
    if (r < 0)
        return r;
    compiler.notifies = compiler.default_action == SCMP_ACT_NOTIFY;
    compiler.context = seccomp_init(compiler.default_action);
    if (!compiler.context)
        return error_set(err, ENOMEM, "start a seccomp filter with %s", profile->default_action);
    r = compile_rules(&compiler, &filter, err);
    seccomp_release(compiler.context);
    if (r < 0)
        return r;
    filter.notes = compiler.notes;
    *ret = filter;
    return 0;
}

/* Every string with its length, so that no two profiles have the same bytes. */
static void key_str(struct buf *key, const char *text)
{
    uint32_t length = text ? (uint32_t)strlen(text) : UINT32_MAX;

    buf_add(key, &length, sizeof(length));
    if (text)
        buf_add(key, text, length);
}

static void key_number(struct buf *key, uint64_t number)
{
    buf_add(key, &number, sizeof(number));
}

static void key_strv(struct buf *key, const struct strv *list)
{
    const char *word;

    key_number(key, list->count);
    strv_foreach (word, list) {
        key_str(key, word);
    }
}

static void key_opt(struct buf *key, const struct opt_u64 *number)
{
    key_number(key, number->set);
    key_number(key, number->value);
}

#define COMPILER_VERSION 3 /* to be raised when the same profile compiles to something else */

/* The canonical bytes of everything that the result depends on. */
static void make_key(const struct seccomp_profile *profile, struct buf *key)
{
    const struct scmp_version *library = seccomp_version();

    key_number(key, COMPILER_VERSION);
    buf_add(key, library, sizeof(*library));
    key_number(key, seccomp_arch_native());
    key_str(key, profile->default_action);
    key_opt(key, &profile->default_errno_ret);
    key_strv(key, &profile->architectures);
    key_strv(key, &profile->flags);
    key_number(key, profile->rules.count);
    for (size_t i = 0; i < profile->rules.count; i++) {
        const struct seccomp_rule *rule = &profile->rules.items[i];
        key_strv(key, &rule->names);
        key_str(key, rule->action);
        key_opt(key, &rule->errno_ret);
        key_number(key, rule->args.count);
        for (size_t j = 0; j < rule->args.count; j++) {
            key_number(key, rule->args.items[j].index);
            key_number(key, rule->args.items[j].value);
            key_number(key, rule->args.items[j].value_two);
            key_str(key, rule->args.items[j].op);
        }
    }
}

static void from_cache(
        struct arena *arena, const struct seccomp_cached *cached, struct seccomp_filter *ret)
{
    *ret = (struct seccomp_filter){
            .code = cached->code,
            .count = cached->count,
            .flags = cached->flags,
            .from_cache = true,
    };
    if (*cached->notes)
        strv_split(arena, &ret->notes, cached->notes, '\n');
}

int seccomp_get_filter(struct arena *arena, const struct seccomp_profile *profile, int cache_dirfd,
        struct seccomp_filter *ret, struct error *err)
{
    _cleanup_buf_ struct buf key = {0};
    struct seccomp_cached cached;

    if (cache_dirfd < 0)
        return seccomp_compile(arena, profile, ret, err);
    make_key(profile, &key);
    if (!key.overflow &&
            seccomp_cache_load(arena, cache_dirfd, key.data, key.length, &cached) == 0) {
        from_cache(arena, &cached, ret);
        return 0;
    }
    int r = seccomp_compile(arena, profile, ret, err);
    if (r < 0 || key.overflow)
        return r;
    cached = (struct seccomp_cached){
            .code = ret->code,
            .count = ret->count,
            .flags = ret->flags,
            .notes = ret->notes.count ? strv_join(arena, &ret->notes, "\n") : "",
    };
    seccomp_cache_store(cache_dirfd, key.data, key.length, &cached);
    return 0;
}
