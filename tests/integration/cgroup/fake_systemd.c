/*
 * A small org.freedesktop.systemd1 on a private bus, for the test of scopes: starts, stops and
 * changes transient units as far as viv-systemd asks, with cgroup v2 directories and name=systemd
 * ones, and writes each property it was given into a log. fake_systemd ADDRESS LOG V2_MOUNT
 * NAMED_MOUNT (a mount may be "-").
 */
#include "fake_systemd.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/it"

struct fake {
    FILE *log;
    const char *mounts[2];
    char unit[256];
    char group[512]; /* "/system.slice/x.scope" */
    bool started;
    sd_bus_slot *object;
};

static void in_each_mount(struct fake *fake, void (*act)(const char *dir, const char *text),
        const char *path, const char *text)
{
    char dir[1024];

    for (int i = 0; i < 2; i++)
        if (strcmp(fake->mounts[i], "-") != 0) {
            snprintf(dir, sizeof(dir), "%s%s", fake->mounts[i], path);
            act(dir, text);
        }
}

static void make(const char *dir, const char *text)
{
    (void)text;
    mkdir(dir, 0755);
}

static void destroy(const char *dir, const char *text)
{
    (void)text;
    rmdir(dir);
}

static void enter(const char *dir, const char *pid)
{
    char path[1100];

    snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    FILE *procs = fopen(path, "we");
    if (procs) {
        fprintf(procs, "%s", pid);
        fclose(procs);
    }
}

static void log_value(struct fake *fake, sd_bus_message *message, const char *name,
        const char *signature, char pids[64])
{
    const char *text;
    uint64_t wide;
    uint32_t small;
    int flag;
    const void *bytes;
    size_t size;

    fprintf(fake->log, "%s=", name);
    sd_bus_message_enter_container(message, 'v', signature);
    if (strcmp(signature, "s") == 0 && sd_bus_message_read(message, "s", &text) > 0)
        fprintf(fake->log, "%s", text);
    else if (strcmp(signature, "t") == 0 && sd_bus_message_read(message, "t", &wide) > 0)
        fprintf(fake->log, "%llu", (unsigned long long)wide);
    else if (strcmp(signature, "b") == 0 && sd_bus_message_read(message, "b", &flag) > 0)
        fprintf(fake->log, "%s", flag ? "true" : "false");
    else if (strcmp(signature, "ay") == 0 &&
             sd_bus_message_read_array(message, 'y', &bytes, &size) > 0)
        fprintf(fake->log, "%zu bytes, first %d", size, *(const unsigned char *)bytes);
    else if (strcmp(signature, "au") == 0) {
        sd_bus_message_enter_container(message, 'a', "u");
        while (sd_bus_message_read(message, "u", &small) > 0)
            snprintf(pids, 64, "%u", small);
        sd_bus_message_exit_container(message);
        fprintf(fake->log, "%s", pids);
    } else {
        sd_bus_message_skip(message, signature);
        fprintf(fake->log, "(%s)", signature);
    }
    sd_bus_message_exit_container(message);
    fprintf(fake->log, "\n");
}

/* Logs the properties; the slice and the process are kept. */
static void read_properties(
        struct fake *fake, sd_bus_message *message, char slice[256], char pids[64])
{
    const char *name, *signature;
    char type;

