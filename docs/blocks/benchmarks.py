"""The tables of docs/benchmarks.md: a block for each bench, from what it wrote last."""

from __future__ import annotations

from collections.abc import Callable

from blocks.results import Result, has_result, measured, number, result, share, table


def route(found: Result) -> str:
    cells = list(dict.fromkeys(row["cells"] for row in found["rows"]))
    rows = [
        [
            row["who"],
            _load(row),
            f"{row['failures']:,} of {row['requests']:,}",
            number(row["cpu_us_per_request"]),
            number(row.get("rotating_cpu_us_per_request")),
            number(row["rps"]),
            number(row["added_p50_ms"]),
            number(row["added_p99_ms"]),
        ]
        for row in found["rows"]
        if row["cells"] == cells[0]
    ]
    head = [
        *("proxy", "a request", "failures", "CPU µs, one request", "CPU µs, rotating"),
        *("requests/s", "p50 ms", "p99 ms"),
    ]
    others = f"Others had {share(found['others_share_of_machine'])} of the machine meanwhile.\n"
    with_cells = f"With {cells[0]} cells:\n\n" + table(head, rows, texts=2)
    return with_cells + (_growth(found, cells) if cells[1:] else "") + "\n" + others


def _growth(found: Result, cells: list[int]) -> str:
    """What more cells cost each proxy: of the load that it had with all numbers of them."""
    key = "rotating_cpu_us_per_request"
    load = min(row["payload"] for row in found["rows"])
    rows: dict[str, list[str]] = {}
    for row in found["rows"]:
        if row["payload"] == load and not row["tls"]:
            rows.setdefault(row["who"], []).append(number(row[key]))
    head = ["proxy", *(f"{count} cells" for count in cells)]
    said = f"\nWith more cells, CPU µs of a request of {load:,} B, rotating:\n\n"
    return said + table(head, [[who, *mine] for who, mine in rows.items()])


def _load(row: Result) -> str:
    said = f"{row['payload']:,} B" + (", TLS" if row["tls"] else "")
    return said if row.get("items", 1) == 1 else f"{said}, {row['items']} predictions, {row['variant']}"


def cell(found: Result) -> str:
    rows = [
        [
            row["server"],
            str(row["rows_per_request"]),
            number(row["cpu_us_per_request"]),
            number(row["requests_per_s"]),
            number(row["rows_per_s"]),
        ]
        for row in (*found["rows"], *found["plain"])
    ]
    parts = [[stage, number(us)] for stage, us in found["breakdown_us"].items()]
    head = ["server", "rows a request", "CPU µs a request", "requests/s", "rows/s"]
    said = f"\nOf a request of one row, with {found['models']:,} models in turn:\n\n"
    return table(head, rows) + said + table(["part", "CPU µs"], parts)


def engines(found: Result) -> str:
    names = [
        *("prepare_s", "file_kb", "kb_per_model", "load_us"),
        *("hot_us", "rotating_us", "batch64_us", "wide_hot_us"),
    ]
    rows = [[row["model"], row["engine"], *(number(row[name]) for name in names)] for row in found["rows"]]
    head = [
        "model",
        "engine",
        "prepare s",
        "file kB",
        "kB a model",
        "load µs",
        "hot µs",
        "rotating µs",
        "of 64, µs",
        "float64 hot µs",
    ]
    steps = found["pipeline"]
    pipeline = [
        [name.removesuffix("_ns").replace("_", " "), number(steps[name])]
        for name in ("look_up_ns", "check_ns", "columns_ns")
    ]
    said = f"\nA pipeline's steps, {steps['features']} features to {steps['columns']} columns:\n\n"
    stopped = "".join(
        f"\n{one['engine']} was stopped: {one['after_s']:g} s were not enough to prepare {one['model']}.\n"
        for one in found["gave_up"]
    )
    return table(head, rows, texts=2) + stopped + said + table(["step", "ns a row"], pipeline)


