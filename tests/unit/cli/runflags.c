#include "cli/runflags.h"

#include "base/cleanup.h"
#include "spec/check.h"
#include "spec/defaults.h"
#include "test.h"

static char from_host[] = "HOST_VAR=from-host";
static char empty[] = "EMPTY=";
static char *const own_environment[] = {from_host, empty, NULL};

struct built {
    struct arena arena;
    struct run_image image;
    struct run_flags flags;
    struct run_input input;
    struct run_choices choices;
    struct spec *spec;
    struct error err;
};

static void fill_image(struct arena *arena, struct run_image *image)
{
    strv_add(arena, &image->entrypoint, "/entry");
    strv_add(arena, &image->command, "serve");
    strv_add(arena, &image->command, "-f");
    strv_add(arena, &image->env, "PATH=/image/bin");
    strv_add(arena, &image->env, "LANG=C");
    strv_add(arena, &image->volumes, "/var/data");
    image->workdir = "/srv";
    image->user = "app";
    image->stop_signal = "SIGQUIT";
}

/* Builds what a line of flags asks for; "~" in a word stands for a blank. The result's memory is
 * given back by drop(). */
static int build(struct built *built, const char *line)
{
    struct option_command command = run_flags_command("viv run", "Runs.");
    struct strv words = {0};

    *built = (struct built){0};
    fill_image(&built->arena, &built->image);
    strv_split(&built->arena, &words, line, ' ');
    for (size_t i = 0; i < words.count; i++)
        for (char *at = words.words[i]; *at; at++)
            *at = (char)(*at == '~' ? ' ' : *at);
    int r = options_parse(&command, (int)words.count, words.words, &built->arena, &built->flags,
            &built->input.arguments, &built->err);
    if (r != 0)
        return r;
    if (!built->flags.rootfs && !built->flags.bundle)
        built->input.image = &built->image;
    built->input.environment = own_environment;
    built->input.directory = "/home/me";
    for (size_t i = 0; i < built->flags.env_file.count; i++)
        strv_add(&built->arena, &built->input.env_files,
                str_equal(built->flags.env_file.words[i], "bad")
                        ? "A=1\nB C=2\n"
                        : "\xef\xbb\xbf# a comment\n\n  F1=one two\r\nHOST_VAR\nNOT_THERE\nLANG=D");
    return run_flags_build(&built->arena, &built->flags, &built->input, &built->spec,
            &built->choices, &built->err);
}

static void drop(struct built *built)
{
    arena_free(&built->arena);
}
#define _cleanup_built_ __attribute__((cleanup(drop)))

/* What a line of flags puts at a place of the configuration, as JSON. */
struct case_row {
    const char *line;
    const char *pointer;
    const char *json; /* NULL: nothing */
};

static const struct case_row resources_cases[] = {
        {"-m 64m img", "/linux/resources/memory", "{\"limit\":67108864,\"swap\":134217728}"},
        {"--memory=1.5g --memory-swap -1 img", "/linux/resources/memory",
                "{\"limit\":1610612736,\"swap\":-1}"},
        {"-m 64m --memory-swap 100m --memory-reservation 32m img", "/linux/resources/memory",
                "{\"limit\":67108864,\"reservation\":33554432,\"swap\":104857600}"},
        {"-m 0 img", "/linux/resources/memory", NULL},
        {"--memory-swappiness 0 --oom-kill-disable img", "/linux/resources/memory",
                "{\"swappiness\":0,\"disableOOMKiller\":true}"},
        {"--memory-swappiness -1 img", "/linux/resources/memory", NULL},
        {"--cpus 1.5 img", "/linux/resources/cpu", "{\"quota\":150000,\"period\":100000}"},
        {"--cpus .01 img", "/linux/resources/cpu/quota", "1000"},
        {"--cpus 0 img", "/linux/resources/cpu", NULL},
        {"-c 512 --cpu-quota 50000 --cpu-period 100000 --cpu-burst 10000 img",
                "/linux/resources/cpu",
                "{\"shares\":512,\"quota\":50000,\"burst\":10000,\"period\":100000}"},
        {"--cpuset-cpus 0-1 --cpuset-mems 0 --cpu-rt-runtime 95000 --cpu-rt-period 100000 img",
                "/linux/resources/cpu",
                "{\"realtimeRuntime\":95000,\"realtimePeriod\":100000,\"cpus\":\"0-1\",\"mems\":"
                "\"0\"}"},
        {"--cpu-shares 0 img", "/linux/resources/cpu", NULL},
        {"--pids-limit 100 img", "/linux/resources/pids", "{\"limit\":100}"},
        {"--pids-limit 0 img", "/linux/resources/pids", "{\"limit\":-1}"},
        {"--blkio-weight 300 img", "/linux/resources/blockIO", "{\"weight\":300}"},
        {"--device-cgroup-rule c~10:*~rw img", "/linux/resources/devices/1",
                "{\"allow\":true,\"type\":\"c\",\"major\":10,\"access\":\"rw\"}"},
        {"img", "/linux/resources/devices", "[{\"allow\":false,\"access\":\"rwm\"}]"},
        {"--hugetlb-limit 2MB=64m --hugetlb-limit 1G:1g img", "/linux/resources/hugepageLimits",
                "[{\"pageSize\":\"2MB\",\"limit\":67108864},{\"pageSize\":\"1GB\",\"limit\":"
                "1073741824}]"},
        {"--cgroup-conf memory.high=1g --cgroup-conf io.max=8:0~rbps=1 img",
                "/linux/resources/unified", "{\"memory.high\":\"1g\",\"io.max\":\"8:0 rbps=1\"}"},
};

