/* CPU limits: set, read back, and biting. Shares of time are compared with what the whole machine
 * gave in the same while, so that other work on it changes nothing. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "sandbox.h"
#include "test.h"

static int64_t now_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void spin(void *data)
{
    (void)data;
    for (;;)
        __asm__ volatile("");
}

static uint64_t usage(struct sandbox *box)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats = {0};

    cgroup_stats_read(&box->result.saved, &arena, &stats, &box->err);
    return stats.cpu.usage_ns.value;
}

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* CPU seconds used in each second of real time, over `ms`. */
static double rate(struct sandbox *box, long ms)
{
    uint64_t used = usage(box);
    int64_t start = now_ns(CLOCK_MONOTONIC);

    sleep_ms(ms);
    int64_t end = now_ns(CLOCK_MONOTONIC);
    return (double)(usage(box) - used) / (double)(end - start);
}

static void check_quota(struct sandbox *box)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats;
    double found = 0;

    CHECK_INT(sandbox_start(box, spin, NULL), 0);
    CHECK_STR(sandbox_read(box, CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max"),
            sandbox_is_v2(box, CGROUP_CPU) ? "10000 20000" : "10000");
    /* less only while others want the CPU, and more only where this machine itself was held up (a
     * rig's clock runs on meanwhile): neither for ever */
    for (int tries = 0; tries < 20 && (found < 0.4 || found > 0.6); tries++)
        found = rate(box, 500);
    CHECK(found >= 0.4 && found <= 0.6);
    CHECK_INT(cgroup_stats_read(&box->result.saved, &arena, &stats, &box->err), 0);
    CHECK(stats.cpu.periods.value > 0);
    CHECK(stats.cpu.throttled_periods.value > 0 && stats.cpu.throttled_ns.value > 0);
    struct cgroup_limits limits = {.cpu = {.quota = {true, 5000}}};
    CHECK_INT(cgroup_update(&box->result.saved, &limits, "", &box->err), 0);
    for (int tries = 0; tries < 20 && found > 0.35; tries++)
        found = rate(box, 500);
    CHECK(found <= 0.35);
    limits = (struct cgroup_limits){.cpu = {.period = {true, 50000}}};
    CHECK_INT(cgroup_update(&box->result.saved, &limits, "", &box->err), 0);
    CHECK_STR(sandbox_read(box, CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max"),
            sandbox_is_v2(box, CGROUP_CPU) ? "5000 50000" : "5000");
    limits = (struct cgroup_limits){.cpu = {.quota = {true, -1}}};
    CHECK_INT(cgroup_update(&box->result.saved, &limits, "", &box->err), 0);
    CHECK_STR(sandbox_read(box, CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max"),
            sandbox_is_v2(box, CGROUP_CPU) ? "max 50000" : "-1");
}

TEST(cpu_quota_gives_half_a_cpu)
{
    struct sandbox box;

    sandbox_init(&box);
    box.limits.cpu.quota = (struct opt_i64){true, 10000};
    box.limits.cpu.period = (struct opt_u64){true, 20000};
    box.limits.cpu.shares = (struct opt_u64){true, 262144}; /* others may be busy beside it */
    check_quota(&box);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(cpu_burst_is_kept_and_cannot_exceed_the_quota)
{
    struct sandbox box;
    struct cgroup_limits limits = {.cpu = {.quota = {true, 20000}, .burst = {true, 10000}}};

    sandbox_init(&box);
    box.limits.cpu.quota = (struct opt_i64){true, 60000};
    box.limits.cpu.burst = (struct opt_u64){true, 50000};
    CHECK_INT(sandbox_start(&box, spin, NULL), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_CPU, "cpu.cfs_burst_us", "cpu.max.burst"), "50000");
    CHECK_INT(cgroup_update(&box.result.saved, &limits, "", &box.err), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_CPU, "cpu.cfs_burst_us", "cpu.max.burst"), "10000");
    limits.cpu.burst.value = 90000;
    CHECK_INT(cgroup_update(&box.result.saved, &limits, "/linux/resources", &box.err), -EINVAL);
    CHECK(strstr(box.err.text, "/linux/resources: cpu/burst"));
    CHECK_INT(sandbox_end(&box), 0);
}

/* Two groups on one CPU, one spinning process each: how the time of the first compares. */
static double compare(struct sandbox *one, struct sandbox *other)
{
    if (sandbox_start(one, spin, NULL) < 0 || sandbox_start(other, spin, NULL) < 0)
        return -1;
    uint64_t before_one = usage(one), before_other = usage(other);
    sleep_ms(1500);
    double other_used = (double)(usage(other) - before_other);
    double one_used = (double)(usage(one) - before_one);
    return one_used / (other_used > 0 ? other_used : 1);
}

TEST(cpu_shares_divide_a_cpu)
{
    struct sandbox one, other;

    sandbox_init(&one);
    sandbox_init(&other);
    one.limits.cpu.cpus = other.limits.cpu.cpus = "0";
    one.limits.cpu.shares = (struct opt_u64){true, 8192};
    other.limits.cpu.shares = (struct opt_u64){true, 128};
    double ratio = compare(&one, &other);
    CHECK_STR(sandbox_read(&one, CGROUP_CPU, "cpu.shares", "cpu.weight"),
            sandbox_is_v2(&one, CGROUP_CPU) ? "532" : "8192");
    CHECK(ratio > 4);
    CHECK_INT(sandbox_end(&one), 0);
    CHECK_INT(sandbox_end(&other), 0);
}

TEST(cpu_idle_yields_to_all_others)
{
    struct sandbox one, other;
    struct cgroup_limits back = {.cpu = {.idle = {true, 0}, .shares = {true, 2048}}};

    sandbox_init(&one);
    sandbox_init(&other);
    one.limits.cpu.cpus = other.limits.cpu.cpus = "0";
    other.limits.cpu.idle = (struct opt_i64){true, 1};
    double ratio = compare(&one, &other);
    CHECK_STR(sandbox_read(&other, CGROUP_CPU, "cpu.idle", "cpu.idle"), "1");
    CHECK(ratio > 10);
    CHECK_INT(cgroup_update(&other.result.saved, &back, "", &other.err), 0);
    CHECK_STR(sandbox_read(&other, CGROUP_CPU, "cpu.idle", "cpu.idle"), "0");
    CHECK_INT(sandbox_end(&one), 0);
    CHECK_INT(sandbox_end(&other), 0);
}

static void tell_cpus(void *data)
{
    cpu_set_t set;

    sched_getaffinity(0, sizeof(set), &set);
    *(int *)data = CPU_COUNT(&set) * 100 + (CPU_ISSET(0, &set) ? 1 : 0);
}

TEST(cpuset_confines_to_its_cpus_and_nodes)
{
    struct sandbox box;
    int *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    sandbox_init(&box);
    box.request.path = arena_printf(&box.arena, "%s/deeper/still", box.request.path);
    box.limits.cpu.cpus = "0";
    box.limits.cpu.mems = "0";
    CHECK_INT(sandbox_start(&box, tell_cpus, told), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_CPUSET, "cpuset.cpus", "cpuset.cpus"), "0");
    CHECK_STR(sandbox_read(&box, CGROUP_CPUSET, "cpuset.mems", "cpuset.mems"), "0");
    CHECK_INT(sandbox_wait(&box), 0);
    CHECK_INT(*told, 101);
    munmap(told, 4096);
    const char *parent = arena_strdup(&box.arena, box.result.saved.parents.words[0]);
    CHECK(access(parent, F_OK) == 0);
    struct arena arena = box.arena;
    box.arena = (struct arena){0};
    CHECK_INT(sandbox_end(&box), 0);
    CHECK(access(parent, F_OK) < 0);
    arena_free(&arena);
}

