package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/histories"
)

func record(v string) client.Record { return client.Record{Value: []byte(v)} }

func TestProduceFetch(t *testing.T) {
	for _, compression := range []batch.Compression{batch.None, batch.Gzip} {
		c := newCluster(t).client(client.Config{Compression: compression})
		ctx := within(t, 10*time.Second)
		for i := range int64(3) {
			offset, err := c.Produce(ctx, "t", 1, record(fmt.Sprint("v", i)))
			if err != nil || offset != i {
				t.Fatalf("offset %d, %v", offset, err)
			}
		}
		got, err := c.Fetch(ctx, "t", 1, 1, client.FetchOptions{})
		if err != nil || len(got.Messages) != 2 || string(got.Messages[0].Value) != "v1" || got.HighWatermark != 3 {
			t.Errorf("%+v, %v", got, err)
		}
		if end, err := c.ListOffsets(ctx, "t", 1, api.OffsetSpec_LATEST); err != nil || end != 3 {
			t.Errorf("end %d, %v", end, err)
		}
		if start, err := c.DeleteRecords(ctx, "t", 1, 2); err != nil || start != 2 {
			t.Errorf("start %d, %v", start, err)
		}
		if _, err := c.Fetch(ctx, "t", 1, 0, client.FetchOptions{}); !errors.Is(err, client.ErrOutOfRange) {
			t.Errorf("%v", err)
		}
	}
}

func TestTopics(t *testing.T) {
	c := newCluster(t).client(client.Config{})
	ctx := within(t, 10*time.Second)
	if err := c.CreateTopic(ctx, "new", client.TopicOptions{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(ctx, "new", client.TopicOptions{Partitions: 2}); !errors.Is(err, client.ErrTopicExists) {
		t.Errorf("%v", err)
	}
	if m, err := c.Metadata(ctx, "new"); err != nil || len(m.Topics[0].Partitions) != 2 || len(m.Nodes) != 3 {
		t.Errorf("%v, %v", m, err)
	}
	if err := c.DeleteTopic(ctx, "new"); err != nil {
		t.Error(err)
	}
	_, err := c.Produce(ctx, "new", client.AnyPartition, record("x"))
	var e *client.Error
	if !errors.As(err, &e) || e.Code != api.Code_UNKNOWN_TOPIC_OR_PARTITION || !e.Definite {
		t.Errorf("%v", err)
	}
	if _, err := c.Produce(ctx, "t", 99, record("x")); !errors.Is(err, client.ErrUnknownTopic) {
		t.Errorf("%v", err)
	}
}

// Callers that wait at the same time share batches.
func TestCallersMerge(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{Linger: 5 * time.Millisecond})
	ctx := within(t, 20*time.Second)
	const callers, each = 50, 20
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			last := int64(-1)
			for i := range each {
				offset, err := c.Produce(ctx, "t", 0, record(fmt.Sprint(caller, " ", i)))
				if err != nil || offset <= last {
					t.Errorf("offset %d after %d, %v", offset, last, err)
					return
				}
				last = offset
			}
		})
	}
	wg.Wait()
	if n := len(k.log("t", 0).Log); n != callers*each {
		t.Errorf("%d records", n)
	}
	if k.produced*5 > callers*each {
		t.Errorf("%d records took %d requests", callers*each, k.produced)
	}
}

func TestPipeline(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{Buffer: 64 << 10})
	ctx := within(t, 20*time.Second)
	var under []*client.Produced
	for i := range 5000 {
		under = append(under, c.ProduceAsync(ctx, client.Idempotent, "t", 2, record(fmt.Sprint(i))))
	}
	for i, p := range under {
		if offset, err := p.Wait(ctx); err != nil || offset != int64(i) {
			t.Fatalf("record %d at offset %d, %v", i, offset, err)
		}
	}
}

// Any buffer takes any record, one larger than the buffer alone.
func TestBuffers(t *testing.T) {
	k := newCluster(t)
	ctx := within(t, 10*time.Second)
	for i, buffer := range []int{1, 1 << 10, math.MaxInt/2 + 1, math.MaxInt} {
		c := k.client(client.Config{Buffer: buffer})
		first := c.ProduceAsync(ctx, client.Idempotent, "t", 0, client.Record{Value: make([]byte, 10<<20)})
		if _, err := c.Produce(ctx, "t", 0, record("x")); err != nil {
			t.Errorf("buffer of %d: %v", buffer, err)
		}
		if offset, err := first.Wait(ctx); err != nil || offset != int64(2*i) {
			t.Errorf("buffer of %d: offset %d, %v", buffer, offset, err)
		}
	}
}

