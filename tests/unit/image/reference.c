#include "image/reference.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(reference_takes_names_apart)
{
    static const struct {
        const char *text;
        const char *domain;
        const char *path;
        const char *tag;
        const char *digest;
    } cases[] = {
            {"debian", NULL, "debian", NULL, NULL},
            {"debian:12", NULL, "debian", "12", NULL},
            {"lib/debian", NULL, "lib/debian", NULL, NULL},
            {"localhost/x", "localhost", "x", NULL, NULL},
            {"host:5000/a/b:t", "host:5000", "a/b", "t", NULL},
            {"ghcr.io/a_b/c__d/e-f--g.h", "ghcr.io", "a_b/c__d/e-f--g.h", NULL, NULL},
            {"[::1]:5000/x", "[::1]:5000", "x", NULL, NULL},
            {"Host/x", "Host", "x", NULL, NULL},
            {"a/b@sha256:" HEX, NULL, "a/b", NULL, "sha256:" HEX},
            {"q.io/a:1@sha256:" HEX, "q.io", "a", "1", "sha256:" HEX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct reference found;
        struct error err = ERROR_NONE;
        CHECK_INT(reference_parse(cases[i].text, &arena, &found, &err), 0);
        CHECK(str_equal(found.domain, cases[i].domain));
        CHECK_STR(found.path, cases[i].path);
        CHECK(str_equal(found.tag, cases[i].tag));
        CHECK(str_equal(found.digest, cases[i].digest));
        CHECK_STR(reference_text(&found, &arena), cases[i].text);
    }
}

TEST(reference_says_what_is_wrong)
{
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
            {"", "empty"},
            {"Debian", "lower case"},
            {"a/../b", "must start with"},
            {"a//b", "part of the name is empty"},
            {"a/b/", "part of the name is empty"},
            {"/a", "empty"},
            {"a-", "must end with"},
            {"a..b", "must start with"},
            {"a___b", "must start with"},
            {"a:", "the tag is empty"},
            {"a:-x", "starts with"},
            {"a:x y", "may only have"},
            {"a@sha256:12", "not a digest"},
            {"host:99999/x", "port"},
            {"host:/x", "port"},
            {"-h.io/x", "registry's name"},
            {"h..io/x", "registry's name"},
            {"[::1/x", "IPv6"},
            {"a\n", "must start with"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct reference found;
        struct error err = ERROR_NONE;
        CHECK_INT(reference_parse(cases[i].text, &arena, &found, &err), -EINVAL);
        if (!strstr(err.text, cases[i].part))
            test_report(__FILE__, __LINE__, "\"%s\": \"%s\" lacks \"%s\"", cases[i].text, err.text,
                    cases[i].part);
    }
}

TEST(reference_lengths_are_capped)
{
    _cleanup_arena_ struct arena arena = {0};
    struct reference found;
    char text[2000];

    memset(text, 'a', sizeof(text));
    text[255] = '\0';
    CHECK_INT(reference_parse(text, &arena, &found, NULL), 0);
    text[255] = 'a';
    text[256] = '\0';
    CHECK_INT(reference_parse(text, &arena, &found, NULL), -EINVAL);
    memset(text, 'a', sizeof(text));
    text[1] = ':';
    text[130] = '\0';
    CHECK_INT(reference_parse(text, &arena, &found, NULL), 0);
    text[130] = 'a';
    text[131] = '\0';
    CHECK_INT(reference_parse(text, &arena, &found, NULL), -EINVAL);
    text[131] = 'a';
    text[1999] = '\0';
    CHECK_INT(reference_parse(text, &arena, &found, NULL), -EINVAL);
}

TEST(reference_gets_its_defaults)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {{"docker.io/debian", "docker.io/library/debian:latest"},
            {"index.docker.io/a/b:1", "docker.io/a/b:1"}, {"q.io/x", "q.io/x:latest"},
            {"q.io/x@sha256:" HEX, "q.io/x@sha256:" HEX}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct reference found;
        CHECK_INT(reference_parse(cases[i].from, &arena, &found, NULL), 0);
        found = reference_complete(&found, &arena);
        CHECK_STR(reference_text(&found, &arena), cases[i].to);
    }
}

TEST_MAIN()
