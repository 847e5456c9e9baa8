/* The groups of steps, applied to forked children and read back. */
#include "security/security.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "security/cpulist.h"
#include "security/program.h"
#include "security/seccomp_default.h"
#include "sys/creds.h"
#include "sys/proc.h"
#include "sys/schedule.h"
#include "unit/security/child.h"
#include "unit/test.h"

static struct arena memory;
static char output[65536];

static struct strv words(const char *text)
{
    struct strv list = {0};

    strv_split(&memory, &list, text, ' ');
    return list;
}

/* A workload of another user that prints its own status. */
static struct security workload(const char *args)
{
    struct security security;

    security_init(&security);
    security.id = "test";
    security.args = words(args);
    security.env = words("PATH=/usr/bin:/bin HOME=/");
    security.user.uid = 1234;
    security.user.gid = 2345;
    return security;
}

struct job {
    struct security *security;
    bool limits, session;
    int (*before)(struct job *job); /* in the child */
    struct plan_run run;
};

static int build(struct job *job, struct plan *plan, struct error *err)
{
    int r = security_steps_connect(plan, job->security, err);

    if (r == 0 && job->limits)
        r = security_steps_limits(plan, STEP_CHILD, job->security, err);
    if (r == 0 && job->session)
        r = security_steps_session(plan, STEP_CHILD, job->security, err);
    if (r == 0)
        r = security_steps_confine(plan, STEP_CHILD, job->security, err);
    if (r == 0)
        r = security_steps_enter(plan, STEP_CHILD, job->security, err);
    return r;
}

static int job_child(void *data)
{
    struct job *job = data;
    struct plan plan = {.arena = &memory};
    struct error err = ERROR_NONE;
    int proc_slot = plan_new_slot(&plan);

    job->security->proc_slot = proc_slot;
    if (job->before && job->before(job) < 0)
        return 98;
    if (build(job, &plan, &err) < 0) {
        printf("%s\n", err.text);
        return 97;
    }
    plan_run_init(&job->run, &plan);
    job->run.fds[proc_slot] = sys_proc_open(&err);
    return apply_here(&job->run);
}

/* The exit status of the workload, or 128 + signal; its output is in `output`. */
static int run_job(struct job *job)
{
    int status = child_run(job_child, job, output, sizeof(output));

    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_workload(struct security *security)
{
    struct job job = {.security = security};

    return run_job(&job);
}

/* "CapEff" out of the printed /proc/self/status. */
static const char *status_value(const char *key)
{
    const char *line = strstr(output, arena_printf(&memory, "%s:\t", key));

    if (!line)
        return "(none)";
    line += strlen(key) + 2;
    return arena_strndup(&memory, line, strcspn(line, "\n"));
}

static uint64_t status_mask(const char *key)
{
    return strtoull(status_value(key), NULL, 16);
}

#define NEEDS_ROOT                                                                                 \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            SKIP("changing the user takes root");                                                  \
    } while (0)

TEST(other_user_with_ambient_capabilities)
{
    static uint32_t groups[] = {7, 8};
    struct security security = workload("/bin/cat /proc/self/status");
    uint64_t two = CAPS_BIT(10) | CAPS_BIT(13);

    NEEDS_ROOT;
    security.user.additional_gids.items = groups;
    security.user.additional_gids.count = 2;
    security.user.umask = (struct opt_u64){true, 027};
    security.capabilities = (struct caps_sets){two | 1, two, two, two, CAPS_BIT(10)};
    CHECK_INT(run_workload(&security), 0);
    CHECK_STR(status_value("Uid"), "1234\t1234\t1234\t1234");
    CHECK_STR(status_value("Gid"), "2345\t2345\t2345\t2345");
    CHECK_STR(status_value("Groups"), "7 8 ");
    CHECK_STR(status_value("Umask"), "0027");
    CHECK_INT(status_mask("CapBnd"), two | 1);
    CHECK_INT(status_mask("CapInh"), two);
    CHECK_INT(status_mask("CapAmb"), CAPS_BIT(10));
    CHECK_INT(status_mask("CapEff"), CAPS_BIT(10)); /* what execve leaves to another user */
    CHECK_INT(status_mask("CapPrm"), CAPS_BIT(10));
    CHECK_STR(status_value("NoNewPrivs"), "0");
    CHECK_STR(status_value("Seccomp"), "0");
}

