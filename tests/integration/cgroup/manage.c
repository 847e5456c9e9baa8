/* Making, taking back, delegating, and what is told when a group cannot be had. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "cgroup/procs.h"
#include "sandbox.h"
#include "test.h"

static void stay(void *data)
{
    (void)data;
    for (;;)
        pause();
}

static void limit_much(struct sandbox *box)
{
    static struct cgroup_device_rule rules[] = {
            {false, 'a', {0}, {0}, NULL}, {true, 'c', {true, 1}, {true, 3}, "rw"}};

    box->request.path = arena_printf(&box->arena, "%s/below", box->request.path);
    box->limits.cpu.quota = (struct opt_i64){true, 50000};
    box->limits.cpu.cpus = "0";
    box->limits.memory.limit = (struct opt_i64){true, 64 << 20};
    box->limits.pids = (struct opt_i64){true, 10};
    box->limits.devices.items = rules;
    box->limits.devices.count = 2;
}

/* Each step in turn is made to fail: nothing is left, no process, no directory. */
TEST(every_failing_step_is_taken_back)
{
    size_t steps = 1;

    for (size_t at = 1; at <= steps; at++) {
        struct sandbox box;
        sandbox_init(&box);
        limit_much(&box);
        CHECK_INT(sandbox_plan(&box), 0);
        steps = box.plan.count;
        box.work = stay;
        plan_run_init(&box.run, &box.plan);
        box.run.faults.fail_at = at;
        CHECK_INT(plan_apply(&box.run, &box.err), -ECANCELED);
        plan_run_end(&box.run);
        CHECK(sandbox_is_gone(&box));
        for (size_t i = 0; i < box.result.saved.parents.count; i++)
            CHECK(access(box.result.saved.parents.words[i], F_OK) < 0);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
        arena_free(&box.arena);
    }
    CHECK(steps > 5);
}

TEST(every_step_tells_what_it_does)
{
    struct sandbox box;

    sandbox_init(&box);
    limit_much(&box);
    CHECK_INT(sandbox_plan(&box), 0);
    for (size_t i = 0; i < box.plan.count; i++) {
        struct step_text text = {.arena = &box.arena};
        if (!box.plan.steps[i].ops->describe)
            continue; /* the test's own */
        plan_describe(&box.plan, i, &text);
        CHECK(text.calls.count > 0 && text.why[0]);
        CHECK(strchr(text.calls.words[0], '('));
    }
    CHECK(sandbox_is_gone(&box));
    arena_free(&box.arena);
}

