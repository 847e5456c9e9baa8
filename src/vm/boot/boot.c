#include "vm/boot/boot.h"

#include <string.h>

#include "vm/boot/elf.h"
#include "vm/boot/multiboot.h"
#include "vm/boot/place.h"
#include "vm/boot/start.h"
#include "vm/boot/unpack.h"
#include "vm/dev/power.h"

#define RESET_VECTOR 0xffff0U

/* Xen's public/arch-x86/hvm/start_info.h, version 1 */
#define START_MAGIC 0x336ec578U

struct start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp, map;
    uint32_t map_count, reserved;
};

struct start_module {
    uint64_t address, size, command_line, reserved;
};

struct start_range {
    uint64_t base, size;
    uint32_t type, reserved;
};

/* The page at PLACE_INFO. */
struct start_page {
    struct start_info info;
    struct start_module module;
    struct start_range map[PLACE_RANGES_MAX];
};

#define START_AT(member) (PLACE_INFO + offsetof(struct start_page, member))

static int write_command_line(
        const struct memory *memory, const struct boot_config *config, struct error *err)
{
    const char *line = config->command_line ? config->command_line : "";

    if (strlen(line) > BOOT_COMMAND_LINE_MAX)
        return error_set(err, E2BIG, "the kernel's command line has %zu bytes; Linux takes %d",
                strlen(line), BOOT_COMMAND_LINE_MAX);
    memory_write(memory, PLACE_COMMAND_LINE, line, strlen(line) + 1);
    return 0;
}

/* What a firmware would have at its reset vector. Linux on hardware-reduced ACPI without EFI
 * restarts by jumping there in real mode (arch/x86/kernel/reboot.c, BOOT_EFI, then BOOT_BIOS); it
 * leads to the reset register. */
static void write_reset_vector(const struct memory *memory)
{
    static const uint8_t code[] = {
            0xba, POWER_RESET & 0xff, POWER_RESET >> 8, /* mov $POWER_RESET, %dx */
            0xb0, POWER_RESET_VALUE,                    /* mov $POWER_RESET_VALUE, %al */
            0xee,                                       /* out %al, %dx */
            0xf4, 0xeb, 0xfd,                           /* hlt; jmp back */
    };

    memory_write(memory, RESET_VECTOR, code, sizeof(code));
}

static void write_start_info(const struct memory *memory, const struct start_module *module)
{
    struct place_range ranges[PLACE_RANGES_MAX];
    struct start_page page = {.module = *module};
    size_t count = place_map(memory, ranges);

    for (size_t i = 0; i < count; i++)
        page.map[i] = (struct start_range){ranges[i].base, ranges[i].size, ranges[i].kind, 0};
    page.info = (struct start_info){
            .magic = START_MAGIC,
            .version = 1,
            .module_count = module->size ? 1 : 0,
            .modules = START_AT(module),
            .command_line = PLACE_COMMAND_LINE,
            .rsdp = ACPI_BASE,
            .map = START_AT(map),
            .map_count = (uint32_t)count,
    };
    memory_write(memory, PLACE_INFO, &page, sizeof(page));
}

static int load_linux(const struct memory *memory, const struct boot_config *config,
        const struct unpack_image *file, struct cpu_state *ret, struct error *err)
{
    _cleanup_unpack_ struct unpack_image image = {0};
    struct elf_kernel kernel;
    struct start_module module = {0};
    struct place place;
    const char *name = config->kernel.name;
    int r = unpack_kernel(file->data, file->size, name, &image, err);

    if (r == 0)
        r = elf_load(memory, image.data, image.size, name, &kernel, err);
    if (r < 0)
        return r;
    if (!kernel.has_pvh)
        return error_set(err, ENOEXEC,
                "%s: has no PVH entry; a kernel built with CONFIG_PVH is "
                "needed, such as Debian's linux-image-cloud-amd64",
                name);
    if (config->initrd.fd >= 0) {
        place_init(&place, memory, (kernel.high + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1));
        r = place_file(&place, &config->initrd, &module.address, &module.size, err);
        if (r < 0)
            return r;
    }
    write_start_info(memory, &module);
    start_protected_mode(ret, (uint32_t)kernel.pvh_entry);
    ret->gpr[CPU_RBX] = PLACE_INFO;
    return 0;
}

int boot_load(const struct memory *memory, const struct boot_config *config, struct cpu_state *ret,
        struct error *err)
{
    _cleanup_unpack_ struct unpack_image file = {0};
    size_t offset;
    int r = unpack_map_file(config->kernel.fd, config->kernel.name, &file, err);

    if (r == 0)
        r = write_command_line(memory, config, err);
    if (r == 0)
        r = acpi_write_tables(memory, &config->acpi, err);
    if (r < 0)
        return r;
    write_reset_vector(memory);
    if (config->module_count > BOOT_MODULES_MAX)
        return error_set(err, E2BIG, "%zu modules; a machine takes %d", config->module_count,
                BOOT_MODULES_MAX);
    if (multiboot_find(file.data, file.size, &offset))
        return multiboot_load(memory, config, file.data, file.size, ret, err);
    if (config->module_count)
        return error_set(err, EINVAL,
                "%s: modules are for Multiboot kernels; a Linux kernel takes "
                "one --initrd",
                config->kernel.name);
    return load_linux(memory, config, &file, ret, err);
}
