/* What the commands that talk to registries share: their options, and a store opened with them. */
#pragma once

#include "cli/command.h"
#include "engine/images.h"
#include "observe/progress.h"

struct registry_flags {
    const char *authfile;
    const char *cert_dir;
    const char *creds; /* "user:password", or "user" */
    struct opt_bool tls_verify;
    bool quiet;
};

/* The rows for a struct that has these as its member. */
#define REGISTRY_ROWS(type_, member_)                                                              \
    OPTION(0, "authfile", OPTION_TEXT, type_, member_.authfile, "FILE",                            \
            "where passwords are kept (see viv-login(1))"),                                        \
            OPTION(0, "cert-dir", OPTION_TEXT, type_, member_.cert_dir, "DIR",                     \
                    "certificates: ca.crt, client.cert, client.key"),                              \
            OPTION(0, "creds", OPTION_TEXT, type_, member_.creds, "USER[:PASSWORD]",               \
                    "who to be, whatever is kept"),                                                \
            OPTION(0, "tls-verify", OPTION_SWITCH, type_, member_.tls_verify, NULL,                \
                    "--tls-verify=false: any certificate, and plain http")

/* Fills what image/ wants to know; strings live in the arena. `progress` may be NULL. */
int registry_access(struct cli *cli, const struct registry_flags *flags, struct progress *progress,
        struct image_access *ret, struct error *err);

/* The engine, and its store of images, opened with these flags (NULL: none). */
int registry_open(struct cli *cli, const struct registry_flags *flags, struct engine *engine,
        struct image_store **ret, struct error *err);
