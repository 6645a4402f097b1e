"""What keeps things: etcd (`etcd*`), objects by digest in S3 or a folder (`objects*`), `features*`.

Features lie as blobs (`feature_blob`), whose schemas are read once (`feature_schemas`).

`refused` is the error of any that answers and will not serve us.
"""
