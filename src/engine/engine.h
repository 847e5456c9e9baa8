/*
 * Sandboxes as people use them: run, found by name, entered, stopped, removed. The commands (cli/)
 * and whatever shows sandboxes (observe/) act only through this. What isolates a sandbox is made by
 * container/; here is what surrounds it: a name, ids of its own, streams, a log, a monitor.
 */
#pragma once

#include "container/container.h"
#include "container/host.h"
#include "engine/meta.h"

struct image_store;

/* Where an engine keeps things. A member that is NULL, or the whole, takes the defaults. */
struct engine_root {
    const char *state; /* what a reboot may take; "/run/viv", see store_default_root() */
    const char *data;  /* what must survive it; see engine_data_root() */
};

struct engine {
    struct arena *arena;
    struct store store;
    struct container_host host;
    const char *seccomp_cache;  /* folder */
    const char *data_root;      /* images/, volumes/, networks/, sandboxes/; may not be there yet */
    struct image_store *images; /* NULL until somebody asks for it: engine/images.h */
};

/* Opens the store of sandboxes, looks at the host, and takes away what killed commands have left.
 * What is below the data root is opened by those who need it. */
int engine_open(
        struct arena *arena, const struct engine_root *root, struct engine *ret, struct error *err);
void engine_close(struct engine *engine);
#define _cleanup_engine_ __attribute__((cleanup(engine_close)))

/* $VIV_DATA_ROOT; without it /var/lib/viv for root, and for others $XDG_DATA_HOME/viv or
 * ~/.local/share/viv. */
const char *engine_data_root(struct arena *arena);

/* ---- running --------------------------------------------------------------------------------- */

struct engine_run {
    struct spec *spec; /* the configuration; what is known only when it starts is filled in */
    struct sandbox_meta meta; /* name NULL: one is made up; the id is made up always */
    bool detach;
    bool keep_signals;       /* those that this process gets are not passed on to the workload */
    const char *detach_keys; /* the bytes that leave the terminal; see session.h */
    bool attach[3];          /* these streams alone, by descriptor; none: as usual */
    unsigned preserve_fds;   /* so many of ours from 3 on go to the workload, and are closed here */
    const char *cidfile;     /* a new file that the id is written to; NULL: none */
    struct container_apply apply;
    struct strv *told; /* filled: warnings for the user */
};

/*
 * Makes a sandbox and starts it. In the foreground it returns when the workload has ended, with its
 * status in `*ret_status`; detached, when the workload has started. `run->meta.name` and `.id` are
 * filled in. When it cannot be started, nothing of it stays.
 */
int engine_run(struct engine *engine, struct engine_run *run, int *ret_status, struct error *err);

/* Makes one that is not started. */
int engine_create(struct engine *engine, struct engine_run *run, struct error *err);

struct engine_start {
    const char *name;
    bool attach;      /* stay at its streams; the status is then the workload's */
    bool interactive; /* and pass input on */
    bool signals;     /* and signals, where there is no terminal */
    const char *detach_keys;
    struct strv *told; /* filled: warnings for the user */
};

/* Starts one that was created, or has ended. One that runs is left alone. */
int engine_start(struct engine *engine, const struct engine_start *start, int *ret_status,
        struct error *err);

struct engine_restore {
    const char *name;
    const char *accel; /* "auto", "kvm", "emu"; NULL: as it was run */
    struct strv *told; /* filled: warnings for the user */
};

/* Goes on with a machine from its snapshot (snapshot.h), and returns when it runs. -ENOENT when it
 * has none, -EBUSY when it runs, -EOPNOTSUPP for a container. */
int engine_restore(struct engine *engine, const struct engine_restore *restore, struct error *err);

/* For explain: the plan that engine_run would apply; touches nothing. */
int engine_plan(struct engine *engine, struct engine_run *run, struct container_making *ret,
        struct error *err);

/* ---- sandboxes that exist -------------------------------------------------------------------- */

