/* Memory limits: set, read back, and biting. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "test.h"

#define MIB ((int64_t)1 << 20)

static void touch(void *data)
{
    size_t size = (size_t) * (const int64_t *)data;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        _exit(3);
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1;
}

static void touch_and_stay(void *data)
{
    touch(data);
    for (;;)
        pause();
}

TEST(memory_limit_kills_who_exceeds_it)
{
    struct sandbox box;
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats;
    int64_t much = 64 * MIB;
    uint64_t kills = 0;
    int watch = -1;

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 16 * MIB};
    box.limits.memory.swap = (struct opt_i64){true, 24 * MIB};
    CHECK_INT(sandbox_start(&box, touch, &much), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "16777216");
    CHECK_INT(cgroup_oom_watch(&box.result.saved, &watch, &box.err), 0);
    int status = sandbox_wait(&box);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(cgroup_oom_kills(&box.result.saved, &kills), 0);
    CHECK_INT(kills, 1);
    CHECK_INT(cgroup_stats_read(&box.result.saved, &arena, &stats, &box.err), 0);
    CHECK_INT(stats.memory.oom_kills.value, 1);
    CHECK_INT(stats.memory.limit.value, 16 * MIB);
    CHECK(stats.memory.failures.value > 0);
    /* the kernel brings these numbers together every two seconds */
    for (int i = 0; i < 6000 && stats.memory.faults.value == 0; i++, usleep(10000))
        cgroup_stats_read(&box.result.saved, &arena, &stats, &box.err);
    CHECK(stats.memory.faults.value > 0);
    close(watch);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_watch_tells_of_an_oom_kill)
{
    struct sandbox box;
    int64_t little = MIB, much = 64 * MIB;
    int watch = -1;

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 16 * MIB};
    CHECK_INT(sandbox_start(&box, touch_and_stay, &little), 0);
    CHECK_INT(cgroup_oom_watch(&box.result.saved, &watch, &box.err), 0);
    struct pollfd polled = {watch, POLLIN, 0};
    CHECK_INT(poll(&polled, 1, 0), 0);
    pid_t second = sandbox_join(&box, touch, &much);
    CHECK(second > 0);
    CHECK_INT(poll(&polled, 1, 60000), 1);
    waitpid(second, NULL, 0);
    close(watch);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_below_the_limit_lives)
{
    struct sandbox box;
    int64_t some = 8 * MIB;

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 32 * MIB};
    CHECK_INT(sandbox_start(&box, touch, &some), 0);
    CHECK_INT(sandbox_wait(&box), 0);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_reservation_and_swap_are_read_back)
{
    struct sandbox box;
    int64_t little = MIB;

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 64 * MIB};
    box.limits.memory.reservation = (struct opt_i64){true, 32 * MIB};
    box.limits.memory.swap = (struct opt_i64){true, 96 * MIB};
    CHECK_INT(sandbox_start(&box, touch_and_stay, &little), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.soft_limit_in_bytes", "memory.low"),
            "33554432");
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max"),
            sandbox_is_v2(&box, CGROUP_MEMORY) ? "33554432" : "100663296");
    CHECK_INT(sandbox_end(&box), 0);
}

