#!/usr/bin/env python3
"""tools/check-includes must find what it is for: each case is a small tree with one fault, and the
same tree without it must pass."""
import os
import subprocess
import sys
import tempfile

CLEAN = {
    "core/base/str.h": "#include <stddef.h>\nstatic inline int str_one(void)\n{\n    return 1;\n}\n",
    "core/route/route.h": '#include "world/world.h"\n',
    "core/route/route_int.h": "",
    "core/route/route.c": '#include "route/route_int.h"\n#include "base/str.h"\n'
                          "static const int sizes[] = {1, 2};\n"
                          "static const char *const names[] = {\"a\"};\n"
                          "/* system(\"x\") and strcpy(a, b) in words only */\n"
                          'static const char *text(void)\n{\n    return "atoi(1) // sprintf(";\n}\n',
    "core/world/world.h": '#include "parse/http.h"\n',
    "core/parse/http.h": "",
    "core/parse/http.c": "#include <llhttp.h>\n",
    "core/admit/admit.h": "",
    "core/loop/net.c": "#include <uv.h>\n",
    "core/main.c": '#include "cli/cli.h"\nstatic int stop;\n',
    "core/cli/cli.h": "",
    "plugins/common/shared.h": "",
    "plugins/strategies/x/x_int.h": "",
    "plugins/strategies/x/x.c": '#include <turnpike/plugin.h>\n#include "x_int.h"\n'
                                '#include "../../common/shared.h"\n#include <cJSON.h>\n',
    "sdk/include/turnpike/plugin.h": "#include <stddef.h>\n#include <stdint.h>\n",
}

# name of the case: (file, text, what the report must contain)
FAULTS = {
    "upward": ("core/base/a.c", '\n#include "route/route.h"\n', "core/base/a.c:2: base/ includes route/"),
    "sideways": ("core/route/a.c", '#include "admit/admit.h"\n',
                 "core/route/a.c:1: route/ includes admit/"),
    "hidden in spaces": ("core/base/a.c", '  #  include   "world/world.h"\n',
                         "core/base/a.c:1: base/ includes world/"),
    "after a comment": ("core/base/a.c", '/* one\n two */ #include "world/world.h"\n',
                        "core/base/a.c:2: base/ includes world/"),
    "private header": ("core/cli/a.c", '#include "route/route_int.h"\n', "is private to route/"),
    "no room": ("core/route/a.c", '#include "route.h"\n', "does not say which room"),
    "unknown room": ("core/novelty/a.c", '#include "base/str.h"\n', "novelty is not in the law"),
    "missing header": ("core/route/a.c", '#include "base/nothing.h"\n', "there is no core/base/nothing.h"),
    "core knows a plugin": ("core/cli/a.c", '#include "plugins/strategies/x/x_int.h"\n',
                            "core/ includes"),
    "core climbs out": ("core/cli/a.c", '#include "../plugins/common/shared.h"\n', "core/ includes"),
    "plugin knows the core": ("plugins/strategies/x/a.c", '#include "base/str.h"\n',
                              'a plugin includes "base/str.h"'),
    "plugin climbs out": ("plugins/strategies/x/a.c", '#include "../../../core/base/str.h"\n',
                          "a plugin includes"),
    "sdk header": ("sdk/include/turnpike/more.h", "#include <string.h>\n", "the SDK includes string.h"),
    "llhttp elsewhere": ("core/route/a.c", "#include <llhttp.h>\n", "may be included in core/parse only"),
    "sqlite elsewhere": ("core/cli/a.c", "#include <sqlite3.h>\n", "may be included in core/store only"),
    "uv in main": ("core/main.c", "#include <uv.h>\n", "may be included in core/loop only"),
    "dlfcn in a plugin": ("plugins/strategies/x/a.c", "#include <dlfcn.h>\n",
                          "may be included in core/plug only"),
    "cJSON in core": ("core/route/a.c", "#include <cJSON.h>\n", "core/model or plugins only"),
    "banned": ("core/route/a.c", "void f(char *a)\n{\n    strcpy (a, a);\n}\n",
               "core/route/a.c:3: calls strcpy; copy with a length"),
    "banned in a plugin": ("plugins/strategies/x/a.c", "int f(void)\n{ return system(0); }\n",
                           "calls system"),
    "mutable": ("core/route/a.c", "static int counter;\n", "'counter' is a mutable variable"),
    "mutable pointer": ("core/route/a.c", "static char *last = NULL;\n", "'last' is a mutable"),
    "mutable array": ("core/route/a.c", "static struct x table[4] = {{0}};\n", "'table' is a mutable"),
}

# Looks like a fault and is none.
INNOCENT = {
    "member": ("core/route/a.c", "int f(struct x *x)\n{\n    return x->system(1) + y.rand(2);\n}\n"),
    "longer name": ("core/route/a.c", "int f(void)\n{\n    return my_strcpy(1) + atoi_checked(2);\n}\n"),
    "function": ("core/route/a.c", "static int helper(int a, int b)\n{\n    return a + b;\n}\n"),
    "declaration": ("core/route/a.c", "static int helper(int a);\n"),
    "commented out": ("core/base/a.c", '// #include "world/world.h"\n/*\n#include "cli/cli.h"\n*/\n'),
}


def write(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


def run(script, files):
    with tempfile.TemporaryDirectory() as root:
        write(root, files)
        done = subprocess.run([sys.executable, script, root], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def main():
    script = sys.argv[1]
    bad = []
    code, out = run(script, CLEAN)
    if code != 0:
        bad.append(f"the clean tree is refused ({code}):\n{out}")
    for name, (path, text, want) in FAULTS.items():
        code, out = run(script, {**CLEAN, path: text})
        if code != 1 or want not in out or ", 0 faults" in out or " 1 faults" not in out:
            bad.append(f"{name}: exit {code}, expected exactly one fault with '{want}':\n{out}")
    for name, (path, text) in INNOCENT.items():
        code, out = run(script, {**CLEAN, path: text})
        if code != 0:
            bad.append(f"{name}: refused although innocent:\n{out}")
    code, out = run(script, {**CLEAN, "core/route/long.c": "\n" * 700})
    if code != 0 or "core/route/long.c: 700 lines" not in out:
        bad.append(f"a long file is not named:\n{out}")
    code, out = run(script, {"README": "nothing here\n"})
    if code != 2:
        bad.append(f"an empty tree passes:\n{out}")
    for b in bad:
        print(b)
    print(f"{len(FAULTS) + len(INNOCENT) + 3} cases, {len(bad)} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
