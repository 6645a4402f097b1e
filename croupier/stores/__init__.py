"""What keeps things: etcd (`etcd*`), and objects by digest in S3 or a folder (`objects*`).

`refused` is the error of either that answers and will not serve us.
"""
