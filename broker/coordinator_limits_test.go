package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	groups "github.com/reprise-mq/reprise/broker/group"
)

// A member that has commits under way all the time, and does nothing else, is ended when its
// session is over.
func TestCommitsAreNoSignOfLife(t *testing.T) {
	c := grouped(t, 50, 2)
	a := c.ok(func() *api.Request { return join("a", func(q *api.JoinGroupRequest) { q.SessionMs = 2000 }) }, three...).GetMembership()
	c.waitFor("both partitions", func() bool {
		a = c.ok(beating(a), three...).GetMembership()
		return len(a.GetKeeps()) == 2
	})
	ended := false
	for n := int64(1); c.world.Agenda.Now() < 20*env.Second && !ended; n++ {
		for _, to := range three {
			q := committing(a, n, a.GetKeeps()[0])()
			c.client.last++
			q.Id = c.client.last
			c.client.network.Send(to, &api.Message{Body: &api.Message_Request{Request: q}})
		}
		c.run(200 * env.Microsecond)
		for id, r := range c.client.answers {
			ended = ended || r.GetError().GetCode() == api.Code_UNKNOWN_MEMBER
			delete(c.client.answers, id)
		}
	}
	if !ended {
		t.Error("the member is not ended")
	}
	c.expectFine()
}

// An instance that gives nothing up holds nobody up by joining again: neither when it is
// refused as overdue, nor before that.
func TestInstanceGivesUpInTime(t *testing.T) {
	for what, again := range map[string]env.Time{"when it is refused": 60 * env.Second, "all the time": 900 * env.Millisecond} {
		c := grouped(t, 51, 2)
		token := "a"
		static := func(former uint64) func() *api.Request {
			return func() *api.Request {
				return join(token, func(q *api.JoinGroupRequest) {
					q.Instance, q.SessionMs, q.RebalanceMs, q.Former = "i", 2000, 2000, former
				})
			}
		}
		a := c.ok(static(0), three...).GetMembership()
		c.waitFor("both partitions", func() bool {
			a = c.ok(beating(a), three...).GetMembership()
			return len(a.GetKeeps()) == 2
		})
		b := c.ok(joining("b"), three...).GetMembership()
		joined := c.world.Agenda.Now()
		c.waitFor("partitions of the other, while an instance joins again "+what, func() bool {
			r := c.settle(beating(a), three...)
			if r.GetError() != nil || c.world.Agenda.Now()-joined > again {
				token, joined = token+"a", c.world.Agenda.Now()
				r = c.settle(static(a.GetMember()), three...)
			}
			if r.GetError() == nil {
				a = r.GetMembership()
			}
			b = c.ok(beating(b), three...).GetMembership()
			return len(b.GetKeeps()) > 0
		})
		c.expectFine()
	}
}

// Members that wait for partitions because the coordinator is full get them when there is
// room again.
func TestGroupGetsItsTopicsWhenThereIsRoom(t *testing.T) {
	const node, partitions = "n1:1", 250
	c := newCluster(t, 52, node)
	c.ok(func() *api.Request { return createTopic(api.GroupsTopic, 1) }, node)
	c.ok(func() *api.Request { return createTopic("t", partitions) }, node)
	id := c.metadata(node).GetTopics()[1].GetId()
	fills := func(n, count int) bool {
		q := &api.CommitOffsetsRequest{Shard: topic(api.GroupsTopic), Group: fmt.Sprint("g", n)}
		for p := range int32(count) {
			at := &api.GroupPartition{TopicId: id, Partition: p}
			q.Offsets = append(q.Offsets, &api.GroupOffset{Partition: at, Metadata: strings.Repeat("m", groups.MaxMetadata)})
		}
		r := c.settle(func() *api.Request { return &api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: q}} }, node)
		return r.GetError().GetCode() != api.Code_GROUPS_FULL
	}
	next := 0
	for count := partitions; count > 0; count /= 2 {
		for fills(next, count) {
			next++
		}
	}
	m := c.ok(joining("a"), node).GetMembership()
	c.run(5 * env.Second)
	if m = c.ok(beating(m), node).GetMembership(); len(m.GetKeeps()) != 0 {
		t.Fatalf("the coordinator is not full: the member has %d partitions", len(m.GetKeeps()))
	}
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteGroup{DeleteGroup: &api.DeleteGroupRequest{Shard: topic(api.GroupsTopic), Group: "g0"}}}
	}, node)
	c.waitFor("partitions, with room again", func() bool {
		m = c.ok(beating(m), node).GetMembership()
		return len(m.GetKeeps()) == partitions
	})
	c.expectFine()
}
