"""What to do about an error: a sentence for each kind that an operator can meet."""

from __future__ import annotations

from croupier import errors
from croupier.settings import is_loopback
from croupierctl.servers import ServerUnavailable

# The first class that fits wins: special ones stand before general ones.
_ADVICE: tuple[tuple[type[errors.CroupierError], str], ...] = (
    (errors.Unavailable, "it should pass: try again; if it does not, look at `croupierctl cells ls`"),
    (errors.DeadlineExceeded, "give it more time with --timeout, or look at the server's log"),
    (errors.InvalidRequest, "mend that and try again; --help tells what is possible"),
    (
        errors.NotFound,
        "see what there is: croupierctl models ls, croupierctl cells ls, croupierctl shards show",
    ),
    (errors.Conflict, "somebody changed it meanwhile: look at it again, then repeat the command"),
    (errors.AlreadyExists, "a version never changes: leave --version out to publish the next one"),
    (errors.Unauthenticated, "show a token with --token; `croupierctl token` makes one"),
    (errors.PermissionDenied, "use a token of the tenant that owns it"),
    (errors.QuotaExceeded, "the tenant is over its limit: send less, or later"),
    (errors.TooLarge, "send it in smaller parts"),
    (errors.DataLoss, "the bytes changed on the way: try again"),
    (
        errors.Unimplemented,
        "the server is older than this command line, or of another kind: look at --manager and --router",
    ),
    (errors.InternalError, "this is a fault of the server: its log says more"),
)

