#include "proto/control.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test.h"

/* A request with a descriptor, served in the same process before its reply is asked for. */
TEST(control_request_and_descriptor_arrive)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), got = -1;
    int ends[2];
    struct proto_control request = {.command = "snapshot", .path = "a \"name\"", .stop = true};
    struct proto_control_reply reply = {.ok = false, .errnum = 28, .error = "full"};
    struct proto_control seen = {0};
    struct error err = ERROR_NONE;

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_INT(proto_control_answer(ends[1], &reply), 0);
    CHECK_INT(proto_control_ask(ends[0], &request, null, &arena, NULL, &err), -28);
    CHECK_STR(err.text, "full");
    CHECK_INT(proto_control_receive(ends[1], &arena, &seen, &got, NULL), 1);
    CHECK_STR(seen.command, "snapshot");
    CHECK_STR(seen.path, "a \"name\"");
    CHECK(seen.stop);
    struct stat a, b;
    CHECK_INT(fstat(null, &a) | fstat(got, &b), 0);
    CHECK_INT(a.st_rdev, b.st_rdev);
    close(ends[1]);
    CHECK_INT(proto_control_ask(ends[0], &request, -1, &arena, NULL, &err), -ECONNRESET);
    close(ends[0]);
}

TEST(control_stats_travel)
{
    _cleanup_arena_ struct arena arena = {0};
    struct proto_cpu_stats cpus[] = {{1, 2}, {0, UINT64_MAX >> 1}};
    struct proto_unknown unknown[] = {{"vaddps", 7}};
    struct proto_disk_stats disks[] = {{"io_uring", NULL, 9, 4}, {"preadv", "no", 0, 0}};
    struct proto_stats stats = {.accel = "emu",
            .cpus = {cpus, 2},
            .unknown = {unknown, 1},
            .disks = {disks, 2},
            .memory = 1 << 30,
            .inflated = 4096};
    struct proto_control_reply reply = {.ok = true, .state = "paused", .stats = &stats}, seen = {0};
    int ends[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_INT(proto_control_answer(ends[1], &reply), 0);
    struct proto_control request = {.command = "stats"};
    CHECK_INT(proto_control_ask(ends[0], &request, -1, &arena, &seen, NULL), 0);
    CHECK_STR(seen.state, "paused");
    CHECK_INT(seen.stats->cpus.count, 2);
    CHECK_INT(seen.stats->cpus.items[1].instructions, UINT64_MAX >> 1);
    CHECK_STR(seen.stats->unknown.items[0].name, "vaddps");
    CHECK_INT(seen.stats->disks.count, 2);
    CHECK_INT(seen.stats->disks.items[0].deepest, 4);
    CHECK_STR(seen.stats->disks.items[1].because, "no");
    CHECK_INT(seen.stats->memory, 1 << 30);
    close(ends[0]);
    close(ends[1]);
}

TEST(control_connect_tells_the_device)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), got = -1;
    struct proto_net_device nets[] = {{"02:56:49:56:00:01", "vv0"}, {"02:56:49:56:01:01", NULL}};
    struct proto_control_reply reply = {
            .ok = true, .state = "running", .device = nets[0].device, .nets = {nets, 2}};
    struct proto_control request = {.command = "connect", .tap = "vv0"}, seen = {0};
    struct proto_control_reply told = {0};
    int ends[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_INT(proto_control_answer(ends[1], &reply), 0);
    CHECK_INT(proto_control_ask(ends[0], &request, null, &arena, &told, NULL), 0);
    CHECK_STR(told.device, "02:56:49:56:00:01");
    CHECK_INT(told.nets.count, 2);
    CHECK_STR(told.nets.items[0].tap, "vv0");
    CHECK(!told.nets.items[1].tap);
    CHECK_INT(proto_control_receive(ends[1], &arena, &seen, &got, NULL), 1);
    CHECK_STR(seen.tap, "vv0");
    CHECK(got >= 0);
    close(ends[0]);
    close(ends[1]);
}

TEST_MAIN()
