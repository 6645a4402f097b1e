// Asks for a prediction: with a deadline, as a tenant or with its token, and again where that makes sense.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "protos/prediction/v1/prediction.grpc.pb.h"
#include "protos/status/v1/status.pb.h"

namespace prediction = croupier::prediction::v1;
namespace details = croupier::status::v1;
using Clock = std::chrono::system_clock;
using Router = prediction::PredictionService::Stub;
using std::chrono::milliseconds;

const std::vector<float> kWine = {14.23f, 1.71f, 2.43f, 15.6f, 127,   2.8f, 3.06f,
                                  0.28f,  2.29f, 5.64f, 1.04f, 3.92f, 1065};

std::string Name(int code) {
  static const char* const kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED", "NOT_FOUND",
      "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
      "UNIMPLEMENTED",  "INTERNAL",   "UNAVAILABLE",       "DATA_LOSS",          "UNAUTHENTICATED"};
  return code >= 0 && code <= 16 ? kNames[code] : std::to_string(code);
}

// Why there is no prediction, and when trying again makes sense.
struct Refusal : std::runtime_error {
  Refusal(int code, const std::string& reason, const std::string& message, milliseconds retry_after)
      : std::runtime_error(Name(code) + " " + reason + ": " + message), code(code), retry_after(retry_after) {}

  int code;
  milliseconds retry_after;
};

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Of a call that failed as a whole; the details of its status are google.rpc.Status.
Refusal OfCall(const grpc::Status& status) {
  std::string reason;
  milliseconds retry_after{0};
  details::Status packed;
  packed.ParseFromString(status.error_details());
  for (const auto& detail : packed.details()) {
    if (EndsWith(detail.type_url(), "google.rpc.ErrorInfo")) {
      details::ErrorInfo info;
      if (info.ParseFromString(detail.value())) reason = info.reason();
    } else if (EndsWith(detail.type_url(), "google.rpc.RetryInfo")) {
      details::RetryInfo retry;
      if (retry.ParseFromString(detail.value())) {
        retry_after = milliseconds(retry.retry_delay().seconds() * 1000 + retry.retry_delay().nanos() / 1000000);
      }
    }
  }
  return Refusal(status.error_code(), reason, status.error_message(), retry_after);
}

// The header that says who asks.
using Who = std::pair<std::string, std::string>;

// Asks for one item. The call may go well and the item not: then the item has a status.
prediction::Result Once(Router& router, const Who& who, const prediction::Item& item, Clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  context.AddMetadata(who.first, who.second);
  prediction::PredictRequest request;
  *request.add_items() = item;
  prediction::PredictResponse response;
  grpc::Status status = router.Predict(&context, request, &response);
  if (!status.ok()) throw OfCall(status);
  const prediction::Result& result = response.results(0);
  if (result.has_status()) {
    const prediction::Status& bad = result.status();
    throw Refusal(bad.code(), bad.reason(), bad.message(), milliseconds(bad.retry_after_ms()));
  }
  return result;
}

// Tries three times until the deadline. Only UNAVAILABLE says that the same request may succeed later.
prediction::Result Predict(Router& router, const Who& who, const prediction::Item& item, Clock::time_point deadline) {
  static std::mt19937 random{std::random_device{}()};
  for (int backoff_ms = 50;; backoff_ms *= 2) {
    try {
      return Once(router, who, item, deadline);
    } catch (const Refusal& refusal) {
      milliseconds wait = refusal.retry_after + milliseconds(random() % backoff_ms);
      bool is_in_time = Clock::now() + wait < deadline;
      if (refusal.code != grpc::StatusCode::UNAVAILABLE || backoff_ms > 100 || !is_in_time) throw;
      std::this_thread::sleep_for(wait);
    }
  }
}

void Show(const prediction::Result& result) {
  for (const prediction::Output& output : result.value().outputs()) {
    std::cout << output.name();
    for (float value : output.numbers().values()) std::cout << ' ' << value;
    for (auto value : output.integers().values()) std::cout << ' ' << value;
    for (const std::string& value : output.texts().values()) std::cout << ' ' << value;
    std::cout << '\n';
  }
}

std::string Contents(const std::string& path) {
  std::stringstream contents;
  contents << std::ifstream(path).rdbuf();
  return contents.str();
}

int main(int count, char** arguments) {
  std::map<std::string, std::string> told = {{"--router", "127.0.0.1:8500"}, {"--tenant", "acme"}, {"--timeout", "2"}};
  for (int i = 1; i + 1 < count; i += 2) told[arguments[i]] = arguments[i + 1];

  std::shared_ptr<grpc::ChannelCredentials> security = grpc::InsecureChannelCredentials();
  if (told.count("--ca")) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Contents(told["--ca"]);
    security = grpc::SslCredentials(options);
  }
  // One channel for the whole program: it carries any number of calls at once.
  Router router(grpc::CreateChannel(told["--router"], security));
  Who who = told.count("--token") ? Who{"authorization", "Bearer " + told["--token"]}
                                  : Who{"croupier-tenant", told["--tenant"]};
  milliseconds timeout(static_cast<int>(1000 * std::stod(told["--timeout"])));

  prediction::Item item;
  item.set_model("wine");
  item.mutable_row()->mutable_values()->Add(kWine.begin(), kWine.end());
  try {
    Show(Predict(router, who, item, Clock::now() + timeout));
    item.set_version(99);
    try {
      Show(Predict(router, who, item, Clock::now() + timeout));
    } catch (const Refusal& refusal) {
      std::cout << "as expected: " << refusal.what() << '\n';
    }
  } catch (const Refusal& refusal) {
    std::cerr << refusal.what() << '\n';
    return 1;
  }
}
