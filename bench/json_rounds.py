# SPDX-License-Identifier: BSD-2-Clause
# A Python workload: JSON written and read; prints its CPU nanoseconds for every round.
import json
import sys
import time

data = [{"number": i, "text": "x" * (i % 700), "list": list(range(i % 40))} for i in range(200)]
for _ in range(int(sys.argv[1])):
    start = time.process_time_ns()
    for _ in range(3):
        json.loads(json.dumps(data))
    print(time.time_ns(), time.process_time_ns() - start, flush=True)
    time.sleep(0.001)
