"""What a reader meets: formatting, comments, headers, and functions and words that do not belong."""
import fnmatch
import re
import subprocess

from lib import *
from source import ROOT, includes, is_generated, sample, sources, without_comments

# Each has a safe counterpart in base/ or sys/, or a form that takes a size.
BANNED = ["strcpy", "strcat", "strncpy", "strncat", "sprintf", "vsprintf", "gets", "system", "popen",
          "strtok", "alloca", "tmpnam", "tempnam", "mktemp", "atoi", "atol", "atoll", "gmtime",
          "localtime", "ctime", "asctime", "getpwnam", "getpwuid", "getgrnam",
          "readdir_r", "rand", "srand"]
# Word and why it is not wanted, in sources, tests, scripts and documents alike.
WORDS = [(r"\b(TODO|FIXME|XXX)\b", "unfinished work"),
         (r"(?<![\w.\"])/(?:work|home/(?!rig|user|viv)[a-z]+|tmp/w)/[a-z]", "a machine's path")]
# main.c holds a program's entry only; nobody includes it.
WITHOUT_HEADER = {"main"}
DECLARATION = re.compile(r"^[A-Za-z_][\w\s*]*\b([a-z]\w*)\s*\([^;{}]*\)[^;{}]*;", re.DOTALL)


def where(root, path, offset, text):
    return f"{path.relative_to(root)}:{text.count(chr(10), 0, offset) + 1}"


def unformatted(root):
    paths = [str(path) for below in ("src", "tests") for path in sources(root, below=below)
             if not is_generated(path)]
    done = subprocess.run(["clang-format", "--dry-run", *paths], capture_output=True, text=True,
                          check=False, cwd=root)
    return sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", done.stderr, re.MULTILINE)))


def banned(root):
    found = []
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in sources(root):
        text = without_comments(path.read_text(encoding="utf-8"), strings=True)
        found += [f"{where(root, path, match.start(), text)}: {match.group(1)}() is banned"
                  for match in pattern.finditer(text)]
    return found


def headers(root):
    """Files without what every file has."""
    found = []
    for path in sources(root):
        first = path.read_text(encoding="utf-8").lstrip()
        if path.suffix == ".h":
            if not first.startswith("/*"):
                found.append(f"{path.relative_to(root)}: no comment at its head")
            if "#pragma once" not in first:
                found.append(f"{path.relative_to(root)}: no #pragma once")
        elif path.stem not in WITHOUT_HEADER and not path.with_suffix(".h").exists() \
                and not is_generated(path) and not shares(root, path):
            found.append(f"{path.relative_to(root)}: has no header of its own")
    return found


def shares(root, path):
    """Whether the source includes the header that shared-headers.txt names for it."""
    name = str(path.relative_to(root / "src"))
    used = [header for _, header in includes(path)]
    return any(header in used for pattern, header in SHARED if fnmatch.fnmatch(name, pattern))


def shared_headers():
    """[(pattern of sources, the header that they have in common)]"""
    found = []
    for line in (ROOT / "tests/gates/shared-headers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            found.append(tuple(line.split(None, 2)[:2]))
    return found


SHARED = shared_headers()


def uncommented(root):
    """Declarations of functions in headers with no comment above or behind them, or above their
    group. src/sys is left out: each of its functions is the kernel call of that name."""
    found = []
    for path in sources(root, (".h",)):
        if path.is_relative_to(root / "src/sys"):
            continue
        text = path.read_text(encoding="utf-8")
        bare = without_comments(text)
        # A group is what stands between two empty lines; braces (structs, inline bodies) are left out.
        # The first function of a header may be told by the header's own comment.
        first = min((match.start() for match in re.finditer(r"^\w[^\n;{}#]*\(", bare, re.MULTILINE)),
                    default=0)
        offset = 0
        for group in re.split(r"\n[ \t]*\n", text):
            code = bare[offset:offset + len(group)]
            lines = code.lstrip()
            match = DECLARATION.match(lines)
            said = group.lstrip().startswith("/*") or re.match(r"[^;]*;[ \t]*/\*", group.lstrip())
            opens = offset <= first < offset + len(group)
            plain = opens and not re.search(r"^(struct|enum|typedef|union) [^;(]*\{", bare[:offset],
                                            re.MULTILINE)
            if match and not said and not plain and not lines.startswith(("typedef", "#", "static inline")):
                found.append(f"{where(root, path, offset, text)}: {match.group(1)}() has no comment")
            offset += len(group) + len(re.match(r"\n[ \t]*\n|$", text[offset + len(group):]).group(0))
    return found


def unwanted_words(root):
    found = []
    done = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    for name in done.stdout.splitlines():
        path = root / name
        if name.startswith(("tests/gates/", "LICENSE")) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for pattern, why in WORDS:
            found += [f"{where(root, path, match.start(), text)}: {match.group(0)!r}: {why}"
                      for match in re.finditer(pattern, text)]
    return found


def none(found):
    check(not found, "\n" + "\n".join(found))


def test_formatting():
    none([f"{path}: run clang-format -i" for path in unformatted(ROOT)])


def test_banned_functions():
    none(banned(ROOT))


def test_headers():
    none(headers(ROOT))


def test_public_functions_are_commented():
    none(uncommented(ROOT))


def test_unwanted_words():
    none(unwanted_words(ROOT))


def test_faults_are_seen():
    root = sample(work(), {
        ".clang-format": (ROOT / ".clang-format").read_text(),
        "src/a/a.c": '#include "a/a.h"\n\nint a(char *b)\n{\n    strcpy(b, "x"); /* gets( */\n'
                     '    return x.system(b) + "gets("[0];\n}\n',
        "src/a/a.h": "#pragma once\n\nint first(void);\n\n/* Fine. */\nint a(char *b);\nint aa(void);\n\n"
                     "int b(int c,\n        int d);\n\nstruct x {\n    int (*f)(void);\n};\n",
        "src/a/c.c": "int   c;\n"})
    equal(banned(root), ["src/a/a.c:5: strcpy() is banned"])
    equal(headers(root), ["src/a/a.h: no comment at its head", "src/a/c.c: has no header of its own"])
    equal(uncommented(root), ["src/a/a.h:9: b() has no comment"])
    contains(unformatted(root), str(root / "src/a/c.c"))


def test_unwanted_words_are_seen():
    root = sample(work(), {"x.md": "see /wo" + "rk/place\nand http://a/wo" + "rk/b\nTO" + "DO later\n"})
    run("git", "init", "-q", root).ok()
    run("git", "-C", root, "add", "x.md").ok()
    equal([line.split(": ")[0] for line in unwanted_words(root)], ["x.md:3", "x.md:1"])
