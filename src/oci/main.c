#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "oci/command.h"
#include "oci/words.h"
#include "spec/spec.h"

#define VERSION "0.1.0"

static const struct oci_command commands[] = {
        {"create", "[options] <container-id>", oci_create},
        {"delete", "[--force] <container-id>", oci_delete},
        {"exec", "[options] <container-id> <command> [args...]", oci_exec},
        {"features", "", oci_features},
        {"kill", "[--all] <container-id> [signal]", oci_kill},
        {"list", "[--format table|json] [--quiet]", oci_list},
        {"pause", "<container-id>", oci_pause},
        {"ps", "[--format table|json] <container-id> [ps options]", oci_ps},
        {"resume", "<container-id>", oci_resume},
        {"run", "[options] <container-id>", oci_run},
        {"spec", "[--bundle dir] [--rootless]", oci_spec},
        {"start", "<container-id>", oci_start},
        {"state", "<container-id>", oci_state},
};

enum global_option {
    OPT_ROOT = 256,
    OPT_LOG,
    OPT_FORMAT,
    OPT_LEVEL,
    OPT_DEBUG,
    OPT_SYSTEMD,
    OPT_MANAGER,
    OPT_ROOTLESS,
    OPT_VERSION,
    OPT_HELP,
    OPT_CRIU
};

static const struct option options[] = {
        {"root", required_argument, NULL, OPT_ROOT},
        {"log", required_argument, NULL, OPT_LOG},
        {"log-format", required_argument, NULL, OPT_FORMAT},
        {"log-level", required_argument, NULL, OPT_LEVEL},
        {"debug", no_argument, NULL, OPT_DEBUG},
        {"systemd-cgroup", no_argument, NULL, OPT_SYSTEMD},
        {"cgroup-manager", required_argument, NULL, OPT_MANAGER},
        {"rootless", required_argument, NULL, OPT_ROOTLESS},
        {"criu", required_argument, NULL, OPT_CRIU},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {0},
};

static void print_version(void)
{
    printf("viv-oci version " VERSION "\nspec: " SPEC_VERSION "\n");
}

static void print_help(FILE *out)
{
    fprintf(out,
            "viv-oci: runs containers by the OCI runtime specification; the command line is "
            "runc's\n\nUsage: viv-oci [--root DIR] [--log FILE] [--log-format text|json] "
            "[--log-level LEVEL]\n               [--debug] [--systemd-cgroup] [--cgroup-manager "
            "cgroupfs|systemd|disabled]\n               [--rootless true|false|auto] [--version] "
            "COMMAND ...\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].usage);
    fprintf(out, "\nviv-oci(1) tells the rest.\n");
}

static int set_manager(struct oci *oci, const char *name, struct error *err)
{
    static const struct {
        const char *name;
        enum cgroup_manager manager;
    } managers[] = {{"cgroupfs", CGROUP_MANAGER_FS}, {"systemd", CGROUP_MANAGER_SYSTEMD},
            {"disabled", CGROUP_MANAGER_NONE}};

    for (size_t i = 0; i < ARRAY_SIZE(managers); i++) {
        if (str_equal(managers[i].name, name)) {
            oci->manager = managers[i].manager;
            return 0;
        }
    }
    return error_set(err, EINVAL,
            "unknown cgroup manager \"%s\": write cgroupfs, systemd or disabled", name);
}

static int open_log(struct oci *oci, const char *path, struct error *err)
{
    oci->log.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return oci->log.fd < 0 ? error_sys(err, errno, "open the log %s", path) : 0;
}

static int set_format(struct oci *oci, const char *name, struct error *err)
{
    if (!str_equal(name, "json") && !str_equal(name, "text"))
        return error_set(err, EINVAL, "invalid log-format \"%s\": write text or json", name);
    oci->log.format = str_equal(name, "json") ? LOG_JSON : LOG_TEXT;
    return 0;
}

static int set_global(struct oci *oci, int option, struct error *err)
{
    switch (option) {
    case OPT_ROOT:
        oci->root = optarg;
        return 0;
    case OPT_LOG:
        return open_log(oci, optarg, err);
    case OPT_FORMAT:
        return set_format(oci, optarg, err);
    case OPT_LEVEL:
        return log_level_from_str(optarg, &oci->log.level)
                       ? 0
                       : error_set(err, EINVAL, "not a valid log level: \"%s\"", optarg);
    case OPT_DEBUG:
        oci->debug = true;
        oci->log.level = LOG_DEBUG;
        return 0;
    case OPT_SYSTEMD:
        oci->manager = CGROUP_MANAGER_SYSTEMD;
        return 0;
    case OPT_MANAGER:
        return set_manager(oci, optarg, err);
    case OPT_ROOTLESS: /* found out by looking; accepted because engines write it */
    case OPT_CRIU:     /* runc ignores it too */
        return 0;
    default:
        return error_set(err, EINVAL, "unknown option");
    }
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

static int run_command(struct oci *oci, int argc, char **argv, struct error *err)
{
    const struct oci_command *command = find_command(argv[0]);

    if (!command)
        return error_set(err, EINVAL, "No help topic for '%s'", argv[0]);
    for (int i = 1; i < argc && !str_equal(argv[i], "--"); i++) {
        if (str_equal(argv[i], "--help") || str_equal(argv[i], "-h")) {
            printf("Usage: viv-oci %s %s\n", command->name, command->usage);
            return 0;
        }
        if (argv[i][0] != '-' && str_equal(argv[0], "exec"))
            break;
    }
    bool needs_store = command->run != oci_spec && command->run != oci_features;
    int r = needs_store ? open_store(oci, err) : 0;
    if (r < 0)
        return r;
    optind = 0;
    return command->run(oci, argc, argv, err);
}

static int parse_global(struct oci *oci, int argc, char **argv, struct error *err)
{
    int option;

    while ((option = oci_getopt(argc, argv, "vh", options, true, err)) != -1) {
        if (option == '?')
            return -EINVAL;
        if (option == OPT_VERSION || option == 'v') {
            print_version();
            exit(0);
        }
        if (option == OPT_HELP || option == 'h') {
            print_help(stdout);
            exit(0);
        }
        int r = set_global(oci, option, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* To the log that was asked for, and to stderr, where runc tells it too. */
static int tell_error(const struct oci *oci, const struct error *err)
{
    struct log own = {.fd = 2, .format = LOG_TEXT, .level = LOG_ERROR};

    log_write(&oci->log, LOG_ERROR, "%s", err->text);
    if (oci->log.fd != 2)
        log_write(&own, LOG_ERROR, "%s", err->text);
    return err->exit_status ? err->exit_status : 1;
}

/* Descriptors 0 to 2 must be something, or a file that is opened becomes the workload's stdin. */
static void fill_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 3)
        close(fd);
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

    fill_streams();
    umask(0022);
    if (parse_global(&oci, argc, argv, &err) < 0)
        return tell_error(&oci, &err);
    if (optind >= argc) {
        print_help(stdout);
        return 0;
    }
    int r = run_command(&oci, argc - optind, argv + optind, &err);
    store_close(&oci.store);
    return r < 0 ? tell_error(&oci, &err) : r;
}
