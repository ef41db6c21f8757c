package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
)

// Equal keys meet in the partition that Kafka's clients choose; records without a
// key spread.
func TestPartitioner(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	ctx := within(t, 10*time.Second)
	for key, want := range map[string]int{"21": 0x7fffffff & -973932308 % 3, "foobar": 0x7fffffff & -790332482 % 3, "abc": 479470107 % 3} {
		before := len(k.log("t", want).Log)
		if _, err := c.Produce(ctx, "t", client.AnyPartition, client.Record{Key: []byte(key), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if len(k.log("t", want).Log) != before+1 {
			t.Errorf("key %q did not go to partition %d", key, want)
		}
	}
	big := bytes.Repeat([]byte("x"), 10<<10)
	for range 60 {
		if _, err := c.Produce(ctx, "t", client.AnyPartition, client.Record{Value: big}); err != nil {
			t.Fatal(err)
		}
	}
	for p := range 3 {
		if n := len(k.log("t", p).Log); n < 5 {
			t.Errorf("partition %d has %d records", p, n)
		}
	}
}

// A topic that was made again with fewer partitions is asked for once a record has met that.
func TestPartitionsAreFewer(t *testing.T) {
	k := newCluster(t)
	k.change(func(w *coretest.World) { w.CreateTopic("orders", 8) })
	c := k.client(client.Config{})
	produce := func(i int) error {
		_, err := c.Produce(within(t, 10*time.Second), "orders", client.AnyPartition, client.Record{Key: fmt.Append(nil, i)})
		return err
	}
	if err := produce(0); err != nil {
		t.Fatal(err)
	}
	k.change(func(w *coretest.World) {
		w.DeleteTopic("orders")
		w.CreateTopic("orders", 1)
	})
	failed := 0
	for i := range 20 {
		if produce(i) != nil {
			failed++
		}
	}
	if failed > 1 {
		t.Errorf("%d of 20 records fail", failed)
	}
}

// Where nobody says how many partitions a topic has, records that need to know surely do
// not happen.
func TestPartitionsUnknown(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	k.setMute(true)
	_, err := c.Produce(within(t, 200*time.Millisecond), "t", client.AnyPartition, record("x"))
	var e *client.Error
	if !errors.As(err, &e) || !e.Definite || e.Op != "produce to t" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// How many partitions a topic has is asked for again after a while, and what was known
// serves until that is answered.
func TestPartitionsAge(t *testing.T) {
	k := newCluster(t)
	c := k.client(client.Config{})
	ctx := within(t, 10*time.Second)
	keyed := func(i int) client.Record { return client.Record{Key: fmt.Append(nil, i)} }
	if _, err := c.Produce(ctx, "t", client.AnyPartition, keyed(0)); err != nil {
		t.Fatal(err)
	}
	k.ignore(func(q *api.Request) bool { return q.GetMetadata() != nil })
	c.AgeSpreads()
	for i := range 10 {
		if _, err := c.Produce(within(t, 3*time.Second), "t", client.AnyPartition, keyed(i)); err != nil {
			t.Errorf("while nobody tells how many partitions there are: %v", err)
		}
	}
	k.ignore(nil)
	k.change(func(w *coretest.World) {
		w.DeleteTopic("t")
		w.CreateTopic("t", 6)
	})
	c.AgeSpreads()
	for i, added := 0, 0; added == 0; i++ {
		if _, err := c.Produce(ctx, "t", client.AnyPartition, keyed(i)); err != nil {
			t.Fatal(err)
		}
		k.change(func(w *coretest.World) { added = len(w.Topic("t").Partitions[5].Log) })
	}
	k.change(func(w *coretest.World) { w.DeleteTopic("t") })
	if _, err := c.Produce(ctx, "t", client.AnyPartition, keyed(0)); !errors.Is(err, client.ErrUnknownTopic) {
		t.Errorf("to a topic that is no more: %v", err)
	}
}