# What a class alone does not tell, or one that is too much to import for a sentence about it.
_BY_REASON = {
    "NO_SHARD_MAP": (
        "seat the cells that are registered: croupierctl cells add --all; "
        "if a shard map was lost, have it back first: croupierctl shards repair"
    ),
    "NOT_LOGGED": (
        "say where the log is with --log; a request is in it if its family logs all, or a share that has it: "
        "croupierctl log query FAMILY"
    ),
    "NOTHING_STORED": "see whose features there are: croupierctl features scan --tenant TENANT --group GROUP",
    "NO_ENTITY": "say whose features to read: --entity, --parameter",
    "FEATURE_MISSING": "send it, store it (croupierctl features), or have its family give it a default",
    "BENCH_MISSING": "install it: pip install croupier-bench; in a checkout: pip install ./bench/harness",
    "LOG_PARTS_MISSING": "install it: pip install 'croupier[log]'",
    "PACKER_INCOMPLETE": (
        "install it: pip install 'croupier[publish]', and the model's own library; "
        "--unchecked publishes without a comparison"
    ),
    "DIFFERS_FROM_LIBRARY": "do not publish it: report the model; --unchecked would serve these answers",
    "NOT_COMPARED": (
        "pack it with croupier.artifacts.packers.pack where it was trained, which compares; "
        "--unchecked publishes it all the same, and the version says so"
    ),
    "COMPARISON_DEMANDED": (
        "pack it with croupier.artifacts.packers.pack where it was trained, or publish the model's own file; "
        "who runs the version manager chose --demand-comparison"
    ),
    "INVALID_ARTIFACT": "give a packed artifact, or the whole file as XGBoost, LightGBM or ONNX wrote it",
    "WRONG_SAMPLE": "mend the rows of --check: a column for each of the model's features, by name",
    "QUARANTINED": "it crashed or hung a cell: publish a mended version (`croupierctl cells quarantine`)",
    "SUSPECTED": "cells crashed while they worked for it: `croupierctl cells quarantine` says more",
    "ETCD_UNAVAILABLE": "see to etcd: until it answers, everything is served and nothing can be changed",
    "NO_PLOTS": "pip install 'croupier[plot]', or leave --plot out: what it draws is printed as well",
    "NO_RATES": "try again once there is traffic: `croupierctl top` shows what routers tell",
    "PLANNER_BUSY": "others ask for plans as well: try again in a few seconds",
    "MAP_BEHIND": "try again in a moment; if it does not pass, look at the version manager's log",
    "MAP_FROZEN": (
        "see what etcd lost: croupierctl catalog status; restore it, or, if the loss is meant: "
        "croupierctl catalog thaw --reason WHY"
    ),
    "NOT_FROZEN": "",
    "NOT_UNDERSTOOD": "upgrade what is older first: `croupierctl status` shows who runs what",
    "STALE_FREEZE": "look again at what would be lost: croupierctl catalog status",
    "UNKNOWN_SEAT": "see which cells have seats: croupierctl shards show",
    "UNKNOWN_ZONE": "see which zones there are: croupierctl shards show",
    "UNKNOWN_CELL": "see which cells are registered: croupierctl cells ls",
    "NO_CELLS": "",
    "NO_CELL_LEFT": "see who is dealt what: croupierctl shards show, croupierctl hand TENANT",
    "SEAT_TAKEN": "see which cells have seats: croupierctl shards show",
    "PLAN_REFUSED": "look at the plan; if all of that is meant, say why: --force REASON",
    "STALE_GENERATION": (
        "look again: croupierctl shards history; then repeat the command, "
        "or have the file follow: croupierctl shards export"
    ),
    "STALE_FAMILY": (
        "see what changed: croupierctl families history FAMILY, croupierctl families diff FAMILY N; "
        "then have the file follow: croupierctl families show FAMILY --as-file"
    ),
    "UNKNOWN_FAMILY": "see what there is: croupierctl families ls, croupierctl families history FAMILY",
    "TOO_MANY_FAMILIES": "",
    "INVALID_FAMILY": "see what it may say: croupierctl families schema",
    "MISFIT": "mend the config, or the models; --unchecked applies it all the same",
    "NOTHING_BEFORE": "",
    "RAMP_RUNNING": (
        "see how far it is: croupierctl shards ramp; end it with --finish, take it back with "
        "croupierctl shards rollback, or change the map all the same with --force REASON"
    ),
    "RAMP_HELD": "go on with `croupierctl shards ramp --resume`, or back: croupierctl shards rollback",
    "NOT_SETTLED": "see what is wrong: croupierctl status; the same command goes on waiting",
    "SHARD_MAP_DAMAGED": "have what etcd still has deal again: croupierctl shards repair",
    "NO_ROLE": "show a certificate that names one role (docs/operating.md): --certificate and --key",
    "ROLE_NOT_ALLOWED": "use the certificate of a role that may do this (docs/operating.md)",
    "TENANT_NOT_ALLOWED": "use a certificate that is for this tenant, or for every one",
    "UNKNOWN_KEY": "give the router the key (`croupierctl keys public`), or sign with another one",
    "BAD_KEYS": "`croupierctl keys` makes files of keys that routers take",
    "NO_SUCH_KEY": "`croupierctl keys list` says which there are, `croupierctl keys add` makes one",
    "REVISION_NOT_REACHED": "try again; if it stays so, the router's watch of the version manager is broken",
    "OTHER_CATALOG": "etcd was restored since: ask without --min-revision",
    "FEATURE_STORE_DOWN": "see to the feature store, then try again: what was written stays written",
    "FEATURE_STORE_FULL": "give it more room, or have it keep less: --keep, `croupierctl features gc`",
    "STORE_REFUSED": "the store's own settings, or --store, have to change",
    "FAMILIES_NOT_LISTED": "`croupierctl families show` has what each asks for",
    "BAD_BLOB": "write it again; `croupierctl features check` says which others are as bad",
    "NOT_WARM": "see to those cells (`croupierctl cells ls`, their logs); --no-warm releases all the same",
}


def _unavailable(target: str) -> str:
    tls = "to servers with TLS, show --ca, --certificate and --key"
    if is_loopback(target):
        elsewhere = "point --manager and --router at servers that run"
        return f"start the local stack with `make up`, or {elsewhere}; {tls}"
    return f"see whether it runs at {target} and can be reached from here; {tls}"


def advice(error: errors.CroupierError) -> str:
    """What to do about `error`; empty when its message says so itself."""
    if error.reason in _BY_REASON:
        return _BY_REASON[error.reason]
    if isinstance(error, ServerUnavailable):
        return _unavailable(error.metadata.get("target", ""))
    for kind, sentence in _ADVICE:
        if isinstance(error, kind):
            return sentence
    return ""