static const struct case_row process_cases[] = {
        {"img", "/process/args", "[\"/entry\",\"serve\",\"-f\"]"},
        {"img sh -c true", "/process/args", "[\"/entry\",\"sh\",\"-c\",\"true\"]"},
        {"img -- ls --all", "/process/args", "[\"/entry\",\"ls\",\"--all\"]"},
        {"--entrypoint /bin/x img", "/process/args", "[\"/bin/x\"]"},
        {"--entrypoint /bin/x img a", "/process/args", "[\"/bin/x\",\"a\"]"},
        {"--entrypoint= img a b", "/process/args", "[\"a\",\"b\"]"},
        {"--entrypoint [\"a\",\"b~c\"] img d", "/process/args", "[\"a\",\"b c\",\"d\"]"},
        {"--rootfs /r -- ls", "/process/args", "[\"ls\"]"},
        {"--rootfs /r ls", "/root/path", "\"/r\""},
        {"img", "/process/env", "[\"PATH=/image/bin\",\"LANG=C\"]"},
        {"-t img", "/process/env", "[\"PATH=/image/bin\",\"LANG=C\",\"TERM=xterm\"]"},
        {"-t -e TERM=vt100 img", "/process/env", "[\"PATH=/image/bin\",\"LANG=C\",\"TERM=vt100\"]"},
        {"-e LANG=D -e A= -e HOST_VAR -e NOT_THERE -e EMPTY img", "/process/env",
                "[\"PATH=/image/bin\",\"LANG=D\",\"A=\",\"HOST_VAR=from-host\",\"EMPTY=\"]"},
        {"-e LANG img", "/process/env", "[\"PATH=/image/bin\"]"},
        {"--env-file f -e F1=three img", "/process/env",
                "[\"PATH=/image/bin\",\"LANG=D\",\"F1=three\",\"HOST_VAR=from-host\"]"},
        {"img", "/process/cwd", "\"/srv\""},
        {"-w /tmp img", "/process/cwd", "\"/tmp\""},
        {"--rootfs /r ls", "/process/cwd", "\"/\""},
        {"-t img", "/process/terminal", "true"},
        {"--umask 027 img", "/process/user", "{\"uid\":0,\"gid\":0,\"umask\":23}"},
        {"--ulimit nofile=1024:2048 --ulimit core=-1 --ulimit nofile=5 img", "/process/rlimits",
                "[{\"type\":\"RLIMIT_NOFILE\",\"hard\":5,\"soft\":5},{\"type\":\"RLIMIT_CORE\","
                "\"hard\":18446744073709551615,\"soft\":18446744073709551615}]"},
        {"--oom-score-adj -500 img", "/process/oomScoreAdj", "-500"},
};

static const struct case_row namespaces_cases[] = {
        {"img", "/linux/namespaces",
                "[{\"type\":\"network\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{"
                "\"type\":\"mount\"},{\"type\":\"cgroup\"},{\"type\":\"user\"}]"},
        {"--network host --pid host --ipc host --uts host --cgroupns host --userns host img",
                "/linux/namespaces", "[{\"type\":\"mount\"}]"},
        {"--net ns:/run/netns/a --userns host img", "/linux/namespaces",
                "[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{"
                "\"type\":\"cgroup\"},{\"type\":\"network\",\"path\":\"/run/netns/a\"}]"},
        {"--privileged img", "/linux/namespaces",
                "[{\"type\":\"network\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{"
                "\"type\":\"mount\"},{\"type\":\"cgroup\"}]"},
        {"--uidmap 0:1000:10 --uidmap 10:5 img", "/linux/uidMappings",
                "[{\"containerID\":0,\"hostID\":1000,\"size\":10},{\"containerID\":10,\"hostID\":5,"
                "\"size\":1}]"},
        {"--uidmap 0:1000:10 img", "/linux/gidMappings",
                "[{\"containerID\":0,\"hostID\":1000,\"size\":10}]"},
        {"--time-offset monotonic=-1.5,boottime=2h img", "/linux/timeOffsets",
                "{\"monotonic\":{\"secs\":-2,\"nanosecs\":500000000},\"boottime\":{\"secs\":7200}"
                "}"},
        {"-h box --domainname example img", "/hostname", "\"box\""},
        {"-h box --domainname example img", "/domainname", "\"example\""},
        {"--sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=5 img", "/linux/sysctl",
                "{\"net.ipv4.ip_forward\":\"1\",\"kernel.msgmax\":\"5\"}"},
};

