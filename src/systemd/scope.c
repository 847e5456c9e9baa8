#include "systemd/scope.h"

#include <stdint.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "base/json.h"
#include "base/str.h"

#define SERVICE "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define JOB_WAIT_US 30000000ULL

/* One talk with the bus. */
struct talk {
    sd_bus *bus;
    const char *unit;
    char *job;    /* object path of the job that is waited for; NULL: not known yet */
    char *result; /* "done", "failed", … once it has ended */
    struct ended {
        char *job, *result;
    } early[64]; /* jobs that ended before the answer named ours */
    size_t early_count;
};

static void end_talk(struct talk *talk)
{
    for (size_t i = 0; i < talk->early_count; i++) {
        free(talk->early[i].job);
        free(talk->early[i].result);
    }
    free(talk->job);
    free(talk->result);
    sd_bus_flush_close_unref(talk->bus);
}

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct talk *talk = data;
    const char *job, *unit, *result;
    uint32_t id;

    (void)error;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0 ||
            !str_equal(unit, talk->unit))
        return 0;
    if (talk->job && str_equal(job, talk->job) && !talk->result)
        talk->result = strdup(result);
    else if (!talk->job && talk->early_count < 64)
        talk->early[talk->early_count++] = (struct ended){strdup(job), strdup(result)};
    return 0;
}

static int open_bus(struct talk *talk, struct json_object *order, struct error *err)
{
    const char *address = json_get_str(order, "bus");
    bool user = json_get_bool(order, "user", false);
    int r;

    if (address) {
        r = sd_bus_new(&talk->bus);
        if (r >= 0)
            r = sd_bus_set_address(talk->bus, address);
        if (r >= 0)
            r = sd_bus_set_bus_client(talk->bus, true);
        if (r >= 0)
            r = sd_bus_start(talk->bus);
    } else {
        r = user ? sd_bus_open_user(&talk->bus) : sd_bus_open_system(&talk->bus);
    }
    if (r >= 0)
        return 0;
    return error_sys(err, -r, "connect to %s%s",
            address ? address
            : user  ? "the user's bus"
                    : "the system bus",
            user && !address ? " (DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR must be set; "
                               "`loginctl enable-linger` keeps one running)"
                             : "");
}

static int append_strings(sd_bus_message *message, struct json_object *value)
{
    int r = sd_bus_message_open_container(message, 'a', "s");

    for (size_t i = 0; r >= 0 && i < json_object_array_length(value); i++)
        r = sd_bus_message_append_basic(
                message, 's', json_object_get_string(json_object_array_get_idx(value, i)));
    return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_bytes(sd_bus_message *message, struct json_object *value)
{
    uint8_t bytes[1024];
    size_t count = json_object_array_length(value);

    if (count > sizeof(bytes))
        return -E2BIG;
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)json_object_get_int(json_object_array_get_idx(value, i));
    return sd_bus_message_append_array(message, 'y', bytes, count);
}

/* Numbers come as text. */
static int append_scalar(sd_bus_message *message, const char *signature, const char *text)
{
    uint64_t wide = 0;
    int64_t number = 0;

    switch (*signature) {
    case 's':
        return sd_bus_message_append(message, "s", text);
    case 'b':
        return sd_bus_message_append(message, "b", str_equal(text, "true"));
    case 't':
        return str_to_u64(text, 10, &wide) < 0 ? -EINVAL
                                               : sd_bus_message_append(message, "t", wide);
    case 'u':
        return str_to_u64(text, 10, &wide) < 0 || wide > UINT32_MAX
                       ? -EINVAL
                       : sd_bus_message_append(message, "u", (uint32_t)wide);
    case 'x':
        return str_to_i64(text, &number) < 0 ? -EINVAL
                                             : sd_bus_message_append(message, "x", number);
    case 'i':
        return str_to_i64(text, &number) < 0 || number != (int32_t)number
                       ? -EINVAL
                       : sd_bus_message_append(message, "i", (int32_t)number);
    default:
        return -EINVAL;
    }
}

