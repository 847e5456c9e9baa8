#include "cgroup/devices.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"

#define ANY (-1)
#define ATTACHED_MAX 64
#define INSTRUCTIONS_EACH 8 /* at most, for one rule */

enum { ACCESS_MKNOD = BPF_DEVCG_ACC_MKNOD, ACCESS_ALL = 7 };

static unsigned access_bits(const char *access)
{
    unsigned bits = 0;

    if (str_empty(access))
        return ACCESS_ALL;
    for (; *access; access++)
        bits |= *access == 'r'   ? (unsigned)BPF_DEVCG_ACC_READ
                : *access == 'w' ? (unsigned)BPF_DEVCG_ACC_WRITE
                                 : (unsigned)ACCESS_MKNOD;
    return bits;
}

static const char *access_text(unsigned bits)
{
    static const char *const texts[] = {"", "m", "r", "rm", "w", "wm", "rw", "rwm"};

    return texts[bits & ACCESS_ALL];
}

static int64_t number(const struct opt_i64 *value)
{
    return value->set ? value->value : ANY;
}

static bool is_everything(const struct cgroup_device_rule *rule)
{
    return rule->type == 'a' && number(&rule->major) == ANY && number(&rule->minor) == ANY &&
           access_bits(rule->access) == ACCESS_ALL;
}

int cgroup_devices_check(const struct cgroup_limits *limits, struct error *err)
{
    if (limits->devices.count > CGROUP_DEVICE_RULES_MAX)
        return error_set(err, EINVAL, "devices: more than %d rules", CGROUP_DEVICE_RULES_MAX);
    for (size_t i = 0; i < limits->devices.count; i++) {
        const struct cgroup_device_rule *rule = &limits->devices.items[i];
        const char *fault = NULL;
        if (!rule->type || !strchr("abc", rule->type))
            fault = "the type of a device rule is a, b or c";
        else if (rule->access && strspn(rule->access, "rwm") != strlen(rule->access))
            fault = "the access of a device rule is made of r, w and m";
        else if (number(&rule->major) < ANY || number(&rule->major) > UINT32_MAX ||
                 number(&rule->minor) < ANY || number(&rule->minor) > UINT32_MAX)
            fault = "a device number is between 0 and 4294967295, or -1 for all";
        if (fault)
            return error_set(err, EINVAL, "devices/%zu: %s", i, fault);
    }
    return 0;
}

/* An entry of a v1 list. */
struct entry {
    char type;
    int64_t major, minor;
    unsigned access;
};

/* What a v1 group holds: a default, and exceptions from it. */
struct device_list {
    struct arena *arena;
    bool allows; /* what is not listed */
    struct entry *items;
    size_t count, capacity;
};

static bool same_devices(const struct entry *a, const struct entry *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static bool overlap(const struct entry *a, const struct entry *b)
{
    return a->type == b->type && (a->access & b->access) &&
           (a->major == ANY || b->major == ANY || a->major == b->major) &&
           (a->minor == ANY || b->minor == ANY || a->minor == b->minor);
}

static void list_add(struct device_list *list, const struct entry *entry)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_devices(&list->items[i], entry)) {
            list->items[i].access |= entry->access;
            return;
        }
    list->items = arena_grow(
            list->arena, list->items, list->count, &list->capacity, sizeof(*list->items));
    list->items[list->count++] = *entry;
}

/* The kernel takes an exception back only for exactly the devices it was made for. */
static bool list_remove(struct device_list *list, const struct entry *entry)
{
    bool possible = true;

    for (size_t i = 0; i < list->count; i++) {
        if (same_devices(&list->items[i], entry))
            list->items[i].access &= ~entry->access;
        else if (overlap(&list->items[i], entry))
            possible = false;
    }
    return possible;
}

static const char *entry_text(struct arena *arena, const struct entry *entry)
{
    const char *major = entry->major == ANY ? "*" : arena_printf(arena, "%" PRId64, entry->major);
    const char *minor = entry->minor == ANY ? "*" : arena_printf(arena, "%" PRId64, entry->minor);

    return arena_printf(
            arena, "%c %s:%s %s", entry->type, major, minor, access_text(entry->access));
}

