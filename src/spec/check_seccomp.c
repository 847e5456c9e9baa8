#include "spec/check_seccomp.h"

#include <inttypes.h>

#include "spec/rule.h"

#define ARGS_MAX 6
#define ERRNO_MAX 4095 /* linux/err.h: MAX_ERRNO */

static bool takes_errno(const char *action)
{
    return str_equal(action, "SCMP_ACT_ERRNO") || str_equal(action, "SCMP_ACT_TRACE");
}

/* SCMP_ACT_TRACE's value is a message for the tracer, of 16 bits. */
static void check_errno(struct record_report *report, const struct record_place *place,
        const char *action, const struct opt_u32 *value)
{
    if (!value->set || !action)
        return;
    if (!takes_errno(action))
        record_fault(report, place, "%.64s does not return an errno: leave it out", action);
    else if (value->value > (str_equal(action, "SCMP_ACT_ERRNO") ? ERRNO_MAX : UINT16_MAX))
        record_fault(
                report, place, "%u is not an errno: the largest is %d", value->value, ERRNO_MAX);
}

static void check_args(struct record_report *report, const struct record_place *place,
        const struct spec_seccomp_rule *rule)
{
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct spec_seccomp_arg *arg = &rule->args.items[i];
        const struct record_place *here = RECORD_ITEM(place, i);
        if (arg->index >= ARGS_MAX)
            record_fault(report, RECORD_MEMBER(here, "index"),
                    "%u: a system call has %d arguments, 0 to %d", arg->index, ARGS_MAX,
                    ARGS_MAX - 1);
        rule_one_of(report, RECORD_MEMBER(here, "op"), arg->op, &spec_seccomp_operators,
                "seccomp operator");
    }
}

static void check_rule(struct record_report *report, const struct record_place *place,
        const struct spec_seccomp_rule *rule)
{
    const struct record_place *names = RECORD_MEMBER(place, "names");

    if (rule->names.count == 0)
        record_fault(report, names, "the rule names no system call");
    for (size_t i = 0; i < rule->names.count; i++)
        if (!*rule->names.words[i])
            record_fault(report, RECORD_ITEM(names, i), "the system call's name is empty");
    rule_one_of(report, RECORD_MEMBER(place, "action"), rule->action, &spec_seccomp_actions,
            "seccomp action");
    check_errno(report, RECORD_MEMBER(place, "errnoRet"), rule->action, &rule->errnoRet);
    check_args(report, RECORD_MEMBER(place, "args"), rule);
    if (str_equal(rule->action, "SCMP_ACT_NOTIFY") && strv_contains(&rule->names, "write"))
        record_fault(report, RECORD_MEMBER(place, "action"),
                "SCMP_ACT_NOTIFY cannot be used for write: the runtime itself needs it to hand "
                "over the listener");
}

static void check_listener(struct record_report *report, const struct record_place *place,
        const struct spec_seccomp *seccomp, bool agent)
{
    if (!str_empty(seccomp->listenerPath))
        rule_absolute(report, RECORD_MEMBER(place, "listenerPath"), seccomp->listenerPath);
    else if (!str_empty(seccomp->listenerMetadata))
        record_fault(report, RECORD_MEMBER(place, "listenerMetadata"),
                "there is nobody to send it to: give listenerPath too");
    if (str_equal(seccomp->defaultAction, "SCMP_ACT_NOTIFY"))
        record_fault(report, RECORD_MEMBER(place, "defaultAction"),
                "SCMP_ACT_NOTIFY cannot be the default: the runtime itself would wait for an "
                "answer; name the system calls in a rule");
    if (agent || !str_empty(seccomp->listenerPath))
        return;
    for (size_t i = 0; i < seccomp->syscalls.count; i++)
        if (str_equal(seccomp->syscalls.items[i].action, "SCMP_ACT_NOTIFY")) {
            record_fault(report, RECORD_MEMBER(place, "listenerPath"),
                    "SCMP_ACT_NOTIFY is used, but there is nobody to answer: give the path of the "
                    "agent's socket");
            break;
        }
}

void check_seccomp(struct record_report *report, const struct record_place *place,
        const struct spec_seccomp *seccomp, bool agent)
{
    const struct record_place *rules = RECORD_MEMBER(place, "syscalls");

    if (!seccomp)
        return;
    rule_one_of(report, RECORD_MEMBER(place, "defaultAction"), seccomp->defaultAction,
            &spec_seccomp_actions, "seccomp action");
    check_errno(report, RECORD_MEMBER(place, "defaultErrnoRet"), seccomp->defaultAction,
            &seccomp->defaultErrnoRet);
    rule_all_of(report, RECORD_MEMBER(place, "architectures"), &seccomp->architectures,
            &spec_seccomp_archs, "architecture");
    rule_all_of(report, RECORD_MEMBER(place, "flags"), &seccomp->flags, &spec_seccomp_flags,
            "seccomp flag");
    for (size_t i = 0; i < seccomp->syscalls.count; i++)
        check_rule(report, RECORD_ITEM(rules, i), &seccomp->syscalls.items[i]);
    check_listener(report, place, seccomp, agent);
}
