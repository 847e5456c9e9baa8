#include "spec/check.h"

#include <fcntl.h>

#include "base/buf.h"
#include "test.h"

struct bad_case {
    char place; /* of the text: 'w' whole, 't' top, 'p' process, 'l' linux, 'r' resources */
    const char *text;
    const char *message;
};

/* Configurations that are wrong, and the whole of what is said about them. */
static const struct bad_case bad_cases[] = {
        {'w', "", "config.json:1:1: not valid JSON: the text is empty"},
        {'w', "{\"a\":\n  tru}", "config.json:2:6: not valid JSON: boolean expected"},
        {'w', "[]", "config.json: /: expected an object, found an array"},
        {'w', "{}",
                "config.json: 3 errors:\n"
                "  /ociVersion: required, but missing\n"
                "  /process: required, but missing: it says which program to start\n"
                "  /root: required, but missing: name the root file system's directory"},
        {'w',
                "{\"ociVersion\":2,\"process\":[],\"root\":{\"path\":7},\"mounts\":{},\"linux\":{"
                "\"resources\":{\"memory\":{\"limit\":\"1g\"}}}}",
                "config.json: 5 errors:\n"
                "  /ociVersion: expected a string, found an integer\n"
                "  /process: expected an object, found an array\n"
                "  /root/path: expected a string, found an integer\n"
                "  /mounts: expected an array, found an object\n"
                "  /linux/resources/memory/limit: expected an integer, found a string"},
        {'w', "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}}",
                "config.json: /process: required, but missing: it says which program to start"},
        {'w', "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]}}",
                "config.json: /root: required, but missing: name the root file system's directory"},
        {'w',
                "{\"ociVersion\":\"2.0.0\",\"process\":{\"cwd\":\"/"
                "\",\"args\":[\"a\"]},\"root\":{\"path\":\"r\"}}",
                "config.json: /ociVersion: version 2.0.0 of the specification is not known: write "
                "1.0.0 to 1.3.0"},
        {'w',
                "{\"ociVersion\":\"latest\",\"process\":{\"cwd\":\"/"
                "\",\"args\":[\"a\"]},\"root\":{\"path\":\"\"}}",
                "config.json: 2 errors:\n"
                "  /ociVersion: \"latest\" is not a version: write three numbers, as in \"1.3.0\"\n"
                "  /root/path: the path is empty: name the root file system's directory"},
        {'w',
                "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"\",\"args\":[]},\"root\":{"
                "\"path\":\"r\"}}",
                "config.json: 2 errors:\n"
                "  /process/args: no command given: write at least the program's name\n"
                "  /process/cwd: the path is empty: write an absolute one"},
        {'w', "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"\"]},\"root\":{\"path\":\"r\"}}",
                "config.json: 2 errors:\n"
                "  /process/cwd: required, but missing\n"
                "  /process/args/0: the program's name is empty"},
        {'w',
                "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"a\\u0000b\"],\"cwd\":\"rel\"},"
                "\"root\":{\"path\":\"r\"}}",
                "config.json: 2 errors:\n"
                "  /process/args/0: the string has a NUL character inside\n"
                "  /process/cwd: the path \"rel\" is not absolute: start it with \"/\""},
        {'p', "\"env\":[\"A=b\",\"NOVALUE\",\"=x\"]",
                "config.json: 2 errors:\n"
                "  /process/env/1: \"NOVALUE\" is not of the form NAME=VALUE\n"
                "  /process/env/2: \"=x\" is not of the form NAME=VALUE"},
        {'p', "\"user\":{\"uid\":-1,\"gid\":4294967296,\"umask\":512}",
                "config.json: 3 errors:\n"
                "  /process/user/uid: -1 is not between 0 and 4294967295\n"
                "  /process/user/gid: 4294967296 is not between 0 and 4294967295\n"
                "  /process/user/umask: 512 is larger than 511 (octal 777)"},
        {'p', "\"user\":{\"uid\":4294967295,\"gid\":0}",
                "config.json: /process/user/uid: 4294967295 is no user: the last id is 4294967294"},
        {'p',
                "\"rlimits\":[{\"type\":\"RLIMIT_NOFIEL\",\"hard\":1,\"soft\":1},{\"type\":"
                "\"RLIMIT_AS\",\"hard\":1,\"soft\":2},{\"type\":\"RLIMIT_AS\",\"hard\":3,\"soft\":"
                "2}]",
                "config.json: 3 errors:\n"
                "  /process/rlimits/0/type: unknown resource limit \"RLIMIT_NOFIEL\"; did you mean "
                "\"RLIMIT_NOFILE\"?\n"
                "  /process/rlimits/1/soft: 2 is above the hard limit, 1\n"
                "  /process/rlimits/2/type: RLIMIT_AS was given before, in entry 1: give each "
                "limit once"},
        {'p', "\"oomScoreAdj\":1001",
                "config.json: /process/oomScoreAdj: 1001 is not between -1000 and 1000"},
        {'p', "\"scheduler\":{\"policy\":\"SCHED_FIFI\",\"nice\":20,\"flags\":[\"SCHED_FLAG_X\"]}",
                "config.json: 3 errors:\n"
                "  /process/scheduler/policy: unknown scheduling policy \"SCHED_FIFI\"; did you "
                "mean \"SCHED_FIFO\"?\n"
                "  /process/scheduler/flags/0: unknown scheduling flag \"SCHED_FLAG_X\": write "
                "SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, "
                "SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN or "
                "SCHED_FLAG_UTIL_CLAMP_MAX\n"
                "  /process/scheduler/nice: 20 is not between -20 and 19"},
        {'p', "\"scheduler\":{\"policy\":\"SCHED_FIFO\"}",
                "config.json: /process/scheduler/priority: 0 is not between 1 and 99"},
        {'p',
                "\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":5,\"runtime\":1,"
                "\"utilClampMin\":2000}",
                "config.json: 3 errors:\n"
                "  /process/scheduler/priority: only SCHED_FIFO and SCHED_RR have a priority: "
                "leave it out, or write 0\n"
                "  /process/scheduler: runtime, deadline and period are only for SCHED_DEADLINE, "
                "the policy is SCHED_OTHER\n"
                "  /process/scheduler/utilClampMin: 2000 is not between 0 and 1024"},
        {'p',
                "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":3,\"deadline\":2,"
                "\"period\":1}",
                "config.json: /process/scheduler: SCHED_DEADLINE wants 0 < runtime <= deadline <= "
                "period, found 3, 2, 1"},
        {'p', "\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"utilClampMin\":9,\"utilClampMax\":8}",
                "config.json: /process/scheduler/utilClampMin: 9 is above utilClampMax, 8"},
        {'p', "\"ioPriority\":{\"class\":\"IDLE\",\"priority\":8}",
                "config.json: 2 errors:\n"
                "  /process/ioPriority/class: unknown I/O priority class \"IDLE\": write "
                "IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE\n"
                "  /process/ioPriority/priority: 8 is not between 0 and 7"},
        {'p', "\"execCPUAffinity\":{\"initial\":\"0-\",\"final\":\"3-1\"}",
                "config.json: 2 errors:\n"
                "  /process/execCPUAffinity/initial: \"0-\" is not a list of numbers: write it as "
                "in \"0-3,7\"\n"
                "  /process/execCPUAffinity/final: \"3-1\" is not a list of numbers: write it as "
                "in \"0-3,7\""},
        {'t', "\"hostname\":\"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh\"",
                "config.json: 2 errors:\n"
                "  /hostname: the name has 65 characters, the kernel takes at most 64\n"
                "  /hostname: it can only be set in a UTS namespace: add {\"type\":\"uts\"} to "
                "/linux/namespaces"},
        {'t',
                "\"mounts\":[{\"destination\":\"/../"
                "etc\",\"type\":\"tmpfs\"},{\"destination\":\"\",\"type\":\"tmpfs\"},{"
                "\"destination\":\"/x\"},{\"destination\":\"/y\",\"options\":[\"rbind\"]}]",
                "config.json: 4 errors:\n"
                "  /mounts/0/destination: \"/../etc\" leads out of the root by \"..\"\n"
                "  /mounts/1/destination: the path is empty: write where to mount\n"
                "  /mounts/2/type: no file system type, and not a bind mount: write the type, or "
                "\"bind\" or \"rbind\" into the options\n"
                "  /mounts/3/source: a bind mount needs the file or directory that is to appear "
                "there"},
        {'t',
                "\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/"
                "s\",\"options\":[\"bind\",\"idmap\"],\"uidMappings\":[{\"containerID\":0,"
                "\"hostID\":0,\"size\":1}]}]",
                "config.json: /mounts/0/gidMappings: user ids are mapped, but group ids are not: "
                "give both"},
        {'t',
                "\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/"
                "s\",\"options\":[\"bind\",\"ridmap\"]}]",
                "config.json: /mounts/0/options: idmap without uidMappings and gidMappings takes "
                "those of the user namespace, but there is none"},
        {'t',
                "\"hooks\":{\"prestart\":[{\"path\":\"bin/x\"}],\"poststop\":[{\"path\":\"/"
                "x\",\"timeout\":0,\"env\":[\"A\"]}]}",
                "config.json: 3 errors:\n"
                "  /hooks/prestart/0/path: the path \"bin/x\" is not absolute: start it with "
                "\"/\"\n"
                "  /hooks/poststop/0/timeout: 0 seconds: write 1 or more, or leave it out for no "
                "timeout\n"
                "  /hooks/poststop/0/env/0: \"A\" is not of the form NAME=VALUE"},
        {'t', "\"annotations\":{\"\":\"x\"}",
                "config.json: /annotations/: an annotation's name is empty"},
        {'t',
                "\"vm\":{\"hypervisor\":{\"path\":\"qemu\"},\"image\":{\"path\":\"/"
                "i\",\"format\":\"ram\"},\"hwConfig\":{\"vcpus\":0,\"memory\":64}}",
                "config.json: 5 errors:\n"
                "  /vm/kernel: required, but missing\n"
                "  /vm/hypervisor/path: the path \"qemu\" is not absolute: start it with \"/\"\n"
                "  /vm/image/format: unknown image format \"ram\"; did you mean \"raw\"?\n"
                "  /vm/hwConfig/vcpus: a machine needs at least one\n"
                "  /vm/hwConfig/memory: 64 bytes are less than 1 MiB: the number is in bytes"},
        {'l',
                "\"namespaces\":[{\"type\":\"nett\"},{\"type\":\"pid\"},{\"type\":\"pid\",\"path\":"
                "\"proc/1/ns/pid\"}]",
                "config.json: 3 errors:\n"
                "  /linux/namespaces/0/type: unknown namespace type \"nett\": write cgroup, ipc, "
                "mount, network, pid, time, user or uts\n"
                "  /linux/namespaces/2/path: the path \"proc/1/ns/pid\" is not absolute: start it "
                "with \"/\"\n"
                "  /linux/namespaces/2/type: namespace \"pid\" was given before, in entry 1: give "
                "each once"},
        {'l', "\"namespaces\":[{\"type\":\"user\"}]",
                "config.json: 2 errors:\n"
                "  /linux/uidMappings: a new user namespace needs at least one range of user ids\n"
                "  /linux/gidMappings: a new user namespace needs at least one range of group ids"},
        {'l', "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}]",
                "config.json: /linux/uidMappings: ids are mapped, but there is no user namespace: "
                "add {\"type\":\"user\"} to /linux/namespaces"},
        {'l',
                "\"namespaces\":[{\"type\":\"user\"}],\"uidMappings\":[{\"containerID\":0,"
                "\"hostID\":1000,\"size\":10},{\"containerID\":5,\"hostID\":1009,\"size\":10},{"
                "\"containerID\":100,\"hostID\":1,\"size\":0}],\"gidMappings\":[{\"containerID\":"
                "4294967290,\"hostID\":0,\"size\":10}]",
                "config.json: 4 errors:\n"
                "  /linux/uidMappings/1/containerID: ids 5 to 14 overlap those of entry 0, 0 to 9: "
                "give each id once\n"
                "  /linux/uidMappings/1/hostID: ids 1009 to 1018 overlap those of entry 0, 1000 to "
                "1009: give each id once\n"
                "  /linux/uidMappings/2/size: the range is empty: write how many ids it has\n"
                "  /linux/gidMappings/0/containerID: 4294967290 and the 10 ids from there on go "
                "beyond the last id, 4294967294"},
        {'l',
                "\"devices\":[{\"path\":\"dev/"
                "x\",\"type\":\"c\",\"major\":1,\"minor\":3},{\"path\":\"/dev/"
                "y\",\"type\":\"d\",\"major\":-1,\"minor\":9999999,\"fileMode\":6666},{\"path\":\"/"
                "dev/../../y\",\"type\":\"p\"}]",
                "config.json: 6 errors:\n"
                "  /linux/devices/0/path: the path \"dev/x\" is not absolute: start it with \"/\"\n"
                "  /linux/devices/1/type: unknown device type \"d\": write c, u, b or p\n"
                "  /linux/devices/1/major: -1 is not between 0 and 4095\n"
                "  /linux/devices/1/minor: 9999999 is not between 0 and 1048575\n"
                "  /linux/devices/1/fileMode: 6666 is larger than 4095 (octal 7777): the number is "
                "written in decimal\n"
                "  /linux/devices/2/path: \"/dev/../../y\" leads out of the root by \"..\""},
        {'l', "\"netDevices\":{\"eth0\":{\"name\":\"a/b\"}}",
                "config.json: 2 errors:\n"
                "  /linux/netDevices: devices can only be moved into a network namespace: add "
                "{\"type\":\"network\"} to /linux/namespaces\n"
                "  /linux/netDevices/eth0/name: \"a/b\" is not a network interface's name: write 1 "
                "to 15 characters without \"/\", \":\" and blanks"},
        {'l',
                "\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"eth0\":{\"name\":\"x\"},"
                "\"eth1\":{\"name\":\"x\"},\"averyverylongname\":{}}",
                "config.json: 2 errors:\n"
                "  /linux/netDevices/eth1/name: \"x\" is already the name of eth0 inside\n"
                "  /linux/netDevices/averyverylongname: \"averyverylongname\" is not a network "
                "interface's name: write 1 to 15 characters without \"/\", \":\" and blanks"},
        {'l',
                "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\",\"kernel.pid_max\":\"1\",\"net/../"
                "kernel/x\":\"1\"}",
                "config.json: 3 errors:\n"
                "  /linux/sysctl/net.ipv4.ip_forward: sysctl \"net.ipv4.ip_forward\" is not "
                "allowed in the host's network namespace: add {\"type\":\"network\"} to "
                "/linux/namespaces\n"
                "  /linux/sysctl/kernel.pid_max: sysctl \"kernel.pid_max\" is not in a separate "
                "kernel namespace: it would change the host; set it there\n"
                "  /linux/sysctl/net~1..~1kernel~1x: \"..\" does not belong into a kernel "
                "parameter's name"},
        {'l', "\"cgroupsPath\":\"/a/../b\",\"rootfsPropagation\":\"sharde\"",
                "config.json: 2 errors:\n"
                "  /linux/cgroupsPath: \"/a/../b\" has a \"..\" part: write the path below the "
                "control groups' mount without it\n"
                "  /linux/rootfsPropagation: unknown propagation \"sharde\"; did you mean "
                "\"shared\"?"},
        {'l', "\"maskedPaths\":[\"proc/x\"],\"readonlyPaths\":[\"/a/../../b\"]",
                "config.json: 2 errors:\n"
                "  /linux/maskedPaths/0: the path \"proc/x\" is not absolute: start it with \"/\"\n"
                "  /linux/readonlyPaths/0: \"/a/../../b\" leads out of the root by \"..\""},
        {'l',
                "\"intelRdt\":{\"closID\":\"a/"
                "b\",\"schemata\":[\"L3:0=1\\nMB:0=2\"],\"l3CacheSchema\":\"MB:0=1\","
                "\"memBwSchema\":\"L3:1\"}",
                "config.json: 4 errors:\n"
                "  /linux/intelRdt/closID: \"a/b\" is not the name of a class: write one "
                "directory's name\n"
                "  /linux/intelRdt/schemata/0: \"L3:0=1?MB:0=2\" is not one line of a schemata "
                "file\n"
                "  /linux/intelRdt/l3CacheSchema: \"MB:0=1\" is not one line of a schemata file "
                "that starts with L3\n"
                "  /linux/intelRdt/memBwSchema: \"L3:1\" is not one line of a schemata file that "
                "starts with MB:"},
        {'l',
                "\"memoryPolicy\":{\"mode\":\"MPOL_BINED\",\"flags\":[\"MPOL_F_X\"],\"nodes\":"
                "\"a\"},\"personality\":{\"domain\":\"LINUX64\",\"flags\":[\"x\"]}",
                "config.json: 5 errors:\n"
                "  /linux/memoryPolicy/mode: unknown memory policy \"MPOL_BINED\"; did you mean "
                "\"MPOL_BIND\"?\n"
                "  /linux/memoryPolicy/flags/0: unknown memory policy flag \"MPOL_F_X\": write "
                "MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES or MPOL_F_STATIC_NODES\n"
                "  /linux/memoryPolicy/nodes: \"a\" is not a list of numbers: write it as in "
                "\"0-3,7\"\n"
                "  /linux/personality/domain: unknown personality \"LINUX64\"; did you mean "
                "\"LINUX\"?\n"
                "  /linux/personality/flags: the specification defines no flags yet: leave them "
                "out"},
        {'l', "\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0\"}",
                "config.json: /linux/memoryPolicy/nodes: MPOL_LOCAL takes no nodes: leave them "
                "out"},
        {'l', "\"timeOffsets\":{\"monotonic\":{\"secs\":1,\"nanosecs\":1000000000}}",
                "config.json: 2 errors:\n"
                "  /linux/timeOffsets: clocks can only be offset in a new time namespace: add "
                "{\"type\":\"time\"} to /linux/namespaces\n"
                "  /linux/timeOffsets/monotonic/nanosecs: 1000000000 is not below 1000000000"},
        {'l',
                "\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":{\"boottime\":{\"secs\":-"
                "9223372036854775808}}",
                "config.json: /linux/timeOffsets/boottime/secs: -9223372036854775808 seconds is "
                "not between -4611686018 and 4611686018"},
        {'l',
                "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_KIL\",\"architectures\":[\"SCMP_ARCH_"
                "X86_46\"],\"flags\":[\"TSYNC\"],\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_"
                "ALLOW\",\"errnoRet\":1},{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
                "\"errnoRet\":5000,\"args\":[{\"index\":6,\"value\":0,\"op\":\"==\"}]}]}",
                "config.json: 8 errors:\n"
                "  /linux/seccomp/defaultAction: unknown seccomp action \"SCMP_ACT_KIL\"; did you "
                "mean \"SCMP_ACT_KILL\"?\n"
                "  /linux/seccomp/architectures/0: unknown architecture \"SCMP_ARCH_X86_46\"; did "
                "you mean \"SCMP_ARCH_X86_64\"?\n"
                "  /linux/seccomp/flags/0: unknown seccomp flag \"TSYNC\": write "
                "SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, "
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW or SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\n"
                "  /linux/seccomp/syscalls/0/names: the rule names no system call\n"
                "  /linux/seccomp/syscalls/0/errnoRet: SCMP_ACT_ALLOW does not return an errno: "
                "leave it out\n"
                "  /linux/seccomp/syscalls/1/errnoRet: 5000 is not an errno: the largest is 4095\n"
                "  /linux/seccomp/syscalls/1/args/0/index: 6: a system call has 6 arguments, 0 to "
                "5\n"
                "  /linux/seccomp/syscalls/1/args/0/op: unknown seccomp operator \"==\": write "
                "SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_LE, SCMP_CMP_LT, "
                "SCMP_CMP_MASKED_EQ or SCMP_CMP_NE"},
        {'l',
                "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerMetadata\":\"x\","
                "\"syscalls\":[{\"names\":[\"write\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
                "config.json: 4 errors:\n"
                "  /linux/seccomp/syscalls/0/action: SCMP_ACT_NOTIFY cannot be used for write: the "
                "runtime itself needs it to hand over the listener\n"
                "  /linux/seccomp/listenerMetadata: there is nobody to send it to: give "
                "listenerPath too\n"
                "  /linux/seccomp/defaultAction: SCMP_ACT_NOTIFY cannot be the default: the "
                "runtime itself would wait for an answer; name the system calls in a rule\n"
                "  /linux/seccomp/listenerPath: SCMP_ACT_NOTIFY is used, but there is nobody to "
                "answer: give the path of the agent's socket"},
        {'r',
                "\"devices\":[{\"type\":\"c\"},{\"allow\":true,\"type\":\"x\",\"major\":4096,"
                "\"minor\":-2,\"access\":\"rwx\"}]",
                "config.json: 5 errors:\n"
                "  /linux/resources/devices/0/allow: required, but missing\n"
                "  /linux/resources/devices/1/type: unknown device type \"x\": write a, c or b\n"
                "  /linux/resources/devices/1/major: 4096 is not between -1 and 4095\n"
                "  /linux/resources/devices/1/minor: -2 is not between -1 and 1048575\n"
                "  /linux/resources/devices/1/access: \"rwx\" has letters other than r (read), w "
                "(write) and m (mknod)"},
        {'r', "\"memory\":{\"limit\":-2,\"swappiness\":101}",
                "config.json: 2 errors:\n"
                "  /linux/resources/memory/limit: -2 bytes: write a size, or -1 for no limit\n"
                "  /linux/resources/memory/swappiness: 101 is not between 0 and 100"},
        {'r', "\"memory\":{\"limit\":100,\"swap\":50}",
                "config.json: /linux/resources/memory/swap: 50 bytes of memory and swap together "
                "are less than the memory limit, 100"},
        {'r', "\"memory\":{\"limit\":1e30,\"reservation\":18446744073709551615}",
                "config.json: 2 errors:\n"
                "  /linux/resources/memory/limit: expected an integer, found a number with a "
                "fraction or beyond 64 bits\n"
                "  /linux/resources/memory/reservation: 18446744073709551615 is not between "
                "-9223372036854775808 and 9223372036854775807"},
        {'r',
                "\"cpu\":{\"shares\":1,\"quota\":500,\"period\":2000000,\"cpus\":\"0-a\",\"mems\":"
                "\"-1\",\"idle\":2}",
                "config.json: 6 errors:\n"
                "  /linux/resources/cpu/shares: 1 is not between 2 and 262144\n"
                "  /linux/resources/cpu/period: 2000000 microseconds is not between 1000 and "
                "1000000\n"
                "  /linux/resources/cpu/quota: 500 microseconds are less than the kernel's "
                "minimum, 1000\n"
                "  /linux/resources/cpu/cpus: \"0-a\" is not a list of numbers: write it as in "
                "\"0-3,7\"\n"
                "  /linux/resources/cpu/mems: \"-1\" is not a list of numbers: write it as in "
                "\"0-3,7\"\n"
                "  /linux/resources/cpu/idle: 2 is not between 0 and 1"},
        {'r', "\"cpu\":{\"quota\":5000,\"burst\":6000,\"realtimeRuntime\":7,\"realtimePeriod\":6}",
                "config.json: 2 errors:\n"
                "  /linux/resources/cpu/burst: 6000 microseconds are more than the quota, 5000\n"
                "  /linux/resources/cpu/realtimeRuntime: 7 microseconds are more than "
                "realtimePeriod, 6"},
        {'r', "\"cpu\":{\"quota\":-5,\"realtimeRuntime\":-7}",
                "config.json: 2 errors:\n"
                "  /linux/resources/cpu/quota: -5 microseconds: write a time, or -1 for no limit\n"
                "  /linux/resources/cpu/realtimeRuntime: -7 microseconds: write a time, or -1 for "
                "no limit"},
        {'r', "\"pids\":{\"limit\":-5}",
                "config.json: /linux/resources/pids/limit: -5 processes: write a number, or -1 for "
                "no limit"},
        {'r',
                "\"blockIO\":{\"weight\":5,\"weightDevice\":[{\"major\":8,\"weight\":1001,"
                "\"minor\":0}],\"throttleReadBpsDevice\":[{\"major\":8,\"rate\":1}]}",
                "config.json: 3 errors:\n"
                "  /linux/resources/blockIO/throttleReadBpsDevice/0/minor: required, but missing\n"
                "  /linux/resources/blockIO/weight: 5 is not between 10 and 1000\n"
                "  /linux/resources/blockIO/weightDevice/0/weight: 1001 is not between 10 and "
                "1000"},
        {'r',
                "\"hugepageLimits\":[{\"pageSize\":\"2M\",\"limit\":1},{\"pageSize\":\"3MB\","
                "\"limit\":1},{\"pageSize\":\"1GB\",\"limit\":-1},{\"pageSize\":\"1GB\",\"limit\":"
                "1}]",
                "config.json: 4 errors:\n"
                "  /linux/resources/hugepageLimits/2/limit: -1 is not between 0 and "
                "18446744073709551615\n"
                "  /linux/resources/hugepageLimits/0/pageSize: \"2M\" is not a page size: write a "
                "power of two with KB, MB or GB, as in \"2MB\"\n"
                "  /linux/resources/hugepageLimits/1/pageSize: \"3MB\" is not a page size: write a "
                "power of two with KB, MB or GB, as in \"2MB\"\n"
                "  /linux/resources/hugepageLimits/3/pageSize: 1GB was given before, in entry 2: "
                "give each page size once"},
        {'r',
                "\"network\":{\"priorities\":[{\"name\":\"\",\"priority\":1}]},\"rdma\":{\"\":{}},"
                "\"unified\":{\"cpu/weight\":\"1\",\"../x.y\":\"1\",\"memory\":\"1\"}",
                "config.json: 5 errors:\n"
                "  /linux/resources/network/priorities/0/name: \"\" is not a network interface's "
                "name: write 1 to 15 characters without \"/\", \":\" and blanks\n"
                "  /linux/resources/rdma/: the device's name is empty or has a blank: write one of "
                "/sys/class/infiniband\n"
                "  /linux/resources/unified/cpu~1weight: \"cpu/weight\" is not a file of a control "
                "group: write CONTROLLER.NAME, as in \"memory.high\"\n"
                "  /linux/resources/unified/..~1x.y: \"../x.y\" is not a file of a control group: "
                "write CONTROLLER.NAME, as in \"memory.high\"\n"
                "  /linux/resources/unified/memory: \"memory\" is not a file of a control group: "
                "write CONTROLLER.NAME, as in \"memory.high\""},
};

static void make_config(struct buf *config, char place, const char *text)
{
    if (place == 'w') {
        buf_add_str(config, text);
        return;
    }
    buf_printf(config,
            "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"cwd\":\"/\","
            "\"args\":[\"sh\"]%s%s},\"linux\":{%s%s%s}%s%s}",
            place == 'p' ? "," : "", place == 'p' ? text : "",
            place == 'r' ? "\"resources\":{" : "", place == 'l' || place == 'r' ? text : "",
            place == 'r' ? "}" : "", place == 't' ? "," : "", place == 't' ? text : "");
}

static void check_bad(const struct bad_case *bad)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf config = {0};
    struct error err = ERROR_NONE;
    struct spec spec = {0};

    make_config(&config, bad->place, bad->text);
    int r = spec_load(buf_text(&config), config.length, "config.json", &arena, &spec, NULL, &err);
    if (r != -EINVAL || strcmp(err.text, bad->message) != 0)
        test_report(__FILE__, __LINE__, "%s\n  gives %d: %s\n  not: %s", bad->text, r, err.text,
                bad->message);
}

