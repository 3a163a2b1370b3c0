# SPDX-License-Identifier: BSD-2-Clause
"""Writes a C source with the text of files: embed.py OUTPUT FILE…; a.b becomes ml_asset_a_b."""
import base64
import hashlib
import os
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    out.write('#include "report/assets.h"\n')
    for path in sys.argv[2:]:
        name = os.path.basename(path).replace(".", "_")
        with open(path, "rb") as file:
            content = file.read()
        lowered = content.lower()
        if not content.isascii() or any(end in lowered for end in (b"]]>", b"</s", b"<!--")):
            sys.exit("%s: not ASCII, or with what ends a CDATA section, script or style" % path)
        data = ",".join(str(byte) for byte in content)
        if not path.endswith(".js"):
            out.write("const char ml_asset_%s[] = {%s,0};\n" % (name, data))
            continue
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")
        out.write("static const char %s_text[] = {%s,0};\n" % (name, data))
        out.write('const struct ml_asset_script ml_asset_%s = {%s_text, "sha256-%s"};\n'
                  % (name, name, digest))
