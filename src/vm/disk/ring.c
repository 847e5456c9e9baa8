#include "vm/disk/ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

/* Threads of the kernel's for files that cannot be read or written without waiting, idle ones of
 * which end by themselves. */
#define WORKERS_MAX 8

struct ring {
    struct io_uring uring;
};

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

/* A ring can do much more than transfers (open, connect …), past any seccomp filter: it is told,
 * for good and before anything can be asked of it, what it is for. */
static int restrict_to_transfers(struct io_uring *uring)
{
    struct io_uring_restriction only[] = {
            {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
            {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
            {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
    };
    int r = io_uring_register_restrictions(uring, only, sizeof(only) / sizeof(only[0]));

    return r < 0 ? r : io_uring_enable_rings(uring);
}

int ring_new(unsigned entries, struct ring **ret)
{
    struct ring *ring = calloc(1, sizeof(*ring));
    unsigned workers[2] = {WORKERS_MAX, WORKERS_MAX};

    if (!ring)
        return -ENOMEM;
    int r = io_uring_queue_init(entries, &ring->uring, IORING_SETUP_R_DISABLED);
    if (r < 0) {
        free(ring);
        return r;
    }
    (void)io_uring_register_iowq_max_workers(&ring->uring, workers); /* from Linux 5.15 on */
    r = restrict_to_transfers(&ring->uring);
    if (r < 0) {
        ring_free(ring);
        return r;
    }
    *ret = ring;
    return 0;
}

int ring_fd(const struct ring *ring)
{
    return ring->uring.ring_fd;
}

bool ring_read(struct ring *ring, int fd, uint64_t offset, const struct iovec *iov, size_t count,
        void *tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    if (!entry)
        return false;
    io_uring_prep_readv(entry, fd, iov, (unsigned)count, offset);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

bool ring_write(struct ring *ring, int fd, uint64_t offset, const struct iovec *iov, size_t count,
        void *tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    if (!entry)
        return false;
    io_uring_prep_writev(entry, fd, iov, (unsigned)count, offset);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

bool ring_sync(struct ring *ring, int fd, void *tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    if (!entry)
        return false;
    io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(entry, tag);
    return true;
}

int ring_submit(struct ring *ring)
{
    int r = io_uring_submit(&ring->uring);

    return r < 0 ? r : 0;
}

bool ring_next(struct ring *ring, void **ret_tag, int *ret_result)
{
    struct io_uring_cqe *entry;

    if (io_uring_peek_cqe(&ring->uring, &entry) < 0)
        return false;
    *ret_tag = io_uring_cqe_get_data(entry);
    *ret_result = entry->res;
    io_uring_cqe_seen(&ring->uring, entry);
    return true;
}

int ring_wait(struct ring *ring)
{
    struct io_uring_cqe *entry;
    int r;

    do
        r = io_uring_submit_and_wait(&ring->uring, 1); /* also what an earlier call left */
    while (r == -EINTR || r == -EAGAIN || r == -EBUSY);
    if (r >= 0)
        r = io_uring_wait_cqe(&ring->uring, &entry);
    return r < 0 ? r : 0;
}
