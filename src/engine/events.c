#include "engine/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Only one of those who see that it is full makes a new one. */
static void rotate(int folder, int fd)
{
    struct stat ours, current;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    if (fstat(fd, &ours) == 0 && fstatat(folder, EVENTS_FILE, &current, AT_SYMLINK_NOFOLLOW) == 0 &&
            ours.st_ino == current.st_ino)
        renameat(folder, EVENTS_FILE, folder, EVENTS_OLD);
}

static struct json_object *event_json(const struct event *event)
{
    struct json_object *json = json_object_new_object();
    struct json_object *actor = json_object_new_object();
    struct json_object *attributes = json_object_new_object();
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_add_str(attributes, "name", event->name);
    json_add_str(attributes, "image", event->image);
    if (event->key)
        json_add_str(attributes, event->key, event->value);
    json_add_str(actor, "ID", event->id);
    json_object_object_add(actor, "Attributes", attributes);
    json_add_str(json, "Type", event->type);
    json_add_str(json, "Action", event->action);
    json_object_object_add(json, "Actor", actor);
    json_add_str(json, "scope", "local");
    json_object_object_add(json, "time", json_object_new_int64(now.tv_sec));
    json_object_object_add(
            json, "timeNano", json_object_new_int64(now.tv_sec * 1000000000 + now.tv_nsec));
    return json;
}

void event_add(const char *root, const struct event *event)
{
    _cleanup_json_ struct json_object *json = event_json(event);
    _cleanup_buf_ struct buf line = {.max = 65536};
    struct stat found;
    _cleanup_close_ int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    _cleanup_close_ int fd = openat(
            folder, EVENTS_FILE, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    buf_add_str(&line, json_text(json));
    buf_add_char(&line, '\n');
    /* one write: lines of several processes never mix */
    if (write(fd, line.data, line.length) < 0 || fstat(fd, &found) < 0)
        return;
    if (found.st_size > EVENTS_SIZE_MAX)
        rotate(folder, fd);
}

void event_of(const struct engine *engine, const struct sandbox_meta *meta, const char *action,
        const char *key, const char *value)
{
    const struct event event = {"container", action, meta->id, meta->name, meta->image, key, value};

    event_add(engine->store.root, &event);
}
