#include "security/program.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "security/passwd.h"
#include "sys/mount.h"
#include "sys/process.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PROGRAM_NAME_MAX 4096
#define NOT_FOUND 127
#define NOT_EXECUTABLE 126

struct directory_args {
    const char *path;
};

/* A directory outside the root has no name inside: the kernel answers "(unreachable)…". */
static int check_inside(const char *path, struct error *err)
{
    char name[PROGRAM_NAME_MAX];

    if (!getcwd(name, sizeof(name)) || *name != '/')
        return error_set(err, EPERM,
                "the working directory \"%s\" is not inside the container's root: the "
                "configuration may try to leave it",
                path);
    return 0;
}

static int directory_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct directory_args *args = step->args;

    (void)run;
    if (chdir(args->path) < 0)
        return error_sys(err, errno, "change to the working directory \"%s\"%s", args->path,
                errno == EACCES ? ", which the workload's user may not enter" : "");
    return check_inside(args->path, err);
}

static void directory_describe(const struct step *step, struct step_text *text)
{
    const struct directory_args *args = step->args;

    step_call(text, "chdir(%s)", step_quote(text->arena, args->path));
    step_call(text, "getcwd(<name>, %d)", PROGRAM_NAME_MAX);
    step_why(text, "The working directory, checked to be inside the root.");
}

static const struct field directory_fields[] = {FIELD(struct directory_args, path, FIELD_STR)};
static const struct record directory_record = RECORD(struct directory_args, directory_fields);
static const struct step_ops directory_ops = {
        "chdir", "chdir(2)", directory_apply, NULL, directory_describe, &directory_record};

void program_step_directory(
        struct plan *plan, enum step_place place, const char *because, const char *path)
{
    struct directory_args *args = arena_new(plan->arena, struct directory_args);

    args->path = path;
    plan_add(plan, place, &directory_ops, because, args);
}

static int exec_error(
        struct error *err, int errnum, const char *name, const char *before, const char *why)
{
    bool missing = errnum == ENOENT || errnum == ENOTDIR;

    error_set(err, errnum, "exec: \"%s\": %s%s", name, before, why);
    if (err)
        err->exit_status = missing ? NOT_FOUND : NOT_EXECUTABLE;
    return -errnum;
}

/* The kernel's word for an error, in lower case as Go writes it. */
static const char *error_word(int errnum)
{
    switch (errnum) {
    case EACCES:
        return "permission denied";
    case ENOENT:
        return "no such file or directory";
    case ENOTDIR:
        return "not a directory";
    case EISDIR:
        return "is a directory";
    case ELOOP:
        return "too many levels of symbolic links";
    case ENAMETOOLONG:
        return "file name too long";
    case ENOEXEC:
        return "exec format error";
    case E2BIG:
        return "argument list too long";
    case ETXTBSY:
        return "text file busy";
    default:
        return strerror(errnum);
    }
}

static bool is_self(const struct program_args *args, const struct stat *status)
{
    return (args->self_inode || args->self_device) && status->st_ino == args->self_inode &&
           status->st_dev == args->self_device;
}

#define INTERPRETERS_MAX 5 /* as deep as the kernel follows "#!" */