TEST(a_group_with_processes_is_not_taken)
{
    struct sandbox box, second;

    sandbox_init(&box);
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    sandbox_init(&second);
    second.request.path = box.request.path;
    CHECK_INT(sandbox_plan(&second), -EEXIST);
    CHECK(strstr(second.err.text, "has processes already"));
    arena_free(&second.arena);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(paths_do_not_climb)
{
    static const char *const paths[] = {"/a/../../b", "..", "/", "", "a/.."};

    for (size_t i = 0; i < 5; i++) {
        struct sandbox box;
        sandbox_init(&box);
        box.request.path = paths[i];
        CHECK_INT(sandbox_plan(&box), -EINVAL);
        arena_free(&box.arena);
    }
}

TEST(saved_state_survives_json)
{
    struct sandbox box;
    struct cgroup_saved again = {0};

    sandbox_init(&box);
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    _cleanup_json_ struct json_object *json = record_write(&cgroup_saved_record, &box.result.saved);
    struct record_report report = {.arena = &box.arena};
    record_read(&cgroup_saved_record, json, "", &again, &report);
    CHECK_INT(report.faults.count + report.warnings.count, 0);
    CHECK_INT(again.v1.count, box.result.saved.v1.count);
    CHECK_STR(cgroup_saved_any(&again), cgroup_saved_any(&box.result.saved));
    CHECK_INT(cgroup_kill(&again, SIGKILL, &box.err), 0);
    CHECK_INT(WTERMSIG(sandbox_wait(&box)), SIGKILL);
    CHECK_INT(cgroup_remove(&again, 5000, &box.err), 0);
    CHECK(sandbox_is_gone(&box));
    arena_free(&box.arena);
}

TEST(statistics_are_json)
{
    struct sandbox box;
    struct cgroup_stats stats;

    sandbox_init(&box);
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    CHECK_INT(cgroup_stats_read(&box.result.saved, &box.arena, &stats, &box.err), 0);
    _cleanup_json_ struct json_object *json = record_write(&cgroup_stats_record, &stats);
    CHECK(json_get(json, "cpu") && json_get(json, "memory"));
    CHECK_INT(json_get_int(json, "pids", 0), 1);
    if (box.result.saved.unified) {
        /* a kernel that counts pressure shows it for the group */
        CHECK(access("/proc/pressure/cpu", F_OK) < 0 ||
                json_get(json_get(json, "cpu"), "pressure"));
    }
    struct arena arena = box.arena;
    box.arena = (struct arena){0};
    CHECK_INT(sandbox_end(&box), 0);
    CHECK_INT(cgroup_stats_read(&box.result.saved, &arena, &stats, &box.err), -ENOENT);
    arena_free(&arena);
}

/* As an ordinary user without anything delegated: the plan is made, and says what it leaves out. */
static void plan_as_nobody(void *data)
{
    struct sandbox box;

    (void)data;
    if (setgid(65534) < 0 || setuid(65534) < 0)
        _exit(10);
    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 64 << 20};
    box.request.strict = false;
    if (sandbox_plan(&box) != 0)
        _exit(11);
    if (box.result.saved.unified || box.result.saved.v1.count || box.result.tasks_count)
        _exit(12);
    bool told = false;
    for (size_t i = 0; i < box.result.refused.count; i++) {
        const struct cgroup_refusal *refusal = &box.result.refused.items[i];
        told |= str_equal(refusal->what, "/linux/resources/memory/limit") && *refusal->why &&
                *refusal->remedy;
    }
    if (!told)
        _exit(13);
    if (sandbox_start(&box, stay, NULL) < 0) /* it runs all the same, without a group */
        _exit(14);
    kill(box.pid, SIGKILL);
    sandbox_wait(&box);
    box.request.strict = true;
    if (sandbox_plan(&box) != -EOPNOTSUPP ||
            !strstr(box.err.text, "/linux/resources/memory/limit: "))
        _exit(15);
    _exit(0);
}

TEST(an_ordinary_user_is_told_what_cannot_be_set)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        plan_as_nobody(NULL);
    waitpid(pid, &status, 0);
    CHECK_INT(WEXITSTATUS(status), 0);
}

/* The work of the delegation test: in a cgroup namespace of its own it is at the top of what was
 * given to it, makes a sandbox below, and limits it. */
static void delegate(void *data)
{
    struct sandbox box;

    (void)data;
    if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS) < 0)
        _exit(20);
    /* a fresh mount shows the namespace's root as its root */
    if (system("mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt") != 0)
        _exit(21);
    sandbox_init(&box);
    struct cgroup_hierarchy only = {
            .unified = true, .names = "", .mount = "/mnt", .root = "/", .self = "/"};
    char controllers[256];
    if (io_read_small_at(AT_FDCWD, "/mnt/cgroup.controllers", controllers, sizeof(controllers)) < 0)
        _exit(22);
    only.controllers = cgroup_controllers_parse(controllers, ' ') | 1U << CGROUP_FREEZER;
    box.layout = (struct cgroup_layout){&only, 1, false};
    bool memory = only.controllers & 1U << CGROUP_MEMORY;
    struct cgroup_hugetlb huge = {"2MB", 4 << 20};
    if (memory) {
        box.limits.memory.limit = (struct opt_i64){true, 32 << 20};
    } else if (only.controllers & 1U << CGROUP_HUGETLB) {
        box.limits.hugetlb.items = &huge;
        box.limits.hugetlb.count = 1;
    }
    if (sandbox_start(&box, stay, NULL) < 0)
        _exit(23);
    const char *text = memory ? sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.max")
                              : sandbox_read(&box, CGROUP_HUGETLB, NULL, "hugetlb.2MB.max");
    if (!str_equal(text, memory ? "33554432" : "4194304"))
        _exit(24);
    if (sandbox_end(&box) < 0)
        _exit(25);
    _exit(0);
}