TEST(root_with_few_capabilities)
{
    struct security security = workload("/bin/cat /proc/self/status");

    NEEDS_ROOT;
    security.user.uid = security.user.gid = 0;
    security.no_new_privileges = true;
    security.capabilities = (struct caps_sets){CAPS_BIT(0), CAPS_BIT(0), CAPS_BIT(0), 0, 0};
    CHECK_INT(run_workload(&security), 0);
    CHECK_INT(status_mask("CapBnd"), CAPS_BIT(0));
    CHECK_INT(status_mask("CapEff"), CAPS_BIT(0));
    CHECK_STR(status_value("NoNewPrivs"), "1");
    CHECK_STR(status_value("Groups"), " ");
}

/* Without no_new_privs a filter takes CAP_SYS_ADMIN, which must not stay. */
TEST(filter_without_no_new_privs_leaves_no_capability_behind)
{
    struct security security = workload("/bin/cat /proc/self/status");
    struct seccomp_profile profile;
    struct seccomp_filter filter;

    NEEDS_ROOT;
    seccomp_default_profile(&memory, CAPS_BIT(0), &profile);
    CHECK_INT(seccomp_compile(&memory, &profile, &filter, NULL), 0);
    security.seccomp = &filter;
    security.capabilities =
            (struct caps_sets){CAPS_BIT(0), CAPS_BIT(0), CAPS_BIT(0), CAPS_BIT(0), CAPS_BIT(0)};
    CHECK_INT(run_workload(&security), 0);
    CHECK_STR(status_value("Seccomp"), "2");
    CHECK_STR(status_value("NoNewPrivs"), "0");
    CHECK_INT(status_mask("CapPrm"), CAPS_BIT(0));
    CHECK_INT(status_mask("CapEff"), CAPS_BIT(0));
}

/* A profile that allows nothing but what the program itself calls: the runtime's own calls are not
 * among them. */
TEST(filter_need_not_allow_the_runtime_s_calls)
{
    struct security security = workload("/bin/true");
    struct seccomp_profile profile = {.default_action = "SCMP_ACT_KILL_PROCESS"};
    struct seccomp_rule rule = {.action = "SCMP_ACT_ALLOW"};
    struct seccomp_filter filter;

    NEEDS_ROOT;
    rule.names = words("execve brk arch_prctl access openat newfstatat mmap close read pread64 "
                       "set_tid_address set_robust_list rseq mprotect prlimit64 munmap exit_group "
                       "getrandom futex");
    profile.rules.items = &rule;
    profile.rules.count = 1;
    CHECK_INT(seccomp_compile(&memory, &profile, &filter, NULL), 0);
    security.seccomp = &filter;
    security.no_new_privileges = true;
    CHECK_INT(run_workload(&security), 0);
}

static int before_limits(struct job *job)
{
    (void)job;
    struct rlimit64 limit = {900, 1000};
    return sys_prlimit(0, RLIMIT_NOFILE, &limit, NULL);
}

TEST(limits_are_read_back)
{
    struct security security = workload("/bin/cat /proc/self/limits /proc/self/oom_score_adj");
    struct security_rlimit limits[] = {{"RLIMIT_NOFILE", 100, 200}, {"RLIMIT_CORE", 0, UINT64_MAX}};
    struct job job = {.security = &security, .limits = true, .before = before_limits};

    NEEDS_ROOT;
    security.rlimits.items = limits;
    security.rlimits.count = 2;
    security.oom_score_adj = (struct opt_i64){true, 321};
    CHECK_INT(run_job(&job), 0);
    CHECK(strstr(output, "Max open files            100                  200 "));
    CHECK(strstr(output, "Max core file size        0                    unlimited "));
    CHECK(strstr(output, "\n321\n"));
}

