#include "rootfs/options.h"

#include <linux/mount.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum option_kind {
    OPTION_NOTHING,     /* says what is the case anyway */
    OPTION_ATTRIBUTE,   /* of the mount; with an "r" in front for every mount below too */
    OPTION_PROPAGATION, /* with an "r" in front recursive */
    OPTION_FLAG,        /* a member of struct mount_options */
    OPTION_SUPERBLOCK,  /* a flag of every file system, for fsconfig */
};

struct option {
    const char *word;
    enum option_kind kind;
    uint64_t set, clear; /* OPTION_PROPAGATION: set; OPTION_FLAG: set is the member's offset */
};

#define MEMBER(name) OPTION_FLAG, offsetof(struct mount_options, name), 0
#define ATIME MOUNT_ATTR__ATIME

/* runtime-spec config.md, "Linux mount options", and crun's additions. */
static const struct option options[] = {
        {"defaults", OPTION_NOTHING},
        {"ro", OPTION_ATTRIBUTE, MOUNT_ATTR_RDONLY, 0},
        {"rw", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_RDONLY},
        {"nosuid", OPTION_ATTRIBUTE, MOUNT_ATTR_NOSUID, 0},
        {"suid", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_NOSUID},
        {"nodev", OPTION_ATTRIBUTE, MOUNT_ATTR_NODEV, 0},
        {"dev", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_NODEV},
        {"noexec", OPTION_ATTRIBUTE, MOUNT_ATTR_NOEXEC, 0},
        {"exec", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_NOEXEC},
        {"nodiratime", OPTION_ATTRIBUTE, MOUNT_ATTR_NODIRATIME, 0},
        {"diratime", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_NODIRATIME},
        {"nosymfollow", OPTION_ATTRIBUTE, MOUNT_ATTR_NOSYMFOLLOW, 0},
        {"symfollow", OPTION_ATTRIBUTE, 0, MOUNT_ATTR_NOSYMFOLLOW},
        {"noatime", OPTION_ATTRIBUTE, MOUNT_ATTR_NOATIME, ATIME},
        {"atime", OPTION_ATTRIBUTE, MOUNT_ATTR_RELATIME, ATIME},
        {"relatime", OPTION_ATTRIBUTE, MOUNT_ATTR_RELATIME, ATIME},
        {"norelatime", OPTION_ATTRIBUTE, MOUNT_ATTR_STRICTATIME, ATIME},
        {"strictatime", OPTION_ATTRIBUTE, MOUNT_ATTR_STRICTATIME, ATIME},
        {"nostrictatime", OPTION_ATTRIBUTE, MOUNT_ATTR_RELATIME, ATIME},
        {"private", OPTION_PROPAGATION, MS_PRIVATE},
        {"slave", OPTION_PROPAGATION, MS_SLAVE},
        {"shared", OPTION_PROPAGATION, MS_SHARED},
        {"unbindable", OPTION_PROPAGATION, MS_UNBINDABLE},
        {"bind", MEMBER(bind)},
        {"rbind", MEMBER(rbind)},
        {"remount", MEMBER(remount)},
        {"tmpcopyup", MEMBER(tmpcopyup)},
        {"z", MEMBER(relabel)},
        {"Z", MEMBER(relabel_own)},
        {"U", MEMBER(rechown)},
        {"copy-symlink", MEMBER(copy_symlink)},
        {"src-nofollow", MEMBER(src_nofollow)},
        {"dest-nofollow", MEMBER(dest_nofollow)},
        {"idmap", MEMBER(idmap)},
        {"ridmap", MEMBER(ridmap)},
        {"sync", OPTION_SUPERBLOCK},
        {"async", OPTION_SUPERBLOCK},
        {"dirsync", OPTION_SUPERBLOCK},
        {"mand", OPTION_SUPERBLOCK},
        {"nomand", OPTION_SUPERBLOCK},
        {"lazytime", OPTION_SUPERBLOCK},
        {"nolazytime", OPTION_SUPERBLOCK},
        {"silent", OPTION_NOTHING}, /* these two only steer the kernel's log */
        {"loud", OPTION_NOTHING},
        {"iversion", OPTION_NOTHING}, /* since Linux 5.x each file system decides by itself */
        {"noiversion", OPTION_NOTHING},
};

static const struct option *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (strcmp(options[i].word, word) == 0)
            return &options[i];
    return NULL;
}

