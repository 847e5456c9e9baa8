/* The program: what stands before the command, the table of commands, and how errors are told. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/entry.h"
#include "spec/spec.h"

#define VERSION "0.1.0"

#define FAILED 1
#define NO_COMMAND 3
#define EXEC_FAILED 255 /* an exec that did not come about */

static const struct oci_command commands[] = {
        {"checkpoint", "writes a running container to disk, by CRIU", oci_checkpoint},
        {"create", "makes a container", oci_create},
        {"delete", "takes a container away", oci_delete},
        {"events", "tells what a container uses and when it runs out of memory", oci_events},
        {"exec", "runs one more process in a container", oci_exec},
        {"features", "tells what this runtime supports", oci_features},
        {"kill", "sends a signal", oci_kill},
        {"list", "lists containers", oci_list},
        {"mounts", "mounts into a running container, and takes that back", oci_mounts},
        {"pause", "freezes all processes of a container", oci_pause},
        {"ps", "lists the processes of a container", oci_ps},
        {"restore", "makes a container from what checkpoint wrote", oci_restore},
        {"resume", "lets a paused container go on", oci_resume},
        {"run", "makes a container and runs it to its end", oci_run},
        {"spec", "writes a config.json to start from", oci_spec},
        {"start", "starts a created container", oci_start},
        {"state", "tells the state of a container", oci_state},
        {"update", "changes the limits of a container", oci_update},
};

/* The options that stand before the command. */
struct global {
    const char *root, *log, *format, *level, *manager, *rootless, *criu;
    bool debug, systemd, version;
};

