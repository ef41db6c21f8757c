package main_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/histories"
)

// What brokers have been seen to get wrong, each on real processes by itself. Under load
// and in all combinations, TestRealCluster and the simulator have the same.
func TestRealFailures(t *testing.T) {
	for _, f := range []struct {
		name string
		test func(*testing.T)
	}{
		{"duplicates after an old sequence is repeated", repeatedSequences},
		{"records in flight are acknowledged and dropped", manyInFlight},
		{"offsets committed on one node are unknown on another", offsetsOnEveryNode},
		{"an acknowledged record cannot be read at once", readYourWrites},
		{"a restarted node serves nothing after retention", restartAfterRetention},
		{"a new node serves nothing after retention and a snapshot", joinerBehindTheLogStart},
		{"nodes replaced one by one lose everything", replacedOneByOne},
		{"a node killed at some instant never starts again", killedAtAnyInstant},
		{"a negative or absurd number kills the node", absurdNumbers},
		{"a topic leaves the data folder", topicOutside},
		{"a produce before the node is ready is refused for good", produceTooEarly},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			f.test(t)
		})
	}
	t.Run("a record costs more with each producer ever seen", costOfProducers)
}

func repeatedSequences(t *testing.T) {
	const first = 10
	c := newCluster(t, 3)
	c.command("topic", "create", "t")
	send := func(sequence int) *api.Response {
		return newRaw(t, c.leader("t", 0).address).ask(rawProduce("t", batch.Producer{ID: 77, Sequence: api.Sequence(sequence)}, "x"))
	}
	for i := range first {
		if r := send(i); r.GetProduce().GetBaseOffset() != int64(i) || r.GetError() != nil {
			t.Fatalf("sequence %d: %v", i, r)
		}
	}
	again := func() {
		t.Helper()
		for i := first - 5; i < first; i++ {
			if r := send(i); r.GetProduce().GetBaseOffset() != int64(i) || r.GetError() != nil {
				t.Errorf("sequence %d again: %v", i, r)
			}
		}
		if r := send(0); r.GetError().GetCode() != api.Code_DUPLICATE_SEQUENCE {
			t.Errorf("a sequence long past: %v", r)
		}
	}
	again()
	victim := c.leader("t", 0)
	victim.process.kill()
	await(t, settleTime, "another leader", func() error {
		if c.leader("t", 0) == victim {
			return errors.New("the one that was killed still counts as it")
		}
		return nil
	})
	again()
	c.serve(victim)
	c.awaitCaughtUp(victim)
	c.command("cluster", "elect", "--topic", "t", "--partition", "0", "--node", strconv.FormatUint(victim.id, 10))
	again()
	if end, err := c.client.ListOffsets(t.Context(), "t", 0, api.OffsetSpec_LATEST); err != nil || end != first {
		t.Errorf("there are %d records, want %d: %v", end, first, err)
	}
}

func manyInFlight(t *testing.T) {
	const inFlight, records = 16, 500
	c := newCluster(t, 3)
	c.command("topic", "create", "raw")
	c.command("topic", "create", "t")
	var list []*api.Request
	for i := range inFlight {
		list = append(list, rawProduce("raw", batch.Producer{ID: 5, Sequence: api.Sequence(i)}, strconv.Itoa(i)))
	}
	for i, r := range newRaw(t, c.leader("raw", 0).address).pipeline(list) {
		if r.GetProduce().GetBaseOffset() != int64(i) || r.GetError() != nil {
			t.Errorf("batch %d of %d in flight: %v", i, inFlight, r)
		}
	}
	cl := c.newClient(client.Config{BatchBytes: 256})
	var all []*client.Produced
	for i := range records {
		all = append(all, cl.ProduceAsync(t.Context(), client.Idempotent, "t", 0, client.Record{Value: histories.Payload(histories.Value(i), 100)}))
	}
	for i, p := range all {
		if offset, err := p.Wait(t.Context()); err != nil || offset != int64(i) {
			t.Fatalf("record %d is at offset %d: %v", i, offset, err)
		}
	}
	log := readAll(t, cl, "t", 0)
	for i, r := range log {
		if r.Value != histories.Value(i) || r.Corrupt {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	if len(log) != records {
		t.Errorf("%d records are there, want %d", len(log), records)
	}
}

func offsetsOnEveryNode(t *testing.T) {
	c := newCluster(t, 3)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "one")
	if out := c.command("consume", "--topic", "t", "--group", "g", "--from", "earliest", "--max", "1"); out != "one\n" {
		t.Errorf("the group reads %q", out)
	}
	m := c.metadata(api.GroupsTopic, "t")
	shard := int(api.GroupShard("g", len(m.Topics[0].Partitions)))
	for _, n := range c.nodes {
		await(t, settleTime, fmt.Sprintf("node %d coordinates the group", n.id), func() error {
			c.command("cluster", "elect", "--topic", api.GroupsTopic, "--partition", strconv.Itoa(shard), "--node", strconv.FormatUint(n.id, 10))
			r := newRaw(t, n.address).ask(&api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{
				Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: "g",
			}}})
			switch offsets := r.GetFetchOffsets().GetOffsets(); {
			case r.GetError() != nil:
				return r.GetError()
			case len(offsets) != 1 || offsets[0].GetOffset() != 1 || offsets[0].GetPartition().GetTopicId() != m.Topics[1].Id:
				t.Errorf("node %d: %v", n.id, r)
			}
			return nil
		})
	}
}

