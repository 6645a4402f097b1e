# Asks for a prediction: with a deadline, as a tenant or with its token, and again where that makes sense.

require 'optparse'
require 'protos/prediction/v1/prediction_services_pb'
require 'protos/status/v1/status_pb'

Prediction = Croupier::Prediction::V1
Details = Croupier::Status::V1

WINE = [14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065].freeze
CODES = GRPC::Core::StatusCodes.constants.to_h { |name| [GRPC::Core::StatusCodes.const_get(name), name] }

# Why there is no prediction, and when (in seconds) trying again makes sense.
class Refusal < StandardError
  attr_reader :code, :retry_after

  def initialize(code, reason, message, retry_after)
    super("#{CODES[code]} #{reason}: #{message}")
    @code = code
    @retry_after = retry_after
  end

  # Of a call that failed as a whole; the details in its trailers are google.rpc.Status.
  def self.of_call(error)
    reason = ''
    retry_after = 0.0
    Details::Status.decode(error.metadata['grpc-status-details-bin'] || '').details.each do |detail|
      if detail.type_url.end_with?('google.rpc.ErrorInfo')
        reason = Details::ErrorInfo.decode(detail.value).reason
      elsif detail.type_url.end_with?('google.rpc.RetryInfo')
        delay = Details::RetryInfo.decode(detail.value).retry_delay
        retry_after = delay.seconds + delay.nanos / 1e9
      end
    end
    new(error.code, reason, error.details, retry_after)
  end
end

# Asks for one item. The call may go well and the item not: then the item has a status.
def once(router, who, item, deadline)
  request = Prediction::PredictRequest.new(items: [item])
  result = router.predict(request, deadline: deadline, metadata: who).results.first
  return result unless result.outcome == :status

  bad = result.status
  raise Refusal.new(bad.code, bad.reason, bad.message, bad.retry_after_ms / 1000.0)
rescue GRPC::BadStatus => e
  raise Refusal.of_call(e)
end

# Tries three times until the deadline. Only UNAVAILABLE says that the same request may succeed later.
def predict(router, who, item, deadline)
  backoff = 0.05
  begin
    once(router, who, item, deadline)
  rescue Refusal => e
    wait = rand * backoff + e.retry_after
    raise if e.code != GRPC::Core::StatusCodes::UNAVAILABLE || backoff > 0.1 || Time.now + wait >= deadline

    sleep wait
    backoff *= 2
    retry
  end
end

def show(result)
  result.value.outputs.each { |output| puts "#{output.name} #{output.public_send(output.values).values.to_a.join(' ')}" }
end

told = { router: '127.0.0.1:8500', tenant: 'acme', timeout: 2.0 }
OptionParser.new do |options|
  options.on('--router ADDRESS') { |value| told[:router] = value }
  options.on('--tenant NAME') { |value| told[:tenant] = value }
  options.on('--token TOKEN') { |value| told[:token] = value }
  options.on('--ca FILE') { |value| told[:ca] = value }
  options.on('--timeout SECONDS', Float) { |value| told[:timeout] = value }
end.parse!

security = told[:ca] ? GRPC::Core::ChannelCredentials.new(File.read(told[:ca])) : :this_channel_is_insecure
# One stub for the whole program: it carries any number of calls at once.
router = Prediction::PredictionService::Stub.new(told[:router], security)
who = told[:token] ? { 'authorization' => "Bearer #{told[:token]}" } : { 'croupier-tenant' => told[:tenant] }
begin
  row = Prediction::Row.new(values: WINE)
  show(predict(router, who, Prediction::Item.new(model: 'wine', row: row), Time.now + told[:timeout]))
  begin
    unknown = Prediction::Item.new(model: 'wine', version: 99, row: row)
    show(predict(router, who, unknown, Time.now + told[:timeout]))
  rescue Refusal => e
    puts "as expected: #{e.message}"
  end
rescue Refusal => e
  abort e.message
end
