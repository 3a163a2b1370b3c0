#!/bin/sh
# Prints the tables of docs/PERFORMANCE.md: bench/run.sh build/memleak
exec /usr/bin/python3 "$(dirname "$0")/run.py" "$@"
