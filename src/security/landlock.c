#include "security/landlock.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "security/names.h"
#include "sys/filter.h"
#include "sys/mount.h"

/* Newer than Debian 12's header */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#endif

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_EXECUTE (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_ALL ((UINT64_C(1) << 16) - 1)

/* What a rule for something that is no directory may allow. */
#define ACCESS_FILE                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
            LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

static const struct name access_rows[] = {
        {"r", ACCESS_READ},
        {"x", ACCESS_EXECUTE},
        {"w", ACCESS_ALL},
};
static const struct names accesses = NAMES("Landlock access (r, x, w)", access_rows);

struct path_rule {
    const char *path;
    uint64_t access;
};

struct rules_args {
    int slot;
    RECORD_LIST(struct path_rule) rules;
};

/* What each version of the interface added; the rest is not asked for. */
static uint64_t handled_accesses(int version)
{
    static const struct {
        int version;
        uint64_t access;
    } additions[] = {
            {2, LANDLOCK_ACCESS_FS_REFER},
            {3, LANDLOCK_ACCESS_FS_TRUNCATE},
            {5, LANDLOCK_ACCESS_FS_IOCTL_DEV},
    };
    uint64_t handled = ACCESS_ALL;

    for (size_t i = 0; i < ARRAY_SIZE(additions); i++)
        if (version < additions[i].version)
            handled &= ~additions[i].access;
    return handled;
}

static int add_rule(int ruleset, const struct path_rule *rule, uint64_t handled, struct error *err)
{
    _cleanup_close_ int fd = sys_openat2(AT_FDCWD, rule->path, O_PATH, 0, RESOLVE_NO_MAGICLINKS);
    struct stat status;

    if (fd < 0)
        return error_sys(err, -fd, "open %s for Landlock", rule->path);
    if (fstat(fd, &status) < 0)
        return error_sys(err, errno, "look at %s for Landlock", rule->path);
    uint64_t access = rule->access & handled;
    if (!S_ISDIR(status.st_mode))
        access &= ACCESS_FILE;
    const struct landlock_path_beneath_attr attributes = {
            .allowed_access = access, .parent_fd = fd};
    int r = sys_landlock_add_path(ruleset, &attributes);
    return r < 0 ? error_sys(err, -r, "add the Landlock rule for %s", rule->path) : 0;
}

static int rules_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct rules_args *args = step->args;

    int version = sys_landlock_version();
    if (version == -ENOSYS || version == -EOPNOTSUPP)
        return error_sys(err, -version,
                "this kernel runs without Landlock: it has to be built in and named in lsm=");
    if (version < 0)
        return error_sys(err, -version, "ask for the version of Landlock");
    const struct landlock_ruleset_attr attributes = {handled_accesses(version)};
    _cleanup_close_ int ruleset = sys_landlock_create_ruleset(&attributes, sizeof(attributes));
    if (ruleset < 0)
        return error_sys(err, -ruleset, "make a Landlock ruleset");
    for (size_t i = 0; i < args->rules.count; i++) {
        int r = add_rule(ruleset, &args->rules.items[i], attributes.handled_access_fs, err);
        if (r < 0)
            return r;
    }
    run->fds[args->slot] = take_fd(&ruleset);
    return 0;
}

static void rules_describe(const struct step *step, struct step_text *text)
{
    const struct rules_args *args = step->args;

    step_call(text, "landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)");
    step_call(text, "landlock_create_ruleset({handled_access_fs=<all that it has>}, 8, 0)");
    for (size_t i = 0; i < args->rules.count; i++) {
        step_call(text,
                "openat2(AT_FDCWD, %s, {flags=O_RDONLY|O_CLOEXEC|O_PATH, "
                "resolve=RESOLVE_NO_MAGICLINKS}, "
                "24)",
                step_quote(text->arena, args->rules.items[i].path));
        step_call(text,
                "landlock_add_rule(<ruleset>, LANDLOCK_RULE_PATH_BENEATH, {allowed_access=<%s>, "
                "parent_fd=<path>}, 0)",
                names_name(&accesses, args->rules.items[i].access));
    }
    step_why(text, "Which files the workload may use, whoever owns them.");
}

static const struct field rule_fields[] = {
        FIELD(struct path_rule, path, FIELD_STR),
        FIELD(struct path_rule, access, FIELD_U64),
};
static const struct record rule_record = RECORD(struct path_rule, rule_fields);
static const struct field rules_fields[] = {
        FIELD(struct rules_args, slot, FIELD_I32),
        FIELD_OF(struct rules_args, rules, "rules", FIELD_LIST, &rule_record),
};
static const struct record rules_record = RECORD(struct rules_args, rules_fields);
static const struct step_ops rules_ops = {
        "landlock_rules", "landlock(7)", rules_apply, NULL, rules_describe, &rules_record};

int landlock_step_rules(struct plan *plan, enum step_place place, const char *because,
        const struct security_landlock *landlock, int slot, struct error *err)
{
    struct rules_args *args = arena_new(plan->arena, struct rules_args);

    args->slot = slot;
    args->rules.count = landlock->rules.count;
    args->rules.items = arena_new_array(plan->arena, struct path_rule, args->rules.count);
    for (size_t i = 0; i < args->rules.count; i++) {
        struct path_rule *rule = &args->rules.items[i];
        rule->path = landlock->rules.items[i].path;
        int r = names_value(&accesses, landlock->rules.items[i].access, &rule->access, err);
        if (r < 0)
            return r;
        if (!rule->path || *rule->path != '/')
            return error_set(err, EINVAL, "the Landlock path \"%s\" is not absolute",
                    rule->path ? rule->path : "");
    }
    plan_add(plan, place, &rules_ops, because, args);
    return 0;
}

struct restrict_args {
    int slot;
};

static int restrict_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct restrict_args *args = step->args;

    int r = sys_landlock_restrict_self(run->fds[args->slot]);
    if (r == -EPERM)
        return error_sys(err, EPERM,
                "put the Landlock rules into force: that asks for no_new_privs or CAP_SYS_ADMIN");
    return r < 0 ? error_sys(err, -r, "put the Landlock rules into force") : 0;
}

static void restrict_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "landlock_restrict_self(<ruleset>, 0)");
    step_why(text, "From here on only the allowed files can be opened.");
}

static const struct field restrict_fields[] = {FIELD(struct restrict_args, slot, FIELD_I32)};
static const struct record restrict_record = RECORD(struct restrict_args, restrict_fields);
static const struct step_ops restrict_ops = {"landlock_restrict_self", "landlock(7)",
        restrict_apply, NULL, restrict_describe, &restrict_record};

void landlock_step_restrict(struct plan *plan, enum step_place place, const char *because, int slot)
{
    struct restrict_args *args = arena_new(plan->arena, struct restrict_args);

    args->slot = slot;
    plan_add(plan, place, &restrict_ops, because, args);
}
