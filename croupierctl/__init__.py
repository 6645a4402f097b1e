"""`croupierctl`: the command line, one file a verb or a group of verbs.

app, lazy           the verbs by name, imported when they are used
servers             whom to talk to: `ask_manager`, `ask_each`
output, advice      what is printed: tables or JSON, and what to do about an error
arguments, how      what several verbs take; what all take that change the shard map
tracing             a command as part of a trace

status              what of everything is wrong, by what managers told (`seen`): `faults` judges all there is,
                    with `cell_faults` and `strain` (store, limits); `upkeep` what is due; `verdict` says so
why                 what bears on one tenant, and what of it is wrong: `causes`
top                 who asks for most, and what they get; `tenants usage` is the same of one tenant
models              with `publish` (`models publish`), and `prepare`, which makes a file ready for it;
                    `publish_many` reads a `manifest`, and keeps what is done in a `journal`
debug_tokens        which cell a reply named (`hand --debug`)
blast               who is hurt when cells break; `plot` draws it, as it does what `hand` counts
optimize            `shards optimize`
release, tenants, shards, catalog, keys, hand, explain, predict, token, local      named like their verbs
cells               with `warm` (`cells warm`)
seats, tenant_rules, apply, export, history, ramp      the verbs of `cells`, `zones`, `tenants` and `shards`
                    that are about the shard map. All of them change it by `change`, which prints what is
                    `planned`, and `follow` what comes of it
limit               `tenants limit`
families            configs of families, from a `family_file` and into one
features            `features put`, `get` and `scan`; with `features_load` (rows of a `feature_file`), and
                    `features_check` and `features_gc`, which read a whole group (`feature_scan`). They
                    work on a `feature_store`, not on a fleet
bench               load tests, by a distribution of their own
log                 questions about what was predicted, of `log_files`; `reproduce` has a row of them
                    `scored_again`
generation_file     what `shards apply` reads and `export` writes: `yaml_tree` has it with its places in the
                    text, `yaml_edit` changes it there
reasons, usage      what `explain` and `models` say
signing             what `keys` and `token` sign with
stack               the fleet of `local`: `stack_process` is one of its processes, `stack_state` what is
                    written down about it
"""
