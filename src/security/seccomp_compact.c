#include "security/seccomp_compact.h"

#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ARCHS_MAX 32
#define EDGES_MAX 8192
#define WORK_MAX (UINT64_C(1) << 26) /* instructions followed */
#define OTHERS_MAX 3
#define JUMP_MAX 255u /* of a conditional jump */
#define NOWHERE UINT32_MAX

struct program {
    const struct sock_filter *code;
    uint32_t count;
};

/* Where a program comes to: it returns `value`, or is about to look at an argument at `value`. */
struct outcome {
    bool returns;
    uint32_t value;
};

/* Numbers from `first` up to the next range's have the same outcome, but for a few. */
struct range {
    uint32_t first;
    struct outcome outcome;
    uint32_t other_count;
    struct other {
        uint32_t number;
        struct outcome outcome;
    } others[OTHERS_MAX];
};

struct compact {
    struct arena *arena;
    struct program from;
    uint32_t archs[ARCHS_MAX + 1]; /* one more: none of them */
    uint32_t arch_count;
    uint32_t edges[EDGES_MAX + 1]; /* where ranges may begin, sorted; 0 is the first */
    uint32_t edge_count;

    /* The result, last instruction first: jumps only go forward, so their targets are known. */
    struct sock_filter *made;
    uint32_t made_count;
    bool too_long;
    uint32_t *copied; /* of each instruction of the original: its place in `made`, or NOWHERE */
};

/* ---- following ------------------------------------------------------------------------------- */

enum { HOLDS_NOTHING = 1, HOLDS_ARCH = 2, HOLDS_NUMBER = 4, HOLDS_OTHER = 8 };

static bool is_load(const struct sock_filter *op)
{
    return op->code == (BPF_LD | BPF_W | BPF_ABS);
}

static unsigned loaded(const struct sock_filter *op)
{
    if (op->k == offsetof(struct seccomp_data, arch))
        return HOLDS_ARCH;
    return op->k == offsetof(struct seccomp_data, nr) ? HOLDS_NUMBER : HOLDS_OTHER;
}

static bool is_compare(const struct sock_filter *op)
{
    return op->code == (BPF_JMP | BPF_JEQ | BPF_K) || op->code == (BPF_JMP | BPF_JGT | BPF_K) ||
           op->code == (BPF_JMP | BPF_JGE | BPF_K);
}

static bool compare(const struct sock_filter *op, uint32_t value)
{
    if (BPF_OP(op->code) == BPF_JEQ)
        return value == op->k;
    return BPF_OP(op->code) == BPF_JGT ? value > op->k : value >= op->k;
}

/* False for what is not followed: arithmetic, memory, the end of the program. */
static bool follow(
        const struct program *program, uint32_t arch, uint32_t number, struct outcome *ret)
{
    uint32_t held = 0;

    for (uint64_t pc = 0; pc < program->count; pc++) {
        const struct sock_filter *op = &program->code[pc];
        if (op->code == (BPF_RET | BPF_K) || (is_load(op) && loaded(op) == HOLDS_OTHER)) {
            bool returns = op->code == (BPF_RET | BPF_K);
            *ret = (struct outcome){returns, returns ? op->k : (uint32_t)pc};
            return true;
        }
        if (is_load(op))
            held = loaded(op) == HOLDS_ARCH ? arch : number;
        else if (is_compare(op))
            pc += compare(op, held) ? op->jt : op->jf;
        else if (op->code == (BPF_JMP | BPF_JA))
            pc += op->k;
        else
            return false;
    }
    return false;
}

/* ---- what it compares with ------------------------------------------------------------------- */

static void add_edge(struct compact *compact, uint32_t edge)
{
    if (compact->edge_count <= EDGES_MAX)
        compact->edges[compact->edge_count++] = edge;
}

static bool note_number(struct compact *compact, const struct sock_filter *op)
{
    if (BPF_OP(op->code) != BPF_JGT)
        add_edge(compact, op->k);
    if (BPF_OP(op->code) != BPF_JGE && op->k != UINT32_MAX)
        add_edge(compact, op->k + 1);
    return compact->edge_count <= EDGES_MAX;
}

