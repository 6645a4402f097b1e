"""What keeps things: etcd (`etcd*`), objects by digest in S3 or a folder (`objects*`), `features*`.

Features lie as blobs (`feature_blob`), whose schemas are read once (`feature_schemas`), in a `feature_store`:
a folder (`features_embedded`) or Redis (`features_redis*`). `feature_columns` makes many of them at once.

What routers answered waits in mapped files for whoever writes it down: `spool*`, which begins in `spool`.

`refused` is the error of any that answers and will not serve us.
"""
