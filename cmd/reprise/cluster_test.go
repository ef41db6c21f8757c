package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
)

// Who waits for the cluster is told why the wait is over.
func TestWaitEnds(t *testing.T) {
	_, cl, _ := oneTopic(t)
	wait := func(ctx context.Context, looked func()) error {
		w := target{topic: "t", connection: connection{timeout: 50 * time.Millisecond}}
		return w.wait(ctx, cl, "the move goes on", func(*api.MetadataResponse, *api.PartitionInfo) bool {
			looked()
			return false
		})
	}
	wants := func(err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	wants(wait(ctx, func() {}), "after 50ms the move goes on")
	stop()
	ctx, stop = context.WithTimeout(t.Context(), patience)
	wants(wait(ctx, stop), "this command was stopped: the move goes on")
	ctx, stop = context.WithTimeout(t.Context(), patience)
	defer stop()
	wants(wait(ctx, func() {
		if err := cl.DeleteTopic(ctx, "t"); err != nil {
			t.Error(err)
		}
	}), "cannot be seen: ask for the metadata of [\"t\"]: UNKNOWN_TOPIC_OR_PARTITION")
	if ctx.Err() != nil {
		t.Error("it went on to wait for a topic that is gone")
	}
}