def residency(found: Result) -> str:
    restart = found["restart"]
    rows = [
        ["models published", f"{found['models']:,}"],
        ["models resident", f"{found['resident']:,}"],
        ["memory of the process", number(found["rss_bytes"] / 2**20, " MiB")],
        ["kB a model", number(found["kb_per_model"])],
        ["hit rate of the Zipf load", share(found["hit_rate"])],
        ["predictions/s of the Zipf load", number(found["predictions_per_s"])],
        ["loads/s while filled from the store", number(found["fill_models_per_s"])],
        ["cold, from the store, seen by callers", _quantiles(found["cold_store_ms"])],
        ["cold, from the disk cache, seen by callers", _quantiles(found["cold_disk_ms"])],
        ["of that in the cell, at most", _quantiles(found["load_disk_ms"])],
        ["ready after a restart", number(restart["ready_s"], " s")],
        [f"{restart['hot_models']:,} hot models back after", number(restart["hot_s"], " s")],
    ]
    return table(["", "seen"], rows)


def _quantiles(found: Result) -> str:
    return f"{' / '.join(number(found[name]) for name in ('p50', 'p99', 'p999'))} ms (p50 / p99 / p99.9)"


def storm(found: Result) -> str:
    rows = [
        ["hot models' p99 in a quiet moment", number(found["hot_p99_ms_quiet"], " ms")],
        ["hot models' p99 in storms", number(found["hot_p99_ms_storm"], " ms")],
        ["hot requests that failed", f"{found['hot_errors']:,.0f}"],
        [f"cold requests refused, of storms of {found['at_once']:,}", f"{found['cold_refused']:,.0f}"],
        ["loads/s", number(found["loads_per_s"])],
    ]
    return table(["", "the worse of store and disk cache"], rows)


def outage(found: Result) -> str:
    rows = [
        ["etcd and the version manager were gone for", number(found["seconds_down"], " s")],
        ["requests meanwhile", number(found["requests"])],
        ["wrong answers", number(found["wrong"])],
        ["errors", number(sum(found["errors"].values()))],
        ["models first asked for meanwhile", number(found["cold"])],
        [
            "models answered by a router started meanwhile",
            f"{found['answered_by_new_router']:,} of {found['models']:,}",
        ],
        ["a new version served after both were back", number(found["live_after_s"], " s")],
    ]
    return table(["", "seen"], rows)


def policies(found: Result) -> str:
    shares = sorted({row["resident_share"] for row in found["rows"]})
    rates: dict[tuple[str, str], list[str]] = {}
    for row in found["rows"]:
        rates.setdefault((row["trace"], row["policy"]), []).append(share(row["hit_rate"]))
    for trace, theory in found["theory"].items():
        rates[trace, "(LRU in theory)"] = [share(rate) for rate in theory]
    rows = [[trace, policy, *mine] for (trace, policy), mine in sorted(rates.items())]
    head = ["trace", "policy", *(f"{resident:.0%} resident" for resident in shares)]
    spent = [[policy, number(ns)] for policy, ns in found["find_ns"].items()]
    said = f"\n{found['models']:,} models, {found['requests']:,} requests. A hit takes:\n\n"
    return table(head, rows, texts=2) + said + table(["policy", "ns"], spent)


def placement(found: Result) -> str:
    rows = [
        ["cells, tenants", f"{found['cells']:,}, {found['tenants']:,}"],
        ["CPU time of dealing a hand", number(found["us_per_hand"], " µs")],
        ["slots of the fullest cell to the mean", number(found["max_over_mean"])],
        ["slots moved when one cell leaves", f"{found['moved']:.3%}"],
        ["the ideal", f"{found['ideal_moved']:.3%}"],
    ]
    return table(["", "seen"], rows)


def hostile(found: Result) -> str:
    rows = [
        [
            row["attack"],
            number(row["neighbour_p99_ms_before"]),
            number(row["neighbour_p99_ms_during"]),
            number(row["ratio"]),
            number(row["rss_mib"]),
            number(row["failures"]),
        ]
        for row in found["rows"]
    ]
    head = ["attack", "neighbour's p99 ms before", "during", "ratio", "memory, MiB", "neighbour's failures"]
    return table(head, rows)


def features(found: Result) -> str:
    cpu, ratio = found["cpu_us_per_request"], found["cpu_ratio"]
    rows = [
        ["entities loaded a second", number(found["load_entities_per_s"])],
        ["reads a CPU second, as routers do them", number(found["gets_per_s"])],
        ["the same, one by one", number(found["gets_per_s_one_by_one"])],
        ["a router's CPU µs a request, without features", number(cpu["off"])],
        *(
            [words, f"{number(cpu[name])} (× {number(ratio[name])})"]
            for name, words in (
                ("store_cached", "with eight that it knows"),
                ("store_redis", "with eight that it reads"),
                ("log_on", "without, and written down"),
            )
        ),
        ["a request's wait for what is read: p50, p99, µs more", _waits(found)],
    ]
    return table(["", "seen"], rows)


