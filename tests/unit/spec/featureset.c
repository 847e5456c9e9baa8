#include "spec/featureset.h"

#include <linux/capability.h>

#include "spec/names.h"
#include "test.h"

TEST(features_tell_all_that_is_read)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec_features features;

    spec_features_fill(&arena, &features);
    CHECK_STR(features.ociVersionMin, "1.0.0");
    CHECK_STR(features.ociVersionMax, SPEC_VERSION);
    CHECK_INT(features.linux.namespaces.count, 8);
    CHECK_INT(features.hooks.count, 6);
    CHECK_INT(features.linux.seccomp.actions.count, 9);
    CHECK_INT(features.linux.memoryPolicy.modes.count, 7);
    CHECK(strv_contains(&features.mountOptions, "ridmap"));
    CHECK(strv_contains(&features.linux.capabilities, "CAP_CHECKPOINT_RESTORE"));
    _cleanup_json_ struct json_object *json = spec_features_write(&features);
    CHECK(json_get_bool(json_get(json_get(json_get(json, "linux"), "mountExtensions"), "idmap"),
            "enabled", false));
    CHECK(json_get_bool(json_get(json_get(json, "linux"), "intelRdt"), "monitoring", false));
    CHECK(json_get(json_get(json_get(json, "linux"), "apparmor"), "monitoring") == NULL);
}

TEST(features_options_are_sorted_and_once)
{
    for (size_t i = 1; i < spec_mount_options.count; i++)
        CHECK(strcmp(spec_mount_options.words[i - 1], spec_mount_options.words[i]) < 0);
}

TEST(capability_names_stand_at_their_numbers)
{
    CHECK_INT(spec_words_index(&spec_capabilities, "CAP_CHOWN"), CAP_CHOWN);
    CHECK_INT(spec_words_index(&spec_capabilities, "CAP_NET_RAW"), CAP_NET_RAW);
    CHECK_INT(spec_words_index(&spec_capabilities, "CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
    CHECK_INT(spec_words_index(&spec_capabilities, "CAP_AUDIT_READ"), CAP_AUDIT_READ);
    CHECK_INT(
            spec_words_index(&spec_capabilities, "CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
    CHECK_INT(spec_capabilities.count, CAP_LAST_CAP + 1);
}

TEST_MAIN()