static const struct case_row mounts_cases[] = {
        {"-v /a:/b img", "/mounts/7",
                "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/"
                "a\",\"options\":[\"rbind\",\"rprivate\"]}"},
        {"-v /a:/b/:ro,rslave,noexec img", "/mounts/7",
                "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/"
                "a\",\"options\":[\"rbind\",\"rslave\",\"noexec\",\"rro\"]}"},
        {"-v ./x:/b:ro,bind img", "/mounts/7",
                "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/home/me/"
                "x\",\"options\":[\"bind\",\"rprivate\",\"ro\"]}"},
        {"-v ../x:/b img", "/mounts/7/source", "\"/home/x\""},
        {"-v /deep:/x/y/z -v /shallow:/x img", "/mounts/7/source", "\"/shallow\""},
        {"-v /mine:/dev/shm img", "/mounts/6",
                "{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/"
                "mine\",\"options\":[\"rbind\",\"rprivate\"]}"},
        {"-v named:/b img", "/mounts/7", NULL},
        {"--mount type=bind,src=/a,dst=/b,readonly,bind-propagation=rshared img", "/mounts/7",
                "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/"
                "a\",\"options\":[\"rbind\",\"rshared\",\"rro\"]}"},
        {"--mount type=bind,\"source=/a,b\",target=/b,bind-nonrecursive,ro=false img", "/mounts/7",
                "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/"
                "a,b\",\"options\":[\"bind\",\"rprivate\",\"rw\"]}"},
        {"--mount type=bind,source=/a,target=/b,bind-recursive=writable img", "/mounts/7/options",
                "[\"rbind\",\"rprivate\",\"ro\"]"},
        {"--mount type=tmpfs,target=/b,tmpfs-size=64m,tmpfs-mode=1777,ro img", "/mounts/7",
                "{\"destination\":\"/"
                "b\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"size=67108864\",\"mode="
                "1777\",\"ro\"]}"},
        {"--tmpfs /t img", "/mounts/7",
                "{\"destination\":\"/"
                "t\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"nodev\","
                "\"noexec\"]}"},
        {"--tmpfs /t:exec,size=1m,mode=755 img", "/mounts/7/options",
                "[\"nosuid\",\"nodev\",\"exec\",\"size=1m\",\"mode=755\"]"},
        {"--shm-size 1m img", "/mounts/3/options",
                "[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=1048576\"]"},
        {"--ipc host --userns host img", "/mounts/6",
                "{\"destination\":\"/dev/mqueue\",\"type\":\"bind\",\"source\":\"/dev/"
                "mqueue\",\"options\":[\"rbind\",\"rprivate\"]}"},
        {"--ipc none img", "/mounts/3/destination", "\"/dev/mqueue\""},
        {"--pid host img", "/mounts/0",
                "{\"destination\":\"/proc\",\"type\":\"bind\",\"source\":\"/"
                "proc\",\"options\":[\"rbind\",\"rprivate\",\"nosuid\",\"noexec\",\"nodev\"]}"},
        {"--pid host --userns host img", "/mounts/0/type", "\"proc\""},
        {"--network host img", "/mounts/5/type", "\"bind\""},
        {"--read-only img", "/root/readonly", "true"},
};

static const struct case_row security_cases[] = {
        {"img", "/process/capabilities/bounding/13", "\"CAP_SETFCAP\""},
        {"--cap-drop all --cap-add net_bind_service,CAP_KILL img", "/process/capabilities",
                "{\"bounding\":[\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],\"effective\":[\"CAP_KILL\","
                "\"CAP_NET_BIND_SERVICE\"],\"permitted\":[\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]}"},
        {"--cap-drop MKNOD --cap-drop NET_RAW --cap-add sys_time img",
                "/process/capabilities/effective",
                "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_KILL\","
                "\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\",\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_"
                "CHROOT\",\"CAP_SYS_TIME\",\"CAP_AUDIT_WRITE\",\"CAP_SETFCAP\"]"},
        {"--cap-add ALL --cap-drop CHOWN img", "/process/capabilities/bounding/0",
                "\"CAP_DAC_OVERRIDE\""},
        {"--cap-drop ALL img", "/process/capabilities", "{}"},
        {"--security-opt no-new-privileges img", "/process/noNewPrivileges", "true"},
        {"--security-opt no-new-privileges:false img", "/process/noNewPrivileges", NULL},
        {"--security-opt mask=/a:/b/ img", "/linux/maskedPaths/13", "\"/b\""},
        {"--security-opt unmask=/proc img", "/linux/maskedPaths",
                "[\"/sys/devices/virtual/powercap\",\"/sys/firmware\"]"},
        {"--security-opt unmask=ALL img", "/linux/maskedPaths", NULL},
        {"--security-opt systempaths=unconfined img", "/linux/readonlyPaths", NULL},
        {"--security-opt apparmor=mine img", "/process/apparmorProfile", "\"mine\""},
        {"--security-opt proc-opts=hidepid=2 img", "/mounts/0/options",
                "[\"nosuid\",\"noexec\",\"nodev\",\"hidepid=2\"]"},
        {"--privileged img", "/linux/maskedPaths", NULL},
        {"--privileged img", "/linux/resources/devices", "[{\"allow\":true,\"access\":\"rwm\"}]"},
        {"--privileged img", "/mounts/5/options", "[\"nosuid\",\"noexec\",\"nodev\",\"rw\"]"},
        {"--privileged --cap-drop SYS_ADMIN img", "/process/capabilities/bounding/39",
                "\"CAP_CHECKPOINT_RESTORE\""},
        {"--annotation a.b=c img", "/annotations", "{\"a.b\":\"c\"}"},
};

static void check_case(const struct case_row *row)
{
    _cleanup_built_ struct built built;
    struct json_object *value = NULL;

    if (build(&built, row->line) != 0) {
        test_report(__FILE__, __LINE__, "%s: %s", row->line, built.err.text);
        return;
    }
    _cleanup_json_ struct json_object *json = spec_write(built.spec);
    int r = json_pointer_get(json, row->pointer, &value);
    const char *found = r == 0 ? json_text(value) : NULL;
    if (!str_equal(found, row->json))
        test_report(__FILE__, __LINE__, "%s: %s is %s, expected %s", row->line, row->pointer,
                found ? found : "not there", row->json ? row->json : "nothing");
}

