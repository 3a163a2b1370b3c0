# SPDX-License-Identifier: BSD-2-Clause
"""Holds the documentation against the tree: every path, long option and target of make that it names
must be there.

What is not is said, a line each; exit status 1 when there was any.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Options of other programs: make's helpers and scripts that have a --help of their own.
FOREIGN_OPTIONS = {
    "scripts": "--compare --cycles --kills --list --quick --rows --seed --tables --tools".split(),
    "others": "--no-install-recommends --perf-basic-prof --port --raw --suite".split(),
}

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# A path with a folder, in words or in code; what begins with a slash is the machine's.
PATH = re.compile(r"(?<![\w/.~$*-])((?:[\w.*-]+/)+(?:[\w*-][\w.*-]*\w)?)(?![\w/…])")
# In code, not in prose: indented, behind a backquote or behind sudo.
TARGET = re.compile(r"(?:^ {4}|`|sudo )make ([a-z][a-z-]*)")
# Words that stand for others.
PLACEHOLDER = re.compile(r"\b(NAME|FILE|FOLDER|PID|VERSION|ALLOCATOR|FORMAT)\b")


def documents():
    for pattern in ("*.md", "docs/*.md", "tests/*/README.md", "man/*.1"):
        yield from sorted(ROOT.glob(pattern))


def known_options():
    table = (ROOT / "src/cli/option_table.c").read_text(encoding="utf-8")
    known = {"--" + name for name in re.findall(r'"([a-z][a-z-]+)"', table)}
    return known.union(*FOREIGN_OPTIONS.values())


def known_targets():
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", recipes, re.MULTILINE))


def is_built(path):
    """Whether it is a program or a test that the meson.build of its folder makes."""
    recipe = path.parent / "meson.build"
    return recipe.is_file() and re.search(r"['_]%s\b" % re.escape(path.name), recipe.read_text())


def is_there(path):
    """Whether a file is named so, seen from the top, from src/ or from the tests' or a library's folder."""
    places = [ROOT, ROOT / "src", ROOT / "tests/unit", *ROOT.glob("src/*/")]
    return any(next(place.glob(path), None) or is_built(place / path) for place in places)


def is_ours(path):
    """Whether it begins with a folder of ours; other slashes are alternatives or another's paths."""
    folder = path.split("/")[0]
    return folder not in (".", "build") and any((place / folder).is_dir()
                                                for place in (ROOT, ROOT / "src"))


def slips(document, options, targets):
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".1":
        text = text.replace("\\-", "-")
    for number, line in enumerate(text.splitlines(), 1):
        for option in OPTION.findall(line):
            if option not in options:
                yield number, "there is no option " + option
        for target in TARGET.findall(line):
            if target not in targets:
                yield number, "there is no make " + target
        for path in PATH.findall(line):
            if is_ours(path) and not PLACEHOLDER.search(path) and not is_there(path):
                yield number, "there is no " + path


def main():
    options, targets = known_options(), known_targets()
    found = False
    for document in documents():
        for number, slip in slips(document, options, targets):
            found = True
            print("%s:%d: %s" % (document.relative_to(ROOT), number, slip), file=sys.stderr)
    return 1 if found else 0


sys.exit(main())
