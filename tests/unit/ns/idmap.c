#include "ns/idmap.h"

#include "test.h"

#define MAPS(...)                                                                                  \
    (&(struct id_maps){(struct id_map[]){__VA_ARGS__},                                             \
            sizeof((struct id_map[]){__VA_ARGS__}) / sizeof(struct id_map)})

TEST(idmap_takes_what_the_kernel_takes)
{
    struct error err = ERROR_NONE;

    CHECK_INT(idmap_check(MAPS({0, 100000, 65536}), "/m", &err), 0);
    CHECK_INT(idmap_check(MAPS({0, 1000, 1}, {1, 100000, 10}), "/m", &err), 0);
    CHECK_INT(idmap_check(MAPS({0, 0, 4294967295u}), "/m", &err), 0);
    CHECK_INT(idmap_check(MAPS({4294967294u, 5, 1}), "/m", &err), 0);
}

TEST(idmap_refuses_what_the_kernel_refuses)
{
    struct error err = ERROR_NONE;

    CHECK_INT(idmap_check(&(struct id_maps){NULL, 0}, "/linux/uidMappings", &err), -EINVAL);
    CHECK(strstr(err.text, "/linux/uidMappings: a new user namespace needs"));
    CHECK_INT(idmap_check(MAPS({0, 0, 0}), "/m", &err), -EINVAL);
    CHECK_STR(err.text, "/m/0: a range of 0 ids maps nothing");
    CHECK_INT(idmap_check(MAPS({1, 0, 4294967295u}), "/m", &err), -EINVAL);
    CHECK_INT(idmap_check(MAPS({0, 10, 10}, {5, 100, 10}), "/m", &err), -EINVAL);
    CHECK(strstr(err.text, "inside ids 5-14 overlap with 0-9"));
    CHECK_INT(idmap_check(MAPS({0, 10, 10}, {50, 19, 1}), "/m", &err), -EINVAL);
    CHECK(strstr(err.text, "outside ids 19-19 overlap with 10-19"));
    struct id_map many[341];
    for (unsigned i = 0; i < 341; i++)
        many[i] = (struct id_map){i, i, 1};
    CHECK_INT(idmap_check(&(struct id_maps){many, 341}, "/m", &err), -EINVAL);
    CHECK_INT(idmap_check(&(struct id_maps){many, 340}, "/m", &err), 0);
}

TEST(idmap_translates_both_ways)
{
    uint32_t id = 7;
    const struct id_maps *maps = MAPS({0, 100000, 10}, {10, 500, 1});

    CHECK(id_maps_outside(maps, 9, &id));
    CHECK_INT(id, 100009);
    CHECK(id_maps_inside(maps, 500, &id));
    CHECK_INT(id, 10);
    CHECK(!id_maps_outside(maps, 11, &id));
    CHECK(!id_maps_inside(maps, 100010, &id));
}

TEST(idmap_reads_subuid)
{
    _cleanup_arena_ struct arena arena = {0};
    struct id_ranges ranges = {0};

    idmap_read_subids(&arena,
            "# a comment\nroot:1:2\nann:100000:65536\n\nann:x:1\nann:5\nann:5:6:7\n"
            "1000:300000:10\nann:4294967290:100\nanna:1:1\nann:7:0\nann:400000:5",
            "ann", 1000, &ranges);
    CHECK_INT(ranges.count, 3);
    CHECK_INT(ranges.items[0].first, 100000);
    CHECK_INT(ranges.items[0].count, 65536);
    CHECK_INT(ranges.items[1].first, 300000);
    CHECK_INT(ranges.items[2].first, 400000);
    struct error err = ERROR_NONE;
    CHECK_INT(idmap_load_subids(&arena, "/nonexistent/subuid", "ann", 1, &ranges, &err), 0);
    CHECK_INT(ranges.count, 3);
}

TEST(idmap_builds_a_rootless_map)
{
    _cleanup_arena_ struct arena arena = {0};
    struct id_range items[] = {{100000, 65536}, {165000, 10}, {300000, 10}, {1000, 1}};
    struct id_ranges ranges = {items, 4, 4};
    struct id_maps maps;
    struct error err = ERROR_NONE;

    idmap_rootless(&arena, 1000, &ranges, &maps);
    CHECK_INT(maps.count, 3);
    CHECK_INT(maps.items[0].outside, 1000);
    CHECK_INT(maps.items[1].inside, 1);
    CHECK_INT(maps.items[2].inside, 65537);
    CHECK_INT(maps.items[2].outside, 300000);
    CHECK_INT(idmap_check(&maps, "/m", &err), 0);
    ranges.count = 0;
    idmap_rootless(&arena, 1000, &ranges, &maps);
    CHECK_INT(maps.count, 1);
}

TEST(idmap_finds_a_free_range)
{
    struct id_range items[] = {{100000, 65536}, {296608, 1}, {0, 1000}};
    struct id_ranges used = {items, 3, 3};
    struct id_range found;
    struct error err = ERROR_NONE;

    CHECK_INT(idmap_find_free(100000, 65536, &used, &found, &err), 0);
    CHECK_INT(found.first, 165536);
    used.items[0].count = 65537; /* reaches one into the next */
    CHECK_INT(idmap_find_free(100000, 65536, &used, &found, &err), 0);
    CHECK_INT(found.first, 231072);
    used.items[1].first = 296607; /* and this one into the end of that */
    CHECK_INT(idmap_find_free(100000, 65536, &used, &found, &err), 0);
    CHECK_INT(found.first, 296608);
    CHECK_INT(idmap_find_free(4294967000u, 65536, &used, &found, &err), -ENOSPC);
    CHECK_INT(idmap_find_free(1, 0, &used, &found, &err), -EINVAL);
    used.items[0] = (struct id_range){0, 4294967295u};
    CHECK_INT(idmap_find_free(100000, 65536, &used, &found, &err), -ENOSPC);
}

TEST_MAIN()