func readYourWrites(t *testing.T) {
	const records = 200
	c := newCluster(t, 3)
	c.command("topic", "create", "t")
	producer, reader := c.newClient(client.Config{}), c.newClient(client.Config{})
	for i := range records {
		if i == records/2 {
			n := c.nodes[i%len(c.nodes)]
			c.command("cluster", "elect", "--topic", "t", "--partition", "0", "--node", strconv.FormatUint(n.id, 10))
		}
		offset, err := producer.Produce(t.Context(), "t", 0, client.Record{Value: histories.Payload(histories.Value(i), 50)})
		if err != nil || offset != int64(i) {
			t.Fatalf("record %d is at offset %d: %v", i, offset, err)
		}
		got, err := reader.Fetch(t.Context(), "t", 0, offset, client.FetchOptions{})
		if err != nil || len(got.Messages) != 1 || histories.ParsePayload(0, got.Messages[0].Value).Value != histories.Value(i) {
			t.Fatalf("record %d, acknowledged just now, is read as %+v: %v", i, got, err)
		}
	}
}

func restartAfterRetention(t *testing.T) {
	const records, bytes = 300, 2 << 10
	c := newCluster(t, 3, "--segment-bytes", "65536")
	c.command("topic", "create", "t")
	cl := c.newClient(client.Config{})
	produceValues(t, cl, "t", 0, records, bytes)
	c.command("topic", "config", "t", "--set", "retention.bytes=200000")
	var start int64
	await(t, settleTime, "a log that has lost its front", func() (err error) {
		if start, err = cl.ListOffsets(t.Context(), "t", 0, api.OffsetSpec_EARLIEST); err == nil && start == 0 {
			err = fmt.Errorf("it starts at 0")
		}
		return err
	})
	c.command("topic", "config", "t", "--unset", "retention.bytes")
	produceValues(t, cl, "t", records, 2*records, bytes)
	for _, n := range c.nodes {
		n.process.kill()
		c.serve(n)
		c.awaitCaughtUp(n)
		c.command("cluster", "elect", "--topic", "t", "--partition", "0", "--node", strconv.FormatUint(n.id, 10))
		log := readAll(t, cl, "t", 0)
		if first := int64(log[0].Offset); first < start || first+int64(len(log)) != 2*records {
			t.Errorf("node %d serves offsets %d to %d, want %d or more to %d", n.id, first, first+int64(len(log)), start, 2*records)
		}
		for _, r := range log {
			if int64(r.Value) != int64(r.Offset) || r.Corrupt {
				t.Fatalf("node %d serves %+v", n.id, r)
			}
		}
	}
}

