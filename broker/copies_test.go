package broker_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// joinsAtRate moves a replica of a partition to a new node that copies so many bytes a
// second, and gives how many it copied, and in which time.
func joinsAtRate(t *testing.T, seed uint64, rate int64, meanwhile func(*cluster)) (bytes int64, took env.Time) {
	c := newCluster(t, seed, three...)
	c.full(three...)
	for i := range 30 {
		c.fill(20, three...)
		if i%10 == 9 {
			c.run(env.Second)
		}
	}
	four := append([]env.Endpoint{"n4:1"}, three...)
	var first, last env.Time
	c.sent = func(from, _ env.Endpoint, m *api.Message) {
		q := m.GetRequest().GetCopySegment()
		if q == nil || from != "n4:1" || q.GetGroup() == 0 {
			return
		}
		if last = c.world.Agenda.Now(); bytes == 0 {
			first = last
		}
		bytes += int64(q.GetLength())
	}
	c.start("n4:1", func(cfg *broker.Config) {
		cfg.Join, cfg.CopyBytes, cfg.CopyRate = three, 2<<10, rate
	})
	c.waitFor("four nodes", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: 1, To: 4}}}
	}, three...)
	if meanwhile != nil {
		meanwhile(c)
	}
	c.waitFor("the move", func() bool {
		return fmt.Sprint(nodesOf(c.partition(four...))) == fmt.Sprint([]uint64{4, 2, 3}) && len(c.partition(four...).GetReplicas()) == 3
	})
	c.expectFine()
	return bytes, last - first
}

func nodesOf(p *api.PartitionInfo) (nodes []uint64) {
	for _, r := range p.GetReplicas() {
		nodes = append(nodes, r.GetNode())
	}
	return nodes
}

// copied is how many bytes of how many node 4 shows to have copied.
func (c *cluster) copied() (done, of int64) {
	for _, g := range c.ask("n4:1", &api.Request{Body: &api.Request_DescribeNode{DescribeNode: &api.DescribeNodeRequest{}}}).GetDescribeNode().GetGroups() {
		if g.GetGroup() != 0 {
			return g.GetCopiedBytes(), g.GetCopyBytes()
		}
	}
	return 0, 0
}

// A node copies no faster than it may, and about as fast.
func TestCopiesHaveARate(t *testing.T) {
	const rate = 64 << 10
	bytes, took := joinsAtRate(t, 44, rate, nil)
	at := bytes * int64(env.Second) / int64(took)
	if bytes < 2*rate || at > rate*5/4 || at < rate/2 {
		t.Errorf("%d bytes were copied in %d ms: %d a second, and %d were allowed", bytes, took/env.Millisecond, at, rate)
	}
}

// Without a rate, a copy takes what the network takes.
func TestCopiesWithoutARate(t *testing.T) {
	if bytes, took := joinsAtRate(t, 44, 0, nil); took > env.Second {
		t.Errorf("%d bytes were copied in %d ms", bytes, took/env.Millisecond)
	}
}

// How far a copy is can be seen, and it goes on after the node has been killed.
func TestCopyShowsHowFarItIs(t *testing.T) {
	var shown []int64
	joinsAtRate(t, 45, 64<<10, func(c *cluster) {
		for len(shown) < 5 {
			c.run(200 * env.Millisecond)
			if done, of := c.copied(); of > 0 {
				if done > of || len(shown) > 0 && done < shown[len(shown)-1] {
					t.Errorf("%d of %d bytes are copied, after %v", done, of, shown)
				}
				shown = append(shown, done)
			}
		}
		c.hosts["n4:1"].Kill()
		c.start("n4:1", func(cfg *broker.Config) { cfg.CopyBytes = 2 << 10 })
	})
	if shown[0] == shown[len(shown)-1] {
		t.Errorf("in a second nothing was copied: %v", shown)
	}
}

// A copy goes on from the next leader, where it stands: one that comes while the source is
// still asked, and one that comes when that has been given up.
func TestCopyGoesOnFromAnotherLeader(t *testing.T) {
	whole, _ := joinsAtRate(t, 46, 64<<10, nil)
	for name, others := range map[string][]env.Endpoint{"the source is killed": nil, "all are killed": three} {
		bytes, _ := joinsAtRate(t, 46, 64<<10, func(c *cluster) {
			c.waitFor("half of the copy", func() bool {
				done, _ := c.copied()
				return done > whole/2
			})
			killed := others
			if killed == nil {
				killed = []env.Endpoint{three[c.partition(three...).GetLeader()-1]}
			}
			for _, node := range killed {
				c.hosts[node].Kill()
			}
			c.run(10 * env.Second)
			for _, node := range killed {
				c.start(node, func(*broker.Config) {})
			}
		})
		if most := whole + whole/5; bytes > most {
			t.Errorf("%s: %d bytes were copied of a log of %d", name, bytes, whole)
		}
	}
}

// Nothing stays of a copy whose topic is deleted before it is complete.
func TestCopyOfDeletedTopic(t *testing.T) {
	c := newCluster(t, 44, three...)
	c.full(three...)
	c.fill(100, three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join, cfg.CopyBytes, cfg.CopyRate = three, 2<<10, 16<<10 })
	c.waitFor("four nodes", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: 1, To: 4}}}
	}, three...)
	c.waitFor("half of the copy", func() bool { done, of := c.copied(); return done > of/2 })
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}}
	}, three...)
	c.run(5 * env.Second)
	if files := c.segments("n4:1", 1); len(files) != 0 {
		t.Errorf("%d files are left", len(files))
	}
	c.expectFine()
}
