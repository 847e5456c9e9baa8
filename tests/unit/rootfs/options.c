#include "rootfs/options.h"

#include "test.h"

static struct arena arena;

static int read_words(const char *words, struct mount_options *options, struct error *err)
{
    struct strv list = {0};

    arena_free(&arena);
    strv_split(&arena, &list, words, ',');
    *options = (struct mount_options){0};
    return mount_options_read(&arena, &list, options, err);
}

/* Every attribute word: what it sets and clears, alone and with an r in front. */
static const struct {
    const char *word;
    uint64_t set, clear;
} attributes[] = {
        {"ro", MOUNT_ATTR_RDONLY, 0},
        {"rw", 0, MOUNT_ATTR_RDONLY},
        {"nosuid", MOUNT_ATTR_NOSUID, 0},
        {"suid", 0, MOUNT_ATTR_NOSUID},
        {"nodev", MOUNT_ATTR_NODEV, 0},
        {"dev", 0, MOUNT_ATTR_NODEV},
        {"noexec", MOUNT_ATTR_NOEXEC, 0},
        {"exec", 0, MOUNT_ATTR_NOEXEC},
        {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
        {"diratime", 0, MOUNT_ATTR_NODIRATIME},
        {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
        {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
        {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
        {"atime", 0, MOUNT_ATTR__ATIME},
        {"relatime", 0, MOUNT_ATTR__ATIME},
        {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
        {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
        {"nostrictatime", 0, MOUNT_ATTR__ATIME},
};

TEST(options_attributes_alone_and_recursive)
{
    struct mount_options options;
    char word[32];

    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        CHECK_INT(read_words(attributes[i].word, &options, NULL), 0);
        CHECK_INT(options.set, attributes[i].set);
        CHECK_INT(options.clear, attributes[i].clear);
        CHECK_INT(options.rec_set | options.rec_clear, 0);
        CHECK_INT(options.data.count, 0);
        snprintf(word, sizeof(word), "r%s", attributes[i].word);
        CHECK_INT(read_words(word, &options, NULL), 0);
        CHECK_INT(options.rec_set, attributes[i].set);
        CHECK_INT(options.rec_clear, attributes[i].clear);
        CHECK_INT(options.set | options.clear, 0);
        CHECK_INT(options.data.count, 0);
    }
}

TEST(options_the_last_word_wins)
{
    struct mount_options options;

    CHECK_INT(read_words("ro,rw", &options, NULL), 0);
    CHECK_INT(options.set, 0);
    CHECK_INT(options.clear, MOUNT_ATTR_RDONLY);
    CHECK_INT(read_words("rw,ro", &options, NULL), 0);
    CHECK_INT(options.set, MOUNT_ATTR_RDONLY);
    CHECK_INT(options.clear, 0);
    CHECK_INT(read_words("strictatime,noatime", &options, NULL), 0);
    CHECK_INT(options.set, MOUNT_ATTR_NOATIME);
    CHECK_INT(options.clear, MOUNT_ATTR__ATIME);
}

TEST(options_propagation)
{
    static const struct {
        const char *word;
        uint64_t value;
    } words[] = {{"private", MS_PRIVATE}, {"slave", MS_SLAVE}, {"shared", MS_SHARED},
            {"unbindable", MS_UNBINDABLE}};
    struct mount_options options;
    char word[32];

    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(read_words(words[i].word, &options, NULL), 0);
        CHECK_INT(options.propagation, words[i].value);
        CHECK(!options.propagation_rec);
        snprintf(word, sizeof(word), "r%s", words[i].word);
        CHECK_INT(read_words(word, &options, NULL), 0);
        CHECK_INT(options.propagation, words[i].value);
        CHECK(options.propagation_rec);
    }
}

TEST(options_the_rest_is_data)
{
    struct mount_options options;

    CHECK_INT(read_words("size=64k,mode=755,sync,lazytime,newinstance,relatime,silent,defaults",
                      &options, NULL),
            0);
    CHECK_STR(strv_join(&arena, &options.data, ","), "size=64k,mode=755,newinstance");
    CHECK_STR(strv_join(&arena, &options.superblock, ","), "sync,lazytime");
}

TEST(options_flags)
{
    struct mount_options options;

    CHECK_INT(read_words("bind,copy-symlink,src-nofollow,dest-nofollow,remount,ridmap", &options,
                      NULL),
            0);
    CHECK(options.bind && options.copy_symlink && options.src_nofollow && options.dest_nofollow &&
            options.remount && options.ridmap && !options.rbind && !options.idmap);
    CHECK_INT(read_words("tmpcopyup,idmap,rbin", &options, NULL), 0);
    CHECK(options.tmpcopyup && options.idmap);
    CHECK_STR(options.data.words[0], "rbin");
    CHECK_INT(read_words("rbind,X-mount.subdir=a/b", &options, NULL), 0);
    CHECK_STR(options.subdir, "a/b");
}

TEST(options_idmap_with_maps)
{
    struct mount_options options;

    CHECK_INT(read_words("idmap=uids=0-1-10#10-11-10;gids=@0-100-10", &options, NULL), 0);
    CHECK(options.idmap && !options.ridmap && !options.uids_relative && options.gids_relative);
    CHECK_INT(options.uids.count, 2);
    CHECK_INT(options.uids.items[1].inside, 10);
    CHECK_INT(options.uids.items[1].outside, 11);
    CHECK_INT(options.gids.items[0].outside, 100);
    CHECK_INT(read_words("ridmap=uids=0-1-1;gids=0-1-1", &options, NULL), 0);
    CHECK(options.ridmap && !options.idmap);
}

TEST(options_refused)
{
    static const char *const words[] = {"idmap=", "idmap=uids=0-1-1", "idmap=uids=0-1;gids=0-1-1",
            "idmap=uids=0-1-1;gids=x", "idmap=uids=-1-1-1;gids=0-1-1",
            "ridmap=uids=;gids=", "idmap=0-1-1", "bind,tmpcopyup", "bind,size=5k",
            "rbind,colour=red", "rbind,X-mount.subdir=", "rbind,X-mount.subdir=/a",
            "X-mount.subdir=a", "idmap=uids=0-1-99999999999;gids=0-1-1"};
    struct mount_options options;
    struct error err;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        err.text[0] = '\0';
        CHECK_INT(read_words(words[i], &options, &err), -EINVAL);
        CHECK(strstr(err.text, "mount option"));
    }
}

TEST(options_read_back_as_text)
{
    CHECK_STR(mount_attr_text(&arena, 0), "0");
    CHECK_STR(mount_attr_text(&arena, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC),
            "MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOEXEC");
    CHECK_STR(mount_attr_text(&arena, MOUNT_ATTR__ATIME), "MOUNT_ATTR__ATIME");
    CHECK_STR(mount_propagation_text(MS_SLAVE), "MS_SLAVE");
    CHECK_STR(mount_propagation_text(0), "0");
}

TEST(options_all_words_are_known_to_the_reader)
{
    struct mount_options options;
    struct strv words = {0};
    struct arena own = {0};
    const char *word;

    mount_option_words(&own, &words);
    CHECK(words.count > 60);
    CHECK(strv_contains(&words, "rnosymfollow") && strv_contains(&words, "tmpcopyup"));
    strv_foreach (word, &words) {
        CHECK_INT(read_words(word, &options, NULL), 0);
        CHECK_INT(options.data.count, 0);
    }
    arena_free(&own);
}

TEST_MAIN()