TEST(check_tells_all_that_is_wrong)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++)
        check_bad(&bad_cases[i]);
}

static const char *warning_of(const char *process, const char *mounts)
{
    static char text[512];
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf config = {0};
    struct error err = ERROR_NONE;
    struct strv warnings = {0};
    struct spec spec = {0};

    buf_printf(&config,
            "{\"ociVersion\":\"1.0.2-dev\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
            "\"args\":[\"a\"]%s}%s}",
            process, mounts);
    int r = spec_load(buf_text(&config), config.length, "c", &arena, &spec, &warnings, &err);
    snprintf(text, sizeof(text), "%s",
            r < 0                 ? err.text
            : warnings.count == 1 ? warnings.words[0]
                                  : "not one warning");
    return text;
}

TEST(check_warns_of_what_the_specification_lets_pass)
{
    CHECK_STR(warning_of(",\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_NET_ADMN\"]}", ""),
            "c: /process/capabilities/bounding/1: unknown capability \"CAP_NET_ADMN\", left out; "
            "did "
            "you mean \"CAP_NET_ADMIN\"?");
    CHECK_STR(warning_of(",\"noNewPrivilege\":true", ""),
            "c: /process/noNewPrivilege: unknown member; did you mean \"noNewPrivileges\"?");
    CHECK_STR(warning_of("", ",\"mounts\":[{\"destination\":\"data\",\"type\":\"tmpfs\"}]"),
            "c: /mounts/0/destination: \"data\" is not absolute; it is taken as \"/data\", which "
            "is "
            "deprecated");
    CHECK_STR(warning_of("",
                      ",\"linux\":{\"resources\":{\"memory\":{\"limit\":5,\"reservation\":6}}}"),
            "c: /linux/resources/memory/reservation: 6 bytes are above the memory limit, 5, and "
            "have "
            "no effect");
}