#define CHECK_CASES(cases_)                                                                        \
    for (size_t i_ = 0; i_ < ARRAY_SIZE(cases_); i_++)                                             \
    check_case(&(cases_)[i_])

TEST(flags_for_resources)
{
    CHECK_CASES(resources_cases);
}

TEST(flags_for_process)
{
    CHECK_CASES(process_cases);
}

TEST(flags_for_namespaces)
{
    CHECK_CASES(namespaces_cases);
}

TEST(flags_for_mounts)
{
    CHECK_CASES(mounts_cases);
}

TEST(flags_for_security)
{
    CHECK_CASES(security_cases);
}

struct bad_row {
    const char *line;
    const char *message;
};

static const struct bad_row bad_cases[] = {
        {"--memroy 5 img", "unknown flag --memroy; did you mean --memory?"},
        {"", "no image given: name one (busybox is built in), or use --rootfs DIR or --bundle DIR"},
        {"--rootfs /r", "no command given: write it behind the options"},
        {"--rootfs /r --bundle /b", "--rootfs and --bundle both name a root: give one of them"},
        {"--rootfs= x", "--rootfs: the path is empty"},
        {"--bundle= x", "--bundle: the path is empty"},
        {"--name -x img", "--name \"-x\": write up to 128 letters, digits, \"_\", \".\" and \"-\", "
                          "a letter or digit first"},
        {"--name a/b img", "--name \"a/b\": write up to 128 letters, digits, \"_\", \".\" and "
                           "\"-\", a letter or digit first"},
        {"--isolation jail img", "flag --isolation wants container or vm, not \"jail\""},
        {"-d --step img", "--step asks questions, and --detach has nobody to answer"},
        {"--detach-keys ctrl-1 img", "--detach-keys ctrl-1: write keys with commas between, each a "
                                     "letter or ctrl- and a letter or one of [ \\ ] ^ _"},
        {"--label =x img", "--label \"=x\": the key is missing"},
        {"--annotation x img", "--annotation \"x\": write KEY=VALUE"},
        {"--stop-signal SIGTREM img",
                "--stop-signal: unknown signal \"SIGTREM\"; did you mean \"SIGTERM\"?"},
        {"--memory 64q img", "--memory: invalid size \"64q\": write a number with an optional "
                             "suffix b, k, m, g, t or p"},
        {"--memory -1 img", "--memory: invalid size \"-1\": write a number with an optional suffix "
                            "b, k, m, g, t or p"},
        {"--memory 9e30 img", "--memory: size \"9e30\" is larger than 16 EiB"},
        {"--memory-swap 1g img",
                "--memory-swap 1g limits memory and swap together: give --memory too"},
        {"-m 64m --memory-swap 32m img", "--memory-swap 32m is memory and swap together, and "
                                         "cannot be less than --memory 64m"},
        {"-m 64m --memory-reservation 1g img",
                "--memory-reservation 1g cannot be more than --memory 64m"},
        {"--memory-swappiness 101 img", "--memory-swappiness 101: write a number from 0 to 100"},
        {"--cpus two img", "--cpus two: write a number of CPUs, as in 1.5"},
        {"--cpus -1 img", "--cpus -1: write a number of CPUs, as in 1.5"},
        {"--cpus 0.001 img", "--cpus 0.001 is less than the kernel can do: 0.01"},
        {"--cpus 1 --cpu-quota 5 img",
                "--cpus says quota and period: leave out --cpu-quota and --cpu-period"},
        {"--cpu-shares -5 img",
                "flag --cpu-shares wants a number that is not negative, not \"-5\""},
        {"--pids-limit -2 img", "--pids-limit -2: write a number, or -1 for no limit"},
        {"--pids-limit many img", "flag --pids-limit wants a whole number, not \"many\""},
        {"--blkio-weight 5 img", "--blkio-weight 5 is not between 10 and 1000"},
        {"--blkio-weight-device sda:5 img", "--blkio-weight-device sda:5: write the device's path "
                                            "and a number, as in /dev/sda:500"},
        {"--blkio-weight-device /dev/sda:5 img",
                "--blkio-weight-device /dev/sda:5: the weight is not between 10 and 1000"},
        {"--device-read-bps /dev/sda img", "--device-read-bps /dev/sda: write the device's path "
                                           "and a number, as in /dev/sda:10m"},
        {"--device-read-bps /dev/sda:fast img",
                "--device-read-bps /dev/sda:fast: invalid size \"fast\": write a number with an "
                "optional suffix b, k, m, g, t or p"},
        {"--device-write-iops /dev/sda:1m img",
                "--device-write-iops /dev/sda:1m: \"1m\" is not a number"},
        {"--device-cgroup-rule c~10~rw img",
                "--device-cgroup-rule \"c 10 rw\": write type, numbers and access, as in \"c "
                "10:229 rwm\"; the type is a, b or c"},
        {"--device-cgroup-rule x~1:1~r img",
                "--device-cgroup-rule \"x 1:1 r\": write type, numbers and access, as in \"c "
                "10:229 rwm\"; the type is a, b or c"},
        {"--hugetlb-limit 2MB img",
                "--hugetlb-limit 2MB: write the page size and the limit, as in 2MB=64m"},
        {"--hugetlb-limit 2MB=x img", "--hugetlb-limit 2MB=x: invalid size \"x\": write a number "
                                      "with an optional suffix b, k, m, g, t or p"},
        {"--cgroup-conf memory img", "--cgroup-conf memory: write a file of the control group and "
                                     "its value, as in memory.high=1g"},
        {"-e =x img", "--env \"=x\": the variable has no name"},
        {"--env-file bad img", "--env-file bad:2: the variable's name \"B C\" has a blank inside"},
        {"-w tmp img", "--workdir tmp: write an absolute path"},
        {"-u a:b:c img", "--user \"a:b:c\": write USER or USER:GROUP, each a name or a number from "
                         "0 to 4294967294"},
        {"-u 4294967295 img", "--user \"4294967295\": write USER or USER:GROUP, each a name or a "
                              "number from 0 to 4294967294"},
        {"--user= img", "--user \"\": write USER or USER:GROUP, each a name or a number from 0 to "
                        "4294967294"},
        {"-u root~x img", "--user \"root x\": write USER or USER:GROUP, each a name or a number "
                          "from 0 to 4294967294"},
        {"--group-add= img", "--group-add \"\": write a name or a number from 0 to 4294967294"},
        {"--umask 999 img", "--umask 999: write an octal mode up to 0777"},
        {"--ulimit nofile img", "--ulimit nofile: write a name and limits, as in nofile=1024:2048"},
        {"--ulimit nofiel=1 img",
                "--ulimit nofiel=1: there is no such limit; did you mean nofile?"},
        {"--ulimit zebra=1 img", "--ulimit zebra=1: there is no such limit, see getrlimit(2)"},
        {"--ulimit core=x img",
                "--ulimit core=x: write numbers, or -1 for no limit, as in nofile=1024:2048"},
        {"--ulimit core=5:1 img", "--ulimit core=5:1: the soft limit is above the hard one"},
        {"--oom-score-adj 2000 img", "--oom-score-adj 2000: write a number from -1000 to 1000"},
        {"--entrypoint [1] img", "--entrypoint [1]: word 1 is not a string"},
        {"--entrypoint [\"a img", "--entrypoint:1:4: not valid JSON: the text ends too early"},
        {"--pid hots img", "--pid \"hots\": write private, host, ns:PATH or container:NAME"},
        {"--network ns:here img",
                "--network ns:here: write an absolute path, as in ns:/run/netns/a"},
        {"--network container: img", "--network \"container:\": write none, host, ns:PATH, "
                                     "container:NAME, pasta, or a network's name"},
        {"--network= img",
                "--network \"\": write none, host, ns:PATH, container:NAME, pasta, or a network's "
                "name"},
        {"--network none --network web img",
                "--network none: only networks with a name can be several at once"},
        {"--network none -p 80 img", "-p: --network none has nothing that it could be set on"},
        {"--network web:ip img", "--network web:ip: \"ip\": write KEY=VALUE, as in ip=10.90.0.7"},
        {"--network a --network b --ip 10.1.1.1 img",
                "--ip: there are several networks; write --network NAME:ip=10.1.1.1"},
        {"--ip 10.1 img", "--ip: \"10.1\" is no address of IPv4"},
        {"-p 80:70000 img", "-p: \"80:70000\": write [[ADDRESS:][PORT]:]PORT[/tcp|udp|sctp], as in "
                            "8080:80, 127.0.0.1:8080:80, [::1]:8080:80 or 8000-8009:80-89/udp"},
        {"-p 8000-8001:80-82 img", "-p: \"8000-8001:80-82\": the two ranges have to be of the same "
                                   "length, as in 8000-8009:80-89"},
        {"--expose 80/x img",
                "--expose: \"80/x\": write PORT[-PORT][/tcp|udp|sctp], as in 80 or 8000-8009/udp"},
        {"--dns host img", "--dns \"host\": write an address"},
        {"--add-host a img",
                "--add-host: \"a\": write NAME:ADDRESS, as in db:10.1.1.1, or NAME:host-gateway"},
        {"--network-rate-in 10x -p 1 img", "--network-rate-in: rate \"10x\": write bits a second, "
                                           "as in 10mbit, 1.5g or 64000"},
        {"--mac-address 01:00:00:00:00:01 img", "--mac-address: \"01:00:00:00:00:01\" is no MAC "
                                                "address of one host, as in 02:00:00:00:00:01"},
        {"--ipc ns: img", "--ipc ns:: write an absolute path, as in ns:/run/netns/a"},
        {"--userns auto:size=0 img",
                "--userns auto:size=0: write how many ids, as in auto:size=65536"},
        {"--userns mine img",
                "--userns \"mine\": write auto, auto:size=N, host, ns:PATH or container:NAME"},
        {"--userns host --uidmap 0:1:1 img",
                "--uidmap and --gidmap say what --userns host would: give one or the other"},
        {"--uidmap 0 img", "--uidmap 0: write the first id inside, the first on the host, and how "
                           "many, as in 0:100000:65536"},
        {"--uts host -h x img",
                "--hostname would change the host's name: leave it out, or --uts host"},
        {"--time-offset real=5 img",
                "--time-offset real=5: write monotonic=TIME or boottime=TIME, as in boottime=2h"},
        {"--time-offset boottime=soon img", "--time-offset boottime=soon: invalid time \"soon\": "
                                            "write seconds, or numbers with h, m, s, ms, us or ns"},
        {"--sysctl kernel img", "--sysctl kernel: write KEY=VALUE, as in net.ipv4.ip_forward=1"},
        {"-v a~b:/c img", "--volume a b:/c: \"a b\" is neither a path nor a volume's name: start a "
                          "path with / or ./, and a name with a letter or digit"},
        {"-v /a::ro img", "--volume /a::ro: a part is empty: write [SOURCE:]DIR[:OPTIONS]"},
        {"-v /a:b img", "--volume /a:b: \"b\" is not an absolute path"},
        {"-v /a:/b:/c:/d img", "--volume /a:/b:/c:/d: write [SOURCE:]DIR[:OPTIONS]"},
        {"-v /a:/ img", "--volume /a:/: the root cannot be mounted over: use --rootfs"},
        {"-v /a:/b:ro,rw img", "--volume /a:/b:ro,rw: it cannot be read-only and writable at once"},
        {"-v /a:/b:noxec img",
                "--volume /a:/b:noxec: unknown option \"noxec\"; did you mean noexec?"},
        {"-v /a:/b:q img", "--volume /a:/b:q: unknown option \"q\": write ro, rw, z, Z, a "
                           "propagation such as rslave, or a mount option such as noexec"},
        {"-v /a:/b:shared,slave img",
                "--volume /a:/b:shared,slave: shared and slave contradict each other"},
        {"-v /a:/b --tmpfs /b/ img", "--tmpfs /b/: /b is mounted over already, by --volume /a:/b"},
        {"-v /:/a/../.. img", "--volume /:/a/../..: the root cannot be mounted over: use --rootfs"},
        {"--mount type=bind,target=/b img",
                "--mount type=bind,target=/b: a bind mount needs a source: add source=PATH"},
        {"--mount type=bind,source=/a img",
                "--mount type=bind,source=/a: where to mount is missing: write DIR, or target=DIR"},
        {"--mount typ=bind img", "--mount typ=bind: unknown key \"typ\"; did you mean type?"},
        {"--mount zebra=1 img",
                "--mount zebra=1: unknown key \"zebra\": write type, source, target, readonly"},
        {"--mount type=nfs,target=/b img", "--mount type=nfs,target=/b: unknown type \"nfs\": "
                                           "write bind, volume, tmpfs, devpts, mqueue or ramfs"},
        {"--mount type=tmpfs,source=/a,target=/b img",
                "--mount type=tmpfs,source=/a,target=/b: a tmpfs has no source"},
        {"--mount type=tmpfs,target=/b,tmpfs-mode=9 img",
                "--mount type=tmpfs,target=/b,tmpfs-mode=9: \"9\" is not an octal mode"},
        {"--mount type=tmpfs,target=/b,tmpfs-size=x img",
                "--mount type=tmpfs,target=/b,tmpfs-size=x: invalid size \"x\": write a number "
                "with an optional suffix b, k, m, g, t or p"},
        {"--mount type=bind,source img",
                "--mount type=bind,source: source needs a value: source=…"},
        {"--mount type=bind,source=/a,target=/b,readonly=maybe img",
                "--mount type=bind,source=/a,target=/b,readonly=maybe: readonly=maybe: write true "
                "or false"},
        {"--mount type=bind,source=/a,target=/b,bind-propagation=up img",
                "--mount type=bind,source=/a,target=/b,bind-propagation=up: unknown propagation "
                "\"up\": write private, shared, slave or unbindable, or one of them with an r in "
                "front"},
        {"--mount type=bind,source=/a,target=/b,bind-recursive=no img",
                "--mount type=bind,source=/a,target=/b,bind-recursive=no: bind-recursive=no: write "
                "enabled, disabled, writable or readonly"},
        {"--mount type=bind,source=/a,target=/b,relabel=x img",
                "--mount type=bind,source=/a,target=/b,relabel=x: relabel=x: write shared or "
                "private"},
        {"--mount \"a img", "--mount \"a: a quote is not closed"},
        {"--mount source=/a,target=/b img", "--mount source=/a,target=/b: the source is not a "
                                            "volume's name: add type=bind for a path"},
        {"--tmpfs tmp img", "--tmpfs tmp: \"tmp\" is not an absolute path"},
        {"--device sda img", "--device sda: write a path on the host, and if needed one inside and "
                             "an access of r, w and m, as in /dev/sda:/dev/xvda:r"},
        {"--device /dev/sda:/dev/b:rx img",
                "--device /dev/sda:/dev/b:rx: write a path on the host, and if needed one inside "
                "and an access of r, w and m, as in /dev/sda:/dev/xvda:r"},
        {"--ipc host --shm-size 1m img", "--shm-size: --ipc host has no /dev/shm of its own"},
        {"--shm-size big img", "flag --shm-size: invalid size \"big\": write a number with an "
                               "optional suffix b, k, m, g, t or p"},
        {"--cap-add NET_ADMN img",
                "--cap-add NET_ADMN: unknown capability; did you mean NET_ADMIN?"},
        {"--cap-drop zebra img", "--cap-drop zebra: unknown capability, see capabilities(7)"},
        {"--cap-add SYS_ADMN img",
                "--cap-add SYS_ADMN: unknown capability; did you mean SYS_ADMIN?"},
        {"--cap-add all --cap-drop all img",
                "--cap-add ALL and --cap-drop ALL contradict each other"},
        {"--security-opt no-new-privilege img",
                "--security-opt no-new-privilege: unknown; did you mean no-new-privileges?"},
        {"--security-opt zebra img", "--security-opt zebra: unknown; write no-new-privileges, "
                                     "seccomp=, apparmor=, label=, mask= or unmask="},
        {"--security-opt no-new-privileges=maybe img",
                "--security-opt no-new-privileges=maybe: write true or false, or nothing"},
        {"--security-opt seccomp= img", "--security-opt seccomp=: write unconfined, or a file"},
        {"--security-opt apparmor= img",
                "--security-opt apparmor=: write a profile, or unconfined"},
        {"--security-opt label=x img", "--security-opt label=x: write disable, or user:, role:, "
                                       "type:, level: or filetype: and a value"},
        {"--security-opt mask=a img",
                "--security-opt mask=a: write absolute paths with colons between"},
        {"--security-opt systempaths=x img",
                "--security-opt systempaths=x: only unconfined is known"},
};