/* A later word overrules an earlier one. The access time bits are one value: all are cleared for
 * the kernel whenever one is set. */
static void add_attribute(const struct option *option, uint64_t *set, uint64_t *clear)
{
    *set = (*set & ~option->clear) | option->set;
    *clear = (*clear & ~(option->set & ~(uint64_t)ATIME)) | option->clear;
}

static void set_flag(struct mount_options *options_, size_t offset)
{
    *(bool *)(void *)((char *)options_ + offset) = true;
}

static bool take_word(const char *word, struct mount_options *ret, struct arena *arena)
{
    const struct option *option = find(word);

    if (!option)
        return false;
    if (option->kind == OPTION_ATTRIBUTE)
        add_attribute(option, &ret->set, &ret->clear);
    else if (option->kind == OPTION_FLAG)
        set_flag(ret, option->set);
    else if (option->kind == OPTION_SUPERBLOCK)
        strv_add(arena, &ret->superblock, word);
    return option->kind != OPTION_PROPAGATION ||
           mount_propagation_read(word, &ret->propagation, &ret->propagation_rec);
}

static bool take_recursive_word(const char *word, struct mount_options *ret)
{
    const struct option *option = word[0] == 'r' ? find(word + 1) : NULL;

    if (!option)
        return false;
    if (option->kind == OPTION_PROPAGATION)
        return mount_propagation_read(word, &ret->propagation, &ret->propagation_rec);
    if (option->kind == OPTION_ATTRIBUTE)
        add_attribute(option, &ret->rec_set, &ret->rec_clear);
    return option->kind == OPTION_ATTRIBUTE;
}

/* "0-100000-65536": the first id on disk, the first id that it becomes, how many. */
static int read_triple(const char *text, struct id_map *ret)
{
    char copy[64];
    char *rest = copy;

    if (strlen(text) >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, strlen(text) + 1);
    const char *inside = strsep(&rest, "-");
    const char *outside = strsep(&rest, "-");
    if (!outside || !rest || str_to_u32(inside, &ret->inside) < 0 ||
            str_to_u32(outside, &ret->outside) < 0)
        return -EINVAL;
    return str_to_u32(rest, &ret->count);
}

static int read_id_list(struct arena *arena, const char *text, struct id_maps *maps)
{
    struct strv parts = {0};

    strv_split(arena, &parts, text, '#');
    if (parts.count == 0 || parts.count > ID_MAPS_MAX)
        return -EINVAL;
    maps->items = arena_new_array(arena, struct id_map, parts.count);
    for (maps->count = 0; maps->count < parts.count; maps->count++)
        if (read_triple(parts.words[maps->count], &maps->items[maps->count]) < 0)
            return -EINVAL;
    return 0;
}

/* What follows "idmap=": "uids=0-1-10#10-11-10;gids=0-100-10"; with an "@" in front of a list the
 * ids are the sandbox's and not the host's. */
static int read_idmap(struct arena *arena, const char *text, struct mount_options *ret)
{
    struct strv lists = {0};
    const char *list;

    strv_split(arena, &lists, text, ';');
    strv_foreach (list, &lists) {
        const char *uids = str_after(list, "uids=");
        const char *ids = uids ? uids : str_after(list, "gids=");
        bool relative = ids && *ids == '@';
        int r = ids ? read_id_list(arena, ids + relative, uids ? &ret->uids : &ret->gids) : -EINVAL;
        if (r < 0)
            return -EINVAL;
        *(uids ? &ret->uids_relative : &ret->gids_relative) = relative;
    }
    return ret->uids.count && ret->gids.count ? 0 : -EINVAL;
}

static int take_idmap(
        struct arena *arena, const char *word, struct mount_options *ret, struct error *err)
{
    const char *lists = str_after(word, "idmap=");

    ret->idmap |= lists != NULL;
    if (!lists) {
        lists = str_after(word, "ridmap=");
        ret->ridmap = true;
    }
    if (read_idmap(arena, lists, ret) == 0)
        return 0;
    return error_set(err, EINVAL,
            "mount option \"%s\": expected idmap=uids=FIRST-FIRST_OUTSIDE-COUNT;gids=… with \"#\" "
            "between ranges",
            word);
}