func replacedOneByOne(t *testing.T) {
	const records = 300
	c := newCluster(t, 3)
	c.command("topic", "create", "t")
	produceValues(t, c.client, "t", 0, records, 100)
	for range 3 {
		old, fresh := c.nodes[0], c.join()
		id := strconv.FormatUint(old.id, 10)
		c.command("cluster", "drain", "--node", id)
		c.command("cluster", "remove", "--node", id)
		old.process.kill()
		if err := os.RemoveAll(old.data); err != nil {
			t.Fatal(err)
		}
		c.nodes = c.nodes[1:]
		c.awaitMetaVoters(3)
		c.command("cluster", "elect", "--topic", "t", "--partition", "0", "--node", strconv.FormatUint(fresh.id, 10))
	}
	cl := c.newClient(client.Config{})
	log := readAll(t, cl, "t", 0)
	for i, r := range log {
		if r.Value != histories.Value(i) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	if len(log) != records {
		t.Errorf("%d records are left of %d", len(log), records)
	}
	produceValues(t, cl, "t", records, records+1, 100)
}

// A node of a cluster of one is killed at instants from just after its start to well
// into its work, also while it recovers.
func killedAtAnyInstant(t *testing.T) {
	const shortest, latest = 8 * time.Second, 400 * time.Millisecond
	c := newCluster(t, 1)
	c.command("topic", "create", "t", "--partitions", "2")
	l := startLoad(c, newRecording(), loadPlan{topic: "t", producers: 4, partitions: 2, period: 2 * time.Millisecond})
	n, kills := c.nodes[0], 0
	for lasts, begun := testTime(t, shortest), time.Now(); time.Since(begun) < lasts; kills++ {
		time.Sleep(rand.N(latest))
		if !n.process.running() {
			t.Fatalf("after %d kills the node does not run:\n%s", kills, n.process.printed())
		}
		n.process.kill()
		c.serve(n)
		if kills%8 == 0 {
			l.awaitPulse(time.Now())
		}
	}
	l.awaitPulse(time.Now())
	l.stop()
	for i := range 2 {
		if err := l.holds(i, readAll(t, c.client, "t", i)); err != nil {
			t.Errorf("partition %d: %v", i, err)
		}
	}
	t.Logf("killed %d times, and served in %d of the lives; %d records in doubt", kills, strings.Count(n.process.printed(), "node serves"), l.unknown.Load())
}

func absurdNumbers(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	node, topic := newRaw(t, c.nodes[0].address), &api.TopicRef{Name: "t"}
	fetch := func(q *api.FetchRequest) *api.Request {
		q.Topic = topic
		return &api.Request{Body: &api.Request_Fetch{Fetch: q}}
	}
	trim := func(before int64) *api.Request {
		return &api.Request{Body: &api.Request_DeleteRecords{DeleteRecords: &api.DeleteRecordsRequest{Topic: topic, Before: before}}}
	}
	for _, test := range []struct {
		q    *api.Request
		want api.Code
	}{
		{fetch(&api.FetchRequest{Offset: -1}), api.Code_INVALID_REQUEST},
		{fetch(&api.FetchRequest{Offset: math.MinInt64}), api.Code_INVALID_REQUEST},
		{fetch(&api.FetchRequest{Offset: math.MaxInt64}), api.Code_OFFSET_OUT_OF_RANGE},
		{fetch(&api.FetchRequest{MaxBytes: -1}), api.Code_INVALID_REQUEST},
		{fetch(&api.FetchRequest{MaxBytes: math.MaxInt32, MaxWaitMs: math.MinInt32}), api.Code_INVALID_REQUEST},
		{fetch(&api.FetchRequest{MaxBytes: math.MaxInt32, MinBytes: math.MinInt32}), api.Code_INVALID_REQUEST},
		{fetch(&api.FetchRequest{MaxBytes: math.MaxInt32, MinBytes: math.MaxInt32}), api.Code_OK},
		{trim(math.MaxInt64), api.Code_OFFSET_OUT_OF_RANGE},
		{trim(math.MinInt64), api.Code_INVALID_REQUEST},
		{&api.Request{Body: &api.Request_Fetch{Fetch: &api.FetchRequest{Topic: topic, Partition: math.MinInt32}}}, api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		{&api.Request{Body: &api.Request_CopySegment{CopySegment: &api.CopySegmentRequest{Group: 1, Position: math.MinInt64, Length: math.MaxInt32}}}, api.Code_INVALID_REQUEST},
		{&api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: topic, Batch: make([]byte, 2<<20)}}}, api.Code_BATCH_TOO_LARGE},
		{rawProduce("t", batch.Producer{ID: 9, Epoch: math.MaxInt16, Sequence: math.MaxInt32}, "x"), api.Code_UNKNOWN_PRODUCER},
		{&api.Request{Body: &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{ProducerId: math.MinInt64, Epoch: math.MaxInt32}}}, api.Code_INVALID_REQUEST},
		{&api.Request{}, api.Code_INVALID_REQUEST},
	} {
		if r := node.ask(test.q); r.GetError().GetCode() != test.want {
			t.Errorf("%v is answered %v, want %v", test.q, r.GetError(), test.want)
		}
	}
	c.wantServing("first")
}