/* ["MemoryMax", "t", "67108864"] as the struct (sv). */
static int append_property(sd_bus_message *message, struct json_object *item)
{
    const char *name = json_object_get_string(json_object_array_get_idx(item, 0));
    const char *signature = json_object_get_string(json_object_array_get_idx(item, 1));
    struct json_object *value = json_object_array_get_idx(item, 2);

    if (!name || !signature || !value)
        return -EINVAL;
    int r = sd_bus_message_open_container(message, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(message, 's', name);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'v', signature);
    if (r >= 0 && str_equal(signature, "as"))
        r = append_strings(message, value);
    else if (r >= 0 && str_equal(signature, "ay"))
        r = append_bytes(message, value);
    else if (r >= 0)
        r = append_scalar(message, signature, json_object_get_string(value));
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_pids(sd_bus_message *message, struct json_object *pids)
{
    int r = sd_bus_message_open_container(message, 'r', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(message, 's', "PIDs");
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'v', "au");
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "u");
    for (size_t i = 0; r >= 0 && i < json_object_array_length(pids); i++)
        r = sd_bus_message_append(
                message, "u", (uint32_t)json_object_get_int(json_object_array_get_idx(pids, i)));
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(message);
    return r;
}

static int append_properties(sd_bus_message *message, struct json_object *order)
{
    struct json_object *list = json_get(order, "properties");
    struct json_object *pids = json_get(order, "pids");
    int r = sd_bus_message_open_container(message, 'a', "(sv)");

    for (size_t i = 0; r >= 0 && list && i < json_object_array_length(list); i++)
        r = append_property(message, json_object_array_get_idx(list, i));
    if (r >= 0 && pids)
        r = append_pids(message, pids);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

/* "org.freedesktop.systemd1.UnitExists: Unit viv-a.scope already exists." */
static int refused(const char *method, int r, const sd_bus_error *error, struct error *err)
{
    if (!error->message)
        return error_sys(err, -r, "%s", method);
    return error_set(err, -r, "%s: %s: %s", method, error->name, error->message);
}

/* The answer to StartTransientUnit and StopUnit is the job's path. */
static int call_job(struct talk *talk, sd_bus_message *message, const char *method,
        sd_bus_error *error, struct error *err)
{
    sd_bus_message *answer = NULL;
    const char *job = NULL;
    int r = sd_bus_call(talk->bus, message, JOB_WAIT_US, error, &answer);

    if (r >= 0)
        r = sd_bus_message_read(answer, "o", &job);
    if (r < 0)
        refused(method, r, error, err);
    else
        talk->job = strdup(job);
    sd_bus_message_unref(answer);
    for (size_t i = 0; r >= 0 && i < talk->early_count; i++)
        if (str_equal(talk->early[i].job, talk->job) && !talk->result)
            talk->result = strdup(talk->early[i].result);
    return r < 0 ? r : 0;
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int wait_for_job(struct talk *talk, const char *method, struct error *err)
{
    uint64_t deadline = now_us() + JOB_WAIT_US;

    while (!talk->result) {
        int r = sd_bus_process(talk->bus, NULL);
        if (r < 0)
            return error_sys(err, -r, "%s %s: wait for the job", method, talk->unit);
        if (r > 0)
            continue;
        uint64_t now = now_us();
        if (now >= deadline)
            return error_set(err, ETIMEDOUT, "%s %s: the job did not end within 30 seconds", method,
                    talk->unit);
        sd_bus_wait(talk->bus, deadline - now);
    }
    if (str_equal(talk->result, "done") || str_equal(talk->result, "skipped"))
        return 0;
    return error_set(
            err, EREMOTEIO, "%s %s: the job ended as \"%s\"", method, talk->unit, talk->result);
}

static int watch_jobs(struct talk *talk, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_match_signal(
            talk->bus, NULL, SERVICE, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, talk);

    if (r >= 0)
        r = sd_bus_call_method(
                talk->bus, SERVICE, MANAGER_PATH, MANAGER, "Subscribe", &error, NULL, "");
    if (r < 0)
        refused("Subscribe", r, &error, err);
    sd_bus_error_free(&error);
    return r < 0 ? r : 0;
}

static int new_call(struct talk *talk, const char *method, sd_bus_message **ret)
{
    return sd_bus_message_new_method_call(talk->bus, ret, SERVICE, MANAGER_PATH, MANAGER, method);
}

/* What a unit of that name which failed before has left is in the way of a new one. */
static void reset_failed(struct talk *talk)
{
    sd_bus_call_method(talk->bus, SERVICE, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL,
            "s", talk->unit);
}

static int start(struct talk *talk, struct json_object *order, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL;
    int r = watch_jobs(talk, err);

    if (r < 0)
        return r;
    reset_failed(talk);
    r = new_call(talk, "StartTransientUnit", &message);
    if (r >= 0)
        r = sd_bus_message_append(message, "ss", talk->unit, "replace");
    if (r >= 0)
        r = append_properties(message, order);
    if (r >= 0)
        r = sd_bus_message_append(message, "a(sa(sv))", 0);
    if (r < 0)
        error_sys(err, -r, "StartTransientUnit %s: put the properties together", talk->unit);
    else
        r = call_job(talk, message, "StartTransientUnit", &error, err);
    sd_bus_message_unref(message);
    sd_bus_error_free(&error);
    return r < 0 ? r : wait_for_job(talk, "StartTransientUnit", err);
}

static int stop(struct talk *talk, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL;
    int r = watch_jobs(talk, err);

    if (r < 0)
        return r;
    r = new_call(talk, "StopUnit", &message);
    if (r >= 0)
        r = sd_bus_message_append(message, "ss", talk->unit, "replace");
    if (r >= 0)
        r = call_job(talk, message, "StopUnit", &error, err);
    sd_bus_message_unref(message);
    bool gone = sd_bus_error_has_name(&error, SERVICE ".NoSuchUnit");
    sd_bus_error_free(&error);
    if (!gone && r >= 0)
        r = wait_for_job(talk, "StopUnit", err);
    reset_failed(talk);
    return gone ? 0 : r;
}

static int set(struct talk *talk, struct json_object *order, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL;
    int r = new_call(talk, "SetUnitProperties", &message);

    if (r >= 0)
        r = sd_bus_message_append(message, "sb", talk->unit, true);
    if (r >= 0)
        r = append_properties(message, order);
    if (r >= 0)
        r = sd_bus_call(talk->bus, message, JOB_WAIT_US, &error, NULL);
    if (r < 0)
        refused("SetUnitProperties", r, &error, err);
    sd_bus_message_unref(message);
    sd_bus_error_free(&error);
    return r < 0 ? r : 0;
}

/* Where systemd has put the unit; "" when it cannot be told. */
static char *control_group(struct talk *talk)
{
    sd_bus_message *answer = NULL;
    const char *unit_path = NULL;
    char *group = NULL;
    const char *interface = str_ends(talk->unit, ".slice") ? SERVICE ".Slice" : SERVICE ".Scope";

    if (sd_bus_call_method(talk->bus, SERVICE, MANAGER_PATH, MANAGER, "GetUnit", NULL, &answer, "s",
                talk->unit) >= 0 &&
            sd_bus_message_read(answer, "o", &unit_path) >= 0)
        sd_bus_get_property_string(
                talk->bus, SERVICE, unit_path, interface, "ControlGroup", NULL, &group);
    sd_bus_message_unref(answer);
    return group ? group : strdup("");
}

int scope_carry_out(struct json_object *order, struct json_object **ret_answer, struct error *err)
{
    struct talk talk = {.unit = json_get_str(order, "unit")};
    const char *call = json_get_str(order, "call");

    if (!talk.unit || !call)
        return error_set(err, EINVAL, "an order needs \"call\" and \"unit\"");
    int r = open_bus(&talk, order, err);
    if (r >= 0 && str_equal(call, "start"))
        r = start(&talk, order, err);
    else if (r >= 0 && str_equal(call, "stop"))
        r = stop(&talk, err);
    else if (r >= 0 && str_equal(call, "set"))
        r = set(&talk, order, err);
    else if (r >= 0)
        r = error_set(err, EINVAL, "there is no order \"%s\"", call);
    if (r >= 0) {
        char *group = str_equal(call, "stop") ? strdup("") : control_group(&talk);
        *ret_answer = json_object_new_object();
        json_add_str(*ret_answer, "controlGroup", group);
        free(group);
    }
    end_talk(&talk);
    return r;
}
