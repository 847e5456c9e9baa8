#include "vm/boot/multiboot.h"

#include <inttypes.h>
#include <string.h>

#include "vm/boot/elf.h"
#include "vm/boot/place.h"
#include "vm/boot/start.h"

#define HEADER_MAGIC 0x1badb002U
#define HEADER_SEARCH 8192U
#define HEADER_HAS_ADDRESSES (1U << 16)
#define HEADER_MUST                                                                                \
    (0xffffU & ~3U) /* of the low flags, page alignment and memory info are known                  \
                     */
#define BOOT_MAGIC 0x2badb002U

#define INFO_MEMORY (1U << 0)
#define INFO_COMMAND_LINE (1U << 2)
#define INFO_MODULES (1U << 3)
#define INFO_MAP (1U << 6)
#define INFO_LOADER (1U << 9)

struct header {
    uint32_t magic, flags, checksum;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
};

struct module {
    uint32_t start, end, string, reserved;
};

struct map_entry {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

/* The page at PLACE_INFO. */
struct info_page {
    struct info info;
    struct module modules[BOOT_MODULES_MAX];
    struct map_entry map[PLACE_RANGES_MAX];
    char loader[16];
};

_Static_assert(sizeof(struct info_page) <= PLACE_COMMAND_LINE - PLACE_INFO, "fits its page");

#define INFO_AT(member) ((uint32_t)(PLACE_INFO + offsetof(struct info_page, member)))

bool multiboot_find(const uint8_t *data, size_t size, size_t *ret_offset)
{
    for (size_t at = 0; at + 12 <= size && at + 12 <= HEADER_SEARCH; at += 4) {
        struct header header;
        memcpy(&header, data + at, 12);
        if (header.magic != HEADER_MAGIC || header.magic + header.flags + header.checksum)
            continue;
        *ret_offset = at;
        return true;
    }
    return false;
}

/* The header's own addresses ("a.out kludge") instead of an ELF. */
static int load_flat(const struct memory *memory, const struct boot_config *config,
        const struct header *header, const uint8_t *data, size_t size, size_t offset,
        struct elf_kernel *ret, struct error *err)
{
    uint64_t before = (uint64_t)header->header_addr - header->load_addr;
    const char *name = config->kernel.name;

    if (header->header_addr < header->load_addr || before > offset)
        return error_set(
                err, EBADMSG, "%s: its Multiboot load addresses contradict each other", name);
    uint64_t start = offset - before;
    uint64_t length = header->load_end_addr ? (uint64_t)header->load_end_addr - header->load_addr
                                            : size - start;
    uint64_t end = header->bss_end_addr ? header->bss_end_addr : header->load_addr + length;
    if (length > size - start || end < header->load_addr + length)
        return error_set(
                err, EBADMSG, "%s: its Multiboot header wants more than the file has", name);
    uint8_t *to = memory_at(memory, header->load_addr, end - header->load_addr);
    if (!to)
        return error_set(err, ENOSPC,
                "%s: 0x%" PRIx32 " to 0x%" PRIx64 " is not in guest memory; "
                "give the machine more (-m)",
                name, header->load_addr, end);
    memcpy(to, data + start, length);
    memset(to + length, 0, end - header->load_addr - length);
    memory_written(memory, header->load_addr, end - header->load_addr);
    *ret = (struct elf_kernel){.entry = header->entry_addr, .low = header->load_addr, .high = end};
    return 0;
}

static int load_modules(struct place *place, const struct boot_config *config,
        struct info_page *page, struct error *err)
{
    uint32_t string = PLACE_NAMES;

    for (size_t i = 0; i < config->module_count; i++) {
        const struct boot_file *file = &config->modules[i];
        uint64_t address, size;
        size_t length = strlen(file->name) + 1;
        int r = place_file(place, file, &address, &size, err);

        if (r < 0)
            return r;
        if (string + length > PLACE_NAMES + PLACE_NAMES_SIZE ||
                !memory_write(place->memory, string, file->name, length))
            return error_set(err, E2BIG, "the modules' command lines exceed 16 KiB");
        page->modules[i] =
                (struct module){(uint32_t)address, (uint32_t)(address + size), string, 0};
        string += (uint32_t)length;
    }
    return 0;
}

static void fill_info(const struct memory *memory, size_t modules, struct info_page *page)
{
    struct place_range ranges[PLACE_RANGES_MAX];
    size_t count = place_map(memory, ranges);

    for (size_t i = 0; i < count; i++)
        page->map[i] = (struct map_entry){
                sizeof(struct map_entry) - 4, ranges[i].base, ranges[i].size, ranges[i].kind};
    memcpy(page->loader, "vivarium", 9);
    page->info = (struct info){
            .flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MAP | INFO_LOADER,
            .mem_lower = PLACE_LOW_END >> 10,
            .mem_upper = (uint32_t)((memory->regions[0].size - 0x100000) >> 10),
            .cmdline = PLACE_COMMAND_LINE,
            .mods_count = (uint32_t)modules,
            .mods_addr = INFO_AT(modules),
            .mmap_length = (uint32_t)(count * sizeof(struct map_entry)),
            .mmap_addr = INFO_AT(map),
            .boot_loader_name = INFO_AT(loader),
    };
}

int multiboot_load(const struct memory *memory, const struct boot_config *config,
        const uint8_t *data, size_t size, struct cpu_state *ret, struct error *err)
{
    struct header header = {0};
    struct elf_kernel kernel;
    struct info_page page = {0};
    struct place place;
    size_t offset;
    int r;

    if (!multiboot_find(data, size, &offset))
        return error_set(err, ENOEXEC, "%s: no Multiboot header", config->kernel.name);
    memcpy(&header, data + offset, size - offset < sizeof(header) ? size - offset : sizeof(header));
    if (header.flags & HEADER_MUST)
        return error_set(err, ENOEXEC,
                "%s: wants Multiboot features 0x%x that are not offered "
                "here (a video mode?)",
                config->kernel.name, header.flags & HEADER_MUST);
    if (header.flags & HEADER_HAS_ADDRESSES)
        r = load_flat(memory, config, &header, data, size, offset, &kernel, err);
    else
        r = elf_load(memory, data, size, config->kernel.name, &kernel, err);
    if (r < 0)
        return r;
    place_init(&place, memory, (kernel.high + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1));
    r = load_modules(&place, config, &page, err);
    if (r < 0)
        return r;
    fill_info(memory, config->module_count, &page);
    memory_write(memory, PLACE_INFO, &page, sizeof(page));
    start_protected_mode(ret, (uint32_t)kernel.entry);
    ret->gpr[CPU_RAX] = BOOT_MAGIC;
    ret->gpr[CPU_RBX] = PLACE_INFO;
    return 0;
}
