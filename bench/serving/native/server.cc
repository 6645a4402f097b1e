// ModelInfer of the Open Inference Protocol in C++ gRPC, scored by LightGBM's C interface: the strongest server that
// one could write without Croupier.
//
//   server FOLDER ADDRESS      serves FOLDER/NAME.txt as model NAME
//   server --version
//
// One thread drives one completion queue. Calls are objects that are used again and again, and so are their messages,
// so that a call takes no memory once all have been used. A model is loaded when it is first asked for, and stays.
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "inference.grpc.pb.h"

// Of LightGBM/c_api.h, which the wheel does not bring.
extern "C" {
int LGBM_BoosterCreateFromModelfile(const char* path, int* iterations, void** booster);
int LGBM_BoosterGetNumFeature(void* booster, int* count);
int LGBM_BoosterPredictForMatSingleRowFastInit(void* booster, int predict_type, int start_iteration, int iterations,
                                               int data_type, int32_t columns, const char* parameters, void** fast);
int LGBM_BoosterPredictForMatSingleRowFast(void* fast, const void* row, int64_t* length, double* result);
}

namespace {

constexpr int kNormal = 0;   // C_API_PREDICT_NORMAL
constexpr int kFloat32 = 0;  // C_API_DTYPE_FLOAT32
// Calls that may be under way at a time; more wait in gRPC.
constexpr int kCalls = 1024;

using inference::GRPCInferenceService;

struct Model {
  void* fast = nullptr;
  int features = 0;
};

class Models {
 public:
  explicit Models(std::string folder) : folder_(std::move(folder)) {}

  // Null: there is no such model.
  const Model* Find(const std::string& name) {
    auto found = models_.find(name);
    return found != models_.end() ? &found->second : Load(name);
  }

 private:
  const Model* Load(const std::string& name) {
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char each) {
      return std::isalnum(each) || each == '-' || each == '_';
    });
    const std::string path = folder_ + "/" + name + ".txt";
    if (!is_name || access(path.c_str(), R_OK) != 0) return nullptr;
    void* booster = nullptr;
    int iterations = 0;
    Model model;
    if (LGBM_BoosterCreateFromModelfile(path.c_str(), &iterations, &booster) != 0 ||
        LGBM_BoosterGetNumFeature(booster, &model.features) != 0 ||
        LGBM_BoosterPredictForMatSingleRowFastInit(booster, kNormal, 0, -1, kFloat32, model.features, "num_threads=1",
                                                   &model.fast) != 0) {
      return nullptr;
    }
    return &models_.emplace(name, model).first->second;
  }

  std::string folder_;
  std::unordered_map<std::string, Model> models_;
};

class Call {
 public:
  Call(GRPCInferenceService::AsyncService* service, grpc::ServerCompletionQueue* queue, Models* models)
      : service_(service), queue_(queue), models_(models) {
    Wait();
  }

  // What it waited for has happened.
  void Proceed(bool ok) {
    if (is_waiting_ && ok) {
      is_waiting_ = false;
      Answer();
    } else {
      Wait();
    }
  }

 private:
  void Wait() {
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    is_waiting_ = true;
    service_->RequestModelInfer(&*context_, &request_, &*responder_, queue_, queue_, this);
  }

  void Answer() {
    const Model* model = models_->Find(request_.model_name());
    if (model == nullptr) return Refuse(grpc::StatusCode::NOT_FOUND, "no such model");
    if (request_.inputs_size() != 1) return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "there is one input");
    const auto& input = request_.inputs(0);
    const auto& values = input.contents().fp32_contents();
    if (input.shape_size() != 2 || input.shape(1) != model->features || input.shape(0) < 1 ||
        values.size() % model->features != 0 || input.shape(0) != values.size() / model->features) {
      return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "the input is FP32 of [rows, features]");
    }
    response_.Clear();
    response_.set_model_name(request_.model_name());
    response_.set_id(request_.id());
    auto* output = response_.add_outputs();
    output->set_name("value");
    output->set_datatype("FP32");
    output->add_shape(input.shape(0));
    output->add_shape(1);
    auto* said = output->mutable_contents()->mutable_fp32_contents();
    for (const float* row = values.data(); row != values.data() + values.size(); row += model->features) {
      int64_t length = 0;
      double result = 0;
      if (LGBM_BoosterPredictForMatSingleRowFast(model->fast, row, &length, &result) != 0) {
        return Refuse(grpc::StatusCode::INTERNAL, "LightGBM failed");
      }
      said->Add(static_cast<float>(result));
    }
    responder_->Finish(response_, grpc::Status::OK, this);
  }

  void Refuse(grpc::StatusCode code, const char* why) { responder_->FinishWithError(grpc::Status(code, why), this); }

  GRPCInferenceService::AsyncService* service_;
  grpc::ServerCompletionQueue* queue_;
  Models* models_;
  bool is_waiting_ = false;
  inference::ModelInferRequest request_;
  inference::ModelInferResponse response_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<inference::ModelInferResponse>> responder_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::printf("grpc++ %s, protobuf %d.%d.%d\n", grpc::Version().c_str(), GOOGLE_PROTOBUF_VERSION / 1000000,
                GOOGLE_PROTOBUF_VERSION / 1000 % 1000, GOOGLE_PROTOBUF_VERSION % 1000);
    return 0;
  }
  if (argc != 3) {
    std::fprintf(stderr, "usage: server FOLDER ADDRESS | --version\n");
    return 2;
  }
  Models models(argv[1]);
  GRPCInferenceService::AsyncService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(argv[2], grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  // Without filters that unary calls over loopback do not need.
  builder.AddChannelArgument(GRPC_ARG_MINIMAL_STACK, 1);
  auto queue = builder.AddCompletionQueue();
  auto server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "cannot listen on %s\n", argv[2]);
    return 1;
  }
  std::printf("native on %s ready\n", argv[2]);
  std::fflush(stdout);
  std::deque<Call> calls;
  for (int number = 0; number < kCalls; ++number) calls.emplace_back(&service, queue.get(), &models);
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) static_cast<Call*>(tag)->Proceed(ok);
  return 0;
}