TEST(check_shows_no_control_characters)
{
    CHECK_STR(warning_of("", ",\"\\u001b[2J\":1"), "c: /?[2J: unknown member, ignored");
}

static int load_list(
        const char *before, size_t count, const char *item, const char *after, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf config = {.max = (size_t)64 << 20};
    struct spec spec = {0};

    buf_add_str(&config, before);
    for (size_t i = 0; i < count; i++)
        buf_printf(&config, "%s%s", i ? "," : "", item);
    buf_add_str(&config, after);
    return spec_load(buf_text(&config), config.length, "c", &arena, &spec, NULL, err);
}

TEST(check_caps_what_a_text_can_ask_for)
{
    static const char head[] = "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{"
                               "\"cwd\":\"/\",\"args\":[\"a\"";
    static const char mount[] = "{\"destination\":\"/m\",\"type\":\"tmpfs\"}";
    char text[256];
    struct error err = ERROR_NONE;

    snprintf(text, sizeof(text), "%s]},\"mounts\":[", head);
    CHECK_INT(load_list(text, SPEC_ITEMS_MAX, mount, "]}", &err), 0);
    CHECK_INT(load_list(text, SPEC_ITEMS_MAX + 1, mount, "]}", &err), -EINVAL);
    CHECK_STR(err.text, "c: /mounts: 4097 items, but at most 4096 are allowed");
    snprintf(text, sizeof(text), "%s,", head);
    CHECK_INT(load_list(text, 100000, "\"\"", "]}}", &err), -EINVAL);
    CHECK_STR(err.text, "c: /process/args: 100001 items, but at most 65536 are allowed");
    /* many lists within their caps, too much together */
    snprintf(text, sizeof(text),
            "%s]},\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[",
            head);
    _cleanup_buf_ struct buf rule = {0};
    buf_add_str(&rule, "{\"names\":[\"\"");
    for (int i = 0; i < 2000; i++)
        buf_add_str(&rule, ",\"a\"");
    buf_add_str(&rule, "],\"action\":\"SCMP_ACT_ALLOW\"}");
    CHECK_INT(load_list(text, 1900, buf_text(&rule), "]}}}", &err), -EINVAL);
    CHECK(strstr(err.text, "the text asks for more than 24 MiB of memory in all") != NULL);
}