/* The interpreter that the first line of a script names; false if it is no script. */
static bool read_interpreter(const char *path, char *name, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char line[256 + 1];

    if (fd < 0)
        return false;
    ssize_t length = read(fd, line, sizeof(line) - 1);
    if (length < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[length] = 0;
    const char *start = line + 2 + strspn(line + 2, " \t");
    size_t count = strcspn(start, " \t\n");
    if (count == 0 || count >= size)
        return false;
    memcpy(name, start, count);
    name[count] = 0;
    return true;
}

/* Whether the program, or the interpreter of the script that it is, is our own file: a name such as
 * /proc/self/exe leads there, and would put us into the container (CVE-2019-5736). */
static bool leads_to_self(const struct program_args *args, const char *path)
{
    char name[PROGRAM_NAME_MAX];
    struct stat status;

    snprintf(name, sizeof(name), "%s", path);
    for (int i = 0; i <= INTERPRETERS_MAX; i++) {
        if (stat(name, &status) < 0)
            return false;
        if (is_self(args, &status))
            return true;
        char next[PROGRAM_NAME_MAX];
        if (!S_ISREG(status.st_mode) || !read_interpreter(name, next, sizeof(next)))
            return false;
        snprintf(name, sizeof(name), "%s", next);
    }
    return false;
}

/* 0 if the file can be executed with the rights that the workload has. */
static int try_program(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -errno;
    return S_ISREG(status.st_mode) ? 0 : -EACCES;
}

static const char *env_value(const struct strv *env, const char *name)
{
    const char *found = NULL;
    const char *word;

    strv_foreach (word, env) {
        const char *rest = str_after(word, name);
        if (rest && *rest == '=')
            found = rest + 1;
    }
    return found;
}

/* Walks PATH; -ENOENT, or -EACCES when there was one that may not be executed. */
static int search_path(const char *name, const char *path, char *found, size_t size)
{
    int result = -ENOENT;

    for (const char *at = path;; at++) {
        size_t length = strcspn(at, ":");
        int put = length ? snprintf(found, size, "%.*s/%s", (int)length, at, name)
                         : snprintf(found, size, "./%s", name);
        if (put > 0 && (size_t)put < size) {
            int r = try_program(found);
            if (r == 0)
                return 0;
            if (r == -EACCES)
                result = r;
        }
        at += length;
        if (!*at)
            return result;
    }
}

static int locate(const struct program_args *args, char *found, size_t size, struct error *err)
{
    const char *name = args->args.words[0];

    if (strlen(name) >= size)
        return exec_error(err, ENAMETOOLONG, "…", "", error_word(ENAMETOOLONG));
    if (!strchr(name, '/')) {
        const char *path = env_value(&args->env, "PATH");
        int r = *name ? search_path(name, path ? path : PATH_DEFAULT, found, size) : -ENOENT;
        if (r == -EACCES)
            return exec_error(err, EACCES, name, "", error_word(EACCES));
        return r < 0 ? exec_error(err, ENOENT, name, "", "executable file not found in $PATH") : 0;
    }
    int r = try_program(name);
    if (r == -EISDIR)
        return exec_error(err, EACCES, name, "is a directory: ", error_word(EACCES));
    if (r < 0) {
        char before[PROGRAM_NAME_MAX + 16] = "";
        if (r == -ENOENT || r == -ENOTDIR)
            snprintf(before, sizeof(before), "stat %s: ", name);
        return exec_error(err, -r, name, before, error_word(-r));
    }
    snprintf(found, size, "%s", name);
    return 0;
}

/* The environment with HOME; the other strings stay the plan's. */
static char **make_env(const struct program_args *args, struct arena *arena)
{
    char **env = arena_new_array(arena, char *, args->env.count + 2);

    if (args->env.count)
        memcpy(env, args->env.words, args->env.count * sizeof(*env));
    if (!str_empty(env_value(&args->env, "HOME")))
        return env;
    _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    env[args->env.count] =
            arena_printf(arena, "HOME=%s", root < 0 ? "/" : passwd_home(root, args->uid, arena));
    return env;
}

static int find_program(
        const struct program_args *args, struct program_found *found, struct error *err)
{
    char path[PROGRAM_NAME_MAX];

    if (args->args.count == 0)
        return error_set(err, EINVAL, "there is no program to execute: args is empty");
    int r = locate(args, path, sizeof(path), err);
    if (r < 0)
        return r;
    if (leads_to_self(args, path))
        return exec_error(err, EACCES, args->args.words[0],
                "it leads to the runtime's own program: ", error_word(EACCES));
    found->path = arena_strdup(&found->arena, path);
    found->env = make_env(args, &found->arena);
    return 0;
}

static int find_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct program_args *args = step->args;

    (void)run;
    return find_program(args, args->found, err);
}

