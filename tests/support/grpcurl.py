"""Stands in for grpcurl where README calls it: the same flags, over the server's reflection and JSON.

    grpcurl.py -plaintext [-H 'name: value'] [-d JSON] HOST:PORT PACKAGE.SERVICE/METHOD

grpcurl itself is in no package that a checkout can install.
"""

import argparse
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data", default="{}")
    parser.add_argument("target")
    parser.add_argument("method")
    arguments = parser.parse_args()
    metadata = [tuple(part.strip() for part in header.split(":", 1)) for header in arguments.headers]
    service_name, _, method_name = arguments.method.partition("/")
    with grpc.insecure_channel(arguments.target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(service_name).methods_by_name[method_name]
        request = json_format.Parse(
            arguments.data, GetMessageClass(method.input_type)(), descriptor_pool=pool
        )
        call = channel.unary_unary(
            f"/{arguments.method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        sys.stdout.write(json_format.MessageToJson(call(request, metadata=metadata, timeout=10.0)) + "\n")


if __name__ == "__main__":
    main()
