package broker_test

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
)

// Every request that makes no sense gets its own error, and nothing that is there
// is harmed by it.
func TestBadInputIsRefused(t *testing.T) {
	const node = "n1:1"
	c := newCluster(t, 1, node)
	c.settle(func() *api.Request { return createTopic("t", 2) }, node)
	good := records(t, batch.NoProducer, "a", "b", "c")
	c.settle(func() *api.Request { return produce("t", 0, good) }, node)
	for _, test := range badRequests(good) {
		t.Run(test.name, func(t *testing.T) {
			r := c.ask(node, test.request)
			e := r.GetError()
			if e.GetCode() != test.want {
				t.Fatalf("answered %v, want %v", r, test.want)
			}
			if len(e.GetMessage()) < 20 {
				t.Errorf("message %q does not say what was asked, what is wrong, what to try", e.GetMessage())
			}
		})
	}
	for name := range c.failed {
		t.Errorf("node %s failed: %v", name, c.failed[name])
	}
	r := c.ask(node, fetching(fetch("t", 0)))
	got, _, err := batch.Next(r.GetFetch().GetBatches())
	if err != nil || r.GetFetch().GetHighWatermark() != 3 {
		t.Fatalf("after all that the log has %v, want the three records", r)
	}
	list, err := batch.Records(got, batch.NewCodecs())
	if err != nil || len(list) != 3 || string(list[2].Value) != "c" {
		t.Errorf("the records are now %v (%v)", list, err)
	}
}

type badRequest struct {
	name    string
	request *api.Request
	want    api.Code
}

func badRequests(good []byte) []badRequest {
	list := []badRequest{
		{"produce to an unknown topic", produce("nowhere", 0, good), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"produce to an unknown partition", produce("t", 2, good), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"produce to a negative partition", produce("t", -1, good), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"fetch from an unknown topic", fetching(fetch("nowhere", 0)), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"a request without a body", &api.Request{}, api.Code_INVALID_REQUEST},
		{"a fetch without anything", fetching(nil), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"no batch", produce("t", 0, nil), api.Code_CORRUPT_BATCH},
		{"garbage for a batch", produce("t", 0, []byte(strings.Repeat("garbage", 30))), api.Code_CORRUPT_BATCH},
		{"half a batch", produce("t", 0, good[:len(good)/2]), api.Code_CORRUPT_BATCH},
		{"two batches", produce("t", 0, append(slices.Clone(good), good...)), api.Code_CORRUPT_BATCH},
		{"wrong CRC", produce("t", 0, flipped(good, len(good)-1)), api.Code_CORRUPT_BATCH},
		{"wrong count", produce("t", 0, recounted(good, 2)), api.Code_CORRUPT_BATCH},
		{"absurd count", produce("t", 0, recounted(good, math.MaxInt32)), api.Code_CORRUPT_BATCH},
		{"over the size limit", produce("t", 0, make([]byte, 1<<20+1)), api.Code_BATCH_TOO_LARGE},
		{"unknown acks", &api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: topic("t"), Batch: good, Acks: 7}}}, api.Code_INVALID_REQUEST},
		{"unknown spec", &api.Request{Body: &api.Request_ListOffsets{ListOffsets: &api.ListOffsetsRequest{Topic: topic("t"), Spec: 7}}}, api.Code_INVALID_REQUEST},
		{"negative offset", fetching(fetch("t", -1)), api.Code_INVALID_REQUEST},
		{"offset above the end", fetching(fetch("t", 4)), api.Code_OFFSET_OUT_OF_RANGE},
		{"absurd offset", fetching(fetch("t", math.MaxInt64)), api.Code_OFFSET_OUT_OF_RANGE},
		{"negative max bytes", fetching(&api.FetchRequest{Topic: topic("t"), MaxBytes: -1}), api.Code_INVALID_REQUEST},
		{"negative wait", fetching(&api.FetchRequest{Topic: topic("t"), MaxWaitMs: -1}), api.Code_INVALID_REQUEST},
		{"delete records below -1", trim("t", -2), api.Code_INVALID_REQUEST},
		{"delete records above the end", trim("t", 4), api.Code_OFFSET_OUT_OF_RANGE},
		{"producers of an unknown topic", producersOf("nowhere", 0, 0), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"producers of an unknown partition", producersOf("t", math.MinInt32, 0), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"a negative number of producers", producersOf("t", 0, -1), api.Code_INVALID_REQUEST},
		{"an absurd number of producers", producersOf("t", 0, math.MaxInt32), api.Code_INVALID_REQUEST},
		{"producers of nothing", &api.Request{Body: &api.Request_DescribeProducers{}}, api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"topic that exists", createTopic("t", 1), api.Code_TOPIC_ALREADY_EXISTS},
		{"no partitions", createTopic("u", 0), api.Code_INVALID_PARTITIONS},
		{"absurd number of partitions", createTopic("u", math.MaxInt32), api.Code_INVALID_PARTITIONS},
		{"an alteration without anything", &api.Request{Body: &api.Request_AlterTopic{}}, api.Code_INVALID_CONFIG},
		{"an alteration of an unknown topic", alter("nowhere", "retention.ms", "5"), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"an unknown config", alter("t", "cleanup.policy", "compact"), api.Code_INVALID_CONFIG},
		{"an absurd config", alter("t", "retention.bytes", "-7"), api.Code_INVALID_CONFIG},
		{"an absurd config, only to validate", validating(alter("t", "retention.ms", "99999999999999999999")), api.Code_INVALID_CONFIG},
		{"an unknown topic, only to validate", validating(alter("nowhere", "retention.ms", "5")), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"more partitions of an unknown topic", addPartitions("nowhere", 5), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{"fewer partitions", addPartitions("t", 1), api.Code_INVALID_PARTITIONS},
		{"an absurd number of more partitions", addPartitions("t", math.MinInt32), api.Code_INVALID_PARTITIONS},
		{"move to an unknown node", &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: 1, To: 9}}}, api.Code_UNKNOWN_NODE},
		{"remove an unknown node", &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: 9}}}, api.Code_UNKNOWN_NODE},
		{"remove a node with replicas", &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: 1}}}, api.Code_NODE_HAS_REPLICAS},
	}
	for _, name := range []string{"", ".", "..", "../../x", "a/b", "a b", "ä", strings.Repeat("x", 250)} {
		list = append(list, badRequest{"topic " + name, createTopic(name, 1), api.Code_INVALID_TOPIC_NAME})
	}
	return list
}