static void add_line(struct arena *arena, struct strv *lines, bool allow, const char *text)
{
    strv_add(arena, lines,
            arena_printf(arena, "%s %s", allow ? "devices.allow" : "devices.deny", text));
}

/* One rule, brought into the list that the group will have and into the lines that make it. */
static bool apply_rule(
        struct device_list *list, const struct cgroup_device_rule *rule, struct strv *lines)
{
    struct entry entry = {
            rule->type, number(&rule->major), number(&rule->minor), access_bits(rule->access)};

    if (is_everything(rule)) {
        list->allows = rule->allow;
        list->count = 0;
        *lines = (struct strv){0}; /* nothing is left of what they made */
        add_line(list->arena, lines, rule->allow, "a");
        return true;
    }
    for (const char *type = rule->type == 'a' ? "bc" : (char[]){rule->type, 0}; *type; type++) {
        entry.type = *type;
        if (rule->allow != list->allows)
            list_add(list, &entry);
        else if (!list_remove(list, &entry))
            return false;
        add_line(list->arena, lines, rule->allow, entry_text(list->arena, &entry));
    }
    return true;
}

int cgroup_devices_lines(const struct cgroup_limits *limits, struct arena *arena,
        struct strv *ret_lines, struct error *err)
{
    struct device_list list = {arena, .allows = true};

    *ret_lines = (struct strv){0};
    for (size_t i = 0; i < limits->devices.count; i++)
        if (!apply_rule(&list, &limits->devices.items[i], ret_lines))
            return error_set(err, EOPNOTSUPP,
                    "devices/%zu: the device lists of cgroup v1 cannot except a part of what an "
                    "earlier rule names; name the devices one by one",
                    i);
    return 0;
}

/* The file that lines are written to, open as long as they are for the same one. */
struct device_file {
    int fd;
    char path[4096];
};

static int write_line(
        struct device_file *file, const char *dir, const char *line, struct error *err)
{
    char path[sizeof(file->path)];
    const char *text = strchr(line, ' ') + 1;

    snprintf(path, sizeof(path), "%s/%.*s", dir, (int)(text - line - 1), line);
    if (file->fd < 0 || !str_equal(path, file->path)) {
        cleanup_close(&file->fd);
        file->fd = sys_cgroup_open(path, O_WRONLY);
        memcpy(file->path, path, sizeof(path));
    }
    int r = file->fd < 0 ? file->fd : sys_cgroup_write_fd(file->fd, text);
    if (r == 0)
        return 0;
    error_sys(err, -r, "write \"%s\" to %s", text, path);
    if (r == -EPERM)
        error_append(err, "; the cgroup above does not allow this device");
    return r;
}

int cgroup_devices_write(const char *dir, const struct strv *lines, struct error *err)
{
    struct device_file file = {.fd = -1};
    char *line;
    int r = 0;

    strv_foreach (line, lines) {
        if (r == 0)
            r = write_line(&file, dir, line, err);
    }
    cleanup_close(&file.fd);
    return r;
}

/* "c 1:3 rwm", with * for all. */
static bool parse_entry(const char *text, struct entry *ret)
{
    char major[16], minor[16], access[8];

    if (sscanf(text, "%c %15[^:]:%15s %7s", &ret->type, major, minor, access) != 4)
        return false;
    ret->access = access_bits(access);
    ret->major = ret->minor = ANY;
    return (str_equal(major, "*") || str_to_i64(major, &ret->major) == 0) &&
           (str_equal(minor, "*") || str_to_i64(minor, &ret->minor) == 0);
}

/* The list that the lines end in. */
static void list_of_lines(struct device_list *list, const struct strv *lines)
{
    char *line;

    strv_foreach (line, lines) {
        struct entry entry;
        bool allow = str_starts(line, "devices.allow");
        const char *text = strchr(line, ' ') + 1;
        if (str_equal(text, "a")) {
            list->allows = allow;
            list->count = 0;
        } else if (parse_entry(text, &entry)) {
            if (allow == list->allows)
                list_remove(list, &entry);
            else
                list_add(list, &entry);
        }
    }
}

