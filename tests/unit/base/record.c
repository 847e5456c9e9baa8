#include "base/record.h"

#include "test.h"

struct inner {
    const char *key;
    uint32_t port;
};
struct outer {
    const char *name;
    struct opt_i64 limit;
    struct strv words;
    struct record_map labels;
    RECORD_LIST(uint32_t) ids;
    RECORD_LIST(struct inner) list;
    RECORD_LIST(struct inner) dict;
    struct inner *pointer;
    struct json_object *raw;
};

static const struct field inner_fields[] = {FIELD(struct inner, port, FIELD_U32)};
static const struct record inner_record = RECORD(struct inner, inner_fields);
static const struct field outer_fields[] = {
        FIELD_REQUIRED(struct outer, name, FIELD_STR),
        FIELD(struct outer, limit, FIELD_OPT_I64),
        FIELD(struct outer, words, FIELD_STRV),
        FIELD(struct outer, labels, FIELD_MAP),
        FIELD(struct outer, ids, FIELD_U32S),
        FIELD_OF(struct outer, list, "list", FIELD_LIST, &inner_record),
        FIELD_OF(struct outer, dict, "dict", FIELD_DICT, &inner_record),
        FIELD_OF(struct outer, pointer, "pointer", FIELD_POINTER, &inner_record),
        FIELD(struct outer, raw, FIELD_JSON),
};
static const struct record outer_record = RECORD(struct outer, outer_fields);

TEST(record_survives_a_round_trip)
{
    static const char text[] =
            "{\"name\":\"n\",\"limit\":-1,\"words\":[\"a\",\"b\"],\"labels\":{\"k\":"
            "\"v\"},\"ids\":[1,4294967295],\"list\":[{\"port\":80}],\"dict\":{"
            "\"eth0\":{\"port\":1}},\"pointer\":{\"port\":2},\"raw\":{\"x\":[1]}}";
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct outer value = {0};

    CHECK_INT(json_parse(text, strlen(text), "t", &json, NULL), 0);
    record_read(&outer_record, json, "", &value, &report);
    CHECK_INT(report.faults.count + report.warnings.count, 0);
    CHECK_STR(value.dict.items[0].key, "eth0");
    _cleanup_json_ struct json_object *again = record_write(&outer_record, &value);
    CHECK_STR(json_text(again), text);
    _cleanup_buf_ struct buf printed = {0};
    record_print(&outer_record, &value, &printed);
    CHECK_STR(buf_text(&printed), text);
}

TEST(record_prints_what_it_writes)
{
    struct outer value = {.name = "a\"b\\c/d\n\t\r\b\f\x01\x1f\x7f\xc3\xa4"};
    _cleanup_json_ struct json_object *json = record_write(&outer_record, &value);
    _cleanup_buf_ struct buf printed = {0};

    record_print(&outer_record, &value, &printed);
    CHECK_STR(buf_text(&printed), json_text(json));
    buf_clear(&printed);
    record_print(&inner_record, &(struct inner){0}, &printed);
    CHECK_STR(buf_text(&printed), "{}");
}

TEST(record_finds_all_faults_at_once)
{
    static const char text[] = "{\"limit\":\"x\",\"words\":[1],\"ids\":[-1],\"list\":[{\"port\":"
                               "4294967296},7],\"labels\":{\"a/b\":1},\"lables\":1}";
    static const char *const expected[] = {
            "/limit: expected an integer, found a string",
            "/words/0: expected a string, found an integer",
            "/ids/0: -1 is not between 0 and 4294967295",
            "/list/0/port: 4294967296 is not between 0 and 4294967295",
            "/list/1: expected an object, found an integer",
            "/labels/a~1b: expected a string, found an integer",
            "/name: required, but missing",
    };
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct outer value = {0};

    CHECK_INT(json_parse(text, strlen(text), "t", &json, NULL), 0);
    record_read(&outer_record, json, "", &value, &report);
    CHECK_INT(report.faults.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < report.faults.count; i++)
        CHECK_STR(report.faults.words[i], expected[i]);
    CHECK_INT(report.warnings.count, 1);
    CHECK_STR(report.warnings.words[0], "/lables: unknown member; did you mean \"labels\"?");
}

TEST_MAIN()
