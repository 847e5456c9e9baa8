/*
 * The snapshot reader: the input is a whole file, and then the state of a good one, whose header is
 * made to fit, so that its content comes as far as the devices and the CPU. What is restored is not
 * run. Then it is what a shared folder keeps: what it says is open is opened.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/snapshot.h"
#include "vm/accel_emu.h"
#include "vm/machine.h"
#include "vm/share/share.h"

#define MEMORY ((size_t)1 << 20)

static void on_end(void *data, const struct machine_end *end)
{
    (void)data;
    (void)end;
}

static void read_file(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct proto_snapshot snapshot;

    if (write(fd, data, size) == (ssize_t)size && ftruncate(fd, 1 << 20) == 0 &&
            proto_snapshot_read(fd, "fuzz", &arena, &snapshot, NULL) == 0)
        (void)proto_snapshot_verify_memory(fd, "fuzz", &snapshot, NULL);
}

static void restore(const uint8_t *data, size_t size)
{
    static uint8_t memory[MEMORY];
    _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct iovec part = {memory, sizeof(memory)};
    struct proto_machine description = {
            .snapshot = {.fd = {true, fd}}, .vsock = &(struct proto_vsock){.cid = 3}};
    struct machine_config config = {
            .description = &description, .accel = &accel_emu_ops, .on_end = on_end};
    struct machine *machine;

    if (proto_snapshot_write(fd, "fuzz", NULL, 1 + (size & 1), data, size, &part, 1, NULL) < 0 ||
            loop_new(&config.loop, NULL) < 0)
        return;
    if (machine_build(&config, &machine, NULL) == 0)
        machine_free(machine);
    loop_free(config.loop);
}

static void load_share(const uint8_t *data, size_t size)
{
    struct share_config config = {.folder = open("/", O_PATH | O_CLOEXEC), .read_only = true};
    struct share *share;

    if (share_new(&config, &share, NULL) < 0)
        return;
    if (share_load(share, data, size, NULL) == 0)
        share_begin(share);
    share_free(share);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_file(data, size);
    if (size)
        restore(data, size);
    load_share(data, size);
    return 0;
}
