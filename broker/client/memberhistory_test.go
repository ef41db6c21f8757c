package client_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
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

// verdicts names the anomalies in a history.
func verdicts(h *histories.History) (names string) {
	for _, a := range checker.Check(h, nil, checker.Options{}).Anomalies {
		names += fmt.Sprintf("%s: %s\n", a.Name, a.Message)
	}
	return names
}
