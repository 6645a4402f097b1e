"""What keeps things: etcd (`etcd*`), and objects by digest in S3 or a folder (`objects*`)."""
