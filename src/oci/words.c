#include "oci/words.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/install.h"
#include "base/io.h"
#include "base/str.h"
#include "security/self.h"

int oci_getopt(int argc, char **argv, const char *letters, const struct option *options,
        bool in_order, struct error *err)
{
    char with_mode[64];

    opterr = 0;
    snprintf(with_mode, sizeof(with_mode), "%s:%s", in_order ? "+" : "", letters);
    int found = getopt_long(argc, argv, with_mode, options, NULL);
    if (found == '?') {
        error_set(err, EINVAL, "flag provided but not defined: %s", argv[optind - 1]);
        return '?';
    }
    if (found == ':') {
        error_set(err, EINVAL, "flag needs an argument: %s", argv[optind - 1]);
        return '?';
    }
    return found;
}

int oci_one_word(int argc, char **argv, const char **ret_id, struct error *err)
{
    if (argc - optind < 1 || str_empty(argv[optind]))
        return error_set(
                err, EINVAL, "%s: requires exactly 1 argument, the container's id", argv[0]);
    if (argc - optind > 1)
        return error_set(err, EINVAL,
                "%s: requires exactly 1 argument, and there is \"%s\" as well", argv[0],
                argv[optind + 1]);
    *ret_id = argv[optind];
    return 0;
}

int oci_open(struct oci *oci, const char *id, struct container *ret, struct error *err)
{
    int r = container_open(&oci->store, id, oci->arena, ret, err);

    /* the words that engines look for */
    if (r == -ENOENT)
        return error_set(err, ENOENT, "container \"%s\" does not exist", id);
    return r;
}

int oci_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret,
        struct error *err)
{
    int64_t value;

    if (str_to_i64(text, &value) < 0 || value < min || value > max)
        return error_set(err, EINVAL,
                "invalid value \"%s\" for flag -%s: a number from %lld to %lld "
                "is wanted",
                text, option, (long long)min, (long long)max);
    *ret = value;
    return 0;
}

int oci_write_pid(const char *path, pid_t pid, struct error *err)
{
    char text[16];

    if (!path)
        return 0;
    int length = snprintf(text, sizeof(text), "%d", pid);
    int r = io_replace_file_at(AT_FDCWD, path, text, (size_t)length, 0644, false);
    return r < 0 ? error_sys(err, -r, "write the pid file %s", path) : 0;
}

int oci_protect(struct oci *oci, struct error *err)
{
    install_keep_place();
    return security_protect_self(oci->argv, environ, err);
}
