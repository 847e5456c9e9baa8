#include "spec/check.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "spec/check_linux.h"
#include "spec/check_process.h"
#include "spec/check_resources.h"
#include "spec/rule.h"

#define HOST_NAME_MAX_LENGTH 64 /* the kernel's __NEW_UTS_LEN */
#define MEMORY_MIN ((uint64_t)1 << 20)

/* Semantic versions below 2; what follows the numbers ("-dev", "-rc.1", "+dev") is free. */
static void check_version(
        struct record_report *report, const struct record_place *place, const char *version)
{
    unsigned numbers[3];
    int end = 0;

    if (!version)
        return;
    int found = sscanf(version, "%4u.%4u.%4u%n", &numbers[0], &numbers[1], &numbers[2], &end);
    if (found != 3 || (version[end] && version[end] != '-' && version[end] != '+'))
        record_fault(report, place,
                "\"%.64s\" is not a version: write three numbers, as in \"" SPEC_VERSION "\"",
                version);
    else if (numbers[0] != 1)
        record_fault(report, place,
                "version %.64s of the specification is not known: write 1.0.0 to " SPEC_VERSION,
                version);
    else if (numbers[1] > 3)
        record_warn(report, place,
                "version %.64s is newer than " SPEC_VERSION ": what it added is not known here",
                version);
}

static void check_root(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    const struct record_place *path = RECORD_MEMBER(place, "path");

    if (!spec->root)
        record_fault(report, place, "required, but missing: name the root file system's directory");
    else if (spec->root->path && !*spec->root->path)
        record_fault(report, path, "the path is empty: name the root file system's directory");
}

static void check_host_name(struct record_report *report, const struct record_place *place,
        const char *name, const struct spec *spec)
{
    if (str_empty(name))
        return;
    if (strlen(name) > HOST_NAME_MAX_LENGTH)
        record_fault(report, place, "the name has %zu characters, the kernel takes at most %d",
                strlen(name), HOST_NAME_MAX_LENGTH);
    if (!check_has_namespace(spec, "uts", false))
        record_fault(report, place,
                "it can only be set in a UTS namespace: add {\"type\":\"uts\"} to "
                "/linux/namespaces");
}

/* Mounts that need no file system type: binds, and changes of what is mounted there already. */
static bool needs_no_type(const struct strv *options)
{
    return strv_contains(options, "bind") || strv_contains(options, "rbind") ||
           strv_contains(options, "remount");
}

static void check_mount_source(struct record_report *report, const struct record_place *place,
        const struct spec_mount *mount)
{
    if (spec_mount_is_bind(mount) && str_empty(mount->source))
        record_fault(report, RECORD_MEMBER(place, "source"),
                "a bind mount needs the file or directory that is to appear there");
    if (str_empty(mount->type) && !needs_no_type(&mount->options))
        record_fault(report, RECORD_MEMBER(place, "type"),
                "no file system type, and not a bind mount: write the type, or \"bind\" or "
                "\"rbind\" into the options");
}

static void check_idmap(struct record_report *report, const struct record_place *place,
        const struct spec *spec, const struct spec_mount *mount)
{
    bool asked =
            strv_contains(&mount->options, "idmap") || strv_contains(&mount->options, "ridmap");
    bool mapped = mount->uidMappings.count || mount->gidMappings.count;

    rule_id_mappings(report, RECORD_MEMBER(place, "uidMappings"), &mount->uidMappings);
    rule_id_mappings(report, RECORD_MEMBER(place, "gidMappings"), &mount->gidMappings);
    if (mapped && !mount->uidMappings.count)
        record_fault(report, RECORD_MEMBER(place, "uidMappings"),
                "group ids are mapped, but user ids are not: give both");
    if (mapped && !mount->gidMappings.count)
        record_fault(report, RECORD_MEMBER(place, "gidMappings"),
                "user ids are mapped, but group ids are not: give both");
    if (asked && !mapped && !check_has_namespace(spec, "user", false))
        record_fault(report, RECORD_MEMBER(place, "options"),
                "idmap without uidMappings and gidMappings takes those of the user namespace, but "
                "there is none");
}

static void check_mounts(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        const struct record_place *here = RECORD_ITEM(place, i);
        const struct record_place *to = RECORD_MEMBER(here, "destination");
        const char *destination = mount->destination;
        if (destination && !*destination)
            record_fault(report, to, "the path is empty: write where to mount");
        else if (destination && rule_path_escapes(destination))
            record_fault(report, to, "\"%.256s\" leads out of the root by \"..\"", destination);
        else if (destination && *destination != '/')
            record_warn(report, to,
                    "\"%.256s\" is not absolute; it is taken as \"/%.256s\", which is deprecated",
                    destination, destination);
        check_mount_source(report, here, mount);
        check_idmap(report, here, spec, mount);
    }
}

static void check_annotations(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    for (size_t i = 0; i < spec->annotations.count; i++)
        if (!*spec->annotations.items[i].key)
            record_fault(report, RECORD_MEMBER(place, ""), "an annotation's name is empty");
}