TEST(a_subtree_given_to_a_sandbox_can_be_used_in_it)
{
    struct sandbox box;
    struct cgroup_hugetlb huge = {"2MB", 64 << 20};
    char enabled[256] = "";

    sandbox_init(&box);
    const struct cgroup_hierarchy *unified = cgroup_layout_unified(&box.layout);
    if (!unified) { /* v2 is hidden from this run */
        arena_free(&box.arena);
        return;
    }
    const char *subtree = arena_printf(&box.arena, "%s/cgroup.subtree_control", unified->mount);
    io_read_small_at(AT_FDCWD, subtree, enabled, sizeof(enabled));
    if (sandbox_is_v2(&box, CGROUP_HUGETLB)) {
        box.limits.hugetlb.items = &huge;
        box.limits.hugetlb.count = 1;
    }
    int r = sandbox_start(&box, delegate, NULL);
    int status = sandbox_wait(&box);
    struct arena arena = box.arena;
    box.arena = (struct arena){0};
    int ended = sandbox_end(&box);
    if (!sandbox_is_v2(&box, CGROUP_MEMORY) && !strstr(enabled, "hugetlb"))
        io_write_file_at(AT_FDCWD, subtree, "-hugetlb");
    arena_free(&arena);
    CHECK_INT(r, 0);
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK_INT(ended, 0);
}

/* A sandbox whose workload made groups of its own (v2): one more process still finds a place. */
static void split(void *data)
{
    const char *dir = data;
    char path[4200], text[16];

    snprintf(path, sizeof(path), "%s/init", dir);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/init/cgroup.procs", dir);
    snprintf(text, sizeof(text), "%d", getpid());
    io_write_file_at(AT_FDCWD, path, text);
    snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
    io_write_file_at(AT_FDCWD, path, "+pids");
    io_write_file_at(AT_FDCWD, path, "+hugetlb");
    stay(NULL);
}

static void end_at_once(void *data)
{
    (void)data;
}

TEST(joining_finds_a_place_beside_groups_that_the_workload_made)
{
    struct sandbox box;
    struct cgroup_hugetlb huge = {"2MB", 64 << 20};
    char enabled[256] = "";
    char dir[4096];
    int status = -1;

    sandbox_init(&box);
    const struct cgroup_hierarchy *unified = cgroup_layout_unified(&box.layout);
    if (!unified) { /* v2 is hidden from this run */
        arena_free(&box.arena);
        return;
    }
    bool hybrid = !sandbox_is_v2(&box, CGROUP_MEMORY);
    const char *subtree = arena_printf(&box.arena, "%s/cgroup.subtree_control", unified->mount);
    io_read_small_at(AT_FDCWD, subtree, enabled, sizeof(enabled));
    box.limits.hugetlb.items = &huge;
    box.limits.hugetlb.count = hybrid;
    snprintf(dir, sizeof(dir), "%s%s", unified->mount, box.request.path);
    int r = sandbox_start(&box, split, dir);
    bool ready = false;
    for (int i = 0; i < 12000 && !ready; i++, usleep(5000))
        ready = *sandbox_read(&box, CGROUP_CONTROLLERS, NULL, "cgroup.subtree_control");
    pid_t pid = sandbox_join(&box, end_at_once, NULL);
    if (pid > 0)
        waitpid(pid, &status, 0);
    struct arena arena = box.arena;
    box.arena = (struct arena){0};
    int ended = sandbox_end(&box);
    if (hybrid && !strstr(enabled, "hugetlb"))
        io_write_file_at(AT_FDCWD, subtree, "-hugetlb");
    arena_free(&arena);
    CHECK_INT(r, 0);
    CHECK(ready);
    CHECK(pid > 0);
    CHECK_INT(status, 0);
    CHECK_INT(ended, 0);
}

TEST_MAIN()
