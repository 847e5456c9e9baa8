/* pull, push, login, logout, search: what talks to registries. */
#include "cli/registry.h"
#include "cli/imagecommands.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "image/platform.h"
#include "observe/style.h"

#define SECRET_MAX 4096

static const struct option_row registry_rows[] = {
        OPTION(0, "authfile", OPTION_TEXT, struct registry_flags, authfile, "FILE",
                "where passwords are kept (see viv-login(1))"),
        OPTION(0, "cert-dir", OPTION_TEXT, struct registry_flags, cert_dir, "DIR",
                "certificates: ca.crt, client.cert, client.key"),
        OPTION(0, "creds", OPTION_TEXT, struct registry_flags, creds, "USER:PASSWORD",
                "who to be, whatever is kept"),
        OPTION(0, "tls-verify", OPTION_SWITCH, struct registry_flags, tls_verify, NULL,
                "--tls-verify=false: any certificate, and plain http"),
};
const struct option_table registry_table = OPTION_TABLE("Registry", registry_rows);

int registry_access(struct cli *cli, const struct registry_flags *flags, struct progress *progress,
        struct image_access *ret, struct error *err)
{
    struct image_access access = {.tls = IMAGE_TLS_CONFIGURED};

    if (flags->tls_verify.set)
        access.tls = flags->tls_verify.value ? IMAGE_TLS_VERIFY : IMAGE_TLS_UNVERIFIED;
    if (flags->creds) {
        const char *colon = strchr(flags->creds, ':');
        if (!colon || colon == flags->creds)
            return error_set(err, EINVAL, "--creds: write USER:PASSWORD");
        access.user = arena_strndup(cli->arena, flags->creds, (size_t)(colon - flags->creds));
        access.password = colon + 1;
    }
    if (progress) {
        access.event = progress_event;
        access.data = progress;
    }
    *ret = access;
    return 0;
}

int registry_open(struct cli *cli, const struct registry_flags *flags, struct engine *engine,
        struct image_store **ret, struct error *err)
{
    struct engine_registries registries = {0};
    int r = engine_open(cli->arena, cli->root, engine, err);

    if (flags) {
        registries.auth_file = flags->authfile;
        registries.certs_dir = flags->cert_dir;
    }
    return r < 0 ? r : engine_images(engine, &registries, ret, err);
}

int registry_platform(struct cli *cli, const struct registry_platform *parts, const char **platform,
        struct error *err)
{
    struct platform own;

    if (!parts->os && !parts->arch && !parts->variant)
        return 0;
    int r = platform_parse(NULL, cli->arena, &own, err);
    if (r < 0)
        return r;
    if (*platform)
        return error_set(
                err, EINVAL, "--platform says it already, without --os, --arch or --variant");
    *platform = arena_printf(cli->arena, "%s/%s%s%s", parts->os ? parts->os : own.os,
            parts->arch ? parts->arch : own.architecture, parts->variant ? "/" : "",
            parts->variant ? parts->variant : "");
    return 0;
}

/* ---- pull ------------------------------------------------------------------------------------ */

struct pull_flags {
    struct registry_flags registry;
    const char *platform;
    struct registry_platform parts;
    const char *policy;
    bool all_tags, ignored;
};

static const struct option_row pull_rows[] = {
        OPTION('q', "quiet", OPTION_FLAG, struct pull_flags, registry.quiet, NULL,
                "no progress; the id all the same"),
        OPTION(0, "platform", OPTION_TEXT, struct pull_flags, platform, "OS/ARCH[/VARIANT]",
                "of a list of images, this one (this machine's)"),
        REGISTRY_PLATFORM_ROWS(struct pull_flags),
        OPTION(0, "policy", OPTION_CHOICE, struct pull_flags, policy, "always|missing|never|newer",
                "when the image is there already (always)"),
        OPTION('a', "all-tags", OPTION_FLAG, struct pull_flags, all_tags, NULL,
                "every tag of the repository"),
        OPTION(0, "disable-content-trust", OPTION_FLAG, struct pull_flags, ignored, NULL, NULL),
};
static const struct option_table pull_table = OPTION_TABLE("Options", pull_rows);
static const struct option_command pull_command = {.name = "viv pull",
        .usage = "IMAGE…",
        .about = "Fetches images and prints their ids. IMAGE is a name, looked up as "
                 "registries.conf says, or a source with its kind in front: docker://NAME, "
                 "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR.",
        .least = 1,
        .most = SIZE_MAX,
        .tables = {&pull_table, &registry_table}};

