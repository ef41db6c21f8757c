package client_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// A history has what a member of a group reads, is handed and commits, by hand and by
// itself, and what is read of that; the checker finds no fault with it, and does once the
// group's offset is told to be another.
func TestHistoryOfAGroup(t *testing.T) {
	c, _ := groupCluster(t)
	var h histories.History
	cl := c.client(client.Config{History: client.NewHistory(h.Append)})
	ctx := within(t, 20*time.Second)
	for i := range 5 {
		if _, err := cl.Produce(ctx, "t", 0, client.Record{Value: histories.Payload(histories.Value(i+1), 20)}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := cl.Subscribe(ctx, client.SubscribeOptions{Group: "g", Topics: []string{"t"}, MaxPoll: 3, AutoCommit: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for got := 0; got < 5; {
		records, err := s.Poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got += len(records)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, _ = s.Poll(short) // what was handed out is processed
	if err := s.Commit(ctx); err != nil {
		t.Error(err)
	}
	var id uint64
	c.change(func(w *coretest.World) { id = uint64(w.Topic("t").ID) })
	if o, err := cl.FetchOffsets(ctx, "g", &api.GroupPartition{TopicId: id, Topic: "t"}); err != nil || o[0].Offset != 5 {
		t.Errorf("committed %v, error %v", o, err)
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	var lines bytes.Buffer
	if err := h.Write(&lines); err != nil {
		t.Fatal(err)
	}
	for part, count := range map[string]int{
		`"op":"assigned","group":"g"`: 3, `"op":"revoked","group":"g"`: 3, `"group":"g","member":1,"offsets":[["t",0,5]`: 1,
		`"invoke","op":"fetch_offset"`: 1, `"op":"fetch_offset","offset":5`: 1, `"invoke","op":"fetch"`: 2,
	} {
		if n := strings.Count(lines.String(), part); n != count {
			t.Errorf("%d lines have %s, want %d:\n%s", n, part, count, lines.String())
		}
	}
	if got := verdicts(&h); got != "" {
		t.Errorf("the checker says %s", got)
	}
	for i := range h.Events {
		if e := &h.Events[i]; e.Op == histories.FetchOffset && e.Answer != nil {
			e.Answer.Offset = 3
		}
	}
	if got := verdicts(&h); !strings.Contains(got, string(checker.CommitRegress)) {
		t.Errorf("of an offset that went back the checker says %q", got)
	}
}

// A partition is lost after the core has answered a poll with its records, and while the
// application is busy in a callback: they may be another member's by the time it returns.
// Poll does not give them, and no history says that it did.
func TestPollGivesNothingLost(t *testing.T) {
	c, producer := groupCluster(t)
	ctx := within(t, 20*time.Second)
	fetchedOn, lost := make(chan struct{}), make(chan struct{})
	var once, onceLost sync.Once
	c.ignore(func(q *api.Request) bool {
		if q.GetFetch().GetOffset() == 1 {
			once.Do(func() { close(fetchedOn) }) // so what was fetched before has been handed out
		}
		return false
	})
	var h histories.History
	cl := c.client(client.Config{History: client.NewHistory(func(e histories.Event) {
		h.Append(e)
		if e.Note != nil && e.Note.Op == histories.Lost {
			onceLost.Do(func() { close(lost) })
		}
	})})
	if _, err := producer.Produce(ctx, "t", 0, client.Record{Value: histories.Payload(1, 20)}); err != nil {
		t.Fatal(err)
	}
	owned, busy := map[core.TopicPartition]bool{}, false
	s, err := cl.Subscribe(ctx, client.SubscribeOptions{
		Group: "g", Topics: []string{"t"}, Session: 500 * time.Millisecond,
		Assigned: func(list []core.AssignedPartition) {
			for _, p := range list {
				owned[p.TopicPartition] = true
			}
			if busy {
				return
			}
			busy = true
			for _, happens := range []chan struct{}{fetchedOn, lost} {
				select {
				case <-happens:
				case <-ctx.Done():
					t.Error("the records were not fetched, or not lost")
				}
				c.setMute(true)
			}
		},
		Lost: func(list []core.TopicPartition) {
			for _, p := range list {
				delete(owned, p)
			}
			c.setMute(false)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Poll(ctx)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, error %v", len(records), err)
	}
	if !owned[records[0].TopicPartition] {
		t.Error("Poll gave a record of a partition that it had told to be lost")
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if n := handed(&h); n != 1 {
		t.Errorf("by the history, records were handed out %d times", n)
	}
}

// handed counts how often a history has a member be handed records.
func handed(h *histories.History) (n int) {
	for _, e := range h.Events {
		if e.Call != nil && e.Call.Op == histories.Fetch && e.Call.Group != "" {
			n++
		}
	}
	return n
}

// verdicts names the anomalies in a history.
func verdicts(h *histories.History) (names string) {
	for _, a := range checker.Check(h, nil, checker.Options{}).Anomalies {
		names += fmt.Sprintf("%s: %s\n", a.Name, a.Message)
	}
	return names
}
