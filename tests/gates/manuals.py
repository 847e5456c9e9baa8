"""Manual pages: one for each program that is started by hand or by engines, and all well-formed."""
import json
import re
import subprocess

from lib import *
from source import ROOT, sample

HEADS = ["NAME", "SYNOPSIS", "DESCRIPTION"]


def pages(root=ROOT):
    return sorted(path for path in (root / "docs/man").iterdir() if path.suffix[1:] in list("1578"))


def faults(path):
    """What groff warns of, and the sections that are missing."""
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(path)], capture_output=True,
                          text=True, check=False)
    text = path.read_text(encoding="utf-8")
    return done.stderr.splitlines() + [f"{path.name}: no section {head}" for head in HEADS
                                       if f".SH {head}" not in text]


def named_options(page, in_text=False):
    """The long options that a page explains: those in the lines behind .TP, or all that it names."""
    lines = page.read_text(encoding="utf-8").replace("\\-", "-").splitlines()
    tags = [line for before, line in zip(lines, lines[1:]) if before == ".TP" or in_text]
    return set(re.findall(r"--([a-z][a-z0-9-]*)", "\n".join(tags))) - {"help"}


def printed_options(*command):
    """The long options that a command's --help prints."""
    text = run(*command, "--help").ok().out
    return set(re.findall(r"^  (?:-[a-zA-Z],|   ) --([a-z][a-z0-9-]*)", text, re.MULTILINE))


def commands(binary):
    """The commands that a program's --help lists."""
    return re.findall(r"^  (?!viv )([a-z]+) ", run(binary, "--help").ok().out, re.MULTILINE)


def differences(page, printed, shared=frozenset(), in_text=False):
    """`shared` are options that may be left to another page, which this one names."""
    named = named_options(page, in_text)
    return ([f"{page.name}: --{name} is missing" for name in sorted(printed - named - shared)] +
            [f"{page.name}: there is no --{name}" for name in sorted(named - printed)])


def test_every_option_of_viv_is_in_its_page():
    binary = program("viv")
    pages_of = ROOT / "docs/man"
    found = differences(pages_of / "viv.1", printed_options(binary))
    names = commands(binary)
    check(len(names) > 10, f"viv --help lists {names}")
    for name in names:
        page = pages_of / f"viv-{name}.1"
        if not page.exists():
            found.append(f"no manual page: {page.name}")
            continue
        shared = (printed_options(binary, "run") if name in ("create", "explain")
                  else frozenset())
        found += differences(page, printed_options(binary, name), shared)
    check(not found, "\n" + "\n".join(found))


def test_every_option_of_viv_oci_is_in_its_page():
    binary = program("viv-oci")
    printed = printed_options(binary)
    for name in commands(binary):
        printed |= printed_options(binary, name)
    check("bundle" in printed and "root" in printed, f"viv-oci prints {sorted(printed)}")
    found = differences(ROOT / "docs/man/viv-oci.1", printed, in_text=True)
    check(not found, "\n" + "\n".join(found))


def test_every_option_of_viv_cpu_is_in_its_page():
    text = (ROOT / "src/bare/options.c").read_text(encoding="utf-8")
    printed = set(re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', text)) - {"help"}
    check("entry" in printed, "src/bare/options.c has no table of options that this test can read")
    found = differences(ROOT / "docs/man/viv-cpu.1", printed)
    check(not found, "\n" + "\n".join(found))


def test_pages_are_well_formed():
    found = [line for path in pages() for line in faults(path)]
    check(not found, "\n" + "\n".join(found))


def test_programs_have_a_page():
    done = run("meson", "introspect", "--targets", BUILD).ok()
    programs = {target["name"] for target in json.loads(done.out)
                if target["type"] == "executable" and target["installed"]}
    missing = programs - {path.stem for path in pages()}
    check(not missing, f"no manual page: {', '.join(sorted(missing))}")


def test_a_faulty_page_is_seen():
    root = sample(work(), {"docs/man/x.1": ".TH x 1\n.SH NAME\nx\n.SH SYNOPSIS\n.nosuch\n"})
    found = "\n".join(faults(root / "docs/man/x.1"))
    contains(found, "nosuch")
    contains(found, "no section DESCRIPTION")


def test_a_wrong_option_is_seen():
    root = sample(work(), {"x.1": ".TP\n\\fB\\-a\\fR, \\fB\\-\\-all\\fR\nAs \\-\\-none.\n"})
    equal(differences(root / "x.1", {"all"}), [])
    equal(differences(root / "x.1", {"every"}),
          ["x.1: --every is missing", "x.1: there is no --all"])
