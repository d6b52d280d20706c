"""Builds and runs the benchmarks and rewrites bench/README.md; called by bench/run."""

import argparse
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

PROGRAMS = ["lag", "cpu", "flood", "apply", "memtable", "reads", "startup", "scale", "tasks", "stacks",
            "history"]
README = "bench/README.md"
RESULTS = "build/bench"
PLOTS = "bench/plots"
TIMEOUT_S = 15 * 60
QUICK_TIMEOUT_S = 2 * 60

# The two builds: which RocksDB, folder of the build, end of the names of results.
DEBIAN = "debian"
RELEASE = "release"
FOLDERS = {DEBIAN: "build/release", RELEASE: "build/release-rocksdb"}

PLOT_TEXTS = {
    "lag_over_time": {
        "title": "Lag over time: median of each 50 ms",
        "x": "seconds",
        "y": "lag, us",
        "log": "y",
        "lines": [("", 2)],
    },
    "lag_by_rate": {
        "title": "Lag against write rate",
        "x": "keys written per second",
        "y": "lag, us",
        "log": "y",
        "lines": [(" p50", 2), (" p99", 3)],
    },
    "follower_cpu_by_leader_cpu": {
        "title": "Follower CPU against leader CPU, by write rate",
        "x": "leader, cores",
        "y": "follower, cores",
        "log": "",
        "lines": [("", 2)],
    },
    "read_latency_by_apply_rate": {
        "title": "Get of an unflushed key against apply rate",
        "x": "keys applied per second",
        "y": "us",
        "log": "",
        "lines": [(" p50", 2), (" p99", 3)],
    },
}


def fail(message):
    sys.exit(f"bench/run: {message}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Builds the benchmarks in Release, runs them, and rewrites the tables and plots "
        "of bench/README.md. All numbers go to build/bench/*.json.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=PROGRAMS,
        metavar="NAME",
        help="run this one alone; may be given more than once. One of: " + ", ".join(PROGRAMS),
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="do they work at all: a few seconds each, and bench/README.md stays as it is",
    )
    parser.add_argument(
        "--rocksdb",
        metavar="PATH",
        help="measure a second time with the release build of RocksDB that is installed in PATH, "
        "or whose librocksdb.so and include/ are there",
    )
    return parser.parse_args()


def build(kind, programs, rocksdb):
    folder = FOLDERS[kind]
    configure = ["cmake", "-S", ".", "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    configure += ["-DSLIPSTREAM_TESTS=OFF", "-DSLIPSTREAM_EXAMPLES=OFF", "-DSLIPSTREAM_BENCH=ON"]
    configure += [f"-DSLIPSTREAM_ROCKSDB_ROOT={rocksdb}"]
    if shutil.which("ccache"):
        configure += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    for command in (
        configure,
        ["cmake", "--build", folder, "--target"] + [f"bench_{p}" for p in programs],
    ):
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            fail("this failed: " + shlex.join(command))


def result_file(kind, program):
    return f"{RESULTS}/{program}{'' if kind == DEBIAN else '.' + kind}.json"


def run(kind, program, quick):
    """Returns the result, or None after telling why there is none."""
    output = result_file(kind, program)
    command = [f"{FOLDERS[kind]}/bench/bench_{program}", "--json", output]
    if quick:
        command.append("--quick")
    print(f"\n=== {shlex.join(command)}", flush=True)
    if os.path.exists(output):
        os.remove(output)
    timeout_s = QUICK_TIMEOUT_S if quick else TIMEOUT_S
    process = subprocess.Popen(command)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        # Its children die with it.
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"bench/run: bench_{program} did not end within {timeout_s} s", file=sys.stderr)
        return None
    if code == 130:
        fail("interrupted")
    if code != 0:
        print(f"bench/run: bench_{program} failed with exit code {code}", file=sys.stderr)
        return None
    with open(output, encoding="utf-8") as file:
        return json.load(file)


def row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def number(target, key):
    text = f"{target[key]:.{target['decimals']}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bound_text(target):
    sign = "≤" if target["bound"] == "at most" else "≥"
    text = f"{sign} {number(target, 'debian')}"
    if target["debian"] != target["release"]:
        text += f" / {number(target, 'release')}"
    return text + (" " + target["unit"] if target["unit"] else "")


TARGETS_HEADER = ["program", "what", "to reach", "Debian's RocksDB", "", "release build", ""]
FAILED = ["failed", "MISS"]
NOT_MEASURED = ["not measured", ""]


def target_cells(result, index):
    if result is None:
        return FAILED
    target = result["targets"][index]
    return [target["text"], "pass" if target["reached"] else "MISS"]


def target_rows(program, results):
    """The rows of one program; results by kind, None of one that failed."""
    known = next((r for r in results.values() if r is not None), None)
    if known is None:
        return [[program, "all", "", *FAILED, *(FAILED if RELEASE in results else NOT_MEASURED)]]
    rows = []
    for index, target in enumerate(known["targets"]):
        cells = [program, target["what"], bound_text(target)]
        for kind in (DEBIAN, RELEASE):
            cells += target_cells(results[kind], index) if kind in results else NOT_MEASURED
        rows.append(cells)
    return rows


