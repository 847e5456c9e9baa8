#include "security/creds.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "plan/run.h"
#include "sys/creds.h"
#include "sys/process.h"

static int privs_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)step, (void)run;
    int r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return r < 0 ? error_sys(err, -r, "set no_new_privs") : 0;
}

static void privs_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)");
    step_why(text, "No program that it starts gains rights: set-user-ID bits have no effect.");
}

static const struct record no_record;
static const struct step_ops privs_ops = {
        "no_new_privs", "prctl(2)", privs_apply, NULL, privs_describe, &no_record};

void creds_step_no_new_privs(struct plan *plan, enum step_place place, const char *because)
{
    plan_add(plan, place, &privs_ops, because, NULL);
}

struct bounding_args {
    uint64_t keep;
};

static int bounding_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct bounding_args *args = step->args;

    (void)run;
    for (unsigned i = 0; i < 64; i++) {
        if (args->keep & CAPS_BIT(i))
            continue;
        int r = sys_prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        if (r == -EINVAL) /* the first that this kernel does not have */
            return 0;
        if (r < 0)
            return error_sys(err, -r, "drop %s from the bounding set%s",
                    caps_name(i) ? caps_name(i) : "a capability",
                    r == -EPERM ? " (which asks for CAP_SETPCAP)" : "");
    }
    return 0;
}

static void bounding_describe(const struct step *step, struct step_text *text)
{
    const struct bounding_args *args = step->args;
    unsigned last = caps_kernel_last();

    for (unsigned i = 0; i <= last + 1; i++) {
        if (args->keep & CAPS_BIT(i))
            continue;
        if (caps_name(i))
            step_call(text, "prctl(PR_CAPBSET_DROP, %s)", caps_name(i));
        else
            step_call(text, "prctl(PR_CAPBSET_DROP, %#x /* CAP_??? */)", i);
    }
    step_why(text, "Capabilities that nothing in the sandbox can ever gain.");
}

static const struct field bounding_fields[] = {FIELD(struct bounding_args, keep, FIELD_U64)};
static const struct record bounding_record = RECORD(struct bounding_args, bounding_fields);
static const struct step_ops bounding_ops = {"capbset_drop", "capabilities(7)", bounding_apply,
        NULL, bounding_describe, &bounding_record};

void creds_step_bounding(
        struct plan *plan, enum step_place place, const char *because, uint64_t mask)
{
    struct bounding_args *args = arena_new(plan->arena, struct bounding_args);

    args->keep = mask;
    plan_add(plan, place, &bounding_ops, because, args);
}

struct user_args {
    uint32_t uid;
    uint32_t gid;
    RECORD_LIST(uint32_t) groups;
    struct opt_u64 mask;
    bool own_userns;
    bool keep_groups;
};

static int id_refused(const char *what, uint32_t id, int errnum, struct error *err)
{
    error_sys(err, errnum, "set the %s to %u", what, id);
    if (errnum == EINVAL)
        return error_append(err,
                "; the sandbox's user namespace has no mapping for it: map it in uidMappings and "
                "gidMappings");
    return -errnum;
}

static int set_groups(const struct user_args *args, struct error *err)
{
    int r = args->keep_groups ? 0 : sys_setgroups(args->groups.count, args->groups.items);

    if (r == -EPERM && args->own_userns && args->groups.count == 0)
        return 0; /* switched off in this user namespace: there is nothing to take away */
    if (r == -EPERM)
        return error_sys(err, EPERM,
                "set the supplementary groups: the user namespace forbids setgroups(2), as without "
                "newgidmap, or CAP_SETGID is missing");
    if (r == -EINVAL && args->groups.count)
        return error_sys(err, EINVAL,
                "set the supplementary groups: one of them has no mapping in the user namespace");
    return r < 0 ? error_sys(err, -r, "set the supplementary groups") : 0;
}

static int user_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct user_args *args = step->args;

    (void)run;
    int r = sys_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (r < 0)
        return error_sys(err, -r, "keep the capabilities across the change of user");
    r = set_groups(args, err);
    if (r < 0)
        return r;
    r = sys_setresgid(args->gid, args->gid, args->gid);
    if (r < 0)
        return id_refused("group id", args->gid, -r, err);
    r = sys_setresuid(args->uid, args->uid, args->uid);
    if (r < 0)
        return id_refused("user id", args->uid, -r, err);
    r = sys_prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (r < 0)
        return error_sys(err, -r, "stop keeping capabilities");
    if (args->mask.set)
        umask((mode_t)args->mask.value);
    return 0;
}

static void user_describe(const struct step *step, struct step_text *text)
{
    const struct user_args *args = step->args;
    struct buf groups = {0};

    for (size_t i = 0; i < args->groups.count; i++)
        buf_printf(&groups, "%s%u", i ? ", " : "", args->groups.items[i]);
    step_call(text, "prctl(PR_SET_KEEPCAPS, 1)");
    if (args->groups.count && !args->keep_groups)
        step_call(text, "setgroups(%zu, [%s])", args->groups.count, buf_text(&groups));
    else if (!args->keep_groups)
        step_call(text, "setgroups(0, NULL)");
    buf_free(&groups);
    step_call(text, "setresgid(%u, %u, %u)", args->gid, args->gid, args->gid);
    step_call(text, "setresuid(%u, %u, %u)", args->uid, args->uid, args->uid);
    step_call(text, "prctl(PR_SET_KEEPCAPS, 0)");
    if (args->mask.set)
        step_call(text, "umask(%s%llo)", args->mask.value ? "0" : "",
                (unsigned long long)args->mask.value);
    step_why(text, "The user and the groups that the workload runs as.");
}

