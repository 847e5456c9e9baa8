#include "image/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/blobs.h"
#include "image/cage.h"
#include "image/shelf.h"
#include "sys/process.h"

/* CPU time that a layer may need: its entries can be made to lead through long chains of links,
 * each of which the kernel walks. Honest ones take a hundredth of that. */
#define CPU_SECONDS 300
#define CPU_SECONDS_EACH_MIB 4
#define CPU_SECONDS_UNKNOWN 3600 /* of a stream, whose size nobody knows */

/* What the worker tells at its end. */
struct report {
    bool present; /* another process had unpacked it meanwhile */
    int result;
    struct layer_result layer;
    struct error error;
};

static int open_lock(struct image_store *store, const char *diff_id, struct error *err)
{
    char path[DIGEST_SIZE + 16];
    const char *hex = strchr(diff_id, ':');

    snprintf(path, sizeof(path), "locks/%s", hex ? hex + 1 : diff_id);
    int fd = openat(store->root_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? error_sys(err, errno, "open the lock %s/%s", store->options.root, path) : fd;
}

static int check_diff_id(
        const struct worker *worker, const struct layer_result *layer, struct error *err)
{
    if (!worker->diff_id || strcmp(layer->diff_id, worker->diff_id) == 0)
        return 0;
    return error_set(err, EBADMSG,
            "unpacked it has the digest %s, but the image's configuration says %s", layer->diff_id,
            worker->diff_id);
}

/* Waits for another process that unpacks the same layer, and looks whether it did. */
static int wait_for_others(struct image_store *store, const struct worker *worker,
        struct report *report, struct error *err)
{
    if (!worker->diff_id)
        return 0;
    while (flock(worker->lock_fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_sys(err, errno, "lock the layer");
    report->present = shelf_has(store, worker->diff_id, NULL, NULL);
    return 0;
}

/* Whoever has given this process less, meant it; who ignores the signal did not. */
static void limit_cpu(int blob_fd)
{
    struct rlimit limit;
    struct stat st;
    rlim_t wanted = CPU_SECONDS;

    signal(SIGXCPU, SIG_DFL);
    if (fstat(blob_fd, &st) < 0 || !S_ISREG(st.st_mode))
        wanted = CPU_SECONDS_UNKNOWN;
    else
        wanted += (rlim_t)(st.st_size >> 20) * CPU_SECONDS_EACH_MIB;
    if (getrlimit(RLIMIT_CPU, &limit) < 0 || limit.rlim_cur <= wanted)
        return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_CPU, &limit);
}

static int work(struct image_store *store, const struct worker *worker, bool verify, int blob_fd,
        int diff_fd, struct report *report)
{
    struct layer_options options = shelf_options(store);
    struct error *err = &report->error;

    options.owners_ignored |= !worker->diff_id;
    int r = verify ? digest_check_fd(blob_fd, worker->digest, err) : 0;
    if (r == 0)
        r = wait_for_others(store, worker, report, err);
    if (r < 0 || report->present)
        return r;
    limit_cpu(blob_fd);
    cleanup_close(&store->root_fd);
    r = cage_enter_folder(diff_fd, err);
    if (r == 0 && lseek(blob_fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        r = error_sys(err, errno, "lseek");
    if (r == 0)
        r = store_advise(store, layer_unpack(blob_fd, diff_fd, &options, &report->layer, err), err);
    return r < 0 ? r : check_diff_id(worker, &report->layer, err);
}

static int by_number(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* Any folder that is open would be a way to the layer by mounts that are not the cage's. */
static void keep_only(int kept[], size_t count)
{
    unsigned first = STDERR_FILENO + 1;

    qsort(kept, count, sizeof(*kept), by_number);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < (int)first)
            continue;
        if (kept[i] > (int)first)
            sys_close_range(first, (unsigned)kept[i] - 1, 0);
        first = (unsigned)kept[i] + 1;
    }
    sys_close_range(first, ~0U, 0);
}

static void run_child(struct image_store *store, const struct worker *worker, bool verify,
        int blob_fd, int diff_fd, int out_fd, pid_t parent)
{
    struct report *report = calloc(1, sizeof(*report));
    int kept[] = {blob_fd, diff_fd, out_fd, worker->lock_fd, store->root_fd};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* the parent decides */
    if (!report || getppid() != parent)
        _exit(1);
    keep_only(kept, ARRAY_SIZE(kept));
    report->result = work(store, worker, verify, blob_fd, diff_fd, report);
    io_write_all(out_fd, report, sizeof(*report));
    _exit(0);
}

static int spawn(struct image_store *store, bool verify, int blob_fd, int diff_fd,
        struct worker *worker, struct error *err)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    worker->pid = fork();
    if (worker->pid == 0)
        run_child(store, worker, verify, blob_fd, diff_fd, ends[1], parent);
    int why = errno;
    close(ends[1]);
    if (worker->pid < 0) {
        close(ends[0]);
        return error_sys(err, why, "fork");
    }
    worker->pipe_fd = ends[0];
    return 0;
}

static int prepare_and_spawn(struct image_store *store, bool verify, int blob_fd,
        struct worker *worker, struct error *err)
{
    _cleanup_close_ int diff_fd = -1;

    worker->lock_fd = -1;
    int r = shelf_prepare(store, &worker->folder, &diff_fd, err);
    if (r < 0)
        return r;
    if (worker->diff_id) {
        worker->lock_fd = open_lock(store, worker->diff_id, err);
        r = worker->lock_fd < 0 ? worker->lock_fd : 0;
    }
    if (r == 0)
        r = spawn(store, verify, blob_fd, diff_fd, worker, err);
    if (r < 0) {
        if (worker->lock_fd >= 0)
            close(worker->lock_fd);
        io_remove_tree_at(store->root_fd, worker->folder);
    }
    return r;
}

int worker_start(struct image_store *store, const char *digest, int blob_fd, const char *diff_id,
        struct worker *ret, struct error *err)
{
    struct worker worker = {.digest = digest, .diff_id = diff_id};
    _cleanup_close_ int own_fd = -1;

    bool verify = blob_fd >= 0;
    if (!verify) {
        own_fd = blob_open(store, digest, err);
        if (own_fd < 0)
            return own_fd;
        blob_fd = own_fd;
    }
    int r = prepare_and_spawn(store, verify, blob_fd, &worker, err);
    if (r == 0)
        *ret = worker;
    return r;
}

int worker_start_archive(
        struct image_store *store, int archive_fd, struct worker *ret, struct error *err)
{
    struct worker worker = {.digest = NULL};

    int r = prepare_and_spawn(store, false, archive_fd, &worker, err);
    if (r == 0)
        *ret = worker;
    return r;
}

/* The signal that ended it; 0: none. */
static int reap(struct worker *worker)
{
    int status = 0;

    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(worker->pipe_fd);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int worker_finish(struct image_store *store, struct worker *worker, struct error *err)
{
    struct report report = {0};
    int r = io_read_exact(worker->pipe_fd, &report, sizeof(report));

    const char *what = worker->diff_id ? worker->digest : "the archive";
    int signal = reap(worker);
    if (r < 0 && signal == SIGXCPU) {
        r = error_set(err, E2BIG,
                "%s%s: unpacking it takes more CPU time than an honest layer of its size needs",
                worker->diff_id ? "layer " : "", what);
    } else if (r < 0) {
        r = error_set(err, ECHILD, "%s%s: the process that unpacked it was killed",
                worker->diff_id ? "layer " : "", what);
    } else if (report.result < 0) {
        r = report.result;
        if (err)
            *err = report.error;
        error_prefix(err, "%s%s", worker->diff_id ? "layer " : "", what);
    }
    if (r == 0 && worker->diff_id && !report.present)
        r = shelf_place(store, worker->folder, worker->diff_id, &report.layer, err);
    if (r < 0 || report.present)
        io_remove_tree_at(store->root_fd, worker->folder);
    if (worker->lock_fd >= 0)
        close(worker->lock_fd);
    return r;
}

void worker_cancel(struct image_store *store, struct worker *worker)
{
    kill(worker->pid, SIGKILL);
    reap(worker);
    if (worker->lock_fd >= 0)
        close(worker->lock_fd);
    io_remove_tree_at(store->root_fd, worker->folder);
}