/* devices.list of a group; false when it allows everything. */
static bool list_of_file(struct device_list *list, const char *dir)
{
    _cleanup_buf_ struct buf text = {.max = 1 << 20};
    struct strv lines = {0};
    char *line;

    if (io_read_file_at(AT_FDCWD, path_join(list->arena, dir, "devices.list"), &text) < 0)
        return false;
    strv_split(list->arena, &lines, buf_text(&text), '\n');
    strv_foreach (line, &lines) {
        struct entry entry;
        if (!parse_entry(line, &entry))
            continue;
        if (entry.type == 'a')
            return false;
        list_add(list, &entry);
    }
    return true;
}

/* Adds lines for the access of each entry of `from` that `other` does not have. */
static void add_difference(struct arena *arena, struct strv *lines, bool allow,
        const struct device_list *from, const struct device_list *other)
{
    for (size_t i = 0; i < from->count; i++) {
        struct entry entry = from->items[i];
        for (size_t j = 0; j < other->count; j++)
            if (same_devices(&entry, &other->items[j]))
                entry.access &= ~other->items[j].access;
        if (entry.access)
            add_line(arena, lines, allow, entry_text(arena, &entry));
    }
}

int cgroup_devices_rewrite(
        const char *dir, const struct strv *lines, struct arena *arena, struct error *err)
{
    struct device_list now = {arena, .allows = false};
    struct device_list wanted = {arena, .allows = true};
    struct strv difference = {0};

    list_of_lines(&wanted, lines);
    if (wanted.allows || !list_of_file(&now, dir))
        return cgroup_devices_write(dir, lines, err);
    add_difference(arena, &difference, true, &wanted, &now);
    add_difference(arena, &difference, false, &now, &wanted);
    return cgroup_devices_write(dir, &difference, err);
}

/* The program under construction. */
struct program {
    struct bpf_insn *items;
    size_t count;
};

enum { R0, R1, ACCESS = 2, TYPE, MAJOR, MINOR, SCRATCH };

static void emit(struct program *program, unsigned code, unsigned to, unsigned from, size_t jump,
        int32_t immediate)
{
    struct bpf_insn *item = &program->items[program->count++];

    *item = (struct bpf_insn){.code = (uint8_t)code, .off = (int16_t)jump, .imm = immediate};
    item->dst_reg = to & 0xf;
    item->src_reg = from & 0xf;
}

