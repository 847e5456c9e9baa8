#include "container/build_parts.h"

static struct opt_u64 widen(struct opt_u32 from)
{
    return (struct opt_u64){from.set, from.value};
}

static void build_capabilities(struct arena *arena, const struct spec_process *process,
        const struct container_host *host, bool own_userns, struct caps_sets *ret,
        struct strv *warnings)
{
    const struct spec_capabilities *from = process->capabilities;
    uint64_t known = (CAPS_BIT(host->last_capability) << 1) - 1;

    *ret = (struct caps_sets){0};
    if (!from)
        return;
    *ret = (struct caps_sets){
            .bounding = caps_from_names(&from->bounding),
            .effective = caps_from_names(&from->effective),
            .permitted = caps_from_names(&from->permitted),
            .inheritable = caps_from_names(&from->inheritable),
            .ambient = caps_from_names(&from->ambient),
    };
    caps_sets_fit(arena, ret, own_userns ? known : host->capabilities & known, warnings);
}

static const struct security_scheduler *build_scheduler(
        struct arena *arena, const struct spec_scheduler *from)
{
    if (!from)
        return NULL;
    struct security_scheduler *scheduler = arena_new(arena, struct security_scheduler);
    *scheduler = (struct security_scheduler){
            .policy = from->policy,
            .nice = from->nice,
            .priority = from->priority,
            .flags = from->flags,
            .runtime = from->runtime,
            .deadline = from->deadline,
            .period = from->period,
            .util_min = widen(from->utilClampMin),
            .util_max = widen(from->utilClampMax),
    };
    return scheduler;
}

static void build_process(
        struct arena *arena, const struct spec_process *process, struct security *ret)
{
    ret->oom_score_adj = process->oomScoreAdj;
    ret->rlimits.count = process->rlimits.count;
    ret->rlimits.items = arena_new_array(arena, struct security_rlimit, process->rlimits.count);
    for (size_t i = 0; i < process->rlimits.count; i++)
        ret->rlimits.items[i] = (struct security_rlimit){process->rlimits.items[i].type,
                process->rlimits.items[i].soft, process->rlimits.items[i].hard};
    ret->scheduler = build_scheduler(arena, process->scheduler);
    if (process->ioPriority) {
        struct security_io_priority *priority = arena_new(arena, struct security_io_priority);
        *priority = (struct security_io_priority){
                process->ioPriority->class, process->ioPriority->priority};
        ret->io_priority = priority;
    }
    if (process->execCPUAffinity)
        ret->affinity = process->execCPUAffinity->final;
    ret->no_new_privileges = process->noNewPrivileges;
    ret->apparmor_profile = process->apparmorProfile;
    ret->selinux_label = process->selinuxLabel;
    ret->user.uid = process->user.uid;
    ret->user.gid = process->user.gid;
    ret->user.additional_gids.items = process->user.additionalGids.items;
    ret->user.additional_gids.count = process->user.additionalGids.count;
    ret->user.umask = widen(process->user.umask);
    ret->cwd = process->cwd;
    ret->args = process->args;
    ret->env = process->env;
}

static void build_linux(
        struct arena *arena, const struct spec_linux *linux_part, struct security *ret)
{
    if (linux_part->personality) {
        struct security_personality *personality = arena_new(arena, struct security_personality);
        *personality = (struct security_personality){
                linux_part->personality->domain, linux_part->personality->flags};
        ret->personality = personality;
    }
    if (linux_part->memoryPolicy) {
        struct security_memory_policy *policy = arena_new(arena, struct security_memory_policy);
        *policy = (struct security_memory_policy){linux_part->memoryPolicy->mode,
                linux_part->memoryPolicy->nodes, linux_part->memoryPolicy->flags};
        ret->memory_policy = policy;
    }
}

void build_security(struct arena *arena, const struct spec_process *process,
        const struct spec_linux *linux_part, const struct container_host *host, bool own_userns,
        struct security *ret, struct strv *warnings)
{
    security_init(ret);
    build_process(arena, process, ret);
    if (linux_part)
        build_linux(arena, linux_part, ret);
    ret->linux_at = "/linux";
    ret->own_userns = own_userns;
    ret->self = host->self;
    build_capabilities(arena, process, host, own_userns, &ret->capabilities, warnings);
}
