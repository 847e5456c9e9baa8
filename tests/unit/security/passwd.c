#include "security/passwd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             "1000:x:0:0:a trap:/root:/bin/sh\n"
                             "ann:x:1000:100:Ann:/home/ann:/bin/sh\n"
                             "huge:x:4294967295:0::/:/bin/sh\n"
                             "minus:x:-1:0::/:/bin/sh\n"
                             "ann:x:0:0:again:/root:/bin/sh\n"
                             "last:x:7:8::relative:/bin/sh";
static const char group[] = "root:x:0:\nusers:x:100:\nwheel:x:10:bob,ann\naudio:x:29:ann\n"
                            "nearly:x:30:annx,an\n";

TEST(lookups)
{
    static const struct {
        const char *spec;
        unsigned uid, gid;
        size_t groups;
        const char *home;
    } cases[] = {
            {"", 0, 0, 0, "/root"},
            {"root", 0, 0, 0, "/root"},
            {"ann", 1000, 100, 2, "/home/ann"},
            {"1000", 1000, 100, 2, "/home/ann"},
            {"ann:audio", 1000, 29, 0, "/home/ann"},
            {"ann:77", 1000, 77, 0, "/home/ann"},
            {"4000", 4000, 0, 0, "/"},
            {"4294967294:4294967294", 4294967294u, 4294967294u, 0, "/"},
            {"last", 7, 8, 0, "/"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct passwd_user user;
        struct error err = ERROR_NONE;
        CHECK_INT(passwd_parse(passwd, group, cases[i].spec, &arena, &user, &err), 0);
        CHECK_INT(user.uid, cases[i].uid);
        CHECK_INT(user.gid, cases[i].gid);
        CHECK_INT(user.additional_gids.count, cases[i].groups);
        CHECK_STR(user.home, cases[i].home);
    }
}

TEST(odd_strings_are_refused)
{
    static const char *const odd[] = {"-1", "4294967295", "4294967296", "99999999999999999999",
            "0x0", ":0", "0:", ":", "0:0:0", " 0", "0 ", "+0", "root ", "ro\not", "-", "0:-1",
            "ann:4294967295", "ann:0x1", "huge", "minus", "nobody", "ann:nogroup", "٣", "1e3"};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct passwd_user user;
        struct error err = ERROR_NONE;
        int r = passwd_parse(passwd, group, odd[i], &arena, &user, &err);
        if (r >= 0)
            printf("  accepted: \"%s\"\n", odd[i]);
        CHECK(r == -EINVAL || r == -ENOENT);
        CHECK(err.text[0]);
    }
}

/* A root whose /etc/passwd is what the function makes. */
static int lookup_in(const char *root, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct passwd_user user;
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = passwd_lookup(fd, "ann", &arena, &user, err);

    close(fd);
    return r < 0 ? r : (int)user.uid;
}

TEST(files_are_looked_up_inside_the_root)
{
    char root[] = "/tmp/test-passwd-XXXXXX";
    char path[128];
    struct error err = ERROR_NONE;

    CHECK(mkdtemp(root));
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(lookup_in(root, &err), -ENOENT);
    CHECK_INT(mkdirat(dir, "etc", 0755), 0);
    /* an absolute link stays inside */
    CHECK_INT(symlinkat("/data/../../../data/pw", dir, "etc/passwd"), 0);
    CHECK_INT(lookup_in(root, &err), -ENOENT);
    CHECK_INT(mkdirat(dir, "data", 0755), 0);
    CHECK_INT(io_replace_file_at(dir, "data/pw", passwd, sizeof(passwd) - 1, 0644, false), 0);
    CHECK_INT(lookup_in(root, &err), 1000);
    /* a pipe would hang a reader, a device would never end */
    CHECK_INT(unlinkat(dir, "data/pw", 0), 0);
    CHECK_INT(mkfifoat(dir, "data/pw", 0644), 0);
    CHECK_INT(lookup_in(root, &err), -EINVAL);
    CHECK_STR(err.text, "the root's /etc/passwd is not a regular file");
    CHECK_INT(unlinkat(dir, "data/pw", 0), 0);
    int large = openat(dir, "data/pw", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK_INT(ftruncate(large, (off_t)PASSWD_FILE_MAX + 1), 0);
    CHECK_INT(lookup_in(root, &err), -EFBIG);
    close(large);
    close(dir);
    snprintf(path, sizeof(path), "%s", root);
    CHECK_INT(io_remove_tree_at(AT_FDCWD, path), 0);
}

TEST_MAIN()
