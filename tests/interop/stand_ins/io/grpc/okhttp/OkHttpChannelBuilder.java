package io.grpc.okhttp;

import io.grpc.ChannelCredentials;
import io.grpc.ForwardingChannelBuilder;

/** Stands in for the transport that Debian has not; gRPC's interop client takes it only when told to. */
public abstract class OkHttpChannelBuilder extends ForwardingChannelBuilder<OkHttpChannelBuilder> {
  public static OkHttpChannelBuilder forTarget(String target, ChannelCredentials credentials) {
    throw new UnsupportedOperationException("no OkHttp here");
  }

  public static OkHttpChannelBuilder forAddress(String host, int port, ChannelCredentials credentials) {
    throw new UnsupportedOperationException("no OkHttp here");
  }
}