TEST(flags_that_are_wrong)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
        _cleanup_built_ struct built built;
        int r = build(&built, bad_cases[i].line);
        if (r != -EINVAL || !str_equal(built.err.text, bad_cases[i].message))
            test_report(__FILE__, __LINE__, "%s\n  gives %d: %s\n  not: %s", bad_cases[i].line, r,
                    built.err.text, bad_cases[i].message);
    }
}

/* Every flag that `viv run` promises. */
TEST(flags_are_all_there)
{
    static const char promised[] =
            "-i -t -d --rm --name -e --env-file -w -u --group-add --hostname --domainname "
            "--entrypoint --read-only --tmpfs -v --mount --device --ulimit --sysctl --shm-size "
            "--cap-add --cap-drop --security-opt --privileged --init --stop-signal --annotation "
            "--label --cgroup-parent --cgroupns --pid --ipc --uts --userns --network --time-offset "
            "-m --memory-reservation --memory-swap --memory-swappiness --oom-score-adj --cpus "
            "--cpu-shares --cpu-quota --cpu-period --cpu-burst --cpuset-cpus --cpuset-mems "
            "--pids-limit --blkio-weight --device-read-bps --device-write-bps --device-read-iops "
            "--device-write-iops --device-cgroup-rule --hugetlb-limit --cgroup-conf --rootfs "
            "--bundle --isolation --trace --step --detach-keys";
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf help = {0};
    struct option_command command = run_flags_command("viv run", "Runs.");
    struct strv words = {0};

    options_help(&command, 100, &help);
    strv_split(&arena, &words, promised, ' ');
    for (size_t i = 0; i < words.count; i++)
        if (!strstr(buf_text(&help), arena_printf(&arena, "  %s", words.words[i])) &&
                !strstr(buf_text(&help), arena_printf(&arena, ", %s", words.words[i])))
            test_report(__FILE__, __LINE__, "%s is not in the help", words.words[i]);
}

