"""From a digest to a resident model. Imports `engines` and the rooms behind it.

`host` has the models, resident or loaded. `singleflight` has one load for all who wait for the same model,
in the order of `loadqueue`, where owners take turns, with admission by `loadtimes`; `refusals` remembers
what failed (docs/decisions/0010). `loader` goes to the disk cache, then to the object store, and to the
engine; `storereads` knows how that store does. `diskcache` keeps files by digest (`fileindex` their order,
`cached_file` reads without waiting); `sources` says where a store's files lie, or has them fetched
(`fetching`, and the process that it starts, `fetcher`). `warmer` loads before anybody asks, `hotset` brings
back after a restart what was hot. `marks` says when the steps of a load ended, for traces.

Nothing of it takes a turn of the event loop (docs/decisions/0016). `file_reader` has the threads that read,
check and keep files (`file_image`, with `file_io` and the `section` that it finds) without the interpreter,
behind everybody else (`gate`, and `croupier.priority`), and without a lock that the event loop could wait for
(`handover`); `slices` doses what is left for the loop.

To read it: `host`, `singleflight`, `loadqueue`; `loader`, `diskcache`, `sources`; then `file_reader`,
`file_image`, `slices`.
"""