static bool has_arch(const struct compact *compact, uint32_t arch)
{
    for (uint32_t i = 0; i < compact->arch_count; i++)
        if (compact->archs[i] == arch)
            return true;
    return false;
}

static bool note_arch(struct compact *compact, const struct sock_filter *op)
{
    if (has_arch(compact, op->k))
        return BPF_OP(op->code) == BPF_JEQ;
    if (compact->arch_count == ARCHS_MAX || BPF_OP(op->code) != BPF_JEQ)
        return false;
    compact->archs[compact->arch_count++] = op->k;
    return true;
}

/* `holds` has for each instruction what the accumulator may hold before it. */
static bool note(struct compact *compact, uint32_t at, uint8_t *holds)
{
    const struct sock_filter *op = &compact->from.code[at];
    uint64_t yes = at + 1, no = yes;
    uint8_t after = is_load(op) ? (uint8_t)loaded(op) : holds[at];

    if (BPF_CLASS(op->code) == BPF_RET)
        return true;
    if (op->code == (BPF_JMP | BPF_JA)) {
        yes = no = (uint64_t)at + 1 + op->k;
    } else if (BPF_CLASS(op->code) == BPF_JMP) {
        yes += op->jt;
        no += op->jf;
        if (holds[at] & (HOLDS_ARCH | HOLDS_NUMBER)) {
            if (!is_compare(op) || (holds[at] != HOLDS_ARCH && holds[at] != HOLDS_NUMBER))
                return false;
            if (!(holds[at] == HOLDS_ARCH ? note_arch : note_number)(compact, op))
                return false;
        }
    } else if (!is_load(op)) {
        after = HOLDS_OTHER;
    }
    if (yes >= compact->from.count || no >= compact->from.count)
        return false;
    holds[yes] |= after;
    holds[no] |= after;
    return true;
}

static int by_number(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

    return a < b ? -1 : a > b;
}

static bool note_all(struct compact *compact)
{
    _cleanup_free_ uint8_t *holds = calloc(compact->from.count, 1);
    uint32_t kept = 0;

    if (!holds)
        return false;
    holds[0] = HOLDS_NOTHING;
    add_edge(compact, 0);
    for (uint32_t at = 0; at < compact->from.count; at++)
        if (holds[at] && !note(compact, at, holds))
            return false;
    qsort(compact->edges, compact->edge_count, sizeof(*compact->edges), by_number);
    for (uint32_t i = 0; i < compact->edge_count; i++)
        if (!i || compact->edges[i] != compact->edges[kept - 1])
            compact->edges[kept++] = compact->edges[i];
    compact->edge_count = kept;
    return true;
}

/* The native one first, and none of them last. */
static void order_archs(struct compact *compact, uint32_t native)
{
    uint32_t none = 0;

    for (uint32_t i = 1; i < compact->arch_count; i++)
        if (compact->archs[i] == native) {
            compact->archs[i] = compact->archs[0];
            compact->archs[0] = native;
        }
    while (has_arch(compact, none))
        none++;
    compact->archs[compact->arch_count] = none;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Returns its place. */
static uint32_t put(struct compact *compact, struct sock_filter op)
{
    if (compact->made_count == compact->from.count) {
        compact->too_long = true; /* not smaller: what follows does not matter */
        return 0;
    }
    compact->made[compact->made_count] = op;
    return compact->made_count++;
}

/* How far from the next instruction that is put. */
static uint32_t distance(const struct compact *compact, uint32_t place)
{
    return compact->made_count - 1 - place;
}

static uint32_t put_jump(struct compact *compact, uint32_t place)
{
    return put(compact, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, distance(compact, place)));
}

/* A place that a conditional jump which is put next or `before` instructions later can reach. */
static uint32_t reachable(struct compact *compact, uint32_t place, uint32_t before)
{
    return distance(compact, place) + before <= JUMP_MAX ? place : put_jump(compact, place);
}

static uint32_t put_outcome(struct compact *compact, struct outcome outcome)
{
    if (!outcome.returns)
        return compact->copied[outcome.value];
    for (uint32_t i = compact->made_count; i > 0 && distance(compact, i - 1) < JUMP_MAX / 2; i--)
        if (compact->made[i - 1].code == (BPF_RET | BPF_K) &&
                compact->made[i - 1].k == outcome.value)
            return i - 1;
    return put(compact, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, outcome.value));
}

