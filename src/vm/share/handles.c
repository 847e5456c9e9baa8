#include "vm/share/handles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY_FIRST 16

/* Makes the list twice as long. */
static int grow(struct handles *handles)
{
    uint32_t old = handles->capacity, capacity = old ? old * 2 : CAPACITY_FIRST;

    if (capacity > HANDLES_MAX)
        return -EMFILE;
    struct handle **list = realloc(handles->list, capacity * sizeof(struct handle *));
    if (!list)
        return -ENOMEM;
    memset(list + old, 0, (capacity - old) * sizeof(struct handle *));
    handles->list = list;
    handles->capacity = capacity;
    return 0;
}

static int find_free(struct handles *handles, uint32_t *ret)
{
    for (uint32_t i = 0; i < handles->capacity; i++) {
        uint32_t at = (handles->free + i) % handles->capacity;
        if (!handles->list[at]) {
            *ret = at;
            return 0;
        }
    }
    *ret = handles->capacity;
    return grow(handles);
}

int handles_put_back(struct handles *handles, struct inode *inode, uint64_t id, int flags)
{
    int r = id < HANDLES_MAX ? 0 : -EBADMSG;

    while (r == 0 && id >= handles->capacity)
        r = grow(handles);
    if (r < 0 || handles->list[id])
        return r < 0 ? r : -EBADMSG;
    struct handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return -ENOMEM;
    *handle = (struct handle){.inode = inode, .fd = -1, .flags = flags};
    inodes_ref(inode);
    handles->list[id] = handle;
    return 0;
}

int handles_add(struct handles *handles, struct inode *inode, int fd, int flags, uint64_t *ret)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    uint32_t at = 0;
    int r = handle ? find_free(handles, &at) : -ENOMEM;

    if (r < 0) {
        free(handle);
        close(fd);
        return r;
    }
    *handle = (struct handle){.inode = inode, .fd = fd, .flags = flags};
    inodes_ref(inode);
    handles->list[at] = handle;
    handles->free = at + 1;
    *ret = at;
    return 0;
}

struct handle *handles_get(const struct handles *handles, const struct inode *inode, uint64_t id)
{
    struct handle *handle = id < handles->capacity ? handles->list[id] : NULL;

    return handle && handle->inode == inode ? handle : NULL;
}

static bool can_do(int has, int wanted)
{
    return (has & O_ACCMODE) == O_RDWR || (has & O_ACCMODE) == (wanted & O_ACCMODE);
}

const struct handle *handles_find(
        const struct handles *handles, const struct inode *inode, int flags)
{
    for (uint32_t i = 0; i < handles->capacity; i++) {
        const struct handle *handle = handles->list[i];
        if (handle && handle->fd >= 0 && handle->inode == inode && can_do(handle->flags, flags))
            return handle;
    }
    return NULL;
}

void handles_close(struct handles *handles, struct inodes *inodes, uint64_t id)
{
    struct handle *handle = id < handles->capacity ? handles->list[id] : NULL;

    if (!handle)
        return;
    handles->list[id] = NULL;
    handles->free = (uint32_t)id;
    if (handle->fd >= 0)
        close(handle->fd);
    inodes_unref(inodes, handle->inode);
    free(handle->entries);
    free(handle);
}

void handles_reset(struct handles *handles, struct inodes *inodes)
{
    for (uint32_t i = 0; i < handles->capacity; i++)
        handles_close(handles, inodes, i);
    free(handles->list);
    *handles = (struct handles){0};
}