static enum image_pull_policy policy_of(const char *word)
{
    static const char *const words[] = {
            [IMAGE_PULL_ALWAYS] = "always",
            [IMAGE_PULL_MISSING] = "missing",
            [IMAGE_PULL_NEVER] = "never",
            [IMAGE_PULL_NEWER] = "newer",
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_equal(words[i], word))
            return (enum image_pull_policy)i;
    return IMAGE_PULL_ALWAYS;
}

static int pull_one(struct cli *cli, struct image_store *store, const struct pull_flags *flags,
        const char *name, struct error *err)
{
    _cleanup_progress_ struct progress progress = {0};
    struct image_access access;
    char id[IMAGE_ID_SIZE];

    progress_start(&progress, stderr, flags->registry.quiet);
    int r = registry_access(cli, &flags->registry, &progress, &access, err);
    if (r == 0)
        r = image_pull(store, name, flags->platform, policy_of(flags->policy), &access, id, err);
    progress_end(&progress);
    if (r == 0)
        printf("%s\n", id);
    return r;
}

/* With --all-tags the tags in place of the repositories. */
static int settle_tags(struct cli *cli, struct image_store *store, const struct pull_flags *flags,
        struct strv *names, struct error *err)
{
    struct strv all = {0};
    struct image_access access;
    const char *name;
    const char *tag;
    int r = flags->all_tags ? registry_access(cli, &flags->registry, NULL, &access, err) : 0;

    if (!flags->all_tags)
        return 0;
    strv_foreach (name, names) {
        struct strv tags = {0};
        if (r == 0)
            r = image_tags(store, name, &access, cli->arena, &tags, err);
        strv_foreach (tag, &tags) {
            strv_add(cli->arena, &all, tag);
        }
    }
    if (r == 0 && !all.count)
        return error_set(err, ENOENT, "--all-tags: there is no tag");
    *names = all;
    return r;
}

