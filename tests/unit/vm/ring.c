#include "vm/disk/ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "test.h"

#define TRANSFERS 16
#define PIECE 8192

struct setup {
    struct ring *ring;
    int fd;
    char data[TRANSFERS][PIECE];
    struct iovec iov[TRANSFERS][2];
};

static bool set_up(struct setup *setup)
{
    *setup = (struct setup){.fd = memfd_create("disk", MFD_CLOEXEC)};
    for (int i = 0; i < TRANSFERS; i++) {
        memset(setup->data[i], 'a' + i, PIECE);
        setup->iov[i][0] = (struct iovec){setup->data[i], 100};
        setup->iov[i][1] = (struct iovec){setup->data[i] + 100, PIECE - 100};
    }
    return ring_new(TRANSFERS, &setup->ring) == 0;
}

static void tear_down(struct setup *setup)
{
    ring_free(setup->ring);
    close(setup->fd);
}

/* Waits for so many; each tag comes once, with this result. */
static bool collect(struct setup *setup, int count, int wanted)
{
    unsigned seen = 0;
    void *tag;
    int result;

    if (ring_submit(setup->ring) < 0)
        return false;
    for (int done = 0; done < count;) {
        if (ring_wait(setup->ring) < 0)
            return false;
        for (; ring_next(setup->ring, &tag, &result); done++) {
            unsigned bit = 1U << (uintptr_t)tag;
            if (result != wanted || seen & bit)
                return false;
            seen |= bit;
        }
    }
    return !ring_next(setup->ring, &tag, &result) && seen == (1U << count) - 1;
}

TEST(ring_has_many_on_their_way)
{
    static struct setup setup;

    if (!set_up(&setup))
        SKIP("this host does not offer io_uring");
    for (uintptr_t i = 0; i < TRANSFERS; i++)
        CHECK(ring_write(setup.ring, setup.fd, i * PIECE, setup.iov[i], 2, (void *)i));
    CHECK(!ring_sync(setup.ring, setup.fd, NULL)); /* there is no room */
    CHECK(collect(&setup, TRANSFERS, PIECE));
    CHECK(ring_sync(setup.ring, setup.fd, (void *)0));
    CHECK(collect(&setup, 1, 0));
    memset(setup.data, 0, sizeof(setup.data));
    for (uintptr_t i = 0; i < TRANSFERS; i++)
        CHECK(ring_read(setup.ring, setup.fd, i * PIECE, setup.iov[i], 2, (void *)i));
    CHECK(collect(&setup, TRANSFERS, PIECE));
    for (int i = 0; i < TRANSFERS; i++)
        CHECK(setup.data[i][0] == 'a' + i && setup.data[i][PIECE - 1] == 'a' + i);
    tear_down(&setup);
}

TEST(ring_tells_what_failed)
{
    static struct setup setup;

    if (!set_up(&setup))
        SKIP("this host does not offer io_uring");
    CHECK(ring_read(setup.ring, -1, 0, setup.iov[0], 2, (void *)0));
    CHECK(ring_read(setup.ring, -1, 0, setup.iov[1], 2, (void *)1));
    CHECK(collect(&setup, 2, -EBADF));
    CHECK_INT(ftruncate(setup.fd, 100), 0);
    CHECK(ring_read(setup.ring, setup.fd, 0, setup.iov[0], 2, (void *)0));
    CHECK(collect(&setup, 1, 100)); /* the file's end */
    tear_down(&setup);
}

/* Whoever has the ring has no more than this: nothing is opened, connected or made. */
TEST(ring_can_do_nothing_else)
{
    static struct setup setup;

    if (!set_up(&setup))
        SKIP("this host does not offer io_uring");
    struct io_uring *uring = (struct io_uring *)setup.ring; /* its first member */
    struct io_uring_sqe *entry = io_uring_get_sqe(uring);
    io_uring_prep_openat(entry, AT_FDCWD, "/dev/null", O_RDONLY, 0);
    io_uring_sqe_set_data(entry, (void *)0);
    CHECK(collect(&setup, 1, -EACCES));
    entry = io_uring_get_sqe(uring);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, (void *)0);
    CHECK(collect(&setup, 1, -EACCES));
    unsigned workers[2] = {1, 1};
    CHECK_INT(io_uring_register_iowq_max_workers(uring, workers), -EACCES);
    tear_down(&setup);
}

TEST_MAIN()
