package broker_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

const lone env.Endpoint = "n1:1"

// cold is a node with topic "t" of 80 batches of 60 kB, in segments of 2 MiB, of which it
// has read nothing since it started. The last record of the first segment has time stamp
// 1000.
func cold(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, 1, lone)
	c.settle(func() *api.Request {
		q := createTopic("t", 1)
		q.GetCreateTopic().SegmentBytes = 2 << 20
		return q
	}, lone)
	const late = 33
	for i := range 80 {
		r := batch.Record{Value: []byte(strings.Repeat("x", 60_000))}
		if i == late {
			r.Timestamp = 1000
		}
		data, err := batch.Encode([]batch.Record{r}, batch.NoProducer, batch.Plain{})
		if err != nil {
			t.Fatal(err)
		}
		c.ok(func() *api.Request { return produce("t", 0, data) }, lone)
	}
	c.hosts[lone].Kill()
	c.start(lone, func(*broker.Config) {})
	c.ok(func() *api.Request { return fetching(fetch("t", 79)) }, lone)
	return c
}

// send sends a request to the node, and gives its number.
func (c *cluster) send(q *api.Request) uint64 {
	c.client.last++
	q.Id = c.client.last
	c.client.network.Send(lone, &api.Message{Body: &api.Message_Request{Request: q}})
	return q.Id
}

// A read goes through a file piece by piece. If its topic is deleted meanwhile the file is
// gone at some piece, and there is nothing wrong with the disk.
func TestReadOfDeletedTopic(t *testing.T) {
	old := fetch("t", 33)
	old.MaxBytes = 1
	for name, read := range map[string]*api.Request{
		"fetch": fetching(old),
		"list offsets": {Body: &api.Request_ListOffsets{ListOffsets: &api.ListOffsetsRequest{
			Topic: topic("t"), Spec: api.OffsetSpec_AT_TIME, Time: 1000,
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := cold(t)
			c.send(&api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}})
			id := c.send(read)
			c.run(env.Second)
			if code := c.client.answers[id].GetError().GetCode(); code != api.Code_NOT_LEADER || c.failed[lone] != nil {
				t.Errorf("it is answered %v; the node failed: %v", c.client.answers[id], c.failed[lone])
			}
		})
	}
}

// The time of a fetch is up while its records are being read, and retention takes those
// away: it is refused, and only once, which the client looks after.
func TestFetchIsAnsweredOnce(t *testing.T) {
	c := cold(t)
	c.send(trim("t", 79))
	q := fetch("t", 33)
	q.MaxBytes, q.MinBytes, q.MaxWaitMs = 2, 2, 1
	id := c.send(fetching(q))
	c.run(env.Second)
	if code := c.client.answers[id].GetError().GetCode(); code != api.Code_OFFSET_OUT_OF_RANGE || c.failed[lone] != nil {
		t.Errorf("it is answered %.200v; the node failed: %v", c.client.answers[id], c.failed[lone])
	}
}

// Who asks for some bytes at least gets them at once where they are, though a read ends
// where a segment does, and no more batches fit.
func TestLeastBytesAreThere(t *testing.T) {
	c := newCluster(t, 1, lone)
	c.settle(func() *api.Request { return createTopic("t", 1) }, lone)
	c.fill(1500, lone)
	for offset := range int64(16) { // as far as the first segment goes
		for _, limit := range []int32{0, 8000} {
			q := fetch("t", offset)
			q.MinBytes, q.MaxBytes, q.MaxWaitMs = 8000, limit, 5000
			begun := c.world.Agenda.Now()
			r := c.ask(lone, fetching(q))
			if took := c.world.Agenda.Now() - begun; len(r.GetFetch().GetBatches()) == 0 || took > env.Second {
				t.Errorf("from %d, %d bytes at most: %d bytes after %d ms", offset, limit, len(r.GetFetch().GetBatches()), took/env.Millisecond)
			}
		}
	}
}

