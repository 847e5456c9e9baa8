#include "cpu/blocks.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"

#define BLOCK_OPS_MAX 64u
#define PAGE_BUCKETS 64u
#define CODE_BUCKETS 4096u
#define CHUNK_BYTES (((size_t)2 << 20) - sizeof(struct chunk))
#define CODE_BYTES_MAX ((size_t)16 << 20)

struct block {
    struct block *next;
    struct block *next_crossing; /* in the list of the page that its last instruction ends in */
    uint64_t second;             /* that page; 0: it ends in its own page */
    uint16_t off;
    uint8_t mode;
    bool dead;
    struct op ops[];
};

struct code_page {
    struct code_page *next;
    uint64_t gpa;
    struct block *bucket[PAGE_BUCKETS];
    struct block *crossing; /* blocks of other pages that end in this one */
};

struct chunk {
    struct chunk *next;
    size_t used;
    uint8_t data[] __attribute__((aligned(16)));
};

/* Pages and blocks live in chunks that are only given back all at once. */
struct cpu_code {
    struct chunk *chunks;
    size_t bytes;
    uint64_t epoch;
    struct op single[2];
    struct op draft[BLOCK_OPS_MAX + 1];
    struct code_page *page[CODE_BUCKETS];
};

/* ------------------------------------------------------------------ memory */