int cli_pull(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct pull_flags flags = {0};
    struct image_store *store;
    struct strv names = {0};
    const char *name;
    int r = cli_parse(cli, &pull_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_platform(cli, &flags.parts, &flags.platform, err);
    if (r == 0)
        r = registry_open(cli, &flags.registry, &engine, &store, err);
    if (r == 0)
        r = settle_tags(cli, store, &flags, &names, err);
    strv_foreach (name, &names) {
        if (r == 0)
            r = pull_one(cli, store, &flags, name, err);
        fflush(stdout);
    }
    return r;
}

/* ---- push ------------------------------------------------------------------------------------ */

struct push_flags {
    struct registry_flags registry;
    struct image_push_options options;
    const char *digestfile;
    bool all_tags, ignored;
};

static const struct option_row push_rows[] = {
        OPTION('q', "quiet", OPTION_FLAG, struct push_flags, registry.quiet, NULL, "no progress"),
        OPTION('f', "format", OPTION_CHOICE, struct push_flags, options.format, "oci|v2s2",
                "of the manifest (as it is in the store)"),
        OPTION(0, "compression-format", OPTION_CHOICE, struct push_flags, options.compression,
                "gzip|zstd", "for layers that are not compressed (gzip)"),
        OPTION(0, "digestfile", OPTION_TEXT, struct push_flags, digestfile, "FILE",
                "write the manifest's digest into this file too"),
        OPTION('a', "all-tags", OPTION_FLAG, struct push_flags, all_tags, NULL,
                "every tag of the repository IMAGE that is here, to where its name says"),
        OPTION(0, "disable-content-trust", OPTION_FLAG, struct push_flags, ignored, NULL, NULL),
        OPTION(0, "remove-signatures", OPTION_FLAG, struct push_flags, ignored, NULL, NULL),
};
static const struct option_table push_table = OPTION_TABLE("Options", push_rows);
static const struct option_command push_command = {.name = "viv push",
        .usage = "IMAGE [DESTINATION]",
        .about = "Sends an image to a registry, or to any other destination that viv pull takes "
                 "as a source, and prints the digest of its manifest.",
        .least = 1,
        .most = 2,
        .tables = {&push_table, &registry_table}};

int registry_write_id(const char *flag, const char *path, const char *id, struct error *err)
{
    if (!path)
        return 0;
    int r = io_replace_file_at(AT_FDCWD, path, id, strlen(id), 0644, false);
    return r < 0 ? error_sys(err, -r, "%s %s", flag, path) : 0;
}

static int push_one(struct cli *cli, struct image_store *store, const struct push_flags *flags,
        const char *image, const char *destination, struct error *err)
{
    _cleanup_progress_ struct progress progress = {0};
    struct image_access access;
    char digest[IMAGE_ID_SIZE];

    progress_start(&progress, stderr, flags->registry.quiet);
    int r = registry_access(cli, &flags->registry, &progress, &access, err);
    if (r == 0)
        r = image_push(store, image, destination, &flags->options, &access, digest, err);
    progress_end(&progress);
    if (r == 0)
        r = registry_write_id("--digestfile", flags->digestfile, digest, err);
    if (r == 0)
        printf("%s\n", digest);
    return r;
}

static int push_all_tags(struct cli *cli, struct image_store *store, const struct push_flags *flags,
        const struct strv *words, struct error *err)
{
    struct strv names = {0};
    const char *name;

    if (words->count > 1 || flags->digestfile)
        return error_set(err, EINVAL,
                "--all-tags: each goes to where its name says, so neither DESTINATION nor "
                "--digestfile is for it");
    int r = image_names_of(store, words->words[0], cli->arena, &names, err);
    strv_foreach (name, &names) {
        if (r == 0)
            r = push_one(cli, store, flags, name, name, err);
        fflush(stdout);
    }
    return r;
}

int cli_push(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct push_flags flags = {0};
    struct image_store *store;
    struct strv words = {0};
    int r = cli_parse(cli, &push_command, argc, argv, &flags, &words, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_open(cli, &flags.registry, &engine, &store, err);
    if (r < 0)
        return r;
    if (flags.all_tags)
        return push_all_tags(cli, store, &flags, &words, err);
    return push_one(cli, store, &flags, words.words[0], words.words[words.count - 1], err);
}

/* ---- login ----------------------------------------------------------------------------------- */

struct login_flags {
    struct registry_flags registry;
    const char *username;
    const char *password;
    bool password_stdin, get_login;
};

static const struct option_row login_rows[] = {
        OPTION('u', "username", OPTION_TEXT, struct login_flags, username, "NAME", "who you are"),
        OPTION('p', "password", OPTION_TEXT, struct login_flags, password, "PASSWORD",
                "seen by every user of the host; --password-stdin is better"),
        OPTION(0, "password-stdin", OPTION_FLAG, struct login_flags, password_stdin, NULL,
                "read it from standard input"),
        OPTION(0, "get-login", OPTION_FLAG, struct login_flags, get_login, NULL,
                "only tell who is logged in"),
        OPTION(0, "authfile", OPTION_TEXT, struct login_flags, registry.authfile, "FILE",
                "where to keep it"),
        OPTION(0, "cert-dir", OPTION_TEXT, struct login_flags, registry.cert_dir, "DIR",
                "certificates: ca.crt, client.cert, client.key"),
        OPTION(0, "tls-verify", OPTION_SWITCH, struct login_flags, registry.tls_verify, NULL,
                "--tls-verify=false: any certificate, and plain http"),
};
static const struct option_table login_table = OPTION_TABLE("Options", login_rows);
static const struct option_command login_command = {.name = "viv login",
        .usage = "[REGISTRY]",
        .about = "Asks a registry (docker.io) whether it takes a name and a password, and keeps "
                 "them for later.",
        .most = 1,
        .tables = {&login_table}};

/* A line from standard input, without its newline; not shown where it is a terminal. */
static int ask(struct cli *cli, const char *what, bool hidden, const char **ret, struct error *err)
{
    struct termios old;
    struct termios quiet;
    char line[SECRET_MAX];
    bool terminal = isatty(0) && tcgetattr(0, &old) == 0;

    if (!terminal)
        return error_set(err, ENOTTY,
                "%s is missing and standard input is no terminal to ask at: use --username and "
                "--password-stdin",
                what);
    fprintf(stderr, "%s: ", what);
    if (hidden) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSAFLUSH, &quiet);
    }
    char *got = fgets(line, sizeof(line), stdin);
    if (hidden) {
        tcsetattr(0, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (!got)
        return error_set(err, ENODATA, "%s: nothing was typed", what);
    line[strcspn(line, "\n")] = '\0';
    *ret = arena_strdup(cli->arena, line);
    return 0;
}

static int read_password(struct cli *cli, const char **ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = SECRET_MAX};
    int r = io_read_fd(0, &text);

    if (r < 0)
        return error_sys(err, -r, "--password-stdin");
    char *password = arena_strdup(cli->arena, buf_text(&text));
    password[strcspn(password, "\r\n")] = '\0';
    *ret = password;
    return 0;
}

static int get_secret(struct cli *cli, struct login_flags *flags, struct error *err)
{
    int r = 0;

    if (flags->password && flags->password_stdin)
        return error_set(err, EINVAL, "--password and --password-stdin exclude each other");
    if (flags->password_stdin && !flags->username)
        return error_set(err, EINVAL, "--password-stdin needs --username");
    if (!flags->username)
        r = ask(cli, "Username", false, &flags->username, err);
    if (r == 0 && flags->password_stdin)
        r = read_password(cli, &flags->password, err);
    if (r == 0 && !flags->password)
        r = ask(cli, "Password", true, &flags->password, err);
    return r;
}

static int print_login(
        struct cli *cli, struct image_store *store, const char *registry, struct error *err)
{
    const char *user;
    int r = image_login_name(store, registry, cli->arena, &user, err);

    if (r == 0)
        style_print_line(stdout, user);
    return r;
}

int cli_login(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct login_flags flags = {0};
    struct image_access access;
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &login_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const char *registry = rest.count ? rest.words[0] : "docker.io";
    r = flags.get_login ? 0 : get_secret(cli, &flags, err);
    if (r == 0)
        r = registry_open(cli, &flags.registry, &engine, &store, err);
    if (r == 0 && flags.get_login)
        return print_login(cli, store, registry, err);
    if (r == 0)
        r = registry_access(cli, &flags.registry, NULL, &access, err);
    if (r < 0)
        return r;
    access.user = flags.username;
    access.password = flags.password;
    r = image_login(store, registry, &access, err);
    if (r == 0)
        printf("Login Succeeded!\n");
    return r;
}

/* ---- logout ---------------------------------------------------------------------------------- */

struct logout_flags {
    struct registry_flags registry;
    bool all;
};

static const struct option_row logout_rows[] = {
        OPTION(0, "authfile", OPTION_TEXT, struct logout_flags, registry.authfile, "FILE",
                "where it is kept"),
        OPTION('a', "all", OPTION_FLAG, struct logout_flags, all, NULL,
                "those for all registries, but what helper programs keep"),
};
static const struct option_table logout_table = OPTION_TABLE("Options", logout_rows);
static const struct option_command logout_command = {.name = "viv logout",
        .usage = "[REGISTRY]",
        .about = "Forgets the password for a registry (docker.io).",
        .most = 1,
        .tables = {&logout_table}};

int cli_logout(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct logout_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &logout_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.all && rest.count)
        return error_set(err, EINVAL, "--all is every registry: name none");
    const char *registry = rest.count ? rest.words[0] : "docker.io";
    r = registry_open(cli, &flags.registry, &engine, &store, err);
    if (r == 0)
        r = flags.all ? image_logout_all(store, err) : image_logout(store, registry, err);
    if (r == 0)
        printf("Removed login credentials for %s\n", flags.all ? "all registries" : registry);
    return r;
}