static void find_describe(const struct step *step, struct step_text *text)
{
    const struct program_args *args = step->args;
    const char *name = args->args.count ? args->args.words[0] : "";
    const char *shown = strchr(name, '/') ? name : arena_printf(text->arena, "<PATH>/%s", name);

    step_call(text, "newfstatat(AT_FDCWD, %s, <status>, 0)", step_quote(text->arena, shown));
    step_call(text, "faccessat2(AT_FDCWD, %s, X_OK, AT_EACCESS)", step_quote(text->arena, shown));
    if (str_empty(env_value(&args->env, "HOME"))) {
        step_call(text, "openat(AT_FDCWD, \"/\", O_PATH|O_DIRECTORY|O_CLOEXEC)");
        step_call(text, "openat2(<root>, \"etc/passwd\", {flags=O_RDONLY|O_NONBLOCK|O_NOCTTY|"
                        "O_CLOEXEC, resolve=RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT}, 24)");
    }
    step_why(text, "Whether the program is there and may be executed, known before it is started.");
}

static const struct field program_fields[] = {
        FIELD(struct program_args, args, FIELD_STRV),
        FIELD(struct program_args, env, FIELD_STRV),
        FIELD(struct program_args, uid, FIELD_U32),
        FIELD(struct program_args, self_device, FIELD_U64),
        FIELD(struct program_args, self_inode, FIELD_U64),
};
static const struct record program_record = RECORD(struct program_args, program_fields);
static const struct step_ops find_ops = {
        "find_program", "execve(2)", find_apply, NULL, find_describe, &program_record};

void program_step_find(struct plan *plan, enum step_place place, const char *because,
        const struct program_args *args)
{
    plan_add(plan, place, &find_ops, because, args);
}

struct close_args {
    uint32_t preserve;
};

static int close_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct close_args *args = step->args;

    (void)run;
    int r = sys_close_range(3 + args->preserve, ~0U, CLOSE_RANGE_CLOEXEC);
    return r < 0 ? error_sys(err, -r, "have all descriptors from %u on closed at execve",
                           3 + args->preserve)
                 : 0;
}

static void close_describe(const struct step *step, struct step_text *text)
{
    const struct close_args *args = step->args;

    step_call(text, "close_range(%u, 4294967295, CLOSE_RANGE_CLOEXEC)", 3 + args->preserve);
    step_why(text, "No descriptor of ours reaches the workload.");
}

static const struct field close_fields[] = {FIELD(struct close_args, preserve, FIELD_U32)};
static const struct record close_record = RECORD(struct close_args, close_fields);
static const struct step_ops close_ops = {
        "close_range", "close_range(2)", close_apply, NULL, close_describe, &close_record};

void program_step_close(
        struct plan *plan, enum step_place place, const char *because, unsigned preserve)
{
    struct close_args *args = arena_new(plan->arena, struct close_args);

    args->preserve = preserve;
    plan_add(plan, place, &close_ops, because, args);
}

static int execute_found(
        const struct program_args *args, const struct program_found *found, struct error *err)
{
    int r = sys_execve(found->path, args->args.words, found->env);

    exec_error(err, -r, args->args.words[0], "", error_word(-r));
    if (r == -ENOENT) /* the program was found, so it is what it names as its interpreter */
        error_append(err, "; the program is there, its interpreter is not");
    return r;
}

static int execute_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct program_args *args = step->args;
    struct program_found here = {0};
    struct program_found *found = args->found ? args->found : &here;

    (void)run;
    /* nobody has looked for it in this process: the step has travelled */
    int r = found->path ? 0 : find_program(args, found, err);
    if (r == 0)
        r = execute_found(args, found, err);
    arena_free(&here.arena);
    return r;
}

static void execute_describe(const struct step *step, struct step_text *text)
{
    const struct program_args *args = step->args;
    const char *name = args->args.count ? args->args.words[0] : "";
    const char *shown = strchr(name, '/') ? name : arena_printf(text->arena, "<PATH>/%s", name);
    struct strv quoted = {0};
    const char *word;

    strv_foreach (word, &args->args) {
        strv_add(text->arena, &quoted, step_quote(text->arena, word));
    }
    step_call(text, "execve(%s, [%s], <environment>)", step_quote(text->arena, shown),
            quoted.count ? strv_join(text->arena, &quoted, ", ") : "");
    step_why(text, "The workload takes over.");
}

static const struct step_ops execute_ops = {
        "execve", "execve(2)", execute_apply, NULL, execute_describe, &program_record};

void program_step_execute(struct plan *plan, enum step_place place, const char *because,
        const struct program_args *args)
{
    plan_add(plan, place, &execute_ops, because, args);
}
