#include "spec/profile.h"

#include <stdio.h>

#include "spec/check_seccomp.h"

struct condition {
    struct strv caps;
    struct strv arches;
    const char *minKernel;
};

struct conditional_rule {
    struct spec_seccomp_rule rule;
    const char *name; /* of profiles before Docker 17 */
    struct condition includes;
    struct condition excludes;
};

struct architecture {
    const char *architecture;
    struct strv subArchitectures;
};

struct profile {
    struct spec_seccomp seccomp; /* less its rules */
    RECORD_LIST(struct conditional_rule) syscalls;
    RECORD_LIST(struct architecture) archMap;
};

static const struct field condition_fields[] = {
        FIELD(struct condition, caps, FIELD_STRV),
        FIELD(struct condition, arches, FIELD_STRV),
        FIELD(struct condition, minKernel, FIELD_STR),
};
static const struct record condition_record = RECORD(struct condition, condition_fields);

static const struct field rule_fields[] = {
        FIELD_AS(struct conditional_rule, rule.names, "names", FIELD_STRV),
        FIELD(struct conditional_rule, name, FIELD_STR),
        FIELD_ROW(struct conditional_rule, rule.action, "action", FIELD_STR, FIELD_MUST, NULL),
        FIELD_AS(struct conditional_rule, rule.errnoRet, "errnoRet", FIELD_OPT_U32),
        FIELD_OF(struct conditional_rule, rule.args, "args", FIELD_LIST, &spec_seccomp_arg_record),
        FIELD_OF(struct conditional_rule, includes, "includes", FIELD_RECORD, &condition_record),
        FIELD_OF(struct conditional_rule, excludes, "excludes", FIELD_RECORD, &condition_record),
        FIELD_IGNORE("comment"), FIELD_IGNORE("errno"), /* errnoRet in words, as Podman adds it */
};
static const struct record rule_record = RECORD(struct conditional_rule, rule_fields);

static const struct field architecture_fields[] = {
        FIELD_REQUIRED(struct architecture, architecture, FIELD_STR),
        FIELD(struct architecture, subArchitectures, FIELD_STRV),
};
static const struct record architecture_record = RECORD(struct architecture, architecture_fields);

#define SECCOMP_AS(name_, kind_) FIELD_AS(struct profile, seccomp.name_, #name_, kind_)

static const struct field profile_fields[] = {
        FIELD_ROW(struct profile, seccomp.defaultAction, "defaultAction", FIELD_STR, FIELD_MUST,
                NULL),
        SECCOMP_AS(defaultErrnoRet, FIELD_OPT_U32),
        SECCOMP_AS(architectures, FIELD_STRV),
        SECCOMP_AS(flags, FIELD_STRV),
        SECCOMP_AS(listenerPath, FIELD_STR),
        SECCOMP_AS(listenerMetadata, FIELD_STR),
        FIELD_OF(struct profile, syscalls, "syscalls", FIELD_LIST, &rule_record),
        FIELD_OF(struct profile, archMap, "archMap", FIELD_LIST, &architecture_record),
        FIELD_IGNORE("defaultErrno"),
        FIELD_IGNORE("$schema"),
};
static const struct record profile_record = RECORD(struct profile, profile_fields);

/* Whether the host's kernel is at least "4.8". */
static bool kernel_is_least(const struct spec_profile_host *host, const char *version)
{
    unsigned wanted[2] = {0, 0};

    if (sscanf(version, "%4u.%4u", &wanted[0], &wanted[1]) < 1)
        return false;
    return host->kernel[0] != wanted[0] ? host->kernel[0] > wanted[0]
                                        : host->kernel[1] >= wanted[1];
}

static bool has_capability(const struct spec_profile_host *host, const char *name)
{
    return host->capabilities && strv_contains(host->capabilities, name);
}

/* All that is listed must hold. */
static bool is_included(const struct condition *condition, const struct spec_profile_host *host)
{
    if (condition->arches.count && !strv_contains(&condition->arches, host->machine))
        return false;
    if (condition->minKernel && !kernel_is_least(host, condition->minKernel))
        return false;
    for (size_t i = 0; i < condition->caps.count; i++)
        if (!has_capability(host, condition->caps.words[i]))
            return false;
    return true;
}

