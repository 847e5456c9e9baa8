#include "image/auth.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "image/platform.h"
#include "test.h"

static struct arena arena;

static char dir[32]; /* "": none is made */

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    if (!*dir) {
        memcpy(dir, "/tmp/viv-auth-XXXXXX", sizeof("/tmp/viv-auth-XXXXXX"));
        if (!mkdtemp(dir))
            abort();
    }
    const char *path = arena_printf(&arena, "%s/%s", dir, name);
    io_replace_file_at(AT_FDCWD, path, text, strlen(text), mode, false);
    chmod(path, mode);
    return path;
}

static void remove_files(void)
{
    io_remove_tree_at(AT_FDCWD, dir);
    *dir = '\0';
}

TEST(auth_base64_both_ways)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
            {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        size_t length;
        CHECK_STR(auth_encode(pairs[i][0], strlen(pairs[i][0]), &arena), pairs[i][1]);
        char *decoded = auth_decode(pairs[i][1], &length, &arena);
        CHECK_STR(decoded, pairs[i][0]);
        CHECK_INT(length, strlen(pairs[i][0]));
    }
    size_t length;
    CHECK(!auth_decode("a*b", &length, &arena));
}

TEST(auth_finds_the_most_specific)
{
    static const struct {
        const char *host;
        const char *path;
        const char *user;
    } cases[] = {{"h.io", "a/b", "deep"}, {"h.io", "a/bc", "team"}, {"h.io", "z", "host"},
            {"other.io", "x", NULL}, {"docker.io", "library/x", "hub"}, {"u.io:5000", "x", "url"}};
    const char *file = write_file("config.json",
            "{\"auths\": {\"h.io\": {\"auth\": \"aG9zdDp4\"}, \"h.io/a\": {\"auth\": \"dGVhbTp4\"},"
            "\"h.io/a/b\": {\"auth\": \"ZGVlcDp4OnkK\"},"
            "\"https://u.io:5000/v2/\": {\"username\": \"url\", \"password\": \"p\"},"
            "\"https://index.docker.io/v1/\": {\"auth\": \"aHViOng=\"}}}",
            0600);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct auth auth;
        struct error err = ERROR_NONE;
        CHECK_INT(auth_find(file, cases[i].host, cases[i].path, &arena, &auth, &err), 0);
        CHECK(str_equal(auth.user, cases[i].user));
    }
    remove_files();
}

TEST(auth_asks_helpers)
{
    const char *helper = write_file("docker-credential-viv-test",
            "#!/bin/sh\nread host\n[ \"$1\" = get ] || exit 3\ncase $host in\n"
            "known.io) echo '{\"Username\":\"u\",\"Secret\":\"s\"}' ;;\n"
            "token.io) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}' ;;\n"
            "broken.io) echo 'the keychain is locked'; exit 1 ;;\n"
            "*) echo 'credentials not found in native keychain'; exit 1 ;;\nesac\n",
            0755);
    const char *file = write_file("helpers.json",
            "{\"credsStore\": \"viv-test\", \"credHelpers\": {\"none.io\": \"viv-none\"},"
            "\"auths\": {\"fallback.io\": {\"auth\": \"Zjp4\"}}}",
            0600);
    char *slash = strrchr(helper, '/');
    struct auth auth;
    struct error err = ERROR_NONE;

    setenv("PATH", arena_printf(&arena, "%.*s:%s", (int)(slash - helper), helper, getenv("PATH")),
            1);
    CHECK_INT(auth_find(file, "known.io", "x", &arena, &auth, &err), 0);
    CHECK_STR(auth.user, "u");
    CHECK_STR(auth.password, "s");
    CHECK_INT(auth_find(file, "token.io", "x", &arena, &auth, &err), 0);
    CHECK_STR(auth.token, "t");
    CHECK(!auth.user);
    CHECK_INT(auth_find(file, "fallback.io", "x", &arena, &auth, &err), 0);
    CHECK_STR(auth.user, "f");
    CHECK_INT(auth_find(file, "broken.io", "x", &arena, &auth, &err), -EREMOTEIO);
    CHECK(strstr(err.text, "the keychain is locked"));
    CHECK_INT(auth_find(file, "none.io", "x", &arena, &auth, &err), -ENOENT);
    CHECK(strstr(err.text, "docker-credential-viv-none"));
    remove_files();
}

TEST(auth_stores_and_erases)
{
    const char *file = write_file("store.json", "{\"HttpHeaders\": {\"a\": \"b\"}}", 0600);
    struct auth auth = {"me", "secret", NULL};
    struct auth found;
    struct stat st;
    struct error err = ERROR_NONE;

    CHECK_INT(auth_store(file, "r.io:5000", &auth, &err), 0);
    CHECK_INT(auth_store(file, "docker.io", &auth, &err), 0);
    CHECK_INT(stat(file, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(auth_find(file, "r.io:5000", "x", &arena, &found, &err), 0);
    CHECK_STR(found.password, "secret");
    CHECK_INT(auth_erase(file, "docker.io", &err), 0);
    CHECK_INT(auth_erase(file, "r.io:5000", &err), 0);
    CHECK_INT(auth_erase(file, "r.io:5000", &err), -ENOENT);
    struct buf text = {0};
    CHECK_INT(io_read_file_at(AT_FDCWD, file, &text), 0);
    CHECK(strstr(buf_text(&text), "HttpHeaders"));
    buf_free(&text);
    remove_files();
}

TEST(auth_refuses_damaged_entries)
{
    const char *file = write_file("bad.json", "{\"auths\": {\"r.io\": {\"auth\": \"%%%\"}}}", 0600);
    struct auth auth;
    struct error err = ERROR_NONE;

    CHECK_INT(auth_find(file, "r.io", "x", &arena, &auth, &err), -EINVAL);
    CHECK(strstr(err.text, "log in again"));
    remove_files();
}

TEST(platform_fits)
{
    static const struct {
        const char *wanted;
        const char *found;
        bool fits;
    } cases[] = {{"linux/amd64", "linux/amd64", true}, {"x86_64", "linux/amd64", true},
            {"linux/arm64", "linux/arm64/v8", true}, {"linux/arm/v7", "linux/arm/v6", true},
            {"linux/arm/v6", "linux/arm/v7", false}, {"linux/amd64", "windows/amd64", false},
            {"amd64", "linux/arm64", false}, {"linux/amd64/v3", "linux/amd64", true}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct platform wanted;
        struct platform found;
        CHECK_INT(platform_parse(cases[i].wanted, &arena, &wanted, NULL), 0);
        CHECK_INT(platform_parse(cases[i].found, &arena, &found, NULL), 0);
        CHECK_INT(platform_fit(&wanted, &found) > 0, cases[i].fits);
    }
    struct platform platform;
    CHECK_INT(platform_parse("a/b/c/d", &arena, &platform, NULL), -EINVAL);
    CHECK_INT(platform_parse("linux/", &arena, &platform, NULL), -EINVAL);
}

TEST_MAIN()
