package sim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// malformed sends a node requests that none may take, all at once. Each answer is an
// error; what the log gets of them the checker sees.
func (r *run) malformed(a *armed) bool {
	f, n := a.fault, a.node
	if n == nil || !n.host.Up() {
		return false
	}
	r.addRaw()
	topic := f.Target.Topic
	if topic == "" {
		topic = r.plan.Workload.Topic
	}
	r.noteFault(f, string(n.host.Name), histories.Point)
	for i := range f.Strength {
		draw := func(purpose uint64, below int64) int64 {
			return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("malformed"), uint64(f.Number), uint64(i), purpose), below)
		}
		q, what := makeBad(draw, &api.TopicRef{Name: topic}, f.Target.Partition)
		r.raw.ask(n.host.Name, q, func(answer *api.Response) {
			if answer != nil && answer.GetError() == nil {
				r.fail(BadInputTaken, "%s is sent %s, and answers %v", n.host.Name, what, answer)
			}
		})
	}
	return true
}

// makeBad draws a request that no node may take, and says what is wrong with it.
func makeBad(draw func(purpose uint64, below int64) int64, topic *api.TopicRef, partition int32) (q *api.Request, what string) {
	all := []func() (*api.Request, string){
		func() (*api.Request, string) { return badProduce(draw, topic, partition) },
		func() (*api.Request, string) { return badFetch(draw, topic, partition) },
		func() (*api.Request, string) { return badCreate(draw) },
		func() (*api.Request, string) { return badChange(draw, topic, partition) },
		func() (*api.Request, string) { return badGroup(draw) },
		func() (*api.Request, string) { return badAccess(draw) },
		func() (*api.Request, string) { return badConfig(draw, topic) },
	}
	return all[draw(drawTarget, int64(len(all)))]()
}

// pick draws one of several.
func pick[T any](draw func(uint64, int64) int64, purpose uint64, from ...T) T {
	return from[draw(purpose, int64(len(from)))]
}

func badProduce(draw func(uint64, int64) int64, topic *api.TopicRef, partition int32) (*api.Request, string) {
	value := histories.Payload(histories.Value(draw(drawReplica, math.MaxInt32)), histories.MinPayload)
	good, err := batch.Encode([]batch.Record{{Value: value}, {Value: value}}, batch.NoProducer, batch.Plain{})
	if err != nil {
		panic("sim: a small batch cannot be encoded: " + err.Error())
	}
	q := &api.ProduceRequest{Topic: topic, Partition: partition, Batch: good}
	what := pick(draw, drawPeer, "half a batch", "two batches", "no batch", "a changed batch", "a batch with a wrong count",
		"a batch over the limit", "a batch with unknown acks", "a batch for an absurd partition", "a batch for an unknown topic")
	switch what {
	case "half a batch":
		q.Batch = good[:draw(drawReplica, int64(len(good)))]
	case "two batches":
		q.Batch = append(bytes.Clone(good), good...)
	case "no batch":
		q.Batch = nil
	case "a changed batch":
		// The base offset and the leader's epoch are not the client's to say.
		const checked = 17
		q.Batch[checked+draw(drawReplica, int64(len(good)-checked))] ^= 1 << draw(drawPeer, 8)
	case "a batch with a wrong count":
		q.Batch = recount(good, uint32(pick(draw, drawReplica, 0, 1, 3, math.MaxInt32)))
	case "a batch over the limit":
		q.Batch = make([]byte, 1<<20+1)
	case "a batch with unknown acks":
		q.Acks = pick[api.Acks](draw, drawReplica, -1, 2, math.MaxInt32)
	case "a batch for an absurd partition":
		q.Partition = pick[int32](draw, drawReplica, -1, math.MinInt32, math.MaxInt32)
	default:
		q.Topic = &api.TopicRef{Name: pick(draw, drawReplica, "", "nowhere", "../../x", topic.GetName()+"/")}
	}
	return &api.Request{Body: &api.Request_Produce{Produce: q}}, what
}

