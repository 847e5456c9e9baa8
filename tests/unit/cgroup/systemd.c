#include "cgroup/systemd.h"

#include "test.h"

static const char *unit_of(struct arena *arena, const char *path, bool user)
{
    struct cgroup_unit unit;
    static struct error err;

    if (cgroup_systemd_unit(path, user, 1000, arena, &unit, &err) < 0)
        return err.text;
    return arena_printf(arena, "%s %s %s", unit.slice, unit.name, unit.below);
}

TEST(units_by_path)
{
    _cleanup_arena_ struct arena arena = {0};

    CHECK_STR(
            unit_of(&arena, ":viv:a", false), "system.slice viv-a.scope /system.slice/viv-a.scope");
    CHECK_STR(unit_of(&arena, "a-b-c.slice::x", false),
            "a-b-c.slice x.scope /a.slice/a-b.slice/a-b-c.slice/x.scope");
    CHECK_STR(unit_of(&arena, "-.slice:p:x", false), "-.slice p-x.scope /p-x.scope");
    CHECK_STR(unit_of(&arena, ":p:x", true),
            "user.slice p-x.scope "
            "/user.slice/user-1000.slice/user@1000.service/user.slice/p-x.scope");
    CHECK_STR(unit_of(&arena, "s.slice:p:x.slice", false), "s.slice x.slice /s.slice/x.slice");
}

TEST(bad_units)
{
    _cleanup_arena_ struct arena arena = {0};
    static const char *const paths[] = {"", "a", "a:b", "/a/b", "a:b:c:d", "x:y:z",
            "a--b.slice:p:x", "-a.slice:p:x", "a-.slice:p:x", ".slice:p:x", ":p:x/y", ":p:x\ny",
            "a/b.slice:p:x"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        CHECK(strstr(unit_of(&arena, paths[i], false), "slice:prefix:name") ||
                strstr(unit_of(&arena, paths[i], false), "no name of a systemd"));
}

static const char *order_of(struct arena *arena, const struct cgroup_limits *limits, bool unified,
        struct record_map properties)
{
    struct cgroup_request request = {
            .limits = limits, .systemd = {.helper = "h", .properties = properties}};
    struct cgroup_unit unit = {"s.slice", "x.scope", "/s.slice/x.scope"};
    static struct error err;
    const char *json;

    if (cgroup_systemd_start_order(&request, &unit, unified, arena, &json, &err) < 0)
        return err.text;
    return json;
}

TEST(limits_as_properties)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_limits limits = {.cpu = {.shares = {true, 1024},
                                           .quota = {true, 33333},
                                           .period = {true, 100000},
                                           .cpus = "0,9-10"},
            .memory = {.limit = {true, 1000}, .swap = {true, 1500}},
            .pids = {true, -1}};
    const char *order = order_of(&arena, &limits, true, (struct record_map){0});

    CHECK(strstr(order, "[\"CPUWeight\",\"t\",\"100\"]"));
    CHECK(strstr(order, "[\"CPUQuotaPerSecUSec\",\"t\",\"340000\"]"));
    CHECK(strstr(order, "[\"CPUQuotaPeriodUSec\",\"t\",\"100000\"]"));
    CHECK(strstr(order, "[\"AllowedCPUs\",\"ay\",[1,6]]"));
    CHECK(strstr(order, "[\"MemoryMax\",\"t\",\"1000\"]"));
    CHECK(strstr(order, "[\"MemorySwapMax\",\"t\",\"500\"]"));
    CHECK(strstr(order, "[\"TasksMax\",\"t\",\"18446744073709551615\"]"));
    order = order_of(&arena, &limits, false, (struct record_map){0});
    CHECK(strstr(order, "[\"CPUShares\",\"t\",\"1024\"]"));
    CHECK(strstr(order, "[\"MemoryLimit\",\"t\",\"1000\"]"));
    CHECK(!strstr(order, "AllowedCPUs"));
    CHECK(!cgroup_systemd_set_order(NULL, false, "x", &(struct cgroup_limits){0}, true, &arena));
}

TEST(properties_by_annotation)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_limits none = {0};
    struct record_pair pairs[] = {{"A", "true"}, {"B", "'x y'"}, {"C", "uint64 7"}, {"D", "-3"}};
    const char *order = order_of(&arena, &none, true, (struct record_map){pairs, 4});

    CHECK(strstr(order, "[\"A\",\"b\",\"true\"]") && strstr(order, "[\"B\",\"s\",\"x y\"]"));
    CHECK(strstr(order, "[\"C\",\"t\",\"7\"]") && strstr(order, "[\"D\",\"i\",\"-3\"]"));
    pairs[0].value = "[1, 2]";
    CHECK(strstr(
            order_of(&arena, &none, true, (struct record_map){pairs, 1}), "is not understood"));
}

TEST_MAIN()