/* From the host's process, on a child that waits. */
TEST(limits_are_set_from_the_host)
{
    struct security security = workload("/bin/true");
    struct security_rlimit limit = {"RLIMIT_CORE", 0, 0};
    struct security_scheduler scheduler = {.policy = "SCHED_BATCH"};
    struct security_io_priority priority = {"IOPRIO_CLASS_BE", 7};
    struct plan plan = {.arena = &memory};
    struct error err = ERROR_NONE;
    struct sys_sched_attr attributes = {0};
    struct rlimit64 found = {1, 1};
    struct plan_run run;
    char score[16] = "";

    security.proc_slot = plan_new_slot(&plan);
    security.oom_score_adj = (struct opt_i64){true, 432};
    security.rlimits.items = &limit;
    security.rlimits.count = 1;
    security.scheduler = &scheduler;
    security.io_priority = &priority;
    security.affinity = "0";
    CHECK_INT(security_steps_limits(&plan, STEP_HOST, &security, &err), 0);
    plan_run_init(&run, &plan);
    run.fds[security.proc_slot] = sys_proc_open(&err);
    run.child = fork();
    if (run.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    int r = apply_here(&run);
    sys_sched_getattr(run.child, &attributes);
    sys_prlimit(run.child, RLIMIT_CORE, NULL, &found);
    int io = sys_ioprio_get(run.child);
    io_read_small_at(AT_FDCWD, arena_printf(&memory, "/proc/%d/oom_score_adj", run.child), score,
            sizeof(score));
    kill(run.child, SIGKILL);
    waitpid(run.child, NULL, 0);
    plan_run_end(&run);
    CHECK_INT(r, 0);
    CHECK_INT(attributes.sched_policy, 3);
    CHECK_INT(found.rlim_max, 0);
    CHECK_INT(io, IOPRIO_CLASS_BE << 13 | 7);
    CHECK_STR(score, "432");
}

TEST(refused_raise_names_the_limit_and_what_is_possible)
{
    struct security security = workload("/bin/true");
    struct security_rlimit limit = {"RLIMIT_NOFILE", 100, 5000};
    struct job job = {.security = &security, .limits = true, .before = before_limits};
    uint64_t own = 0;

    NEEDS_ROOT;
    CHECK_INT(caps_own(&own, NULL), 0);
    if (own & CAPS_BIT(24))
        SKIP("here the raise is allowed: CAP_SYS_RESOURCE is there");
    security.rlimits.items = &limit;
    security.rlimits.count = 1;
    CHECK_INT(run_job(&job), 1);
    CHECK(strstr(output, "raise RLIMIT_NOFILE to a hard limit of 5000: EPERM: CAP_SYS_RESOURCE is "
                         "missing; up to 1000 is possible"));
    CHECK(strstr(output, "config.json /process/rlimits/0"));
}

/* What has no file in /proc is asked for by this function, in the child after the steps. */
static int read_back(void *data)
{
    struct job *job = data;
    struct plan plan = {.arena = &memory};
    struct sys_sched_attr attributes;
    struct error err = ERROR_NONE;
    uint64_t nodes[16] = {0};
    char text[256];
    int mode = -1;

    if (security_steps_limits(&plan, STEP_CHILD, job->security, &err) < 0 ||
            security_steps_session(&plan, STEP_CHILD, job->security, &err) < 0 ||
            security_steps_confine(&plan, STEP_CHILD, job->security, &err) < 0) {
        printf("%s\n", err.text);
        return 97;
    }
    plan_run_init(&job->run, &plan);
    int r = apply_here(&job->run);
    if (r)
        return r;
    sys_sched_getattr(0, &attributes);
    sys_get_mempolicy(&mode, nodes, sizeof(nodes) * 8);
    if (sys_keyctl_describe(-3, text, sizeof(text)) < 0) /* KEY_SPEC_SESSION_KEYRING */
        return 96;
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof(cpus), &cpus);
    printf("policy %u nice %d priority %u runtime %llu ioprio %#x personality %#x mempolicy %d "
           "nodes %#llx cpus %d key %s",
            attributes.sched_policy, attributes.sched_nice, attributes.sched_priority,
            (unsigned long long)(attributes.sched_policy == 6 ? attributes.sched_runtime : 0),
            (unsigned)sys_ioprio_get(0), (unsigned)sys_personality(0xffffffff), mode,
            (unsigned long long)nodes[0], CPU_COUNT(&cpus), text);
    return 0;
}