static void emit_return(struct program *program, bool allow)
{
    emit(program, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, allow);
    emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_start(struct program *program)
{
    const unsigned load = BPF_LDX | BPF_MEM | BPF_W;

    emit(program, load, ACCESS, R1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(program, BPF_ALU | BPF_MOV | BPF_X, TYPE, ACCESS, 0, 0);
    emit(program, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
    emit(program, BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
    emit(program, load, MAJOR, R1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(program, load, MINOR, R1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

/* Jumps over the rule when the register differs; the distance is filled in at the rule's end. */
static void emit_match(struct program *program, unsigned reg, int64_t value)
{
    emit(program, BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, (int32_t)(uint32_t)value);
}

static void emit_rule(struct program *program, const struct cgroup_device_rule *rule)
{
    size_t start = program->count;
    unsigned bits = access_bits(rule->access);

    if (rule->type != 'a')
        emit_match(program, TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (number(&rule->major) != ANY)
        emit_match(program, MAJOR, rule->major.value);
    if (number(&rule->minor) != ANY)
        emit_match(program, MINOR, rule->minor.value);
    size_t matches = program->count;
    if (bits != ACCESS_ALL && rule->allow) {
        /* what this rule allows needs no other's word; go on with the rest */
        emit(program, BPF_ALU | BPF_AND | BPF_K, ACCESS, 0, 0, (int32_t)(ACCESS_ALL & ~bits));
        emit(program, BPF_JMP32 | BPF_JNE | BPF_K, ACCESS, 0, 2, 0);
    } else if (bits != ACCESS_ALL) {
        emit(program, BPF_ALU | BPF_MOV | BPF_X, SCRATCH, ACCESS, 0, 0);
        emit(program, BPF_ALU | BPF_AND | BPF_K, SCRATCH, 0, 0, (int32_t)bits);
        emit(program, BPF_JMP32 | BPF_JEQ | BPF_K, SCRATCH, 0, 2, 0);
    }
    emit_return(program, rule->allow);
    for (size_t i = start; i < matches; i++)
        program->items[i].off = (int16_t)(program->count - i - 1);
}

struct bpf_insn *cgroup_devices_program(
        const struct cgroup_limits *limits, struct arena *arena, size_t *ret_count)
{
    size_t most = (limits->devices.count + 2) * INSTRUCTIONS_EACH;
    struct program program = {arena_new_array(arena, struct bpf_insn, most), 0};
    bool closed = false;

    emit_start(&program);
    for (size_t i = limits->devices.count; i-- > 0 && !closed;) {
        const struct cgroup_device_rule *rule = &limits->devices.items[i];
        closed = is_everything(rule); /* the verifier takes no code behind it */
        emit_rule(&program, rule);
    }
    if (!closed)
        emit_return(&program, true);
    *ret_count = program.count;
    return program.items;
}

static int explain_bpf(int errnum, const char *what, const char *dir, struct error *err)
{
    error_sys(err, errnum, "%s for the device rules of %s", what, dir);
    if (errnum == EPERM)
        return error_append(err, "; it needs CAP_SYS_ADMIN, or CAP_BPF with CAP_NET_ADMIN, on the "
                                 "host (bpf(2))");
    return -errnum;
}

/* Attaches beside what is there, then takes that away; a single one is replaced in one call. */
static int attach(int cgroup_fd, int program_fd, const uint32_t *old, int old_count)
{
    int old_fds[ATTACHED_MAX];
    int r;

    for (int i = 0; i < old_count; i++)
        old_fds[i] = sys_bpf_program_by_id(old[i]);
    if (old_count == 1 && old_fds[0] >= 0)
        r = sys_bpf_attach_device(
                cgroup_fd, program_fd, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old_fds[0]);
    else
        r = sys_bpf_attach_device(cgroup_fd, program_fd, BPF_F_ALLOW_MULTI, -1);
    for (int i = 0; i < old_count; i++) {
        if (r == 0 && old_count > 1 && old_fds[i] >= 0)
            r = sys_bpf_detach_device(cgroup_fd, old_fds[i]);
        cleanup_close(&old_fds[i]);
    }
    return r;
}

int cgroup_devices_load(const struct cgroup_limits *limits, struct arena *arena,
        struct cgroup_device_loaded *ret, struct error *err)
{
    struct cgroup_device_loaded loaded = {0};

    loaded.program = cgroup_devices_program(limits, arena, &loaded.count);
    loaded.fd = sys_bpf_load_device(loaded.program, loaded.count, NULL, 0);
    if (loaded.fd < 0)
        return explain_bpf(-loaded.fd, "load the program", "a group to come", err);
    *ret = loaded;
    return 0;
}

/* A descriptor of the program, which is the caller's. */
static int open_program(
        const struct bpf_insn *program, size_t count, const struct cgroup_device_loaded *loaded)
{
    if (!loaded || loaded->count != count ||
            memcmp(loaded->program, program, count * sizeof(*program)) != 0)
        return sys_bpf_load_device(program, count, NULL, 0);
    int fd = fcntl(loaded->fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? -errno : fd;
}

int cgroup_devices_attach(const char *dir, const struct bpf_insn *program, size_t count,
        const struct cgroup_device_loaded *loaded, bool replace, struct error *err)
{
    uint32_t old[ATTACHED_MAX];
    int old_count = 0;

    _cleanup_close_ int cgroup_fd = sys_cgroup_open(dir, O_RDONLY | O_DIRECTORY);
    if (cgroup_fd < 0)
        return error_sys(err, -cgroup_fd, "open %s", dir);
    _cleanup_close_ int program_fd = open_program(program, count, loaded);
    if (program_fd < 0)
        return explain_bpf(-program_fd, "load the program", dir, err);
    if (replace)
        old_count = sys_bpf_query_device(cgroup_fd, old, ATTACHED_MAX);
    if (old_count < 0)
        return explain_bpf(-old_count, "look for the program in place", dir, err);
    int r = attach(cgroup_fd, program_fd, old, old_count);
    return r < 0 ? explain_bpf(-r, "attach the program", dir, err) : 0;
}
