"""The layer rule: a folder of src/ includes what docs/ARCHITECTURE.md allows, and nothing goes round."""
import functools
import re

from lib import *
from source import ROOT, includes, resolve, sample, sources


def table(root):
    """{folder: set of folders that it may use} from the table of docs/ARCHITECTURE.md; its lines
    are "folder -> folder folder  what it is for", two blanks before what it is for."""
    rows = {}
    for line in (root / "docs/ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        match = re.match(r"    ([a-z]+) +-> ([a-z ]*?)(?:  |$)", line)
        if match:
            rows[match.group(1)] = set(match.group(2).split()) - {"libc"}
    return rows


def layer(root, path):
    """The folder of src/ that a file is in."""
    return path.relative_to(root / "src").parts[0]


def breaches(root):
    """Includes that the table does not allow, and folders that it does not have."""
    rows, found = table(root), []
    for path in sources(root):
        own = layer(root, path)
        if own not in rows:
            found.append(f"{path.relative_to(root)}: the table has no folder {own}")
            continue
        for number, name in includes(path):
            target = resolve(root, path, name)
            if target is None:
                continue  # generated into the build directory, or a compile error
            used = layer(root, target)
            if used not in rows[own] | {own, "base"}:
                found.append(f"{path.relative_to(root)}:{number}: {own} may not use {used}")
    return sorted(set(found))


def cycles(edges):
    """The groups of nodes that reach each other ({node: set of nodes})."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        work = [(node, iter(sorted(edges.get(node, ()))))]
        index[node] = low[node] = len(index)
        stack.append(node)
        while work:
            at, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append((other, iter(sorted(edges.get(other, ())))))
                    break
                if other in stack:
                    low[at] = min(low[at], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    group = []
                    while not group or group[-1] != at:
                        group.append(stack.pop())
                    if len(group) > 1 or at in edges.get(at, ()):
                        found.append(sorted(group))
    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


@functools.cache
def used(root, path):
    """The modules whose headers a file includes. Kept, since the rule asks again for each face."""
    targets = [resolve(root, path, name) for _, name in includes(path)]
    return [str(target.relative_to(root / "src").with_suffix("")) for target in targets
            if target and target.is_relative_to(root / "src")]


def modules(root, suffixes=(".c", ".h"), without=()):
    """Edges between modules: x.c and x.h are one, so that a cycle through both shows. The .c files
    of the modules in `without` are left out."""
    edges = {}
    for path in sources(root, suffixes):
        own = str(path.relative_to(root / "src").with_suffix(""))
        if path.suffix == ".c" and own in without:
            continue
        for other in used(root, path):
            if other != own:
                edges.setdefault(own, set()).add(other)
    return edges


def faces(root):
    """Modules that exceptions.txt names as the face of others, though they are no program's face."""
    path = root / "tests/gates/exceptions.txt"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [fields[2].removesuffix(".c") for fields in lines if fields[:2] == ["layers", "face"]]


def knots(root):
    """Headers that include each other; and modules that use each other, unless one of them is the
    face of the others: its .c uses the parts, and the parts' headers use its types."""
    found = cycles(modules(root, (".h",)))
    named = faces(root)
    for group in cycles(modules(root, without=named)):
        if not any(all(not set(rest) <= set(group)
                       for rest in cycles(modules(root, without=[face, *named]))) for face in group):
            found.append(group)
    return found


def linked(root):
    """What the build files link beyond the table."""
    rows, found = table(root), []
    for path in sorted((root / "src").glob("*/meson.build")):
        own = path.parent.name
        for name in re.findall(r"\b([a-z]+)_dep\b", path.read_text(encoding="utf-8")):
            if name in rows and name not in rows.get(own, set()) | {own, "base"}:
                found.append(f"{path.relative_to(root)}: {own} may not link {name}")
    return sorted(set(found))


def none(found):
    check(not found, "\n" + "\n".join(found))


def test_the_table_is_there_and_goes_one_way():
    rows = table(ROOT)
    check(len(rows) >= 10, f"the table has only {sorted(rows)}")
    none([f"{own} may use {used}, which has no row" for own in rows for used in rows[own] - set(rows)])
    none([f"round: {' '.join(group)}" for group in cycles(rows)])


def test_includes_follow_the_table():
    none(breaches(ROOT))


def test_no_cycle_between_modules():
    none([f"round: {' '.join(group)}" for group in knots(ROOT)])


def test_links_follow_the_table():
    none(linked(ROOT))


TABLE = "    base -> libc  ground\n    low -> base  low\n    high -> low  high\n"


def test_a_breach_is_seen():
    root = sample(work(), {
        "docs/ARCHITECTURE.md": TABLE, "src/low/a.h": "", "src/high/b.h": '#include "low/a.h"\n',
        "src/low/c.h": '\n#include "high/b.h"\n', "src/wild/d.h": "",
        "src/low/meson.build": "dependencies: [high_dep, base_dep]"})
    equal(breaches(root), ["src/low/c.h:2: low may not use high",
                           "src/wild/d.h: the table has no folder wild"])
    equal(linked(root), ["src/low/meson.build: low may not link high"])


def test_a_cycle_is_seen():
    root = sample(work(), {
        "docs/ARCHITECTURE.md": TABLE, "src/low/a.h": '#include "low/b.h"\n',
        "src/low/b.c": '#include "low/c.h"\n', "src/low/b.h": "", "src/low/c.h": '#include "a.h"\n',
        "src/high/d.c": '#include "low/a.h"\n'})
    equal(cycles(modules(root)), [["low/a", "low/b", "low/c"]])


def test_a_face_is_no_knot_and_a_knot_is_seen():
    root = sample(work() / "face", {
        "src/low/a.c": '#include "low/part.h"\n', "src/low/a.h": "",
        "src/low/part.h": '#include "low/a.h"\n', "src/low/part.c": '#include "low/more.h"\n',
        "src/low/more.h": '#include "low/a.h"\n'})
    equal(knots(root), [])
    sample(work() / "face", {"src/low/more.c": '#include "low/part.h"\n'})
    equal(knots(root), [["low/a", "low/more", "low/part"]])
    root = sample(work() / "headers", {"src/low/a.h": '#include "low/b.h"\n',
                                       "src/low/b.h": '#include "low/a.h"\n'})
    check(["low/a", "low/b"] in knots(root))