TEST(scheduling_is_read_back)
{
    struct security security = workload("/bin/true");
    struct security_scheduler scheduler = {.policy = "SCHED_BATCH", .nice = 7};
    struct security_io_priority priority = {"IOPRIO_CLASS_IDLE", 0};
    struct security_personality personality = {.domain = "LINUX32"};
    struct security_memory_policy policy = {"MPOL_BIND", "0", {0}};
    struct job job = {.security = &security};

    NEEDS_ROOT;
    security.scheduler = &scheduler;
    security.io_priority = &priority;
    security.personality = &personality;
    security.memory_policy = &policy;
    security.affinity = "0";
    CHECK_INT(WEXITSTATUS(child_run(read_back, &job, output, sizeof(output))), 0);
    const char *expected = "policy 3 nice 7 priority 0 runtime 0 ioprio 0x6000 personality 0x8 "
                           "mempolicy 2 nodes 0x1 cpus 1 key keyring;0;0;";
    if (strncmp(output, expected, strlen(expected)) != 0)
        printf("  %s\n", output);
    CHECK(strncmp(output, expected, strlen(expected)) == 0);
    CHECK(strstr(output, ";_ses.test"));
}

TEST(real_time_and_deadline)
{
    struct security_scheduler cases[] = {
            {.policy = "SCHED_FIFO", .priority = 12},
            {.policy = "SCHED_DEADLINE",
                    .runtime = 1000000,
                    .deadline = 100000000,
                    .period = 100000000},
    };
    static const char *const expected[] = {
            "policy 1 nice 0 priority 12 ", "policy 6 nice 0 priority 0 runtime 1000000 "};

    NEEDS_ROOT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct security security = workload("/bin/true");
        struct job job = {.security = &security};
        security.scheduler = &cases[i];
        CHECK_INT(WEXITSTATUS(child_run(read_back, &job, output, sizeof(output))), 0);
        if (strncmp(output, expected[i], strlen(expected[i])) != 0)
            printf("  %s\n", output);
        CHECK(strncmp(output, expected[i], strlen(expected[i])) == 0);
    }
}

TEST(utilization_clamps_are_set_or_refused_aloud)
{
    struct security_scheduler scheduler = {.policy = "SCHED_OTHER", .util_min = {true, 100}};
    struct security security = workload("/bin/true");
    struct job job = {.security = &security};

    NEEDS_ROOT;
    security.scheduler = &scheduler;
    int status = WEXITSTATUS(child_run(read_back, &job, output, sizeof(output)));
    if (status != 0)
        CHECK(strstr(output, "this kernel has no utilization clamps (CONFIG_UCLAMP_TASK)"));
}

static int build_error(struct security *security, struct error *err)
{
    struct plan plan = {.arena = &memory};
    struct job job = {.security = security, .limits = true};

    return build(&job, &plan, err);
}

TEST(bad_values_are_refused_when_the_plan_is_built)
{
    struct security security = workload("/bin/true");
    struct security_scheduler scheduler = {.policy = "SCHED_OHTER"};
    struct security_rlimit limit = {"RLIMIT_NOFILES", 1, 1};
    struct error err = ERROR_NONE;

    security.scheduler = &scheduler;
    CHECK_INT(build_error(&security, &err), -EINVAL);
    CHECK_STR(err.text, "unknown scheduling policy \"SCHED_OHTER\"; did you mean SCHED_OTHER?");
    scheduler = (struct security_scheduler){.policy = "SCHED_OTHER", .nice = 20};
    CHECK_INT(build_error(&security, &err), -EINVAL);
    CHECK_STR(err.text, "the nice value 20 is not from -20 to 19");
    security.scheduler = NULL;
    security.rlimits.items = &limit;
    security.rlimits.count = 1;
    CHECK_INT(build_error(&security, &err), -EINVAL);
    CHECK_STR(err.text, "/process/rlimits/0: unknown resource limit \"RLIMIT_NOFILES\"; did you "
                        "mean RLIMIT_NOFILE?");
    security.rlimits.count = 0;
    security.affinity = "0-";
    CHECK_INT(build_error(&security, &err), -EINVAL);
    CHECK_STR(err.text, "\"0-\" is not a list of CPU numbers such as \"0-3,7\" (each below 8192)");
    security.affinity = NULL;
    security.user.uid = UINT32_MAX;
    CHECK_INT(build_error(&security, &err), -EINVAL);
}

