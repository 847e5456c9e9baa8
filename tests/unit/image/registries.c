#include "image/registries.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "image/toml.h"
#include "test.h"

static const char conf[] = "# a comment\n"
                           "unqualified-search-registries = [\"one.example\", 'two.example']\n"
                           "[[registry]]\n"
                           "prefix = \"example.com/team\"\n"
                           "location = \"inside.example:5000/t\"\n"
                           "insecure = true\n"
                           "[[registry.mirror]]\n"
                           "location = \"mirror.example/m\"\n"
                           "[[registry.mirror]]\n"
                           "location = \"tags.example/m\"\n"
                           "insecure = true\n"
                           "pull-from-mirror = \"tag-only\"\n"
                           "[[registry]]\n"
                           "location = \"bad.example\"\n"
                           "blocked = true\n"
                           "[[registry]]\n"
                           "prefix = \"*.wild.example\"\n"
                           "insecure = true\n"
                           "[aliases]\n"
                           "\"tool\" = \"quay.example/x/tool\"\n";

static struct arena arena;

static struct registries read_conf(void)
{
    struct registries registries = {0};
    struct error err = ERROR_NONE;

    if (registries_read(&registries, conf, strlen(conf), "t.conf", &arena, &err) < 0)
        test_report(__FILE__, __LINE__, "%s", err.text);
    return registries;
}

static void expect_endpoints(const char *name, const char *expected)
{
    struct registries registries = read_conf();
    struct registry_endpoint *found;
    struct reference reference;
    struct buf text = {0};
    size_t count;

    CHECK_INT(reference_parse(name, &arena, &reference, NULL), 0);
    CHECK_INT(
            registries_endpoints(&registries, &reference, false, &arena, &found, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s/%s%s%s", i ? " " : "", found[i].host, found[i].path,
                found[i].insecure ? "!" : "", found[i].mirror ? "~" : "");
    CHECK_STR(buf_text(&text), expected);
    buf_free(&text);
}

TEST(registries_find_mirrors_and_locations)
{
    expect_endpoints("example.com/team/app:1",
            "mirror.example/m/app~ tags.example/m/app!~ inside.example:5000/t/app!");
    expect_endpoints("example.com/team/app@sha256:"
                     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "mirror.example/m/app~ inside.example:5000/t/app!");
    expect_endpoints("example.com/teamwork:1", "example.com/teamwork");
    expect_endpoints("a.b.wild.example/x:1", "a.b.wild.example/x!");
    expect_endpoints("wild.example/x:1", "wild.example/x");
    expect_endpoints("other.example/x:1", "other.example/x");
}

TEST(registries_block)
{
    struct registries registries = read_conf();
    struct registry_endpoint *found;
    struct reference name;
    struct error err = ERROR_NONE;
    size_t count;

    CHECK_INT(reference_parse("bad.example/x:1", &arena, &name, NULL), 0);
    CHECK_INT(
            registries_endpoints(&registries, &name, false, &arena, &found, &count, &err), -EACCES);
    CHECK(strstr(err.text, "registries.conf blocks"));
}

TEST(registries_push_to_no_mirror)
{
    struct registries registries = read_conf();
    struct registry_endpoint *found;
    struct reference name;
    size_t count;

    CHECK_INT(reference_parse("example.com/team/app:1", &arena, &name, NULL), 0);
    CHECK_INT(registries_endpoints(&registries, &name, true, &arena, &found, &count, NULL), 0);
    CHECK_INT(count, 1);
    CHECK_STR(found[0].host, "inside.example:5000");
}

static void expect_names(
        const struct registries *registries, const char *name, const char *expected)
{
    struct reference reference;
    struct reference *found;
    struct buf text = {0};
    size_t count;

    CHECK_INT(reference_parse(name, &arena, &reference, NULL), 0);
    CHECK_INT(registries_resolve(registries, &reference, &arena, &found, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", reference_text(&found[i], &arena));
    CHECK_STR(buf_text(&text), expected);
    buf_free(&text);
}

TEST(registries_resolve_short_names)
{
    struct registries registries = read_conf();
    struct registries none = {0};

    expect_names(&registries, "tool:2", "quay.example/x/tool:2");
    expect_names(&registries, "x/y", "one.example/x/y:latest two.example/x/y:latest");
    expect_names(&registries, "full.example/y", "full.example/y:latest");
    expect_names(&none, "debian", "docker.io/library/debian:latest");
}

TEST(registries_later_files_override)
{
    struct registries registries = read_conf();
    static const char more[] = "unqualified-search-registries = ['three.example']\n"
                               "[aliases]\ntool = \"\"\n";

    CHECK_INT(registries_read(&registries, more, strlen(more), "u.conf", &arena, NULL), 0);
    expect_names(&registries, "tool", "three.example/tool:latest");
}

TEST(registries_say_what_is_wrong)
{
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
            {"[[registry]]\ninsecure = true\n", "neither prefix nor location"},
            {"[registries.search]\nregistries = []\n", "old format"},
            {"[[registry]]\nlocation='a.b'\n[[registry.mirror]]\ninsecure=true\n", "no location"},
            {"[[registry]]\nlocation='a.b'\n[[registry.mirror]]\nlocation='m.b'\n"
             "pull-from-mirror='x'\n",
                    "digest-only"},
            {"a = \"x\n", "t:1: not valid TOML: a string is not closed"},
            {"\n\na = [1, 2\n", "t:4: not valid TOML: ',' or ']' is expected"},
            {"a = 1\na = 2\n", "t:2: not valid TOML: a key is given twice"},
            {"a = 1 b\n", "behind the value"},
            {"a 1\n", "'=' is expected"},
            {"a = 1.5\n", "text behind"},
            {"[x\n", "header is not closed"},
            {"a = 1\n[a.b]\n", "not a table"},
            {"a = \"\\q\"\n", "unknown escape"},
            {"a = \"\\ud800\"\n", "no character"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct registries registries = {0};
        struct error err = ERROR_NONE;
        CHECK_INT(registries_read(
                          &registries, cases[i].text, strlen(cases[i].text), "t", &arena, &err),
                -EINVAL);
        if (!strstr(err.text, cases[i].part))
            test_report(__FILE__, __LINE__, "case %zu: \"%s\" lacks \"%s\"", i, err.text,
                    cases[i].part);
    }
}

TEST(toml_reads_what_the_format_has)
{
    static const char text[] = "a.b.\"c d\" = 0x\n";
    static const char good[] = "top = -12_000\n"
                               "s = \"\"\"\nline\\n \\\n   joined\\u00e9\"\"\"\n"
                               "l = '''raw \\n'''\n"
                               "e = [\n  1, # one\n  2,\n]\n"
                               "i = { x = 1, y.z = true }\r\n"
                               "[t.u]\n\"k\" = false\n[[v]]\nn = 1\n[[v]]\nn = 2\n";
    _cleanup_json_ struct json_object *json = NULL;
    struct error err = ERROR_NONE;

    CHECK(toml_parse(text, strlen(text), "t", &json, &err) < 0);
    CHECK_INT(toml_parse(good, strlen(good), "t", &json, &err), 0);
    CHECK_STR(json_text(json),
            "{\"top\":-12000,\"s\":\"line\\n joinedé\",\"l\":\"raw \\\\n\",\"e\":[1,2],"
            "\"i\":{\"x\":1,\"y\":{\"z\":true}},\"t\":{\"u\":{\"k\":false}},"
            "\"v\":[{\"n\":1},{\"n\":2}]}");
}

TEST_MAIN()
