/* Networks as a list (`viv network ls`) and in full, and what a sandbox has of them. */
#pragma once

#include "observe/named.h"

extern const struct named_kind networks_kind;

/* One network with who is on it; the object is the caller's. */
int networks_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);

/* What a sandbox has: "Networks" with its addresses, "Ports" with those that are published, as
 * Docker's NetworkSettings has them. */
struct json_object *networks_of_json(struct engine *engine, const struct sandbox *sandbox);

/* Its published ports in a line, "0.0.0.0:8080->80/tcp, …", "" for none; in the arena. */
const char *networks_ports_text(struct engine *engine, const struct sandbox *sandbox);

struct ports_choice {
    const char *only;         /* "80", "80/udp": its addresses alone; NULL: all ports */
    bool with_id;             /* the sandbox's short id in front */
    struct json_object *rows; /* what is to be printed later, as objects; NULL: printed now */
};

/* `viv port`: "80/tcp -> 0.0.0.0:8080", a line or an object each. -ENOENT: that port is not
 * published. */
int networks_print_ports(struct engine *engine, const char *name, const struct ports_choice *choice,
        FILE *out, struct error *err);
