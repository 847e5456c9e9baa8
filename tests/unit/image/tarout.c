#include "image/tarout.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "test.h"

#define KIB ((size_t)1 << 10)

/* Around what is gathered, what goes out by itself, and what is read in several pieces. */
static const size_t sizes[] = {0, 1, 511, 512, 513, 100 * KIB, 128 * KIB - 1, 128 * KIB,
        128 * KIB + 1, 200 * KIB, 255 * KIB, 256 * KIB - 512, 256 * KIB - 1, 256 * KIB,
        256 * KIB + 1, 400 * KIB, 700 * KIB + 3};
#define SIZE_MOST (700 * KIB + 3)

/* A file of each size that is full of its own letter, in order or backwards: 0, or an error. */
static int write_all(struct tarout *out, bool backwards, char *content)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sizes) && r == 0; i++) {
        size_t which = backwards ? ARRAY_SIZE(sizes) - 1 - i : i;
        _cleanup_close_ int file = memfd_create("file", MFD_CLOEXEC);
        char name[] = {(char)('a' + which), '\0'};
        memset(content, name[0], sizes[which]);
        r = io_write_all(file, content, sizes[which]);
        if (r == 0 && lseek(file, 0, SEEK_SET) < 0)
            r = -1;
        if (r == 0)
            r = which % 2 ? tarout_add_text(out, name, content, sizes[which], NULL)
                          : tarout_add_fd(out, name, file, sizes[which], NULL);
    }
    return r == 0 ? tarout_finish(out, NULL, NULL, NULL) : r;
}

/* Whether the entry at this place is that file; then the next one's place. */
static bool is_file(const char *archive, size_t which, size_t *at)
{
    const char *header = archive + *at;
    const char *content = header + 512;

    if (header[0] != (char)('a' + which) || strtoul(header + 124, NULL, 8) != sizes[which])
        return false;
    for (size_t i = 0; i < sizes[which]; i++)
        if (content[i] != header[0])
            return false;
    *at += 512 + (sizes[which] + 511) / 512 * 512;
    return true;
}

static void check_order(bool backwards)
{
    _cleanup_free_ char *content = malloc(SIZE_MOST);
    _cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
    _cleanup_tarout_ struct tarout *out = NULL;
    size_t at = 0;

    CHECK_INT(tarout_open(fd, &out, NULL), 0);
    CHECK_INT(write_all(out, backwards, content), 0);
    off_t length = lseek(fd, 0, SEEK_END);
    char *archive = mmap(NULL, (size_t)length, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(archive != MAP_FAILED);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        CHECK(is_file(archive, backwards ? ARRAY_SIZE(sizes) - 1 - i : i, &at));
    CHECK_INT(length, at + 1024);
    munmap(archive, (size_t)length);
}

TEST(tarout_keeps_the_order_whatever_the_sizes)
{
    check_order(false);
    check_order(true);
}

TEST_MAIN()
