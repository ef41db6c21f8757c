package broker_test

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
)

// coordinated gives what the one node says of the one group that coordinates it.
func (c *cluster) coordinated() broker.ConsumerGroupView {
	c.t.Helper()
	var all []broker.ConsumerGroupView
	for _, name := range three {
		all = append(all, c.nodes[name].ConsumerGroups()...)
	}
	if len(all) != 1 {
		c.t.Fatalf("the nodes coordinate %+v, want one group", all)
	}
	return all[0]
}

// A group's coordinator tells of its state, and how far it is behind in what is known there.
func TestConsumerGroups(t *testing.T) {
	c := grouped(t, 72, 4)
	want := func(what string, v broker.ConsumerGroupView) {
		t.Helper()
		got := c.coordinated()
		if got.Generation == 0 {
			t.Errorf("%s: it has no generation", what)
		}
		got.Generation = 0
		if v.Group = "g"; got != v {
			t.Errorf("%s: %+v, want %+v", what, got, v)
		}
	}
	a := c.ok(joining("a"), three...).GetMembership()
	c.waitFor("all partitions", func() bool {
		a = c.ok(beating(a), three...).GetMembership()
		return len(a.GetKeeps()) == 4
	})
	want("with one member", broker.ConsumerGroupView{State: broker.GroupStable, Members: 1})
	for range 5 {
		c.ok(func() *api.Request { return produce("t", 0, records(t, batch.NoProducer, "x")) }, three...)
	}
	c.ok(committing(a, 2, a.GetKeeps()[0]), three...)
	want("behind", broker.ConsumerGroupView{State: broker.GroupStable, Members: 1, Lag: 3})
	b := c.ok(joining("b"), three...).GetMembership()
	want("with another member", broker.ConsumerGroupView{State: broker.GroupRebalancing, Members: 2, Lag: 3})
	for _, m := range []*api.MembershipResponse{a, b} {
		c.ok(func() *api.Request {
			return &api.Request{Body: &api.Request_LeaveGroup{LeaveGroup: &api.LeaveGroupRequest{Shard: topic(api.GroupsTopic), Group: "g", Member: m.GetMember()}}}
		}, three...)
	}
	want("without members", broker.ConsumerGroupView{State: broker.GroupEmpty, Lag: 3})
	// Each partition of this one is on one node.
	c.ok(func() *api.Request {
		q := createTopic("u", 3)
		q.GetCreateTopic().ReplicationFactor = 1
		return q
	}, three...)
	for p := range int32(3) {
		c.ok(committing(&api.MembershipResponse{}, 0, &api.GroupPartition{TopicId: c.id("u"), Partition: p}), three...)
	}
	want("of a topic that is elsewhere", broker.ConsumerGroupView{State: broker.GroupEmpty, Lag: 3, Unknown: 2})
	c.expectFine()
}

// However often a topic is named, the answer has it once, and an answer that is too large to
// be sent is none.
func TestMetadataIsBounded(t *testing.T) {
	const node = "n1:1"
	c := newCluster(t, 73)
	c.start(node, func(cfg *broker.Config) { cfg.Init, cfg.MaxBatchBytes = true, 64 })
	c.settle(func() *api.Request { return createTopic("small", 1) }, node)
	c.settle(func() *api.Request { return createTopic("large", 200) }, node)
	ask := func(linearizable bool, topics ...*api.TopicRef) *api.Response {
		t.Helper()
		return c.ask(node, &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{Topics: topics, Linearizable: linearizable}}})
	}
	id := ask(false, topic("small")).GetMetadata().GetTopics()[0].GetId()
	for _, linearizable := range []bool{false, true} {
		r := ask(linearizable, topic("small"), &api.TopicRef{Id: id}, &api.TopicRef{Name: "small", Id: id})
		if got := r.GetMetadata().GetTopics(); len(got) != 1 || got[0].GetName() != "small" {
			t.Errorf("a topic that is named three times is answered %v", r)
		}
		if r := ask(linearizable); r.GetError().GetCode() != api.Code_INVALID_REQUEST || !strings.Contains(r.GetError().GetMessage(), "name some") {
			t.Errorf("too much at once is answered %v", r.GetError())
		}
	}
	c.expectFine()
}
