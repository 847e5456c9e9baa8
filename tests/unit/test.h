/*
 * The unit tests' frame. A test program is one file, tests/unit/<folder>/<module>.c:
 *
 *     TEST(error_keeps_the_code) { CHECK_INT(error_set(NULL, EPERM, "x"), -EPERM); }
 *
 * and it ends with TEST_MAIN(). Each TEST prints one line, "ok NAME" or "FAILED NAME: …"; a test
 * that cannot run here says why through SKIP("reason"). The program exits with 1 if one failed.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

extern struct test *test_first;
extern bool test_failed;
extern const char *test_skipped;

void test_register(struct test *test);
void test_report(const char *file, int line, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
int test_run_all(int argc, char **argv);

#define TEST(name_)                                                                                \
    static void test_##name_(void);                                                                \
    __attribute__((constructor)) static void test_add_##name_(void)                                \
    {                                                                                              \
        static struct test self_ = {#name_, test_##name_, NULL};                                   \
        test_register(&self_);                                                                     \
    }                                                                                              \
    static void test_##name_(void)

#define CHECK(condition_)                                                                          \
    do {                                                                                           \
        if (!(condition_)) {                                                                       \
            test_report(__FILE__, __LINE__, "%s", #condition_);                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define CHECK_INT(found_, expected_)                                                               \
    do {                                                                                           \
        long long f_ = (long long)(found_), e_ = (long long)(expected_);                           \
        if (f_ != e_) {                                                                            \
            test_report(__FILE__, __LINE__, "%s is %lld, expected %lld", #found_, f_, e_);         \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define CHECK_STR(found_, expected_)                                                               \
    do {                                                                                           \
        const char *f_ = (found_), *e_ = (expected_);                                              \
        if (!f_ || strcmp(f_, e_) != 0) {                                                          \
            test_report(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #found_,              \
                    f_ ? f_ : "(null)", e_);                                                       \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define SKIP(reason_)                                                                              \
    do {                                                                                           \
        test_skipped = (reason_);                                                                  \
        return;                                                                                    \
    } while (0)

#define TEST_MAIN()                                                                                \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return test_run_all(argc, argv);                                                           \
    }