struct sandbox {
    struct container container; /* its folder in the store; dir_fd is -1 when it has none */
    int record_fd;              /* see records.h */
    bool kept;                  /* it has a record that outlives it */
    struct sandbox_meta meta;
    struct sandbox_life life;
    enum spec_status status; /* SPEC_CREATED: not started yet */
};

/* By name or id, or by the start of one if only one fits. -ENOENT, -EEXIST (several fit). */
int engine_find(struct engine *engine, const char *name, struct sandbox *ret, struct error *err);
void sandbox_close(struct sandbox *sandbox);
#define _cleanup_sandbox_ __attribute__((cleanup(sandbox_close)))

/* Whether it runs, is frozen, or is about to be started again by its policy. */
bool sandbox_is_alive(const struct sandbox *sandbox);

/* Whether it has a folder in the store: it runs, is being made, or nobody has tidied up yet. */
bool sandbox_has_run(const struct sandbox *sandbox);

/* The configuration as it was asked for, without what a start fills in. (Of one with --rm, with
 * that.) */
int engine_config(
        struct engine *engine, const struct sandbox *sandbox, struct spec *ret, struct error *err);

/* The names of all. */
int engine_list(struct engine *engine, struct strv *ret, struct error *err);

enum wait_condition {
    WAIT_NOT_RUNNING, /* at once when it does not run */
    WAIT_NEXT_EXIT,   /* of the life that is now, or that begins next */
    WAIT_RUNNING,
    WAIT_REMOVED,
};

/* Waits; the status is that of engine_run. -ECHILD: nobody saw how it ended. */
int engine_wait(struct engine *engine, const char *name, enum wait_condition condition,
        int *ret_status, struct error *err);

struct engine_stopping {
    int timeout_s; /* seconds until SIGKILL; 0: at once; -1: the sandbox's own choice, or 10 */
    int signal;    /* what is sent first; 0: the sandbox's own choice, or SIGTERM */
    bool again;    /* its monitor starts it again, and is not waited for */
};

/* The stop signal, and SIGKILL when it has not ended. Its restart policy does not start it again,
 * unless `again` asks for that. */
int engine_stop(struct engine *engine, const char *name, const struct engine_stopping *stopping,
        struct error *err);

/* A signal to the first process, or to all. One that ends it (SIGKILL, its stop signal) ends it for
 * good, as engine_stop does. */
int engine_kill(struct engine *engine, const char *name, int signal, bool all, struct error *err);

struct engine_removal {
    bool force;    /* also one that runs */
    bool volumes;  /* and its volumes without a name */
    int timeout_s; /* one that runs is asked by its stop signal, and has so many seconds; 0: none */
};

/* Takes it away, its log too. */
int engine_remove(struct engine *engine, const char *name, const struct engine_removal *removal,
        struct error *err);

struct engine_exec {
    const char *name;
    struct strv args;
    struct strv env;  /* added to the sandbox's */
    const char *cwd;  /* NULL: the sandbox's */
    const char *user; /* "user[:group]"; NULL: the sandbox's */
    bool interactive, tty, detach, privileged;
    int64_t timeout_ns; /* then it is killed; 0: it may take as long as it likes */
    const char *detach_keys;
    unsigned preserve_fds; /* as in struct engine_run */
    struct container_apply apply;
};

/* One more process in a running sandbox; its status as of engine_run. */
int engine_exec(
        struct engine *engine, const struct engine_exec *exec, int *ret_status, struct error *err);

struct engine_attach {
    const char *name;
    bool input;   /* pass input on */
    bool signals; /* and signals, where there is no terminal */
    const char *detach_keys;
};

/* Sits at a sandbox's streams until it ends (the status is then in *ret_status) or the detach keys
 * are typed (-ECANCELED, without an error's text). */
int engine_attach(struct engine *engine, const struct engine_attach *attach, int *ret_status,
        struct error *err);