TEST(check_reads_processes_and_resources_alone)
{
    static const char process[] = "{\"cwd\":\"/\",\"args\":[]}";
    static const char resources[] = "{\"pids\":{\"limit\":-9}}";
    _cleanup_arena_ struct arena arena = {0};
    struct spec_process one = {0};
    struct spec_resources two = {0};
    struct error err = ERROR_NONE;

    CHECK_INT(spec_load_process(process, strlen(process), "process.json", &arena, &one, NULL, &err),
            -EINVAL);
    CHECK_STR(err.text, "process.json: /args: no command given: write at least the program's name");
    CHECK_INT(spec_load_resources(resources, strlen(resources), "-", &arena, &two, NULL, &err),
            -EINVAL);
    CHECK_STR(err.text, "-: /pids/limit: -9 processes: write a number, or -1 for no limit");
}

TEST(check_loads_files)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct spec spec = {0};

    CHECK_INT(spec_load_at(AT_FDCWD, TEST_DATA "/full.json", &arena, &spec, NULL, &err), 0);
    CHECK_STR(spec.hostname, "slartibartfast");
    CHECK_INT(spec_load_at(AT_FDCWD, "/nonexistent/c.json", &arena, &spec, NULL, &err), -ENOENT);
    CHECK_STR(err.text, "read /nonexistent/c.json: ENOENT: No such file or directory");
}

TEST_MAIN()
