#include "spec/defaults.h"

#include "spec/check.h"
#include "test.h"

static const enum spec_default kinds[] = {
        SPEC_DEFAULT_OCI, SPEC_DEFAULT_ROOTLESS, SPEC_DEFAULT_RUN};

TEST(defaults_are_right)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct record_report report = {.arena = &arena};
        struct spec *spec = spec_default_new(&arena, kinds[i], 1000, 1001);
        if (spec->process->args.count == 0) /* what to run is the caller's to say */
            strv_add(&arena, &spec->process->args, "sh");
        spec_check(spec, &report);
        CHECK_INT(report.faults.count + report.warnings.count, 0);
        _cleanup_json_ struct json_object *json = spec_write(spec);
        struct spec again = {0};
        spec_read(json, &again, &report);
        CHECK_INT(report.faults.count + report.warnings.count, 0);
        CHECK_INT(again.mounts.count, spec->mounts.count);
    }
}

TEST(defaults_keep_fourteen_capabilities)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec *spec = spec_default_new(&arena, SPEC_DEFAULT_RUN, 0, 0);

    CHECK_INT(spec->process->capabilities->bounding.count, 14);
    CHECK_INT(spec->process->capabilities->inheritable.count, 0);
    CHECK_INT(spec->process->capabilities->ambient.count, 0);
    CHECK(!strv_contains(&spec->process->capabilities->bounding, "CAP_SYS_ADMIN"));
    CHECK(strv_contains(&spec->linux.maskedPaths, "/proc/kcore"));
    CHECK(strv_contains(&spec->linux.readonlyPaths, "/proc/sys"));
}

TEST(defaults_without_privileges_map_one_id)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec *spec = spec_default_new(&arena, SPEC_DEFAULT_ROOTLESS, 1000, 1001);

    CHECK_INT(spec->linux.uidMappings.items[0].hostID, 1000);
    CHECK_INT(spec->linux.gidMappings.items[0].hostID, 1001);
    CHECK(spec_namespace_find(spec, "user") != NULL);
    CHECK(spec_namespace_find(spec, "network") == NULL);
    for (size_t i = 0; i < spec->mounts.count; i++)
        CHECK(!strv_contains(&spec->mounts.items[i].options, "gid=5"));
}

TEST(lists_grow_and_maps_replace)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec *spec = arena_new(&arena, struct spec);

    for (int i = 0; i < 20; i++)
        spec_add_mount(&arena, spec, i == 7 ? "/seven" : "/m", "tmpfs", "tmpfs", "ro,nosuid");
    CHECK_INT(spec->mounts.count, 20);
    CHECK_STR(spec->mounts.items[7].destination, "/seven");
    CHECK_STR(spec->mounts.items[19].options.words[1], "nosuid");
    spec_map_set(&arena, &spec->annotations, "a", "1");
    spec_map_set(&arena, &spec->annotations, "b", "2");
    spec_map_set(&arena, &spec->annotations, "a", "3");
    CHECK_INT(spec->annotations.count, 2);
    CHECK_STR(spec_annotation(spec, "a"), "3");
    struct spec_device *device = spec_add_device(&arena, spec, "/dev/x", "c", 1, 3);
    CHECK_INT(device->minor, 3);
    CHECK(spec_add_device_rule(&arena, &spec->linux.resources, true, "r")->allow);
}

TEST_MAIN()
