"""The messages of the prediction API, in a descriptor pool that nobody else has.

protobuf refuses a second file of one name, or a second message, within a pool, and generated code puts all
that it has into the one that the process shares. Where Croupier's server is loaded, of any release,
or any code that was generated from the same files, generated code could not be. So there is none:
`descriptors` holds the .proto files as protoc describes them, `pool` makes classes of them by what protobuf
offers for messages that are known only as the program runs, and `prediction` and `status` name those.
"""