static int check(const struct mount_options *read, struct error *err)
{
    const char *word;

    if (read->subdir && (!*read->subdir || *read->subdir == '/'))
        return error_set(err, EINVAL,
                "mount option X-mount.subdir=%s: write a path below the source", read->subdir);
    if (read->subdir && !read->bind && !read->rbind)
        return error_set(err, EINVAL, "mount option X-mount.subdir is for bind mounts");
    if (read->tmpcopyup && (read->bind || read->rbind))
        return error_set(err, EINVAL,
                "mount options tmpcopyup and bind exclude each other: only a "
                "new tmpfs can be filled from what it covers");
    if (read->bind || read->rbind)
        strv_foreach (word, &read->data)
            return error_set(err, EINVAL,
                    "mount option \"%s\" is for the file system itself and means nothing to a bind "
                    "mount; remove it",
                    word);
    return 0;
}

int mount_options_read(
        struct arena *arena, const struct strv *words, struct mount_options *ret, struct error *err)
{
    struct mount_options read = {0};
    const char *word;

    strv_foreach (word, words) {
        int r = 0;
        if (str_starts(word, MOUNT_SUBDIR))
            read.subdir = str_after(word, MOUNT_SUBDIR);
        else if (str_starts(word, "idmap=") || str_starts(word, "ridmap="))
            r = take_idmap(arena, word, &read, err);
        else if (!take_word(word, &read, arena) && !take_recursive_word(word, &read) && *word)
            strv_add(arena, &read.data, word);
        if (r < 0)
            return r;
    }
    int r = check(&read, err);
    if (r == 0)
        *ret = read;
    return r;
}

bool mount_propagation_read(const char *word, uint64_t *ret, bool *ret_recursive)
{
    const struct option *option = find(word);
    bool recursive = !option && word[0] == 'r';

    if (recursive)
        option = find(word + 1);
    if (!option || option->kind != OPTION_PROPAGATION)
        return false;
    *ret = option->set;
    *ret_recursive = recursive;
    return true;
}

const char *mount_propagation_text(uint64_t propagation)
{
    switch (propagation) {
    case MS_PRIVATE:
        return "MS_PRIVATE";
    case MS_SLAVE:
        return "MS_SLAVE";
    case MS_SHARED:
        return "MS_SHARED";
    case MS_UNBINDABLE:
        return "MS_UNBINDABLE";
    default:
        return "0";
    }
}

static const struct {
    uint64_t bit;
    const char *name;
} attribute_names[] = {
        {MOUNT_ATTR_RDONLY, "MOUNT_ATTR_RDONLY"},
        {MOUNT_ATTR_NOSUID, "MOUNT_ATTR_NOSUID"},
        {MOUNT_ATTR_NODEV, "MOUNT_ATTR_NODEV"},
        {MOUNT_ATTR_NOEXEC, "MOUNT_ATTR_NOEXEC"},
        {MOUNT_ATTR_NOATIME, "MOUNT_ATTR_NOATIME"},
        {MOUNT_ATTR_STRICTATIME, "MOUNT_ATTR_STRICTATIME"},
        {MOUNT_ATTR_NODIRATIME, "MOUNT_ATTR_NODIRATIME"},
        {MOUNT_ATTR_IDMAP, "MOUNT_ATTR_IDMAP"},
        {MOUNT_ATTR_NOSYMFOLLOW, "MOUNT_ATTR_NOSYMFOLLOW"},
};

const char *mount_attr_text(struct arena *arena, uint64_t attributes)
{
    _cleanup_buf_ struct buf text = {0};

    if ((attributes & ATIME) == ATIME) {
        buf_add_str(&text, "MOUNT_ATTR__ATIME");
        attributes &= ~(uint64_t)ATIME;
    }
    for (size_t i = 0; i < ARRAY_SIZE(attribute_names); i++)
        if (attributes & attribute_names[i].bit)
            buf_printf(&text, "%s%s", text.length ? "|" : "", attribute_names[i].name);
    return text.length ? arena_strdup(arena, buf_text(&text)) : "0";
}

void mount_option_words(struct arena *arena, struct strv *words)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        enum option_kind kind = options[i].kind;
        strv_add(arena, words, options[i].word);
        if (kind == OPTION_ATTRIBUTE || kind == OPTION_PROPAGATION)
            strv_add(arena, words, arena_printf(arena, "r%s", options[i].word));
    }
}
