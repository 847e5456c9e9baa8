/*
 * The threads that run vCPUs: started, paused, resumed and stopped together. Used by machine.c
 * only. Owns the accelerator's vCPUs.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "vm/accel.h"
#include "vm/confine.h"

struct vcpus {
    const struct accel_ops *ops;
    void *accel;
    void *list[ACCEL_CPUS_MAX];
    pthread_t threads[ACCEL_CPUS_MAX];
    unsigned count, started;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    confine_fn *confine; /* for each thread, before it runs; NULL: not confined */
    bool paused, stopping;
    unsigned parked; /* threads that stand still */

    /* Told on a vCPU's thread when that vCPU cannot go on; the others still run. */
    void (*on_stop)(void *data, enum accel_stop stop, const struct error *err);
    void *data;
};

/* Makes the vCPUs, in their state of power-on. */
int vcpus_init(struct vcpus *vcpus, const struct accel_ops *ops, void *accel, unsigned count,
        struct error *err);
void vcpus_free(struct vcpus *vcpus); /* stops them first */

/* Makes the threads, which run at once. */
int vcpus_start(struct vcpus *vcpus, struct error *err);

/* Returns when every vCPU stands still. Not from a vCPU's thread. */
void vcpus_pause(struct vcpus *vcpus);
void vcpus_resume(struct vcpus *vcpus);

/* The threads end and are waited for. Not from a vCPU's thread. */
void vcpus_stop(struct vcpus *vcpus);