/* Raising needs the one limit first, lowering the other. */
TEST(memory_update_raises_and_lowers_both_limits)
{
    struct sandbox box;
    int64_t little = MIB;
    struct cgroup_limits raise = {
            .memory = {.limit = {true, 256 * MIB}, .swap = {true, 256 * MIB}}};
    struct cgroup_limits lower = {.memory = {.limit = {true, 32 * MIB}, .swap = {true, 32 * MIB}}};

    sandbox_init(&box);
    box.limits.memory.limit = box.limits.memory.swap = (struct opt_i64){true, 64 * MIB};
    CHECK_INT(sandbox_start(&box, touch_and_stay, &little), 0);
    CHECK_INT(cgroup_update(&box.result.saved, &raise, "", &box.err), 0);
    CHECK_STR(
            sandbox_read(&box, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "268435456");
    CHECK_INT(cgroup_update(&box.result.saved, &lower, "", &box.err), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "33554432");
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max"),
            sandbox_is_v2(&box, CGROUP_MEMORY) ? "0" : "33554432");
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_update_below_the_use_is_refused_when_asked)
{
    struct sandbox box;
    int64_t some = 32 * MIB;
    struct cgroup_limits lower = {
            .memory = {.limit = {true, 4 * MIB}, .check_before_update = {true, true}}};

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 64 * MIB};
    CHECK_INT(sandbox_start(&box, touch_and_stay, &some), 0);
    for (int i = 0; i < 6000; i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct cgroup_stats stats = {0};
        cgroup_stats_read(&box.result.saved, &arena, &stats, &box.err);
        if (stats.memory.usage.value > 16 * (uint64_t)MIB)
            break;
        usleep(10000);
    }
    CHECK_INT(cgroup_update(&box.result.saved, &lower, "/linux/resources", &box.err), -EBUSY);
    CHECK(strstr(box.err.text, "/linux/resources: memory/limit: 4194304 bytes asked for"));
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "67108864");
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_high_low_and_min_of_v2)
{
    struct sandbox box;
    int64_t much = 24 * MIB;
    struct record_pair pairs[] = {{"memory.high", "8388608"}};

    sandbox_init(&box);
    box.limits.memory.min = (struct opt_i64){true, 4 * MIB};
    box.limits.memory.low = (struct opt_i64){true, 5 * MIB};
    if (!sandbox_is_v2(&box, CGROUP_MEMORY)) {
        CHECK_INT(sandbox_plan(&box), -EOPNOTSUPP);
        CHECK_STR(box.err.text,
                "/linux/resources/memory/min: cgroup v1 has nothing of that kind for memory; leave "
                "it out on this host, it needs cgroup v2");
        arena_free(&box.arena);
        return;
    }
    box.limits.unified.items = pairs;
    box.limits.unified.count = 1;
    CHECK_INT(sandbox_start(&box, touch_and_stay, &much), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.min"), "4194304");
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.low"), "5242880");
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.high"), "8388608");
    bool slowed = false; /* the process is throttled above it, and the kernel counts that */
    for (int i = 0; i < 6000 && !slowed; i++, usleep(10000))
        slowed = !strstr(sandbox_read(&box, CGROUP_MEMORY, NULL, "memory.events"), "high 0\n");
    CHECK(slowed);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_swappiness_is_v1_only)
{
    struct sandbox box;
    int64_t little = MIB;

    sandbox_init(&box);
    box.limits.memory.swappiness = (struct opt_u64){true, 7};
    if (sandbox_is_v2(&box, CGROUP_MEMORY)) {
        CHECK_INT(sandbox_plan(&box), -EOPNOTSUPP);
        CHECK(strstr(box.err.text, "/linux/resources/memory/swappiness: cgroup v2 has nothing"));
        arena_free(&box.arena);
        return;
    }
    CHECK_INT(sandbox_start(&box, touch, &little), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_MEMORY, "memory.swappiness", NULL), "7");
    sandbox_wait(&box);
    CHECK_INT(sandbox_end(&box), 0);
}

/* Kernels from 5.16 on take the write and keep no such limit: that is told, not hidden. */
TEST(memory_kernel_limits_are_set_or_refused)
{
    struct sandbox box;
    int64_t little = MIB;

    sandbox_init(&box);
    box.limits.memory.kernel = (struct opt_i64){true, 16 * MIB};
    int r = sandbox_start(&box, touch, &little);
    if (r == 0) {
        CHECK_STR(
                sandbox_read(&box, CGROUP_MEMORY, "memory.kmem.limit_in_bytes", NULL), "16777216");
        sandbox_wait(&box);
        CHECK_INT(sandbox_end(&box), 0);
    } else {
        CHECK_INT(r, -EOPNOTSUPP);
        CHECK(strstr(box.err.text, "/linux/resources/memory/kernel"));
        CHECK(sandbox_is_gone(&box));
        arena_free(&box.arena);
    }
    sandbox_init(&box);
    if (sandbox_is_v2(&box, CGROUP_MEMORY))
        return;
    box.limits.memory.kernel_tcp = (struct opt_i64){true, 16 * MIB};
    CHECK_INT(sandbox_start(&box, touch, &little), 0);
    CHECK_STR(
            sandbox_read(&box, CGROUP_MEMORY, "memory.kmem.tcp.limit_in_bytes", NULL), "16777216");
    sandbox_wait(&box);
    CHECK_INT(sandbox_end(&box), 0);
}

/* With the killer off, the process stops where it exceeds; its removal must not wait for it. */
TEST(memory_without_oom_killer_stops_and_can_be_removed)
{
    struct sandbox box;
    int64_t much = 64 * MIB;

    sandbox_init(&box);
    box.limits.memory.limit = box.limits.memory.swap = (struct opt_i64){true, 16 * MIB};
    box.limits.memory.disable_oom_killer = (struct opt_bool){true, true};
    if (sandbox_is_v2(&box, CGROUP_MEMORY)) {
        CHECK_INT(sandbox_plan(&box), -EOPNOTSUPP);
        arena_free(&box.arena);
        return;
    }
    CHECK_INT(sandbox_start(&box, touch, &much), 0);
    bool stopped = false;
    for (int i = 0; i < 6000 && !stopped; i++, usleep(10000))
        stopped = strstr(
                sandbox_read(&box, CGROUP_MEMORY, "memory.oom_control", NULL), "under_oom 1");
    CHECK(stopped);
    CHECK_INT(waitpid(box.pid, NULL, WNOHANG), 0);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(memory_swap_below_memory_makes_no_sense)
{
    struct sandbox box;

    sandbox_init(&box);
    box.limits.memory.limit = (struct opt_i64){true, 64 * MIB};
    box.limits.memory.swap = (struct opt_i64){true, 32 * MIB};
    CHECK(sandbox_start(&box, touch, NULL) == -EINVAL);
    CHECK(strstr(box.err.text, "memory/swap"));
    CHECK(sandbox_is_gone(&box));
    arena_free(&box.arena);
}

TEST_MAIN()