TEST(cpuset_refuses_cpus_that_are_not_there)
{
    struct sandbox box;

    sandbox_init(&box);
    box.limits.cpu.cpus = "4000";
    CHECK(sandbox_start(&box, spin, NULL) < 0);
    CHECK(strstr(box.err.text, "/linux/resources/cpu/cpus"));
    CHECK(sandbox_is_gone(&box));
    arena_free(&box.arena);
}

static void become_realtime(void *data)
{
    struct sched_param parameter = {.sched_priority = 1};

    (void)data;
    if (sched_setscheduler(0, SCHED_FIFO, &parameter) < 0)
        _exit(errno == EPERM ? 1 : 2);
}

TEST(cpu_realtime_budget_is_needed_for_realtime)
{
    struct sandbox box;

    sandbox_init(&box);
    if (sandbox_is_v2(&box, CGROUP_CPU)) {
        box.limits.cpu.realtime_runtime = (struct opt_i64){true, 10000};
        CHECK_INT(sandbox_plan(&box), -EOPNOTSUPP);
        CHECK(strstr(box.err.text, "/linux/resources/cpu/realtimeRuntime: cgroup v2 has nothing"));
        arena_free(&box.arena);
        return;
    }
    CHECK_INT(sandbox_start(&box, become_realtime, NULL), 0);
    bool counted = *sandbox_read(&box, CGROUP_CPU, "cpu.rt_runtime_us", NULL);
    CHECK_INT(sandbox_wait(&box) >> 8, counted ? 1 : 0);
    CHECK_INT(sandbox_end(&box), 0);
    if (!counted)
        SKIP("this kernel has no realtime groups (CONFIG_RT_GROUP_SCHED)");
    sandbox_init(&box);
    box.request.path = arena_printf(&box.arena, "%s/below", box.request.path);
    box.limits.cpu.realtime_runtime = (struct opt_i64){true, 10000};
    box.limits.cpu.realtime_period = (struct opt_u64){true, 500000};
    CHECK_INT(sandbox_start(&box, become_realtime, NULL), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_CPU, "cpu.rt_runtime_us", NULL), "10000");
    CHECK_STR(sandbox_read(&box, CGROUP_CPU, "cpu.rt_period_us", NULL), "500000");
    CHECK_INT(sandbox_wait(&box), 0);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST_MAIN()
