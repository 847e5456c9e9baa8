#include "vm/boot/elf.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"

#define NOTE_PVH_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define HEADERS_MAX 64

/* One program header, of either class. */
struct segment {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

struct elf_file {
    const uint8_t *data;
    size_t size;
    const char *name;
    bool wide;
    uint64_t entry, table;
    size_t count, stride;
};

static int read_header(struct elf_file *file, struct error *err)
{
    Elf64_Ehdr wide;
    Elf32_Ehdr narrow;

    if (file->size < sizeof(wide) || memcmp(file->data, ELFMAG, SELFMAG) != 0)
        return error_set(err, ENOEXEC, "%s: not an ELF file", file->name);
    memcpy(&wide, file->data, sizeof(wide));
    memcpy(&narrow, file->data, sizeof(narrow));
    file->wide = wide.e_ident[EI_CLASS] == ELFCLASS64;
    if (wide.e_machine != (file->wide ? EM_X86_64 : EM_386))
        return error_set(err, ENOEXEC,
                "%s: built for another kind of CPU (ELF machine %u); an "
                "x86-64 or i386 kernel is needed",
                file->name, wide.e_machine);
    file->entry = file->wide ? wide.e_entry : narrow.e_entry;
    file->table = file->wide ? wide.e_phoff : narrow.e_phoff;
    file->count = file->wide ? wide.e_phnum : narrow.e_phnum;
    file->stride = file->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (file->count == 0 || file->count > HEADERS_MAX || file->table > file->size ||
            file->count * file->stride > file->size - file->table)
        return error_set(err, EBADMSG, "%s: its program headers lie outside the file", file->name);
    return 0;
}

static struct segment read_segment(const struct elf_file *file, size_t index)
{
    const uint8_t *at = file->data + file->table + index * file->stride;
    Elf64_Phdr wide;
    Elf32_Phdr narrow;

    if (file->wide) {
        memcpy(&wide, at, sizeof(wide));
        return (struct segment){wide.p_type, wide.p_offset, wide.p_vaddr, wide.p_paddr,
                wide.p_filesz, wide.p_memsz};
    }
    memcpy(&narrow, at, sizeof(narrow));
    return (struct segment){narrow.p_type, narrow.p_offset, narrow.p_vaddr, narrow.p_paddr,
            narrow.p_filesz, narrow.p_memsz};
}

static int load_segment(const struct memory *memory, const struct elf_file *file,
        const struct segment *segment, struct elf_kernel *kernel, struct error *err)
{
    if (segment->memsz == 0)
        return 0;
    uint8_t *to = memory_at(memory, segment->paddr, segment->memsz);
    if (!to)
        return error_set(err, ENOSPC,
                "%s: a segment of %" PRIu64 " bytes at 0x%" PRIx64 " does not fit into %" PRIu64
                " MiB of guest memory; give the machine more (-m)",
                file->name, segment->memsz, segment->paddr, memory->size >> 20);
    if (segment->filesz)
        memcpy(to, file->data + segment->offset, segment->filesz);
    memset(to + segment->filesz, 0, segment->memsz - segment->filesz);
    memory_written(memory, segment->paddr, segment->memsz);

    if (segment->paddr < kernel->low)
        kernel->low = segment->paddr;
    if (segment->paddr + segment->memsz > kernel->high)
        kernel->high = segment->paddr + segment->memsz;
    if (file->entry - segment->vaddr < segment->memsz)
        kernel->entry = file->entry - segment->vaddr + segment->paddr;
    return 0;
}

static uint64_t align4(uint64_t value)
{
    return (value + 3) & ~(uint64_t)3;
}

/* Notes are {name size, description size, type}, name and description padded to 4 bytes. */
static void find_pvh_note(
        const struct elf_file *file, const struct segment *segment, struct elf_kernel *kernel)
{
    const uint8_t *notes = file->data + segment->offset;
    uint64_t at = 0;

    while (segment->filesz - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof(note));
        uint64_t name = at + sizeof(note);
        uint64_t value = name + align4(note.n_namesz);
        uint64_t next = value + align4(note.n_descsz);
        if (next > segment->filesz)
            return;
        if (note.n_type == NOTE_PVH_ENTRY && note.n_namesz == 4 && note.n_descsz >= 4 &&
                !memcmp(notes + name, "Xen", 4)) {
            kernel->pvh_entry = 0;
            memcpy(&kernel->pvh_entry, notes + value, 4); /* entered in 32-bit mode */
            kernel->has_pvh = true;
        }
        at = next;
    }
}

int elf_load(const struct memory *memory, const uint8_t *data, size_t size, const char *name,
        struct elf_kernel *ret, struct error *err)
{
    struct elf_file file = {.data = data, .size = size, .name = name};
    struct elf_kernel kernel = {.low = UINT64_MAX};
    int r = read_header(&file, err);

    if (r < 0)
        return r;
    kernel.entry = file.entry;
    for (size_t i = 0; i < file.count; i++) {
        struct segment segment = read_segment(&file, i);
        if (segment.type != PT_LOAD && segment.type != PT_NOTE)
            continue;
        if (segment.offset > size || segment.filesz > size - segment.offset)
            return error_set(err, EBADMSG, "%s: segment %zu ends beyond the file's %zu bytes", name,
                    i, size);
        if (segment.type == PT_NOTE) {
            find_pvh_note(&file, &segment, &kernel);
            continue;
        }
        if (segment.filesz > segment.memsz)
            return error_set(
                    err, EBADMSG, "%s: segment %zu is larger in the file than in memory", name, i);
        r = load_segment(memory, &file, &segment, &kernel, err);
        if (r < 0)
            return r;
    }
    if (kernel.high == 0)
        return error_set(err, ENOEXEC, "%s: nothing in it is to be loaded", name);
    *ret = kernel;
    return 0;
}