TEST(cpu_lists)
{
    struct cpulist list;
    static const char *const bad[] = {
            "a", "1,", ",1", "3-1", "1-", "-1", "8192", "1 2", "1--2", "99999999999999999999"};

    CHECK_INT(cpulist_parse("0-3,7,64", "CPU", &list, NULL), 0);
    CHECK_INT(list.bits, 65);
    CHECK_INT(list.words[0], 0x8f);
    CHECK_INT(list.words[1], 1);
    CHECK_INT(cpulist_parse("", "CPU", &list, NULL), 0);
    CHECK_INT(list.bits, 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(cpulist_parse(bad[i], "CPU", &list, NULL), -EINVAL);
}

TEST(labels_that_the_kernel_cannot_give_are_errors)
{
    struct security security = workload("/bin/true");

    NEEDS_ROOT;
    if (access("/sys/kernel/security/apparmor", F_OK) == 0 ||
            access("/sys/fs/selinux/enforce", F_OK) == 0)
        SKIP("this kernel runs with one of them");
    security.apparmor_profile = "docker-default";
    CHECK_INT(run_workload(&security), 1);
    CHECK(strstr(output, "this kernel runs without AppArmor"));
    security.apparmor_profile = NULL;
    security.selinux_label = "system_u:system_r:container_t:s0";
    CHECK_INT(run_workload(&security), 1);
    CHECK(strstr(output, "SELinux is not active"));
}

TEST(landlock_denies)
{
    struct security security = workload("/bin/sh -c");
    struct security_landlock_rule rules[] = {
            {"/usr", "x"}, {"/bin", "x"}, {"/lib", "x"}, {"/lib64", "x"}, {"/dev/null", "w"}};
    struct security_landlock landlock = {.rules = {rules, ARRAY_SIZE(rules)}};

    NEEDS_ROOT;
    strv_add(&memory, &security.args,
            "cat /etc/passwd >/dev/null 2>&1 && echo read; ls /usr >/dev/null && echo usr; "
            "grep -E 'CapPrm' /proc/self/status 2>/dev/null || echo no proc");
    security.landlock = &landlock;
    CHECK_INT(run_workload(&security), 0);
    CHECK_STR(output, "usr\nno proc\n");
}

/* Programs. */

TEST(programs_that_cannot_run)
{
    static const struct {
        const char *args;
        int status;
        const char *text;
    } cases[] = {
            {"nosuchprogram", 127, "exec: \"nosuchprogram\": executable file not found in $PATH"},
            {"/no/such", 127, "exec: \"/no/such\": stat /no/such: no such file or directory"},
            {"/etc/passwd", 126, "exec: \"/etc/passwd\": permission denied"},
            {"/etc", 126, "exec: \"/etc\": is a directory: permission denied"},
            {"/etc/passwd/x", 127, "not a directory"},
            {"./nosuch", 127, "exec: \"./nosuch\": stat ./nosuch: no such file or directory"},
    };

    NEEDS_ROOT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct security security = workload(cases[i].args);
        CHECK_INT(run_workload(&security), cases[i].status);
        if (!strstr(output, cases[i].text))
            printf("  %s\n", output);
        CHECK(strstr(output, cases[i].text));
    }
}

TEST(home_is_added_and_path_searched)
{
    struct security security = workload("env");

    NEEDS_ROOT;
    security.env = words("PATH=/nowhere:/usr/bin A=b");
    security.user.uid = 0;
    CHECK_INT(run_workload(&security), 0);
    CHECK_STR(output, "PATH=/nowhere:/usr/bin\nA=b\nHOME=/root\n");
}

TEST(program_is_looked_up_as_the_workload_s_user)
{
    char dir[] = "/tmp/test-path-XXXXXX";
    struct security security = workload("tool");

    NEEDS_ROOT;
    CHECK(mkdtemp(dir)); /* root's alone */
    char *tool = arena_printf(&memory, "%s/tool", dir);
    CHECK_INT(symlink("/bin/true", tool), 0);
    security.env = words(arena_printf(&memory, "PATH=%s", dir));
    int as_user = run_workload(&security);
    security.user.uid = 0;
    int as_root = run_workload(&security);
    unlink(tool);
    rmdir(dir);
    CHECK_INT(as_root, 0);
    CHECK_INT(as_user, 126);
}