func alter(name, config, value string) *api.Request {
	return &api.Request{Body: &api.Request_AlterTopic{AlterTopic: &api.AlterTopicRequest{
		Topic: topic(name), Set: []*api.TopicConfig{{Name: config, Value: value}}}}}
}

func validating(q *api.Request) *api.Request {
	q.GetAlterTopic().ValidateOnly = true
	return q
}

func addPartitions(name string, partitions int32) *api.Request {
	return &api.Request{Body: &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{Topic: topic(name), Partitions: partitions}}}
}

func trim(name string, before int64) *api.Request {
	return &api.Request{Body: &api.Request_DeleteRecords{DeleteRecords: &api.DeleteRecordsRequest{Topic: topic(name), Before: before}}}
}

func flipped(data []byte, at int) []byte {
	data = slices.Clone(data)
	data[at] ^= 1
	return data
}

// recounted is a batch that says it has another number of records, with a CRC
// that agrees.
func recounted(data []byte, count uint32) []byte {
	const crcAt, deltaAt, countAt = 17, 23, 57
	data = slices.Clone(data)
	binary.BigEndian.PutUint32(data[deltaAt:], count-1)
	binary.BigEndian.PutUint32(data[countAt:], count)
	sum := crc32.Checksum(data[crcAt+4:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(data[crcAt:], sum)
	return data
}

// A node that is not ready says so, and serves later.
func TestProduceBeforeReady(t *testing.T) {
	const node = "n1:1"
	c := newCluster(t, 2, node)
	r := c.ask(node, createTopic("t", 1))
	if r.GetError().GetCode() != api.Code_NOT_READY {
		t.Errorf("the first answer of a node is %v, want NOT_READY", r)
	}
	c.settle(func() *api.Request { return createTopic("t", 1) }, node)
}
