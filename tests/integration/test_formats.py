# SPDX-License-Identifier: BSD-2-Clause
"""The formats that other programs and browsers read, by decoding them."""
import base64
import functools
import gzip
import hashlib
import html.parser
import json
import pathlib
import shutil
import subprocess
import xml.etree.ElementTree

import pytest


@pytest.fixture(scope="module")
def written(programs, tmp_path_factory):
    """A function that gives (bytes in @format, pid): ten blocks of 1 MiB of leak_big."""
    import conftest
    directory = tmp_path_factory.mktemp("formats")
    bench = conftest.Bench(str(directory), programs)

    @functools.lru_cache(maxsize=None)
    def write(format_):
        target = bench.target("big")
        path = directory / format_
        run = bench.memleak("--format", format_, "-o", "0", "-w", path, "-p", target.pid, "60")
        run.wait_attached()
        target.work()
        run.interrupt()
        return path.read_bytes(), target.pid

    yield write
    bench.close()


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def message(data):
    """{field: [values]} of a protobuf message that holds varints and bytes only."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag & 7 in (0, 2), "a wire type that profile.proto does not have"
        value, at = varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
            assert at <= len(data)
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def packed(data):
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


class Profile:
    """A decoded profile.proto."""

    def __init__(self, data):
        self.fields = message(gzip.decompress(data))
        self.strings = [text.decode("utf-8") for text in self.fields[6]]
        self.mappings = self.by_id(3)
        self.locations = self.by_id(4)
        self.functions = self.by_id(5)

    def by_id(self, field):
        messages = [message(data) for data in self.fields.get(field, [])]
        ids = [entry[1][0] for entry in messages]
        assert len(set(ids)) == len(ids) and 0 not in ids
        return dict(zip(ids, messages))

    def text(self, fields, field):
        return self.strings[fields.get(field, [0])[0]]

    def lines(self, location):
        """[(function, file, line)] at a location, innermost first."""
        for line in map(message, self.locations[location].get(4, [])):
            function = self.functions[line[1][0]]
            yield self.text(function, 2), self.text(function, 4), line.get(2, [0])[0]

    def samples(self):
        for sample in map(message, self.fields[2]):
            stack = [line for location in packed(sample[1][0]) for line in self.lines(location)]
            labels = {}
            for label in map(message, sample.get(3, [])):
                labels[self.text(label, 1)] = self.text(label, 2) or label.get(3, [0])[0]
            yield stack, packed(sample[2][0]), labels


def test_pprof(written):
    data, pid = written("pprof")
    profile = Profile(data)
    assert profile.strings[0] == "" and len(set(profile.strings)) == len(profile.strings)
    types = [(profile.text(t, 1), profile.text(t, 2)) for t in map(message, profile.fields[1])]
    assert types == [("alloc_objects", "count"), ("alloc_space", "bytes"),
                     ("inuse_objects", "count"), ("inuse_space", "bytes")]

    stack, values, labels = next(sample for sample in profile.samples()
                                 if "leak_big" in [line[0] for line in sample[0]])
    assert values == [10, 10 << 20, 10, 10 << 20]
    names = [line[0] for line in stack]
    assert names.index("leak_big") < names.index("main"), "the leaf comes first"
    assert stack[names.index("leak_big")][1].endswith("big.c")
    assert stack[names.index("leak_big")][2] > 0
    assert labels["pid"] == pid and labels["process"] == "big"
    assert labels["verdict"] in ("unknown", "leak", "growing", "cache", "steady", "startup")


def test_pprof_mappings(written):
    data, _ = written("pprof")
    profile = Profile(data)
    files = {profile.text(mapping, 5): mapping for mapping in profile.mappings.values()}
    program = next(mapping for file, mapping in files.items() if file.endswith("/big"))
    assert len(profile.text(program, 6)) == 40, "a build-id of 20 bytes"
    assert program[1] == [1], "pprof names the profile by the first mapping"
    for location in profile.locations.values():
        mapping = profile.mappings[location[2][0]]
        assert mapping.get(2, [0])[0] <= location[3][0] < mapping[3][0]


class Heaptrack:
    """Reads the lines of a heaptrack data file: {trace's functions, innermost first: sizes}."""

    def __init__(self, text):
        self.strings, self.ips, self.traces, self.sizes = [""], [[]], [(0, 0)], []
        self.stacks = {}
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "s":
                length, _, string = rest.partition(" ")
                assert int(length, 16) == len(string.encode())
                self.strings.append(string)
            elif kind in "itac+":
                self.read(kind, [int(number, 16) for number in rest.split()])

    def read(self, kind, numbers):
        if kind == "i":
            self.ips.append([self.strings[function] for function in numbers[2::3]])
        elif kind == "t":
            assert numbers[0] < len(self.ips) and numbers[1] < len(self.traces)
            self.traces.append(tuple(numbers))
        elif kind == "a":
            self.sizes.append((numbers[0], self.stack(numbers[1])))
        elif kind == "+":
            size, stack = self.sizes[numbers[0]]
            self.stacks.setdefault(stack, []).append(size)

    def stack(self, trace):
        names = []
        while trace:
            ip, trace = self.traces[trace]
            names += self.ips[ip]
        return tuple(names)


def test_heaptrack(written):
    data, _ = written("heaptrack")
    text = data.decode("utf-8")
    assert text.startswith("v 10400 3\nX /")
    stack, sizes = next(item for item in Heaptrack(text).stacks.items() if "leak_big" in item[0])
    assert sizes == [1 << 20] * 10
    assert stack.index("leak_big") < stack.index("main")


@pytest.mark.skipif(not shutil.which("heaptrack_print"), reason="heaptrack is not installed")
def test_heaptrack_print(written, tmp_path):
    (tmp_path / "data").write_bytes(written("heaptrack")[0])
    read = subprocess.run(["heaptrack_print", "-l", "1", "-f", tmp_path / "data"], timeout=30,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    leaks = read.stdout.partition("MEMORY LEAKS")[2]
    assert "10.49M leaked over 10 calls from" in leaks and "leak_big" in leaks, leaks


def test_svg(written):
    root = xml.etree.ElementTree.fromstring(written("svg")[0])
    svg = "{http://www.w3.org/2000/svg}"
    titles = {title.text.split(" ")[0]: title.text for title in root.iter(svg + "title")}
    assert "10.0 MiB in 10 blocks" in titles["leak_big"]
    flames = {group.find(svg + "title").text.split(" ")[0]: int(group.get("data-d"))
              for group in root.iter(svg + "g") if group.get("data-d")}
    assert flames["main"] < flames["leak_big"], "the outermost frame is on top"
    links = [name for element in root.iter() for name in element.attrib if name.endswith("href")]
    assert not links, "the file has to stand alone"


class Document(html.parser.HTMLParser):
    """The parts of an HTML report: scripts by id or as a list, and every attribute."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.data, self.policy, self.attributes, self.words = [], None, None, [], ""
        self.inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.attributes += [(tag, name) for name in attributes]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        if tag == "script":
            self.inside = attributes.get("id", "script")

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = None

    def handle_data(self, data):
        if self.inside == "data":
            self.data = json.loads(data)
        elif self.inside:
            self.scripts.append(data)
        else:
            self.words += data


def test_html(written):
    page = Document(written("html")[0].decode("utf-8"))
    hashes = ["'sha256-%s'" % base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
              for script in page.scripts]
    assert page.policy.startswith("default-src 'none'; ")
    assert page.policy.partition("script-src ")[2].split() == hashes, "just these scripts may run"
    assert not [found for found in page.attributes if found[1] in ("src", "href") and found[0] != "a"]
    assert "10.0 MiB in 10 blocks" in page.words

    texts, frames = page.data["texts"], page.data["frames"]
    site = next(site for site in page.data["sites"]
                if "leak_big" in [texts[frames[frame][0]] for frame in site[14]])
    assert site[3:6] == [10 << 20, 10, 10]
    frame = next(frames[index] for index in site[14] if texts[frames[index][0]] == "leak_big")
    assert texts[frame[3]].endswith("big.c") and frame[4] > 0
    first, lines = page.data["excerpts"][frame[7] - 1]
    source = pathlib.Path(texts[frame[3]]).read_text(encoding="utf-8").splitlines()
    assert lines == [line.replace("\t", "    ") for line in source[first - 1:][:len(lines)]]
    assert first <= frame[4] < first + len(lines)
    assert page.data["total"][-1] == 10 << 20 and page.data["resident"][-1] > 1 << 20
