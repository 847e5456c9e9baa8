/* The boot loader on damaged kernels: bzImages of every packing, ELF files, Multiboot images. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "vm/boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    struct boot_config config = {
            .kernel = {fd, "kernel"}, .initrd = {-1, "initrd"}, .acpi = {.cpus = 1}};
    struct error err = ERROR_NONE;
    struct memory memory;
    struct cpu_state state;

    if (memory_init(&memory, (uint64_t)16 << 20, NULL) < 0)
        return 0;
    if (io_write_all(fd, data, size) == 0)
        (void)boot_load(&memory, &config, &state, &err);
    close(fd);
    memory_free(&memory);
    return 0;
}