func TestLeaderDies(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{AttemptTimeout: 200 * time.Millisecond})
	ctx := within(t, 20*time.Second)
	for i := range 200 {
		switch i {
		case 50:
			k.nodes[0].stop()
			time.AfterFunc(100*time.Millisecond, func() {
				k.change(func(w *coretest.World) { w.LeadMeta(2); w.Topic("t").Partitions[0].Lead(2) })
			})
		case 100:
			k.mu.Lock()
			k.mute[2] = true
			k.mu.Unlock()
			time.AfterFunc(100*time.Millisecond, func() {
				k.change(func(w *coretest.World) { w.LeadMeta(3); w.Topic("t").Partitions[0].Lead(3) })
			})
		}
		if offset, err := c.Produce(ctx, "t", 0, record(fmt.Sprint(i))); err != nil || offset != int64(i) {
			t.Fatalf("record %d at offset %d, %v", i, offset, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	if _, err := c.Produce(within(t, 10*time.Second), "t", 0, record("first")); err != nil {
		t.Fatal(err)
	}
	k.setMute(true)
	start := time.Now()
	_, err := c.Produce(within(t, 300*time.Millisecond), "t", 0, record("second"))
	var e *client.Error
	if !errors.As(err, &e) || e.Definite || !errors.Is(err, client.ErrTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	// Never sent: nobody says where the topic is.
	_, err = c.Produce(within(t, 300*time.Millisecond), "other", 0, record("third"))
	if !errors.As(err, &e) || !e.Definite || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Produce(ctx, "t", 0, record("fourth")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A call whose context has ended does not begin, and says so; one that waits for room in
// the buffer until then says that.
func TestTooLateToBegin(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{Buffer: 1 << 10, AttemptTimeout: 50 * time.Millisecond})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, produced := c.Produce(ended, "t", 0, record("x"))
	_, asked := c.Metadata(ended)
	k.setMute(true)
	ctx := within(t, 10*time.Second)
	first := c.ProduceAsync(ctx, client.Idempotent, "t", 0, client.Record{Value: make([]byte, 1<<10)})
	_, crowded := c.Produce(within(t, 50*time.Millisecond), "t", 0, record("x"))
	k.setMute(false)
	for _, one := range []struct {
		err         error
		code, cause error
	}{
		{produced, client.ErrTimedOut, context.Canceled},
		{asked, client.ErrTimedOut, context.Canceled},
		{crowded, &client.Error{Code: api.Code_OVERLOADED}, context.DeadlineExceeded},
	} {
		var e *client.Error
		if !errors.As(one.err, &e) || !e.Definite || !errors.Is(one.err, one.code) || !errors.Is(one.err, one.cause) {
			t.Errorf("%v; want %v", one.err, one.code)
		}
	}
	if _, err := first.Wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestConsumer(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	ctx := within(t, 20*time.Second)
	for i := range 100 {
		if _, err := c.Produce(ctx, "t", 0, record(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	earliest, latest, middle := c.Consume("t", 0, client.Earliest), c.Consume("t", 0, client.Latest), c.Consume("t", 0, 40)
	if _, err := latest.Next(within(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := c.Produce(ctx, "t", 0, record("100")); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		from int64
		of   *client.Consumer
	}{{0, earliest}, {100, latest}, {40, middle}} {
		for offset := one.from; offset <= 100; offset++ {
			m, err := one.of.Next(ctx)
			if err != nil || int64(m.Offset) != offset || string(m.Value) != fmt.Sprint(offset) {
				t.Fatalf("%+v, %v at %d", m, err, offset)
			}
		}
	}
	if _, err := c.DeleteRecords(ctx, "t", 0, 50); err != nil {
		t.Fatal(err)
	}
	middle.SeekTo(10)
	if _, err := middle.Next(ctx); !errors.Is(err, client.ErrOutOfRange) {
		t.Errorf("%v", err)
	}
	middle.SeekTo(client.Earliest)
	if m, err := middle.Next(ctx); err != nil || m.Offset != 50 || middle.Offset() != 51 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestClose(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{Linger: 50 * time.Millisecond})
	ctx := within(t, 10*time.Second)
	p := c.ProduceAsync(ctx, client.Idempotent, "t", 0, record("last"))
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if offset, err := p.Wait(ctx); err != nil || offset != 0 {
		t.Errorf("offset %d, %v", offset, err)
	}
	if _, err := c.Produce(ctx, "t", 0, record("late")); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := c.Metadata(ctx); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

// Calls that Close comes in the middle of are told so.
func TestCloseAmongCalls(t *testing.T) {
	k := newCluster(t)
	for range 30 {
		c := k.client(client.Config{})
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for {
					if _, err := c.Metadata(within(t, 10*time.Second)); err != nil {
						if !errors.Is(err, client.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		time.Sleep(time.Millisecond)
		_ = c.Close(within(t, 10*time.Second))
		callers.Wait()
	}
}

// The caller's records stay as they are: one that is used again gets a new time, and two
// calls may share them.
func TestRecordsStay(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	ctx := within(t, 10*time.Second)
	records := []client.Record{record("a"), record("b")}
	var wg sync.WaitGroup
	for p := range int32(3) {
		wg.Go(func() {
			if _, err := c.ProduceMode(ctx, client.Idempotent, "t", p, records...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if records[0].Timestamp != 0 || records[1].Timestamp != 0 {
		t.Errorf("the caller's records became %+v", records)
	}
	if at := k.log("t", 0).Log[1].Timestamp; at == 0 {
		t.Error("a record has no time")
	}
}

func TestCloseInTime(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	k.setMute(true)
	p := c.ProduceAsync(context.Background(), client.Idempotent, "t", 0, record("stuck"))
	if err := c.Close(within(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := p.Wait(context.Background()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v", err)
	}
	again := within(t, 5*time.Second)
	if err := c.Close(again); !errors.Is(err, client.ErrTimedOut) || again.Err() != nil {
		t.Errorf("closed again: %v, context %v", err, again.Err())
	}
}

func TestHistory(t *testing.T) {
	k := newCluster(t)
	var kept histories.History
	history := client.NewHistory(kept.Append)
	c := k.client(client.Config{History: history})
	ctx := within(t, 20*time.Second)
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 50 {
				v := histories.Value(caller*1000 + i)
				mode := client.Idempotent
				if i%10 == 9 {
					mode = client.Unacknowledged
				}
				if _, err := c.ProduceMode(ctx, mode, "t", int32(caller%3), client.Record{Value: histories.Payload(v, 50)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	consumer := c.Consume("t", 0, client.Earliest)
	for range 50 {
		if _, err := consumer.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	consumer.SeekTo(1 << 40)
	if _, err := consumer.Next(ctx); err == nil {
		t.Error("read what is not there")
	}
	history.Note(histories.Note{Op: histories.Fault, Name: "none", Target: "none"})
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	operations, err := kept.Operations()
	if err != nil {
		t.Fatal(err)
	}
	count := map[histories.Kind]int{}
	for _, o := range operations {
		count[o.Outcome]++
	}
	if count[histories.Ok] < 360 || count[histories.Info] < 40 || count[histories.Fail] != 1 {
		t.Errorf("%v", count)
	}
}

func TestConfig(t *testing.T) {
	if _, err := client.New(client.Config{}); err == nil {
		t.Error("a client without a bootstrap address")
	}
	if _, err := client.New(client.Config{Bootstrap: []string{"x:1"}, Compression: 3}); err == nil {
		t.Error("a client with lz4")
	}
}

// A client hears which producers a partition knows: its own, once it has appended.
func TestDescribeProducers(t *testing.T) {
	c := newCluster(t)
	cl := c.client(client.Config{})
	ctx := within(t, 10*time.Second)
	if list, known, err := cl.DescribeProducers(ctx, "t", 0, 0); err != nil || len(list) != 0 || known != 0 {
		t.Errorf("of an empty partition: %v, %d, %v", list, known, err)
	}
	if _, err := cl.Produce(ctx, "t", 0, client.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if list, known, err := cl.DescribeProducers(ctx, "t", 0, 0); err != nil || len(list) != 1 || known != 1 || list[0].ProducerId == 0 {
		t.Errorf("after a record: %v, %d, %v", list, known, err)
	}
	for _, name := range []string{"nowhere", "\xff"} {
		if _, _, err := cl.DescribeProducers(ctx, name, 0, 0); err == nil {
			t.Errorf("there are producers of topic %q", name)
		}
	}
}
