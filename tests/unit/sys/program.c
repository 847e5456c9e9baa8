#include "sys/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/process.h"
#include "test.h"

/* A shell with this script. */
static int run_script(const char *script, const int *handed, size_t count, struct buf *said)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv words = {0};
    struct program shell = {.path = "sh",
            .words = &words,
            .input = PROGRAM_NOTHING,
            .handed = handed,
            .handed_count = count};

    strv_add(&arena, &words, "sh");
    strv_add(&arena, &words, "-c");
    strv_add(&arena, &words, script);
    return program_run(&shell, said);
}

TEST(program_run_tells_how_it_ended_and_what_it_said)
{
    _cleanup_buf_ struct buf said = {0};

    CHECK_INT(run_script("cat; echo out; echo err >&2; exit 7", NULL, 0, &said), 7);
    CHECK_STR(buf_text(&said), "out\nerr\n");
    CHECK_INT(run_script("kill -KILL $$", NULL, 0, &said), 128 + SIGKILL);
}

TEST(program_run_drops_what_exceeds_the_cap)
{
    _cleanup_buf_ struct buf said = {.max = 4096};

    CHECK_INT(run_script("head -c 1000000 /dev/zero", NULL, 0, &said), 0);
    CHECK(said.length <= 4096);
}

TEST(program_start_hands_descriptors_on_in_order)
{
    _cleanup_buf_ struct buf said = {0};
    int ends[2];

    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "through", 7), 7);
    const int handed[] = {ends[1], ends[0]};
    CHECK_INT(run_script("exec 3>&-; head -c 7 <&4", handed, 2, &said), 0);
    CHECK_STR(buf_text(&said), "through");
    close(ends[0]);
    close(ends[1]);
}

/* What it says goes through a pipe that may be at one of the numbers that are handed on. */
TEST(program_run_hears_what_has_descriptors_too)
{
    _cleanup_buf_ struct buf said = {0};
    int ends[2], handed[4];

    CHECK_INT(pipe(ends), 0);
    for (size_t i = 0; i < 4; i++)
        handed[i] = fcntl(ends[1], F_DUPFD_CLOEXEC, 60);
    close(ends[0]);
    close(ends[1]);
    CHECK_INT(run_script("echo heard", handed, 4, &said), 0);
    CHECK_STR(buf_text(&said), "heard\n");
    for (size_t i = 0; i < 4; i++)
        close(handed[i]);
}

TEST(program_start_hands_on_nothing_else)
{
    _cleanup_buf_ struct buf said = {0};
    int ends[2];

    CHECK_INT(pipe(ends), 0);
    int stray = fcntl(ends[1], F_DUPFD, 40);
    CHECK_INT(run_script("ls /proc/$$/fd; :", &ends[0], 1, &said), 0);
    CHECK_STR(buf_text(&said), "0\n1\n2\n3\n");
    close(stray);
    close(ends[0]);
    close(ends[1]);
}

/* In a parent that blocks and ignores it: a helper could not be ended otherwise. */
TEST(program_start_gives_signals_back)
{
    _cleanup_buf_ struct buf said = {0};
    sigset_t set, before;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGPIPE, SIG_IGN);
    CHECK_INT(run_script("kill -TERM $$", NULL, 0, &said), 128 + SIGTERM);
    CHECK_INT(run_script("kill -PIPE $$", NULL, 0, &said), 128 + SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

TEST(program_run_of_what_is_not_there)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf said = {0};
    struct strv words = {0};
    struct program nothing = {.path = "no-such-program", .words = &words, .input = PROGRAM_NOTHING};

    strv_add(&arena, &words, "no-such-program");
    CHECK_INT(program_run(&nothing, &said), -ENOENT);
}

TEST_MAIN()