/* CVE-2019-5736: the image's program is a link or a script that leads to our own. */
TEST(own_program_is_never_executed_inside)
{
    char script[] = "/tmp/test-script-XXXXXX";
    static const char line[] = "#! /proc/self/exe --\n";
    struct security security = workload("/proc/self/exe");

    NEEDS_ROOT;
    CHECK_INT(security_self_identify(&security.self, NULL), 0);
    CHECK_INT(run_workload(&security), 126);
    CHECK(strstr(output, "exec: \"/proc/self/exe\": it leads to the runtime's own program: "
                         "permission denied"));
    int fd = mkstemp(script);
    CHECK_INT(write(fd, line, sizeof(line) - 1), sizeof(line) - 1);
    CHECK_INT(fchmod(fd, 0755), 0);
    close(fd);
    security.args = words(script);
    int status = run_workload(&security);
    unlink(script);
    CHECK_INT(status, 126);
}

/* CVE-2024-21626: a working directory through a descriptor of the host that was left open. */
static int before_escape(struct job *job)
{
    int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (outside < 0 || unshare(CLONE_NEWNS) < 0 || chroot("/usr") < 0 || chdir("/") < 0)
        return -1;
    job->security->cwd = arena_printf(&memory, "/proc/self/fd/%d/tmp", outside);
    if (chroot(".") < 0)
        return -1;
    return fchdir(outside) < 0 ? -1 : (job->security->cwd = "tmp", 0);
}

TEST(working_directory_outside_the_root_is_refused)
{
    struct security security = workload("/bin/true");
    struct job job = {.security = &security, .before = before_escape};

    NEEDS_ROOT;
    CHECK_INT(run_job(&job), 1);
    CHECK(strstr(output, "the working directory \"tmp\" is not inside the container's root"));
}

static int before_descriptors(struct job *job)
{
    (void)job;
    for (int fd = 3; fd < 12; fd++)
        if (dup2(0, fd) < 0)
            return -1;
    return 0;
}

TEST(only_preserved_descriptors_stay_open)
{
    struct security security = workload("/bin/sh -c");
    struct job job = {.security = &security, .before = before_descriptors};

    NEEDS_ROOT;
    strv_add(&memory, &security.args,
            "for f in 3 4 5 6 7 8 9; do test -e /proc/self/fd/$f && printf '%s ' $f; done; true");
    security.preserve_fds = 2;
    CHECK_INT(run_job(&job), 0);
    CHECK_STR(output, "3 4 ");
}

/* The listener: an agent answers getppid, refuses nothing else, and even write is its business. */

struct agent {
    int sock;
    char path[108];
    char message[4096];
    pid_t caller;
};

static int agent_answers(struct agent *agent, int listener)
{
    for (;;) {
        struct seccomp_notif request = {0};
        struct seccomp_notif_resp response = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0)
            return 0; /* the workload has ended */
        response.id = request.id;
        agent->caller = (pid_t)request.pid;
        if (request.data.nr == SYS_getppid)
            response.val = 4711;
        else
            response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno != ENOENT)
            return 1;
    }
}

static int agent_run(struct agent *agent)
{
    int fds[2] = {-1, -1};
    size_t count = 0;
    int connection = accept(agent->sock, NULL, NULL);

    ssize_t length =
            io_receive_fds(connection, agent->message, sizeof(agent->message) - 1, fds, 2, &count);
    if (length <= 0 || count != 1)
        return 1;
    agent->message[length] = 0;
    _cleanup_json_ struct json_object *message = NULL;
    if (json_parse(agent->message, (size_t)length, "message", &message, NULL) < 0)
        return 2;
    struct json_object *state = json_get(message, "state");
    struct json_object *names = json_get(message, "fds");
    int64_t pid = json_get_int(message, "pid", -1);
    bool fine = str_equal(json_get_str(message, "metadata"), "some words") &&
                str_equal(json_get_str(message, "ociVersion"), "1.3.0") &&
                str_equal(json_get_str(state, "id"), "test") &&
                str_equal(json_get_str(state, "status"), "creating") &&
                json_get_int(state, "pid", -2) == pid && json_object_array_length(names) == 1 &&
                str_equal(json_object_get_string(json_object_array_get_idx(names, 0)), "seccompFd");
    if (!fine)
        return 3;
    int r = agent_answers(agent, fds[0]);
    return r || agent->caller != (pid_t)pid ? 4 : 0;
}

static pid_t agent_start(struct agent *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(agent->path, sizeof(agent->path), "/tmp/test-agent-%d", getpid());
    strcpy(address.sun_path, agent->path);
    agent->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(agent->path);
    if (bind(agent->sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(agent->sock, 1) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CHILD_SECONDS);
        _exit(agent_run(agent));
    }
    return pid;
}

