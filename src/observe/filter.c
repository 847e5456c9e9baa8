#include "observe/filter.h"

#include <stdio.h>
#include <string.h>

#include "base/moment.h"
#include "engine/health.h"
#include "engine/restart.h"
#include "net/port.h"

enum key {
    KEY_ID,
    KEY_NAME,
    KEY_STATUS,
    KEY_LABEL,
    KEY_ANCESTOR,
    KEY_EXITED,
    KEY_VOLUME,
    KEY_NETWORK,
    KEY_BEFORE,
    KEY_SINCE,
    KEY_HEALTH,
    KEY_RESTART,
    KEY_BOOT,
    KEY_ISOLATION,
    KEY_UNTIL,
    KEY_PUBLISH,
    KEY_EXPOSE,
    KEY_UNLABELLED,
    KEYS
};

static const char *const key_names[KEYS] = {"id", "name", "status", "label", "ancestor", "exited",
        "volume", "network", "before", "since", "health", "restart-policy", "should-start-on-boot",
        "isolation", "until", "publish", "expose", "label!"};

struct filter {
    struct strv values[KEYS];
};

const char *sandbox_status_word(const struct sandbox *sandbox)
{
    if (sandbox->life.restarting)
        return "restarting";
    return sandbox->status == SPEC_STOPPED ? "exited" : spec_status_name(sandbox->status);
}

static int unknown(const char *word, struct error *err)
{
    size_t length = strcspn(word, "=");
    char key[32];

    snprintf(key, sizeof(key), "%.*s", (int)(length < 31 ? length : 31), word);
    const char *closest = str_closest(key, key_names, KEYS);
    return error_set(err, EINVAL,
            "--filter %.100s: write KEY=VALUE with one of id, name, status, label, ancestor, "
            "exited, volume, network, before, since, until, health, publish, expose, "
            "restart-policy, should-start-on-boot, isolation, label!%s%s%s",
            word, closest ? "; did you mean " : "", closest ? closest : "", closest ? "?" : "");
}

/* before= and since= name a sandbox: what is compared is when it was created. */
static int creation_of(struct engine *engine, const char *name, const char **ret, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r == 0)
        *ret = sandbox.meta.created ? sandbox.meta.created : "";
    return r;
}

/* What is compared with sandboxes, of what was written. */
static int settle(struct engine *engine, enum key key, const char **value, struct error *err)
{
    struct net_publish ports;
    char text[MOMENT_TEXT_SIZE];
    int64_t moment;
    int r;

    switch (key) {
    case KEY_BEFORE:
    case KEY_SINCE:
        return creation_of(engine, *value, value, err);
    case KEY_UNTIL:
        r = moment_read(*value, &moment, err);
        if (r == 0)
            *value = arena_strdup(engine->arena, moment_text(moment, text));
        return r;
    case KEY_PUBLISH:
    case KEY_EXPOSE:
        return net_expose_parse(*value, &ports, err);
    default:
        return 0;
    }
}

int filter_new(
        struct engine *engine, const struct strv *words, struct filter **ret, struct error *err)
{
    struct filter *filter = arena_new(engine->arena, struct filter);
    const char *word;

    strv_foreach (word, words) {
        const char *value = NULL;
        size_t key = 0;
        while (key < KEYS && !(value = str_after(word, key_names[key]), value && *value == '='))
            key++;
        if (key == KEYS)
            return unknown(word, err);
        value++;
        if (settle(engine, (enum key)key, &value, err) < 0)
            return error_prefix(err, "--filter %.100s", word);
        strv_add(engine->arena, &filter->values[key], value);
    }
    *ret = filter;
    return 0;
}

bool filter_wants_all(const struct filter *filter)
{
    return filter->values[KEY_STATUS].count || filter->values[KEY_EXITED].count;
}

static bool has_label(const struct sandbox *sandbox, const char *wanted)
{
    size_t name = strcspn(wanted, "=");

    for (size_t i = 0; i < sandbox->meta.labels.count; i++) {
        const struct record_pair *label = &sandbox->meta.labels.items[i];
        if (strlen(label->key) != name || strncmp(label->key, wanted, name) != 0)
            continue;
        return !wanted[name] || str_equal(label->value, wanted + name + 1);
    }
    return false;
}

/* An image by name, with or without its tag. */
static bool is_image(const char *image, const char *wanted)
{
    const char *rest = image ? str_after(image, wanted) : NULL;

    return rest && (!*rest || *rest == ':' || *rest == '@');
}

