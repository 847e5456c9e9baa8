#include "spec/state.h"

#include "test.h"

static struct record_pair label = {"k", "v"};
static const struct spec_state example = {.ociVersion = "1.3.0",
        .id = "c1",
        .status = "running",
        .pid = 4422,
        .bundle = "/b",
        .annotations = {&label, 1},
        .rootfs = "/b/rootfs",
        .created = "2026-11-22T19:00:00.000000001Z",
        .owner = ""};

TEST(state_for_hooks_is_the_specifications)
{
    _cleanup_json_ struct json_object *json = spec_state_write(&example);

    CHECK_STR(json_text(json), "{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"status\":\"running\","
                               "\"pid\":4422,\"bundle\":\"/b\",\"annotations\":{\"k\":\"v\"}}");
}

TEST(state_for_engines_is_runcs)
{
    _cleanup_json_ struct json_object *json = spec_state_write_full(&example);

    CHECK_STR(json_text(json),
            "{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"pid\":4422,\"status\":\"running\","
            "\"bundle\":\"/b\",\"rootfs\":\"/b/rootfs\",\"created\":\"2026-11-22T19:00:00."
            "000000001Z\",\"annotations\":{\"k\":\"v\"},\"owner\":\"\"}");
}

TEST(state_for_agents_carries_the_state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec_process_state state = {
            .ociVersion = "1.3.0", .pid = 7, .metadata = "m", .state = example};

    strv_add(&arena, &state.fds, "seccompFd");
    _cleanup_json_ struct json_object *json = spec_process_state_write(&state);
    CHECK_STR(json_text(json),
            "{\"ociVersion\":\"1.3.0\",\"fds\":[\"seccompFd\"],\"pid\":7,\"metadata\":\"m\","
            "\"state\":{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"status\":\"running\",\"pid\":4422,"
            "\"bundle\":\"/b\",\"annotations\":{\"k\":\"v\"}}}");
}

TEST(state_is_read_back)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = spec_state_write_full(&example);
    struct record_report report = {.arena = &arena};
    struct spec_state state = {0};

    spec_state_read(json, &state, &report);
    CHECK_INT(report.faults.count + report.warnings.count, 0);
    CHECK_STR(state.id, "c1");
    CHECK_INT(state.pid, 4422);
    CHECK_STR(state.created, example.created);
}

TEST(state_that_is_none_is_refused)
{
    static const char text[] =
            "{\"ociVersion\":\"1.0.0\",\"id\":\"\",\"status\":\"asleep\",\"pid\":-1}";
    static const char *const expected[] = {"/bundle: required, but missing", "/id: the id is empty",
            "/status: unknown status \"asleep\"", "/pid: -1 is not a process"};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct spec_state state = {0};

    CHECK_INT(json_parse(text, strlen(text), "t", &json, NULL), 0);
    spec_state_read(json, &state, &report);
    CHECK_INT(report.faults.count, 4);
    for (size_t i = 0; i < 4; i++)
        CHECK_STR(report.faults.words[i], expected[i]);
}

TEST(status_names_are_the_specifications)
{
    CHECK_STR(spec_status_name(SPEC_CREATING), "creating");
    CHECK_STR(spec_status_name(SPEC_PAUSED), "paused");
    CHECK_STR(spec_status_name(SPEC_STOPPED), "stopped");
}

TEST_MAIN()
