#include "security/security.h"

#include <linux/capability.h>
#include <string.h>

#include "base/str.h"
#include "security/creds.h"
#include "security/filter.h"
#include "security/keyring.h"
#include "security/landlock.h"
#include "security/limits.h"
#include "security/lsm.h"
#include "security/program.h"
#include "security/schedule.h"

void security_init(struct security *security)
{
    *security = (struct security){
            .process_at = "/process",
            .linux_at = "/linux",
            .proc_slot = -1,
            .cwd = "/",
            .listener_slot = -1,
            .landlock_slot = -1,
    };
}

/* "/process" + "/user" */
static const char *at(struct plan *plan, const char *base, const char *member)
{
    return plan_pointer(plan, "%s%s", base ? base : "", member);
}

int security_steps_connect(struct plan *plan, struct security *security, struct error *err)
{
    if (!security->seccomp || !security->listener.path)
        return 0;
    security->listener_slot = plan_new_slot(plan);
    return filter_step_connect(plan, STEP_HOST,
            at(plan, security->linux_at, "/seccomp/listenerPath"), security->listener.path,
            security->listener_slot, err);
}

static int add_rlimits(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err)
{
    for (size_t i = 0; i < security->rlimits.count; i++) {
        const struct security_rlimit *limit = &security->rlimits.items[i];
        const char *because = plan_pointer(plan, "%s/rlimits/%zu", security->process_at, i);
        int r = limits_step_rlimit(
                plan, place, because, limit->type, limit->soft, limit->hard, err);
        if (r < 0)
            return error_prefix(err, "%s", because);
    }
    return 0;
}

int security_steps_limits(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err)
{
    const char *base = security->process_at;
    int r = 0;

    if (!str_empty(security->affinity))
        r = schedule_step_affinity(plan, place, at(plan, base, "/execCPUAffinity/final"),
                security->affinity, place == STEP_HOST, err);
    if (r == 0 && security->oom_score_adj.set)
        r = limits_step_oom(plan, place, at(plan, base, "/oomScoreAdj"), security->proc_slot,
                security->oom_score_adj.value, err);
    if (r == 0)
        r = add_rlimits(plan, place, security, err);
    if (r == 0 && security->scheduler)
        r = schedule_step_scheduler(
                plan, place, at(plan, base, "/scheduler"), security->scheduler, err);
    if (r == 0 && security->io_priority)
        r = schedule_step_io_priority(
                plan, place, at(plan, base, "/ioPriority"), security->io_priority, err);
    return r;
}

int security_steps_session(struct plan *plan, enum step_place place,
        const struct security *security, struct error *err)
{
    int r = 0;

    if (security->no_new_keyring)
        return 0;
    if (!str_empty(security->selinux_label))
        r = lsm_step_selinux_keys(plan, place, at(plan, security->process_at, "/selinuxLabel"),
                security->proc_slot, security->selinux_label, err);
    if (r == 0)
        keyring_step(plan, place, "", security->id);
    return r;
}

static int add_labels(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err)
{
    const char *base = security->process_at;
    int r = 0;

    if (!str_empty(security->apparmor_profile))
        r = lsm_step_apparmor(plan, place, at(plan, base, "/apparmorProfile"), security->proc_slot,
                security->apparmor_profile, err);
    if (r == 0 && !str_empty(security->selinux_label))
        r = lsm_step_selinux(plan, place, at(plan, base, "/selinuxLabel"), security->proc_slot,
                security->selinux_label, err);
    return r;
}

/* Whether loading a filter asks for CAP_SYS_ADMIN that the workload is not to have effective. */
static bool lends_admin(const struct security *security)
{
    bool filters = security->seccomp || security->landlock;

    return filters && !security->no_new_privileges &&
           !(security->capabilities.effective & CAPS_BIT(CAP_SYS_ADMIN));
}

