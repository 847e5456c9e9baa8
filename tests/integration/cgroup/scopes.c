/* The systemd manager, against a small systemd of the test's own on a private bus: arguments are
 * the path of viv-systemd and of that fake; "-" for the fake means this host's own systemd. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cgroup/procs.h"
#include "sandbox.h"
#include "test.h"

static const char *helper, *fake;
static char dir[] = "/tmp/vivtest-systemd-XXXXXX";
static char address[256], log_path[256], slice[64];
static pid_t daemon_pid, fake_pid;

static void start_bus(void)
{
    int pipes[2];
    char text[16];

    if (pipe2(pipes, 0) < 0)
        return;
    daemon_pid = fork();
    if (daemon_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(text, sizeof(text), "%d", pipes[1]);
        char *listen = NULL;
        if (asprintf(&listen, "--address=unix:dir=%s", dir) > 0)
            execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", listen,
                    "--print-address", text, NULL);
        _exit(127);
    }
    close(pipes[1]);
    ssize_t got = read(pipes[0], address, sizeof(address) - 1);
    close(pipes[0]);
    address[got > 0 ? got : 0] = '\0';
    address[strcspn(address, "\n")] = '\0';
}

static const char *log_text(struct arena *arena)
{
    _cleanup_buf_ struct buf text = {0};

    io_read_file_at(AT_FDCWD, log_path, &text);
    return arena_strdup(arena, buf_text(&text));
}

static const char *mount_of(const struct cgroup_layout *layout, bool unified)
{
    for (size_t i = 0; i < layout->count; i++)
        if (unified ? layout->items[i].unified : str_equal(layout->items[i].names, "name=systemd"))
            return layout->items[i].mount;
    return "-";
}

static void start_fake(const struct cgroup_layout *layout)
{
    _cleanup_arena_ struct arena arena = {0};

    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    fake_pid = fork();
    if (fake_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(fake, fake, address, log_path, mount_of(layout, true), mount_of(layout, false), NULL);
        _exit(127);
    }
    for (int i = 0; i < 12000 && !strstr(log_text(&arena), "ready"); i++)
        usleep(5000);
}

static bool real(void)
{
    return str_equal(fake, "-");
}

static void stay(void *data)
{
    (void)data;
    for (;;)
        pause();
}

static void prepare(struct sandbox *box)
{
    sandbox_init(box);
    if (!fake_pid) {
        start_bus();
        start_fake(&box->layout);
    }
    box->request.manager = CGROUP_MANAGER_SYSTEMD;
    box->request.path = arena_printf(&box->arena, "%s:viv:one", slice);
    box->request.systemd.helper = helper;
    box->request.systemd.bus = address;
    box->request.systemd.description = "a test";
}

TEST(scope_holds_the_process_and_its_limits)
{
    struct sandbox box;
    static struct record_pair extra[] = {{"TimeoutStopUSec", "uint64 5000000"}, {"Tag", "'a b'"}};

    if (real())
        return;
    prepare(&box);
    box.limits.memory.limit = (struct opt_i64){true, 64 << 20};
    box.limits.pids = (struct opt_i64){true, 20};
    box.limits.cpu.quota = (struct opt_i64){true, 50000};
    box.request.systemd.properties.items = extra;
    box.request.systemd.properties.count = 2;
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    const char *log = log_text(&box.arena);
    CHECK(strstr(log, arena_printf(&box.arena, "start viv-one.scope\n")));
    CHECK(strstr(log, arena_printf(&box.arena, "PIDs=%d\n", box.pid)));
    CHECK(strstr(log, arena_printf(&box.arena, "Slice=%s\n", slice)));
    CHECK(strstr(log, "Delegate=true\n") && strstr(log, "Description=a test\n"));
    CHECK(strstr(log, "TasksMax=20\n") && strstr(log, "CPUQuotaPerSecUSec=500000\n"));
    CHECK(strstr(log, sandbox_is_v2(&box, CGROUP_MEMORY) ? "MemoryMax=67108864\n"
                                                         : "MemoryLimit=67108864\n"));
    CHECK(strstr(log, "TimeoutStopUSec=5000000\n") && strstr(log, "Tag=a b\n"));
    CHECK_STR(box.result.saved.manager, "systemd");
    CHECK_STR(box.result.saved.scope, "viv-one.scope");
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "20");
    CHECK_INT(cgroup_has_process(cgroup_saved_any(&box.result.saved)), 1);
    struct cgroup_limits more = {.pids = {true, 30}};
    CHECK_INT(cgroup_update(&box.result.saved, &more, "", &box.err), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "30");
    CHECK(strstr(log_text(&box.arena), "set viv-one.scope\nTasksMax=30\n"));
    struct arena arena = box.arena;
    box.arena = (struct arena){0};
    CHECK_INT(sandbox_end(&box), 0);
    CHECK(strstr(log_text(&arena), "stop viv-one.scope\n"));
    arena_free(&arena);
}

TEST(scope_is_taken_back_at_a_failing_step)
{
    size_t steps = 1;

    if (real())
        return;
    for (size_t at = 1; at <= steps; at++) {
        struct sandbox box;
        prepare(&box);
        box.limits.pids = (struct opt_i64){true, 20};
        CHECK_INT(sandbox_plan(&box), 0);
        steps = box.plan.count;
        box.work = stay;
        plan_run_init(&box.run, &box.plan);
        box.run.faults.fail_at = at;
        CHECK_INT(plan_apply(&box.run, &box.err), -ECANCELED);
        CHECK(!strstr(box.err.text, "taking it back failed"));
        plan_run_end(&box.run);
        CHECK(sandbox_is_gone(&box));
        arena_free(&box.arena);
    }
    CHECK(steps >= 3);
}

TEST(scope_that_exists_is_refused_with_systemds_words)
{
    struct sandbox box, second;

    if (real())
        return;
    prepare(&box);
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    prepare(&second);
    CHECK(sandbox_start(&second, stay, NULL) < 0);
    CHECK(strstr(second.err.text, "Unit viv-one.scope already exists."));
    arena_free(&second.arena);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(scope_needs_a_bus)
{
    struct sandbox box;

    if (real())
        return;
    prepare(&box);
    box.request.systemd.bus = "unix:path=/nonexistent/bus";
    CHECK(sandbox_start(&box, stay, NULL) < 0);
    CHECK(strstr(box.err.text, "connect to unix:path=/nonexistent/bus: ENOENT"));
    arena_free(&box.arena);
    prepare(&box);
    box.request.systemd.helper = "/nonexistent/viv-systemd";
    CHECK(sandbox_start(&box, stay, NULL) < 0);
    CHECK(strstr(box.err.text, "start /nonexistent/viv-systemd"));
    arena_free(&box.arena);
}

/* The whole of it once more where systemd is real: it moves the process, and its own limits and
 * ours agree. */
