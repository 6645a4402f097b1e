package io.grpc.okhttp;

/** As little as gRPC's interop client compiles with. */
public final class InternalOkHttpChannelBuilder {
  public static void setStatsEnabled(OkHttpChannelBuilder builder, boolean value) {}
}