TEST(flags_give_choices)
{
    _cleanup_built_ struct built built;

    CHECK_INT(build(&built, "-dit --rm --name a.b --init --isolation vm --label k=v --label flag "
                            "--stop-timeout 3s --pidfile p --trace -u 5:staff --group-add 7 img x"),
            0);
    const struct run_choices *got = &built.choices;
    CHECK(got->detach && got->interactive && got->tty && got->rm && got->init && got->vm);
    CHECK(got->trace && !got->step);
    CHECK_STR(got->name, "a.b");
    CHECK_STR(got->image, "img");
    CHECK_STR(got->arguments.words[0], "x");
    CHECK_STR(got->labels.items[0].value, "v");
    CHECK_STR(got->labels.items[1].value, "");
    CHECK_STR(got->detach_keys, "\x10\x11");
    CHECK_INT(got->stop_signal, 3);
    CHECK_INT(got->stop_timeout.value, 3000000000);
    CHECK_STR(got->user, "5:staff");
    CHECK_STR(got->groups.words[0], "7");
    CHECK_INT(got->userns.kind, RUN_AUTO);
    CHECK_INT(got->network.kind, RUN_DEFAULT);
}

TEST(flags_take_the_images_word_where_there_is_no_other)
{
    _cleanup_built_ struct built built;

    CHECK_INT(build(&built, "--detach-keys a,ctrl-\\ img"), 0);
    CHECK_STR(built.choices.user, "app");
    CHECK_STR(built.choices.detach_keys, "a\x1c");
    CHECK_INT(built.choices.volumes.count, 1);
    CHECK_STR(built.choices.volumes.items[0].destination, "/var/data");
    CHECK(built.choices.volumes.items[0].copy && !built.choices.volumes.items[0].name);
    CHECK(!built.choices.env_has_home);
}

