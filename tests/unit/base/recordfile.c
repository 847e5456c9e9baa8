#include "base/recordfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "test.h"

struct kept {
    const char *name;
    int number;
};

static const struct field fields[] = {
        FIELD_REQUIRED(struct kept, name, FIELD_STR),
        FIELD(struct kept, number, FIELD_I32),
};
static const struct record record = RECORD(struct kept, fields);

/* A folder of the test's own, which goes with its descriptor's owner. */
static int open_folder(char *path)
{
    return mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

TEST(recordfile_keeps_what_was_written)
{
    _cleanup_arena_ struct arena arena = {0};
    char top[] = "/tmp/test-recordfile-XXXXXX";
    _cleanup_close_ int dir = open_folder(top);
    const struct kept written = {"a", 7};
    struct error err = ERROR_NONE;
    struct kept read = {"b", 8};
    struct stat found;

    CHECK_INT(recordfile_save(dir, "x", &record, &written, RECORDFILE_PRIVATE), 0);
    CHECK_INT(recordfile_load(dir, "x", &record, &arena, &read, &err), 0);
    CHECK_STR(read.name, "a");
    CHECK_INT(read.number, 7);
    CHECK_INT(fstatat(dir, "x", &found, 0), 0);
    CHECK_INT(found.st_mode & 0777, 0600);
    CHECK_INT(recordfile_save(dir, "x", &record, &(struct kept){"c", 0},
                      RECORDFILE_PUBLIC | RECORDFILE_DURABLE | RECORDFILE_PRETTY),
            0);
    CHECK_INT(recordfile_load(dir, "x", &record, &arena, &read, &err), 0);
    CHECK_STR(read.name, "c");
    CHECK_INT(read.number, 0);
    CHECK_INT(fstatat(dir, "x", &found, 0), 0);
    CHECK_INT(found.st_mode & 0777, 0644);
    CHECK_INT(io_remove_tree_at(AT_FDCWD, top), 0);
}

TEST(recordfile_tells_what_is_wrong)
{
    _cleanup_arena_ struct arena arena = {0};
    char top[] = "/tmp/test-recordfile-XXXXXX";
    _cleanup_close_ int dir = open_folder(top);
    struct error err = ERROR_NONE;
    struct kept read = {"b", 8};

    CHECK_INT(recordfile_load(dir, "x", &record, &arena, &read, &err), -ENOENT);
    CHECK(read.name == NULL && read.number == 0);
    CHECK_INT(io_replace_file_at(dir, "x", "{\"number\":\"y\"}", 14, 0600, false), 0);
    CHECK_INT(recordfile_load(dir, "x", &record, &arena, &read, &err), -EINVAL);
    CHECK(strstr(err.text, "/number"));
    CHECK(strstr(err.text, "name"));
    CHECK_INT(recordfile_save(dir, "no/x", &record, &read, RECORDFILE_PRIVATE), -ENOENT);
    CHECK_INT(io_remove_tree_at(AT_FDCWD, top), 0);
}

TEST_MAIN()
