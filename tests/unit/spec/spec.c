#include "spec/spec.h"

#include <fcntl.h>
#include <time.h>

#include "base/buf.h"
#include "base/io.h"
#include "spec/check.h"
#include "test.h"

static struct json_object *parse_data(const char *name)
{
    struct json_object *json = NULL;
    struct error err = ERROR_NONE;
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", TEST_DATA, name);
    if (json_parse_file_at(AT_FDCWD, path, &json, &err) < 0)
        test_report(__FILE__, __LINE__, "%s", err.text);
    return json;
}

static void show_lines(const struct strv *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        printf("# %s\n", lines->words[i]);
}

/* full.json has every member of the specification once: it comes back as it was, and is right. */
static void check_round_trip(const char *name, bool equal)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = parse_data(name);
    struct record_report report = {.arena = &arena};
    struct spec spec = {0};

    CHECK(json != NULL);
    spec_read(json, &spec, &report);
    spec_check(&spec, &report);
    show_lines(&report.faults);
    show_lines(&report.warnings);
    CHECK_INT(report.faults.count, 0);
    CHECK_INT(report.warnings.count, 0);
    _cleanup_json_ struct json_object *again = spec_write(&spec);
    if (equal)
        CHECK(json_object_equal(json, again));

    struct spec second = {0};
    spec_read(again, &second, &report);
    _cleanup_json_ struct json_object *third = spec_write(&second);
    CHECK(json_object_equal(again, third));
}

TEST(spec_keeps_every_member)
{
    check_round_trip("full.json", true);
}

TEST(spec_accepts_what_podman_writes)
{
    check_round_trip("podman.json", true);
}

/* The names of all rows, so that the test above cannot miss a member. */
static void check_covered(const struct record *record, struct json_object *json, const char *where)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        if (field->type == FIELD_IGNORED || field->presence == FIELD_ALIAS)
            continue;
        struct json_object *value = json_get(json, field->name);
        if (field->type == FIELD_LIST && value) {
            size_t last = json_object_array_length(value) - 1;
            value = json_object_array_get_idx(value, last);
        }
        if (field->type == FIELD_DICT && value) {
            struct json_object_iterator first = json_object_iter_begin(value);
            value = json_object_iter_peek_value(&first);
        }
        /* members that exclude others in one text */
        bool elsewhere = str_equal(field->name, "path") || str_equal(field->name, "errnoRet") ||
                         str_equal(field->name, "priority") || str_equal(field->name, "args") ||
                         str_equal(field->name, "initrd") || str_equal(field->name, "flags") ||
                         str_equal(field->name, "nanosecs") || str_equal(field->name, "valueTwo");
        if (!value && !elsewhere)
            test_report(__FILE__, __LINE__, "%s/%s is not in full.json", where, field->name);
        if (value && field->record)
            check_covered(field->record, value, field->name);
    }
}

TEST(spec_example_has_every_member)
{
    _cleanup_json_ struct json_object *json = parse_data("full.json");

    CHECK(json != NULL);
    check_covered(&spec_record, json, "");
}

TEST(spec_reads_both_spellings_of_the_hardware)
{
    static const char text[] = "{\"ociVersion\":\"1.3.0\",\"vm\":{\"kernel\":{\"path\":\"/k\"},"
                               "\"hwconfig\":{\"vcpus\":3}},\"windows\":{\"x\":1}}";
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct spec spec = {0};

    CHECK_INT(json_parse(text, strlen(text), "t", &json, NULL), 0);
    spec_read(json, &spec, &report);
    CHECK_INT(report.faults.count + report.warnings.count, 0);
    CHECK_INT(spec.vm->hwConfig->vcpus.value, 3);
    _cleanup_json_ struct json_object *again = spec_write(&spec);
    CHECK_STR(json_text(again), "{\"ociVersion\":\"1.3.0\",\"vm\":{\"kernel\":{\"path\":\"/k\"},"
                                "\"hwConfig\":{\"vcpus\":3}}}");
}

TEST(spec_writes_zeros_that_mean_something)
{
    static const char text[] =
            "{\"ociVersion\":\"1.0.2\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"cwd\":\"/\","
            "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":0}]},\"linux\":{"
            "\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}],\"resources\":{"
            "\"devices\":[{\"allow\":false}],\"memory\":{\"swappiness\":0}}}}";
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct spec spec = {0};

    CHECK_INT(json_parse(text, strlen(text), "t", &json, NULL), 0);
    spec_read(json, &spec, &report);
    CHECK_INT(report.faults.count, 0);
    _cleanup_json_ struct json_object *again = spec_write(&spec);
    CHECK_STR(json_text(again), text);
}

TEST(spec_finds_annotations_and_namespaces)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = parse_data("full.json");
    struct record_report report = {.arena = &arena};
    struct spec spec = {0};

    CHECK(json != NULL);
    spec_read(json, &spec, &report);
    CHECK_STR(spec_annotation(&spec, "com.example.key"), "v");
    CHECK(spec_annotation(&spec, "com.example") == NULL);
    CHECK_STR(spec_namespace_find(&spec, "network")->path, "/run/netns/a");
    CHECK(spec_namespace_find(&spec, "net") == NULL);
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* With a profile of 470 system calls: reading and checking stay far below a millisecond. The best
 * of many rounds is looked at, in time of our own, since the machine is shared. */
TEST(spec_reads_a_large_profile_quickly)
{
    _cleanup_json_ struct json_object *json = parse_data("full.json");
    double best = 1;

    CHECK(json != NULL);
    for (int round = 0; round < 50; round++) {
        _cleanup_arena_ struct arena arena = {0};
        struct record_report report = {.arena = &arena};
        struct spec spec = {0};
        double start = seconds_now();
        spec_read(json, &spec, &report);
        spec_check(&spec, &report);
        double taken = seconds_now() - start;
        best = taken < best ? taken : best;
    }
    printf("# read and checked in %.1f us\n", best * 1e6);
#if defined(__SANITIZE_ADDRESS__)
    CHECK(best < 5e-3);
#else
    CHECK(best < 5e-4);
#endif
}

TEST_MAIN()
