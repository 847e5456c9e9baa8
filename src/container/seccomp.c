#include "container/seccomp.h"

static struct opt_u64 widen(struct opt_u32 from)
{
    return (struct opt_u64){from.set, from.value};
}

void container_seccomp_profile(
        struct arena *arena, const struct spec_seccomp *seccomp, struct seccomp_profile *ret)
{
    size_t count = seccomp->syscalls.count;

    *ret = (struct seccomp_profile){
            .default_action = seccomp->defaultAction,
            .default_errno_ret = widen(seccomp->defaultErrnoRet),
            .architectures = seccomp->architectures,
            .flags = seccomp->flags,
    };
    ret->rules.count = count;
    ret->rules.items = arena_new_array(arena, struct seccomp_rule, count);
    for (size_t i = 0; i < count; i++) {
        const struct spec_seccomp_rule *from = &seccomp->syscalls.items[i];
        struct seccomp_rule *rule = &ret->rules.items[i];
        rule->names = from->names;
        rule->action = from->action;
        rule->errno_ret = widen(from->errnoRet);
        rule->args.count = from->args.count;
        rule->args.items = arena_new_array(arena, struct seccomp_arg, from->args.count);
        for (size_t j = 0; j < from->args.count; j++)
            rule->args.items[j] =
                    (struct seccomp_arg){from->args.items[j].index, from->args.items[j].value,
                            from->args.items[j].valueTwo, from->args.items[j].op};
    }
}
