/* rename, healthcheck. */
#include "engine/rename.h"
#include "cli/command.h"
#include "engine/health.h"

int cli_rename(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv rename",
            .usage = "SANDBOX NAME",
            .about = "Gives a sandbox another name, also one that runs.",
            .least = 2,
            .most = 2};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &command, argc, argv, NULL, &rest, &engine, err);

    if (r == 0)
        r = engine_rename(&engine, rest.words[0], rest.words[1], err);
    return r < 0 ? r : 0;
}

int cli_healthcheck(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv healthcheck",
            .usage = "run SANDBOX",
            .about = "Runs a sandbox's health check now: ends with 0 when it is well, else with 1.",
            .least = 2,
            .most = 2};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int code = 0;
    int r = cli_open(cli, &command, argc, argv, NULL, &rest, &engine, err);

    if (r == 0 && !str_equal(rest.words[0], "run"))
        return error_set(err, EINVAL, "healthcheck %s: write run SANDBOX", rest.words[0]);
    if (r == 0)
        r = health_check(&engine, rest.words[1], &code, err);
    return r < 0 ? r : code != 0;
}
