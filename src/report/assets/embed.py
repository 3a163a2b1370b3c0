# SPDX-License-Identifier: BSD-2-Clause
"""Writes a C source with the text of files: embed.py OUTPUT FILE…; a.b becomes ml_asset_a_b."""
import os
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    out.write('#include "report/assets.h"\n')
    for path in sys.argv[2:]:
        name = os.path.basename(path).replace(".", "_")
        with open(path, "rb") as file:
            data = ",".join(str(byte) for byte in file.read())
        out.write("const char ml_asset_%s[] = {%s,0};\n" % (name, data))
