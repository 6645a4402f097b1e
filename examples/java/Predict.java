import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import croupier.prediction.v1.Item;
import croupier.prediction.v1.Output;
import croupier.prediction.v1.PredictRequest;
import croupier.prediction.v1.PredictionServiceGrpc;
import croupier.prediction.v1.Result;
import croupier.prediction.v1.Row;
import croupier.status.v1.ErrorInfo;
import croupier.status.v1.RetryInfo;
import io.grpc.ChannelCredentials;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Asks for a prediction: with a deadline, as a tenant or with its token, and again where that makes sense. */
public final class Predict {
  static final List<Float> WINE =
      Arrays.asList(14.23f, 1.71f, 2.43f, 15.6f, 127f, 2.8f, 3.06f, 0.28f, 2.29f, 5.64f, 1.04f, 3.92f, 1065f);

  /** Why there is no prediction, and when trying again makes sense. */
  static final class Refusal extends Exception {
    final Status.Code code;
    final long retryAfterMs;

    Refusal(Status.Code code, String reason, String message, long retryAfterMs) {
      super(code + " " + reason + ": " + message);
      this.code = code;
      this.retryAfterMs = retryAfterMs;
    }

    /** Of a call that failed as a whole; the details in its trailers are google.rpc.Status. */
    static Refusal ofCall(StatusRuntimeException error) {
      String reason = "";
      long retryAfterMs = 0;
      try {
        byte[] packed = error.getTrailers() == null ? null : error.getTrailers().get(DETAILS);
        for (Any detail : croupier.status.v1.Status.parseFrom(packed == null ? new byte[0] : packed).getDetailsList()) {
          if (detail.getTypeUrl().endsWith("google.rpc.ErrorInfo")) {
            reason = ErrorInfo.parseFrom(detail.getValue()).getReason();
          } else if (detail.getTypeUrl().endsWith("google.rpc.RetryInfo")) {
            com.google.protobuf.Duration delay = RetryInfo.parseFrom(detail.getValue()).getRetryDelay();
            retryAfterMs = delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000;
          }
        }
      } catch (InvalidProtocolBufferException unreadable) {
        reason = "";
      }
      return new Refusal(error.getStatus().getCode(), reason, error.getStatus().getDescription(), retryAfterMs);
    }
  }

  static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  /** Asks for one item. The call may go well and the item not: then the item has a status. */
  static Result once(PredictionServiceGrpc.PredictionServiceBlockingStub router, Item item) throws Refusal {
    Result result;
    try {
      result = router.predict(PredictRequest.newBuilder().addItems(item).build()).getResults(0);
    } catch (StatusRuntimeException error) {
      throw Refusal.ofCall(error);
    }
    if (result.hasStatus()) {
      croupier.prediction.v1.Status bad = result.getStatus();
      Status.Code code = Status.fromCodeValue(bad.getCode()).getCode();
      throw new Refusal(code, bad.getReason(), bad.getMessage(), bad.getRetryAfterMs());
    }
    return result;
  }

  /** Tries three times until the deadline. Only UNAVAILABLE says that the same request may succeed later. */
  static Result predict(PredictionServiceGrpc.PredictionServiceBlockingStub router, Item item, Deadline deadline)
      throws Refusal, InterruptedException {
    for (long backoffMs = 50; ; backoffMs *= 2) {
      try {
        return once(router.withDeadline(deadline), item);
      } catch (Refusal refusal) {
        long wait = ThreadLocalRandom.current().nextLong(backoffMs) + refusal.retryAfterMs;
        boolean isInTime = wait < deadline.timeRemaining(TimeUnit.MILLISECONDS);
        if (refusal.code != Status.Code.UNAVAILABLE || backoffMs > 100 || !isInTime) {
          throw refusal;
        }
        Thread.sleep(wait);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, String> told = new HashMap<>();
    for (int i = 0; i + 1 < arguments.length; i += 2) {
      told.put(arguments[i], arguments[i + 1]);
    }
    ChannelCredentials security = InsecureChannelCredentials.create();
    if (told.containsKey("--ca")) {
      security = TlsChannelCredentials.newBuilder().trustManager(new File(told.get("--ca"))).build();
    }
    Metadata who = new Metadata();
    if (told.containsKey("--token")) {
      who.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + told.get("--token"));
    } else {
      String tenant = told.getOrDefault("--tenant", "acme");
      who.put(Metadata.Key.of("croupier-tenant", Metadata.ASCII_STRING_MARSHALLER), tenant);
    }
    long timeoutMs = (long) (1000 * Double.parseDouble(told.getOrDefault("--timeout", "2")));
    // One channel for the whole program: it carries any number of calls at once.
    String address = told.getOrDefault("--router", "127.0.0.1:8500");
    ManagedChannel channel = Grpc.newChannelBuilder(address, security).build();
    try {
      PredictionServiceGrpc.PredictionServiceBlockingStub router =
          PredictionServiceGrpc.newBlockingStub(channel)
              .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(who));
      Item item = Item.newBuilder().setModel("wine").setRow(Row.newBuilder().addAllValues(WINE)).build();
      show(predict(router, item, Deadline.after(timeoutMs, TimeUnit.MILLISECONDS)));
      try {
        Item unknown = item.toBuilder().setVersion(99).build();
        show(predict(router, unknown, Deadline.after(timeoutMs, TimeUnit.MILLISECONDS)));
      } catch (Refusal refusal) {
        System.out.println("as expected: " + refusal.getMessage());
      }
    } catch (Refusal refusal) {
      System.err.println(refusal.getMessage());
      System.exit(1);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  static void show(Result result) {
    for (Output output : result.getValue().getOutputsList()) {
      Object values = output.hasIntegers() ? output.getIntegers().getValuesList()
          : output.hasTexts() ? output.getTexts().getValuesList() : output.getNumbers().getValuesList();
      System.out.println(output.getName() + " " + values);
    }
  }
}
