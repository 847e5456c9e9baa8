#include "base/json.h"

#include "test.h"

static int parse(const char *text, struct json_object **ret, struct error *err)
{
    return json_parse(text, strlen(text), "t", ret, err);
}

TEST(json_reads_every_kind_of_value)
{
    static const char *const texts[] = {"{}", "[]", "1", "-1", "\"x\"", "true", "null",
            " {\"a\":[1,2,{}]} \n", "18446744073709551615"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error err = ERROR_NONE;
        _cleanup_json_ struct json_object *value = NULL;
        CHECK_INT(parse(texts[i], &value, &err), 0);
    }
}

TEST(json_keeps_unsigned_64_bits)
{
    _cleanup_json_ struct json_object *value = NULL;

    CHECK_INT(parse("{\"n\":18446744073709551615}", &value, NULL), 0);
    CHECK(json_object_get_uint64(json_get(value, "n")) == UINT64_MAX);
}

TEST(json_errors_have_line_and_column)
{
    static const struct {
        const char *text;
        const char *start;
    } cases[] = {{"", "t:1:1: "}, {"{", "t:1:2: "}, {"{\n  \"a\": x}", "t:2:8: "},
            {"{} x", "t:1:4: "}, {"[1,]", "t:1:4: "}, {"['a']", "t:1:2: "}, {"[NaN]", "t:1:2: "},
            {"{\"I\\\"N\": -Infinity}", "t:1:11: "}, {"{\"\\\\\":NaN}", "t:1:7: "},
            {"[\"N\\\\\\\"I\",I]", "t:1:11: "}, {"[\"N\\\"", "t:1:6: "}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_NONE;
        _cleanup_json_ struct json_object *value = NULL;
        CHECK_INT(parse(cases[i].text, &value, &err), -EINVAL);
        err.text[strlen(cases[i].start)] = '\0';
        CHECK_STR(err.text, cases[i].start);
    }
}

TEST(json_depth_is_capped)
{
    char deep[256];
    struct error err = ERROR_NONE;
    _cleanup_json_ struct json_object *value = NULL;

    memset(deep, '[', 200);
    deep[200] = '\0';
    CHECK_INT(parse(deep, &value, &err), -EINVAL);
}

TEST_MAIN()
