// Asks for a prediction: with a deadline, as a tenant or with its token, and again where that makes sense.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	prediction "croupier/protos/prediction/v1"
	details "croupier/protos/status/v1"
)

var wine = []float32{14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065}

// Refusal says why there is no prediction, and when trying again makes sense.
type Refusal struct {
	Code            codes.Code
	Reason, Message string
	RetryAfter      time.Duration
}

func (r *Refusal) Error() string { return fmt.Sprintf("%v %s: %s", r.Code, r.Reason, r.Message) }

// ofCall reads the status of a call that failed as a whole. Its details are google.rpc.Status.
func ofCall(err error) *Refusal {
	failed := status.Convert(err)
	refusal := &Refusal{Code: failed.Code(), Message: failed.Message()}
	for _, detail := range failed.Proto().GetDetails() {
		switch {
		case strings.HasSuffix(detail.TypeUrl, "google.rpc.ErrorInfo"):
			var info details.ErrorInfo
			if proto.Unmarshal(detail.Value, &info) == nil {
				refusal.Reason = info.Reason
			}
		case strings.HasSuffix(detail.TypeUrl, "google.rpc.RetryInfo"):
			var retry details.RetryInfo
			if proto.Unmarshal(detail.Value, &retry) == nil {
				refusal.RetryAfter = retry.RetryDelay.AsDuration()
			}
		}
	}
	return refusal
}

// once asks for one item. The call may go well and the item not: then the item has a status.
func once(ctx context.Context, router prediction.PredictionServiceClient, item *prediction.Item) (*prediction.Result, *Refusal) {
	response, err := router.Predict(ctx, &prediction.PredictRequest{Items: []*prediction.Item{item}})
	if err != nil {
		return nil, ofCall(err)
	}
	result := response.Results[0]
	if bad := result.GetStatus(); bad != nil {
		after := time.Duration(bad.RetryAfterMs) * time.Millisecond
		return nil, &Refusal{codes.Code(bad.Code), bad.Reason, bad.Message, after}
	}
	return result, nil
}

// predict tries three times until the deadline. Only UNAVAILABLE says that the same request may succeed later.
func predict(ctx context.Context, router prediction.PredictionServiceClient, item *prediction.Item) (*prediction.Result, error) {
	for backoff := 50 * time.Millisecond; ; backoff *= 2 {
		result, refusal := once(ctx, router, item)
		if refusal == nil {
			return result, nil
		}
		wait := time.Duration(rand.Float64()*float64(backoff)) + refusal.RetryAfter
		deadline, _ := ctx.Deadline()
		if refusal.Code != codes.Unavailable || backoff > 100*time.Millisecond || time.Now().Add(wait).After(deadline) {
			return nil, refusal
		}
		time.Sleep(wait)
	}
}

func main() {
	address := flag.String("router", "127.0.0.1:8500", "address of a router")
	tenant := flag.String("tenant", "acme", "who asks, where no token is needed")
	token := flag.String("token", "", "of `croupierctl token`")
	ca := flag.String("ca", "", "PEM file of the router's authority; plaintext without it")
	seconds := flag.Float64("timeout", 2, "how long an answer is waited for")
	flag.Parse()
	rand.Seed(time.Now().UnixNano())
	timeout := time.Duration(*seconds * float64(time.Second))

	security := grpc.WithInsecure()
	if *ca != "" {
		trusted, err := credentials.NewClientTLSFromFile(*ca, "")
		if err != nil {
			fail(err)
		}
		security = grpc.WithTransportCredentials(trusted)
	}
	// One connection for the whole program: it carries any number of calls at once.
	connection, err := grpc.Dial(*address, security)
	if err != nil {
		fail(err)
	}
	defer connection.Close()
	router := prediction.NewPredictionServiceClient(connection)

	who := metadata.Pairs("croupier-tenant", *tenant)
	if *token != "" {
		who = metadata.Pairs("authorization", "Bearer "+*token)
	}
	row := &prediction.Item_Row{Row: &prediction.Row{Values: wine}}
	for _, version := range []uint64{0, 99} {
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(context.Background(), who), timeout)
		result, err := predict(ctx, router, &prediction.Item{Model: "wine", Version: version, Input: row})
		cancel()
		switch {
		case version == 99 && err != nil:
			fmt.Println("as expected:", err)
		case err != nil:
			fail(err)
		default:
			show(result)
		}
	}
}

func show(result *prediction.Result) {
	for _, output := range result.GetValue().Outputs {
		switch values := output.Values.(type) {
		case *prediction.Output_Numbers:
			fmt.Println(output.Name, values.Numbers.Values)
		case *prediction.Output_Integers:
			fmt.Println(output.Name, values.Integers.Values)
		case *prediction.Output_Texts:
			fmt.Println(output.Name, values.Texts.Values)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
