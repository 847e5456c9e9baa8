#include "proto/lastwords.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "test.h"

static void say(int fd, const char *text)
{
    CHECK_INT(io_write_all(fd, text, strlen(text)), 0);
}

TEST(lastwords_are_one_plain_line)
{
    _cleanup_lastwords_ struct lastwords words = {0};
    int ends[2];

    CHECK_INT(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    words.fd = ends[0];
    CHECK(lastwords_read(&words));
    CHECK_STR(lastwords_line(&words), "");
    say(ends[1], "\n[    0.1] one\r\ntwo\033[31m\ttabs\xc3\xa4\n");
    CHECK(lastwords_read(&words));
    CHECK_STR(lastwords_line(&words), "[    0.1] one two[31mtabs");
    close(ends[1]);
    CHECK(!lastwords_read(&words));
    close(ends[0]);
}

TEST(lastwords_are_the_last)
{
    _cleanup_lastwords_ struct lastwords words = {0};
    char line[600];
    int ends[2];

    CHECK_INT(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    words.fd = ends[0];
    for (char c = 'a'; c <= 'z'; c++) {
        memset(line, c, sizeof(line) - 1);
        line[sizeof(line) - 1] = 0;
        say(ends[1], line);
        CHECK(lastwords_read(&words));
    }
    close(ends[1]);
    CHECK(lastwords_finish(&words, 0));
    CHECK_INT(strlen(lastwords_line(&words)), LASTWORDS_MAX);
    CHECK_INT(words.tail.data[0], 'w');
    CHECK_INT(words.tail.data[LASTWORDS_MAX - 1], 'z');
    close(ends[0]);
}

TEST(lastwords_finish_waits_no_longer_than_asked)
{
    _cleanup_lastwords_ struct lastwords words = {0};
    int ends[2];

    CHECK_INT(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    words.fd = ends[0];
    say(ends[1], "still here");
    CHECK(!lastwords_finish(&words, 1));
    CHECK_STR(lastwords_line(&words), "still here");
    close(ends[0]);
    close(ends[1]);
}

TEST(lastwords_without_a_pipe)
{
    _cleanup_lastwords_ struct lastwords words = {.fd = -1};

    CHECK(lastwords_finish(&words, 60000));
    CHECK_STR(lastwords_line(&words), "");
}
TEST_MAIN()