TEST(flags_keep_for_later_what_only_the_host_knows)
{
    _cleanup_built_ struct built built;

    CHECK_INT(
            build(&built, "--device /dev/fuse --device /dev/a:/dev/b:rw --device /dev/c:r "
                          "--device-read-bps /dev/sda:1m --device-write-iops /dev/sdb:7 "
                          "--blkio-weight-device /dev/sdc:20 --cgroup-parent /p -e HOME=/x "
                          "--network container:web --pid container:c1 -v data:/var/data:nocopy,ro "
                          "-v /s:/t:Z --security-opt seccomp=p.json --security-opt "
                          "label=type:t --userns auto:size=7 img"),
            0);
    const struct run_choices *got = &built.choices;
    CHECK_INT(got->devices.count, 3);
    CHECK_STR(got->devices.items[0].inside, "/dev/fuse");
    CHECK_STR(got->devices.items[0].access, "rwm");
    CHECK_STR(got->devices.items[1].inside, "/dev/b");
    CHECK_STR(got->devices.items[2].access, "r");
    CHECK_INT(got->block_limits.count, 3);
    CHECK_INT(got->block_limits.items[0].kind, RUN_WEIGHT);
    CHECK_INT(got->block_limits.items[1].rate, 1 << 20);
    CHECK_STR(got->block_limits.items[2].path, "/dev/sdb");
    CHECK_STR(got->cgroup_parent, "/p");
    CHECK(got->env_has_home);
    CHECK_INT(got->network.kind, RUN_CONTAINER);
    CHECK_STR(got->network.text, "web");
    CHECK_STR(got->pid.text, "c1");
    CHECK_INT(got->volumes.count, 1);
    CHECK_STR(got->volumes.items[0].name, "data");
    CHECK_STR(got->volumes.items[0].options.words[0], "rro");
    CHECK(!got->volumes.items[0].copy);
    CHECK_STR(got->relabels.words[0], "/s");
    CHECK_STR(got->seccomp_file, "p.json");
    CHECK_STR(got->selinux.words[0], "type:t");
    CHECK_INT(got->userns_size, 7);
}