static uint32_t put_compare(
        struct compact *compact, uint16_t kind, uint32_t with, uint32_t yes, uint32_t no)
{
    yes = reachable(compact, yes, 1);
    no = reachable(compact, no, 0);
    struct sock_filter op = {
            .code = (uint16_t)(BPF_JMP | kind | BPF_K),
            .jt = (uint8_t)distance(compact, yes),
            .jf = (uint8_t)distance(compact, no),
            .k = with,
    };
    return put(compact, op);
}

static uint32_t put_range(struct compact *compact, const struct range *range)
{
    uint32_t place = put_outcome(compact, range->outcome);

    for (uint32_t i = 0; i < range->other_count; i++) {
        uint32_t other = put_outcome(compact, range->others[i].outcome);
        place = put_compare(compact, BPF_JEQ, range->others[i].number, other, place);
    }
    return place;
}

static uint32_t put_search(struct compact *compact, const struct range *ranges, uint32_t count)
{
    uint32_t half = count / 2;

    if (count == 1)
        return put_range(compact, ranges);
    uint32_t above = put_search(compact, ranges + half, count - half);
    uint32_t below = put_search(compact, ranges, half);
    return put_compare(compact, BPF_JGE, ranges[half].first, above, below);
}

/* The code behind looks at arguments, as it was. */
static void put_copies(struct compact *compact)
{
    for (uint32_t at = compact->from.count; at-- > 0;) {
        struct sock_filter op = compact->from.code[at];
        if (compact->copied[at] == NOWHERE)
            continue;
        if (op.code == (BPF_JMP | BPF_JA)) {
            op.k = distance(compact, compact->copied[at + 1 + op.k]);
        } else if (BPF_CLASS(op.code) == BPF_JMP) {
            op.jt = (uint8_t)distance(compact, compact->copied[at + 1 + op.jt]);
            op.jf = (uint8_t)distance(compact, compact->copied[at + 1 + op.jf]);
        }
        compact->copied[at] = put(compact, op);
    }
}

/* ---- deciding -------------------------------------------------------------------------------- */

static bool is_same(struct outcome one, struct outcome other)
{
    return one.returns == other.returns && one.value == other.value;
}

/* The last two ranges and one that follows: one range, when the middle is a single number. */
static bool fold(struct range *ranges, uint32_t count, const struct range *next)
{
    if (count < 2)
        return false;
    const struct range *single = &ranges[count - 1];
    struct range *range = &ranges[count - 2];
    if (single->first + 1 != next->first || single->other_count ||
            !is_same(range->outcome, next->outcome) || range->other_count == OTHERS_MAX)
        return false;
    range->others[range->other_count++] = (struct other){single->first, single->outcome};
    return true;
}

/* The ranges of an architecture, neighbours with one outcome made one. Returns how many; 0: not to
 * be followed. */
static uint32_t find_ranges(const struct compact *compact, uint32_t arch, struct range *ranges)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < compact->edge_count; i++) {
        struct range range = {.first = compact->edges[i]};
        if (!follow(&compact->from, arch, range.first, &range.outcome))
            return 0;
        if (fold(ranges, count, &range))
            count--;
        else if (!count || !is_same(ranges[count - 1].outcome, range.outcome))
            ranges[count++] = range;
    }
    return count;
}

/* What is about to look at an argument has to be there still. */
static void want_copy(struct compact *compact, struct outcome outcome)
{
    if (!outcome.returns)
        compact->copied[outcome.value] = 0;
}

/* Marks what can be reached from where arguments are looked at. */
static void mark_copied(struct compact *compact)
{
    for (uint32_t at = 0; at < compact->from.count; at++) {
        const struct sock_filter *op = &compact->from.code[at];
        if (compact->copied[at] == NOWHERE || BPF_CLASS(op->code) == BPF_RET)
            continue;
        if (op->code == (BPF_JMP | BPF_JA)) {
            compact->copied[at + 1 + op->k] = 0;
        } else if (BPF_CLASS(op->code) == BPF_JMP) {
            compact->copied[at + 1 + op->jt] = 0;
            compact->copied[at + 1 + op->jf] = 0;
        } else {
            compact->copied[at + 1] = 0;
        }
    }
}