func topicOutside(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	node := newRaw(t, c.nodes[0].address)
	for _, name := range []string{"../../x", "../x", "/tmp/x", "..", "a/../../x", "x\x00y"} {
		create := &api.CreateTopicRequest{Name: name, Partitions: 1}
		if r := node.ask(&api.Request{Body: &api.Request_CreateTopic{CreateTopic: create}}); r.GetError().GetCode() != api.Code_INVALID_TOPIC_NAME {
			t.Errorf("topic %q: %v", name, r)
		}
		if r := node.ask(rawProduce(name, batch.NoProducer, "x")); r.GetError().GetCode() != api.Code_UNKNOWN_TOPIC_OR_PARTITION {
			t.Errorf("produce to topic %q: %v", name, r)
		}
	}
	found, err := filepath.Glob(filepath.Join(c.folder, "*"))
	if err != nil || len(found) != 2 {
		t.Errorf("beside the node's folder and its output there is something: %v, %v", found, err)
	}
	c.wantServing("first")
}

func produceTooEarly(t *testing.T) {
	// It joins a cluster that is not there, so it is never ready.
	address := freeAddress(t)
	start(t, filepath.Join(t.TempDir(), "log"), "serve", "--data", t.TempDir(), "--listen", address, "--join", freeAddress(t))
	r := newRaw(t, address).ask(rawProduce("t", batch.NoProducer, "x"))
	if code := r.GetError().GetCode(); code != api.Code_NOT_READY || !code.Retriable() || !code.Definite() {
		t.Errorf("it answers %v", r)
	}
	// And a client waits for one that will be.
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	n := c.nodes[0]
	n.process.kill()
	cl := c.newClient(client.Config{})
	p := cl.ProduceAsync(context.Background(), client.Idempotent, "t", 0, client.Record{Value: []byte("x")})
	c.serve(n)
	if offset, err := p.Wait(t.Context()); err != nil || offset != 0 {
		t.Errorf("a record that was sent while the node was down is at offset %d: %v", offset, err)
	}
}

// The same work is timed in a partition that has seen ten producers, and in one that has
// seen 20,000, by turns.
func costOfProducers(t *testing.T) {
	const few, many, rounds, records, inFlight = 10, 20_000, 5, 1000, 500
	c := newCluster(t, 1)
	node := newRaw(t, c.nodes[0].address)
	see := func(topic string, from, count int, next func(i int) batch.Producer) time.Duration {
		begun := time.Now()
		for i := from; i < from+count; i += inFlight {
			var list []*api.Request
			for j := i; j < min(i+inFlight, from+count); j++ {
				list = append(list, rawProduce(topic, next(j), "x"))
			}
			for _, r := range node.pipeline(list) {
				if r.GetError() != nil {
					t.Fatal(r)
				}
			}
		}
		return time.Since(begun)
	}
	best := map[string]time.Duration{}
	for name, producers := range map[string]int{"few": few, "many": many} {
		c.command("topic", "create", name)
		c.leader(name, 0)
		best[name] = time.Hour
		see(name, 0, producers, func(i int) batch.Producer { return batch.Producer{ID: api.ProducerID(1000 + i)} })
	}
	for round := range rounds {
		for _, name := range []string{"few", "many"} {
			took := see(name, round*records, records, func(i int) batch.Producer { return batch.Producer{ID: 1, Sequence: api.Sequence(i)} })
			best[name] = min(best[name], took)
		}
	}
	ratio := float64(best["many"]) / float64(best["few"])
	t.Logf("%d records: %v after %d producers, %v after %d: %.2f times as long", records, best["few"], few, best["many"], many, ratio)
	if ratio > 4 {
		t.Errorf("a record costs %.1f times as much", ratio)
	}
}