int blocks_new(struct cpu_code **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

static void free_chunks(struct cpu_code *code)
{
    while (code->chunks) {
        struct chunk *chunk = code->chunks;
        code->chunks = chunk->next;
        munmap(chunk, sizeof(*chunk) + CHUNK_BYTES);
    }
    code->bytes = 0;
}

void blocks_free(struct cpu_code *code)
{
    if (!code)
        return;
    free_chunks(code);
    free(code);
}

void blocks_forget_all(struct cpu *cpu)
{
    free_chunks(cpu->code);
    memset(cpu->code->page, 0, sizeof(cpu->code->page));
    cpu->code->epoch++;
    jumps_forget(cpu);
    cpu->chain_from = NULL;
}

uint64_t blocks_epoch(const struct cpu *cpu)
{
    return cpu->code->epoch;
}

/* In large pages where the host has them: nearly all of it will be written. */
static struct chunk *map_chunk(void)
{
    size_t size = sizeof(struct chunk) + CHUNK_BYTES;
    char *room = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    char *chunk = (char *)(((uintptr_t)room + size - 1) & ~(size - 1));
    if (chunk > room)
        munmap(room, (size_t)(chunk - room));
    if (chunk < room + size)
        munmap(chunk + size, (size_t)(room + size - chunk));
    (void)madvise(chunk, size, MADV_HUGEPAGE);
    return (struct chunk *)chunk;
}

/* Zeroed memory; NULL when the cap is reached or there is no memory. */
static void *take_memory(struct cpu_code *code, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct chunk *chunk = code->chunks;
    if (!chunk || chunk->used + size > CHUNK_BYTES) {
        if (code->bytes + CHUNK_BYTES > CODE_BYTES_MAX)
            return NULL;
        chunk = map_chunk();
        if (!chunk)
            return NULL;
        chunk->next = code->chunks;
        code->chunks = chunk;
        code->bytes += CHUNK_BYTES;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    return memory;
}

/* ------------------------------------------------------------------ pages */

static struct code_page **page_bucket(struct cpu_code *code, uint64_t gpa)
{
    return &code->page[(gpa >> PAGE_BITS) % CODE_BUCKETS];
}

static struct code_page *page_find(struct cpu_code *code, uint64_t gpa)
{
    struct code_page *page = *page_bucket(code, gpa);
    while (page && page->gpa != gpa)
        page = page->next;
    return page;
}

static struct code_page *page_get(struct cpu_code *code, uint64_t gpa)
{
    struct code_page *page = page_find(code, gpa);
    if (page)
        return page;
    page = take_memory(code, sizeof(*page));
    if (!page)
        return NULL;
    page->gpa = gpa;
    page->next = *page_bucket(code, gpa);
    *page_bucket(code, gpa) = page;
    return page;
}

bool blocks_forget_page(struct cpu *cpu, uint64_t gpa)
{
    struct code_page *page = page_find(cpu->code, gpa);
    if (!page)
        return false;
    bool any = page->crossing != NULL;
    for (struct block *block = page->crossing; block; block = block->next_crossing)
        block->dead = true;
    page->crossing = NULL;
    for (unsigned i = 0; i < PAGE_BUCKETS; i++) {
        any = any || page->bucket[i];
        page->bucket[i] = NULL;
    }
    jumps_forget(cpu);
    cpu->chain_from = NULL;
    cpu->stats.code_invalidations++;
    return any;
}

/* From now on writes to this part of a page are noticed, by every CPU. */
static void watch_lines(struct cpu *cpu, uint64_t gpa, unsigned size)
{
    const struct slot *slot = space_find(cpu->config.space, gpa);
    if (!slot)
        return;
    uint64_t mask = line_mask(gpa, size), before = atomic_load(slot_lines(slot, gpa));
    if ((before & mask) == mask)
        return;
    before = atomic_fetch_or(slot_lines(slot, gpa), mask);
    if (before)
        return;
    mmu_protect_frame(cpu, gpa);
    space_post(cpu->config.space, cpu, gpa, true);
}

void blocks_take_posted(struct cpu *cpu)
{
    struct posted_page posted[POSTED_MAX];
    struct cpu_space *space = cpu->config.space;
    pthread_mutex_lock(&space->lock);
    unsigned count = cpu->posted_count;
    if (count && count <= POSTED_MAX)
        memcpy(posted, cpu->posted, count * sizeof(posted[0]));
    cpu->posted_count = 0;
    atomic_fetch_and(&cpu->attention, ~ATTEND_PAGES);
    pthread_mutex_unlock(&space->lock);
    if (count > POSTED_MAX) {
        blocks_forget_all(cpu);
        mmu_flush(cpu);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!posted[i].protect)
            blocks_forget_page(cpu, posted[i].gpa);
        else if (mmu_protect_frame(cpu, posted[i].gpa))
            space_post(space, cpu, posted[i].gpa, false); /* it may have been written meanwhile */
    }
}

/* ------------------------------------------------------------------ decoding a block */

#define LENGTH_MAX 15u
#define SOURCE_MAX (BLOCK_OPS_MAX * LENGTH_MAX)
#define SOURCE_STEP 64u

/* The page's part of the code, copied so that it cannot change while it is decoded; a step at a
 * time, since most blocks are short. */
struct source {
    uint8_t bytes[SOURCE_MAX + LENGTH_MAX];
    const uint8_t *from;
    unsigned count, end; /* bytes copied, and that there may be */
};

static void read_on(struct source *source)
{
    unsigned more = source->end - source->count;
    if (more > SOURCE_STEP)
        more = SOURCE_STEP;
    memcpy(source->bytes + source->count, source->from + source->count, more);
    source->count += more;
}

static void take_source(struct source *source, const uint8_t *page, unsigned off, unsigned most)
{
    source->from = page + off;
    source->end = PAGE_BYTES - off < most ? (unsigned)PAGE_BYTES - off : most;
    source->count = 0;
    read_on(source);
}

static void place(struct op *op, unsigned off, unsigned count)
{
    op->off = (uint16_t)off;
    op->count = (uint8_t)count;
    if (op->base == REG_PAGE * 8)
        op->disp += off + op->len;
}

/* The operation after the last: goes on at the next address without being an instruction. */
HANDLER(op_go_on)
{
    uint64_t linear = cpu->regs[REG_PAGE] + op->off;
    cpu->left -= op->count;
    if (op->link && cpu->left > 0)
        GOTO((const struct op *)op->link);
    cpu->rip = rip_of_linear(cpu, linear);
    if (op->off < PAGE_BYTES)
        cpu->chain_from = (struct op *)op;
    return NULL;
}

static void end_block(struct op *op, unsigned off, unsigned count)
{
    *op = (struct op){.fn = op_go_on, .off = (uint16_t)off, .count = (uint8_t)count};
}

static const struct itlb_entry *next_page(struct cpu *cpu, uint64_t linear)
{
    uint64_t next = (linear & PAGE_MASK) + PAGE_BYTES;
    return mmu_fetch(cpu, cpu_long_mode(cpu) ? next : (uint32_t)next);
}

/* An instruction that continues in the next page: its bytes from both. */
static unsigned decode_crossing(struct cpu *cpu, uint64_t linear, struct source *source,
        struct op *op, uint64_t *ret_second)
{
    struct decoded decoded;
    const struct itlb_entry *entry = next_page(cpu, linear);
    *ret_second = entry->gpa;
    watch_lines(cpu, entry->gpa, 16);
    memcpy(source->bytes + source->count, entry->host, LENGTH_MAX);
    unsigned length = cpu_decode(
            source->bytes, source->count + LENGTH_MAX, (enum cpu_mode)cpu->mode, op, &decoded);
    place(op, (unsigned)(linear & 4095), 1);
    return length;
}

static bool ends_block(const struct decoded *decoded)
{
    return !decoded->opcode || (decoded->opcode->attr & AT_END);
}

/* Decodes to `ops`; returns how many operations that is. `*ret_bytes` is the length decoded. */
static unsigned decode_run(struct cpu *cpu, uint64_t linear, struct source *source, unsigned most,
        struct op *ops, unsigned *ret_bytes, uint64_t *ret_second)
{
    unsigned at = 0, count = 0, first = (unsigned)(linear & 4095);
    while (count < most) {
        struct decoded decoded;
        if (source->count - at < LENGTH_MAX && source->count < source->end)
            read_on(source);
        unsigned length = cpu_decode(source->bytes + at, source->count - at,
                (enum cpu_mode)cpu->mode, &ops[count], &decoded);
        if (!length && !count) {
            length = decode_crossing(cpu, linear, source, &ops[0], ret_second);
            at = length;
            count = 1;
            break;
        }
        if (!length)
            break;
        place(&ops[count], first + at, count + 1);
        at += length;
        count++;
        if (ends_block(&decoded))
            break;
    }
    end_block(&ops[count], first + at, count);
    *ret_bytes = at;
    return count + 1;
}

static unsigned bytes_in_first(uint64_t linear, unsigned bytes)
{
    unsigned room = 4096 - (unsigned)(linear & 4095);
    return bytes < room ? bytes : room;
}

/* Decodes until what was decoded is what is in memory although every write is now noticed. */
static unsigned decode_stable(struct cpu *cpu, uint64_t linear, const struct itlb_entry *entry,
        unsigned *ret_bytes, uint64_t *ret_second)
{
    const uint8_t *host = entry->host;
    uint64_t gpa = entry->gpa | (linear & 4095);
    unsigned off = (unsigned)(linear & 4095), count, inside;
    struct source source;
    watch_lines(cpu, gpa, 1);
    do {
        *ret_second = 0;
        take_source(&source, host, off, SOURCE_MAX);
        count = decode_run(
                cpu, linear, &source, BLOCK_OPS_MAX, cpu->code->draft, ret_bytes, ret_second);
        inside = bytes_in_first(linear, *ret_bytes);
        watch_lines(cpu, gpa, inside);
    } while (memcmp(source.bytes, host + off, inside) != 0);
    return count;
}

static struct block *block_keep(
        struct cpu *cpu, uint64_t gpa, unsigned off, unsigned count, uint64_t second)
{
    size_t bytes = count * sizeof(struct op);
    struct code_page *page = page_get(cpu->code, gpa);
    struct code_page *other = second ? page_get(cpu->code, second) : page;
    struct block *block = page && other ? take_memory(cpu->code, sizeof(*block) + bytes) : NULL;
    if (!block)
        return NULL;
    *block = (struct block){.second = second, .off = (uint16_t)off, .mode = cpu->mode};
    memcpy(block->ops, cpu->code->draft, bytes);
    block->next = page->bucket[off % PAGE_BUCKETS];
    page->bucket[off % PAGE_BUCKETS] = block;
    if (second) {
        block->next_crossing = other->crossing;
        other->crossing = block;
    }
    return block;
}

static struct block *block_build(struct cpu *cpu, uint64_t linear, const struct itlb_entry *entry)
{
    unsigned bytes, off = (unsigned)(linear & 4095);
    uint64_t second, gpa = entry->gpa;
    unsigned count = decode_stable(cpu, linear, entry, &bytes, &second);
    cpu->stats.blocks_decoded++;
    struct block *block = block_keep(cpu, gpa, off, count, second);
    if (!block) {
        blocks_forget_all(cpu);
        block = block_keep(cpu, gpa, off, count, second);
    }
    return block;
}

static bool still_there(struct cpu *cpu, const struct block *block, uint64_t linear)
{
    if (block->dead)
        return false;
    if (!block->second)
        return true;
    return next_page(cpu, linear)->gpa == block->second;
}

const struct op *blocks_find(struct cpu *cpu, uint64_t linear)
{
    struct jump_entry *jump = &cpu->jump[jump_index(linear)];
    if (!cpu->chain_from && jump->linear == linear && jump->key == cpu->jump_key)
        return jump->ops;
    const struct itlb_entry *entry = mmu_fetch(cpu, linear);
    struct code_page *page = page_find(cpu->code, entry->gpa);
    unsigned off = (unsigned)(linear & 4095);
    struct block *block = page ? page->bucket[off % PAGE_BUCKETS] : NULL;
    while (block &&
            (block->off != off || block->mode != cpu->mode || !still_there(cpu, block, linear)))
        block = block->next;
    if (!block)
        block = block_build(cpu, linear, mmu_fetch(cpu, linear));
    struct op *from = cpu->chain_from;
    cpu->chain_from = NULL;
    if (!block)
        return blocks_single(cpu, linear);
    if (from && !block->second)
        from->link = block->ops;
    jumps_note(cpu, linear, entry->global && (!block->second || next_page(cpu, linear)->global));
    *jump = (struct jump_entry){linear, cpu->jump_key, block->ops};
    return block->ops;
}

const struct op *blocks_single(struct cpu *cpu, uint64_t linear)
{
    const struct itlb_entry *entry = mmu_fetch(cpu, linear);
    struct source source;
    unsigned bytes;
    uint64_t second;
    take_source(&source, entry->host, (unsigned)(linear & 4095), LENGTH_MAX);
    decode_run(cpu, linear, &source, 1, cpu->code->single, &bytes, &second);
    return cpu->code->single;
}
