package main_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/rpc"
)

// raw speaks with one node without a client's care: it sends what a client never would,
// tries nothing again, and follows nobody.
type raw struct {
	t      *testing.T
	broker rpc.BrokerClient
}

func newRaw(t *testing.T, address string) *raw {
	t.Helper()
	link, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() }) // nothing is under way
	return &raw{t, rpc.NewBrokerClient(link)}
}

// ask sends one request, as soon as the node takes any.
func (r *raw) ask(q *api.Request) (response *api.Response) {
	r.t.Helper()
	await(r.t, settleTime, "an answer", func() (err error) {
		response, err = r.broker.Call(context.Background(), q)
		return err
	})
	return response
}

// pipeline sends requests one after the other without waiting, and gives their answers in
// the order of the requests.
func (r *raw) pipeline(list []*api.Request) []*api.Response {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	stream, err := r.broker.Link(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, q := range list {
		q.Id = uint64(i)
		if err := stream.Send(&rpc.Requests{Requests: []*api.Request{q}}); err != nil {
			r.t.Fatal(err)
		}
	}
	answers := make([]*api.Response, len(list))
	for left := len(list); left > 0; {
		got, err := stream.Recv()
		if err != nil {
			r.t.Fatalf("%d of %d answers are missing: %v", left, len(list), err)
		}
		for _, response := range got.Responses {
			answers[response.Id] = response
			left--
		}
	}
	return answers
}

// rawProduce is a produce of one record by a producer.
func rawProduce(topic string, p batch.Producer, value string) *api.Request {
	data, err := batch.Encode([]batch.Record{{Value: []byte(value)}}, p, batch.Plain{})
	if err != nil {
		panic(err)
	}
	return &api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: &api.TopicRef{Name: topic}, Batch: data}}}
}
