#include "test.h"

#include <stdarg.h>

struct test *test_first;
bool test_failed;
const char *test_skipped;

void test_register(struct test *test)
{
    struct test **at = &test_first;

    while (*at)
        at = &(*at)->next;
    *at = test;
}

void test_report(const char *file, int line, const char *format, ...)
{
    va_list args;

    test_failed = true;
    printf("  %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

int test_run_all(int argc, char **argv)
{
    int failures = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *test = test_first; test; test = test->next) {
        if (argc > 1 && !strstr(test->name, argv[1]))
            continue;
        test_failed = false;
        test_skipped = NULL;
        test->run();
        if (test_failed)
            printf("FAILED %s\n", test->name);
        else if (test_skipped)
            printf("skipped %s: %s\n", test->name, test_skipped);
        else
            printf("ok %s\n", test->name);
        failures += test_failed;
    }
    return failures > 0;
}
