#include "vm/vcpu.h"

#include <signal.h>
#include <stdlib.h>

struct vcpu_thread {
    struct vcpus *vcpus;
    unsigned index;
};

int vcpus_init(struct vcpus *vcpus, const struct accel_ops *ops, void *accel, unsigned count,
        struct error *err)
{
    *vcpus = (struct vcpus){.ops = ops, .accel = accel};
    pthread_mutex_init(&vcpus->lock, NULL);
    pthread_cond_init(&vcpus->changed, NULL);
    for (unsigned i = 0; i < count; i++) {
        int r = ops->vcpu_new(accel, i, &vcpus->list[i], err);
        if (r < 0) {
            vcpus_free(vcpus);
            return error_prefix(err, "vCPU %u", i);
        }
        vcpus->count++;
    }
    return 0;
}

void vcpus_free(struct vcpus *vcpus)
{
    vcpus_stop(vcpus);
    for (unsigned i = 0; i < vcpus->count; i++)
        vcpus->ops->vcpu_free(vcpus->list[i]);
    vcpus->count = 0;
    pthread_cond_destroy(&vcpus->changed);
    pthread_mutex_destroy(&vcpus->lock);
}

/* Stands still while paused. False when the thread is to end. */
static bool may_run(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    if (vcpus->paused && !vcpus->stopping) {
        vcpus->parked++;
        pthread_cond_broadcast(&vcpus->changed);
        while (vcpus->paused && !vcpus->stopping)
            pthread_cond_wait(&vcpus->changed, &vcpus->lock);
        vcpus->parked--;
    }
    bool stopping = vcpus->stopping;
    pthread_mutex_unlock(&vcpus->lock);
    return !stopping;
}

/* One that cannot go on counts as standing still until all are stopped. */
static void park_for_good(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->parked++;
    pthread_cond_broadcast(&vcpus->changed);
    while (!vcpus->stopping)
        pthread_cond_wait(&vcpus->changed, &vcpus->lock);
    pthread_mutex_unlock(&vcpus->lock);
}

static void *run_vcpu(void *data)
{
    struct vcpu_thread self = *(struct vcpu_thread *)data;
    struct vcpus *vcpus = self.vcpus;
    struct error err = ERROR_NONE;

    free(data);
    if (vcpus->confine)
        vcpus->confine(THREAD_VCPU);
    while (may_run(vcpus)) {
        enum accel_stop stop = vcpus->ops->run(vcpus->list[self.index], &err);
        if (stop == ACCEL_KICKED)
            continue;
        vcpus->on_stop(vcpus->data, stop, &err);
        park_for_good(vcpus);
    }
    return NULL;
}

static int start_one(struct vcpus *vcpus, struct error *err)
{
    struct vcpu_thread *self = malloc(sizeof(*self));

    if (!self)
        return error_set(err, ENOMEM, "out of memory");
    *self = (struct vcpu_thread){vcpus, vcpus->started};
    int r = pthread_create(&vcpus->threads[vcpus->started], NULL, run_vcpu, self);
    if (r != 0) {
        free(self);
        return error_sys(err, r, "pthread_create for vCPU %u", vcpus->started);
    }
    vcpus->started++;
    return 0;
}

/* Signals are the loop's: threads start with all blocked except the one that kicks vCPUs. */
int vcpus_start(struct vcpus *vcpus, struct error *err)
{
    sigset_t all, old;
    int r = 0;

    sigfillset(&all);
    sigdelset(&all, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (r == 0 && vcpus->started < vcpus->count)
        r = start_one(vcpus, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

static void kick_all(struct vcpus *vcpus)
{
    for (unsigned i = 0; i < vcpus->started; i++)
        vcpus->ops->kick(vcpus->list[i]);
}

void vcpus_pause(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->paused = true;
    kick_all(vcpus);
    while (vcpus->parked < vcpus->started)
        pthread_cond_wait(&vcpus->changed, &vcpus->lock);
    pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_resume(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->paused = false;
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_stop(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->stopping = true;
    kick_all(vcpus);
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
    while (vcpus->started > 0)
        pthread_join(vcpus->threads[--vcpus->started], NULL);
}