def targets_table(all_results, kept_rows):
    """kept_rows: those that the README has, for the programs that did not run."""
    rows = []
    for program in PROGRAMS:
        if program in all_results:
            rows += target_rows(program, all_results[program])
        else:
            rows += [r for r in kept_rows if r and r[0] == program]
    return row(TARGETS_HEADER) + row(["---"] * len(TARGETS_HEADER)) + "".join(map(row, rows))


def machine_text(result):
    machine, versions = result["machine"], result["versions"]
    command = [os.path.basename(result["command_line"][0])]
    words = iter(result["command_line"][1:])
    for word in words:
        if word == "--json":
            next(words, None)
        else:
            command.append(word)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, {machine['kernel']}, "
        f"load {machine['load_average_1_min']:.1f} at the end; RocksDB {versions['rocksdb']} "
        f"({'Debian, assertions on' if versions['rocksdb_build'] == 'Debian' else 'release build'}), "
        f"gRPC {versions['grpc']}, {versions['compiler']}, {versions['build_type']}; Slipstream "
        f"{versions['slipstream']}, commit {versions['git_commit']}; "
        f"{datetime.date.today().isoformat()}; `{shlex.join(command)}`\n"
    )


def tables_of(program, results):
    text = ""
    for kind, result in results.items():
        if result is None:
            text += f"\n`bench_{program}` failed with {kind}'s RocksDB.\n"
            continue
        text += "\n" + machine_text(result)
        for table in result["tables"]:
            header, *rows = table["rows"]
            text += f"\n{table['title']}:\n\n" + row(header)
            text += row(["---"] + ["---:"] * (len(header) - 1)) + "".join(map(row, rows))
    for name in (results[DEBIAN] or {}).get("series", {}):
        text += f"\n![{PLOT_TEXTS[name]['title']}](plots/{name}.svg)\n"
    return text


def replace_between(text, name, content):
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        fail(f"{README}: there must be one pair of markers {begin.strip()} and {end}")
    return pattern.sub(lambda _: begin + content + end, text)


def rows_between(text, name):
    match = re.search(f"<!-- begin {name} -->\n(.*?)<!-- end {name} -->", text, re.DOTALL)
    lines = match.group(1).splitlines() if match else []
    return [
        [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if line.startswith("|")
    ]


def rewrite_readme(all_results):
    with open(README, encoding="utf-8") as file:
        text = file.read()
    text = replace_between(text, "targets", targets_table(all_results, rows_between(text, "targets")))
    for program, results in all_results.items():
        text = replace_between(text, program, tables_of(program, results))
    with open(README, "w", encoding="utf-8") as file:
        file.write(text)


def gnuplot_text(name, lines, folder):
    texts = PLOT_TEXTS[name]
    script = "set terminal svg size 800,450 dynamic background 'white' font 'sans,12'\n"
    script += f"set output '{folder}/{name}.svg'\nset title '{texts['title']}'\n"
    script += f"set xlabel '{texts['x']}'\nset ylabel '{texts['y']}'\nset grid\n"
    script += "set key outside below\nset yrange [0:*]\nset format x '%.15g'\n"
    if texts["log"]:
        script += f"set logscale {texts['log']}\nset yrange [*:*]\n"
    plots = []
    for index, (line, points) in enumerate(lines.items()):
        script += f"$data{index} << EOD\n"
        script += "".join(" ".join(str(v) for v in point) + "\n" for point in points) + "EOD\n"
        for ending, column in texts["lines"]:
            plots.append(f"$data{index} using 1:{column} with linespoints title '{line}{ending}'")
    return script + "plot " + ", \\\n  ".join(plots) + "\n"


def plot(result, folder):
    os.makedirs(folder, exist_ok=True)
    for name, lines in result["series"].items():
        script = gnuplot_text(name, lines, folder)
        if subprocess.run(["gnuplot"], input=script, text=True).returncode != 0:
            print(f"bench/run: gnuplot could not make {name}.svg", file=sys.stderr)
            return False
    return True


def main():
    options = arguments()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    os.makedirs(RESULTS, exist_ok=True)
    programs = [p for p in PROGRAMS if not options.only or p in options.only]
    kinds = [DEBIAN] + ([RELEASE] if options.rocksdb else [])
    for kind in kinds:
        path = os.path.abspath(options.rocksdb) if kind == RELEASE else ""
        build(kind, programs, path)
    begin = time.monotonic()
    all_results = {}
    healthy = True
    for program in programs:
        all_results[program] = {kind: run(kind, program, options.quick) for kind in kinds}
        healthy = healthy and None not in all_results[program].values()
        result = all_results[program][DEBIAN]
        if result is not None:
            folder = f"{RESULTS}/plots" if options.quick else PLOTS
            healthy = plot(result, folder) and healthy
    print(f"\n=== all programs took {time.monotonic() - begin:.0f} s\n")
    print(targets_table(all_results, []))
    if not options.quick:
        rewrite_readme(all_results)
    sys.exit(0 if healthy else 1)


if __name__ == "__main__":
    main()
