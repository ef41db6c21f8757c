package main_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/histories"
)

// A node that joins when the beginning of a log is gone gets its replica by a
// snapshot, holds the same bytes as the others, and leads.
func joinerBehindTheLogStart(t *testing.T) {
	const (
		topic        = "old"
		segmentBytes = 64 << 10
		records      = 400
		recordBytes  = 2 << 10
		kept         = 100
	)
	c := newCluster(t, 3, "--segment-bytes", strconv.Itoa(segmentBytes))
	c.command("topic", "create", topic)
	cl := c.newClient(client.Config{})
	produceValues(t, cl, topic, 0, records, recordBytes)
	group := c.metadata(topic).Topics[0].Partitions[0].Group
	first := slices.Min(slices.Collect(maps.Keys(c.segments(c.nodes[0], group))))
	if out := c.command("topic", "delete-records", "--topic", topic, "--partition", "0", "--before", strconv.Itoa(records-kept)); out != fmt.Sprintf("log start %d\n", records-kept) {
		t.Errorf("delete-records printed %q", out)
	}
	for _, n := range c.nodes {
		await(t, settleTime, fmt.Sprintf("the oldest segment file of node %d is gone", n.id), func() error {
			if names := slices.Sorted(maps.Keys(c.segments(n, group))); slices.Contains(names, first) {
				return fmt.Errorf("there are %v", names)
			}
			return nil
		})
	}

	joiner, old := c.join(), c.leader(topic, 0)
	begun := time.Now()
	c.command("cluster", "move", "--topic", topic, "--partition", "0",
		"--from", strconv.FormatUint(old.id, 10), "--to", strconv.FormatUint(joiner.id, 10))
	t.Logf("the replica of leader %d moved to node %d in %v", old.id, joiner.id, time.Since(begun).Round(time.Millisecond))
	installed := fmt.Sprintf("msg=\"snapshot installed\" group=%d ", group)
	if !strings.Contains(joiner.process.printed(), installed) {
		t.Errorf("the joiner does not say %q", installed)
	}
	await(t, settleTime, "the moved replica's files are gone", func() error {
		if left := c.segments(old, group); len(left) > 0 {
			return fmt.Errorf("there are %d", len(left))
		}
		return nil
	})

	c.command("cluster", "elect", "--topic", topic, "--partition", "0", "--node", strconv.FormatUint(joiner.id, 10))
	produceValues(t, cl, topic, records, 2*records, recordBytes)
	if leader := c.leader(topic, 0); leader != joiner {
		t.Errorf("node %d leads, want the joiner, %d", leader.id, joiner.id)
	}
	log := readAll(t, cl, topic, 0)
	if len(log) != kept+records {
		t.Fatalf("%d records are there, want %d", len(log), kept+records)
	}
	for i, r := range log {
		if want := records - kept + i; r != (histories.Record{Offset: api.Offset(want), Value: histories.Value(want)}) {
			t.Fatalf("record %d is %+v, want offset and value %d", i, r, want)
		}
	}
	for _, n := range c.nodes {
		if n != joiner && n != old {
			c.awaitSameSegments(joiner, n, group, 10)
		}
	}
}

// produceValues appends records that each carry their offset as their value.
func produceValues(t *testing.T, cl *client.Client, topic string, from, to, size int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for i := from; i < to; i++ {
		offset, err := cl.Produce(ctx, topic, 0, client.Record{Value: histories.Payload(histories.Value(i), size)})
		if err != nil || offset != int64(i) {
			t.Fatalf("record %d: offset %d, %v", i, offset, err)
		}
	}
}
