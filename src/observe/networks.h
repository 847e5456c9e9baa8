/* Networks as a list (`viv network ls`) and in full, and what a sandbox has of them. */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "engine/engine.h"

struct networks_choice {
    bool quiet;          /* names only */
    const char *format;  /* see format.h */
    struct strv filters; /* "name=", "driver=", "label=KEY[=VALUE]" */
};

/* Prints the chosen networks. */
int networks_print(
        struct engine *engine, const struct networks_choice *choice, FILE *out, struct error *err);

/* One network with who is on it; the object is the caller's. */
int networks_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);

/* What a sandbox has: "Networks" with its addresses, "Ports" with those that are published, as
 * Docker's NetworkSettings has them. */
struct json_object *networks_of_json(struct engine *engine, const struct sandbox *sandbox);

/* Its published ports in a line, "0.0.0.0:8080->80/tcp, …", "" for none; in the arena. */
const char *networks_ports_text(struct engine *engine, const struct sandbox *sandbox);

/*
 * `viv port`: "80/tcp -> 0.0.0.0:8080", a line each; with `only` ("80", "80/udp"; NULL: all) the
 * addresses alone. -ENOENT: that port is not published.
 */
int networks_print_ports(
        struct engine *engine, const char *name, const char *only, FILE *out, struct error *err);
