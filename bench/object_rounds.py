# SPDX-License-Identifier: BSD-2-Clause
# A Python workload: objects, dicts and words in Python's own code; prints its CPU nanoseconds for
# every round.
import sys
import time


class Point:
    def __init__(self, x, y):
        self.x, self.y, self.tags = x, y, []

    def add(self, other):
        return Point(self.x + other.x * 0.5, self.y + other.y * 0.25)


def work():
    points = [Point(i * 1.5, i / 3) for i in range(300)]
    total, by_tag = Point(0.0, 0.0), {}
    for i, point in enumerate(points):
        total = total.add(point)
        point.tags.append("tag%d" % (i % 17))
        by_tag.setdefault(point.tags[0], []).append((point.x, i))
    counts = {}
    for word in " ".join("w%d" % (i % 40) for i in range(400)).split():
        counts[word] = counts.get(word, 0) + 1
    return total, by_tag, sorted(counts.items(), key=lambda item: (-item[1], item[0]))


for _ in range(int(sys.argv[1])):
    start = time.process_time_ns()
    for _ in range(4):
        work()
    print(time.time_ns(), time.process_time_ns() - start, flush=True)
    time.sleep(0.001)