def _waits(found: Result) -> str:
    return f"{number(found['added_p50_us'])}, {number(found['added_p99_us'])}"


def serving(found: Result) -> str:
    rows = found["rows"]
    counts = list(rows[0]["memory_mib"])
    head = [
        *("server", "CPU µs", "predictions/s", "half load: p50, p99 ms", "one rate: p50, p99 ms"),
        *(f"MiB, {int(count):,} models" for count in counts),
        *("cold p99 ms", "wrong", "failed"),
    ]
    stopped = "".join(f"\n{row['peer']} was stopped at {row['stopped']}.\n" for row in rows if row["stopped"])
    settings = [[row["peer"], row["version"], row["settings"]] for row in rows]
    took = found["ratios"]
    ratios = [
        [row["peer"], *(number(took[what].get(row["peer"]), "×") for what in took)]
        for row in rows
        if row["kind"] != "ours"
    ]
    one = next((row["same_rate"]["rate"] for row in rows if row["same_rate"]), None)
    said = (
        f"\nThe one rate is {number(one)} a second; {found['models']:,} models were resident meanwhile, "
        f"and others had {share(found['others_share_of_machine'])} of the machine. "
        "≥: at least, for the server had time left when the load had none.\n"
    )
    return (
        table(head, map(_server, rows))
        + stopped
        + said
        + "\nWhat each takes to what ours takes:\n\n"
        + table(["server", "CPU time of a prediction", "memory of a model"], ratios)
        + _best_in_python(found)
        + "\nThe settings to recommend:\n\n"
        + table(["server", "versions", "settings"], settings, texts=3)
    )


def _best_in_python(found: Result) -> str:
    words = {"predictions_per_cpu_s": "CPU time of a prediction", "bytes_per_model": "memory of a model"}
    said = "; ".join(
        f"in {words[what]} {name}, {number(found['ratios'][what][name], '×')}"
        for what, name in found["best_in_python"].items()
        if name
    )
    return f"\nThe best of those in Python: {said}.\n" if said else ""


def _server(row: Result) -> list[str]:
    return [
        row["peer"],
        number(row["cpu_us"]),
        ("≥ " if row["is_least"] else "") + number(row["predictions_per_s"]),
        *(_latencies(row[name]) for name in ("half_load", "same_rate")),
        *(number(mib) for mib in row["memory_mib"].values()),
        number(row["cold_p99_ms"]),
        number(row["wrong"]),
        f"{row['failures']:,} of {row['asked']:,}",
    ]


def _latencies(found: Result | None) -> str:
    return f"{number(found['p50_ms'])}, {number(found['p99_ms'])}" if found else ""


def fair(found: Result) -> str:
    parts = {
        "Beside a tenant that takes more than its share": _offenders(found["offenders"]),
        "Beside a process outside of the fleet that burns as much": _offenders(found["controls"]),
        "Beside one that tries to get around its limit": _offenders(found["evasions"]),
        "Overload": _overload(found["overload"]),
        "One tenant's limit over two routers": _routers(found["routers"]),
        "Cells that go and come": _restart(found["restart"]),
    }
    return "".join(f"\n{said}:\n\n{rows}" for said, rows in parts.items() if rows)


def _offenders(found: list[Result]) -> str:
    head = [
        *("tenant", "others' p99, of quiet", "quiet, of quiet before", "others' errors"),
        *("refused", "served", "served/s"),
    ]
    return table(head, map(_offender, found)) if found else ""


def _offender(row: Result) -> list[str]:
    least, most = row["quiet_spread"]
    return [
        row["kind"],
        number(row["others_p99_ratio"], "×"),
        f"{number(least)} to {number(most)}",
        number(row["others_errors"]),
        number(row["offender_refused"]),
        number(row["offender_served"]),
        number(row["offender_served_per_s"]),
    ]


