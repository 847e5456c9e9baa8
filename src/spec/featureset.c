#include "spec/featureset.h"

#include "spec/names.h"

static const struct field enabled_fields[] = {
        FIELD(struct spec_feature_switch, enabled, FIELD_OPT_BOOL),
        FIELD(struct spec_feature_switch, schemata, FIELD_OPT_BOOL),
        FIELD(struct spec_feature_switch, monitoring, FIELD_OPT_BOOL),
};
static const struct record enabled_record = RECORD(struct spec_feature_switch, enabled_fields);

static const struct field cgroup_fields[] = {
        FIELD(struct spec_features_cgroup, v1, FIELD_OPT_BOOL),
        FIELD(struct spec_features_cgroup, v2, FIELD_OPT_BOOL),
        FIELD(struct spec_features_cgroup, systemd, FIELD_OPT_BOOL),
        FIELD(struct spec_features_cgroup, systemdUser, FIELD_OPT_BOOL),
        FIELD(struct spec_features_cgroup, rdma, FIELD_OPT_BOOL),
};
static const struct record cgroup_record = RECORD(struct spec_features_cgroup, cgroup_fields);

static const struct field seccomp_fields[] = {
        FIELD(struct spec_features_seccomp, enabled, FIELD_OPT_BOOL),
        FIELD(struct spec_features_seccomp, actions, FIELD_STRV),
        FIELD(struct spec_features_seccomp, operators, FIELD_STRV),
        FIELD(struct spec_features_seccomp, archs, FIELD_STRV),
        FIELD(struct spec_features_seccomp, knownFlags, FIELD_STRV),
        FIELD(struct spec_features_seccomp, supportedFlags, FIELD_STRV),
};
static const struct record seccomp_record = RECORD(struct spec_features_seccomp, seccomp_fields);

static const struct field memory_policy_fields[] = {
        FIELD(struct spec_features_memory_policy, modes, FIELD_STRV),
        FIELD(struct spec_features_memory_policy, flags, FIELD_STRV),
};
static const struct record memory_policy_record =
        RECORD(struct spec_features_memory_policy, memory_policy_fields);

static const struct field mount_extension_fields[] = {
        FIELD_OF(struct spec_features_mount_extensions, idmap, "idmap", FIELD_RECORD,
                &enabled_record),
};
static const struct record mount_extensions_record =
        RECORD(struct spec_features_mount_extensions, mount_extension_fields);

#define LINUX_OF(member_, record_)                                                                 \
    FIELD_OF(struct spec_features_linux, member_, #member_, FIELD_RECORD, record_)

static const struct field linux_fields[] = {
        FIELD(struct spec_features_linux, namespaces, FIELD_STRV),
        FIELD(struct spec_features_linux, capabilities, FIELD_STRV),
        LINUX_OF(cgroup, &cgroup_record),
        LINUX_OF(seccomp, &seccomp_record),
        LINUX_OF(apparmor, &enabled_record),
        LINUX_OF(selinux, &enabled_record),
        LINUX_OF(intelRdt, &enabled_record),
        LINUX_OF(memoryPolicy, &memory_policy_record),
        LINUX_OF(mountExtensions, &mount_extensions_record),
        LINUX_OF(netDevices, &enabled_record),
};
static const struct record linux_record = RECORD(struct spec_features_linux, linux_fields);

static const struct field features_fields[] = {
        FIELD_REQUIRED(struct spec_features, ociVersionMin, FIELD_STR),
        FIELD_REQUIRED(struct spec_features, ociVersionMax, FIELD_STR),
        FIELD(struct spec_features, hooks, FIELD_STRV),
        FIELD(struct spec_features, mountOptions, FIELD_STRV),
        FIELD_OF(struct spec_features, linux, "linux", FIELD_RECORD, &linux_record),
        FIELD(struct spec_features, annotations, FIELD_MAP),
        FIELD(struct spec_features, potentiallyUnsafeConfigAnnotations, FIELD_STRV),
};
static const struct record features_record = RECORD(struct spec_features, features_fields);

static void add_words(struct arena *arena, struct strv *list, const struct spec_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        strv_add(arena, list, words->words[i]);
}

static void fill_seccomp(struct arena *arena, struct spec_features_seccomp *seccomp)
{
    seccomp->enabled = (struct opt_bool){true, true};
    add_words(arena, &seccomp->actions, &spec_seccomp_actions);
    add_words(arena, &seccomp->operators, &spec_seccomp_operators);
    add_words(arena, &seccomp->archs, &spec_seccomp_archs);
    add_words(arena, &seccomp->knownFlags, &spec_seccomp_flags);
    add_words(arena, &seccomp->supportedFlags, &spec_seccomp_flags);
}

static void fill_linux(struct arena *arena, struct spec_features_linux *linux)
{
    const struct opt_bool yes = {true, true};

    add_words(arena, &linux->namespaces, &spec_namespace_types);
    add_words(arena, &linux->capabilities, &spec_capabilities);
    linux->cgroup = (struct spec_features_cgroup){yes, yes, yes, yes, yes};
    fill_seccomp(arena, &linux->seccomp);
    linux->apparmor.enabled = yes;
    linux->selinux.enabled = yes;
    linux->intelRdt = (struct spec_feature_switch){yes, yes, yes};
    add_words(arena, &linux->memoryPolicy.modes, &spec_memory_modes);
    add_words(arena, &linux->memoryPolicy.flags, &spec_memory_flags);
    linux->mountExtensions.idmap.enabled = yes;
    linux->netDevices.enabled = yes;
}

void spec_features_fill(struct arena *arena, struct spec_features *ret)
{
    /* a name that ends in "." is a prefix (features.md) */
    static const char *const unsafe[] = {"org.systemd.property.", "org.criu.config", "run.oci."};

    *ret = (struct spec_features){.ociVersionMin = "1.0.0", .ociVersionMax = SPEC_VERSION};
    add_words(arena, &ret->hooks, &spec_hook_names);
    add_words(arena, &ret->mountOptions, &spec_mount_options);
    fill_linux(arena, &ret->linux);
    add_words(arena, &ret->potentiallyUnsafeConfigAnnotations,
            &(struct spec_words){unsafe, sizeof(unsafe) / sizeof(unsafe[0])});
}

struct json_object *spec_features_write(const struct spec_features *features)
{
    return record_write(&features_record, features);
}