// Who waits for many bytes gets them when the last of them is there, and it is not read
// again with each record what was there before.
func TestLeastBytesAreWaitedFor(t *testing.T) {
	const least = 400_000
	c := newCluster(t, 1, lone)
	c.settle(func() *api.Request { return createTopic("t", 1) }, lone)
	c.fill(1, lone)
	q := fetch("t", 0)
	q.MinBytes, q.MaxWaitMs = least, 30_000
	id := c.send(fetching(q))
	c.run(env.Millisecond)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.fill(360, lone)
	runtime.ReadMemStats(&after)
	if r := c.client.answers[id]; r != nil {
		t.Fatalf("it is answered with %d bytes", len(r.GetFetch().GetBatches()))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 30<<20 {
		t.Errorf("%d MiB are allocated while %d bytes are produced", used>>20, least)
	}
	c.fill(20, lone)
	if got := len(c.client.answers[id].GetFetch().GetBatches()); got < least {
		t.Errorf("it is answered with %d bytes, and waits for %d", got, least)
	}
}

// However many ask for old records, no more is read at a time than the node has memory for;
// all get theirs, and who asks for the newest waits for none of them.
func TestFetchesOfOldRecordsTakeTurns(t *testing.T) {
	c := cold(t)
	ok := func(id uint64) bool { return len(c.client.answers[id].GetFetch().GetBatches()) > 0 }
	var old []uint64
	for i := range 80 {
		old = append(old, c.send(fetching(fetch("t", int64(i%30)))))
	}
	newest := fetch("t", 80)
	newest.MaxWaitMs = 10_000
	last := c.send(fetching(newest))
	c.send(produce("t", 0, records(t, batch.NoProducer, "x")))
	most, mostWaiting := 0, 0
	c.world.Run(c.world.Agenda.Now()+10*env.Second, func() bool {
		bytes, waiting := c.nodes[lone].Readings()
		most, mostWaiting = max(most, bytes), max(mostWaiting, waiting)
		return ok(last)
	})
	if _, waiting := c.nodes[lone].Readings(); !ok(last) || waiting == 0 {
		t.Errorf("the newest record is answered (%v) when %d wait", ok(last), waiting)
	}
	c.run(10 * env.Second)
	if most > broker.MaxReadingBytes || mostWaiting < 40 {
		t.Errorf("%d bytes are read at a time, and %d wait at most", most, mostWaiting)
	}
	for i, id := range old {
		if !ok(id) {
			t.Errorf("fetch %d is answered %v", i, c.client.answers[id])
		}
	}
}

// Fetches of a client that is gone are not read.
func TestFetchesOfWhoIsGone(t *testing.T) {
	c := cold(t)
	for range 80 {
		c.send(fetching(fetch("t", 0)))
	}
	c.world.Run(c.world.Agenda.Now()+env.Second, func() bool {
		_, waiting := c.nodes[lone].Readings()
		return waiting >= 40
	})
	c.home.Kill()
	c.run(env.Millisecond)
	if _, waiting := c.nodes[lone].Readings(); waiting != 0 {
		t.Errorf("%d wait", waiting)
	}
	c.run(10 * env.Second)
	if bytes, _ := c.nodes[lone].Readings(); bytes != 0 {
		t.Errorf("%d bytes are taken for ever", bytes)
	}
}

// What an idle log has let go of is read from the disk, and so within the bound.
func TestFetchesOfAnIdleLogTakeTurns(t *testing.T) {
	c := newCluster(t, 62, lone)
	c.full(lone)
	c.fill(250, lone)
	c.run(130 * env.Second)
	var ids []uint64
	for range 200 {
		ids = append(ids, c.send(fetching(fetch("t", 0))))
	}
	most := 0
	c.world.Run(c.world.Agenda.Now()+10*env.Second, func() bool {
		bytes, _ := c.nodes[lone].Readings()
		most = max(most, bytes)
		return false
	})
	for _, id := range ids {
		if len(c.client.answers[id].GetFetch().GetBatches()) == 0 {
			t.Fatal("unanswered")
		}
	}
	if most > broker.MaxReadingBytes {
		t.Errorf("%d MiB are read at a time", most>>20)
	}
}

// Who keeps up with large batches reads them from the disk: they are in no memory.
func TestReadersOfLargeBatchesTakeTurns(t *testing.T) {
	c := newCluster(t, 1, lone)
	c.settle(func() *api.Request {
		q := createTopic("t", 1)
		q.GetCreateTopic().Configs = []*api.TopicConfig{{Name: "max.message.bytes", Value: "8388608"}}
		return q
	}, lone)
	c.fill(1, lone)
	var ids []uint64
	for range 200 {
		q := fetch("t", 1)
		q.MaxWaitMs = 20_000
		ids = append(ids, c.send(fetching(q)))
	}
	c.run(100 * env.Millisecond)
	c.send(produce("t", 0, records(t, batch.NoProducer, strings.Repeat("x", 7<<20))))
	most, mostWaiting := 0, 0
	c.world.Run(c.world.Agenda.Now()+5*env.Second, func() bool {
		bytes, waiting := c.nodes[lone].Readings()
		most, mostWaiting = max(most, bytes), max(mostWaiting, waiting)
		return false
	})
	answered := 0
	for _, id := range ids {
		if len(c.client.answers[id].GetFetch().GetBatches()) > 0 {
			answered++
		}
	}
	if answered != len(ids) {
		t.Errorf("%d of %d are answered", answered, len(ids))
	}
	if most > broker.MaxReadingBytes {
		t.Errorf("%d MiB are read at a time, and %d wait at most", most>>20, mostWaiting)
	}
}
