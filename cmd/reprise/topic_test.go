package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
)

// A partition that nobody leads does not hide the others.
func TestTopicWithoutALeader(t *testing.T) {
	c := embed.Run(t, embed.Config{})
	cl, err := client.New(client.Config{Bootstrap: c.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close(context.Background())
	if err := cl.CreateTopic(t.Context(), "t", client.TopicOptions{Partitions: 3, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) {
		if _, err := cl.Produce(t.Context(), "t", i, client.Record{}); err != nil {
			t.Fatal(err)
		}
	}
	leader, err := c.Leader(t.Context(), "t", 1)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	if _, err := cl.Metadata(t.Context(), "t"); err != nil { // which takes a leader of the meta group
		t.Fatal(err)
	}
	got := call(t.Context(), strings.NewReader(""), "topic", "describe", "t", "--json", "--timeout", "1s", "--bootstrap", strings.Join(c.Bootstrap(), ","))
	var v topicView
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || got.code != 0 || len(v.Partitions) != 3 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, p := range v.Partitions {
		there := p.Leader != 0 && p.End != nil && *p.End == 1
		if lost := p.Partition == 1; there == lost || lost && (p.Leader != 0 || p.Start != nil || p.End != nil) {
			t.Errorf("partition %d: %+v", p.Partition, p)
		}
	}
}
