"""clang-tidy, cppcheck and GCC's analyzer on every source, with the exceptions of exceptions.txt.

A result is kept in tests/.cache/gates under the hash of the file, all project headers that it
includes, the tool and its options: only what has changed is looked at again.
"""
import concurrent.futures
import fnmatch
import functools
import hashlib
import json
import pathlib
import re
import shlex
import subprocess

from lib import *
from source import ROOT, includes, resolve, sample

TIMEOUT = 900
LONG = True  # until its results are kept
CACHE = ROOT / "tests/.cache/gates"
WARNING = re.compile(r"^(?P<path>[^:\s][^:\n]*):(?P<line>\d+):(?:\d+:)? "
                     r"(?:warning|error|style|performance|portability): "
                     r"(?P<text>.*?) \[(?P<check>[^\]]+)\]$", re.MULTILINE)


def units():
    """[(path, compiler arguments)] of the sources below src/ that the build compiles."""
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(ROOT / "src"):
            found[path] = [part for part in shlex.split(entry["command"])
                           if re.match(r"-(I|D|isystem|std)", part)]
    return sorted(found.items())


@functools.cache
def included(path):
    """The project headers that a file includes itself."""
    targets = [resolve(ROOT, path, name) for _, name in includes(path)]
    return [target for target in targets if target]


def closure(path, seen=None):
    """The file and all project headers that it includes, directly or not."""
    seen = set() if seen is None else seen
    if path not in seen:
        seen.add(path)
        for target in included(path):
            closure(target, seen)
    return seen


def tidy(path, _arguments):
    return ["clang-tidy", "--quiet", f"--config-file={ROOT}/.clang-tidy", "--extra-arg=-w",
            "-p", str(BUILD), str(path)]


def cppcheck(path, arguments):
    kept = [part for part in arguments if part.startswith("-D") or "/src" in part]
    return ["cppcheck", "--enable=warning,performance,portability", "--inline-suppr", "--quiet",
            "--std=c11", "--max-configs=2", "--suppress=missingIncludeSystem",
            "--suppress=normalCheckLevelMaxBranches",
            "--template={file}:{line}:{column}: {severity}: {message} [{id}]", "-I",
            str(ROOT / "src"), *kept, str(path)]


def analyzer(path, arguments):
    # -O1 keeps inline cleanup functions visible and is faster than -O2. "return -errno" may be 0 in
    # the analyzer's eyes, so that each output that is written on success only looks uninitialized:
    # that check is left to the sanitized build.
    return ["gcc", "-fanalyzer", "-Wno-analyzer-use-of-uninitialized-value", "-O1", "-c", "-o",
            "/dev/null", *arguments, str(path)]


TOOLS = {"clang-tidy": tidy, "cppcheck": cppcheck, "analyzer": analyzer}


@functools.cache
def version(tool):
    program = {"analyzer": "gcc"}.get(tool, tool)
    return subprocess.run([program, "--version"], capture_output=True, text=True,
                          check=True).stdout


@functools.cache
def content(path):
    return hashlib.sha256(path.read_bytes()).digest()


def key(tool, path, command):
    digest = hashlib.sha256()
    digest.update((version(tool) + "\0".join(command)).encode())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    for part in sorted(closure(path)):
        digest.update(content(part))
    return digest.hexdigest()


def look(tool, path, arguments, cached=True):
    """[(check, line, text)] that the tool says about a file."""
    command = TOOLS[tool](path, arguments)
    kept = CACHE / key(tool, path, command) if cached else None
    if kept and kept.exists():
        return [tuple(item) for item in json.loads(kept.read_text())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BUILD)
    found = []
    for match in WARNING.finditer(done.stdout + "\n" + done.stderr):
        where = (BUILD / match["path"]).resolve()
        found.append((match["check"], f"{where.relative_to(ROOT)}:{match['line']}"
                      if where.is_relative_to(ROOT) else str(where), match["text"]))
    if done.returncode != 0 and not found:
        found = [("tool-failed", str(path), (done.stdout + done.stderr)[-2000:])]
    elif kept:
        CACHE.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return found


def exceptions():
    """[(tool, check, path, reason)]"""
    found = []
    for line in (ROOT / "tests/gates/exceptions.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            fields = line.split(None, 3)
            check(len(fields) == 4, f"an exception without a reason: {line}")
            found.append(tuple(fields))
    return found


def inspect(tool):
    """Looks at all sources; fails on what no exception names, and on exceptions without effect."""
    allowed = [item for item in exceptions() if item[0] == tool]
    used, found = set(), []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for results in pool.map(lambda unit: look(tool, *unit), units()):
            for name, where, text in results:
                for item in allowed:
                    if item[1] in name and fnmatch.fnmatch(where.split(":")[0], "src/" + item[2]):
                        used.add(item)
                        break
                else:
                    found.append(f"{where}: {text} [{name}]")
    found += [f"exceptions.txt: of no effect any more: {' '.join(item)}"
              for item in allowed if item not in used]
    check(not found, "\n" + "\n".join(sorted(set(found))))


def test_clang_tidy():
    inspect("clang-tidy")


def test_cppcheck():
    inspect("cppcheck")


def test_gcc_analyzer():
    inspect("analyzer")


FAULTY = {
    "clang-tidy": "int f(char *a)\n{\n    return sizeof(a) == sizeof(sizeof(a));\n}\n",
    "cppcheck": "int f(void)\n{\n    int a[2] = {0};\n    return a[5];\n}\n",
    "analyzer": "#include <stdlib.h>\nint f(void);\nint f(void)\n{\n    char *a = malloc(3);\n"
                "    if (!a)\n        return 0;\n    free(a);\n    free(a);\n    return 1;\n}\n",
}


def test_faults_are_seen():
    for tool, text in FAULTY.items():
        path = sample(work(), {f"{tool}.c": text}) / f"{tool}.c"
        found = look(tool, path, ["-std=gnu17"], cached=False)
        check([item for item in found if item[0] != "tool-failed"], f"{tool} saw nothing: {found}")