/* The ranges of all architectures, one after the other, each `edge_count` apart. */
static bool find_all(struct compact *compact, struct range *ranges, uint32_t *counts)
{
    for (uint32_t i = 0; i <= compact->arch_count; i++) {
        struct range *own = ranges + (size_t)i * compact->edge_count;
        counts[i] = find_ranges(compact, compact->archs[i], own);
        if (!counts[i])
            return false;
        for (uint32_t j = 0; j < counts[i]; j++) {
            want_copy(compact, own[j].outcome);
            for (uint32_t k = 0; k < own[j].other_count; k++)
                want_copy(compact, own[j].others[k].outcome);
        }
    }
    return true;
}

/* A load, after which it goes on at `place`. */
static uint32_t put_load(struct compact *compact, uint32_t offset, uint32_t place)
{
    if (distance(compact, place))
        put_jump(compact, place);
    return put(compact, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static uint32_t put_arch(struct compact *compact, const struct range *ranges, uint32_t count)
{
    uint32_t place = put_search(compact, ranges, count);

    return count == 1 && !ranges->other_count
                   ? place
                   : put_load(compact, offsetof(struct seccomp_data, nr), place);
}

static bool write_all(struct compact *compact)
{
    size_t all = (size_t)(compact->arch_count + 1) * compact->edge_count;
    _cleanup_free_ struct range *ranges = calloc(all, sizeof(*ranges));
    uint32_t counts[ARCHS_MAX + 1] = {0}, places[ARCHS_MAX + 1] = {0};

    if (!ranges || !find_all(compact, ranges, counts))
        return false;
    mark_copied(compact);
    put_copies(compact);
    for (uint32_t i = compact->arch_count + 1; i-- > 0;)
        places[i] = put_arch(compact, ranges + (size_t)i * compact->edge_count, counts[i]);
    uint32_t next = places[compact->arch_count];
    for (uint32_t i = compact->arch_count; i-- > 0;)
        next = put_compare(compact, BPF_JEQ, compact->archs[i], places[i], next);
    put_load(compact, offsetof(struct seccomp_data, arch), next);
    return !compact->too_long;
}

/* The result as a program of its own. */
static bool turn_round(struct compact *compact)
{
    for (uint32_t i = 0; i < compact->made_count / 2; i++) {
        struct sock_filter op = compact->made[i];
        compact->made[i] = compact->made[compact->made_count - 1 - i];
        compact->made[compact->made_count - 1 - i] = op;
    }
    return compact->made_count < compact->from.count;
}

static bool decides_the_same(const struct compact *compact)
{
    struct program made = {compact->made, compact->made_count};

    for (uint32_t i = 0; i <= compact->arch_count; i++)
        for (uint32_t j = 0; j < compact->edge_count; j++) {
            struct outcome before, after;
            uint32_t arch = compact->archs[i], number = compact->edges[j];
            if (!follow(&compact->from, arch, number, &before) ||
                    !follow(&made, arch, number, &after))
                return false;
            if (!before.returns)
                before.value = made.count - 1 - compact->copied[before.value];
            if (!is_same(before, after))
                return false;
        }
    return true;
}

bool seccomp_compact(struct arena *arena, const struct sock_filter *code, uint32_t count,
        uint32_t native, struct sock_filter **ret, uint32_t *ret_count)
{
    _cleanup_free_ struct compact *compact = calloc(1, sizeof(*compact));
    _cleanup_free_ uint32_t *copied = calloc(count + 1, sizeof(*copied));
    _cleanup_free_ struct sock_filter *made = calloc(count + 1, sizeof(*made));

    if (!compact || !copied || !made || !count)
        return false;
    memset(copied, 0xff, count * sizeof(*copied)); /* NOWHERE */
    compact->from = (struct program){code, count};
    compact->made = made;
    compact->copied = copied;
    if (!note_all(compact))
        return false;
    order_archs(compact, native);
    if ((uint64_t)count * compact->edge_count * (compact->arch_count + 1) > WORK_MAX)
        return false;
    if (!write_all(compact) || !turn_round(compact) || !decides_the_same(compact))
        return false;
    *ret = arena_memdup(arena, made, compact->made_count * sizeof(*made));
    *ret_count = compact->made_count;
    return true;
}
