package core_test

import (
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
	"google.golang.org/protobuf/proto"
)

// FuzzReceive: whatever a node answers, the client stands it, and every operation
// ends once.
func FuzzReceive(f *testing.F) {
	for _, m := range []*api.Response{
		failed(api.Code_NOT_LEADER),
		{Error: &api.Error{Code: 999, LeaderId: math.MaxUint64, LeaderAddress: "x"}},
		{Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{
			Nodes:  []*api.NodeInfo{{Id: 1, Address: "node-1:9000"}},
			Topics: []*api.TopicInfo{{Name: "t", Id: 1, Partitions: []*api.PartitionInfo{{Leader: 7, LeaderTerm: 9, Replicas: []*api.ReplicaInfo{{Node: 3}}}}}},
		}}},
		{Body: &api.Response_InitProducer{InitProducer: &api.InitProducerResponse{ProducerId: -1, Epoch: 1 << 20}}},
		{Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: -5}}},
		{Body: &api.Response_Membership{Membership: &api.MembershipResponse{
			Member: 1, Epoch: 3, Keeps: []*api.GroupPartition{{TopicId: 1, Topic: "t"}, {TopicId: 1, Partition: -1}, {}},
			Gives: []*api.GroupPartition{{TopicId: 1, Partition: 1, Topic: "t"}},
		}}},
		{Body: &api.Response_FetchOffsets{FetchOffsets: &api.FetchOffsetsResponse{Offsets: []*api.GroupOffset{{}, {Partition: &api.GroupPartition{TopicId: 1}, Offset: 1 << 62}}}}},
		{Body: &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 61)}}},
	} {
		f.Add(api.EncodeFrame(&api.Message{Body: &api.Message_Response{Response: m}})[4:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer := decode(data)
		if answer == nil {
			return
		}
		w := &wire{}
		c := core.New(core.Config{Bootstrap: []env.Endpoint{"b:1"}, OperationTimeout: env.Second}, w, w, prng.New(1))
		ended := 0
		done := func(core.Result) { ended++ }
		c.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{}, done)
		c.Fetch("t", 0, 0, core.FetchOptions{}, done)
		c.DeleteTopic("t", 0, done)
		c.Metadata(&api.MetadataRequest{}, 0, done)
		c.ListGroups(0, done)
		c.DeleteGroup("g", 0, done)
		k, _ := c.Subscribe(core.ConsumerOptions{Group: "g", Topics: []string{"t"}, Session: env.Second, AutoCommit: 100 * env.Millisecond}, core.ConsumerEvents{})
		k.Poll(10, env.Second, func([]core.ConsumedRecord, *api.Error) { k.Close(func(*api.Error) { ended++ }) })
		for round := 0; round < 2000 && ended < 7; round++ {
			c.Flush()
			sent := w.sent
			w.sent = nil
			for _, m := range sent {
				answer.Id = m.request.Id
				c.Receive(m.to, &api.Message{Body: &api.Message_Response{Response: answer}})
			}
			w.now += 20 * env.Millisecond
			c.Wake()
		}
		if c.Flush(); ended != 7 || c.Pending() != 0 {
			t.Errorf("%d operations ended, %d pending", ended, c.Pending())
		}
	})
}

func decode(data []byte) *api.Response {
	m := &api.Message{}
	if proto.Unmarshal(data, m) != nil {
		return nil
	}
	return m.GetResponse()
}

type wire struct {
	now  env.Time
	sent []struct {
		to      env.Endpoint
		request *api.Request
	}
}

func (w *wire) Now() env.Time   { return w.now }
func (w *wire) Wall() int64     { return 1 }
func (w *wire) WakeAt(env.Time) {}

func (w *wire) Send(to env.Endpoint, m *api.Message) {
	w.sent = append(w.sent, struct {
		to      env.Endpoint
		request *api.Request
	}{to, m.GetRequest()})
}