static const struct field user_fields[] = {
        FIELD(struct user_args, uid, FIELD_U32),
        FIELD(struct user_args, gid, FIELD_U32),
        FIELD(struct user_args, groups, FIELD_U32S),
        FIELD(struct user_args, mask, FIELD_OPT_U64),
        FIELD(struct user_args, own_userns, FIELD_BOOL),
        FIELD(struct user_args, keep_groups, FIELD_BOOL),
};
static const struct record user_record = RECORD(struct user_args, user_fields);
static const struct step_ops user_ops = {
        "setresuid", "credentials(7)", user_apply, NULL, user_describe, &user_record};

#define GROUPS_MAX 65536 /* NGROUPS_MAX */

int creds_step_user(struct plan *plan, enum step_place place, const char *because,
        const struct security_user *user, bool own_userns, struct error *err)
{
    if (user->uid == UINT32_MAX || user->gid == UINT32_MAX)
        return error_set(err, EINVAL, "the id 4294967295 means \"none\" and can be nobody's");
    if (user->additional_gids.count > GROUPS_MAX)
        return error_set(err, EINVAL, "more than %d supplementary groups", GROUPS_MAX);
    if (user->umask.set && user->umask.value > 0777)
        return error_set(err, EINVAL, "the umask %#llo has more than permission bits",
                (unsigned long long)user->umask.value);
    struct user_args *args = arena_new(plan->arena, struct user_args);
    args->uid = user->uid;
    args->gid = user->gid;
    args->groups.items = user->additional_gids.items;
    args->groups.count = user->additional_gids.count;
    args->mask = user->umask;
    args->own_userns = own_userns;
    args->keep_groups = user->keep_groups;
    plan_add(plan, place, &user_ops, because, args);
    return 0;
}

struct caps_args {
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
    uint64_t ambient;
    bool with_ambient;
};

static int set_ambient(uint64_t mask, struct error *err)
{
    int r = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

    if (r < 0)
        return error_sys(err, -r, "clear the ambient capabilities");
    for (unsigned i = 0; i < CAPS_COUNT; i++) {
        if (!(mask & CAPS_BIT(i)))
            continue;
        r = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0);
        if (r < 0)
            return error_sys(err, -r, "raise %s in the ambient set", caps_name(i));
    }
    return 0;
}

static int caps_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct caps_args *args = step->args;

    (void)run;
    int r = sys_capset(args->effective, args->permitted, args->inheritable);
    if (r == -EPERM)
        return error_sys(err, EPERM,
                "set the capabilities: one of them is not ours to give; capsh --print shows what "
                "is");
    if (r < 0)
        return error_sys(err, -r, "set the capabilities");
    return args->with_ambient ? set_ambient(args->ambient, err) : 0;
}

static void caps_describe(const struct step *step, struct step_text *text)
{
    const struct caps_args *args = step->args;

    step_call(text,
            "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=%s, permitted=%s, "
            "inheritable=%s})",
            caps_mask_text(text->arena, args->effective),
            caps_mask_text(text->arena, args->permitted),
            caps_mask_text(text->arena, args->inheritable));
    step_why(text, "What the workload may do beyond an ordinary user.");
    if (!args->with_ambient)
        return;
    step_call(text, "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)");
    for (unsigned i = 0; i < CAPS_COUNT; i++)
        if (args->ambient & CAPS_BIT(i))
            step_call(text, "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, %s, 0, 0)", caps_name(i));
}

static const struct field caps_fields[] = {
        FIELD(struct caps_args, effective, FIELD_U64),
        FIELD(struct caps_args, permitted, FIELD_U64),
        FIELD(struct caps_args, inheritable, FIELD_U64),
        FIELD(struct caps_args, ambient, FIELD_U64),
        FIELD(struct caps_args, with_ambient, FIELD_BOOL),
};
static const struct record caps_record = RECORD(struct caps_args, caps_fields);
static const struct step_ops caps_ops = {
        "capset", "capabilities(7)", caps_apply, NULL, caps_describe, &caps_record};

void creds_step_caps(struct plan *plan, enum step_place place, const char *because,
        const struct caps_sets *sets, bool ambient)
{
    struct caps_args *args = arena_new(plan->arena, struct caps_args);

    *args = (struct caps_args){
            sets->effective, sets->permitted, sets->inheritable, sets->ambient, ambient};
    plan_add(plan, place, &caps_ops, because, args);
}

struct death_args {
    int number;
};

static int death_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct death_args *args = step->args;

    int r = sys_prctl(PR_SET_PDEATHSIG, (unsigned long)args->number, 0, 0, 0);
    if (r < 0)
        return error_sys(err, -r, "ask for signal %d when the parent dies", args->number);
    /* Changing the credentials took back what was asked for before: it may have died since. */
    struct pollfd parent = {.fd = run->channel};
    if (poll(&parent, 1, 0) > 0 && (parent.revents & POLLHUP))
        return error_set(err, ESRCH, "the process that makes the sandbox has ended");
    return 0;
}

static void death_describe(const struct step *step, struct step_text *text)
{
    const struct death_args *args = step->args;
    const char *name = sigabbrev_np(args->number);

    step_call(text, "prctl(PR_SET_PDEATHSIG, SIG%s)", name ? name : "???");
    step_why(text, "The workload ends when the one who started it is gone.");
}

static const struct field death_fields[] = {FIELD(struct death_args, number, FIELD_I32)};
static const struct record death_record = RECORD(struct death_args, death_fields);
static const struct step_ops death_ops = {
        "pdeathsig", "prctl(2)", death_apply, NULL, death_describe, &death_record};

void creds_step_death_signal(
        struct plan *plan, enum step_place place, const char *because, int number)
{
    struct death_args *args = arena_new(plan->arena, struct death_args);

    args->number = number;
    plan_add(plan, place, &death_ops, because, args);
}