#define ROW(letter_, name_, kind_, member_, value_, help_)                                         \
    OPTION(letter_, name_, OPTION_##kind_, struct global, member_, value_, help_)

static const struct option_row rows[] = {
        ROW(0, "root", TEXT, root, "DIR", "where the containers are remembered"),
        ROW(0, "log", TEXT, log, "FILE", "where errors go; also syslog:NAME, journald:NAME"),
        ROW(0, "log-format", CHOICE, format, "text|json", "how they are written"),
        ROW(0, "log-level", TEXT, level, "LEVEL", "debug, info, warn or error"),
        ROW(0, "debug", FLAG, debug, NULL, "the same as --log-level debug"),
        ROW(0, "systemd-cgroup", FLAG, systemd, NULL, "the same as --cgroup-manager systemd"),
        ROW(0, "cgroup-manager", CHOICE, manager, "cgroupfs|systemd|disabled",
                "who makes the control groups"),
        ROW(0, "rootless", CHOICE, rootless, "true|false|auto", "whether to do without root"),
        ROW(0, "criu", TEXT, criu, "PATH", "accepted and ignored, as runc does"),
        ROW('v', "version", FLAG, version, NULL, "tells the version"),
        ROW('V', NULL, FLAG, version, NULL, NULL),
};
static const struct option_table table = OPTION_TABLE("Options", rows);
static const struct option_command program = {.name = "viv-oci",
        .usage = "COMMAND [...]",
        .about = "Runs containers by the OCI runtime specification. The command line is runc's.",
        .order = OPTIONS_FIRST,
        .long_with_one_dash = true,
        .most = SIZE_MAX,
        .tables = {&table}};

/* Alone, the option is answered before libc starts. */
const char security_entry_version[] = "viv-oci version " VERSION "\nspec: " SPEC_VERSION "\n";

static void print_help(void)
{
    _cleanup_buf_ struct buf text = {.max = 65536};

    options_help(&program, 0, &text);
    fputs(buf_text(&text), stdout);
    printf("\nCommands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].about);
    printf("\nviv-oci(1) tells the rest.\n");
}

static enum cgroup_manager manager_of(const struct global *global)
{
    if (str_equal(global->manager, "disabled"))
        return CGROUP_MANAGER_NONE;
    return global->systemd || str_equal(global->manager, "systemd") ? CGROUP_MANAGER_SYSTEMD
                                                                    : CGROUP_MANAGER_FS;
}

/* "syslog:NAME" and "journald:NAME", as crun has them. */
static int connect_log(struct oci *oci, const char *name, enum log_format format, struct error *err)
{
    const char *path = format == LOG_SYSLOG ? "/dev/log" : "/run/systemd/journal/socket";
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    oci->log.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (oci->log.fd < 0 || connect(oci->log.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, errno, "connect to the log %s", path);
    oci->log.format = format;
    oci->log.name = str_empty(name) ? "viv-oci" : name;
    return 0;
}

static int open_log(struct oci *oci, const char *path, struct error *err)
{
    const char *name = str_after(path, "syslog:");

    if (name)
        return connect_log(oci, name, LOG_SYSLOG, err);
    name = str_after(path, "journald:");
    if (name)
        return connect_log(oci, name, LOG_JOURNAL, err);
    name = str_after(path, "file:");
    path = name ? name : path;
    oci->log.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return oci->log.fd < 0 ? error_sys(err, errno, "open the log %s", path) : 0;
}

static int set_global(struct oci *oci, const struct global *global, struct error *err)
{
    if (str_equal(global->format, "json"))
        oci->log.format = LOG_JSON;
    int r = global->log ? open_log(oci, global->log, err) : 0;
    if (r < 0)
        return r;
    oci->root = global->root;
    if (global->level && !log_level_from_str(global->level, &oci->log.level))
        return error_set(err, EINVAL, "not a valid log level: \"%s\"", global->level);
    if (global->debug)
        oci->log.level = LOG_DEBUG;
    oci->debug = global->debug;
    oci->manager = manager_of(global);
    if (global->rootless && !str_equal(global->rootless, "auto"))
        oci->rootless = (struct opt_bool){true, str_equal(global->rootless, "true")};
    return 0;
}

static const struct oci_command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (str_equal(commands[i].name, name))
            return &commands[i];
    return NULL;
}

/* The state of a container is no use after a reboot: it lives where that empties it. */
static int open_store(struct oci *oci, struct error *err)
{
    if (!oci->root)
        oci->root = store_default_root(oci->arena, "viv-oci");
    return store_open(oci->arena, oci->root, &oci->store, err);
}

/* help [COMMAND] */
static int help(struct oci *oci, int argc, char **argv, struct error *err)
{
    char word[] = "--help";
    char *words[] = {word, NULL};
    const struct oci_command *command = argc > 1 ? find_command(argv[1]) : NULL;

    if (command)
        return command->run(oci, 1, words, err);
    if (argc > 1)
        return error_set(err, EINVAL, "No help topic for '%s'", argv[1]);
    print_help();
    return 0;
}

static int run_command(struct oci *oci, int argc, char **argv, struct error *err)
{
    const struct oci_command *command = find_command(argv[0]);

    if (!command && (str_equal(argv[0], "help") || str_equal(argv[0], "h")))
        return help(oci, argc, argv, err);
    if (!command)
        return error_set(err, EINVAL, "No help topic for '%s'", argv[0]);
    bool needs_store = command->run != oci_spec && command->run != oci_features;
    int r = needs_store ? open_store(oci, err) : 0;
    return r < 0 ? r : command->run(oci, argc - 1, argv + 1, err);
}

/* 126 and 127 are for people; runc has one status for each command. */
static int failure_of(const char *name)
{
    if (!find_command(name))
        return NO_COMMAND;
    return str_equal(name, "exec") ? EXEC_FAILED : FAILED;
}

/* To the log that was asked for, and to stderr, where runc tells it too. */
static int tell_error(const struct oci *oci, const struct error *err, int status)
{
    struct log own = {.fd = 2, .format = LOG_TEXT, .level = LOG_ERROR};

    log_write(&oci->log, LOG_ERROR, "%s", err->text);
    if (oci->log.fd != 2)
        log_write(&own, LOG_ERROR, "%s", err->text);
    return status;
}

int main(int argc, char **argv)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct oci oci = {.arena = &arena,
            .argv = argv,
            .store = {.fd = -1},
            .log = {.fd = 2, .format = LOG_TEXT, .level = LOG_INFO},
            .machine = argc > 0 && str_ends(path_base(argv[0]), "-vm")};

    struct global global = {0};
    struct strv rest = {0};

    io_fill_streams();
    umask(0022);
    int r = options_parse(&program, argc - 1, argv + 1, &arena, &global, &rest, &err);
    if (r == 0)
        r = set_global(&oci, &global, &err);
    if (r < 0)
        return tell_error(&oci, &err, FAILED);
    if (global.version) {
        fputs(security_entry_version, stdout);
        return 0;
    }
    if (r == OPTIONS_HELP || rest.count == 0) {
        print_help();
        return 0;
    }
    r = run_command(&oci, (int)rest.count, rest.words, &err);
    store_close(&oci.store);
    if (r >= 0)
        return r;
    return tell_error(&oci, &err, failure_of(rest.words[0]));
}
