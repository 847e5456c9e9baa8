#include "cli/runlife.h"

#include "base/cleanup.h"
#include "spec/defaults.h"

#define SECOND ((int64_t)1000000000)

static const struct option_row rows[] = {
        RUN_ROW(0, "restart", OPTION_TEXT, restart, "POLICY",
                "no, on-failure[:N], always, unless-stopped: start it again when it ends"),
        RUN_ROW(0, "health-cmd", OPTION_TEXT, health_cmd, "COMMAND",
                "Tells by its status whether the workload is well; none: no check"),
        RUN_ROW(0, "health-interval", OPTION_TIME, health_interval, "TIME",
                "Between two checks, 30s when not said"),
        RUN_ROW(0, "health-timeout", OPTION_TIME, health_timeout, "TIME",
                "How long a check may take, 30s when not said"),
        RUN_ROW(0, "health-retries", OPTION_COUNT, health_retries, "N",
                "Failures in a row that make it unhealthy, 3 when not said"),
        RUN_ROW(0, "health-start-period", OPTION_TIME, health_start_period, "TIME",
                "While it starts, failures do not count"),
        RUN_ROW(0, "health-start-interval", OPTION_TIME, health_start_interval, "TIME",
                "Between two checks while it starts, 5s when not said"),
        RUN_ROW(0, "health-on-failure", OPTION_CHOICE, health_on_failure, "none|kill|restart|stop",
                "What is done to it when it is unhealthy"),
        RUN_ROW(0, "no-healthcheck", OPTION_FLAG, no_healthcheck, NULL,
                "Leave the image's health check out"),
        RUN_ROW(0, "log-driver", OPTION_CHOICE, log_driver, "json-file|k8s-file|journald|none",
                "Where its output goes"),
        RUN_ROW(0, "log-opt", OPTION_LIST, log_opt, "KEY=VALUE",
                "max-size=BYTES and max-file=N of json-file, tag=TEXT of journald"),
};
const struct option_table run_life_table = OPTION_TABLE("Life", rows);

int run_restart_read(
        struct arena *arena, const char *text, const char **ret, int *ret_max, struct error *err)
{
    static const char *const policies[] = {"no", "on-failure", "always", "unless-stopped"};
    const char *name = text;
    const char *number = NULL;
    int max = 0;

    run_split(arena, text, ':', &name, &number);
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        if (!str_equal(name, policies[i]))
            continue;
        bool counts = str_equal(name, "on-failure");
        if (number && (!counts || str_to_int(number, &max) < 0 || max < 0))
            break;
        *ret = policies[i];
        *ret_max = max;
        return 0;
    }
    return error_set(err, EINVAL,
            "--restart %.64s: write no, on-failure, on-failure:N with the most restarts, always, "
            "or unless-stopped",
            text);
}

static int check_log_option(const char *key, const char *value, struct error *err)
{
    uint64_t number;

    if (str_equal(key, "max-size"))
        return str_to_bytes(value, &number, err) < 0 ? error_prefix(err, "--log-opt max-size") : 0;
    if (str_equal(key, "max-file")) {
        if (str_to_u64(value, 10, &number) < 0 || number < 1 || number > 1000)
            return error_set(err, EINVAL, "--log-opt max-file=%.64s: from 1 to 1000", value);
        return 0;
    }
    if (str_equal(key, "tag"))
        return 0;
    return error_set(err, EINVAL, "--log-opt %.64s: there are max-size, max-file and tag", key);
}

static int read_log(struct run_build *build, struct error *err)
{
    struct run_choices *choices = build->choices;
    const struct run_flags *flags = build->flags;
    const char *option;

    choices->log_driver = flags->log_driver;
    if (str_equal(choices->log_driver, "k8s-file"))
        choices->log_driver = "json-file"; /* Podman's name for a file with rotation */
    strv_foreach (option, &flags->log_opt) {
        const char *key;
        const char *value;
        if (run_split(build->arena, option, '=', &key, &value) < 0)
            return error_set(err, EINVAL, "--log-opt \"%.64s\": write KEY=VALUE", option);
        int r = check_log_option(key, value, err);
        if (r < 0)
            return r;
        spec_map_set(build->arena, &choices->log_options, key, value);
    }
    return 0;
}

static int set_time(const char *flag, const struct opt_i64 *given, int64_t *into, struct error *err)
{
    if (!given->set)
        return 0;
    if (given->value < SECOND / 1000 || given->value > 86400 * SECOND)
        return error_set(err, EINVAL, "--%s: from 1ms to 24h", flag);
    *into = given->value;
    return 0;
}

/* The image's check, and what the flags say instead. */
static int read_health(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct run_health *health = &build->choices->health;
    bool acts = flags->health_on_failure && !str_equal(flags->health_on_failure, "none");
    bool others = flags->health_interval.set || flags->health_timeout.set ||
                  flags->health_retries.set || flags->health_start_period.set ||
                  flags->health_start_interval.set || acts;

    if (flags->no_healthcheck && (flags->health_cmd || others))
        return error_set(err, EINVAL,
                "--no-healthcheck and the flags of a check contradict "
                "each other");
    if (build->input->image && !flags->no_healthcheck)
        *health = build->input->image->health;
    if (flags->health_cmd) {
        health->test = (struct strv){0};
        if (*flags->health_cmd && !str_equal(flags->health_cmd, "none")) {
            strv_add(build->arena, &health->test, "CMD-SHELL");
            strv_add(build->arena, &health->test, flags->health_cmd);
        }
    }
    if (health->test.count && str_equal(health->test.words[0], "NONE"))
        health->test.count = 0;
    if (others && !health->test.count)
        return error_set(err, EINVAL,
                "there is no health check: name its command with "
                "--health-cmd");
    if (acts)
        health->on_failure = flags->health_on_failure;
    int r = set_time("health-interval", &flags->health_interval, &health->interval, err);
    if (r == 0)
        r = set_time("health-timeout", &flags->health_timeout, &health->timeout, err);
    if (r == 0)
        r = set_time(
                "health-start-period", &flags->health_start_period, &health->start_period, err);
    if (r == 0)
        r = set_time("health-start-interval", &flags->health_start_interval,
                &health->start_interval, err);
    if (r == 0 && flags->health_retries.set) {
        if (flags->health_retries.value < 1 || flags->health_retries.value > 1000)
            return error_set(err, EINVAL, "--health-retries: from 1 to 1000");
        health->retries = (int)flags->health_retries.value;
    }
    return r;
}

/* Two that would start it again, or one that takes it away first. */
static int check_restarts(const struct run_choices *choices, bool rm, struct error *err)
{
    bool again = choices->restart && !str_equal(choices->restart, "no");
    bool unwell = str_equal(choices->health.on_failure, "restart");

    if (rm && (again || unwell))
        return error_set(err, EINVAL,
                "--rm takes the sandbox away when it ends, and %s%s starts it again: give one of "
                "them",
                again ? "--restart " : "--health-on-failure restart",
                again ? choices->restart : "");
    if (again && unwell)
        return error_set(err, EINVAL,
                "--health-on-failure restart and --restart %s both start it again: with the "
                "second, --health-on-failure kill ends it for good",
                choices->restart);
    return 0;
}

int run_life_apply(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct run_choices *choices = build->choices;
    int r = 0;

    if (flags->restart)
        r = run_restart_read(
                build->arena, flags->restart, &choices->restart, &choices->restart_max, err);
    if (r == 0)
        r = read_log(build, err);
    if (r == 0)
        r = read_health(build, err);
    return r < 0 ? r : check_restarts(choices, flags->rm, err);
}
