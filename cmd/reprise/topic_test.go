package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
)

// leaderless is a cluster with a topic "t" of three partitions with a record each, of which
// nobody leads the second; before is called while somebody does. It gives the nodes to ask.
func leaderless(t *testing.T, before func(*client.Client)) string {
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
	before(cl)
	leader, err := c.Leader(t.Context(), "t", 1)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	if _, err := cl.Metadata(t.Context(), "t"); err != nil { // which takes a leader of the meta group
		t.Fatal(err)
	}
	return strings.Join(c.Bootstrap(), ",")
}

// A partition that nobody leads does not hide the others.
func TestTopicWithoutALeader(t *testing.T) {
	nodes := leaderless(t, func(*client.Client) {})
	got := call(t.Context(), strings.NewReader(""), "topic", "describe", "t", "--json", "--timeout", "1s", "--bootstrap", nodes)
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

// Nor does it in a group, and who is stopped meanwhile is not told half of it.
func TestGroupWithoutALeader(t *testing.T) {
	nodes := leaderless(t, func(cl *client.Client) {
		consumer, err := cl.Subscribe(t.Context(), client.SubscribeOptions{Group: "g", Topics: []string{"t"}, AutoCommit: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 3; {
			records, err := consumer.Poll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += len(records)
		}
		if err := consumer.Close(t.Context()); err != nil { // which commits
			t.Fatal(err)
		}
	})
	describe := []string{"group", "describe", "g", "--json", "--bootstrap", nodes, "--timeout"}
	got := call(t.Context(), strings.NewReader(""), append(describe, "1s")...)
	var v groupView
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || got.code != 0 || len(v.Partitions) != 3 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, p := range v.Partitions {
		if there := p.End != nil && p.Lag != nil && *p.Lag == 0; there == (p.Partition == 1) {
			t.Errorf("partition %d: %+v", p.Partition, p)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	if got := call(ctx, strings.NewReader(""), append(describe, "30s")...); got.code == 0 || got.stdout != "" {
		t.Errorf("stopped: %+v", got)
	}
}

// The dry run of a reset says what the reset would: of a group that is not there, or has members.
func TestResetLooksAtTheGroup(t *testing.T) {
	c := embed.Run(t, embed.Config{Nodes: 1})
	cl, err := client.New(client.Config{Bootstrap: c.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close(context.Background())
	if err := cl.CreateTopic(t.Context(), "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	consumer, err := cl.Subscribe(t.Context(), client.SubscribeOptions{Group: "busy", Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Produce(t.Context(), "t", 0, client.Record{}); err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]string{"none": "UNKNOWN_GROUP", "busy": "it has 1 members"} {
		for _, how := range []string{"--execute", "--execute=false"} {
			got := call(t.Context(), strings.NewReader(""), "group", "reset", group, "--to-earliest", how, "--bootstrap", c.Bootstrap()[0])
			if got.code != 1 || got.stdout != "" || !strings.Contains(got.says, want) {
				t.Errorf("group reset %s %s: %+v", group, how, got)
			}
		}
	}
}