def _overload(found: Result) -> str:
    rows = [
        [
            f"{factor} ×",
            share(one["goodput_ratio"]),
            number(one["reject_p99_ms"]),
            number(one["recovery_s"]),
        ]
        for factor, one in found.items()
    ]
    head = ["offered, of the peak", "goodput, of the peak", "p99 of refusals, ms", "as before after, s"]
    return table(head, rows) if rows else ""


def _restart(found: Result) -> str:
    rows = [
        [
            kind,
            f"{one['hit_rate_before']:.2%}",
            f"{one['hit_rate_during']:.2%}",
            number(one["errors"]),
        ]
        for kind, one in found.get("kinds", {}).items()
    ]
    return table(["", "found in memory before", "from then on", "errors"], rows) if rows else ""


def _routers(found: Result) -> str:
    rows = [[name, share(one["ratio"])] for name, one in found.items()]
    return table(["requests, by router", "let through, of the limit"], rows) if rows else ""


def system(found: Result) -> str:
    parts = {
        "": _steady(found) if "max_rps" in found else "",
        "Latency at parts of the most, in an open loop": _at_shares(found.get("latency", {})),
        "CPU µs of a prediction as these grow": _growing(found["growth"]),
        "Overload": _overload(found.get("overload", {})),
        "The router's tail": _tail(found["tail"]) if "tail" in found else "",
    }
    return "".join(f"\n{said}:\n\n{rows}" if said else rows for said, rows in parts.items() if rows)


def _steady(found: Result) -> str:
    cpu, popular = found["cpu_us"], found["zipf"]["cpu_us"]
    kinds = (f"{one['models']:,} {one['kind']} of {one['bytes']:,} B" for one in found["kinds"])
    rows = [
        ["models", ", ".join(kinds)],
        ["predictions/s", number(found["max_rps"])],
        ["CPU µs of one: router", number(cpu["router"])],
        ["cell", number(cpu["cell"])],
        ["by popularity (Zipf): router", number(popular["router"])],
        ["cell", number(popular["cell"])],
        ["wrong answers", f"{found['wrong']:,} of {found['requests']:,}"],
        ["failed, refused", f"{found['failed']:,}, {found['refused']:,}"],
    ]
    if "storm" in found:
        storm = found["storm"]
        rows += [
            ["cold models of one cell, loads/s", number(storm["loads_per_s"])],
            ["hot p99 in such storms, of quiet", number(storm["hot_p99_ratio"], "×")],
        ]
    return table(["", "seen"], rows)


def _at_shares(found: Result) -> str:
    rows = [
        [
            f"{share_} %",
            number(one["rate"]),
            *(number(one[name]) for name in ("p50", "p99", "p999", "late_p99")),
            "yes" if one["counts"] else "no: the load was late",
        ]
        for share_, one in found.items()
    ]
    head = ["of the most", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "sent late, p99 ms", "counts"]
    return table(head, rows) if rows else ""


def _growing(found: Result) -> str:
    rows = [
        [axis, ", ".join(f"{count:,}: {number(us)}" for count, us in points)]
        for axis, points in found.items()
    ]
    return table(["", "CPU µs"], rows, texts=2) if rows else ""


def _tail(found: Result) -> str:
    rows = [
        [f"version manager {state}{said}", f"{place + 1}", *(number(run[who]) for who in run)]
        for said, key in (("", "added_p99_ms"), (", outside the machine's stalls", "calm_added_p99_ms"))
        for state, runs in found[key].items()
        for place, run in enumerate(runs)
    ]
    head = ["", "run", *(f"{who}, added p99 ms" for who in next(iter(found["added_p99_ms"].values()))[0])]
    said = (
        f"At {number(found['rate'])} requests/s; stalls of the router's own: {found['ours_over_1ms']:,}.\n\n"
    )
    return said + table(head, rows, texts=2)


_TABLES: dict[str, Callable[[Result], str]] = {
    table.__name__: table
    for table in (
        *(route, cell, engines, residency, storm, outage, policies, placement, hostile),
        *(features, fair, serving, system),
    )
}
# What was never measured has no block yet.
NAMES = tuple(name for name in _TABLES if has_result(name))


def section(name: str) -> str:
    """How and when the bench `name` was run, and what it saw."""
    found = result(name)
    return f"\n{measured(found)}\n{_TABLES[name](found)}"
