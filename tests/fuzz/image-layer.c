/* Layers, compressed or not: unpacked into a folder, compared with it, and copied over it by the
 * rules of `cp`, with links followed inside and not at all. Nothing may appear beside the folder.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/layer.h"

static char outer[] = "/tmp/viv-fuzz-layer-XXXXXX";

static void clean(void)
{
    io_remove_tree_at(AT_FDCWD, outer);
}

static int open_outer(void)
{
    static int fd = -1;

    if (fd < 0) {
        if (!mkdtemp(outer))
            abort();
        atexit(clean);
        fd = open(outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t ways[] = {RESOLVE_IN_ROOT, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    struct layer_options options = {.owners_ignored = true, .user_marks = true, .limit = 8 << 20};
    struct layer_result result;
    struct error err = ERROR_NONE;
    int outer_fd = open_outer();

    _cleanup_close_ int tar = memfd_create("tar", MFD_CLOEXEC);
    io_write_all(tar, data, size);
    lseek(tar, 0, SEEK_SET);
    mkdirat(outer_fd, "root", 0755);
    _cleanup_close_ int root = openat(outer_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    layer_unpack(tar, root, &options, &result, &err);
    if (layer_count(outer_fd) != layer_count(root) + 1)
        abort();
    lseek(tar, 0, SEEK_SET);
    layer_compare(tar, root, &options, &result, &err);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        options.resolve = ways[i];
        lseek(tar, 0, SEEK_SET);
        layer_copy(tar, root, &options, &result, &err);
        if (layer_count(outer_fd) != layer_count(root) + 1)
            abort();
    }
    io_remove_tree_at(outer_fd, "root");
    return 0;
}
