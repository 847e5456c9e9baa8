#include "observe/dockerview.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "observe/named.h"

struct json_object *dockerview_words(const struct strv *words, size_t first)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = first; i < words->count; i++)
        json_object_array_add(array, json_object_new_string(words->words[i]));
    return array;
}

static void add_bool(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

/* ---- Config ---------------------------------------------------------------------------------- */

void dockerview_add_config(const struct sandbox *sandbox, struct json_object *config)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    struct json_object *process = json_get(config, "process");
    const char *host_name = json_get_str(config, "hostname");
    const char *folder = json_get_str(process, "cwd");
    size_t first = meta->entrypoint.count;

    json_add_str(config, "Hostname", host_name ? host_name : "");
    json_add_str(config, "User", meta->user ? meta->user : "");
    add_bool(config, "Tty", meta->tty);
    add_bool(config, "OpenStdin", meta->interactive);
    json_object_object_add(config, "Env", json_object_get(json_get(process, "env")));
    json_object_object_add(config, "Cmd", dockerview_words(&meta->command, first));
    json_object_object_add(
            config, "Entrypoint", first ? dockerview_words(&meta->entrypoint, 0) : NULL);
    json_add_str(config, "Image", meta->image ? meta->image : "");
    json_add_str(config, "WorkingDir", folder ? folder : "");
    json_object_object_add(config, "Labels", named_pairs_json(&meta->labels));
    json_add_str(config, "StopSignal", meta->stop_signal);
    json_object_object_add(config, "StopTimeout", json_object_new_int(meta->stop_timeout));
}

/* ---- HostConfig ------------------------------------------------------------------------------ */

static int64_t number_of(struct json_object *resources, const char *part, const char *key)
{
    return json_object_get_int64(json_get(json_get(resources, part), key));
}

/* 0 where there is no limit. */
static void add_limits(struct json_object *resources, struct json_object *host)
{
    static const struct {
        const char *name, *part, *key;
    } numbers[] = {
            {"Memory", "memory", "limit"},
            {"MemoryReservation", "memory", "reservation"},
            {"MemorySwap", "memory", "swap"},
            {"CpuShares", "cpu", "shares"},
            {"CpuQuota", "cpu", "quota"},
            {"CpuPeriod", "cpu", "period"},
            {"PidsLimit", "pids", "limit"},
    };
    int64_t quota = number_of(resources, "cpu", "quota");
    int64_t period = number_of(resources, "cpu", "period");
    const char *cpus = json_get_str(json_get(resources, "cpu"), "cpus");
    const char *nodes = json_get_str(json_get(resources, "cpu"), "mems");

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        json_object_object_add(host, numbers[i].name,
                json_object_new_int64(number_of(resources, numbers[i].part, numbers[i].key)));
    int64_t nano = quota > 0 && period > 0 ? (int64_t)((double)quota * 1e9 / (double)period) : 0;
    json_object_object_add(host, "NanoCpus", json_object_new_int64(nano));
    json_add_str(host, "CpusetCpus", cpus ? cpus : "");
    json_add_str(host, "CpusetMems", nodes ? nodes : "");
}

static const char *network_mode(struct arena *arena, const struct sandbox_meta *meta)
{
    for (size_t i = 0; i < meta->joins.count; i++)
        if (str_equal(meta->joins.items[i].kind, "network"))
            return arena_printf(arena, "container:%s", meta->joins.items[i].sandbox);
    if (meta->network.joins.count)
        return meta->network.joins.items[0].network;
    return meta->network.pasta ? "pasta" : meta->network.host ? "host" : "none";
}

/* "SOURCE:DESTINATION[:ro]" of each. */
static struct json_object *binds(struct arena *arena, struct json_object *mounts)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(mounts); i++) {
        struct json_object *mount = json_object_array_get_idx(mounts, i);
        const char *name = json_get_str(mount, "Name");
        const char *source = name ? name : json_get_str(mount, "Source");
        const char *text = arena_printf(arena, "%s:%s%s", source ? source : "",
                json_get_str(mount, "Destination"), json_get_bool(mount, "RW", true) ? "" : ":ro");
        json_object_array_add(array, json_object_new_string(text));
    }
    return array;
}

struct json_object *dockerview_host(struct arena *arena, const struct sandbox *sandbox,
        struct json_object *config, struct json_object *mounts)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    struct json_object *host = json_object_new_object();
    struct json_object *restart = json_object_new_object();
    struct json_object *log = json_object_new_object();

    json_add_str(restart, "Name", meta->restart ? meta->restart : "no");
    json_object_object_add(restart, "MaximumRetryCount", json_object_new_int(meta->restart_max));
    json_add_str(log, "Type", meta->log ? meta->log : "json-file");
    json_object_object_add(log, "Config", named_pairs_json(&meta->log_options));
    add_bool(host, "AutoRemove", meta->remove);
    json_object_object_add(host, "RestartPolicy", restart);
    json_object_object_add(host, "LogConfig", log);
    add_limits(json_get(json_get(config, "linux"), "resources"), host);
    json_add_str(host, "NetworkMode", network_mode(arena, meta));
    json_object_object_add(host, "Binds", binds(arena, mounts));
    add_bool(host, "Privileged", meta->unconfined_devices);
    add_bool(host, "ReadonlyRootfs", json_get_bool(json_get(config, "root"), "readonly", false));
    json_add_str(host, "CgroupParent", meta->cgroup_parent ? meta->cgroup_parent : "");
    return host;
}
