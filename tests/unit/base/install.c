#include "base/install.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "test.h"

static const char *const places[] = {".", "../libexec/viv", NULL};

TEST(install_finds_beside_and_then_below_the_prefix)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    char top[] = "/tmp/test-install-XXXXXX";
    const char *found = NULL;

    CHECK(mkdtemp(top));
    const char *bin = arena_printf(&arena, "%s/bin", top);
    const char *far = arena_printf(&arena, "%s/libexec/viv", top);
    CHECK_INT(io_make_dirs_at(AT_FDCWD, bin, 0755), 0);
    CHECK_INT(io_make_dirs_at(AT_FDCWD, far, 0755), 0);
    CHECK_INT(install_find_from(&arena, bin, places, "x", &found, &err), -ENOENT);
    CHECK_STR(
            err.text, arena_printf(&arena, "x is not installed: it is not in %s or %s", bin, far));
    CHECK(found == NULL);
    CHECK_INT(mkdir(arena_printf(&arena, "%s/x", far), 0755), 0);
    CHECK_INT(install_find_from(&arena, bin, places, "x", &found, &err), 0);
    CHECK_STR(found, arena_printf(&arena, "%s/x", far));
    CHECK_INT(mkdir(arena_printf(&arena, "%s/x", bin), 0755), 0);
    CHECK_INT(install_find_from(&arena, bin, places, "x", &found, &err), 0);
    CHECK_STR(found, arena_printf(&arena, "%s/x", bin));
    CHECK_INT(io_remove_tree_at(AT_FDCWD, top), 0);
}

TEST(install_finds_this_program_beside_itself)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *found = NULL;

    CHECK_INT(install_find_program(&arena, "test-base-install", &found, NULL), 0);
    CHECK_INT(access(found, X_OK), 0);
    CHECK_INT(install_find_data(&arena, "no such data", &found, NULL), -ENOENT);
}

TEST_MAIN()
