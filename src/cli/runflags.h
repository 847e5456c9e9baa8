/*
 * The flags of `viv run` (and of `viv explain`, `viv create`), and what they mean: a configuration
 * as the OCI has it, and beside it the choices for which the OCI has no words. Names and meanings
 * are Docker's and Podman's.
 *
 * Everything here is a pure function of its inputs: no file is opened and no kernel asked. What can
 * only be known later stays as text in struct run_choices: users are looked up inside the root,
 * devices by stat(2), other sandboxes by name.
 *
 * Three steps: options_parse() of run_flags_command() into struct run_flags; run_flags_build();
 * then, when the choices are settled (namespaces joined, ids mapped), spec_check().
 */
#pragma once

#include "base/options.h"
#include "net/request.h"
#include "spec/spec.h"

/* What was written on the command line. Members are named after their flags. */
struct run_flags {
    /* the sandbox */
    const char *name;
    bool detach;
    bool rm;
    bool interactive;
    bool tty;
    struct strv attach;
    struct opt_u64 preserve_fds;
    const char *detach_keys;
    const char *isolation;
    const char *accel;
    bool portable;
    const char *kernel;
    const char *rootfs;
    const char *bundle;
    const char *pull; /* "always", "missing", "never", "newer" */
    const char *platform;
    const char *os, *arch, *variant; /* the platform in parts */
    bool ignored;                    /* of flags that mean nothing here */
    const char *authfile, *cert_dir, *creds;
    struct opt_bool tls_verify;
    struct opt_bool sig_proxy;
    bool quiet;
    struct strv label;
    struct strv label_file;
    struct strv annotation;
    const char *cidfile;
    bool replace;
    const char *stop_signal;
    struct opt_i64 stop_timeout; /* nanoseconds */
    const char *restart;
    const char *log_driver;
    struct strv log_opt;
    const char *health_cmd;
    struct opt_i64 health_interval, health_timeout;            /* nanoseconds */
    struct opt_i64 health_start_period, health_start_interval; /* nanoseconds */
    const char *health_on_failure;
    struct opt_u64 health_retries;
    bool no_healthcheck;
    bool init;
    const char *pidfile;
    bool trace;
    bool step;

    /* the process */
    const char *entrypoint;
    bool env_host;
    struct strv env;
    struct strv env_file;
    struct strv unsetenv;
    bool unsetenv_all;
    const char *workdir;
    const char *user;
    struct strv group_add;
    const char *umask;
    struct strv ulimit;
    const char *oom_score_adj;

    /* namespaces */
    const char *hostname;
    const char *domainname;
    const char *pid;
    const char *ipc;
    const char *uts;
    const char *userns;
    const char *cgroupns;
    struct strv uidmap;
    struct strv gidmap;
    struct strv time_offset;
    struct strv sysctl;

    /* networks */
    struct strv network;
    struct strv publish;
    bool publish_all;
    struct strv expose;
    const char *ip;
    const char *ip6;
    const char *mac_address;
    struct strv network_alias;
    const char *rate_in;
    const char *rate_out;
    struct strv dns;
    struct strv dns_search;
    struct strv dns_option;
    struct strv add_host;
    bool no_hosts;

    /* the file system */
    bool read_only;
    struct opt_bool read_only_tmpfs;
    const char *tz;
    struct strv tmpfs;
    struct strv volume;
    struct strv mount;
    struct strv volumes_from;
    struct strv device;
    struct opt_u64 shm_size;

    /* security */
    struct strv cap_add;
    struct strv cap_drop;
    struct strv security_opt;
    bool privileged;

    /* resources */
    const char *cgroup_parent, *cgroup_manager;
    const char *memory; /* sizes stay text: -1 and 0 mean something in some of them */
    const char *memory_reservation;
    const char *memory_swap;
    struct opt_i64 memory_swappiness;
    bool oom_kill_disable;
    const char *cpus;
    struct opt_u64 cpu_shares;
    struct opt_i64 cpu_quota;
    struct opt_u64 cpu_period;
    struct opt_u64 cpu_burst;
    struct opt_i64 cpu_rt_runtime;
    struct opt_u64 cpu_rt_period;
    const char *cpuset_cpus;
    const char *cpuset_mems;
    struct opt_i64 pids_limit;
    struct opt_u64 blkio_weight;
    struct strv blkio_weight_device;
    struct strv device_read_bps;
    struct strv device_write_bps;
    struct strv device_read_iops;
    struct strv device_write_iops;
    struct strv device_cgroup_rule;
    struct strv hugetlb_limit;
    struct strv cgroup_conf;
};

#define RUN_PRESERVE_MAX 1024 /* descriptors that are passed on */
/* Whether --preserve-fds may be so many. -EINVAL. */
int run_preserved_check(uint64_t count, struct error *err);

/* A command that takes all of them, and behind them an image and a command: `name` is "viv run". */
struct option_command run_flags_command(const char *name, const char *about);

/* An image's own check of its health; times in nanoseconds, 0: not said. */
struct run_health {
    struct strv test; /* "CMD", "CMD-SHELL" or "NONE", and what follows; empty: there is none */
    int64_t interval, timeout, start_period, start_interval;
    int64_t retries;
    const char *on_failure; /* "kill", "restart", "stop"; NULL: nothing is done */
};