// recount makes a batch say that it has another number of records, with a checksum that
// agrees.
func recount(data []byte, count uint32) []byte {
	const crcAt, deltaAt, countAt = 17, 23, 57
	data = bytes.Clone(data)
	binary.BigEndian.PutUint32(data[deltaAt:], count-1)
	binary.BigEndian.PutUint32(data[countAt:], count)
	binary.BigEndian.PutUint32(data[crcAt:], crc32.Checksum(data[crcAt+4:], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func badFetch(draw func(uint64, int64) int64, topic *api.TopicRef, partition int32) (*api.Request, string) {
	q := &api.FetchRequest{Topic: topic, Partition: partition}
	what := pick(draw, drawPeer, "a negative offset", "an absurd offset", "a negative size", "a negative wait", "an absurd partition", "nothing")
	switch what {
	case "a negative offset":
		q.Offset = pick[int64](draw, drawReplica, -1, -2, math.MinInt64)
	case "an absurd offset":
		q.Offset = pick[int64](draw, drawReplica, 1<<40, math.MaxInt64)
	case "a negative size":
		q.MaxBytes, q.MinBytes = pick[int32](draw, drawReplica, -1, math.MinInt32), -1
	case "a negative wait":
		q.MaxWaitMs = pick[int32](draw, drawReplica, -1, math.MinInt32)
	case "an absurd partition":
		q.Partition = pick[int32](draw, drawReplica, -1, math.MinInt32, math.MaxInt32)
	default:
		return &api.Request{}, "a request without a body"
	}
	return &api.Request{Body: &api.Request_Fetch{Fetch: q}}, "a fetch with " + what
}

func badCreate(draw func(uint64, int64) int64) (*api.Request, string) {
	q := &api.CreateTopicRequest{Name: "bad", Partitions: 1}
	what := pick(draw, drawPeer, "a bad name", "an absurd number of partitions", "an absurd number of replicas")
	switch what {
	case "a bad name":
		q.Name = pick(draw, drawReplica, "", ".", "..", "../../x", "a/b", "a b", "ä", strings.Repeat("x", 250))
	case "an absurd number of partitions":
		q.Partitions = pick[int32](draw, drawReplica, 0, -1, math.MinInt32, math.MaxInt32)
	default:
		q.ReplicationFactor = pick[int32](draw, drawReplica, -1, 100, math.MaxInt32)
	}
	return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: q}}, "create topic with " + what
}

func badChange(draw func(uint64, int64) int64, topic *api.TopicRef, partition int32) (*api.Request, string) {
	absurd := uint64(pick[int64](draw, drawReplica, 99, math.MaxInt64))
	what := pick(draw, drawPeer, "delete records below -1", "delete records above the end", "move to an unknown node",
		"remove an unknown node", "elect an unknown node", "the next epoch of an unknown producer", "list an unknown end")
	q := &api.Request{}
	switch what {
	case "delete records below -1", "delete records above the end":
		before := pick[int64](draw, drawReplica, -2, math.MinInt64)
		if what != "delete records below -1" {
			before = pick[int64](draw, drawReplica, 1<<40, math.MaxInt64)
		}
		q.Body = &api.Request_DeleteRecords{DeleteRecords: &api.DeleteRecordsRequest{Topic: topic, Partition: partition, Before: before}}
	case "move to an unknown node":
		q.Body = &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic, Partition: partition, From: 1, To: absurd}}
	case "remove an unknown node":
		q.Body = &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: absurd}}
	case "elect an unknown node":
		q.Body = &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic, Partition: partition, Node: absurd}}
	case "the next epoch of an unknown producer":
		q.Body = &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{
			ProducerId: pick[int64](draw, drawReplica, 1<<40, -5, math.MaxInt64), Epoch: int32(draw(drawPeer, 3)) - 1,
		}}
	default:
		q.Body = &api.Request_ListOffsets{ListOffsets: &api.ListOffsetsRequest{Topic: topic, Partition: partition, Spec: api.OffsetSpec(7)}}
	}
	return q, what
}