/* One thing that is listed is enough. */
static bool is_excluded(const struct condition *condition, const struct spec_profile_host *host)
{
    if (strv_contains(&condition->arches, host->machine))
        return true;
    if (condition->minKernel && kernel_is_least(host, condition->minKernel))
        return true;
    for (size_t i = 0; i < condition->caps.count; i++)
        if (has_capability(host, condition->caps.words[i]))
            return true;
    return false;
}

static void check_versions(
        struct record_report *report, const struct record_place *place, const char *version)
{
    unsigned numbers[2];
    int end = 0;

    if (version &&
            (sscanf(version, "%4u.%4u%n", &numbers[0], &numbers[1], &end) != 2 || version[end]))
        record_fault(report, RECORD_MEMBER(place, "minKernel"),
                "\"%.64s\" is not a kernel's version: write two numbers, as in \"4.8\"", version);
}

/* All rules, whatever their conditions: what is wrong is told at its place in the file. */
static void take_rules(
        struct record_report *report, const struct profile *profile, struct spec_seccomp *ret)
{
    const struct record_place *top = RECORD_TOP("");
    const struct record_place *list = RECORD_MEMBER(top, "syscalls");
    struct arena *arena = report->arena;

    ret->syscalls.items = arena_new_array(arena, struct spec_seccomp_rule, profile->syscalls.count);
    ret->syscalls.count = profile->syscalls.count;
    for (size_t i = 0; i < profile->syscalls.count; i++) {
        const struct conditional_rule *from = &profile->syscalls.items[i];
        const struct record_place *here = RECORD_ITEM(list, i);
        check_versions(report, RECORD_MEMBER(here, "includes"), from->includes.minKernel);
        check_versions(report, RECORD_MEMBER(here, "excludes"), from->excludes.minKernel);
        ret->syscalls.items[i] = from->rule;
        if (from->name)
            strv_add(arena, &ret->syscalls.items[i].names, from->name);
    }
}

static void drop_rules(const struct profile *profile, const struct spec_profile_host *host,
        struct spec_seccomp *seccomp)
{
    size_t kept = 0;

    for (size_t i = 0; i < profile->syscalls.count; i++)
        if (is_included(&profile->syscalls.items[i].includes, host) &&
                !is_excluded(&profile->syscalls.items[i].excludes, host))
            seccomp->syscalls.items[kept++] = seccomp->syscalls.items[i];
    seccomp->syscalls.count = kept;
}

/* The host's own and those that its kernel runs beside it; nothing, the native one alone, when the
 * profile does not know the host. */
static void take_architectures(struct arena *arena, const struct profile *profile,
        const struct spec_profile_host *host, struct strv *ret)
{
    for (size_t i = 0; i < profile->archMap.count; i++) {
        const struct architecture *row = &profile->archMap.items[i];
        if (!str_equal(row->architecture, host->architecture))
            continue;
        strv_add(arena, ret, row->architecture);
        for (size_t j = 0; j < row->subArchitectures.count; j++)
            strv_add(arena, ret, row->subArchitectures.words[j]);
    }
}

int spec_profile_load(const char *text, size_t length, const char *name, struct arena *arena,
        const struct spec_profile_host *host, struct spec_seccomp *ret, struct strv *warnings,
        struct error *err)
{
    struct record_report report = {.arena = arena};
    struct profile profile = {0};
    _cleanup_json_ struct json_object *json = NULL;
    int r = json_parse(text, length, name, &json, err);

    if (r < 0)
        return r;
    record_read(&profile_record, json, "", &profile, &report);
    report.firm = report.faults.count;
    struct spec_seccomp seccomp = profile.seccomp;
    take_rules(&report, &profile, &seccomp);
    take_architectures(arena, &profile, host, &seccomp.architectures);
    check_seccomp(&report, RECORD_TOP(""), &seccomp, false);
    record_pass_warnings(&report, name, warnings);
    r = record_error(&report, name, err);
    if (r < 0)
        return r;
    drop_rules(&profile, host, &seccomp);
    *ret = seccomp;
    return 0;
}