static void listen_with(bool no_new_privileges, const char *action)
{
    struct security security = workload("/bin/sh -c");
    struct seccomp_profile profile = {.default_action = action};
    struct seccomp_rule rules[] = {{.action = "SCMP_ACT_NOTIFY"}, {.action = "SCMP_ACT_ALLOW"}};
    struct seccomp_filter filter;
    struct agent agent;
    int status = -1;

    rules[0].names = words("getppid write sendmsg futex execve");
    rules[1].names = words("read");
    profile.flags = words("SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
    profile.rules.items = rules;
    profile.rules.count = ARRAY_SIZE(rules);
    CHECK_INT(seccomp_compile(&memory, &profile, &filter, NULL), 0);
    pid_t pid = agent_start(&agent);
    CHECK(pid > 0);
    strv_add(&memory, &security.args, "echo $PPID");
    security.no_new_privileges = no_new_privileges;
    security.seccomp = &filter;
    security.listener = (struct security_listener){
            agent.path, "some words", "{\"id\": \"test\", \"status\": \"creating\"}", "1.3.0"};
    int result = run_workload(&security);
    waitpid(pid, &status, 0);
    unlink(agent.path);
    close(agent.sock);
    if (result)
        printf("  %s\n", output);
    CHECK_INT(result, 0);
    CHECK_STR(output, "4711\n");
    CHECK_INT(status, 0);
}

TEST(agent_answers_with_no_new_privs)
{
    NEEDS_ROOT;
    listen_with(true, "SCMP_ACT_ALLOW");
}

TEST(agent_answers_without_no_new_privs)
{
    NEEDS_ROOT;
    listen_with(false, "SCMP_ACT_ALLOW");
}

TEST(agent_is_asked_about_everything)
{
    NEEDS_ROOT;
    listen_with(false, "SCMP_ACT_NOTIFY");
}

TEST(missing_agent_is_an_error)
{
    struct security security = workload("/bin/true");
    struct seccomp_profile profile = {.default_action = "SCMP_ACT_NOTIFY"};
    struct seccomp_filter filter;

    NEEDS_ROOT;
    CHECK_INT(seccomp_compile(&memory, &profile, &filter, NULL), 0);
    security.seccomp = &filter;
    CHECK_INT(run_workload(&security), 97);
    CHECK(strstr(output, "has no listenerPath"));
    security.listener = (struct security_listener){"/tmp/no/such/agent", NULL, "{}", "1.3.0"};
    CHECK_INT(run_workload(&security), 1);
    CHECK(strstr(output, "connect to the seccomp agent at \"/tmp/no/such/agent\" (listenerPath)"));
}

/* The descriptions are what strace sees, in that order, and nothing isolating besides. */

#define TRACED                                                                                     \
    "sched_setaffinity,prlimit64,sched_setattr,ioprio_set,keyctl,personality,set_mempolicy,"       \
    "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self,prctl,setgroups,setresgid,"  \
    "setresuid,umask,capset,chdir,close_range,seccomp,execve,openat2,getcwd,faccessat2"

/* Everything at once, in this process: what `--apply` does and `--describe` tells. */
static int build_everything(struct security *security, struct plan *plan)
{
    static uint32_t groups[] = {7, 8};
    static struct security_rlimit limits[] = {
            {"RLIMIT_NOFILE", 64, 128}, {"RLIMIT_STACK", 1 << 20, 1 << 20}};
    static struct security_scheduler scheduler = {.policy = "SCHED_BATCH", .nice = 3};
    static struct security_io_priority priority = {"IOPRIO_CLASS_BE", 6};
    static struct security_personality personality = {.domain = "LINUX"};
    static struct security_memory_policy policy = {"MPOL_PREFERRED", "0", {0}};
    static struct security_landlock_rule rules[] = {{"/", "w"}};
    static struct security_landlock landlock = {.rules = {rules, 1}};
    struct job job = {.security = security, .limits = true, .session = true};
    struct seccomp_profile profile;
    static struct seccomp_filter filter;

    *security = workload("/bin/true");
    seccomp_default_profile(&memory, CAPS_BIT(0), &profile);
    if (seccomp_compile(&memory, &profile, &filter, NULL) < 0)
        return 1;
    security->seccomp = &filter;
    security->affinity = "0";
    security->rlimits.items = limits;
    security->rlimits.count = 2;
    security->scheduler = &scheduler;
    security->io_priority = &priority;
    security->personality = &personality;
    security->memory_policy = &policy;
    security->landlock = &landlock;
    security->user.additional_gids.items = groups;
    security->user.additional_gids.count = 2;
    security->user.umask = (struct opt_u64){true, 022};
    security->death_signal = SIGKILL;
    security->capabilities = (struct caps_sets){CAPS_BIT(0) | CAPS_BIT(10), CAPS_BIT(10),
            CAPS_BIT(0) | CAPS_BIT(10), CAPS_BIT(10), CAPS_BIT(10)};
    return build(&job, plan, NULL);
}

/* The calls of a step, one a line. */
static const char *described(const struct step *step)
{
    struct step_text text = {.arena = &memory};

    step->ops->describe(step, &text);
    return strv_join(&memory, &text.calls, "\n");
}

static int everything(bool apply)
{
    struct plan plan = {.arena = &memory};
    struct security security;
    struct plan_run run;

    if (build_everything(&security, &plan) < 0)
        return 1;
    plan_run_init(&run, &plan);
    if (apply)
        return apply_here(&run);
    for (size_t i = 0; i < plan.count; i++)
        printf("%s\n", described(&plan.steps[i]));
    return 0;
}

TEST(steps_travel)
{
    struct plan plan = {.arena = &memory};
    struct security security;

    CHECK_INT(build_everything(&security, &plan), 0);
    CHECK(plan.count > 20);
    for (size_t i = 0; i < plan.count; i++) {
        struct step arrived = plan.steps[i];
        struct record_report report = {.arena = &memory};
        const struct record *record = arrived.ops->record;
        CHECK(record);
        if (!arrived.args)
            continue;
        _cleanup_json_ struct json_object *json = record_write(record, arrived.args);
        void *args = arena_alloc(&memory, record->size);
        record_read(record, json, "", args, &report);
        arrived.args = args;
        CHECK_INT(report.faults.count, 0);
        CHECK_STR(described(&arrived), described(&plan.steps[i]));
    }
}

/* Whether the line has the call's text; what stands in angle brackets may be anything. */
static bool call_matches(const char *call, const char *line)
{
    while (*call) {
        if (*call == '<' && call[1] != '<' && call[-1] != '<') {
            call = strchr(call, '>') + 1;
            size_t rest = strcspn(call, "<");
            while (*line && strncmp(line, call, rest) != 0)
                line++;
            if (!*line)
                return false;
            continue;
        }
        if (*call++ != *line++)
            return false;
    }
    return true;
}

static bool is_traced(const char *call)
{
    char name[64];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(call, "("), call);
    return strstr(TRACED, name);
}

