/* Freezing: no progress while it lasts, and nothing hangs on it. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "cgroup/procs.h"
#include "sandbox.h"
#include "test.h"

#define LONG_MS 60000

static volatile unsigned long *counter;

static void count(void *data)
{
    (void)data;
    for (;;) {
        (*counter)++;
        usleep(100);
    }
}

static void end_at_once(void *data)
{
    (void)data;
}

/* Forks without an end; each child ends at once. */
static void fork_on(void *data)
{
    (void)data;
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        if (fork() == 0)
            _exit(0);
        usleep(50);
    }
}

static bool counts_on(void)
{
    unsigned long before = *counter;

    for (int i = 0; i < 60000 && *counter == before; i++)
        usleep(1000);
    return *counter != before;
}

static int prepare(struct sandbox *box, void (*work)(void *))
{
    counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sandbox_init(box);
    return sandbox_start(box, work, NULL);
}

TEST(freezer_stops_all_progress)
{
    struct sandbox box;

    CHECK_INT(prepare(&box, count), 0);
    CHECK(counts_on());
    CHECK_INT(cgroup_is_frozen(&box.result.saved), 0);
    CHECK_INT(cgroup_freeze(&box.result.saved, LONG_MS, &box.err), 0);
    CHECK_INT(cgroup_is_frozen(&box.result.saved), 1);
    unsigned long at = *counter;
    usleep(200000);
    CHECK_INT(*counter, at);
    CHECK_INT(cgroup_thaw(&box.result.saved, LONG_MS, &box.err), 0);
    CHECK_INT(cgroup_is_frozen(&box.result.saved), 0);
    CHECK(counts_on());
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(freezer_stops_a_group_that_forks)
{
    struct sandbox box;

    CHECK_INT(prepare(&box, fork_on), 0);
    CHECK_INT(cgroup_freeze(&box.result.saved, LONG_MS, &box.err), 0);
    CHECK_INT(cgroup_is_frozen(&box.result.saved), 1);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(frozen_processes_die_by_sigkill)
{
    struct sandbox box;

    CHECK_INT(prepare(&box, count), 0);
    CHECK_INT(cgroup_freeze(&box.result.saved, LONG_MS, &box.err), 0);
    CHECK_INT(cgroup_kill(&box.result.saved, SIGKILL, &box.err), 0);
    int status = sandbox_wait(&box);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(sandbox_end(&box), 0);
}

/* Whatever freezer somebody used, v1's too on a host that has both, and in a group below. */
TEST(frozen_v1_groups_below_are_removed)
{
    struct sandbox box;
    char text[16];

    CHECK_INT(prepare(&box, count), 0);
    const char *v1 = cgroup_saved_v1(&box.result.saved, CGROUP_FREEZER);
    if (v1) {
        const char *below = arena_printf(&box.arena, "%s/below", v1);
        CHECK_INT(mkdir(below, 0755), 0);
        snprintf(text, sizeof(text), "%d", box.pid);
        CHECK_INT(io_write_file_at(
                          AT_FDCWD, arena_printf(&box.arena, "%s/cgroup.procs", below), text),
                0);
        CHECK_INT(io_write_file_at(
                          AT_FDCWD, arena_printf(&box.arena, "%s/freezer.state", below), "FROZEN"),
                0);
        unsigned long at = *counter;
        usleep(100000);
        at = *counter;
        usleep(100000);
        CHECK_INT(*counter, at);
    }
    CHECK_INT(cgroup_kill(&box.result.saved, SIGKILL, &box.err), 0);
    int status = sandbox_wait(&box);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(frozen_groups_take_a_new_process_and_its_kill)
{
    struct sandbox box;

    CHECK_INT(prepare(&box, count), 0);
    CHECK_INT(cgroup_kill(&box.result.saved, SIGTERM, &box.err), 0);
    CHECK(WTERMSIG(sandbox_wait(&box)) == SIGTERM);
    CHECK_INT(cgroup_remove(&box.result.saved, LONG_MS, &box.err), 0);
    CHECK_INT(cgroup_remove(&box.result.saved, LONG_MS, &box.err), 0); /* gone already is fine */
    arena_free(&box.arena);
}

/* Others' processes, grandchildren that nobody waits for, forks on end: all gone, in bounded time.
 */
TEST(remove_kills_a_group_that_forks_on)
{
    struct sandbox box;

    CHECK_INT(prepare(&box, fork_on), 0);
    usleep(20000);
    CHECK_INT(cgroup_kill(&box.result.saved, SIGKILL, &box.err), 0);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(joining_runs_in_the_same_groups)
{
    struct sandbox box;
    int status = -1;

    CHECK_INT(prepare(&box, count), 0);
    pid_t pid = sandbox_join(&box, end_at_once, NULL);
    CHECK(pid > 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    pid = sandbox_join(&box, count, NULL);
    struct cgroup_pids pids;
    CHECK_INT(cgroup_list(&box.result.saved, &box.arena, &pids, &box.err), 0);
    CHECK_INT(pids.count, 2);
    for (size_t i = 0; i < box.result.saved.v1.count; i++)
        CHECK_INT(cgroup_has_process(box.result.saved.v1.items[i].path), 1);
    CHECK_INT(cgroup_kill(&box.result.saved, SIGKILL, &box.err), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST_MAIN()