static void check_hw_config(struct record_report *report, const struct record_place *place,
        const struct spec_vm_hw_config *hardware)
{
    if (!hardware)
        return;
    if (hardware->vcpus.set && hardware->vcpus.value == 0)
        record_fault(report, RECORD_MEMBER(place, "vcpus"), "a machine needs at least one");
    if (hardware->memory.set && hardware->memory.value < MEMORY_MIN)
        record_fault(report, RECORD_MEMBER(place, "memory"),
                "%llu bytes are less than 1 MiB: the number is in bytes",
                (unsigned long long)hardware->memory.value);
    if (!str_empty(hardware->deviceTree))
        rule_absolute(report, RECORD_MEMBER(place, "deviceTree"), hardware->deviceTree);
}

static void check_vm(
        struct record_report *report, const struct record_place *place, const struct spec_vm *vm)
{
    const struct record_place *kernel = RECORD_MEMBER(place, "kernel");
    const struct record_place *hypervisor = RECORD_MEMBER(place, "hypervisor");
    const struct record_place *image = RECORD_MEMBER(place, "image");

    if (!vm)
        return;
    if (vm->kernel && vm->kernel->path)
        rule_absolute(report, RECORD_MEMBER(kernel, "path"), vm->kernel->path);
    if (vm->kernel && !str_empty(vm->kernel->initrd))
        rule_absolute(report, RECORD_MEMBER(kernel, "initrd"), vm->kernel->initrd);
    if (vm->hypervisor && vm->hypervisor->path)
        rule_absolute(report, RECORD_MEMBER(hypervisor, "path"), vm->hypervisor->path);
    if (vm->image && vm->image->path)
        rule_absolute(report, RECORD_MEMBER(image, "path"), vm->image->path);
    if (vm->image)
        rule_one_of(report, RECORD_MEMBER(image, "format"), vm->image->format, &spec_image_formats,
                "image format");
    check_hw_config(report, RECORD_MEMBER(place, "hwConfig"), vm->hwConfig);
}

void spec_check(const struct spec *spec, struct record_report *report)
{
    const struct record_place *top = RECORD_TOP("");

    check_version(report, RECORD_MEMBER(top, "ociVersion"), spec->ociVersion);
    if (spec->process)
        check_process(report, RECORD_MEMBER(top, "process"), spec->process);
    else
        record_fault(report, RECORD_MEMBER(top, "process"),
                "required, but missing: it says which program to start");
    check_root(report, RECORD_MEMBER(top, "root"), spec);
    check_host_name(report, RECORD_MEMBER(top, "hostname"), spec->hostname, spec);
    check_host_name(report, RECORD_MEMBER(top, "domainname"), spec->domainname, spec);
    check_mounts(report, RECORD_MEMBER(top, "mounts"), spec);
    check_hooks(report, RECORD_MEMBER(top, "hooks"), &spec->hooks);
    check_annotations(report, RECORD_MEMBER(top, "annotations"), spec);
    check_linux(report, RECORD_MEMBER(top, "linux"), spec);
    check_vm(report, RECORD_MEMBER(top, "vm"), spec->vm);
}

void spec_check_process(const struct spec_process *process, struct record_report *report)
{
    check_process(report, RECORD_TOP(""), process);
}

void spec_check_resources(const struct spec_resources *resources, struct record_report *report)
{
    check_resources(report, RECORD_TOP(""), resources);
}

enum document { DOCUMENT_SPEC, DOCUMENT_PROCESS, DOCUMENT_RESOURCES };

static void read_document(
        enum document kind, struct json_object *json, void *ret, struct record_report *report)
{
    static const struct record *const records[] = {
            &spec_record, &spec_process_record, &spec_resources_record};

    record_read(records[kind], json, "", ret, report);
    if (!json_object_is_type(json, json_type_object))
        return;
    report->firm = report->faults.count;
    if (kind == DOCUMENT_SPEC)
        spec_check(ret, report);
    else if (kind == DOCUMENT_PROCESS)
        spec_check_process(ret, report);
    else
        spec_check_resources(ret, report);
}

static int load_document(enum document kind, const char *text, size_t length, const char *name,
        struct arena *arena, void *ret, struct strv *warnings, struct error *err)
{
    struct record_report report = {.arena = arena};
    _cleanup_json_ struct json_object *json = NULL;
    int r = json_parse(text, length, name, &json, err);

    if (r < 0)
        return r;
    read_document(kind, json, ret, &report);
    record_pass_warnings(&report, name, warnings);
    return record_error(&report, name, err);
}

int spec_load(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec *ret, struct strv *warnings, struct error *err)
{
    return load_document(DOCUMENT_SPEC, text, length, name, arena, ret, warnings, err);
}

int spec_load_process(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec_process *ret, struct strv *warnings, struct error *err)
{
    return load_document(DOCUMENT_PROCESS, text, length, name, arena, ret, warnings, err);
}

int spec_load_resources(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec_resources *ret, struct strv *warnings, struct error *err)
{
    return load_document(DOCUMENT_RESOURCES, text, length, name, arena, ret, warnings, err);
}

int spec_load_at(int dirfd, const char *path, struct arena *arena, struct spec *ret,
        struct strv *warnings, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(dirfd, path, &text);

    if (r < 0)
        return error_sys(err, -r, "read %s", path);
    return spec_load(buf_text(&text), text.length, path, arena, ret, warnings, err);
}