/* What an image says of how it wants to be run. */
struct run_image {
    struct strv entrypoint;
    struct strv command;
    struct strv env;
    const char *workdir;
    const char *user;
    const char *stop_signal;
    struct record_map labels;
    struct strv volumes; /* directories that want a volume of their own */
    struct strv exposed; /* ports, as --expose has them */
    bool wants_network;  /* on the default network unless --network says otherwise */
    struct run_health health;
};

/* All that the result depends on beside the flags. */
struct run_input {
    const struct run_image *image; /* NULL for --rootfs and --bundle */
    const struct spec *bundle;     /* --bundle's configuration; NULL: the default one is taken */
    struct strv arguments;         /* what options_parse() left */
    struct strv env_files;         /* the texts of the files of --env-file, in their order */
    struct strv label_files;       /* of --label-file */
    char *const *environment;      /* the caller's, for `-e NAME`; may be NULL */
    const char *directory;         /* the caller's, for relative paths of -v; NULL: refused */
};

enum run_place_kind {
    RUN_DEFAULT,   /* not said */
    RUN_PRIVATE,   /* a new one */
    RUN_HOST,      /* none: the host's */
    RUN_PATH,      /* joined by path; for namespaces it is in the configuration already */
    RUN_CONTAINER, /* joined from another sandbox, `text` is its name */
    RUN_NONE,      /* network: a new one with lo alone; ipc: new, without /dev/shm */
    RUN_NAMED,     /* network: by name, see `net`; `text` is what was written */
    RUN_PASTA,     /* network: the program pasta(1) */
    RUN_AUTO,      /* user: a range of its own is chosen */
    RUN_KEEP_ID,   /* user: the caller's ids are the same inside; refused */
    RUN_MAPPED,    /* user: as --uidmap and --gidmap say, in the configuration already */
};

struct run_place {
    enum run_place_kind kind;
    const char *text;
};

/* A device that is to appear inside; looked at on the host later. */
struct run_device {
    const char *host;
    const char *inside;
    const char *access; /* of "rwm" */
};

enum run_limit_kind {
    RUN_READ_BPS,
    RUN_WRITE_BPS,
    RUN_READ_IOPS,
    RUN_WRITE_IOPS,
    RUN_WEIGHT,
};

/* A limit of a block device, which is looked at on the host later. */
struct run_block_limit {
    enum run_limit_kind kind;
    const char *path;
    uint64_t rate;
};

/* A volume that the store keeps; its mount joins the configuration once it has a path. */
struct run_volume {
    const char *name; /* NULL: a new one without a name */
    const char *destination;
    struct strv options; /* mount options */
    bool copy;           /* filled from what the image has there */
};

/* What the OCI has no words for. */
struct run_choices {
    const char *image; /* as it was written; NULL with the two below */
    const char *rootfs;
    const char *bundle;
    struct strv arguments;  /* the COMMAND… of the command line, without the image */
    struct strv entrypoint; /* the part of the command that stands in front of them */

    const char *name;
    bool detach;
    bool rm;
    bool interactive;
    bool tty;
    bool attach[3];          /* --attach: these streams alone, by descriptor; none: as usual */
    unsigned preserve_fds;   /* so many descriptors from 3 on go to the workload */
    const char *detach_keys; /* the bytes themselves; "": none */
    bool vm;                 /* --isolation vm */
    const char *accel;       /* of it; NULL: auto */
    bool portable;           /* it shows only CPU features that all accelerators have */
    const char *kernel;      /* of it: a folder; NULL: the built-in one */
    struct record_map labels;
    int stop_signal;
    struct opt_i64 stop_timeout;
    const char *restart; /* a policy; NULL: no */
    int restart_max;     /* of on-failure; 0: no end */
    const char *log_driver;
    struct record_map log_options;
    struct run_health health;
    bool init;
    const char *pidfile;
    bool trace;
    bool step;

    const char *user; /* "name[:group]" or numbers; NULL: root */
    struct strv groups;
    bool env_has_home; /* HOME was given, and need not be looked up */

    struct run_place network;
    struct net_request net; /* what is asked of networks */
    struct run_place pid;
    struct run_place ipc;
    struct run_place uts;
    struct run_place userns;
    struct run_place cgroupns;
    uint32_t userns_size; /* of RUN_AUTO; 0: the default */

    RECORD_LIST(struct run_device) devices;
    RECORD_LIST(struct run_volume) volumes;
    struct strv volumes_from;
    struct strv relabels; /* sources whose SELinux labels z and Z would change */
    RECORD_LIST(struct run_block_limit) block_limits;
    const char *cgroup_parent, *cgroup_manager;

    bool privileged; /* all of the host's devices too */
    bool seccomp_unconfined;
    const char *seccomp_file; /* for spec_profile_load(); NULL: the default, unless unconfined */
    const char *apparmor;     /* a profile, "unconfined", or NULL */
    struct strv selinux;      /* the words behind label= */
};

/*
 * Turns the flags into a configuration and the choices beside it, both in the arena. -EINVAL with
 * the error filled for what is wrong, the flag in front: "--memory 64x: invalid size …".
 */
int run_flags_build(struct arena *arena, const struct run_flags *flags,
        const struct run_input *input, struct spec **ret_spec, struct run_choices *ret,
        struct error *err);
