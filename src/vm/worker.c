#include "vm/worker.h"

#include <signal.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"

static void on_stop(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)fd;
    (void)events;
    (void)data;
    loop_quit(loop, 0);
}

int worker_init(struct worker *worker, struct error *err)
{
    *worker = (struct worker){.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (worker->stop_fd < 0)
        return error_sys(err, errno, "eventfd");
    int r = loop_new(&worker->loop, err);
    if (r == 0) {
        r = loop_add_fd(worker->loop, worker->stop_fd, EPOLLIN, on_stop, NULL, NULL);
        if (r < 0)
            error_sys(err, -r, "epoll_ctl");
    }
    if (r < 0)
        worker_free(worker);
    return r;
}

static void *run(void *data)
{
    struct worker *worker = data;

    if (worker->begin)
        worker->begin(worker->data);
    if (worker->confine)
        worker->confine(worker->kind);
    loop_run(worker->loop);
    if (worker->end)
        worker->end(worker->data);
    return NULL;
}

int worker_start(struct worker *worker, struct error *err)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int r = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        return error_sys(err, r, "pthread_create for a device");
    worker->runs = true;
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (!worker->runs)
        return;
    (void)eventfd_write(worker->stop_fd, 1);
    pthread_join(worker->thread, NULL);
    worker->runs = false;
}

void worker_free(struct worker *worker)
{
    worker_stop(worker);
    loop_free(worker->loop);
    worker->loop = NULL;
    cleanup_close(&worker->stop_fd);
}