/* By its name, or by where it is inside. */
static bool has_volume(const struct sandbox_meta *meta, const char *wanted)
{
    for (size_t i = 0; i < meta->volumes.count; i++)
        if (str_equal(meta->volumes.items[i].name, wanted) ||
                str_equal(meta->volumes.items[i].destination, wanted))
            return true;
    return false;
}

static bool has_network(const struct sandbox_meta *meta, const char *wanted)
{
    for (size_t i = 0; i < meta->network.joins.count; i++)
        if (str_equal(meta->network.joins.items[i].network, wanted))
            return true;
    return false;
}

static bool has_health(const struct sandbox *sandbox, const char *wanted)
{
    _cleanup_arena_ struct arena arena = {0};
    struct health_report report;

    health_tell(sandbox, &arena, &report);
    return str_equal(report.status, wanted);
}

static bool has_exited(const struct sandbox *sandbox, const char *wanted)
{
    int code;

    return sandbox->status == SPEC_STOPPED && sandbox->life.ended &&
           str_to_int(wanted, &code) == 0 && code == sandbox->life.code;
}

static bool has_status(const struct sandbox *sandbox, const char *wanted)
{
    return str_equal(sandbox_status_word(sandbox), wanted) ||
           str_equal(spec_status_name(sandbox->status), wanted);
}

/* Whether one of them, which are ports inside, is among the wanted ones. */
static bool has_port(const struct strv *list, const char *wanted,
        int (*parse)(const char *text, struct net_publish *ret, struct error *err))
{
    struct net_publish ports = {0};
    const char *text;

    if (net_expose_parse(wanted, &ports, NULL) < 0)
        return false;
    strv_foreach (text, list) {
        struct net_publish has = {0};
        if (parse(text, &has, NULL) == 0 && has.protocol == ports.protocol &&
                has.port < ports.port + ports.count && ports.port < has.port + has.count)
            return true;
    }
    return false;
}

static bool has_published(const struct net_request *request, const char *wanted)
{
    return has_port(&request->publish, wanted, net_publish_parse) ||
           (request->publish_all && has_port(&request->exposed, wanted, net_expose_parse));
}

static bool has_exposed(const struct net_request *request, const char *wanted)
{
    return has_port(&request->exposed, wanted, net_expose_parse) ||
           has_port(&request->publish, wanted, net_publish_parse);
}

static bool matches(const struct sandbox *sandbox, enum key key, const char *value)
{
    const struct sandbox_meta *meta = &sandbox->meta;

    switch (key) {
    case KEY_ID:
        return meta->id && str_starts(meta->id, value);
    case KEY_NAME:
        return strstr(meta->name, value) != NULL;
    case KEY_STATUS:
        return has_status(sandbox, value);
    case KEY_LABEL:
        return has_label(sandbox, value);
    case KEY_ANCESTOR:
        return is_image(meta->image, value);
    case KEY_EXITED:
        return has_exited(sandbox, value);
    case KEY_BEFORE:
        return meta->created && strcmp(meta->created, value) < 0;
    case KEY_SINCE:
        return meta->created && strcmp(meta->created, value) > 0;
    case KEY_ISOLATION:
        return str_equal(meta->isolation, value);
    case KEY_RESTART:
        return str_equal(meta->restart ? meta->restart : "no", value);
    case KEY_BOOT:
        return restart_at_boot(meta, sandbox->record_fd) == str_equal(value, "true");
    case KEY_VOLUME:
        return has_volume(meta, value);
    case KEY_NETWORK:
        return has_network(meta, value);
    case KEY_HEALTH:
        return has_health(sandbox, value);
    case KEY_UNTIL:
        return meta->created && strcmp(meta->created, value) < 0;
    case KEY_PUBLISH:
        return has_published(&meta->network, value);
    case KEY_EXPOSE:
        return has_exposed(&meta->network, value);
    case KEY_UNLABELLED:
        return !has_label(sandbox, value);
    case KEYS:
        break;
    }
    return false;
}

/* Of most keys one value has to fit, of labels all. */
static bool needs_all(enum key key)
{
    return key == KEY_LABEL || key == KEY_UNLABELLED;
}

bool filter_passes(const struct filter *filter, const struct sandbox *sandbox)
{
    for (size_t key = 0; key < KEYS; key++) {
        const struct strv *values = &filter->values[key];
        size_t met = 0;
        const char *value;
        strv_foreach (value, values) {
            met += matches(sandbox, (enum key)key, value);
        }
        if (values->count && (needs_all((enum key)key) ? met < values->count : met == 0))
            return false;
    }
    return true;
}