    sd_bus_message_enter_container(message, 'a', "(sv)");
    while (sd_bus_message_enter_container(message, 'r', "sv") > 0) {
        sd_bus_message_read_basic(message, 's', &name);
        sd_bus_message_peek_type(message, &type, &signature);
        if (strcmp(name, "Slice") == 0) {
            const char *text = "";
            sd_bus_message_read(message, "v", "s", &text);
            snprintf(slice, 256, "%s", text);
            fprintf(fake->log, "Slice=%s\n", text);
        } else {
            log_value(fake, message, name, signature, pids);
        }
        sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
    fflush(fake->log);
}

static int end_job(sd_bus_message *message, struct fake *fake, const char *result)
{
    const char *job = MANAGER_PATH "/job/7";

    sd_bus_reply_method_return(message, "o", job);
    return sd_bus_emit_signal(sd_bus_message_get_bus(message), MANAGER_PATH,
            "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 7, job, fake->unit, result);
}

static int on_start(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct fake *fake = data;
    const char *unit, *mode;
    char slice[256] = "system.slice", pids[64] = "";

    sd_bus_message_read(message, "ss", &unit, &mode);
    if (fake->started)
        return sd_bus_error_setf(
                error, "org.freedesktop.systemd1.UnitExists", "Unit %s already exists.", unit);
    snprintf(fake->unit, sizeof(fake->unit), "%s", unit);
    fprintf(fake->log, "start %s\n", unit);
    read_properties(fake, message, slice, pids);
    char path[300];
    snprintf(path, sizeof(path), "/%s", slice);
    in_each_mount(fake, make, path, "");
    snprintf(fake->group, sizeof(fake->group), "/%s/%s", slice, unit);
    in_each_mount(fake, make, fake->group, "");
    in_each_mount(fake, enter, fake->group, pids);
    fake->started = true;
    return end_job(message, fake, "done");
}

static int on_stop(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct fake *fake = data;
    const char *unit, *mode;

    sd_bus_message_read(message, "ss", &unit, &mode);
    fprintf(fake->log, "stop %s\n", unit);
    fflush(fake->log);
    if (!fake->started || strcmp(unit, fake->unit) != 0)
        return sd_bus_error_setf(
                error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", unit);
    fake->started = false;
    for (int i = 0; i < 12000; i++) { /* what is in it was killed, and ends */
        in_each_mount(fake, destroy, fake->group, "");
        char dir[1024];
        snprintf(dir, sizeof(dir), "%s%s", fake->mounts[0], fake->group);
        if (access(dir, F_OK) < 0)
            break;
        usleep(5000);
    }
    in_each_mount(fake, destroy, fake->group, "");
    *strrchr(fake->group, '/') = '\0';
    in_each_mount(fake, destroy, fake->group, "");
    return end_job(message, fake, "done");
}

static int on_set(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct fake *fake = data;
    const char *unit;
    int runtime;
    char slice[256], pids[64];

    (void)error;
    sd_bus_message_read(message, "sb", &unit, &runtime);
    fprintf(fake->log, "set %s\n", unit);
    read_properties(fake, message, slice, pids);
    return sd_bus_reply_method_return(message, "");
}

static int on_get(sd_bus_message *message, void *data, sd_bus_error *error)
{
    (void)data, (void)error;
    return sd_bus_reply_method_return(message, "o", UNIT_PATH);
}

static int on_nothing(sd_bus_message *message, void *data, sd_bus_error *error)
{
    (void)data, (void)error;
    return sd_bus_reply_method_return(message, "");
}

static int get_group(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *data, sd_bus_error *error)
{
    struct fake *fake = data;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", fake->group);
}

static const sd_bus_vtable manager[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Subscribe", "", "", on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ResetFailedUnit", "s", "", on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnit", "s", "o", on_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_start,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", on_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetUnitProperties", "sba(sv)", "", on_set, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable scope[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ControlGroup", "s", get_group, 0, 0),
        SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
    struct fake fake = {0};
    sd_bus *bus = NULL;

    if (argc != 5)
        return 2;
    fake.log = fopen(argv[2], "ae");
    fake.mounts[0] = argv[3];
    fake.mounts[1] = argv[4];
    if (!fake.log || sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, argv[1]) < 0 ||
            sd_bus_set_bus_client(bus, true) < 0 || sd_bus_start(bus) < 0)
        return 3;
    if (sd_bus_add_object_vtable(
                bus, NULL, MANAGER_PATH, "org.freedesktop.systemd1.Manager", manager, &fake) < 0 ||
            sd_bus_add_object_vtable(
                    bus, NULL, UNIT_PATH, "org.freedesktop.systemd1.Scope", scope, &fake) < 0 ||
            sd_bus_request_name(bus, "org.freedesktop.systemd1", 0) < 0)
        return 4;
    fprintf(fake.log, "ready\n");
    fflush(fake.log);
    while (sd_bus_process(bus, NULL) >= 0)
        sd_bus_wait(bus, UINT64_MAX);
    return 0;
}