/* The next line of a text, cut off it. */
static char *next_line(char **text)
{
    return strsep(text, "\n");
}

static int describe_child(void *data)
{
    (void)data;
    return everything(false);
}

static int strace_child(void *data)
{
    char self[4096] = "";

    (void)data;
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return 96;
    dup2(1, 2);
    execlp("strace", "strace", "-qq", "-s", "200", "-e", "trace=" TRACED, self, "--apply", NULL);
    return 96;
}

TEST(descriptions_are_true)
{
    static char traced[65536];
    char *calls = output, *lines = traced;
    bool started = false;
    char *call, *line;

    NEEDS_ROOT;
    if (access("/usr/bin/strace", X_OK) < 0)
        SKIP("strace is not installed");
    CHECK_INT(child_run(describe_child, NULL, output, sizeof(output)), 0);
    int status = child_run(strace_child, NULL, traced, sizeof(traced));
    if (status)
        printf("  %s\n", traced);
    CHECK_INT(status, 0);
    while ((call = next_line(&calls)) && *call) {
        if (!is_traced(call))
            continue;
        /* before the first step, the program's own start */
        while ((line = next_line(&lines)) && !started && !call_matches(call, line))
            ;
        started = true;
        if (!line || !call_matches(call, line))
            printf("  described: %s\n  found:     %s\n", call, line ? line : "(nothing)");
        CHECK(line && call_matches(call, line));
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--apply") == 0)
        return everything(true);
    return test_run_all(argc, argv);
}