TEST(flags_of_privileged_leave_the_host_in_sight)
{
    _cleanup_built_ struct built built;

    CHECK_INT(build(&built, "--privileged img"), 0);
    CHECK(built.choices.privileged && built.choices.seccomp_unconfined);
    CHECK_STR(built.choices.apparmor, "unconfined");
    CHECK_INT(built.choices.userns.kind, RUN_HOST);
    drop(&built);
    CHECK_INT(build(&built, "--privileged --userns auto img"), 0);
    CHECK_INT(built.choices.userns.kind, RUN_AUTO);
}

TEST(flags_name_networks)
{
    _cleanup_built_ struct built built;

    CHECK_INT(
            build(&built, "--network backend,web --network db:ip=10.1.1.1,alias=d,alias=e "
                          "--network-alias all -p 127.0.0.1:8080:80/udp --network-rate-out 10mbit "
                          "img"),
            0);
    const struct net_request *net = &built.choices.net;
    CHECK_INT(built.choices.network.kind, RUN_NAMED);
    CHECK_INT(net->joins.count, 3);
    CHECK_STR(net->joins.items[1].network, "web");
    CHECK_STR(net->joins.items[1].aliases.words[0], "all");
    CHECK_STR(net->joins.items[2].ip, "10.1.1.1");
    CHECK_INT(net->joins.items[2].aliases.count, 3);
    CHECK_STR(net->publish.words[0], "127.0.0.1:8080:80/udp");
    CHECK_INT(net->rate_out, 10000000);
}

/* A port needs a network, and gets the default one. */
TEST(published_ports_bring_the_network)
{
    _cleanup_built_ struct built built;

    CHECK_INT(build(&built, "-p 8080:80 img"), 0);
    CHECK_INT(built.choices.net.joins.count, 1);
    CHECK_STR(built.choices.net.joins.items[0].network, "bridge");
}

/* What the flags make is right by the rules of the specification, once ids are mapped. */
TEST(flags_make_right_configurations)
{
    static const char *const lines[] = {"--userns host img", "--userns host --privileged img",
            "--uidmap 0:100000:65536 -m 64m --cpus 2 --tmpfs /t -v /a:/b:ro,z img",
            "--uidmap 0:1:9 --time-offset boottime=-5 --sysctl net.core.somaxconn=5 -h x img",
            "--userns host --network host --pid host --ipc host --uts host --cgroupns host img"};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        _cleanup_built_ struct built built;
        CHECK_INT(build(&built, lines[i]), 0);
        struct record_report report = {.arena = &built.arena};
        spec_check(built.spec, &report);
        if (report.faults.count || report.warnings.count)
            test_report(__FILE__, __LINE__, "%s: %s", lines[i],
                    report.faults.count ? report.faults.words[0] : report.warnings.words[0]);
    }
}

TEST(flags_lie_upon_a_bundle)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec *bundle = spec_default_new(&arena, SPEC_DEFAULT_OCI, 0, 0);
    struct run_flags flags = {.bundle = "/b", .memory = "64m", .privileged = false};
    struct run_input input = {.bundle = bundle};
    struct run_choices choices;
    struct error err = ERROR_NONE;
    struct spec *spec = NULL;

    strv_add(&arena, &flags.env, "TERM=vt100");
    int r = run_flags_build(&arena, &flags, &input, &spec, &choices, &err);
    CHECK_STR(err.text, "");
    CHECK_INT(r, 0);
    CHECK_STR(spec->process->args.words[0], "sh");
    CHECK_STR(spec->process->env.words[1], "TERM=vt100");
    CHECK_STR(bundle->process->env.words[1], "TERM=xterm");
    CHECK_INT(spec->linux.resources.memory.limit.value, 64 << 20);
    CHECK(!bundle->linux.resources.memory.limit.set);
    CHECK(spec_namespace_find(spec, "user") == NULL);
    CHECK_INT(spec->process->capabilities->bounding.count, 3);
    CHECK_STR(spec->hostname, "viv");
    CHECK_STR(choices.bundle, "/b");
    strv_add(&arena, &input.arguments, "ls");
    CHECK_INT(run_flags_build(&arena, &flags, &input, &spec, &choices, &err), 0);
    CHECK_STR(spec->process->args.words[0], "ls");
}

TEST_MAIN()