TEST(scope_of_the_real_systemd)
{
    struct sandbox box;

    if (!real())
        return;
    sandbox_init(&box);
    box.request.manager = CGROUP_MANAGER_SYSTEMD;
    box.request.path = arena_printf(&box.arena, ":vivtest:%d", getpid());
    box.request.systemd.helper = helper;
    box.limits.memory.limit = (struct opt_i64){true, 64 << 20};
    box.limits.pids = (struct opt_i64){true, 20};
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    CHECK(str_starts(box.result.saved.unified, "/sys/fs/cgroup/system.slice/vivtest-"));
    CHECK_INT(cgroup_has_process(box.result.saved.unified), 1);
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "20");
    struct cgroup_limits more = {.pids = {true, 30}};
    CHECK_INT(cgroup_update(&box.result.saved, &more, "", &box.err), 0);
    CHECK_INT(system("systemctl daemon-reload"), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "30");
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.max"), "67108864");
    CHECK_INT(cgroup_freeze(&box.result.saved, 20000, &box.err), 0);
    CHECK_INT(sandbox_end(&box), 0); /* frozen as it is */
}

static void stop_all(void)
{
    pid_t pids[] = {fake_pid, daemon_pid};

    for (size_t i = 0; i < 2; i++)
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    io_remove_tree_at(AT_FDCWD, dir);
}

int main(int argc, char **argv)
{
    if (argc < 3 || !mkdtemp(dir))
        return 2;
    helper = argv[1];
    fake = argv[2];
    snprintf(slice, sizeof(slice), "vivtest%d.slice", getpid());
    int status = test_run_all(argc - 2, argv + 2);
    stop_all();
    return status;
}