static int add_identity(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err)
{
    const char *base = security->process_at;
    const char *caps_at = at(plan, base, "/capabilities");
    struct caps_sets sets = security->capabilities;

    creds_step_bounding(plan, place, at(plan, base, "/capabilities/bounding"), sets.bounding);
    int r = creds_step_user(
            plan, place, at(plan, base, "/user"), &security->user, security->own_userns, err);
    if (r < 0)
        return r;
    if (lends_admin(security))
        sets.permitted |= CAPS_BIT(CAP_SYS_ADMIN);
    creds_step_caps(plan, place, caps_at, &sets, true);
    if (security->death_signal)
        creds_step_death_signal(plan, place, "", security->death_signal);
    return 0;
}

/* The find step and the exec step share one struct. */
static struct program_args *make_program(struct plan *plan, const struct security *security)
{
    struct program_args *args = arena_new(plan->arena, struct program_args);

    *args = (struct program_args){
            .args = security->args,
            .env = security->env,
            .uid = security->user.uid,
            .self_device = security->self.device,
            .self_inode = security->self.inode,
            .found = arena_new(plan->arena, struct program_found),
    };
    return args;
}

static int add_kernel_view(
        struct plan *plan, enum step_place place, struct security *security, struct error *err)
{
    int r = 0;

    if (security->personality)
        r = schedule_step_personality(plan, place, at(plan, security->linux_at, "/personality"),
                security->personality, err);
    if (r == 0 && security->memory_policy)
        r = schedule_step_memory_policy(plan, place, at(plan, security->linux_at, "/memoryPolicy"),
                security->memory_policy, err);
    if (r == 0 && security->landlock) {
        security->landlock_slot = plan_new_slot(plan);
        r = landlock_step_rules(plan, place, "", security->landlock, security->landlock_slot, err);
    }
    return r;
}

int security_steps_confine(
        struct plan *plan, enum step_place place, struct security *security, struct error *err)
{
    const char *base = security->process_at;

    int r = add_kernel_view(plan, place, security, err);
    if (r == 0 && security->no_new_privileges)
        creds_step_no_new_privs(plan, place, at(plan, base, "/noNewPrivileges"));
    if (r == 0)
        r = add_labels(plan, place, security, err);
    if (r == 0)
        r = add_identity(plan, place, security, err);
    if (r < 0)
        return r;
    security->program = make_program(plan, security);
    program_step_directory(plan, place, at(plan, base, "/cwd"), security->cwd);
    program_step_find(plan, place, at(plan, base, "/args/0"), security->program);
    program_step_close(plan, place, "", security->preserve_fds);
    return 0;
}

static void lend_admin(struct plan *plan, enum step_place place, const struct security *security)
{
    struct caps_sets sets = security->capabilities;

    sets.effective |= CAPS_BIT(CAP_SYS_ADMIN);
    sets.permitted |= CAPS_BIT(CAP_SYS_ADMIN);
    creds_step_caps(plan, place, "", &sets, false);
}

int security_steps_enter(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err)
{
    const char *base = security->process_at;
    bool lends = lends_admin(security);

    if (!security->program)
        return error_set(err, EINVAL, "the steps that confine the workload come before this");
    if (lends)
        lend_admin(plan, place, security);
    if (security->landlock)
        landlock_step_restrict(plan, place, "", security->landlock_slot);
    if (security->seccomp) {
        int r = filter_step_load(plan, place, at(plan, security->linux_at, "/seccomp"),
                security->seccomp, &security->listener, security->listener_slot,
                security->proc_slot, err);
        if (r < 0)
            return r;
    }
    if (lends)
        creds_step_caps(
                plan, place, at(plan, base, "/capabilities"), &security->capabilities, false);
    program_step_execute(plan, place, at(plan, base, "/args"), security->program);
    return 0;
}

int security_step_affinity(struct plan *plan, enum step_place place, const char *because,
        const char *cpus, struct error *err)
{
    return schedule_step_affinity(plan, place, because, cpus, false, err);
}
